"""What every test starts from: an empty home, no configuration of the machine's, real git repositories."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests import refusals, score
from tests.installed import installed, wheel
from tests.once import compiled, isolate
from tests.team import begun, first_version, hub, promoted, released, second_version, template, three
from tests.tiny_server import tiny, tiny_template

from pushforward.project import rubric

# Fixtures of every room.
__all__ = [
    "begun",
    "compiled",
    "first_version",
    "hub",
    "installed",
    "promoted",
    "released",
    "second_version",
    "template",
    "three",
    "tiny",
    "tiny_template",
    "wheel",
]
ROOT = Path(__file__).parent.parent


if where := os.environ.get(refusals.RECORD):
    refusals.record(Path(where))


def pytest_itemcollected(item: pytest.Item) -> None:
    """What a test says of the ML Test Score goes with its report."""
    item.user_properties.extend((rubric.MARK, row) for row in score.named(item))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """What became of it is written down where that is asked for."""
    if score.RECORD in os.environ:
        score.record(report)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long ones first, so that no worker is left with them at the end; those that share two pushes together."""
    items.sort(key=lambda item: (item.path.name != "test_flights_push.py", item.get_closest_marker("slow") is None))


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty home and a clean environment: what the machine has does not count, nor what a test before has set.

    A verb that is run in this process sets the PATH of its children, as it may in one of its own.
    """
    before = dict(os.environ)
    isolate(monkeypatch, tmp_path / "home")
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def git() -> Callable[..., str]:
    """Run git in a folder and give what it printed."""

    def run(folder: Path, *args: str, check: bool = True, **env: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(folder), *args], capture_output=True, text=True, env=os.environ | env, check=False
        )
        if check and done.returncode != 0:
            raise AssertionError(f"git {' '.join(args)}: {done.stderr}")
        return done.stdout.strip() if check else done.stdout + done.stderr

    return run


@pytest.fixture
def repository(tmp_path: Path, git: Callable[..., str]) -> Path:
    """A git repository with one commit."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "a.txt").write_text("one\n")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "Begin")
    return folder
