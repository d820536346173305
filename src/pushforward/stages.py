"""What a dvc.yaml may not say: checked before DVC reads it, for DVC notices some of it only after a stage has run."""

import posixpath
import re
import shlex
from collections.abc import Iterable, Iterator
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from pushforward import aliases
from pushforward.errors import PushforwardError

FILE = "dvc.yaml"
LIMIT_BYTES = 256 * 1024
LIMIT_STAGES = 2_000
LIMIT_NODES, LIMIT_DEPTH = 100_000, 100
# What a loop gives a stage; every other value of params.yaml reaches code through the file, never as shell text.
LOOP = re.compile(r"\$\{\s*(item|key)(\.\w+|\[\w+\])*\s*\}")
ANY = re.compile(r"\$\{[^}]*\}")
OWNED = (".git", ".dvc", ".github", "params.yaml", "dvc.yaml", "dvc.lock")
OUTS = ("outs", "metrics", "plots")


def check(text: bytes, tracked: set[str]) -> None:
    """Refuse a dvc.yaml that writes where it must not, or puts parameters into shell text.

    `tracked` are the files of the commit: an out that is one of them, or holds one, would be written over.
    """
    tree = _load(text)
    stages = tree.get("stages") or {}
    if not isinstance(stages, dict):
        raise _refusal("stages must be a mapping of stages")
    if len(stages) > LIMIT_STAGES:
        raise _refusal(f"it has {len(stages):,} stages; the limit is {LIMIT_STAGES:,}")
    for name, stage in stages.items():
        if not isinstance(stage, dict):
            raise _refusal(f"stage '{name}' must be a mapping")
        body = stage.get("do", stage)
        if isinstance(body, dict):
            _check_stage(str(name), body, tracked)


def check_bytecode(tracked: Iterable[str]) -> None:
    """Refuse compiled Python among the files of a commit: it can run in place of the source that people review."""
    for path in sorted(tracked):
        folder, found, _ = f"/{path}".partition("/__pycache__/")
        if found or path.endswith((".pyc", ".pyo")):
            where = f"{folder}/__pycache__".lstrip("/") if found else path
            raise PushforwardError(
                f"git holds {where}: compiled Python, which can run in place of its source, and a run writes it anew",
                next=f"git rm -r --cached {shlex.quote(where)}, and __pycache__/ into .gitignore",
            )


def _check_stage(name: str, body: dict[str, Any], tracked: set[str]) -> None:
    folder = body.get("wdir", ".")
    if not isinstance(folder, str) or _leaves(folder):
        raise _refusal(f"stage '{name}' works in {folder!r}, outside of the repository")
    for command in _commands(body):
        spliced = next((found for found in ANY.findall(command) if not LOOP.fullmatch(found)), "")
        if spliced:
            raise _refusal(
                f"stage '{name}' puts {spliced} into its command; a value could hold shell text. "
                "Let the stage read params.yaml, and name the key under params:"
            )
    for path in _outs(body):
        where = posixpath.normpath(posixpath.join(folder, path))
        if _leaves(where):
            raise _refusal(f"stage '{name}' writes {path}, outside of the repository")
        owner = next((own for own in OWNED if where == own or where.startswith(f"{own}/")), "")
        if owner:
            raise _refusal(f"stage '{name}' writes {path}; {owner} is not the pipeline's")
        cached = not ANY.search(where) and not where.startswith("metrics/")
        over = next((file for file in sorted(tracked) if file == where or file.startswith(f"{where}/")), "")
        if cached and over and posixpath.basename(over) != ".gitignore":
            raise _refusal(f"stage '{name}' writes {path}, which git already holds ({over})")


def _commands(body: dict[str, Any]) -> Iterator[str]:
    command = body.get("cmd", "")
    yield from (str(line) for line in (command if isinstance(command, list) else [command]))


def _outs(body: dict[str, Any]) -> Iterator[str]:
    for kind in OUTS:
        listed = body.get(kind) or []
        for out in listed if isinstance(listed, list) else [listed]:
            yield from (str(path) for path in (out if isinstance(out, dict) else [out]))


def _leaves(path: str) -> bool:
    whole = posixpath.normpath(path)
    return whole.startswith(("/", "../")) or whole == ".."


def _load(text: bytes) -> dict[str, Any]:
    if len(text) > LIMIT_BYTES:
        raise _refusal(f"it has {len(text):,} bytes; the limit is {LIMIT_BYTES:,}")
    try:
        source = text.decode("utf-8")
        aliases.check(source, nodes=LIMIT_NODES, depth=LIMIT_DEPTH)
        tree = YAML(typ="safe").load(source)
    except UnicodeDecodeError as wrong:
        raise _refusal(f"it is not UTF-8 at byte {wrong.start}") from None
    except MarkedYAMLError as broken:
        mark = broken.problem_mark or broken.context_mark
        at = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise _refusal(f"{at}{broken.problem or broken.context}") from None
    except RecursionError:
        raise _refusal("it is nested too deeply") from None
    except (YAMLError, ValueError, LookupError, AttributeError, TypeError) as broken:
        raise _refusal((str(broken).splitlines() or ["it cannot be read"])[0]) from None
    if not isinstance(tree, dict):
        raise _refusal("it must be a mapping with stages:")
    return tree


def _refusal(text: str) -> PushforwardError:
    return PushforwardError(f"{FILE}: {text}", next=f"edit {FILE}")
