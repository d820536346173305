"""The pushed code answers: it scores the holdout in a folder that holds its code and its model, and no label."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pushforward import files
from pushforward.errors import PushforwardError
from pushforward.git.repository import Repository
from pushforward.judge import handover, table
from pushforward.judge import holdout as holdouts
from pushforward.judge.holdout import EVENTS, ROWS
from pushforward.judge.score import SCORE_SECONDS, read_asked, score
from pushforward.pipeline import dvc as pipeline
from pushforward.pipeline import environment
from pushforward.pipeline.checkout import checkout

if TYPE_CHECKING:
    import polars as pl

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
    predictions = (out / f"{handover.PREDICTIONS}{given.suffix}").absolute()

    def run(told: Path | None, to: Path) -> None:
        score(asked.own, contract, given, told, to, python_bin=python, timeout=SCORE_SECONDS)

    run(given.parent / EVENTS if contract.events else None, predictions)
    say(f"scored {contract.holdout}")
    if probe and contract.time is not None and (events := holdouts.events(given.parent, asked.rules)) is not None:
        case = _Probed(table.read(given, given.name), events, contract.key, contract.time)
        return _probe(case, asked.rules, predictions, out / handover.PROBES, run, say)
    return ""


class _Probed(NamedTuple):
    """Rows and events of a holdout, and the names of their columns."""

    rows: "pl.DataFrame"
    events: "pl.DataFrame"
    key: str
    time: str


def _probe(
    probed: _Probed,
    rules: "Settings",
    predictions: Path,
    folder: Path,
    run: Callable[[Path, Path], None],
    say: Callable[[str], None],
) -> str:
    from pushforward.gate import leakage as honesty

    rows, events, key, time = probed
    keys = rows[key]

    def answer(told: Path, to: Path) -> honesty.Floats:
        to = to.with_suffix(predictions.suffix)
        with honesty.with_the_future_replaced():
            run(told, to)
        return read_asked(to, keys, rules)

    before = read_asked(predictions, keys, rules)
    found = honesty.probe(rows, events, before, answer, key=key, time=time, folder=folder)
    if found is not None:
        (folder / handover.SOURCE).write_text(found.source)
        say(found.sentence())
        return found.sentence()
    if honesty.applies(events):
        say(f"scored again at {honesty.INSTANTS} instants with the future replaced: no earlier prediction changed")
    return ""
