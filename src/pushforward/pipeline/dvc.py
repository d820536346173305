"""The only module that touches DVC: repro, stages with reasons, lock honesty, pull and push of what is needed.

DVC's exit codes and status lie in a few known cases (a full disk, a lost remote object, a merged lock), so this
module starts from a lock that CI made, fails on what DVC only logs, and reads every pushed object back.
"""

import configparser
import contextlib
import functools
import hashlib
import io
import json
import logging
import os
import pickle
import re
import shlex
import shutil
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pushforward import cause, files
from pushforward import untrusted as aliases
from pushforward.errors import DATA, TOOL, PushforwardError
from pushforward.git.repository import Repository
from pushforward.pipeline import dvctext

LOCK = "dvc.lock"
METRICS = "metrics"
# What this tool itself reads, writes and deletes in a checkout.
OWN = ("params.yaml", "dvc.yaml", LOCK, METRICS, ".dvc", ".github")
TAIL_BYTES = 16_384
MOST_PARSED = 64
LIMIT_NODES, LIMIT_DEPTH = 1_000_000, 100

_PARSED: dict[str, bytes] = {}

Outcome = Literal["ran", "restored", "unchanged", "failed"]


@dataclass
class Stage:
    """What became of one stage: restored means that the run cache had its result."""

    name: str
    outcome: Outcome
    reason: str = ""
    seconds: float = 0.0


@dataclass
class Reproduction:
    """What one `repro` did; `message` are the last lines of a run that did not end well."""

    stages: list[Stage] = field(default_factory=list)
    pulled: int = 0
    pushed: int = 0
    seconds: float = 0.0
    outcome: Literal["ok", "refused", "failed"] = "ok"
    message: str = ""
    cause: str = ""  # of a failure: one line of what and where
    next: str = ""  # and what to type then


class _Listener(logging.Handler):
    """Turns DVC's log into stages, and keeps what it complains about."""

    def __init__(self, say: Any) -> None:
        super().__init__(logging.INFO)
        self.stages: list[Stage] = []
        self.complaints: list[str] = []
        self.transferring = False  # while stages run, a lost object only means that the run cache cannot answer
        self._say = say
        self._since = time.monotonic()

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        lost = self.transferring and record.levelno >= logging.WARNING and "do not exist" in text
        if lost or record.levelno >= logging.ERROR:
            self.complaints.append(text)
        elif found := re.match(r"Running stage '(.+)':", text):
            self._begin(Stage(found[1], "ran"))
            self._say(f"  {found[1]} …")
        elif found := re.match(r"Stage '(.+)' is cached - skipping run", text):
            self._begin(Stage(found[1], "restored"))
        elif found := re.match(r"(?:Stage )?'(.+)' didn't change, skipping", text):
            self._begin(Stage(found[1], "unchanged"))

    def _begin(self, stage: Stage) -> None:
        self.close_last()
        self.tell_end()
        self.stages.append(stage)

    def tell_end(self) -> None:
        """Say how long the last stage took, if it ran."""
        if self.stages and self.stages[-1].outcome == "ran":
            self._say(f"  {self.stages[-1].name} {self.stages[-1].seconds:.1f} s")

    def close_last(self) -> None:
        now = time.monotonic()
        if self.stages:
            self.stages[-1].seconds = round(now - self._since, 2)
        self._since = now


@contextlib.contextmanager
def _tail() -> Iterator[bytearray]:
    """Pass on what this process and its children print, and keep the end of it."""
    tail = bytearray()
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    receiver, sender = os.pipe()

    def pump() -> None:
        while chunk := os.read(receiver, 65_536):
            os.write(saved[0], chunk)
            tail.extend(chunk)
            del tail[:-TAIL_BYTES]

    os.dup2(sender, 1)
    os.dup2(sender, 2)
    os.close(sender)
    thread = threading.Thread(target=pump, daemon=True)
    thread.start()
    try:
        yield tail
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(saved[0], 1)
        os.dup2(saved[1], 2)
        thread.join(timeout=10)
        for descriptor in (receiver, *saved):
            os.close(descriptor)


def _parse(text: str) -> Any:
    """A text of YAML as a value of the caller's own; one that was parsed lately is not parsed again."""
    if text not in _PARSED:
        if len(_PARSED) >= MOST_PARSED:
            _PARSED.clear()
        _PARSED[text] = pickle.dumps(YAML(typ="safe").load(text))
    return pickle.loads(_PARSED[text])  # noqa: S301, it was made here


@contextlib.contextmanager
def _each_text_parsed_once() -> Iterator[None]:
    """Have DVC parse a text of YAML once: it reads the same few files dozens of times, for half of an idle run."""
    from dvc.utils import strictyaml
    from dvc.utils.serialize import _yaml

    before = _yaml.parse_yaml, _yaml._dump

    def parse(text: str, path: Any, typ: str = "safe") -> Any:
        if typ != "safe" and Path(path).name != LOCK:  # a lock has no comments to keep
            return before[0](text, path, typ)
        try:
            return _parse(text) or {}
        except YAMLError as broken:
            raise _yaml.YAMLFileCorruptedError(path) from broken

    def dump(data: Any, stream: Any) -> None:
        text = io.StringIO()
        before[1](data, text)
        stream.write(text.getvalue())
        if Path(stream.name).name == LOCK:
            _PARSED[text.getvalue()] = pickle.dumps(data)  # the next stage reads it back

    _yaml.parse_yaml = strictyaml.parse_yaml = parse
    _yaml._dump = dump
    try:
        yield
    finally:
        _yaml.parse_yaml = strictyaml.parse_yaml = before[0]
        _yaml._dump = before[1]


@contextlib.contextmanager
def _no_link_saved() -> Iterator[None]:
    """Have DVC refuse an out in which a stage has left a link: it would keep, as the out, what that leads to."""
    from dvc.output import Output

    before = Output.save

    def save(out: Any, **options: Any) -> Any:
        if out.is_in_repo:
            _refuse_link(out, inside=True)
        return before(out, **options)

    Output.save = save
    try:
        yield
    finally:
        Output.save = before


def _refuse_link(one: Any, *, inside: bool) -> None:
    root = Path(one.repo.root_dir)
    path = os.path.relpath(one.fs_path, root)
    if files.place(root, path).is_dir() and inside:
        files.check(root, path)


@contextlib.contextmanager
def _repo(root: Path, listener: _Listener) -> Iterator[Any]:
    """DVC's repository object in `root`, its log going to `listener` alone."""
    files.place(root, ".dvc/tmp/site")
    storage(root)  # refuses what DVC would follow
    os.environ.setdefault("DVC_NO_ANALYTICS", "1")
    binaries = str(Path(sys.executable).parent)
    if os.environ.get("PATH", "").split(os.pathsep)[0] != binaries:
        # a stage says `python`: the one of this environment, activated or not
        os.environ["PATH"] = f"{binaries}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    os.environ["DVC_SITE_CACHE_DIR"] = str(root / ".dvc" / "tmp" / "site")  # one per folder: its keys are paths
    from dvc.config import ConfigError
    from dvc.exceptions import CheckoutError, DvcException, FileTransferError, NotDvcRepoError
    from dvc.repo import Repo

    loggers = [logging.getLogger(name) for name in ("dvc", "dvc_data", "dvc_objects")]
    before = [(log, log.handlers, log.level, log.propagate) for log in loggers]
    for log in loggers:
        log.handlers, log.propagate = [listener], False
        log.setLevel(logging.INFO)
    here = Path.cwd()
    os.chdir(root)  # reproduce() looks for dvc.yaml in the working folder
    try:
        with _each_text_parsed_once(), _no_link_saved(), Repo(str(root)) as repo:
            try:
                yield repo
            except (CheckoutError, FileTransferError) as failed:
                if lost := _lost(root, repo):
                    raise lost from failed
                raise
    except NotDvcRepoError:
        raise PushforwardError(f"{root} is not a DVC project", next="dvc init") from None
    except ConfigError as wrong:
        raise PushforwardError(f".dvc/config: {wrong}", next="dvc config --list") from None
    except DvcException as failed:
        told = dvctext.sentence(_chain(failed), root=str(root))
        raise PushforwardError(f"DVC: {told.text}", next=told.next, exit_code=TOOL) from failed
    finally:
        os.chdir(here)
        for log, handlers, level, propagate in before:
            log.handlers, log.propagate = handlers, propagate
            log.setLevel(level)


def _chain(error: BaseException) -> str:
    parts: list[str] = []
    seen: BaseException | None = error
    while seen is not None and len(parts) < 4:
        parts.append(str(seen).strip())
        seen = seen.__cause__
    return ": ".join(part for part in parts if part)


@functools.lru_cache(maxsize=8)
def read_lock(text: bytes | None) -> dict[str, Any]:
    """The stages of a dvc.lock by name, not to be changed; empty for none, and for one that cannot be read."""
    try:
        source = (text or b"").decode()
        if "*" in source:
            aliases.check(source, nodes=LIMIT_NODES, depth=LIMIT_DEPTH)
        tree = _parse(source)
    except (YAMLError, UnicodeError, ValueError, RecursionError, LookupError, AttributeError, TypeError):
        return {}  # conflict markers, say: it names nothing that was run
    stages = tree.get("stages") if isinstance(tree, dict) else None
    return stages if isinstance(stages, dict) else {}


def making(lock: bytes | None, out: str) -> tuple[set[str], set[str]]:
    """The files and the parameters that the out `out` is made with, from the lock that made it.

    Those of its stage and of every stage before it, without what stages make for each other.
    """
    stages = read_lock(lock)
    made = {name: [one["path"] for one in entry.get("outs", [])] for name, entry in stages.items()}
    paths: set[str] = set()
    params: set[str] = set()
    wanted, seen = {out}, set[str]()
    while wanted:
        path = wanted.pop()
        makers = {name for name, outs in made.items() if any(_within(path, one) for one in outs)}
        if not makers:
            paths.add(path)
        for name in makers - seen:
            seen.add(name)
            wanted |= {dep["path"] for dep in stages[name].get("deps", [])}
            params |= {key for values in stages[name].get("params", {}).values() for key in values}
    return paths - {out}, params


def feeding(lock: bytes | None, out: str) -> list[str]:
    """What the stage that makes `out` reads: outs of other stages, and files that no stage makes, from the lock."""
    stages = read_lock(lock)
    made = {name: [one["path"] for one in entry.get("outs", [])] for name, entry in stages.items()}
    maker = next((name for name, outs in made.items() if out in outs), "")
    others = sorted(path for name, outs in made.items() if name != maker for path in outs)
    found: list[str] = []
    for dep in (one["path"] for one in stages.get(maker, {}).get("deps", [])):
        found += [path for path in others if _within(path, dep)] or [dep]
    return list(dict.fromkeys(found))


def _within(path: str, other: str) -> bool:
    return path == other or path.startswith(f"{other}/") or other.startswith(f"{path}/")


def write_lock(stages: Mapping[str, Any]) -> bytes:
    """A dvc.lock with its stages in one order, whatever order they ran in: the same content, the same bytes."""
    out = io.BytesIO()
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.dump({"schema": "2.0", "stages": {name: stages[name] for name in sorted(stages)}}, out)
    return out.getvalue()


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
    for file, values in after.get("params", {}).items():
        why += _differences(before.get("params", {}).get(file, {}), values)
    return ", ".join(why[:4]) + (f" and {len(why) - 4} more" if len(why) > 4 else "")


def _differences(old: Any, new: Any, name: str = "") -> list[str]:
    """What differs between two values of a parameter, leaf by leaf."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [*new, *(key for key in old if key not in new)]
        inner = [_differences(old.get(key), new.get(key), f"{name}.{key}" if name else str(key)) for key in keys]
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


@dataclass(frozen=True)
class Storage:
    """Where the project in a checkout keeps its data: the cache, and the default remote with all of its options.

    The remote's `options` may hold secrets (of `dvc remote modify --local`); a relative `url` is made absolute. Without
    a remote there are none, and `remote` is "".
    """

    cache: Path
    remote: str = ""
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """The address of the remote, "" where there is none."""
        return self.options.get("url", "")

    def config(self) -> str:
        """A .dvc/config.local by which another checkout uses the same."""
        lines = ["[cache]", f"    dir = {_quoted(str(self.cache))}"]
        if self.remote:
            lines += ["[core]", f"    remote = {self.remote}", f"['remote \"{self.remote}\"']"]
            lines += [f"    {name} = {_quoted(value)}" for name, value in self.options.items()]
        return "\n".join(lines) + "\n"


def storage(root: Path) -> Storage:
    """What .dvc/config and config.local of the checkout in `root` say."""
    config = configparser.ConfigParser(interpolation=None)
    for path in (".dvc/config", ".dvc/config.local"):
        try:
            config.read(files.place(root, path))
        except (configparser.Error, UnicodeDecodeError) as wrong:
            line = getattr(wrong, "lineno", "") or next((at for at, _ in getattr(wrong, "errors", [])), "")
            where = f"{path}:{line}" if line else path
            raise PushforwardError(f"{where}: it is no section and no setting", next=f"edit {path}") from None
    name = config.get("core", "remote", fallback="")
    section = f"'remote \"{name}\"'"
    cache = root / ".dvc" / _unquoted(config.get("cache", "dir", fallback="cache"))
    if cache == root / ".dvc" / "cache" and cache.is_symlink():
        to = shlex.quote(str(cache.resolve()))
        raise files.LinkError(".dvc/cache", next=f"rm .dvc/cache && dvc cache dir --local {to}")
    options = {key: _unquoted(value) for key, value in config.items(section)} if config.has_section(section) else {}
    if "url" not in options:
        return Storage(Path(os.path.normpath(cache)))
    url = options["url"]
    options["url"] = url if "://" in url else os.path.normpath(root / ".dvc" / url)
    return Storage(Path(os.path.normpath(cache)), name, options)


def _quoted(value: str) -> str:
    # DVC takes a comma for the end of a word, and # for the end of the line
    sign = next((sign for sign in ('"', "'") if sign not in value), "'''")
    return f"{sign}{value}{sign}"


def _unquoted(value: str) -> str:
    for sign in ("'''", '"', "'"):
        if len(value) >= 2 * len(sign) and value.startswith(sign) and value.endswith(sign):
            return value[len(sign) : -len(sign)]
    return value


def seed(checkout: Repository, champion: str | None) -> None:
    """Start from the lock and the metrics of `champion`, which CI made; never from those of the commit at hand.

    A lock that git merged, or that was made in a dirty folder, says "up to date" of stages that never ran.
    """
    for path in filter(_seeded, checkout.tree("HEAD")):
        files.place(checkout.path, path).unlink(missing_ok=True)
    files.place(checkout.path, LOCK).unlink(missing_ok=True)
    if champion is None:
        return
    for path in filter(_seeded, checkout.tree(champion)):
        content = checkout.read(champion, path)
        if content is not None:
            files.write(checkout.path, path, content)


def _seeded(path: str) -> bool:
    return path == LOCK or path.startswith(f"{METRICS}/")


def reproduce(root: Path, *, pull: bool, push: bool, wanted: Iterable[str] = (), say: Any = print) -> Reproduction:
    """Bring every stage in `root` up to date; one DVC process for all of it.

    With `pull`, data that changed stages need, results that the run cache knows and the outs `wanted` are fetched,
    nothing else. With `push`, outputs and run cache go to the remote and every object is read back. A stage that ends
    with status 3 refused its data; that and a failed stage are outcomes, not exceptions.
    """
    started = time.monotonic()
    before = read_lock(files.read(root, LOCK))
    listener = _Listener(say)
    result = Reproduction()
    with _tail() as tail, _repo(root, listener) as repo:
        from dvc.exceptions import DvcException, ReproductionError

        try:
            repo.check_graph(stages=[])
        except DvcException as wrong:  # a cycle, an out of two stages: known before anything runs
            raise _unusable(root, _chain(wrong)) from None
        _refuse_links(repo)
        _check_made(root, repo, wanted)
        _check_needed(root, repo)
        frozen = _check_frozen(repo, before)
        try:
            if pull:
                result.pulled = _pull_folders(repo)
            repo.reproduce(all_pipelines=True, pull=pull, allow_missing=pull)
        except ReproductionError as failed:
            listener.close_last()
            sys.stdout.flush()
            time.sleep(0.05)  # let the pump hand on the last words of the stage
            if _is_of_objects(failed) and (lost := _lost(root, repo)):
                raise lost from failed
            _failed(failed, listener, bytes(tail), result, root)
        else:
            listener.close_last()
            listener.tell_end()
            listener.transferring = True
            missing = [out for out in wanted if pull and not (root / out).exists()]
            if missing:
                result.pulled += int(repo.pull(targets=missing).get("fetched", 0))
            if push:
                _persist(root, repo)
                result.pushed = repo.push(run_cache=True)
                _read_back(repo)
    result.stages = listener.stages
    after = _normalize(root, {stage.name for stage in listener.stages}, complete=result.outcome == "ok")
    if result.outcome == "ok":
        _check_frozen_still(frozen, after)
    for stage in result.stages:
        if stage.outcome != "unchanged":
            stage.reason = stage.reason or reason(before.get(stage.name), after.get(stage.name))
    if listener.complaints and result.outcome == "ok":
        raise PushforwardError(f"DVC: {dvctext.sentence(listener.complaints[0], root=str(root)).text}", exit_code=TOOL)
    result.seconds = round(time.monotonic() - started, 2)
    return result


def _refuse_links(repo: Any) -> None:
    """Refuse an out or a dependency behind a link: DVC deletes outs before their stage runs, wherever they lead."""
    for one in (*repo.index.outs, *repo.index.deps):
        if one.is_in_repo:
            _refuse_link(one, inside=False)


def _pull_folders(repo: Any, last: str = "") -> int:
    """Bring in what lies in the folders that stages to be run depend on; the number of files.

    DVC pulls a dependency that is missing, but takes a folder that is there in part for whole. With `last`, only
    that stage and those before it are to be run.
    """
    import networkx

    graph = repo.index.graph  # from a stage to those that it needs
    if last:
        end = next(stage for stage in graph if stage.addressing == last)
        graph = graph.subgraph({end, *networkx.descendants(graph, end)})
    with repo.lock:
        changed = {stage for stage in graph if stage.changed(allow_missing=True)}
    to_run = changed.union(*(networkx.ancestors(graph, stage) for stage in changed))
    outs = [out for out in repo.index.outs if out.use_cache and out.hash_info and out.stage not in changed]
    wanted = _folders(to_run)
    needed: set[str] = set()
    while more := {out.fs_path for out in outs if out.fs_path.startswith(tuple(wanted))} - needed:
        needed |= more
        # a folder that this fills in part would look changed to the other stages that depend on it
        wanted |= {folder for folder in _folders(repo.index.graph) if any(path.startswith(folder) for path in more)}
    if not needed:
        return 0
    return int(repo.pull(targets=sorted(needed), allow_missing=True).get("fetched", 0))


def _folders(stages: Iterable[Any]) -> set[str]:
    return {f"{dep.fs_path}{os.sep}" for stage in stages for dep in stage.deps if dep.is_in_repo}


_MARKED = re.compile(r"[^ ]+:\d+:\d+: ")  # a place in a file, after which its words say nothing more


def _unusable(root: Path, text: str) -> PushforwardError:
    """The refusal of a dvc.yaml, or a .dvc file, that DVC cannot use: one sentence, and its own words below."""
    told = dvctext.sentence(text, root=str(root))
    named = told.text.partition(":")[0].endswith((".dvc", ".yaml", ".lock"))
    below = f"\n{text.strip()}" if "\n" in text.strip() and not _MARKED.match(told.text) else ""
    line = told.text if named else f"dvc.yaml: {told.text}"
    return PushforwardError(f"{line}{below}", next=told.next or "edit dvc.yaml")


def _check_made(root: Path, repo: Any, wanted: Iterable[str]) -> None:
    """Refuse a pipeline that makes no model or holdout, or makes it of nothing that could change."""
    stages = {os.path.relpath(out.fs_path, root): out.stage for out in repo.index.outs}
    for path in wanted:
        makers = [stage for out, stage in stages.items() if _within(path, out)]
        if not makers and not (root / path).exists():
            there = f"its stages make {', '.join(sorted(stages)[:5])}" if stages else "its stages make nothing"
            text = f"no stage makes {path}, which params.yaml names; {there}"
            if not (root / "dvc.yaml").is_file():
                text = f"there is none in this commit, and so nothing that makes {path}, which params.yaml names"
            raise PushforwardError(f"dvc.yaml: {text}", next="edit dvc.yaml, or model in params.yaml")
        for stage in makers:
            if stage.cmd and not stage.deps and not stage.always_changed:
                raise PushforwardError(
                    f"dvc.yaml: stage {stage.addressing} makes {path} and has neither deps nor params: "
                    "once made it would never be made again",
                    next="name under deps: and params: what it reads",
                )


def _check_needed(root: Path, repo: Any) -> None:
    """Refuse a dependency that is neither there nor made: DVC would say of what is to be made that it is missing."""
    made = {os.path.relpath(out.fs_path, root) for out in repo.index.outs}
    for stage in repo.index.stages:
        for dep in stage.deps if stage.cmd else ():
            path = os.path.relpath(dep.fs_path, root) if dep.is_in_repo else ""
            if not path or path in made or (root / path).exists():
                continue
            if not any(_within(path, one) for one in made):
                raise PushforwardError(
                    f"dvc.yaml: stage {stage.addressing} needs {path}, "
                    "which is neither in the commit nor made by a stage",
                    next=f"git add {path}, or dvc add {path} && dvc push",
                )


def _check_frozen(repo: Any, lock: Mapping[str, Any]) -> set[str]:
    """Refuse a frozen stage whose deps or params have changed since it ran; the names of those that have not.

    DVC leaves a frozen stage alone whatever changes. What is frozen by an import waits for `dvc update`, as it should.
    """
    frozen = [stage for stage in repo.index.stages if stage.frozen and stage.cmd]
    for stage in frozen:
        stage.frozen = False
        try:
            with repo.lock:
                found = stage.status().get(stage.addressing, [])
        finally:
            stage.frozen = True
        changed = ["its command"] if {"changed command", "changed checksum"} & {str(entry) for entry in found} else []
        for deps in (entry.get("changed deps", {}) for entry in found if isinstance(entry, dict)):
            # what is "deleted" is not fetched yet; what is no word is a file of parameters
            changed += [str(path) for path, how in deps.items() if isinstance(how, str) and how != "deleted"]
        old = lock.get(stage.addressing, {}).get("params", {})
        for dep in stage.params:
            changed += _differences(old.get(dep.def_path, {}), dep.read_params())
        if changed:
            raise _frozen(stage.addressing, changed)
    return {stage.addressing for stage in frozen}


def _check_frozen_still(frozen: set[str], lock: Mapping[str, Any]) -> None:
    """Refuse a frozen stage for which a stage before it has just made something else."""
    made = {out["path"]: out.get("md5") for entry in lock.values() for out in entry.get("outs", [])}
    for name in sorted(frozen & lock.keys()):
        deps = lock[name].get("deps", [])
        changed = [dep["path"] for dep in deps if made.get(dep["path"], dep.get("md5")) != dep.get("md5")]
        if changed:
            raise _frozen(name, changed)


def _frozen(stage: str, changed: list[str]) -> PushforwardError:
    listed = ", ".join(changed[:4]) + (f" and {len(changed) - 4} more" if len(changed) > 4 else "")
    return PushforwardError(
        f"dvc.yaml: stage {stage} is frozen and would not run, though {listed} changed since it ran",
        next=f"take `frozen: true` from {stage.partition('@')[0]}" if "@" in stage else f"dvc unfreeze {stage}",
    )


def _is_of_objects(error: BaseException) -> bool:
    """Whether a stage could not be brought up to date for want of objects, and not because it failed."""
    from dvc.exceptions import CheckoutError, FileTransferError

    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, (CheckoutError, FileTransferError)):
            return True
        seen = seen.__cause__
    return False


def _lost(root: Path, repo: Any) -> PushforwardError | None:
    """The error where the remote does not have what a lock or a .dvc file names; None where it has all."""
    odb = repo.cloud.get_remote_odb()
    for out in repo.index.outs:
        if not (out.use_cache and out.hash_info) or odb.exists(out.hash_info.value):
            continue
        named = f"{os.path.relpath(out.fs_path, root)} (md5 {out.hash_info.value})"
        if out.stage.cmd:
            return PushforwardError(f"the DVC remote has lost {named}", exit_code=TOOL)
        by = os.path.relpath(out.stage.path, root)
        return PushforwardError(
            f"{by} names {named}, which the DVC remote does not have", next="dvc push, then push again"
        )
    return None


def _failed(error: BaseException, listener: _Listener, tail: bytes, result: Reproduction, root: Path) -> None:
    text = _chain(error)
    status = re.search(r"exited with (-?\d+)", text)
    words = tail.decode("utf-8", "replace")
    name = listener.stages[-1].name if listener.stages and listener.stages[-1].outcome == "ran" else ""
    said = words.rpartition(f"  {name} …\n")[2] if name else words
    lines = [line for line in said.strip().splitlines() if line.strip()]
    result.outcome = "refused" if status and int(status[1]) == DATA else "failed"
    if name and (none := re.search(r"Checkout failed for following targets:\s*(\S+)", text)):
        text = f"output '{none[1]}' does not exist"  # so DVC tells it where it pulls
    why = cause.of(lines, int(status[1]), root=str(root)) if status else dvctext.sentence(text, root=str(root))
    result.message = ("\n".join(lines[-12:]) if status and lines else text).replace(f"{root}/", "")
    if result.outcome == "failed":
        result.cause, result.next = why.text, why.next
    if not name and (found := dvctext.stage_of(text)):
        listener.stages.append(Stage(found, "ran"))
        name = found
    if name:
        listener.stages[-1].outcome = "failed"
        listener.stages[-1].reason = f"exit status {status[1]}" if status else why.text[:200]


def _persist(root: Path, repo: Any) -> None:
    """A missing folder remote is created by DVC without a word; an unmounted disk must not look like a push."""
    remote = repo.cloud.get_remote()
    if getattr(remote.fs, "protocol", "") == "local" and not Path(remote.path).is_dir():
        raise PushforwardError(
            f"the DVC remote {os.path.relpath(remote.path, root)} does not exist",
            next="pushforward check",
            exit_code=TOOL,
        )


def _read_back(repo: Any) -> None:
    """Hash every object that the lock names in the remote: a push that lost one still exits 0.

    DVC takes a folder for pushed whose list is there. What the remote lacks or spoils and the cache has is put back.
    """
    odb, cache = repo.cloud.get_remote_odb(), repo.cache.local
    wrong: list[str] = []

    def read(place: Any, oid: str) -> bytes | None:
        try:
            with place.fs.open(place.oid_to_path(oid), "rb") as handle:
                content: bytes = handle.read()
        except FileNotFoundError:
            return None
        good = hashlib.md5(content, usedforsecurity=False).hexdigest() == oid.removesuffix(".dir")
        return content if good else None

    def intact(oid: str) -> bytes | None:
        if (content := read(odb, oid)) is None and (content := read(cache, oid)) is not None:
            with contextlib.suppress(FileNotFoundError):
                odb.fs.rm_file(odb.oid_to_path(oid))
            odb.add_bytes(oid, content)
            content = read(odb, oid)
        return content

    for out in repo.index.outs:
        if not out.use_cache or not out.hash_info:
            continue
        oid = out.hash_info.value
        content = intact(oid)
        if content is None:
            wrong.append(str(out))
        elif oid.endswith(".dir"):
            wrong += [f"{out}/{entry['relpath']}" for entry in json.loads(content) if intact(entry["md5"]) is None]
    if wrong:
        raise PushforwardError(
            f"the DVC remote lacks or spoils {len(wrong)} of the objects in {LOCK}: {', '.join(wrong[:3])}",
            next="remove those objects from the cache and the remote, then push again",
            exit_code=TOOL,
        )


def absent(root: Path, outs: Mapping[str, str]) -> list[str]:
    """Those of the outs (path -> object) that the DVC remote of `root` does not have whole; asked, not read."""
    with _repo(root, _Listener(print)) as repo:
        odb = repo.cloud.get_remote_odb()

        def whole(oid: str) -> bool:
            if not odb.exists(oid):
                return False
            if not oid.endswith(".dir"):
                return True
            with odb.fs.open(odb.oid_to_path(oid), "rb") as handle:
                inside = {str(entry["md5"]) for entry in json.loads(handle.read())}
            return inside <= set(odb.oids_exist(sorted(inside)))

        return [path for path, oid in outs.items() if not whole(oid)]


def _normalize(root: Path, known: set[str], *, complete: bool) -> dict[str, Any]:
    """Drop what DVC keeps of stages that no longer exist, put the others in one order; the stages of the lock."""
    lock = files.read(root, LOCK)
    if lock is None:
        return {}
    kept = {name: entry for name, entry in read_lock(lock).items() if not complete or name in known}
    files.write(root, LOCK, write_lock(kept))
    return kept


def untouched(checkout: Repository) -> None:
    """Refuse a run whose stages wrote over files of the commit: its lock would name what never was there."""
    wrong = [path for path in checkout.unclean() if path != LOCK and not path.startswith(f"{METRICS}/")]
    if wrong:
        raise PushforwardError(
            f"the pipeline changed {', '.join(wrong[:3])}, which it does not own",
            next="declare it as an out in dvc.yaml and in .gitignore",
        )


def forget(root: Path, *, keep: str) -> None:
    """Remove from `root` and its cache what the lock says was made there, but `keep`."""
    stages = read_lock(files.read(root, LOCK))
    for path in {out["path"] for entry in stages.values() for out in entry.get("outs", [])}:
        if path != keep and not path.startswith(f"{METRICS}/"):
            files.remove(root, path)
    shutil.rmtree(_cache(root), ignore_errors=True)


def fetch(root: Path, *targets: str, say: Any = print) -> None:
    """Bring the outs `targets` of the lock in `root` into the folder, from cache or remote.

    What the cache holds is copied and hashed here: to start DVC for it would take longer than all the rest of a judge.
    """
    targets = tuple(target for target in targets if not _from_cache(root, target))
    if not targets:
        return
    listener = _Listener(say)
    listener.transferring = True
    with _repo(root, listener) as repo:
        repo.pull(targets=list(targets), allow_missing=False)
    if listener.complaints:
        raise PushforwardError(f"DVC: {listener.complaints[0]}", next="pushforward check", exit_code=TOOL)


def _from_cache(root: Path, target: str) -> bool:
    """Copy the out `target` from the cache of the project in `root`; False where the cache does not have all of it."""
    stages = read_lock(files.read(root, LOCK))
    found = [out for entry in stages.values() for out in entry.get("outs", []) if out["path"] == target]
    if len(found) != 1 or found[0].get("hash") != "md5":
        return False
    cache = _cache(root)

    def read(oid: str) -> bytes | None:
        content = files.read(cache, f"files/md5/{oid[:2]}/{oid[2:]}")
        good = content and hashlib.md5(content, usedforsecurity=False).hexdigest() == oid.removesuffix(".dir")
        return content if good else None

    oid = str(found[0]["md5"])
    whole = read(oid)
    if whole is None:
        return False
    wanted = [(entry["relpath"], entry["md5"]) for entry in json.loads(whole)] if oid.endswith(".dir") else []
    parts = {name: content for name, one in wanted if (content := read(one)) is not None}
    if len(parts) < len(wanted):
        return False
    for name, content in parts.items() if oid.endswith(".dir") else [("", whole)]:
        files.write(root, f"{target}/{name}" if name else target, content)
    return True


def _cache(root: Path) -> Path:
    return storage(root).cache


def build(root: Path, path: str, *, say: Any = print) -> None:
    """Make the out `path` with the code in `root`: its stage and those before it, nothing else."""
    listener = _Listener(say)
    with _tail() as tail, _repo(root, listener) as repo:
        from dvc.exceptions import ReproductionError

        made_by = [out.stage.addressing for out in repo.index.outs if out.def_path == path and out.stage]
        if not made_by:
            raise PushforwardError(f"no stage in dvc.yaml has the out {path}", next="edit dvc.yaml")
        _refuse_links(repo)
        try:
            _pull_folders(repo, made_by[0])
            repo.reproduce(targets=made_by, pull=True, allow_missing=True)
        except ReproductionError as failed:
            result = Reproduction()
            if _is_of_objects(failed) and (lost := _lost(root, repo)):
                raise lost from failed
            _failed(failed, listener, bytes(tail), result, root)
            if result.outcome == "refused":
                raise PushforwardError(result.message, exit_code=DATA) from None
            stage = listener.stages[-1].name if listener.stages else made_by[0]
            text = f"{stage} failed: {result.cause}\n{result.message}"
            raise PushforwardError(text, next=result.next) from None
        if not (root / path).exists():
            repo.pull(targets=made_by)
