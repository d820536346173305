"""Losses by a project's own command, as `look` has them taken: which answers, in which tables, and what comes back."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from pushforward.errors import PushforwardError
from pushforward.judge import score
from pushforward.monitoring import lost, outcomes, tables
from pushforward.settings import ModelContract

NOON = datetime(2013, 4, 1, 12, tzinfo=UTC)
CONTRACT = ModelContract(
    name="toy",
    path="model",
    environment=[],
    score="score",
    holdout="holdout",
    key="id",
    label="word",
    cluster="date",
    time="at",
)
COMMAND = """\
import sys
import polars as pl

labels, predictions, out = sys.argv[1:]
told = pl.read_parquet(labels).join(pl.read_parquet(predictions), on="id")
cost = told["price"] * (told["word"].str.len_chars() - told["p"]).abs()
told.select("id").with_columns(loss=cost).write_parquet(out)
"""


def _answers(*rows):
    """Answers of (key, p, minutes after noon)."""
    moments = pl.Series([NOON + timedelta(minutes=row[2]) for row in rows], dtype=tables.INSTANT)
    told = {"at": moments, "key": [row[0] for row in rows], "time": moments, "p": [row[1] for row in rows]}
    return pl.DataFrame({**told, tables.ARM: ["main"] * len(rows), "row.half": ["am"] * len(rows)})


def _outcomes(folder):
    """Words as labels, whole numbers as keys, and what a mistake costs."""
    path = folder / "known.parquet"
    moments = pl.Series([NOON + timedelta(hours=1)] * 2, dtype=tables.INSTANT)
    pl.DataFrame({"id": [7, 8], "word": ["aa", "bbbb"], "price": [1.0, 10.0], "known_at": moments}).write_parquet(path)
    return tables.outcomes(path, "id", "word", [], given=True)


def _run(folder, text=COMMAND):
    (folder / "loss.py").write_text(text)
    asked = score.Command("loss", "python loss.py {labels} {predictions} {out}", "the loss", ".")

    def run(places):
        score.command(folder, asked, places, python_bin=Path(sys.executable), timeout=60.0)

    return run


def test_the_command_gets_labels_and_predictions_as_a_judge_gives_them(tmp_path):
    answers = _answers(("7", 2.5, 0), ("8", 1.0, 1), ("9", 5.0, 2))
    joined = outcomes.joined(answers, _outcomes(tmp_path), NOON + timedelta(days=1))
    found = lost.given(joined, CONTRACT, _run(tmp_path), tmp_path)
    # |2 - 2.5| at a price of 1, |4 - 1| at a price of 10; of 9 nothing is known
    assert found.select("key", "label", "loss").rows() == [("7", 0.0, 0.5), ("8", 0.0, 30.0), ("9", None, None)]
    assert pl.read_parquet(tmp_path / "labels.parquet").to_dict(as_series=False) == {
        "id": [7, 8],
        "word": ["aa", "bbbb"],
        "price": [1.0, 10.0],
    }
    assert pl.read_parquet(tmp_path / "predictions.parquet").rows() == [(7, 2.5), (8, 1.0)]


def test_while_nothing_is_known_nothing_is_run(tmp_path):
    joined = outcomes.joined(_answers(("7", 2.5, 0)), _outcomes(tmp_path), NOON)
    found = lost.given(joined, CONTRACT, lambda places: pytest.fail("it ran"), tmp_path)
    assert found.select("label", "loss").rows() == [(None, None)]


def test_a_key_that_was_asked_twice_counts_by_its_last_answer():
    found = lost.once(_answers(("7", 0.5, 3), ("7", 0.1, 0), ("", 0.2, 1), ("8", 0.3, 2)))
    firsts = {"7": NOON, "8": NOON + timedelta(minutes=2)}
    assert sorted(found.select("key", "p").rows()) == [("7", 0.5), ("8", 0.3)]
    assert dict(found.select("key", "at").rows()) == firsts, "when each was first answered"


def test_what_the_command_leaves_is_read_as_hostile_data(tmp_path):
    joined = outcomes.joined(_answers(("7", 2.5, 0)), _outcomes(tmp_path), NOON + timedelta(days=1))
    wrong = COMMAND.replace("loss=cost", "loss=cost / 0")
    with pytest.raises(PushforwardError, match="loss is inf for id 7, not a finite number"):
        lost.given(joined, CONTRACT, _run(tmp_path, wrong), tmp_path)


def test_rows_are_not_said_to_be_of_the_holdout(tmp_path):
    joined = outcomes.joined(_answers(("7", 2.5, 0)), _outcomes(tmp_path), NOON + timedelta(days=1))
    strange = COMMAND.replace('told.select("id")', "told.select(id=pl.lit(9, pl.Int64))")
    with pytest.raises(PushforwardError, match="id 9 is not in what was answered"):
        lost.given(joined, CONTRACT, _run(tmp_path, strange), tmp_path)
    twice = COMMAND.replace("told.select", "pl.concat([told, told]).select").replace("loss=cost", "loss=1.0")
    with pytest.raises(PushforwardError, match="has 2 rows; what was answered has 1"):
        lost.given(joined, CONTRACT, _run(tmp_path, twice), tmp_path)
