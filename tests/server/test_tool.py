"""The server's copy of the tool: the files, and what Python has compiled of them, as it would compile them itself."""

import importlib.util
import marshal
import os
import py_compile
import subprocess
import sys
from pathlib import Path

import pytest

from pushforward.server import tool

SOURCES = {
    "__init__.py": "",
    "one.py": "VALUE = 1\n\n\ndef who():\n    return __file__, who.__code__.co_filename\n",
    "room/__init__.py": '"""A room."""\n',
    "room/two.py": "from pushforward.one import VALUE\n",
    "room/page.html": "<p>",
}


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """A small tool, compiled as an installer leaves it."""
    folder = tmp_path / "site" / "pushforward"
    for name, text in SOURCES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    for path in folder.rglob("*.py"):
        py_compile.compile(str(path), invalidation_mode=py_compile.PycInvalidationMode.TIMESTAMP)
    return folder


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were compiled by themselves."""
    found: list[str] = []
    real = py_compile.compile

    def compile_one(file: str, **options: object) -> object:
        found.append(Path(file).name)
        return real(file, **options)

    monkeypatch.setattr(tool.py_compile, "compile", compile_one)
    return found


def bytecode(path: Path) -> Path:
    return Path(importlib.util.cache_from_source(str(path)))


def is_whole(lib: Path, origin: Path) -> None:
    """The copy has the files of the tool and bytecode of each, by the hash of its source."""
    for path in (path for path in origin.rglob("*") if "__pycache__" not in path.parts):
        there = lib / "pushforward" / path.relative_to(origin)
        assert there.stat().st_mode == path.stat().st_mode
        if path.is_file():
            assert there.read_bytes() == path.read_bytes()
        if path.suffix == ".py":
            found, source = bytecode(there).read_bytes(), path.read_bytes()
            assert found[:16] == importlib.util.MAGIC_NUMBER + b"\3\0\0\0" + importlib.util.source_hash(source)
            assert marshal.loads(found[16:]) == compile(source, str(there), "exec", dont_inherit=True)
    assert not list(lib.parent.glob("lib.*"))


def test_what_is_compiled_is_taken_over_and_runs_under_its_own_name(origin, tmp_path, compilations):
    lib = tmp_path / "lib"
    tool.copy(lib, origin)
    is_whole(lib, origin)
    assert compilations == []
    code = "import pushforward.room.two as two, pushforward.one as one; print(two.VALUE, *one.who())"
    done = subprocess.run(
        [sys.executable, "-B", "-c", code], env={"PYTHONPATH": str(lib)}, capture_output=True, text=True
    )
    place = str(lib / "pushforward" / "one.py")
    assert done.stdout.split() == ["1", place, place], done.stderr


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: bytecode(path).unlink(),
        lambda path: bytecode(path).write_bytes(b""),
        lambda path: bytecode(path).write_bytes(bytecode(path).read_bytes()[:-9]),
        lambda path: bytecode(path).write_bytes(b"\0" * 4 + bytecode(path).read_bytes()[4:]),
        lambda path: os.utime(path, (1, 1)),
        lambda path: path.write_text("VALUE = 12\n"),
        lambda path: bytecode(path).write_bytes(b"".join((bytecode(path).read_bytes()[:4], b"\1", bytes(11), b"N"))),
    ],
    ids=["none", "empty", "cut", "of-another-python", "older", "of-another-source", "unchecked"],
)
def test_what_is_not_of_this_source_is_compiled(origin, tmp_path, compilations, spoil):
    lib = tmp_path / "lib"
    spoil(origin / "one.py")
    tool.copy(lib, origin)
    is_whole(lib, origin)
    assert compilations == ["one.py"]


@pytest.mark.parametrize(
    "damage",
    [
        None,
        lambda copy: (copy / "one.py").write_text("nothing = 1\n"),
        lambda copy: (copy / "one.py").unlink(),
        lambda copy: (copy / "strange.py").touch(),
        lambda copy: (copy / "one.py").chmod(0o600),
        lambda copy: (copy / "room").chmod(0o700),
        lambda copy: (copy / "room" / "page.html").write_text("<b>"),
    ],
    ids=["none", "edited", "gone", "more", "unreadable", "shut", "page"],
)
def test_a_copy_that_is_what_it_should_be_stays_and_any_other_is_made_anew(origin, tmp_path, damage):
    lib = tmp_path / "lib"
    tool.copy(lib, origin)
    number = (lib / "pushforward").stat().st_ino
    if damage:
        damage(lib / "pushforward")
    tool.copy(lib, origin)
    is_whole(lib, origin)
    assert not (lib / "pushforward" / "strange.py").exists()
    assert damage or (lib / "pushforward").stat().st_ino == number


def test_bytecode_that_was_spoiled_is_made_anew_and_what_is_sound_stays(origin, tmp_path):
    lib = tmp_path / "lib"
    tool.copy(lib, origin)
    one, two = (bytecode(lib / "pushforward" / name) for name in ("one.py", "room/two.py"))
    number = two.stat().st_ino
    one.write_bytes(one.read_bytes()[:20])
    tool.copy(lib, origin)
    is_whole(lib, origin)
    assert two.stat().st_ino == number


def test_a_copy_can_be_copied_as_by_a_server_that_is_made_from_another(origin, tmp_path, compilations):
    tool.copy(tmp_path / "lib", origin)
    tool.copy(tmp_path / "again" / "lib", tmp_path / "lib" / "pushforward")
    is_whole(tmp_path / "again" / "lib", origin)
    assert compilations == []
