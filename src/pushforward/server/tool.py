"""The copy of the tool that a server runs: an edit of the tool reaches it with the next `init`."""

import importlib.util
import marshal
import py_compile
import shutil
from pathlib import Path
from py_compile import PycInvalidationMode

PACKAGE = "pushforward"
BY_TIME, BY_HASH = 0, 0b11  # of bytecode: what it is held against when it is imported (PEP 552)
HEAD = 16  # bytes: Python's number, one of those two, and what says which source it is of


def copy(lib: Path, tool: Path = Path(__file__).parent.parent) -> None:
    """Have in `lib` the files of `tool`, compiled; what is there and the same stays as it is."""
    fresh, old = lib.with_name("lib.new"), lib.with_name("lib.old")
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
    if not _same(tool, lib / PACKAGE):
        shutil.copytree(tool, fresh / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
        if lib.exists():
            lib.rename(old)
        fresh.rename(lib)
        shutil.rmtree(old, ignore_errors=True)
    for path in (lib / PACKAGE).rglob("*.py"):
        _compile(path, tool / path.relative_to(lib / PACKAGE))


def _same(tool: Path, copy: Path) -> bool:
    """Whether the tool lies in `copy` already, file for file; what Python has compiled of it aside."""
    found = {path.relative_to(copy) for path in copy.rglob("*") if "__pycache__" not in path.parts}
    wanted = [path for path in tool.rglob("*") if "__pycache__" not in path.parts]
    return len(found) == len(wanted) and all(
        path.relative_to(tool) in found and _alike(path, copy / path.relative_to(tool)) for path in wanted
    )


def _alike(path: Path, other: Path) -> bool:
    one, two = path.lstat(), other.lstat()
    if one.st_mode != two.st_mode:
        return False
    return not path.is_file() or (one.st_size == two.st_size and path.read_bytes() == other.read_bytes())


def _compile(path: Path, origin: Path) -> None:
    """Have bytecode of `path` by the hash of its source, so that checkouts of the same file can use it.

    What Python has of `origin`, the file that was copied, is the same code; where it has none, the file is compiled.
    """
    source, target = path.read_bytes(), Path(importlib.util.cache_from_source(str(path)))
    code = _code(origin, source)
    if code is None:
        py_compile.compile(str(path), quiet=2, invalidation_mode=PycInvalidationMode.CHECKED_HASH)
        return
    wanted = importlib.util.MAGIC_NUMBER + BY_HASH.to_bytes(4, "little") + importlib.util.source_hash(source) + code
    if not target.is_file() or target.read_bytes() != wanted:
        fresh = target.with_name(f"{target.name}.new")
        target.parent.mkdir(exist_ok=True)
        fresh.write_bytes(wanted)
        fresh.chmod(path.stat().st_mode & 0o666)
        fresh.replace(target)


def _code(path: Path, source: bytes) -> bytes | None:
    """What Python has compiled of `path`, whose content is `source`, without its head; None where that is not sound."""
    try:
        found, about = Path(importlib.util.cache_from_source(str(path))).read_bytes(), path.stat()
        marshal.loads(found[HEAD:])  # noqa: S302, of this environment, which would import it
    except (OSError, EOFError, ValueError, TypeError):
        return None
    seconds, size = int(about.st_mtime) & 0xFFFFFFFF, len(source) & 0xFFFFFFFF
    marks = {
        BY_TIME: seconds.to_bytes(4, "little") + size.to_bytes(4, "little"),
        BY_HASH: importlib.util.source_hash(source),
    }
    heads = [importlib.util.MAGIC_NUMBER + kind.to_bytes(4, "little") + mark for kind, mark in marks.items()]
    return found[HEAD:] if found[:HEAD] in heads else None
