"""A team: a clone of a small project, its server, and what a pusher sees."""

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
TOY = ROOT / "tests" / "toy"
PYTHON = ROOT / ".venv" / "bin" / "python"


def make_toy(folder: Path) -> None:
    """The toy project as a git repository, with this project's own workflows."""
    shutil.copytree(TOY, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "gitignore").rename(folder / ".gitignore")
    (folder / ".dvc").mkdir()
    (folder / "dvcconfig").rename(folder / ".dvc" / "config")
    (folder / ".dvc" / ".gitignore").write_text("/config.local\n/tmp\n/cache\n")
    (folder / ".dvcignore").write_text(".gitignore\n")
    (folder / "data").mkdir()
    (folder / "data" / "keep").touch()
    for part in (".github", "requirements"):
        shutil.copytree(ROOT / part, folder / part)
    shutil.copytree(
        ROOT / "src" / "pushforward", folder / "src" / "pushforward", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(ROOT / "Makefile", folder)


@dataclass
class Team:
    """A clone and its server."""

    clone: Path
    bare: Path

    def git(self, *args: str, check: bool = True) -> str:
        """Run git in the clone; both streams as text."""
        done = subprocess.run(["git", "-C", str(self.clone), *args], capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def commit(self, name: str, old: str, new: str, message: str) -> str:
        """Change a text in a file and commit."""
        path = self.clone / name
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
        self.git("commit", "-q", "-am", message)
        return self.head()

    def head(self) -> str:
        """The commit at hand."""
        return self.git("rev-parse", "HEAD").strip()

    def push(self, branch: str = "main") -> str:
        """Push to the server and wait; what the pusher saw."""
        return self.git("push", "local", branch)

    def pushforward(self, *args: str, check: bool = True) -> str:
        """Run the command in the clone."""
        command = [str(PYTHON.parent / "pushforward"), *args]
        env = os.environ | {"PYTHONPATH": str(self.clone / "src")}
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.clone, env=env, check=False)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def note(self, commit: str) -> str:
        """The note of a commit on the server."""
        return subprocess.run(
            ["git", "-C", str(self.bare), "notes", "--ref=refs/notes/pushforward", "show", commit],
            capture_output=True,
            text=True,
            check=False,
        ).stdout

    def tags(self) -> list[str]:
        """The tags of the server."""
        done = subprocess.run(["git", "-C", str(self.bare), "tag"], capture_output=True, text=True, check=True)
        return done.stdout.split()

    def pushforward_fetched(self, *args: str) -> str:
        """Run the command in the clone after `git fetch`."""
        self.git("fetch", "-q", "--tags", "local")
        return self.pushforward(*args)

    @property
    def python(self) -> Path:
        """The interpreter of the server."""
        return PYTHON


def make_team(folder: Path) -> Team:
    """A clone of the toy project with a server made by `pushforward init`."""
    made = Team(folder / "toy", folder / "toy.git")
    make_toy(made.clone)
    made.git("init", "-q", "-b", "main")
    made.git("config", "user.name", "Ann")
    made.git("config", "user.email", "ann@example.org")
    made.git("add", "-A")
    made.git("commit", "-q", "-m", "Begin")
    made.pushforward("init")
    return made


@pytest.fixture
def team(tmp_path: Path) -> Team:
    """A team that has not pushed yet."""
    return make_team(tmp_path)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a team that has a first version; made once, to be copied."""
    folder = tmp_path_factory.mktemp("template")
    patch = pytest.MonkeyPatch()
    for name, value in {"NAME": "Ann", "EMAIL": "ann@example.org"}.items():
        patch.setenv(f"GIT_AUTHOR_{name}", value)
        patch.setenv(f"GIT_COMMITTER_{name}", value)
    patch.setenv("HOME", str(folder))
    made = make_team(folder)
    said = made.push()
    assert "toy@v1.0.0" in said, said
    patch.undo()
    return folder


@pytest.fixture(scope="session")
def first_version(template: Path) -> Callable[..., Team]:
    """Gives a team whose first version is tagged, in a folder of its own; a copy of another team where one is named."""

    def copy(folder: Path, source: Path = template) -> Team:
        for name in ("toy", "toy.git", "store"):
            shutil.copytree(source / name, folder / name, symlinks=True)
        made = Team(folder / "toy", folder / "toy.git")
        made.git("remote", "set-url", "local", str(made.bare))
        made.pushforward("init")
        made.git("fetch", "-q", "--tags", "local")
        return made

    return copy


@pytest.fixture
def promoted(first_version: Callable[..., Team], tmp_path: Path) -> Team:
    """A team whose first version is tagged."""
    return first_version(tmp_path)
