"""What a project lacks to be pushed: every fault at once, with file, line and what to write.

It looks at a work tree and runs nothing. What only a run can tell (whether a stage ends well, whether `score` answers)
is not here. `server.check` tells them of a clone.
"""

import csv
import fnmatch
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pushforward import params, schema, section, yamlfile
from pushforward.project import adopt, locks, reading, workflows
from pushforward.project.pipelines import Pipeline
from pushforward.project.reading import Odd
from pushforward.project.survey import WORKFLOWS, Survey, with_folders

TABLES = (".parquet", ".csv")
OF_HOLDOUT = ("rows", "labels")
MD5 = re.compile(r"[0-9a-f]{32}(?:\.dir)?")
WORD = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True, order=True)
class Fault:
    """One thing to mend: where it is (line 0: the file as a whole), what is wrong, and what to write or type."""

    file: str
    line: int
    what: str
    next: str

    @property
    def where(self) -> str:
        """Its file and line."""
        return f"{self.file}{f':{self.line}' if self.line else ''}"

    def __str__(self) -> str:
        return f"{self.where}: {self.what}\n  next: {self.next}"


def faults(found: Survey) -> list[Fault]:
    """Every fault of a project, by file and line."""
    seen = [Fault(odd.file, odd.line, odd.why, f"edit {odd.file}") for odd in found.odd]
    seen += [*_of_git(found), *_ignored(found)]
    told = {model.folder for model in found.project.models.values()} if found.project is not None else set()
    for pipeline in found.pipelines:
        if not told or pipeline.folder in told:  # of others, examples and tests say, nobody judges anything
            seen += _stages(found, pipeline)
    seen += _raw(found)
    if found.old:
        seen.append(
            Fault(params.FILE, 0, f"it has {', '.join(found.old)} of pushforward", "pushforward adopt --update")
        )
    elif found.project is None:
        seen.append(Fault(schema.FILE, 0, "it is not there", "pushforward adopt"))
    else:
        seen += _workflows(found, found.project)
        lines = _Lines(found)
        for name, model in found.project.models.items():
            seen += _Model(found, lines, name, model).faults()
    return sorted(dict.fromkeys(seen))


def line_of(found: Survey, *keys: str) -> int:
    """The line of pushforward.yaml in which `keys` stand, or the last of them that is there."""
    return _Lines(found).of(*keys)


def _of_git(found: Survey) -> Iterator[Fault]:
    """What git has that no server takes, and what it lacks that DVC cannot work without."""
    for path in sorted(found.tracked):
        if posixpath.basename(path).casefold() == ".gitmodules":
            yield Fault(path, 0, "it is of a submodule, and a server fetches none", f"git rm {path}, with its folders")
    if not any(f"/{path}".endswith("/.dvc/config") for path in found.tracked):
        yield Fault(".dvc/config", 0, "git does not hold it: DVC is not set up here", "dvc init, and git add .dvc")
    for path in found.hidden:
        yield Fault(adopt.IGNORE, 0, f"git ignores {path}, and DVC refuses to run", f"take {path} out of .gitignore")


def _ignored(found: Survey) -> Iterator[Fault]:
    if found.unignored:
        what = f"it lacks {', '.join(found.unignored)}, which a run leaves in its checkout"
        yield Fault(adopt.IGNORE, 0, what, "pushforward adopt, which adds them")


def _stages(found: Survey, pipeline: Pipeline) -> Iterator[Fault]:
    """What DVC would trip over, or write over."""
    made = [out.path for each in found.pipelines for out in each.outs()]
    kept = [out for out, _, _ in _pointers(found)]
    held = with_folders(found.tracked)
    for stage in pipeline.stages:
        for out in stage.outs:
            if out.cached and out.path in found.tracked:
                what = f"{out.path} is an out of stage {stage.name}, and git holds it"
                yield Fault(pipeline.file, out.line, what, f"git rm --cached {out.path}, or cache: false for it")
        for path, line in stage.deps:
            known = "${" in path or _among(path, (*made, *kept)) or path in held
            if not known and section.sound(path):
                what = f"stage {stage.name} needs {path}, which git does not hold and no stage makes"
                yield Fault(pipeline.file, line, what, f"dvc add {path} && dvc push, or git add {path}")
        for file, key, line in stage.params:
            if file == posixpath.normpath(f"{pipeline.folder}/{params.FILE}") and key and not _has(found, file, key):
                what = f"stage {stage.name} reads {key}, which {file} does not have"
                yield Fault(pipeline.file, line, what, f"edit {file}")


def _has(found: Survey, file: str, key: str) -> bool:
    try:
        here: Any = reading.yaml(found.root, file)
    except Odd:
        return (found.root / file).is_file()  # told as odd already
    for part in key.split("."):
        if not isinstance(here, Mapping) or part not in here:
            return False
        here = here[part]
    return True


def _pointers(found: Survey) -> Iterator[tuple[str, str, str]]:
    """(path, md5, .dvc file) of everything that `dvc add` has taken in."""
    for file in sorted(path for path in found.tracked if path.endswith(".dvc")):
        try:
            outs = reading.yaml(found.root, file).get("outs")
        except Odd:
            continue
        for out in outs if isinstance(outs, list) else []:
            if isinstance(out, dict) and isinstance(out.get("path"), str):
                path = posixpath.normpath(posixpath.join(posixpath.dirname(file), out["path"]))
                yield path, str(out.get("md5", "")), file


def _raw(found: Survey) -> Iterator[Fault]:
    """What `dvc add` has taken in and the store, where it is a folder of this machine, does not have."""
    for remote in found.remotes:
        if not remote.default or "://" in remote.url:
            continue
        # DVC takes a relative address from the folder of its configuration
        store = (found.root / posixpath.dirname(remote.file) / remote.url).resolve()
        for path, md5, file in _pointers(found):
            if MD5.fullmatch(md5) and not (store / "files" / "md5" / md5[:2] / md5[2:]).is_file():
                what = f"{path} is not in the store {remote.name} ({remote.file}:{remote.line})"
                yield Fault(file, 0, what, f"dvc push {file}")


def _workflows(found: Survey, project: schema.Project) -> Iterator[Fault]:
    """Generated files that are not there, and workflows that no push to the default branch starts."""
    form = adopt.form_of(found)
    for one in workflows.render(form) if form else ():
        if workflows.state(found.root, one) == "missing":
            yield Fault(one.path, 0, "it is not there", "pushforward adopt")
    named: list[tuple[str, int, list[str]]] = []
    for name in project.server.workflows:
        for path in (f"{WORKFLOWS}{name}.yml", f"{WORKFLOWS}{name}.yaml"):
            named += [(path, *listed)] if path in found.workflows and (listed := _branches(found, path)) else []
    if named and not any(fnmatch.fnmatchcase(found.branch, one) for _, _, listed in named for one in listed):
        path, line, branches = named[0]
        what = f"it runs for {', '.join(branches)}, and the default branch is {found.branch}"
        yield Fault(path, line, what, f"write {found.branch} there, or pushforward adopt --update")


def _branches(found: Survey, path: str) -> tuple[int, list[str]] | None:
    """The branches whose pushes start a workflow, and their line; None where it does not say, or starts otherwise."""
    try:
        on = reading.yaml(found.root, path).get("on")
    except Odd:
        return None
    push = on.get("push") if isinstance(on, dict) else None
    listed = push.get("branches") if isinstance(push, dict) else None
    return (reading.line(push, "branches"), [str(one) for one in listed]) if isinstance(listed, list) else None


class _Lines:
    """The lines of pushforward.yaml."""

    def __init__(self, found: Survey) -> None:
        self.tree = reading.yaml(found.root, schema.FILE)

    def of(self, *keys: Any) -> int:
        """The line of what is at `keys`, or of the last of them that is there."""
        here, line = self.tree, 1
        for key in keys:
            try:
                line = reading.line(here, key)
                here = here[key]
            except (KeyError, IndexError, TypeError):
                break
        return line


class _Model:
    """The faults of one model of pushforward.yaml."""

    def __init__(self, found: Survey, lines: _Lines, name: str, model: schema.Model) -> None:
        self.found, self.lines, self.name, self.model = found, lines, name, model
        self.pipeline = next((one for one in found.pipelines if one.folder == model.folder), None)

    def faults(self) -> Iterator[Fault]:
        """All of them."""
        yield from self._environment()
        if self.pipeline is None:
            yield self._fault("folder", f"{self.model.folder} has no dvc.yaml", "write the folder of its dvc.yaml")
            return
        yield from self._outs(self.pipeline)
        yield from self._metrics(self.pipeline)
        yield from self._batches()
        yield from self._data()
        yield from self._holdout()
        if self.model.card and not (self.found.root / self.model.card).is_file():
            yield self._fault(
                "card", f"{self.model.card} is not there", f"write {self.model.card}, or take the line out"
            )

    def _fault(self, key: Any, what: str, then: str, *more: Any) -> Fault:
        return Fault(schema.FILE, self.lines.of("models", self.name, key, *more), what, then)

    def _place(self, path: str) -> str:
        return posixpath.normpath(posixpath.join(self.model.folder, path))

    def _environment(self) -> Iterator[Fault]:
        for place, path in enumerate(self.model.environment):
            if not (self.found.root / path).is_file():
                yield self._fault("environment", f"{path} is not there", "write the locks of the project", place)
            elif (kind := locks.kind(path)) not in locks.INSTALLED:
                whose, then = locks.ELSEWHERE[kind]
                yield self._fault("environment", f"{path} is {whose}, and pip installs nothing from it", then, place)

    def _outs(self, pipeline: Pipeline) -> Iterator[Fault]:
        """What is named here and no stage makes."""
        made = [out.path for out in pipeline.outs() if out.known]
        named: list[tuple[str, str | None]] = [("path", self.model.path), ("validation", self.model.validation)]
        named += [("predictions", self.model.predictions.path)] if self.model.predictions is not None else []
        named += [("holdout", self.model.holdout.path)] if self.model.holdout is not None else []
        for key, path in named:
            if path is not None and not _among(self._place(path), made):
                what = f"{path} ({key}) is no out of {pipeline.file}"
                yield self._fault(key, what, f"write it under outs: of the stage of {pipeline.file} that makes it")

    def _metrics(self, pipeline: Pipeline) -> Iterator[Fault]:
        declared = {out.path for out in pipeline.metrics}
        values = {one.out.path: one.values for one_of in self.found.models for one in one_of.metrics}
        for name in self.model.metrics or ():
            file, _, key = name.partition(":")
            path = self._place(file)
            if path not in declared:
                then = f"write it under metrics: in {pipeline.file}"
                yield self._fault("metrics", f"{file} is no metric of {pipeline.file}", then, name)
            elif values.get(path) and key not in values[path]:
                have = ", ".join(list(values[path])[:8])
                yield self._fault("metrics", f"{file} has no number {key}", f"write one of {have}", name)

    def _batches(self) -> Iterator[Fault]:
        if self.model.batches in (None, schema.NONE):
            return
        file, _, key = str(self.model.batches).partition(":")
        try:
            here: Any = yamlfile.plain(reading.yaml(self.found.root, self._place(file)))
        except Odd as odd:
            yield self._fault("batches", f"{odd.file}: {odd.why}", f"edit {odd.file}")
            return
        for part in key.split("."):
            here = here.get(part) if isinstance(here, dict) else None
        if not isinstance(here, list) or not here or not all(isinstance(one, str) for one in here):
            what = f"{file} has no list of names at {key}"
            yield self._fault("batches", what, "write there the batches that have arrived, in quotes, or batches: none")

    def _data(self) -> Iterator[Fault]:
        for place, path in enumerate(self.model.data or ()):
            if self._place(path) not in self.found.tracked:
                pointer = f"{path}.dvc"
                known = self._place(pointer) in self.found.tracked
                then = f"write {pointer}" if known else "name a file of git: of what `dvc add` took in, its .dvc file"
                yield self._fault("data", f"{path} is no file of git", then, place)

    def _holdout(self) -> Iterator[Fault]:
        holdout = self.model.holdout
        if holdout is None:
            return
        folder = self._place(holdout.path)
        if not (self.found.root / folder).is_dir():
            return  # a fresh clone has none yet
        wanted = {"rows": [holdout.key, holdout.time], "labels": [holdout.key, holdout.label, holdout.cluster]}
        if holdout.floor is not None and WORD.fullmatch(holdout.floor):
            wanted["labels"].append(holdout.floor)
        slices = self.found.project.gate.slices if self.found.project is not None else []
        wanted["labels"] += slices
        for table in OF_HOLDOUT:
            name = next(
                (f"{table}{kind}" for kind in TABLES if (self.found.root / folder / f"{table}{kind}").is_file()), ""
            )
            if not name:
                what = f"{holdout.path} has no {table}.parquet and no {table}.csv"
                yield self._fault("holdout", what, f"have a stage write it, with {', '.join(_some(wanted[table]))}")
                continue
            try:
                columns = _columns(self.found, f"{folder}/{name}")
            except Odd as odd:
                yield Fault(odd.file, 0, odd.why, "dvc repro")
                continue
            for column in _some(wanted[table]):
                if column not in columns:
                    what = f"{holdout.path}/{name} has no column {column}; it has {', '.join(columns[:12])}"
                    yield self._fault("holdout", what, "write the name of the column, or have a stage write it")


def _some(columns: Iterable[str]) -> list[str]:
    return [name for name in dict.fromkeys(columns) if name != schema.NONE]


def _columns(found: Survey, path: str) -> list[str]:
    """The names of the columns of a table; `Odd` where it is none."""
    if path.endswith(".csv"):
        first = reading.text(found.root, path).partition("\n")[0]
        return next(csv.reader([first]), [])
    import polars as pl  # takes a while to load, and most projects are told of their faults without

    try:
        return list(pl.read_parquet_schema(found.root / path))
    except (pl.exceptions.PolarsError, OSError) as broken:
        raise Odd(path, 0, f"it is no parquet file: {str(broken).splitlines()[0]}") from None


def _among(path: str, paths: Iterable[str]) -> bool:
    """Whether the path is one of them, or in one, or has one of them in it."""
    return any(_touch(path, one) or _touch(one, path) for one in paths)


def _touch(path: str, other: str) -> bool:
    return path == other or other.startswith(f"{path}/")
