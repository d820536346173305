"""What a repository has, with the file and line of each: pipelines, models, metrics, locks, remotes, tags, branch.

`adopt` prints it and writes by it, `faults` measures it. A strange or hostile file is told of, and stops nothing.
"""

import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pushforward import gto, params, schema, section, settings, yamlfile
from pushforward.errors import PushforwardError
from pushforward.git.repository import Repository
from pushforward.project import locks, pipelines, reading
from pushforward.project.locks import Lock
from pushforward.project.pipelines import Candidate, Out, Pipeline
from pushforward.project.reading import Odd

WORKFLOWS = ".github/workflows/"
# What a run leaves in a checkout beside the outs of its stages.
LEFT = ("/.venv", "/handover/", "/verdict/")
REMOTE = re.compile(r"\s*\['?remote \"(?P<name>[^\"]+)\"'?\]")
SETTING = re.compile(r"\s*(?P<key>[\w.]+)\s*=\s*(?P<value>.*?)\s*$")
LOGIN = re.compile(r"://[^/@]*@")  # may hold a password, and what is found is printed
NO_BRANCH = "no branch is there"
READ_ONLY = ("http://", "https://")
GLOB = re.compile(r"([\\*?\[\]!#])")


@dataclass(frozen=True)
class Remote:
    """A remote of DVC, and where its address stands."""

    name: str
    url: str
    file: str
    line: int
    default: bool

    @property
    def read_only(self) -> bool:
        """Whether DVC can fetch from it and, as a rule, not push."""
        return self.url.startswith(READ_ONLY)


@dataclass(frozen=True)
class Registry:
    """Tags in GTO's form of one artifact: how many versions, the newest, and the stages that were given."""

    name: str
    versions: int
    newest: str
    stages: tuple[str, ...]


@dataclass(frozen=True)
class Metrics:
    """A file of metrics: where it is declared, the out that it lies in, and its numbers as they are now."""

    out: Out
    file: str
    inside: str
    values: Mapping[str, float]
    absent: bool


@dataclass(frozen=True)
class Found:
    """One model of a repository: its pipeline, which out it is and how that is known, its metrics and its locks."""

    name: str
    pipeline: Pipeline
    model: Candidate | None
    metrics: tuple[Metrics, ...]
    locks: tuple[Lock, ...]


@dataclass(frozen=True)
class Survey:
    """A repository as it was found."""

    root: Path
    branch: str
    why_branch: str
    pipelines: tuple[Pipeline, ...]
    models: tuple[Found, ...]
    locks: tuple[Lock, ...]
    remotes: tuple[Remote, ...]
    registries: tuple[Registry, ...]
    workflows: tuple[str, ...]
    unignored: tuple[str, ...]
    old: tuple[str, ...]
    project: schema.Project | None
    tracked: frozenset[str] = field(repr=False, default=frozenset())
    odd: tuple[Odd, ...] = ()
    hidden: tuple[str, ...] = ()


def survey(root: Path) -> Survey:
    """Look at the repository whose work tree is `root`; an error where it has no pipeline at all."""
    repository = Repository(root)
    tracked, present = _files(repository)
    folders = sorted(posixpath.dirname(path) or "." for path in present if posixpath.basename(path) == pipelines.FILE)
    if not folders:
        raise PushforwardError(
            f"{root} has no dvc.yaml", next="dvc stage add, and adopt again; pushforward new DIR makes a whole one"
        )
    odd: list[Odd] = []
    read = []
    for folder in folders:
        pipeline, strange = pipelines.read(root, folder)
        read.append(pipeline)
        odd += strange
    known, strange = locks.read(root, present)
    odd += strange
    old = _old(root, present, odd)
    models = tuple(_models(root, read, known, odd))
    branch, why = default_branch(repository)
    project = schema.load(root)
    told = {model.folder for model in project.models.values()} if project is not None else set[str]()
    return Survey(
        root,
        branch,
        why,
        tuple(read),
        models,
        tuple(known),
        tuple(_remotes(root, present, odd)),
        tuple(_registries(repository)),
        tuple(sorted(path for path in present if path.startswith(WORKFLOWS) and path.endswith((".yml", ".yaml")))),
        tuple(_unignored(repository, read, tracked, present, told)),
        old,
        project,
        frozenset(tracked),
        tuple(odd),
        tuple(_hidden(repository, read)),
    )


def _files(repository: Repository) -> tuple[set[str], set[str]]:
    """The files that git holds, and those of the work tree that it does not ignore."""
    listed = repository.git("ls-files", "-z", "--cached").stdout.decode("utf-8", "replace").split("\0")
    fresh = repository.git("ls-files", "-z", "--others", "--exclude-standard").stdout.decode("utf-8", "replace")
    tracked = set(filter(None, listed))
    present = {path for path in (*tracked, *fresh.split("\0")) if path and (repository.path / path).is_file()}
    return tracked, present


def _models(root: Path, read: list[Pipeline], known: list[Lock], odd: list[Odd]) -> list[Found]:
    """The models of every dvc.yaml, and no pipeline that others read alone; where none has a model, each as it is."""
    found = list(_each(root, read, known, odd))
    return [one for one in found if one.model is not None] or found


def _each(root: Path, read: list[Pipeline], known: list[Lock], odd: list[Odd]) -> Iterable[Found]:
    """The models of every dvc.yaml, by names that differ; a pipeline without one is there as it is."""
    taken: set[str] = set()
    for pipeline in read:
        if not pipeline.stages and not pipeline.artifacts:
            continue
        if pipeline.folder != "." and not section.sound(pipeline.folder):
            odd.append(Odd(pipeline.file, 0, "no folder that pushforward.yaml can name"))
            continue
        numbers = tuple(_metrics(root, pipeline, odd))
        near = tuple(lock for lock in locks.chosen(known, pipeline.folder) if section.sound(lock.path))
        candidates: list[Candidate | None] = [
            one for one in pipelines.candidates(pipeline) if section.sound(one.path) and _in(one.path, pipeline.folder)
        ]
        for candidate in candidates or [None]:
            own = candidate.name if candidate is not None and candidate.name else ""
            name = _name(own or (root.name if pipeline.folder == "." else posixpath.basename(pipeline.folder)), taken)
            taken.add(name)
            yield Found(name, pipeline, candidate, numbers, near)


def _name(wanted: str, taken: set[str]) -> str:
    """A name as tags can have it, and nobody else has."""
    name = re.sub(r"[^a-z0-9]+", "-", wanted.lower()).strip("-")[:50].strip("-")
    name = name if re.match(r"[a-z][a-z0-9-]", name) else f"model-{name}".strip("-")
    return next(one for one in (name, *(f"{name}-{number}" for number in range(2, 10_000))) if one not in taken)


def _metrics(root: Path, pipeline: Pipeline, odd: list[Odd]) -> Iterable[Metrics]:
    outs = [out.path for out in pipeline.outs() if out.kind == "out" and out.known]
    for out in pipeline.metrics:
        inside = next((path for path in outs if out.path.startswith(f"{path}/")), "")
        values: dict[str, float] = {}
        sound = out.known and section.sound(out.path) and _in(out.path, pipeline.folder)
        here = sound and (root / out.path).is_file()
        if here:
            try:
                values = reading.numbers(root, out.path)
            except Odd as strange:
                odd.append(strange)
        yield Metrics(out, pipeline.file, inside, values, sound and not here)


def _in(path: str, folder: str) -> bool:
    return folder == "." or path.startswith(f"{folder}/")


def default_branch(repository: Repository) -> tuple[str, str]:
    """The default branch, and how it is known; that of a server that is made here too."""
    origin = repository.git("symbolic-ref", "-q", "--short", "refs/remotes/origin/HEAD", check=False)
    if origin.returncode == 0 and origin.text.startswith("origin/"):
        return origin.text.removeprefix("origin/"), "that of origin"
    heads = {ref.name.removeprefix("refs/heads/") for ref in repository.refs("refs/heads")}
    for name in ("main", "master"):
        if name in heads:
            return name, "a branch here is called so"
    here = repository.git("symbolic-ref", "-q", "--short", "HEAD", check=False)
    return (here.text, "the branch that is checked out") if here.returncode == 0 else ("main", NO_BRANCH)


def _remotes(root: Path, present: set[str], odd: list[Odd]) -> Iterable[Remote]:
    """The remotes of every .dvc/config; a `dvc init --subdir` repository has its own."""
    for path in sorted(path for path in present if f"/{path}".endswith("/.dvc/config")):
        try:
            lines = reading.text(root, path).splitlines()
        except Odd as strange:
            odd.append(strange)
            continue
        section, default = "", ""
        found: dict[str, tuple[str, int]] = {}
        for number, line in enumerate(lines, 1):
            if line.strip().startswith("["):
                remote = REMOTE.match(line)
                section = remote["name"] if remote else line.strip().strip("['\"]")
            elif (setting := SETTING.match(line)) and setting["key"] == "url" and section not in ("core", "cache"):
                found[section] = LOGIN.sub("://", setting["value"]), number
            elif setting and setting["key"] == "remote" and section == "core":
                default = setting["value"]
        yield from (Remote(name, url, path, number, name == default) for name, (url, number) in found.items() if url)


def _registries(repository: Repository) -> Iterable[Registry]:
    """The artifacts that tags in GTO's form name."""
    versions: dict[str, list[tuple[int, int, int]]] = {}
    stages: dict[str, set[str]] = {}
    for ref in repository.refs("refs/tags"):
        tag = gto.parse(ref.name.removeprefix("refs/tags/"))
        if tag and tag.number and not tag.cancels:
            versions.setdefault(tag.artifact, []).append(tag.number)
        elif tag and tag.stage:
            stages.setdefault(tag.artifact, set()).add(tag.stage)
    for name in sorted(versions):
        newest = "v" + ".".join(map(str, max(versions[name])))
        yield Registry(name, len(versions[name]), newest, tuple(sorted(stages.get(name, ()))))


def _unignored(
    repository: Repository, read: list[Pipeline], tracked: set[str], present: set[str], told: set[str]
) -> Iterable[str]:
    """The lines that .gitignore lacks for a run to leave its checkout as it was: what it leaves, and cached outs.

    The outs of the pipelines in the folders `told`, where pushforward.yaml names some; else of all.
    """
    asked = {line.strip("/") + ("/x" if line.endswith("/") else ""): line for line in LEFT}
    if any(path.endswith(".py") and not path.startswith(".github/") for path in present):
        asked["__pycache__/x"] = "__pycache__/"
    folders = {}  # what is not there yet may become a file or a folder, and a pattern may be of one of both
    held_by_git = with_folders(tracked)
    for pipeline in read:
        if told and pipeline.folder not in told:
            continue
        for out in pipeline.outs():
            held = out.path in held_by_git
            if out.cached and out.known and not held and section.sound(out.path):
                asked[out.path] = "/" + GLOB.sub(r"\\\1", out.path)
                folders[out.path] = f"{out.path}/x"
    names = "\0".join((*asked, *folders.values())).encode("utf-8", "surrogateescape")
    done = repository.git("check-ignore", "-z", "--stdin", "--no-index", stdin=names, check=False)
    ignored = set(done.stdout.decode("utf-8", "surrogateescape").split("\0"))
    return [line for name, line in asked.items() if ignored.isdisjoint((name, folders.get(name, name)))]


def _hidden(repository: Repository, read: list[Pipeline]) -> Iterable[str]:
    """The locks of the pipelines that git ignores; DVC runs no pipeline then."""
    named = [posixpath.normpath(f"{pipeline.folder}/{pipelines.LOCK}") for pipeline in read]
    names = "\0".join(named).encode("utf-8", "surrogateescape")
    done = repository.git("check-ignore", "-z", "--stdin", "--no-index", stdin=names, check=False)
    return sorted(filter(None, done.stdout.decode("utf-8", "surrogateescape").split("\0")))


def with_folders(paths: Iterable[str]) -> set[str]:
    """The paths, and every folder that one of them is in."""
    found: set[str] = set()
    for path in paths:
        while path and path not in found:
            found.add(path)
            path = posixpath.dirname(path)
    return found


def _old(root: Path, present: set[str], odd: list[Odd]) -> tuple[str, ...]:
    """The sections of params.yaml that are ours, as they were before pushforward.yaml."""
    if params.FILE not in present:
        return ()
    try:
        tree: dict[str, Any] = yamlfile.plain(reading.yaml(root, params.FILE))
    except Odd as strange:
        odd.append(strange)
        return ()
    return settings.outdated(tree)
