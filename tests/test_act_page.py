"""docs/act.md, typed in a clone that has no network: what it shows is what is said. `UPDATE_GOLDEN=1` records it."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.team import PYTHON, make_toy

pytestmark = pytest.mark.whole

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "act.md"
BLOCK = re.compile(r"(?<=^```console\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)
STEP = re.compile(r"\[(?P<job>[^]]+?) *\] +(?:\| |🏁 +|🚧 +|❓ +)(?P<words>.*)")
OFFLINE = ["unshare", "--map-root-user", "--net"]


@pytest.fixture
def clone(tmp_path, git):
    """The toy project as somebody has just cloned it, with its environment built."""
    folder = tmp_path / "toy"
    make_toy(folder)
    shutil.copy(ROOT / ".actrc", folder)
    (folder / ".venv").symlink_to(PYTHON.parent.parent)
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "Begin")
    return folder


def shown(said: str) -> list[str]:
    """Of what act says what steps print and how jobs end; of another command all of it."""
    lines = [line.rstrip() for line in re.sub(r"\x1b\[[\d;]*m", "", said).splitlines()]
    if not any(line.startswith("[") for line in lines):
        return lines
    found = filter(None, map(STEP.fullmatch, lines))
    return [f"[{one['job']}] {one['words']}" for one in found if one["words"].strip()]


def calm(text: str) -> str:
    """The words, without what differs from run to run: seconds, bytes and names of commits."""
    text = re.sub(r" +", " ", re.sub(r"\b[0-9a-f]{7,40}\b", "0000000", text))
    return re.sub(r"[\d,]+ bytes", "0 bytes", re.sub(r"\d+\.\d s\b", "0.0 s", text))


def test_the_page_shows_what_act_says_in_a_clone(clone, git):
    if subprocess.run([*OFFLINE, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no namespace without a network is to be had here")
    # in a terminal, where no make has begun it: its children say into which folder they go
    typed = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    environment = typed | {"PATH": f"{clone / '.venv' / 'bin'}:{os.environ['PATH']}"}
    page = PAGE.read_text()
    block = BLOCK.search(page)
    written = ""
    for command in re.findall(r"^\$ (.+)$", block[0], re.MULTILINE):
        before = git(clone, "for-each-ref")
        done = subprocess.run(
            [*OFFLINE, "bash", "-c", command],
            cwd=clone,
            env=environment | {"PYTHONPATH": str(clone / "src")} if command.startswith("pushforward") else environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"$ {command}\n{done.stdout}"
        if "act" in command.split():
            assert git(clone, "for-each-ref") == before, command
        lines = "\n".join([f"$ {command}", *shown(done.stdout)])
        lines = lines.replace(str(PYTHON.parent.parent), "~/toy/.venv")
        written += lines.replace(str(clone), "~/toy").replace(str(clone.parent), "~") + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        PAGE.write_text(page[: block.start()] + written + page[block.end() :])
    else:
        assert calm(block[0]) == calm(written), "run UPDATE_GOLDEN=1, and look at the difference"
    assert "[judge/judge]   promote: " in written
