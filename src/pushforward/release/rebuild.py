"""A version made again: a clean checkout, its locked environment, no cache, the whole pipeline from raw data."""

import contextlib
import hashlib
import os
import posixpath
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pushforward import files, process, settings, text
from pushforward.errors import TOOL, PushforwardError
from pushforward.gate import stats
from pushforward.git.repository import Repository
from pushforward.git.server import Server
from pushforward.judge import score, table
from pushforward.judge.holdout import EVENTS, ROWS
from pushforward.pipeline import checkout as throwaway
from pushforward.pipeline import declared, environment, folders
from pushforward.pipeline import dvc as pipeline
from pushforward.pipeline.fitted import Fitted
from pushforward.pipeline.lock import LOCK, read_lock
from pushforward.pipeline.storage import LOCAL, Storage, home, is_project, storage
from pushforward.pipeline.store import Store
from pushforward.release import entry
from pushforward.release.hop import DifferentError, ElsewhereError, FailedError
from pushforward.release.provenance import Content
from pushforward.settings import Settings

LAST_LINES = 8
RUNNING = "Running stage '"


@dataclass(frozen=True)
class Source:
    """A commit of `repository` to check out and to make again, and what it is made with.

    `url` is where the DVC remote lies, "" where only the commit says, `like` the clone whose options it has; `server`
    may have the environment that the commit locks.
    """

    repository: Repository
    commit: str
    url: str
    like: Path
    server: Server | None
    model: str = ""


def rebuild(
    source: Source,
    data: Mapping[str, Content],
    golden: bytes | None,
    *,
    folder: Path,
    progress: Callable[[str], None],
    how: Fitted = Fitted({}),  # noqa: B008, it is frozen
) -> str:
    """Make `source` again in `folder` and compare all that its provenance lists as `data`, and `golden` predictions.

    Without `golden` no model is asked: what its own run has predicted is among the data. `how` the model was fitted
    says what is needed, and whether its bytes come again; where they do not, its metrics have to, within a bound.
    From the DVC remote comes only what was added by hand, imported or frozen. Gives what was the same; raises
    `DifferentError` naming the first stage that makes something else, `FailedError` for one that fails, and
    `ElsewhereError` where this machine lacks what it needs.
    """
    started = time.monotonic()
    if how.lacking:
        raise ElsewhereError(f"cannot be rebuilt here: {how.lacking}")
    root = checkout(source, folder / "checkout", cache=folder / "cache")
    rules = settings.load(root).of(source.model)
    python = _interpreter(source, rules.environment, progress)
    lock = folders.whole_here(root)
    own = Repository(root)
    pipeline.seed(own, None, rules.outs)
    still = read_lock(folders.whole_here(root))
    pipeline.check(root)  # what runs it below is DVC as it is
    added = [path for path in own.tree("HEAD") if path.endswith(".dvc")]
    added += [out["path"] for entry in still.values() for out in entry.get("outs", []) if out.get("md5")]
    if added:
        progress(f"fetching {', '.join(added[:3])}{' …' if len(added) > 3 else ''}")
        pipeline.fetch(root, *added, say=lambda _: None)
    ran = _repro(root, python, progress, needs=how.elsewhere or not how.reproducible)
    stages = read_lock(lock)
    loose = set() if how.reproducible else _after(stages, rules.model_path)
    firm = {path: content for path, content in data.items() if not _within(path, loose)}
    _compare(root, Store(folder / "cache"), stages, firm)
    same = f"{ran} stages from raw data, {len(firm)} files"
    if not how.reproducible:
        near = _compare_metrics(root, own, loose, how)
        bound = f"{near} metrics within {how.within:g}"
        return f"{same} the same, {bound}; no bytes of the model are promised; {time.monotonic() - started:.0f} s"
    if golden is not None:
        progress("scoring the holdout")
        rounding = stats.BETWEEN_DEVICES if how.elsewhere else stats.ROUNDING
        rows = _compare_predictions(root, rules, python, golden, folder / "predictions.parquet", rounding)
        same += f" and {rows} golden predictions"
    return f"{same} the same; {time.monotonic() - started:.0f} s"


def checkout(source: Source, folder: Path, *, cache: Path) -> Path:
    """A clean checkout with the DVC cache `cache`, and the DVC remote that the clone in `source.like` uses.

    Where that is no clone the commit says which one; `source.url` is where it lies, if that is known better.
    """
    throwaway.checkout(source.repository, source.commit, folder)
    known = storage(source.like if is_project(source.like) else folder)
    options = {**known.options, "url": source.url} if source.url and known.remote else known.options
    files.write(folder, posixpath.join(home(folder), LOCAL), Storage(cache, known.remote, options).config().encode())
    return folder


def _interpreter(source: Source, requirements: list[str], progress: Callable[[str], None]) -> Path:
    repository, commit = source.repository, source.commit
    wanted = environment.digest(repository, commit, requirements)
    home = environment.cache()
    own = source.server.folder / "environments" if source.server else home
    there = own / wanted[:16] / environment.STAMP
    if wanted != environment.at_hand() and not there.is_file():
        progress(f"the environment that {commit[:9]} locks: built once, kept in {home}")
    try:
        return environment.interpreter(repository, commit, requirements, folder=own if there.is_file() else home)
    except PushforwardError as failed:
        raise FailedError(failed.message, exit_code=TOOL) from failed


def _repro(root: Path, python: Path, progress: Callable[[str], None], *, needs: bool) -> int:
    """Run every stage; how many there were.

    Of a fit that `needs` more than a processor, or more than this machine, a stage may say that it lacks that.
    """
    env = process.clean_environment(
        {
            "PATH": environment.search_path(python),
            "PYTHONPATH": str(root / "src"),
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(root / home(root) / ".dvc" / "tmp" / "site"),
            "OMP_WAIT_POLICY": "passive",
        }
    )
    stages: list[str] = []
    tail: list[str] = []
    # DVC of the environment at hand: it only starts what dvc.yaml says, with the version's own Python first in PATH
    with _child([sys.executable, "-m", "dvc", "repro", "--all-pipelines"], root / home(root), env) as (child, lines):
        for line in lines:
            if line.startswith(RUNNING):
                stages.append(line.removeprefix(RUNNING).partition("'")[0])
                progress(f"{stages[-1]} …")
                tail = []
            elif line.strip():
                tail = [*tail[-LAST_LINES:], line]
        status = child.wait()
    if status != 0:
        stage = stages[-1] if stages else "the pipeline"
        if needs and any(re.search(rf"^ERROR: .*exited with {TOOL}$", line) for line in tail):
            said = next((line for line in tail if not line.startswith(("ERROR", ">"))), "")
            raise ElsewhereError(f"cannot be rebuilt here: {stage}: {text.plain(said, 300)}")
        raise FailedError("\n  ".join([f"{stage} failed with exit status {status}", *tail]))
    return len(stages)


@contextlib.contextmanager
def _child(argv: list[str], cwd: Path, env: Mapping[str, str]) -> Iterator[tuple[subprocess.Popen[str], Iterator[str]]]:
    """A child in a process group of its own, and its lines as they come; nothing of the group outlives the block."""
    child = subprocess.Popen(
        argv,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    assert child.stdout is not None  # noqa: S101, a pipe was asked for
    try:
        with child.stdout as stream:
            yield child, (line.rstrip("\n") for line in stream)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _compare(root: Path, cache: Store, stages: Mapping[str, Any], data: Mapping[str, Content]) -> None:
    """Raise for the first stage that makes something else out of what is the same."""
    made = read_lock(folders.whole_here(root))
    if odd := sorted(set(made) ^ set(stages)):
        there = [odd[0] if odd[0] in one else "" for one in (stages, made)]
        raise DifferentError(f"the pipeline has other stages than {LOCK}", odd[0], *there)
    oids = {str(out["path"]): str(out.get("md5")) for entry in made.values() for out in entry.get("outs", [])}

    def found(path: str, content: Content) -> str:
        # a path that ends so is DVC's list of what is in a folder
        listed = path.endswith("/")
        file = cache.file(oids.get(path[:-1], f"{content.md5}.dir")) if listed else files.place(root, path)
        if not file.is_file():
            return ""
        with file.open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()

    wrong = {path: other for path, content in data.items() if (other := found(path, content)) != content.sha256}
    if not wrong:
        return

    def touched(entry: Mapping[str, Any], kind: str) -> list[str]:
        return [path for path in wrong for one in entry.get(kind, []) if _overlap(path, str(one["path"]))]

    makers = {name: paths for name, entry in stages.items() if (paths := touched(entry, "outs"))}
    first = next((name for name in makers if not touched(stages[name], "deps")), next(iter(makers), ""))
    path = min(makers.get(first) or wrong, key=lambda one: (one.endswith("/"), one))
    who = f"the stage {first} makes another {path}" if first else f"{path} is another one"
    raise DifferentError(who, path, data[path].sha256, wrong[path])


def _after(stages: Mapping[str, Any], model: str) -> set[str]:
    """The outs of the stage that makes the model, and of all that comes after it."""
    found = {model}
    while True:
        reached = [
            entry
            for entry in stages.values()
            if any(_overlap(str(out["path"]), path) for out in entry.get("outs", []) for path in found)
            or any(_overlap(str(dep["path"]), path) for dep in entry.get("deps", []) for path in found)
        ]
        more = {str(out["path"]) for entry in reached for out in entry.get("outs", [])}
        if more <= found:
            return found
        found |= more


def _within(path: str, outs: set[str]) -> bool:
    return any(_overlap(path, out) for out in outs)


def _compare_metrics(root: Path, own: Repository, outs: set[str], how: Fitted) -> int:
    """Hold the metrics among `outs` against those of the commit, within the bound; how many numbers there are."""
    known, count = declared.here(root), 0
    for path in sorted(path for path in outs if known.shows(path)):
        told = declared.numbers(path, own.read("HEAD", path) or b"")
        found = declared.numbers(path, files.place(root, path).read_bytes())
        for name, value in told.items():
            if name not in found or not how.near(value, found[name]):
                what = f"the metric {name} is not within {how.within:g}"
                raise DifferentError(what, path, repr(value), repr(found.get(name, "")))
        count += len(told)
    if not count:
        raise FailedError("its bytes are not reproducible, and it has no metric in git to be held against")
    return count


def _overlap(one: str, other: str) -> bool:
    one, other = f"{one.rstrip('/')}/", f"{other.rstrip('/')}/"
    return one.startswith(other) or other.startswith(one)


def _compare_predictions(root: Path, rules: Settings, python: Path, golden: bytes, out: Path, rounding: float) -> int:
    """Score the holdout with the model that was made; how many golden rows there are, all of them the same."""
    contract = rules.contract
    wanted = entry.golden(golden, contract.key, len(contract.classes))
    holdout = root / contract.holdout
    given = table.place(holdout, ROWS, contract.holdout)
    keys, out = table.read(given, given.name)[contract.key], out.with_suffix(given.suffix)
    told = holdout / EVENTS if contract.events else None
    score.score(root, contract, given, told, out, python_bin=python, timeout=score.SCORE_SECONDS)
    predictions = score.read_asked(out, keys, rules)
    named = keys if keys.dtype.is_integer() else keys.cast(pl.String)
    found = dict(zip(named.to_list(), predictions.tolist(), strict=True))
    for key, p in wanted:
        if key not in found or stats.differing(np.array([p]), np.array([found[key]]), rounding).any():
            raise DifferentError(
                f"the prediction for {contract.key} {key!r:.60}", str(contract.holdout), repr(p), repr(found.get(key))
            )
    return len(wanted)
