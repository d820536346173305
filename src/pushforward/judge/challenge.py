"""The pushed code answers: it scores the holdout in a folder that holds its code and its model, and no label."""

import tempfile
from collections.abc import Callable, Sequence
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

    from pushforward.gate.leakage import Told
    from pushforward.settings import Settings


def answer(root: Path, rules: "Settings", out: Path, *, probe: bool, forget: bool, say: Callable[[str], None]) -> str:
    """Score the holdout of each model of the checkout in `root` into the hand-over `out`; with `probe` the probes too.

    What these have found is given as a sentence, "" where nothing is.

    With `forget` everything that the pipeline made but the models is removed before any model is asked: a run that is
    not trusted has no label left to read. Of several models each is asked, also where another one fails.
    """
    python, failures, leaks = environment.project(root), list[PushforwardError](), list[str]()
    with tempfile.TemporaryDirectory() as scratch:
        asked = [_prepared(root, one, Path(scratch) / one.contract.name) for one in rules.each if one.score]
        if forget:
            pipeline.forget(root, keep=[one.rules.contract.path for one in asked])
        for one in asked:
            part = out / handover.MODELS / one.rules.contract.name if rules.all_of_several else out
            part.mkdir(parents=True, exist_ok=True)
            try:
                leaks.append(_ask(one, python, part, say, probe=probe))
            except PushforwardError as failed:
                handover.write_words(part, failed)
                failures.append(failed)
    if rules.all_of_several:
        handover.write_unscored(out, f"each model has its own answer: {', '.join(one.name for one in rules.each)}")
    if failures:
        raise failures[0]
    return "; ".join(filter(None, leaks))


class _Prepared(NamedTuple):
    """A model beside its code, and the rows that it is asked: nothing else of the pipeline is there."""

    rules: "Settings"
    own: Path
    given: Path


def _prepared(root: Path, rules: "Settings", place: Path) -> _Prepared:
    contract = rules.contract
    missing = [name for name in (contract.path, contract.holdout) if not (root / name).exists()]
    if missing:
        pipeline.fetch(root, *missing)
    given = table.place(files.place(root, contract.holdout), ROWS, contract.holdout)
    for name in (given.name, *([EVENTS] if contract.events else [])):
        files.copy(root, f"{contract.holdout}/{name}", place / name)
    source = Repository(root)
    own = checkout(source, source.commit("HEAD"), place / "checkout")
    files.remove(own, contract.path)  # whatever git has there
    files.copy(root, contract.path, files.place(own, contract.path))
    return _Prepared(rules, own, place / given.name)


def _ask(asked: _Prepared, python: Path, out: Path, say: Callable[[str], None], *, probe: bool) -> str:
    contract, given = asked.rules.contract, asked.given
    told = Pair(given.parent / EVENTS if contract.events else None, out / f"{handover.PREDICTIONS}{given.suffix}")

    def run(pairs: Sequence[Pair]) -> None:
        score_each(asked.own, contract, given, pairs, python_bin=python, timeout=SCORE_SECONDS)

    events = holdouts.told(given.parent, asked.rules) if probe and contract.time is not None else None
    if events is None or contract.time is None:
        run([told])
        say(f"scored {contract.holdout}")
        return ""
    rows = table.read(given, given.name)
    return _probe(_Probed(rows, events, contract.key, contract.time), asked.rules, told, run, say)


class _Probed(NamedTuple):
    """Rows and events of a holdout, and the names of their columns."""

    rows: "pl.DataFrame"
    events: "Told"
    key: str
    time: str


def _probe(
    probed: _Probed, rules: "Settings", told: Pair, run: Callable[[Sequence[Pair]], None], say: Callable[[str], None]
) -> str:
    from pushforward.gate import leakage as honesty

    rows, events, key, time = probed
    folder = told.out.parent / handover.PROBES

    def read(path: Path) -> honesty.Floats:
        return read_asked(path, rows[key], rules)

    def answer(events: Path, out: Path) -> honesty.Floats:
        with honesty.with_the_future_replaced():
            run([Pair(events, out)])
            return read(out)

    trials = honesty.trials(rows, events, key=key, time=time, folder=folder, suffix=told.out.suffix)
    before, afters = scorings.answers(run, read, told, trials, at_once=rules.contract.repeats)
    say(f"scored {rules.contract.holdout}")
    found = honesty.probe(rows, events, before, [*zip(trials, afters, strict=True)], answer, key=key, time=time)
    if found is not None:
        (folder / handover.SOURCE).write_text(found.source)
        say(found.sentence())
        return found.sentence()
    if trials:
        say(f"scored again at {honesty.INSTANTS} instants with the future replaced: no earlier prediction changed")
    return ""
