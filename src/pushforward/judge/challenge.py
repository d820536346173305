"""The pushed code answers: it scores the holdout in a folder that holds its code and its model, and no label."""

import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pushforward import files
from pushforward.errors import PushforwardError
from pushforward.git.repository import Repository
from pushforward.judge import handover, scorings, table
from pushforward.judge import holdout as holdouts
from pushforward.judge.holdout import EVENTS, ROWS
from pushforward.judge.score import SCORE_SECONDS, Pair, read_asked, score_each
from pushforward.pipeline import dvc as pipeline
from pushforward.pipeline import environment
from pushforward.pipeline.checkout import checkout

if TYPE_CHECKING:
    import polars as pl

    from pushforward.gate.leakage import Told, Trial
    from pushforward.settings import Settings


def answer(root: Path, rules: "Settings", out: Path, *, probe: bool, forget: bool, say: Callable[[str], None]) -> str:
    """Score the holdout of each model of the checkout in `root` into the hand-over `out`; with `probe` the probes too.

    What these have found is given as a sentence, "" where nothing is.

    With `forget` everything that the pipeline made but the models is removed before any model is asked: a run that is
    not trusted has no label left to read. Of several models each is asked, also where another one fails.
    """
    python, failures, leaks = environment.project(root), list[PushforwardError](), list[str]()
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor() as beside:
        models = [one for one in rules.each if one.score]
        names = [one.contract.name for one in models]
        parts = [out / handover.MODELS / name if rules.all_of_several else out for name in names]
        places = [Path(scratch) / name for name in names]
        asked = [_given(root, *one) for one in zip(models, places, parts, strict=True)]
        owned = beside.submit(_own, root, asked)
        # What the first is told again is made while git works; the others' in their turn, for the disk and the memory.
        tables: list[Callable[[], _Probed | None]] = [partial(_probed, one, probe=probe) for one in asked]
        tables[:1] = [beside.submit(one).result for one in tables[:1]]
        owned.result()
        if forget:
            pipeline.forget(root, keep=[one.rules.contract.path for one in asked])
        for one, made in zip(asked, tables, strict=True):
            one.part.mkdir(parents=True, exist_ok=True)
            try:
                leaks.append(_ask(one, python, say, made()))
            except PushforwardError as failed:
                handover.write_words(one.part, failed)
                failures.append(failed)
    if rules.all_of_several:
        handover.write_unscored(out, f"each model has its own answer: {', '.join(one.name for one in rules.each)}")
    if failures:
        raise failures[0]
    return "; ".join(filter(None, leaks))


class _Given(NamedTuple):
    """A model's rules, the rows that it is asked, where its code and its files go, and where its answers."""

    rules: "Settings"
    given: Path
    own: Path
    part: Path

    @property
    def told(self) -> Pair:
        """What it is told in truth."""
        events = self.given.parent / EVENTS if self.rules.contract.events else None
        return Pair(events, self.part / f"{handover.PREDICTIONS}{self.given.suffix}")


def _given(root: Path, rules: "Settings", place: Path, part: Path) -> _Given:
    contract = rules.contract
    missing = [name for name in (contract.path, contract.holdout) if not (root / name).exists()]
    if missing:
        pipeline.fetch(root, *missing)
    given = table.place(files.place(root, contract.holdout), ROWS, contract.holdout)
    for name in (given.name, *([EVENTS] if contract.events else [])):
        files.copy(root, f"{contract.holdout}/{name}", place / name)
    return _Given(rules, place / given.name, place / "checkout", part)


def _own(root: Path, asked: Sequence[_Given]) -> None:
    """Put each model beside its code: nothing else of the pipeline is there."""
    source = Repository(root)
    for one in asked:
        path = one.rules.contract.path
        checkout(source, source.commit("HEAD"), one.own)
        files.remove(one.own, path)  # whatever git has there
        files.copy(root, path, files.place(one.own, path))


def _ask(asked: _Given, python: Path, say: Callable[[str], None], probed: "_Probed | None") -> str:
    contract = asked.rules.contract

    def run(pairs: Sequence[Pair]) -> None:
        score_each(asked.own, contract, asked.given, pairs, python_bin=python, timeout=SCORE_SECONDS)

    if probed is None:
        run([asked.told])
        say(f"scored {contract.holdout}")
        return ""
    return _probe(probed, asked, run, say)


class _Probed(NamedTuple):
    """Rows and events of a holdout, the names of their columns, and what the model is told again."""

    rows: "pl.DataFrame"
    events: "Told"
    key: str
    time: str
    trials: "list[Trial]"


def _probed(asked: _Given, *, probe: bool) -> _Probed | None:
    """What a probe goes by; None where there is to be none, or features remember no events."""
    contract, folder = asked.rules.contract, asked.part / handover.PROBES
    events = holdouts.told(asked.given.parent, asked.rules) if probe and contract.time is not None else None
    if events is None or contract.time is None:
        return None
    from pushforward.gate import leakage as honesty

    rows, key, time = table.read(asked.given, asked.given.name), contract.key, contract.time
    trials = honesty.trials(rows, events, key=key, time=time, folder=folder, suffix=asked.given.suffix)
    return _Probed(rows, events, key, time, trials)


def _probe(probed: _Probed, asked: _Given, run: Callable[[Sequence[Pair]], None], say: Callable[[str], None]) -> str:
    from pushforward.gate import leakage as honesty

    rows, events, key, time, trials = probed
    contract = asked.rules.contract

    def read(path: Path) -> honesty.Floats:
        return read_asked(path, rows[key], asked.rules)

    def answer(events: Path, out: Path) -> honesty.Floats:
        with honesty.with_the_future_replaced():
            run([Pair(events, out)])
            return read(out)

    model = files.place(asked.own, contract.path)
    before, afters = scorings.answers(run, read, asked.told, trials, at_once=contract.repeats, model=model)
    say(f"scored {contract.holdout}")
    found = honesty.probe(rows, events, before, [*zip(trials, afters, strict=True)], answer, key=key, time=time)
    if found is not None:
        (asked.part / handover.PROBES / handover.SOURCE).write_text(found.source)
        say(found.sentence())
        return found.sentence()
    if trials:
        say(f"scored again at {honesty.INSTANTS} instants with the future replaced: no earlier prediction changed")
    return ""
