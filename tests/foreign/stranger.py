"""A stranger: a repository that carries nothing of the tool, adopted, rehearsed and pushed by commands alone.

What that took is measured: the pushes, and the lines that people wrote beside what `adopt` wrote. `docs/adopt.md` has
the table of all shapes, and each test holds its row to it (`UPDATE_GOLDEN=1` writes the row, and its seconds).
"""

import compileall
import fcntl
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from tests.once import made_once

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "adopt.md"
LOCKS = ("run.txt", "data.txt", "test.txt")  # what this interpreter was built from, in this order
STORE = "[core]\n    remote = store\n['remote \"store\"']\n    url = ../../store\n"
DVC = {".dvc/config": STORE, ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n"}
# The whole environment of the tests as one file of hashes: it is the one at hand, and nothing has to be built.
LOCKED = "".join((ROOT / "requirements" / name).read_text() for name in LOCKS)
CACHE = Path(os.environ.get("UV_CACHE_DIR") or Path.home() / ".cache" / "uv")  # of the machine, not of a test
TABLE = re.compile(r"(?s)(<!-- shapes: tests/foreign keeps this equal -->\n).*?(<!-- /shapes -->\n)")
HEAD = "| shape | level | pushes | own lines | seconds |\n|:--|:--|--:|--:|--:|\n"


@pytest.fixture(scope="session")
def tool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of commands of an environment into which the tool is installed, with no checkout in its reach."""
    return made_once(tmp_path_factory, "tool", _install) / "env" / "bin"


def _install(folder: Path) -> None:
    """This interpreter's environment by links, and in it the tool as a wheel would leave it."""
    home = folder / "env"

    def link(source: str, target: str) -> None:
        try:
            os.link(source, target)
        except OSError:  # another disk
            shutil.copy2(source, target)

    shutil.copytree(sys.prefix, home, symlinks=True, copy_function=link)
    (packages,) = home.glob("lib/python*/site-packages")
    (packages / "pushforward.pth").unlink()
    package = packages / "pushforward"
    shutil.copytree(ROOT / "src" / "pushforward", package, ignore=shutil.ignore_patterns("__pycache__"))
    compileall.compile_dir(str(package), quiet=2)
    command = home / "bin" / "pushforward"
    command.unlink()
    command.write_text(f"#!{home}/bin/python\nfrom pushforward.__main__ import main\nraise SystemExit(main())\n")
    command.chmod(0o755)


class Stranger:
    """A clone with the files of `shape`, its people, and the server that they make."""

    def __init__(self, folder: Path, tool: Path, shape: Mapping[str, str], *, branch: str = "main") -> None:
        self.root, self.bare, self.branch, self._tool = folder / "shop", folder / "shop.git", branch, tool
        self.pushes, self.seconds, self.lines = 0, 0.0, 0
        self.root.mkdir()
        (folder / "store").mkdir()
        cache = Path.home() / ".cache"
        if CACHE.is_dir() and not (cache / "uv").exists():
            cache.mkdir(exist_ok=True)
            (cache / "uv").symlink_to(CACHE)  # what is known by its hash is not fetched again
        self.write({**DVC, **shape})
        self.git("init", "-q", "-b", branch)
        self.commit("Begin")

    def git(self, *words: str) -> str:
        """Git in the clone; both streams as text."""
        done = subprocess.run(["git", "-C", str(self.root), *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return (done.stdout + done.stderr).strip()

    def call(self, *words: str, code: int = 0) -> str:
        """A command of the tool, from a folder in which nothing of a checkout is; both streams as text."""
        env = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
        env["PATH"] = f"{self._tool}:/usr/local/bin:/usr/bin:/bin"
        command = [str(self._tool / "pushforward"), *words]
        began = time.monotonic()
        done = subprocess.run(command, cwd=self.root, env=env, capture_output=True, text=True, check=False)
        self.seconds += time.monotonic() - began
        said = done.stdout + done.stderr
        assert done.returncode == code, said
        assert "Traceback" not in said, said
        return said

    def dvc(self, *words: str) -> None:
        """DVC in the clone, as people have it."""
        command = [str(self._tool / "python"), "-m", "dvc", *words]
        done = subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def write(self, files: Mapping[str, str]) -> None:
        """Files of the clone, as somebody types them."""
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def edit(self, name: str, old: str, new: str) -> None:
        """Change a text in a file."""
        text = (self.root / name).read_text()
        assert old in text, text
        self.write({name: text.replace(old, new, 1)})

    def commit(self, message: str) -> str:
        """Commit all that git does not ignore."""
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        return self.git("rev-parse", "HEAD")

    def adopt(self, *options: str) -> str:
        """`pushforward adopt`, committed as it is; from here on lines are people's own."""
        said = self.call("adopt", *options)
        self._adopted = self.commit("Adopt pushforward")
        return said

    def own(self, message: str) -> None:
        """Commit what people wrote to reach a level, and count it."""
        self.commit(message)
        changed = self.git("diff", "--numstat", self._adopted, "HEAD").splitlines()
        self.lines = sum(int(line.split("\t")[0]) for line in changed)

    def rehearse(self, code: int = 0) -> str:
        """`pushforward rehearse`: the last lines are what a push would come to."""
        return self.call("rehearse", code=code)

    def push(self, branch: str = "") -> str:
        """Push to the server, which is made before the first push, and wait; what the pusher saw, in one line."""
        if not self.bare.exists():
            self.call("init")
        self.pushes += 1
        began = time.monotonic()
        said = self.git("push", "local", branch or self.branch)
        self.seconds += time.monotonic() - began
        return " ".join(line.removeprefix("remote:").strip() for line in said.splitlines())

    def tags(self) -> list[str]:
        """The tags of the server."""
        done = subprocess.run(["git", "-C", str(self.bare), "tag"], capture_output=True, text=True, check=True)
        return done.stdout.split()

    def needed(self, shape: str, level: str) -> None:
        """Hold what this shape has needed so far to its row of the page, or write it there."""
        row = (shape, level, str(self.pushes), str(self.lines))
        if os.environ.get("UPDATE_GOLDEN"):
            _update(row, self.seconds)
        known = {cells[0]: tuple(cells[:4]) for cells in map(_cells, _rows(PAGE.read_text()))}
        assert known.get(shape) == row, "UPDATE_GOLDEN=1 writes the table of docs/adopt.md"


def _rows(page: str) -> list[str]:
    table = TABLE.search(page)
    assert table, f"{PAGE} has no table of shapes"
    return [line for line in table[0].splitlines() if line.startswith("| ") and not line.startswith("| shape ")]


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip("|").split("|")]


def _update(row: Iterable[str], seconds: float) -> None:
    with (ROOT / ".pytest_cache" / "shapes.lock").open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        page, (shape, *_) = PAGE.read_text(), row
        rows = {_cells(line)[0]: line for line in _rows(page)}
        rows[shape] = f"| {' | '.join(row)} | {seconds:.0f} |"
        made = HEAD + "".join(f"{line}\n" for _, line in sorted(rows.items()))
        PAGE.write_text(TABLE.sub(lambda found: found[1] + made + found[2], page))
