"""A dvc.yaml as its people wrote it: stages, outs, metrics, plots and artifacts, each with its line.

Called by `survey` for every dvc.yaml of a repository. It runs nothing, and does not ask DVC, which stops at the first
thing that it does not take.
"""

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pushforward import params, yamlfile
from pushforward.project import reading
from pushforward.project.reading import Odd

FILE = "dvc.yaml"
LOCK = "dvc.lock"
LIMIT_STAGES = 2_000
REFERENCE = re.compile(r"\$\{\s*([\w.-]+)\s*\}")
TRAINING = re.compile(r"(?i)(?:^|[^a-z])(?:re)?(?:train|fit|learn)")
MODEL_NAME = re.compile(r"(?i)model|classif|clf|regress|estimator|weights|checkpoint|forest|booster")
MODEL_KIND = re.compile(
    r"(?i)\.(?:bin|cbm|ckpt|h5|hdf5|joblib|keras|model|onnx|pickle|pkl|pmml|pt|pth|rds|safetensors|skops|tflite|ubj)"
)


@dataclass(frozen=True)
class Out:
    """What a stage writes, named from the root of the repository; `kind` is out, metric or plot."""

    path: str
    line: int
    kind: str
    cached: bool

    @property
    def known(self) -> bool:
        """Whether its name is fixed: no loop, no parameter that is not known."""
        return "${" not in self.path


@dataclass(frozen=True)
class Stage:
    """A stage, a loop of them counted as one.

    `params` are (file, key, line), `deps` are (path, line), both with names from the root.
    """

    name: str
    line: int
    commands: tuple[str, ...]
    outs: tuple[Out, ...]
    params: tuple[tuple[str, str, int], ...]
    deps: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Artifact:
    """An entry of `artifacts:`."""

    name: str
    path: str
    kind: str
    line: int


@dataclass(frozen=True)
class Pipeline:
    """One dvc.yaml: its folder, and what it says; `plots` are their names, `ran` the stages that dvc.lock knows."""

    folder: str
    stages: tuple[Stage, ...] = ()
    metrics: tuple[Out, ...] = ()
    plots: tuple[str, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    ran: frozenset[str] = frozenset()

    @property
    def file(self) -> str:
        """Its dvc.yaml, named from the root."""
        return posixpath.normpath(f"{self.folder}/{FILE}")

    def outs(self) -> Iterator[Out]:
        """What its stages write."""
        for stage in self.stages:
            yield from stage.outs


@dataclass(frozen=True)
class Candidate:
    """An out that is the model, and how that is known."""

    name: str
    path: str
    line: int
    why: str


def read(root: Path, folder: str) -> tuple[Pipeline, list[Odd]]:
    """The dvc.yaml of a folder; what is odd in it is left out and told."""
    file = posixpath.normpath(f"{folder}/{FILE}")
    try:
        tree = reading.yaml(root, file)
    except Odd as odd:
        return Pipeline(folder), [odd]
    reader = _Reader(file, folder, _values(root, folder, tree))
    stages = tuple(reader.stages(tree))
    metrics = [out for stage in stages for out in stage.outs if out.kind == "metric"]
    metrics += reader.outs(tree, "metric", folder)
    plots = [out.path for out in reader.outs(tree, "plot", folder)]
    plots += [out.path for stage in stages for out in stage.outs if out.kind == "plot"]
    found = Pipeline(
        folder,
        stages,
        tuple({out.path: out for out in metrics}.values()),
        tuple(dict.fromkeys(plots)),
        tuple(reader.artifacts(tree)),
        frozenset(_ran(root, folder, reader.odd)),
    )
    return found, reader.odd


def _ran(root: Path, folder: str, odd: list[Odd]) -> set[str]:
    """The stages that dvc.lock has an entry of, a loop of them as one."""
    file = posixpath.normpath(f"{folder}/{LOCK}")
    if not (root / file).is_file():
        return set()
    try:
        stages = reading.yaml(root, file, most=reading.LIMIT_BYTES).get("stages")
    except Odd as strange:
        odd.append(strange)
        return set()
    return {str(name).partition("@")[0] for name in stages} if isinstance(stages, dict) else set()


class _Reader:
    """Reads one file, and gathers what is odd in it."""

    def __init__(self, file: str, folder: str, values: Mapping[str, Any]) -> None:
        self.file, self.folder, self.values = file, folder, values
        self.odd: list[Odd] = []

    def stages(self, tree: Any) -> Iterator[Stage]:
        """Every stage whose form can be read."""
        stages = tree.get("stages") or {}
        if not isinstance(stages, dict):
            self.odd.append(Odd(self.file, reading.line(tree, "stages"), "stages: is no mapping of stages"))
            return
        if len(stages) > LIMIT_STAGES:
            self.odd.append(Odd(self.file, 0, f"it has {len(stages):,} stages; {LIMIT_STAGES:,} are looked at"))
        for name in list(stages)[:LIMIT_STAGES]:
            body, line = stages[name], reading.line(stages, name)
            body = body.get("do", body) if isinstance(body, dict) else body
            if not isinstance(body, dict):
                self.odd.append(Odd(self.file, line, f"stage '{name}' is no mapping"))
                continue
            where = body.get("wdir", ".")
            base = posixpath.normpath(posixpath.join(self.folder, where if isinstance(where, str) else "."))
            outs = [out for kind in ("out", "metric", "plot") for out in self.outs(body, kind, base)]
            command = body.get("cmd", "")
            commands = tuple(str(part) for part in (command if isinstance(command, list) else [command]))
            params, deps = tuple(self.params(body.get("params"), base)), tuple(self.deps(body.get("deps"), base))
            yield Stage(str(name), line, commands, tuple(outs), params, deps)

    def outs(self, body: Any, kind: str, base: str) -> Iterator[Out]:
        """The entries of outs:, metrics: or plots:; each a path, or a path with its options."""
        listed = body.get(f"{kind}s")
        entries = listed if isinstance(listed, list) else [] if listed is None else [listed]
        for place, entry in enumerate(entries):
            line = reading.line(listed, place) if isinstance(listed, list) else reading.line(body, f"{kind}s")
            for path, options in entry.items() if isinstance(entry, dict) else [(entry, None)]:
                if not isinstance(path, str):
                    self.odd.append(Odd(self.file, line, f"{kind}s: {path!r} is no path"))
                    continue
                cached = not (isinstance(options, dict) and options.get("cache") is False)
                yield Out(self._place(path, base), line, kind, cached)

    def params(self, listed: Any, base: str) -> Iterator[tuple[str, str, int]]:
        """(file, key, line) of what a stage reads; an empty key is the whole file."""
        for place, entry in enumerate(listed if isinstance(listed, list) else []):
            line = reading.line(listed, place)
            if isinstance(entry, dict):
                for file, keys in entry.items():
                    where = self._place(str(file), base)
                    yield from ((where, str(key), line) for key in (keys if isinstance(keys, list) else [""]))
            else:
                yield self._place(params.FILE, base), str(entry), line

    def deps(self, listed: Any, base: str) -> Iterator[tuple[str, int]]:
        """(path, line) of what a stage depends on."""
        for place, entry in enumerate(listed if isinstance(listed, list) else []):
            if isinstance(entry, str):
                yield self._place(entry, base), reading.line(listed, place)

    def artifacts(self, tree: Any) -> Iterator[Artifact]:
        """The entries of artifacts: that name a path."""
        listed = tree.get("artifacts") or {}
        for name, body in listed.items() if isinstance(listed, dict) else ():
            if not isinstance(body, dict) or not isinstance(body.get("path"), str):
                line = reading.line(listed, name)
                self.odd.append(Odd(self.file, line, f"the artifact '{name}' names no path"))
                continue
            path = self._place(body["path"], self.folder)
            yield Artifact(str(name), path, str(body.get("type") or ""), reading.line(body, "path"))

    def _place(self, path: str, base: str) -> str:
        return posixpath.normpath(posixpath.join(base, resolved(path, self.values)))


def resolved(text: str, values: Mapping[str, Any]) -> str:
    """The text with every `${a.b}` that is known written out."""

    def one(found: re.Match[str]) -> str:
        here: Any = values
        for part in found[1].split("."):
            if not isinstance(here, Mapping) or part not in here:
                return found[0]
            here = here[part]
        return found[0] if isinstance(here, dict | list) or here is None else str(here)

    return REFERENCE.sub(one, text)


def _values(root: Path, folder: str, tree: Any) -> dict[str, Any]:
    """What `${…}` may stand for: params.yaml of its folder, and `vars:`."""
    listed = tree.get("vars")
    found: dict[str, Any] = {}
    for entry in [params.FILE, *(listed if isinstance(listed, list) else [])]:
        if isinstance(entry, dict):
            found |= yamlfile.plain(entry)
            continue
        path = posixpath.normpath(posixpath.join(folder, str(entry).partition(":")[0]))
        try:
            if (root / path).is_file():
                found |= yamlfile.plain(reading.yaml(root, path))
        except Odd:
            continue  # survey tells of params.yaml by itself
    return found


def candidates(pipeline: Pipeline) -> list[Candidate]:
    """The models of a dvc.yaml: artifacts of type model, else what the last stage that trains writes; or none."""
    named = [
        Candidate(one.name, one.path, one.line, "an artifact of type model")
        for one in pipeline.artifacts
        if one.kind == "model" and "${" not in one.path
    ]
    return named or _guessed(pipeline)


def _guessed(pipeline: Pipeline) -> list[Candidate]:
    trains = [stage for stage in pipeline.stages if TRAINING.search(stage.name)]
    trains = trains or [stage for stage in pipeline.stages if any(map(TRAINING.search, stage.commands))]
    for stage in reversed(trains):
        outs = [out for out in stage.outs if out.kind == "out" and out.known]
        looks = [out for out in outs if _looks_like_a_model(out.path)]
        chosen = looks if len(looks) == 1 else outs if len(outs) == 1 else looks[:1]
        if chosen:
            why = f"guessed: the out of stage {stage.name}"
            if len(outs) > 1:
                why = f"guessed: of the outs of stage {stage.name} the one that is called as a model"
            return [Candidate("", chosen[0].path, chosen[0].line, why)]
    return []


def _looks_like_a_model(path: str) -> bool:
    name = posixpath.basename(path)
    return bool(MODEL_NAME.search(name) or MODEL_KIND.fullmatch(posixpath.splitext(name)[1]))
