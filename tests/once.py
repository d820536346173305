"""What is dear and the same for many tests: made once, also for the other workers, and copied by each of them."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pushforward.server import init


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
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The servers that tests make in their own process have one tool, which is compiled once.

    Python checks such a file against its source, so that a copy of it is never wrong, only of no use.
    """
    known = tmp_path_factory.mktemp("compiled") / "lib"
    compile_dir = init.compileall.compile_dir

    def copy(lib: str, **options: object) -> bool:
        if not any(Path(lib).rglob("post_receive.py")):  # a small tool of a test's own
            return bool(compile_dir(lib, **options))
        if not known.exists():
            compile_dir(lib, **options)
            shutil.copytree(lib, known)
        for path in known.rglob("__pycache__"):
            target = Path(lib) / path.relative_to(known)
            if target.parent.is_dir() and not target.exists():
                shutil.copytree(path, target)
        return True

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(init.compileall, "compile_dir", copy)
        yield
