"""What a dvc.yaml may not say: checked before DVC reads it, for DVC notices some of it only after a stage has run."""

import itertools
import math
import posixpath
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ruamel.yaml.error import MarkedYAMLError, YAMLError

from pushforward import params, pointers, schema, yamlquick
from pushforward import untrusted as aliases
from pushforward.errors import PushforwardError
from pushforward.git import kept

FILE = "dvc.yaml"
LIMIT_BYTES = 256 * 1024
LIMIT_STAGES = 2_000
LIMIT_NODES, LIMIT_DEPTH = 100_000, 100
# What a loop gives a stage; every other value of params.yaml reaches code through the file, or is a plain word.
LOOP = re.compile(r"\$\{\s*(item|key)(\.\w+|\[\w+\])*\s*\}")
ANY = re.compile(r"\$\{[^}]*\}")
PLAIN = re.compile(r"(?!-)[\w.,:=@%+/-]+|-[\d.]+")
WHOLE = re.compile(r"\$\{\s*([\w.]+)\s*\}")
OWNED = (".git", ".dvc", ".github", params.FILE, schema.FILE, "dvc.yaml", "dvc.lock")
OUTS = ("outs", "metrics", "plots")


def check(text: bytes, tracked: set[str], params: Mapping[str, Any], folder: str = "") -> None:
    """Refuse a dvc.yaml that writes where it must not, puts parameters into shell text, or has loops DVC trips over.

    `tracked` are the files of the commit: an out that is one of them, or holds one, would be written over. `params`
    are the values of the params.yaml beside it, section by section; `folder` is where both lie, from the root.
    """
    tree = load(text)
    stages = tree.get("stages") or {}
    if not isinstance(stages, dict):
        raise _refusal("stages must be a mapping of stages")
    if len(stages) > LIMIT_STAGES:
        raise _refusal(f"it has {len(stages):,} stages; the limit is {LIMIT_STAGES:,}")
    values = _values(tree, params)
    if odd := next((name for name, wdir in wdirs(text, params).items() if ANY.search(wdir)), ""):
        raise _refusal(f"stage '{odd}' has a wdir of which nothing here says where that is; write the folder out")
    for name, stage in stages.items():
        if not isinstance(stage, dict):
            raise _refusal(f"stage '{name}' must be a mapping")
        if "@" in str(name):
            raise _refusal(f"stage '{name}' has an @ in its name, which DVC keeps for the items of a loop")
        if ":" in str(name):
            raise _refusal(f"stage '{name}' has a : in its name, which DVC keeps for stages of another dvc.yaml")
        _check_loop(str(name), stage, params)
        body = stage.get("do", stage)
        if isinstance(body, dict):
            _check_stage(str(name), body, tracked, folder)
            _check_commands(str(name), body, values)


def _told(entry: Any) -> list[tuple[str, Any]]:
    """What an entry of `vars:` says by itself; of another file nothing is known here."""
    return list(entry.items()) if isinstance(entry, dict) else []


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


def _check_loop(name: str, stage: dict[str, Any], params: Mapping[str, Any]) -> None:
    """Refuse items that name no stage, or two of them the same one: DVC answers with a riddle, or runs one of both."""
    made: dict[str, Any] = {}
    for item, suffix in _items(stage, params):
        if not suffix or "@" in suffix or not suffix.isprintable():
            why = (
                "is empty" if not suffix else "has an @" if "@" in suffix else "has a character that cannot be printed"
            )
            raise _refusal(f"the item {item!r:.80} of stage '{name}' {why}; DVC cannot name a stage by it")
        if suffix in made and (type(made[suffix]), made[suffix]) != (type(item), item):
            both = f"the items {made[suffix]!r:.80} and {item!r:.80}"
            raise _refusal(f"{both} of stage '{name}' are one stage to DVC, '{name}@{suffix}': it would run only one")
        made[suffix] = item


def _items(stage: dict[str, Any], params: Mapping[str, Any]) -> Iterator[tuple[Any, str]]:
    """The items of a loop and what DVC calls each; none where the stage has no loop, or one that DVC will refuse."""
    each, matrix = _resolved(stage.get("foreach"), params), _resolved(stage.get("matrix"), params)
    if isinstance(each, dict):
        yield from ((key, str(key)) for key in each)
    elif isinstance(each, list):
        inner = any(isinstance(_resolved(item, params), (dict, list)) for item in each)
        yield from ((item, str(place) if inner else _word(_resolved(item, params))) for place, item in enumerate(each))
    if not isinstance(matrix, dict):
        return
    axes = {str(key): values for key, axis in matrix.items() if isinstance(values := _resolved(axis, params), list)}
    if math.prod(len(values) for values in axes.values()) > LIMIT_STAGES:
        raise _refusal(f"a matrix has more than {LIMIT_STAGES:,} combinations")
    for chosen in itertools.product(*(enumerate(values) for values in axes.values())):
        told = {key: _resolved(value, params) for key, (_, value) in zip(axes, chosen, strict=True)}
        words = [
            f"{key}{place}" if isinstance(told[key], (dict, list)) else _word(told[key])
            for key, (place, _) in zip(axes, chosen, strict=True)
        ]
        if axes:
            yield tuple(told.values()), "-".join(words)


def wdirs(text: bytes, params: Mapping[str, Any]) -> dict[str, str]:
    """Where the stages of a dvc.yaml work, from its folder: of those that say so, a loop's by their items.

    A dvc.lock names paths from there, and does not tell where that is.
    """
    if not may_say("wdir", text):
        return {}
    tree = load(text)
    stages, values = tree.get("stages"), _values(tree, params)
    found: dict[str, str] = {}
    for name, stage in stages.items() if isinstance(stages, dict) else ():
        body = stage.get("do", stage) if isinstance(stage, dict) else None
        wdir = body.get("wdir") if isinstance(body, dict) else None
        if not isinstance(wdir, str):
            continue
        if not ANY.search(wdir):
            found[str(name)] = wdir
            continue
        for suffix, own in [*_scopes(stage, values)] or [("", {})]:
            found[f"{name}@{suffix}" if suffix else str(name)] = ANY.sub(_filled({**values, **own}), wdir)
    return found


def may_say(key: str, text: bytes) -> bool:
    """Whether a text of YAML can have such a key: where it is not there as it is, only an escape can spell it."""
    return key.encode() in text or b"\\" in text


def _filled(values: Mapping[str, Any]) -> Callable[[re.Match[str]], str]:
    def word(spliced: re.Match[str]) -> str:
        value = _resolved(spliced[0], values)
        return spliced[0] if isinstance(value, (dict, list)) else _word(value)

    return word


def _scopes(stage: dict[str, Any], params: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """What DVC calls each item of a loop, and the values that are the item's own."""
    each, matrix = _resolved(stage.get("foreach"), params), _resolved(stage.get("matrix"), params)
    items = list(_items(stage, params))
    if isinstance(each, dict):
        yield from ((suffix, {"key": suffix, "item": _resolved(each[key], params)}) for key, suffix in items)
    elif isinstance(each, list):
        yield from ((suffix, {"item": _resolved(item, params)}) for item, suffix in items)
    elif isinstance(matrix, dict):
        axes = [key for key, axis in matrix.items() if isinstance(_resolved(axis, params), list)]
        yield from ((suffix, {"item": dict(zip(axes, told, strict=True)), "key": suffix}) for told, suffix in items)


def _values(tree: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    own = tree.get("vars")
    return {**params, **{key: value for one in (own if isinstance(own, list) else []) for key, value in _told(one)}}


def _resolved(value: Any, params: Mapping[str, Any]) -> Any:
    """What `${a.b}` stands for; the value itself where it is no such reference, or refers to nothing known."""
    found = WHOLE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return value
    inner: Any = params
    for part in found[1].split("."):
        if not isinstance(inner, Mapping) or part not in inner:
            return value
        inner = inner[part]
    return inner


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _check_stage(name: str, body: dict[str, Any], tracked: set[str], beside: str) -> None:
    wdir = body.get("wdir", ".")
    folder = posixpath.join(beside, wdir) if isinstance(wdir, str) else ".."
    check_wdir(name, wdir, folder)
    for out in outs(body):
        check_out(name, out, posixpath.normpath(posixpath.join(folder, out[1])), tracked, beside)


def check_wdir(name: str, wdir: object, where: str) -> None:
    """Refuse a folder to work in that lies at `where` from the root, outside of it."""
    if _leaves(where):
        raise _refusal(f"stage '{name}' works in {wdir!r}, outside of the repository")


def check_out(name: str, out: tuple[str, str, bool], where: str, tracked: set[str], beside: str) -> None:
    """Refuse an out, as `outs` tells it, that lies at `where` from the root, and is not the stage's to write."""
    kind, path, cached = out
    if _leaves(where):
        raise _refusal(f"stage '{name}' writes {path}, outside of the repository")
    if owner := _owner(where, beside):
        raise _refusal(f"stage '{name}' writes {path}; {owner} is not the pipeline's")
    owned = not ANY.search(where) and not where.startswith("metrics/")
    free = kind != "outs" and not cached and kept.sound(where)  # as DVC has it: git keeps these
    over = next((file for file in sorted(tracked) if file == where or file.startswith(f"{where}/")), "")
    if owned and over and not (free and over == where) and posixpath.basename(over) != ".gitignore":
        raise PushforwardError(
            f"{FILE}: stage '{name}' writes {path}, which git already holds ({over}); of what a stage writes "
            "git may hold metrics and plots with `cache: false`, and what lies in metrics/",
            next=_let_go(kind, path, over, cached=cached),
        )


def _let_go(kind: str, path: str, over: str, *, cached: bool) -> str:
    """What to do about an out that git holds: have it be one that git may hold, or take it out of git."""
    out = f"git rm -r --cached {shlex.quote(over)}, and {path} into .gitignore"
    if not kept.sound(over) or over.rpartition("/")[2] != path.rpartition("/")[2]:
        return out
    if kind == "outs":
        return out if cached else f"name {path} under metrics: or plots:, with `cache: false`; or {out}"
    return f"write `cache: false` below {path} in {FILE}; or {out}"


def _owner(path: str, beside: str) -> str:
    """What of git, DVC, the settings or a pipeline the path is, or is in; "" where it is free to be written."""
    if own := next((own for own in OWNED if path == own or path.startswith(f"{own}/")), ""):
        return own
    folder, _, name = path.rpartition("/")
    if ".dvc" in folder.split("/") or name in ("dvc.yaml", "dvc.lock") or path == posixpath.join(beside, params.FILE):
        return path
    return ""


def _check_commands(name: str, body: dict[str, Any], values: Mapping[str, Any]) -> None:
    """Refuse what is put into a command, unless its value is known here, and is one word to any shell."""
    if "cmd" in body and not any(command.strip() for command in _commands(body)):
        raise _refusal(f"stage '{name}' has an empty cmd")
    for command in _commands(body):
        for spliced in ANY.findall(command):
            value = _resolved(spliced, values)
            plain = value is not spliced and not isinstance(value, (dict, list)) and PLAIN.fullmatch(_word(value))
            if not plain and not LOOP.fullmatch(spliced):
                raise _refusal(
                    f"stage '{name}' puts {spliced} into its command; a value could hold shell text. "
                    "Let the stage read params.yaml, and name the key under params:"
                )


def _commands(body: dict[str, Any]) -> Iterator[str]:
    command = body.get("cmd", "")
    yield from (str(line) for line in (command if isinstance(command, list) else [command]))


def outs(body: Mapping[str, Any]) -> Iterator[tuple[str, str, bool]]:
    """What a stage says that it writes: under outs, metrics or plots; where; and whether DVC keeps it."""
    for kind in OUTS:
        for path, options in listed(body.get(kind)).items():
            yield kind, path, not (isinstance(options, dict) and options.get("cache") is False)


def listed(entries: Any) -> dict[str, Any]:
    """Path -> options of a list of outs, in any form that DVC takes."""
    found: dict[str, Any] = {}
    for out in entries if isinstance(entries, list) else [entries] if entries else []:
        found |= {str(path): options for path, options in out.items()} if isinstance(out, dict) else {str(out): None}
    return found


def _leaves(path: str) -> bool:
    whole = posixpath.normpath(path)
    return whole.startswith(("/", "../")) or whole == ".."


def load(text: bytes) -> dict[str, Any]:
    """A dvc.yaml as it is written; refused where it cannot be read."""
    if len(text) > LIMIT_BYTES:
        raise _refusal(f"it has {len(text):,} bytes; the limit is {LIMIT_BYTES:,}")
    if stands_for := pointers.committed(text[: pointers.FIRST_BYTES]):
        raise PushforwardError(f"{FILE} is {stands_for[0]}, not what it points to", next=stands_for[1])
    try:
        source = text.decode("utf-8")
        aliases.check(source, nodes=LIMIT_NODES, depth=LIMIT_DEPTH)
        tree = yamlquick.safe(source)
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
