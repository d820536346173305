"""What every test starts from: an empty home, no configuration of the machine's, real git repositories."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests import refusals
from tests.team import first_version, hub, promoted, released, team, template, three

# Fixtures of every room.
__all__ = ["first_version", "hub", "promoted", "released", "team", "template", "three"]
ROOT = Path(__file__).parent.parent


if where := os.environ.get(refusals.RECORD):
    refusals.record(Path(where))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long ones first, so that no worker is left with them at the end; those that share two pushes together."""
    items.sort(key=lambda item: (item.path.name != "test_flights_push.py", item.get_closest_marker("slow") is None))


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty home and a clean environment: what the machine has does not count."""
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(
        "[user]\n\tname = Ann\n\temail = ann@example.org\n"
        "[init]\n\tdefaultBranch = main\n[advice]\n\tdetachedHead = false\n"
    )
    for name in list(os.environ):
        if name.startswith(("GIT_", "DVC_", "PUSHFORWARD_", "GITHUB_")) or name in {"CI", "XDG_CONFIG_HOME"}:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")


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
