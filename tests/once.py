"""What is dear and the same for many tests: made once, also for the other workers, and copied by each of them."""

import compileall
import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def isolate(patch: pytest.MonkeyPatch, home: Path) -> None:
    """An empty home and a clean environment: what the machine has does not count."""
    home.mkdir(exist_ok=True)
    (home / ".gitconfig").write_text(
        "[user]\n\tname = Ann\n\temail = ann@example.org\n"
        "[init]\n\tdefaultBranch = main\n[advice]\n\tdetachedHead = false\n"
    )
    for name in list(os.environ):
        if name.startswith(("GIT_", "DVC_", "PUSHFORWARD_", "GITHUB_")) or name in {"CI", "XDG_CONFIG_HOME"}:
            patch.delenv(name)
    patch.setenv("HOME", str(home))
    patch.setenv("TZ", "UTC")
    patch.setenv("DVC_NO_ANALYTICS", "1")


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """The folder that `make` has filled for whoever asked first."""
    base = factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = shared / name
    with (shared / f"{name}.lock").open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if not (folder / "made").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            with pytest.MonkeyPatch.context() as patch:
                isolate(patch, folder / "home")
                make(folder)
            (folder / "made").touch()
    return folder


def copied(source: Path, folder: Path, *names: str) -> None:
    """Copies of a clone, of its server and of its store, which still have to be told where they are."""
    command = ["cp", "-a", *(str(source / name) for name in names), str(folder)]
    subprocess.run(command, check=True)


@pytest.fixture(scope="session", autouse=True)
def compiled() -> None:
    """What is tested is compiled once: the servers that tests make take that over."""
    compileall.compile_dir(str(ROOT / "src" / "pushforward"), quiet=2)
