"""docs/adopt.md, typed from its first line to its last: what it shows is what is said. `UPDATE_GOLDEN=1` records it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "adopt.md"
TUTORIAL = ROOT / "tests" / "tutorial"
# What is typed: a block of commands with what they say, or a block that a command is given.
BLOCK = re.compile(
    r"(?:<!-- type: (?P<command>[^\n]+) -->\n)?^```(?P<kind>console|diff|python|yaml)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
CARD = re.compile(r"[✓✗?=!•] ")
WIDEST = 30  # own lines, of which the page speaks


@dataclass
class Person:
    """Somebody with git, DVC and an installed tool, in a folder of code and data."""

    folder: Path
    typed: list[str] = field(default_factory=list)

    def type(self, command: str, given: str = "") -> str:
        """Type a line of shell."""
        env = os.environ | {"PATH": f"{self.folder / 'bin'}:/usr/bin:/bin", "NO_COLOR": "1", "COLUMNS": "100"}
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder / "posts",
            env=env,
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        # the first rehearsal is there to show what it finds
        fails = command.startswith("pushforward rehearse") and command not in self.typed
        self.typed.append(command)
        assert done.returncode == (4 if fails else 0), f"$ {command}\n{done.stdout}"
        return done.stdout


def shown(command: str, said: str) -> list[str]:
    """Of what a command says the lines that the page shows: of a push its card, of a rehearsal what it found."""
    lines = [line.rstrip() for line in said.splitlines()]
    if command.startswith("git push"):
        card = next(number for number, line in enumerate(lines) if CARD.match(line.removeprefix("remote: ")))
        lines = [line for line in lines[card:] if line.startswith("remote:")]
    return [line for line in lines if not line.startswith("...      ")]


def calm(text: str) -> str:
    """The words, without what differs from run to run: seconds, names of commits, places, and breaks of lines."""
    words = " ".join(re.sub(r"^remote: ?", "", text, flags=re.MULTILINE).split())
    return re.sub(r"\b\d+\.\d s\b", "0.0 s", re.sub(r"\b[0-9a-f]{7,64}\b", "0000000", words))


def typed(person: Person, text: str) -> Iterator[tuple[str, list[str]]]:
    """Every command of a block of the page, with what it said."""
    for command in re.findall(r"^\$ (.+)$", text, re.MULTILINE):
        yield command, shown(command, person.type(command))


@pytest.fixture
def person(installed, tmp_path, git):
    folder = tmp_path / "posts"
    (folder / "data").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    for name in ("pushforward", "dvc"):
        (tmp_path / "bin" / name).symlink_to(installed / name)
    for path in ("params.yaml", "requirements.txt", "src/prepare.py", "src/train.py", "src/evaluate.py"):
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes((TUTORIAL / path).read_bytes())
    subprocess.run([sys.executable, str(TUTORIAL / "data.py"), str(folder / "data" / "data.xml")], check=True)
    return Person(tmp_path)


@pytest.mark.slow
def test_the_page_shows_what_is_said_on_the_way_to_a_tag(person, git):
    """Two pushes, no more own lines than it says, and a version at the end."""
    page, own, pushes = PAGE.read_text(), 0, 0
    end = page.index("## What each shape needed")
    fresh, last = [], 0
    for block in BLOCK.finditer(page, 0, end):
        fresh.append(page[last : block.start()])
        last = block.end()
        if block["kind"] != "console":
            person.type(block["command"], block["text"])
            lines = block["text"].splitlines()
            changed = [line for line in lines if line.startswith("+") and not line.startswith("+++")]
            own += len([line for line in (changed if block["kind"] == "diff" else lines) if line.strip("+ ")])
            fresh.append(block[0])
            continue
        said = list(typed(person, block["text"]))
        pushes += sum(command == "git push local main" for command, _ in said)
        written = "".join("\n".join([f"$ {command}", *lines]) + "\n" for command, lines in said)
        written = written.replace(str(person.folder / "home"), "~").replace(str(person.folder), "~")
        fresh.append(f"```console\n{written}```")
        if not os.environ.get("UPDATE_GOLDEN"):
            assert calm(block["text"]) == calm(written), "run UPDATE_GOLDEN=1, and look at the difference"
    if os.environ.get("UPDATE_GOLDEN"):
        PAGE.write_text("".join([*fresh, page[last:]]))
    assert "posts@v1.0.0" in git(person.folder / "posts", "tag").split()
    assert pushes == 2
    assert own <= WIDEST
    assert f"two pushes, and {own} lines of your own" in page
