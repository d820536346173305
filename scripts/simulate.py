"""A year in fast motion, on real flights: `make simulate`.

Months arrive one by one; each is validated, trained on, judged, promoted, released and served, and what came of its
flights is held against what was promised. Everything is real: pushes, verdicts, tags, requests and answers.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from yearbook import Line, table

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
MONTHS = [f"2013-{number:02d}" for number in range(5, 13)]
BOLD, DIM, PLAIN = (
    ("\x1b[1m", "\x1b[2m", "\x1b[0m") if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else ("", "", "")
)


class Story(SystemExit):
    """The year did not go as it is told: a failure, not a surprise."""


@dataclass
class World:
    """A clone, its server, and what the year costs."""

    folder: Path
    began: float = field(default_factory=time.monotonic)

    @property
    def clone(self) -> Path:
        """Where people type."""
        return self.folder / "flights"

    def run(self, *argv: str, check: bool = True) -> str:
        """Run a command in the clone; what it printed."""
        words = [str(BIN / argv[0]) if argv[0] == "pushforward" else argv[0], *argv[1:]]
        env = os.environ | {"GIT_CONFIG_GLOBAL": os.devnull, "PYTHONPATH": str(self.clone / "src")}
        done = subprocess.run(
            words, cwd=self.clone, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if check and done.returncode:
            raise Story(f"simulate: `{' '.join(argv)}` ended with status {done.returncode}\n{done.stdout[-3000:]}")
        return done.stdout

    def git(self, *argv: str) -> str:
        """Run git in the clone."""
        return self.run("git", *argv)

    def asked(self, *argv: str) -> Any:
        """What a verb says as JSON."""
        return json.loads(self.run("pushforward", *argv, "--json"))

    def say(self, text: str) -> None:
        """A line of progress, with the seconds until now."""
        print(f"{DIM}{time.monotonic() - self.began:5.0f} s{PLAIN}  {text}", flush=True)

    def edit(self, name: str, old: str, new: str) -> None:
        """Change a text of a file, that is there once."""
        path = self.clone / name
        text = path.read_text()
        if text.count(old) != 1:
            raise Story(f"simulate: {name} should hold '{old}' once")
        path.write_text(text.replace(old, new))


def expect(text: str, said: str) -> None:
    """The year tells a story, too."""
    if text not in said:
        raise Story(f"simulate: '{text}' should have been said:\n{said[-3000:]}")


def chapter(text: str) -> None:
    """A heading."""
    print(f"\n{BOLD}── {text} {'─' * max(0, 74 - len(text))}{PLAIN}", flush=True)


def begin(world: World) -> None:
    """A repository of its own, with this project's files and four months of them; its server, and Ann's key."""
    if world.folder.exists() and any(world.folder.iterdir()) and not (world.folder / "flights.git").is_dir():
        raise Story(f"simulate: {world.folder} holds something else; name another folder, or an empty one")
    shutil.rmtree(world.folder, ignore_errors=True)
    world.clone.mkdir(parents=True)
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file() and name != "dvc.lock" and not name.startswith("metrics/"):  # left to the server
            (world.clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, world.clone / name)
    world.git("init", "-q", "-b", "main")
    world.git("config", "user.name", "Ann")
    world.git("config", "user.email", "ann@example.org")
    text = (world.clone / "params.yaml").read_text()
    head, _, rest = text.partition("  months:\n")
    months = "\n".join(f'    - "{month}"' for month in before(MONTHS[0]))
    (world.clone / "params.yaml").write_text(f"{head}  months:\n{months}{rest[rest.index(chr(10) * 2) :]}")
    world.git("add", "-A")
    world.git("commit", "-q", "-m", "Begin with four months")
    world.run("pushforward", "init")
    world.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(world.folder / "ann"))
    world.git("config", "gpg.format", "ssh")
    world.git("config", "user.signingkey", str(world.folder / "ann.pub"))
    world.run("pushforward", "trust", "../ann.pub", "--as", "ann@example.org")


def before(month: str) -> list[str]:
    """The months of the year before one."""
    return [f"2013-{number:02d}" for number in range(1, int(month[5:]))]


def release(world: World, version: str) -> None:
    """Ann puts a version to use."""
    world.run("pushforward", "release", version, "--detach")
    world.say(f"{version} in production, by Ann")


def newest(world: World) -> str:
    """The newest version, without the model's name."""
    versions: list[str] = world.asked("show")["versions"]
    return versions[-1].partition("@")[2]


def arrive(world: World, month: str) -> tuple[str, str]:
    """A month arrives as one line: a pull request, merged where it is promoted. The commit judged, and the verdict."""
    world.git("switch", "-q", "-c", f"arrive-{month}", "main")
    last = f'    - "{before(month)[-1]}"\n'
    world.edit("params.yaml", last, f'{last}    - "{month}"\n')
    world.git("commit", "-q", "-am", f"Let {month} arrive")
    commit = world.git("rev-parse", "HEAD").strip()
    world.git("push", "local", "HEAD")
    verdict = verdict_of(world, commit)
    world.say(f"{month} arrived: its pull request says {verdict['verdict']}")
    world.git("switch", "-q", "main")
    if verdict["verdict"] == "promote":
        world.git("merge", "-q", "--no-ff", "-m", f"Merge arrive-{month}", f"arrive-{month}")
        world.git("push", "local", "main")
        world.say("merged")
    return commit, verdict["verdict"]


def verdict_of(world: World, commit: str) -> dict[str, Any]:
    """What the server has said of a commit."""
    world.git("fetch", "-q", "--tags", "local")
    found: dict[str, Any] = world.asked("report", commit)
    return found


def promised(world: World, commit: str) -> float | None:
    """The log loss of a commit's model on its holdout; None while that is sealed."""
    numbers = {one["name"]: one["challenger"] for one in verdict_of(world, commit)["numbers"]}
    return numbers.get("log loss")


def main() -> None:
    """The year."""
    asked = argparse.ArgumentParser(description="A year in fast motion, on real flights.")
    asked.add_argument("folder", nargs="?", type=Path, default=ROOT / "simulation", help="where; is made anew")
    asked.add_argument("--months", type=int, default=len(MONTHS), help="how many months arrive, from May on")
    given = asked.parse_args()
    world = World(given.folder.resolve())
    chapter("January to April: a server, and a first model")
    begin(world)
    expect("v1.0.0", world.git("push", "local", "main"))
    commit, version = world.git("rev-parse", "HEAD").strip(), "v1.0.0"
    release(world, version)
    lines = []
    for month in MONTHS[: given.months]:
        chapter(month)
        line = Line(month, version, promised=promised(world, commit))
        commit, word = arrive(world, month)
        if word == "promote":
            version = newest(world)
            release(world, version)
        lines.append(replace(line, delivery="taken", verdict=word, made=version))
    chapter(f"the year, in {time.monotonic() - world.began:.0f} s")
    print(table(lines))


if __name__ == "__main__":
    main()
