"""Folds of a search: moments of the past at which the pipeline is run as it would have been then. `study` asks them.

A fold's checkout lists the batches that had arrived by then and no later one, so its pipeline's own rule sets the last
`gate.window` of them aside, and its model has trained on those before. What it is asked is what the judge would have
asked then, and by the judge's loss: all of it is older than the holdout of today, whose batches no fold lists.
Where there are no batches, or `tune.metric` is named, a number of the pipeline on its validation rows counts.
"""

import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pushforward import files, params, yamledit
from pushforward.errors import PushforwardError
from pushforward.git.repository import Repository
from pushforward.judge import holdout as holdouts
from pushforward.judge import table
from pushforward.judge.score import SCORE_SECONDS, PredictionsError, ScoringError, read_asked, score
from pushforward.lifecycle import Tune
from pushforward.pipeline import declared, environment, part
from pushforward.pipeline import dvc as pipeline
from pushforward.pipeline.checkout import checkout
from pushforward.pipeline.storage import storage
from pushforward.schema import FILE
from pushforward.settings import Settings

LATE = "the time is over"
ANSWERS = ".dvc/tmp/answers"  # below a fold's checkout


@contextmanager
def _hushed(log: Path) -> Iterator[None]:
    """What stages print goes to the end of a file: of a hundred runs nobody reads it, but of one that fails."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    with log.open("ab") as to:
        os.dup2(to.fileno(), 1)
        os.dup2(to.fileno(), 2)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for place, descriptor in enumerate(saved, start=1):
            os.dup2(descriptor, place)
            os.close(descriptor)


class FailedError(PushforwardError):
    """A pipeline that makes no number with the parameters that are tried; the search goes on without them."""


@dataclass(frozen=True)
class Fold:
    """A moment of the past: the batches that had arrived, and those of them that its model is asked.

    None is asked where a number of the pipeline counts, on rows that are the pipeline's own choice.
    """

    listed: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.asked:
            return f"validation as of {self.listed[-1]}" if self.listed else "validation"
        return self.asked[0] if len(self.asked) == 1 else f"{self.asked[0]} to {self.asked[-1]}"


def origins(batches: Sequence[str], window: int, count: int) -> list[Fold]:
    """Up to `count` folds, oldest first, of batches before the holdout; no batch is asked in two of them.

    A fold needs a batch to train on and one to validate on before those that it is asked.
    """
    seen = tuple(batches[:-window])
    ends = range(len(seen), window + 1, -window)
    return [Fold(seen[:end], seen[end - window : end]) for end in ends][:count][::-1]


def folds(rules: Settings, told: Tune, read: Callable[[str], bytes | None]) -> list[Fold]:
    """The folds of a search and, last, the one that is kept back; the only one where there is no more than one."""
    batches = rules.arrived(read) if rules.level == 3 else []
    if not batches:
        return [Fold()]
    found = origins(batches, rules.gate.window, told.folds + 1)
    if not found:
        needed = 2 * rules.gate.window + 2
        raise PushforwardError(
            f"{len(batches)} batches have arrived, and a search needs {needed}: the holdout's {rules.gate.window} are "
            f"not touched, and of the rest {rules.gate.window} are asked, one validates and one trains",
            next="wait for more batches, or lower gate.window",
        )
    return found if told.metric is None else [Fold(one.listed) for one in found]


@dataclass
class Pace:
    """How many seconds runs have taken so far, and what comes before the first one of a fold; `ready` are made here."""

    runs: list[float] = field(default_factory=list)
    preparing: list[float] = field(default_factory=list)
    ready: int = 0

    def fits(self, ends: float | None, runs: int, fresh: int = 0) -> bool:
        """Whether so many runs end in time, as long as the longest so far; of that many folds they are the first."""
        needed = runs * max(self.runs, default=0.0) + fresh * max(self.preparing, default=0.0)
        return ends is None or time.monotonic() + needed <= ends

    @contextmanager
    def told(self, kind: list[float]) -> Iterator[None]:
        """Write down how long this block takes, however it ends."""
        began = time.monotonic()
        try:
            yield
        finally:
            kind.append(round(time.monotonic() - began, 2))


@dataclass
class Ground:
    """Where folds are run: a checkout for each, below `folder`, of the commit at hand."""

    root: Path
    rules: Settings
    told: Tune
    folder: Path
    log: Path
    say: Callable[[str], None]
    pace: Pace = field(default_factory=Pace)
    _made: dict[Fold, Path] = field(default_factory=dict)

    @property
    def file(self) -> str:
        """The params.yaml that is searched."""
        return self.rules.model.beside(params.FILE)

    def number(self, fold: Fold, values: Mapping[str, Any]) -> float:
        """What a fold's model loses with other `values` of parameters, or what its metric is."""
        # DVC would have this process deaf to Ctrl-C, but for a thread that is not the first.
        with ThreadPoolExecutor(1) as beside:
            return beside.submit(self._number, fold, values).result()

    def _number(self, fold: Fold, values: Mapping[str, Any]) -> float:
        own = self._made.get(fold)
        if own is None:
            with self.pace.told(self.pace.preparing):
                own = self._prepared(fold)
            self.pace.ready += 1
        with self.pace.told(self.pace.runs):
            return self._tried(own, fold, values)

    def _tried(self, own: Path, fold: Fold, values: Mapping[str, Any]) -> float:
        files.write(own, self.file, self._params(fold, values))
        self._run(own, fold, first=False)
        try:
            found = self._metric(own, fold) if self.told.metric else self._loss(own)
        except (PredictionsError, ScoringError) as failed:
            raise FailedError(f"{fold}: {failed.message.splitlines()[0]}", next=failed.next) from failed
        if not math.isfinite(found):
            raise FailedError(f"{fold}: the loss is {found}", next="pushforward repro")
        return found

    def _params(self, fold: Fold, values: Mapping[str, Any]) -> bytes:
        text = self._text(self.file)
        named, key = self.rules.batches
        listed = {key: list(fold.listed)} if fold.listed and named == self.file else {}
        return yamledit.changed(text, {**values, **listed}, self.file)

    def _text(self, file: str) -> bytes:
        repository = Repository(self.root)
        text = repository.read("HEAD", file)
        if text is None:
            raise PushforwardError(
                f"this commit has no {file}, whose parameters tune.space names", next=f"git add {file}"
            )
        return text

    def _prepared(self, fold: Fold) -> Path:
        """A fold's checkout, with all that its pipeline makes by the parameters of today."""
        repository = Repository(self.root)
        own = self.folder / f"fold-{len(self._made)}"
        checkout(repository, repository.commit("HEAD"), own, storage=storage(self.root))
        named, key = self.rules.batches
        if fold.listed and named != self.file:
            files.write(own, named, yamledit.changed(self._text(named), {key: list(fold.listed)}, named))
        files.write(own, self.file, self._params(fold, {}))
        self.say(f"{fold}: a checkout of {fold.listed[0]} to {fold.listed[-1]}" if fold.listed else "a checkout")
        try:
            self._run(own, fold, first=True)
        except FailedError:
            shutil.rmtree(own)  # the next trial begins it anew: what failed may have been the moment's
            raise
        self._made[fold] = own
        return own

    def _run(self, own: Path, fold: Fold, *, first: bool) -> None:
        pull = first and bool(storage(own).url)
        shown = declared.here(own).metrics
        environment.enter(environment.project(own))
        with _hushed(self.log), part.alone(own):
            done = pipeline.reproduce(
                own, pull=pull, push=False, whole=first, shown=shown, keep=first, say=lambda _: None
            )
        if done.outcome != "ok":
            why = done.cause or done.message.strip().partition("\n")[0]
            stage = done.stages[-1].name if done.stages else "the pipeline"
            raise FailedError(f"{fold}: {stage} {done.outcome}: {why}", next=done.next)

    def _metric(self, own: Path, fold: Fold) -> float:
        path, _, key = str(self.told.metric).partition(":")
        path = self.rules.model.beside(path)
        found = declared.numbers(path, files.read(own, path) or b"")
        if key not in found:
            known = ", ".join(list(found)[:8]) or "no number"
            raise FailedError(
                f"{fold}: tune.metric: the pipeline wrote no number {key} into {path}: it has {known}",
                next=f"mend the stage that writes it, or tune.metric in {FILE}",
            )
        return found[key]

    def _loss(self, own: Path) -> float:
        import polars as pl

        from pushforward.gate import loss as losses

        contract, folder = self.rules.contract, files.place(own, self.rules.contract.holdout)
        labels = holdouts.tables(folder, self.rules)[2]
        given = table.place(folder, holdouts.ROWS, contract.holdout)
        out = files.place(own, f"{ANSWERS}{given.suffix}")
        told = folder / holdouts.EVENTS if contract.events else None
        python = environment.project(own)
        score(own, contract, given, told, out, python_bin=python, timeout=SCORE_SECONDS)
        predicted = read_asked(out, labels[contract.key], self.rules)
        one = losses.of(self.rules.gate, len(contract.classes))
        return float(one.rows(labels[contract.label].cast(pl.Float64).to_numpy(), predicted).mean())
