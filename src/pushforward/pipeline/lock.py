"""The dvc.lock of a project: what was run, of what, and why again. Whoever asks what a commit holds reads it here."""

import functools
import hashlib
import io
import json
import pickle
import posixpath
import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pushforward import params, schema, yamlquick
from pushforward import untrusted as aliases
from pushforward.errors import DATA, PushforwardError
from pushforward.git import kept

LOCK = kept.LOCK
PIPELINE = "dvc.yaml"
METRICS = "metrics"  # the folder of what a run has found, beside it
LISTING = ".dir"  # so ends the name of a folder's object, the list of its files
MOST_PARSED = 64
LIMIT_NODES, LIMIT_DEPTH = 1_000_000, 100
_PARSED: dict[str, bytes] = {}


def parsed(text: str) -> Any:
    """A text of YAML as a value of the caller's own; one that was parsed lately is not parsed again."""
    if text not in _PARSED:
        if len(_PARSED) >= MOST_PARSED:
            _PARSED.clear()
        aliases.check(text, nodes=LIMIT_NODES, depth=LIMIT_DEPTH)
        _PARSED[text] = pickle.dumps(yamlquick.safe(text))
    return pickle.loads(_PARSED[text])  # noqa: S301, it was made here


def remember(text: str, value: Any) -> None:
    """Keep what was just written as `text`: the next stage reads it back."""
    _PARSED[text] = pickle.dumps(value)


@functools.lru_cache(maxsize=8)
def read_lock(text: bytes | None) -> dict[str, Any]:
    """The stages of a dvc.lock by name, not to be changed; empty for none, and for one that cannot be read."""
    try:
        source = (text or b"").decode()
        tree = parsed(source)
    except (YAMLError, UnicodeError, ValueError, RecursionError, LookupError, AttributeError, TypeError):
        return {}  # conflict markers, say: it names nothing that was run
    stages = tree.get("stages") if isinstance(tree, dict) else None
    return stages if isinstance(stages, dict) and all(map(_shaped, stages.values())) else {}


Wdirs = Mapping[str, Mapping[str, str]]  # path of a lock -> where its stages work, from its folder
NOWHERE: Wdirs = MappingProxyType({})


def merged(locks: Mapping[str, bytes], wdirs: Wdirs = NOWHERE) -> bytes:
    """The locks of a pipeline, by path, as one: paths are named from the root, stages as DVC names them from there.

    `wdirs` says of each lock which stages work elsewhere than in its folder. The root's lock is itself where there is
    no other, and none that does; empty for none.
    """
    if set(locks) <= {LOCK} and not wdirs.get(LOCK):
        return locks.get(LOCK, b"")
    return _merged(tuple((path, locks[path], tuple(sorted(wdirs.get(path, {}).items()))) for path in sorted(locks)))


@functools.lru_cache(maxsize=8)
def _merged(locks: tuple[tuple[str, bytes, tuple[tuple[str, str], ...]], ...]) -> bytes:
    found: dict[str, Any] = {}
    for path, text, wdirs in locks:
        folder, elsewhere = posixpath.dirname(path), dict(wdirs)
        for name, entry in read_lock(text).items():
            found[addressed(name, folder)] = _placed(entry, posixpath.join(folder, worked_in(name, elsewhere)))
    return write_lock(found)


def worked_in(name: str, wdirs: Mapping[str, str]) -> str:
    """Where a stage works, from the folder of its dvc.yaml; "" where it says nothing else."""
    return wdirs.get(name) or wdirs.get(name.partition("@")[0], "")


def addressed(name: str, folder: str) -> str:
    """What DVC calls a stage of the dvc.yaml in a folder, from the root."""
    return f"{folder}/{PIPELINE}:{name}" if folder else name


def family(name: str, folder: str) -> str:
    """The same of the loop that a stage is of; of one that is of none, the stage itself."""
    return addressed(name.partition("@")[0], folder)


def from_root(name: str, home: str) -> str:
    """A stage as it is called from the root that DVC names from its own folder `home`."""
    if not home:
        return name
    return f"{home}/{name}" if f"{PIPELINE}:" in name or name.endswith(".dvc") else addressed(name, home)


def _placed(entry: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """An entry of a lock whose stage works in a folder, its paths named from the root."""

    def place(path: str) -> str:
        outside = "://" in path or path.startswith("/")
        return path if outside else posixpath.normpath(posixpath.join(folder, path))

    found = dict(entry)
    for kind in ("deps", "outs"):
        if kind in entry:
            found[kind] = [{**one, "path": place(one["path"])} for one in entry[kind]]
    if "params" in entry:
        found["params"] = {place(file): values for file, values in entry["params"].items()}
    return found


def _shaped(entry: Any) -> bool:
    """Whether this is an entry that DVC would write: a run may hand over any other."""
    if not isinstance(entry, dict):
        return False
    params, lists = entry.get("params", {}), [entry.get(kind, []) for kind in ("deps", "outs")]
    if not isinstance(params, dict) or not all(isinstance(some, list) for some in lists):
        return False
    named = (isinstance(one, dict) and isinstance(one.get("path"), str) for some in lists for one in some)
    return all(named) and all(isinstance(values, dict) for values in params.values())


def is_object(content: bytes, oid: str) -> bool:
    """Whether the bytes are those of the object `oid`, which DVC names by their MD5."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest() == oid.removesuffix(LISTING)


def check_listed(paths: Iterable[str]) -> None:
    """Refuse the list of a folder's files where one lies outside of the folder or in a .git: DVC would write there."""
    for path in paths:
        parts = path.split("/")
        if not {"", ".", ".."}.isdisjoint(parts) or ".git" in map(str.lower, parts):
            raise PushforwardError(
                f"a folder that DVC keeps lists {path!r:.80}: that is no file of the folder, or one of git's own, "
                "and is not written",
                next="dvc add, or dvc repro, the folder again, then dvc push",
                exit_code=DATA,
            )


def making(lock: bytes | None, out: str) -> tuple[set[str], set[str]]:
    """The files and the parameters that the out `out` is made with, from the lock that made it.

    Those of its stage and of every stage before it, without what stages make for each other. A parameter is named as
    `Revision.leaves` names it; where that has no leaves of a file, the file itself counts.
    """
    stages = read_lock(lock)
    made = {name: [one["path"] for one in entry.get("outs", [])] for name, entry in stages.items()}
    paths: set[str] = set()
    used: set[str] = set()
    wanted, seen = {out}, set[str]()
    while wanted:
        path = wanted.pop()
        makers = {name for name, outs in made.items() if any(within(path, one) for one in outs)}
        if not makers:
            paths.add(path)
        for name in makers - seen:
            seen.add(name)
            wanted |= {dep["path"] for dep in stages[name].get("deps", [])}
            beside = posixpath.join(posixpath.dirname(name.partition(f"{PIPELINE}:")[0]), params.FILE)
            for file, values in stages[name].get("params", {}).items():
                used |= {key if file == params.FILE else f"{file}: {key}" for key in values}
                paths |= {file} - {params.FILE, beside, schema.FILE}
    return paths - {out}, used


def sources(lock: bytes | None, out: str) -> dict[str, str]:
    """What the out `out` is made with and no stage makes, by path: the hash that the lock has of it."""
    deps = [one for entry in read_lock(lock).values() for one in entry.get("deps", [])]
    wanted, _ = making(lock, out)
    return {str(one["path"]): str(one.get("md5", "")) for one in deps if one["path"] in wanted}


def feeding(lock: bytes | None, out: str) -> list[str]:
    """What the stage that makes `out` reads: outs of other stages, and files that no stage makes, from the lock."""
    stages = read_lock(lock)
    made = {name: [one["path"] for one in entry.get("outs", [])] for name, entry in stages.items()}
    maker = next((name for name, outs in made.items() if out in outs), "")
    others = sorted(path for name, outs in made.items() if name != maker for path in outs)
    found: list[str] = []
    for dep in (one["path"] for one in stages.get(maker, {}).get("deps", [])):
        found += [path for path in others if within(path, dep)] or [dep]
    return list(dict.fromkeys(found))


def within(path: str, other: str) -> bool:
    """Whether one of the two is the other, or inside it."""
    return path == other or path.startswith(f"{other}/") or other.startswith(f"{path}/")


def write_lock(stages: Mapping[str, Any]) -> bytes:
    """A dvc.lock with its stages in one order, whatever order they ran in: the same content, the same bytes.

    The bytes are ruamel.yaml's. Where each of its texts is one that libyaml writes as that does, libyaml does.
    """
    whole = {"schema": "2.0", "stages": {name: stages[name] for name in sorted(stages)}}
    if _is_common(whole["stages"], 2, set()):
        return yamlquick.dump(whole).encode()
    out = io.BytesIO()
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.Representer.add_representer(OrderedDict, yaml.Representer.represent_dict)  # in which DVC has an entry
    yaml.dump(whole, out)
    return out.getvalue()


# Texts that no writer quotes, folds or escapes but as a number, and numbers that are written in one way.
COMMON = re.compile(r"[A-Za-z_/][A-Za-z0-9_./@=+-]*( [A-Za-z0-9_./@=+-]+)*|[0-9a-f]{32}(\.dir)?|[0-9]{4}-[0-9]{2}|2\.0")
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?|True|False")
WIDTH = 76  # what is wider may be folded, or begin a line of its own


def _is_common(value: Any, indent: int, held: set[int], key: str = "") -> bool:
    """Whether libyaml and ruamel.yaml write a value, behind its `key` in a line that is indented, in the same way.

    No list or mapping that is `held` already, which ruamel.yaml would write once.
    """
    if isinstance(value, (str, int, float)):
        text, form = (value, COMMON) if isinstance(value, str) else (repr(value), NUMBER)
        return indent + len(key) + len(text) <= WIDTH and form.fullmatch(text) is not None
    if not isinstance(value, (dict, list)) or not value or id(value) in held:
        return False
    held.add(id(value))
    if isinstance(value, list):
        return all(_is_common(one, indent + 2, held) for one in value)
    return all(
        isinstance(name, str) and _is_common(name, indent, held) and _is_common(one, indent + 2, held, name)
        for name, one in value.items()
    )


def reason(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> str:
    """Why a stage had to be looked at again, from its lock entries before and after."""
    if before is None:
        return "new stage"
    if after is None:
        return ""
    why = ["its command"] if before.get("cmd") != after.get("cmd") else []
    old = {dep["path"]: dep.get("md5") for dep in before.get("deps", [])}
    new = {dep["path"]: dep.get("md5") for dep in after.get("deps", [])}
    why += [path for path in new if path not in old or new[path] != old[path]]
    why += [f"{path} (gone)" for path in old if path not in new]
    known = {out["path"] for out in before.get("outs", [])}
    why += [f"{out['path']} (new out)" for out in after.get("outs", []) if out["path"] not in known]
    for file, values in after.get("params", {}).items():
        why += differences(before.get("params", {}).get(file, {}), values)
    return ", ".join(why[:4]) + (f" and {len(why) - 4} more" if len(why) > 4 else "")


def differences(old: Any, new: Any, name: str = "") -> list[str]:
    """What differs between two values of a parameter, leaf by leaf."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [*new, *(key for key in old if key not in new)]
        inner = [differences(old.get(key), new.get(key), f"{name}.{key}" if name else str(key)) for key in keys]
        return [text for texts in inner for text in texts]
    if old == new:
        return []
    if isinstance(old, list) and isinstance(new, list):
        added = [f"+{_short(value)}" for value in new if value not in old]
        gone = [f"−{_short(value)}" for value in old if value not in new]
        return [f"{name} {' '.join(added + gone) or 'in another order'}"]
    if old is None:
        return [f"{name} (new)"]
    return [f"{name} {_short(old)} → {_short(new)}"]


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 24 else f"{text[:21]}…"
