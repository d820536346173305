"""Metrics and plots of a dvc.yaml: which files hold the numbers of a run, and which of them git keeps.

The run hands them over, the judge shows them, and the commit of a version's lock has those that DVC does not keep.
"""

import math
import posixpath
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ruamel.yaml.error import YAMLError

from pushforward import untrusted, yamlquick
from pushforward.errors import PushforwardError
from pushforward.git import kept
from pushforward.git.repository import Repository
from pushforward.pipeline import folders, lint
from pushforward.pipeline.lock import LISTING, METRICS, read_lock

KINDS = ("metrics", "plots")
LIMIT_BYTES = 1 << 20
LIMIT_DEPTH = 8


@dataclass(frozen=True)
class Declared:
    """Names as dvc.yaml has them, from the root: of its metrics, and of what git keeps of metrics and plots."""

    metrics: tuple[str, ...] = ()
    uncached: tuple[str, ...] = ()

    def keeps(self, path: str) -> bool:
        """Whether a run may leave this file in git; what lies in the folder of metrics is asked for by its place."""
        inside = path.startswith(f"{METRICS}/")
        return kept.sound(path) and not inside and any(form.fullmatch(path) for form in self._uncached)

    def shows(self, path: str) -> bool:
        """Whether this file is a metric."""
        return any(form.fullmatch(path) for form in self._metrics)

    def files(self, stages: Mapping[str, Any]) -> list[str]:
        """The files to hand over, but for those in the folder of metrics; a loop's by the outs in the lock `stages`."""
        fixed = [name for name in (*self.metrics, *self.uncached) if not lint.ANY.search(name)]
        made = [one["path"] for entry in stages.values() for one in entry.get("outs", [])]
        named = {path for path in [*fixed, *made] if self.shows(path) or self.keeps(path)}
        return sorted(path for path in named if kept.sound(path) and not path.startswith(f"{METRICS}/"))

    @cached_property
    def _metrics(self) -> list[re.Pattern[str]]:
        return [_form(name) for name in self.metrics]

    @cached_property
    def _uncached(self) -> list[re.Pattern[str]]:
        return [_form(name) for name in self.uncached]


def of(text: bytes | None, folder: str = "") -> Declared:
    """What the dvc.yaml in a folder declares; nothing without one, the refusal of `lint` where it cannot be read."""
    if text is None:
        return Declared()
    with folders.named(folder):
        tree = lint.load(text)
    found = [("metrics", path, True) for path in lint.listed(tree.get("metrics"))]
    stages = tree.get("stages")
    for stage in stages.values() if isinstance(stages, dict) else ():
        body = stage.get("do", stage) if isinstance(stage, dict) else None
        if isinstance(body, dict):
            found += _of_stage(body)
    placed = [(kind, posixpath.normpath(posixpath.join(folder, path)), cached) for kind, path, cached in found]
    metrics = [path for kind, path, _ in placed if kind == "metrics"]
    return Declared(tuple(metrics), tuple(path for _, path, cached in placed if not cached))


def here(root: Path) -> Declared:
    """What every dvc.yaml of the checkout at `root` declares."""
    return _together(folders.texts_here(root))


def at(repository: Repository, commit: str) -> Declared:
    """What every dvc.yaml of a commit declares."""
    return _together(folders.texts_at(repository, commit))


def _together(texts: Mapping[str, bytes]) -> Declared:
    told = [of(text, folder) for folder, text in texts.items()]
    return Declared(
        tuple(path for one in told for path in one.metrics), tuple(path for one in told for path in one.uncached)
    )


def _of_stage(body: Mapping[str, Any]) -> Iterator[tuple[str, str, bool]]:
    folder = str(body.get("wdir", "."))
    for kind, path, cached in lint.outs(body):
        if kind in KINDS:
            yield kind, posixpath.normpath(posixpath.join(folder, path)), cached


def _form(name: str) -> re.Pattern[str]:
    """What a name stands for once its loop is run: anything in the place of ${…}."""
    return re.compile(".+".join(map(re.escape, lint.ANY.split(name))))


def without(repository: Repository, commit: str, paths: Iterable[str]) -> list[str]:
    """Those of the paths that no run leaves in git, as the dvc.yaml of `commit` says; most need not ask it."""
    paths = list(paths)
    if not any(kept.sound(path) and not path.startswith(f"{METRICS}/") for path in paths):
        return paths
    told = at(repository, commit)
    return [path for path in paths if not told.keeps(path)]


def left(repository: Repository, commit: str, lock: bytes, found: Mapping[str, bytes]) -> dict[str, bytes]:
    """Those of the files `found` by a run of `commit` that the commit of its lock has: declared, and as it says."""
    inside = {path: content for path, content in found.items() if path.startswith(f"{METRICS}/")}
    others = {path: content for path, content in found.items() if path not in inside}
    if not others:
        return inside
    told, named = at(repository, commit), hashes(lock)
    return inside | {
        path: content
        for path, content in others.items()
        if told.keeps(path) and kept.is_found(path, content, named.get(path, ""))
    }


def hashes(lock: bytes | None) -> dict[str, str]:
    """The MD5 that a lock names of every out that is a file, by path."""
    outs = [one for entry in read_lock(lock).values() for one in entry.get("outs", []) if one.get("hash") == "md5"]
    named = {one["path"]: str(one.get("md5", "")) for one in outs}
    return {path: md5 for path, md5 in named.items() if md5 and not md5.endswith(LISTING)}


def numbers(path: str, content: bytes) -> dict[str, float]:
    """The finite numbers in a file of metrics by their dotted names; none where it cannot be read, or is a table."""
    if len(content) > LIMIT_BYTES:
        return {}
    try:
        tree = _tree(path, content)
    except (PushforwardError, YAMLError, ValueError, RecursionError, LookupError, AttributeError, TypeError):
        return {}  # a run wrote it: it says no number
    return dict(_leaves(tree)) if isinstance(tree, dict) else {}


def _tree(path: str, content: bytes) -> Any:
    kind = path.rpartition(".")[2]
    if kind == "json":
        return untrusted.plain_json(content, path)
    if kind == "toml":
        return tomllib.loads(content.decode())
    if kind not in ("yaml", "yml"):
        return None
    source = content.decode()
    untrusted.check(source, nodes=lint.LIMIT_NODES, depth=LIMIT_DEPTH)
    return yamlquick.safe(source)


def _leaves(tree: Mapping[Any, Any], name: str = "", depth: int = 1) -> Iterator[tuple[str, float]]:
    for key, value in tree.items():
        if isinstance(value, dict) and depth < LIMIT_DEPTH:
            yield from _leaves(value, f"{name}{key}.", depth + 1)
        elif type(value) in (int, float) and abs(value) < 1e300 and math.isfinite(value):
            yield f"{name}{key}", float(value)
