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
    """Score the holdout of the checkout in `root` into the hand-over `out`; with `probe` the time-honesty probes too.

    What these have found is given as a sentence, "" where nothing is.

    With `forget` everything that the pipeline made but the model is removed before the model is asked: a run that is
    not trusted has no label left to read.
    """
    contract, python = rules.contract, environment.project(root)
    missing = [name for name in (contract.path, contract.holdout) if not (root / name).exists()]
    if missing:
        pipeline.fetch(root, *missing)
    out.mkdir(parents=True, exist_ok=True)
    given = table.place(files.place(root, contract.holdout), ROWS, contract.holdout)
    predictions = (out / f"{handover.PREDICTIONS}{given.suffix}").absolute()
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        for name in (given.name, *([EVENTS] if contract.events else [])):
            files.copy(root, f"{contract.holdout}/{name}", place / name)
        source = Repository(root)
        own = checkout(source, source.commit("HEAD"), place / "checkout")
        files.remove(own, contract.path)  # whatever git has there
        files.copy(root, contract.path, files.place(own, contract.path))
        if forget:
            pipeline.forget(root, keep=contract.path)

        def run(told: Path | None, to: Path) -> None:
            score(own, contract, place / given.name, told, to, python_bin=python, timeout=SCORE_SECONDS)

        try:
            run(place / EVENTS if contract.events else None, predictions)
            say(f"scored {contract.holdout}")
            if probe and contract.time is not None and (events := holdouts.events(place, rules)) is not None:
                case = _Probed(table.read(place / given.name, given.name), events, contract.key, contract.time)
                return _probe(case, rules, predictions, out / handover.PROBES, run, say)
        except PushforwardError as failed:
            handover.write_words(out, failed)
            raise
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
