"""The pushed code answers: it scores the holdout in a folder that holds its code and its model, and no label."""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pushforward import files
from pushforward.errors import PushforwardError
from pushforward.git.repository import Repository
from pushforward.judge import handover
from pushforward.judge.holdout import EVENTS, ROWS, read
from pushforward.judge.score import SCORE_SECONDS, read_predictions, score
from pushforward.pipeline import dvc as pipeline
from pushforward.pipeline.checkout import checkout

if TYPE_CHECKING:
    from pushforward.settings import Settings


def answer(root: Path, rules: "Settings", out: Path, *, probe: bool, forget: bool, say: Callable[[str], None]) -> None:
    """Score the holdout of the checkout in `root` into the hand-over `out`; with `probe` the time-honesty probes too.

    With `forget` everything that the pipeline made but the model is removed before the model is asked: a run that is
    not trusted has no label left to read.
    """
    contract = rules.model
    missing = [name for name in (contract.path, contract.holdout) if not (root / name).exists()]
    if missing:
        pipeline.fetch(root, *missing)
    out.mkdir(parents=True, exist_ok=True)
    predictions = (out / handover.PREDICTIONS).absolute()
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        for name in (ROWS, EVENTS):
            files.copy(root, f"{contract.holdout}/{name}", place / name)
        source = Repository(root)
        own = checkout(source, source.commit("HEAD"), place / "checkout")
        files.remove(own, contract.path)  # whatever git has there
        files.copy(root, contract.path, files.place(own, contract.path))
        if forget:
            pipeline.forget(root, keep=contract.path)

        def run(told: Path, to: Path) -> None:
            score(own, contract, place / ROWS, told, to, python_bin=Path(sys.executable), timeout=SCORE_SECONDS)

        try:
            run(place / EVENTS, predictions)
            say(f"scored {contract.holdout}")
            if probe:
                _probe(place, rules, predictions, out / handover.PROBES, run, say)
        except PushforwardError as failed:
            handover.write_words(out, failed)
            raise


def _probe(
    place: Path,
    rules: "Settings",
    predictions: Path,
    folder: Path,
    run: Callable[[Path, Path], None],
    say: Callable[[str], None],
) -> None:
    from pushforward.gate import leakage as honesty

    contract = rules.model
    rows, events = read(place / ROWS, ROWS), read(place / EVENTS, EVENTS)
    keys, probability = rows[contract.key], rules.gate.probability

    def answer(told: Path, to: Path) -> honesty.Floats:
        with honesty.with_the_future_replaced():
            run(told, to)
        return read_predictions(to, keys, probability=probability)

    before = read_predictions(predictions, keys, probability=probability)
    found = honesty.probe(rows, events, before, answer, key=contract.key, time=contract.time, folder=folder)
    if found is not None:
        (folder / handover.SOURCE).write_text(found.source)
        say(found.sentence())
    elif honesty.applies(events):
        say(f"scored again at {honesty.INSTANTS} instants with the future replaced: no earlier prediction changed")
