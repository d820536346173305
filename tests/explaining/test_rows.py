"""When a label may be told, and what is said of a key that nobody has."""

from dataclasses import replace
from types import SimpleNamespace

import polars as pl
import pytest

from pushforward.errors import PushforwardError
from pushforward.explaining import rows
from pushforward.judge.looks import State


def holder(*, reveal="verdict", batched=True, batches=("2020-01", "2020-02", "2020-03")):
    gate = SimpleNamespace(reveal=reveal, window=2)
    return SimpleNamespace(
        settings=SimpleNamespace(gate=gate, batched=batched, name="toy"), batches=list(batches), repository=None
    )


@pytest.fixture
def book(monkeypatch):
    """Ledgers by name: those that are here are retired."""
    retired = {}
    monkeypatch.setattr(
        rows.ledger,
        "of",
        lambda clone, model: SimpleNamespace(state=lambda name: State(name, retired=retired.get(name))),
    )
    return retired


def test_a_row_that_no_holdout_has_is_open(book, tmp_path):
    assert rows.sealed(tmp_path, []) == ""


def test_a_row_is_sealed_while_one_of_its_holdouts_is_in_use(book, tmp_path):
    book["2020-01_2020-02"] = "promoted"
    old, new = holder(batches=("2020-01", "2020-02")), holder()
    assert rows.sealed(tmp_path, [old]) == ""
    assert "holdout 2020-02 to 2020-03, which is in use" in rows.sealed(tmp_path, [old, new])
    book["2020-02_2020-03"] = "spent"
    assert rows.sealed(tmp_path, [old, new]) == ""


def test_where_numbers_are_revealed_nothing_is_sealed(book, tmp_path):
    assert rows.sealed(tmp_path, [holder(reveal="numbers")]) == ""
    assert rows.sealed(tmp_path, [holder(reveal="numbers", batched=False)]) == ""


@pytest.mark.parametrize("reveal", ["verdict", "pass"])
def test_what_is_held_out_by_its_key_stays_so_by_the_rule_that_it_has(book, tmp_path, reveal):
    said = rows.sealed(tmp_path, [holder(batched=False, reveal=reveal)])
    assert said == f"it is held out, and what is held out by its key stays so: gate.reveal is {reveal}"


def test_a_key_that_nobody_has_is_told_with_its_neighbours_and_where_it_was_looked_for():
    searched = rows.Searched("a-15")
    for path in ("rows/1.parquet", "rows/1.parquet", "rows/2.parquet", "rows/3.parquet", "rows/4.parquet"):
        searched.missed(path, pl.Series(["a-1", "a-150", "b", "a-2", None]))
    said = searched.refusal("id", "0" * 40)
    assert isinstance(said, PushforwardError)
    assert "rows/1.parquet, rows/2.parquet, rows/3.parquet and 1 more" in said.message
    assert said.message.endswith("near it are a-150, a-1, a-2")
    assert said.next == "pushforward explain a-150"
    assert searched.refusal("id", "0" * 40, "toy").next == "pushforward explain a-150 --model toy"


def test_a_hostile_key_moves_no_cursor():
    searched = rows.Searched("\x1b[2Ja")
    searched.missed("rows.parquet", pl.Series(["\x1b]0;owned\x07b"]))
    said = str(searched.refusal("id", "0" * 40))
    assert "\x1b" not in said
    assert "owned" not in said


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, None),
        (True, True),
        (7, 7),
        (0.5, 0.5),
        (float("nan"), "nan"),
        ("a\x1b[31m\nb", "a b"),
    ],
)
def test_a_cell_is_told_harmlessly(value, told):
    assert rows.told_value(value) == told


def test_a_moment_is_told_in_utc_to_the_second():
    at = pl.Series(["2013-03-05T10:00:00.123456"]).str.to_datetime(time_zone="UTC")[0]
    assert rows.told_value(at) == "2013-03-05 10:00:00 UTC"
    assert rows.told_value(at.replace(tzinfo=None)) == "2013-03-05 10:00:00"


def moments(*hours):
    return pl.Series([f"2020-03-01T{hour:02}:00:00" for hour in hours]).str.to_datetime(time_zone="UTC")


CONTRACT = SimpleNamespace(key="id", time="at")
# 8 is asked at 5 and known to be late at 6, after 9 is asked at 7
TAKEN = pl.DataFrame({"key": ["8", "9"], "asked": moments(5, 7)})
FACTS = pl.DataFrame(
    {
        "id": [8, 8, 9, 9, 1, None, 8],
        "says": ["listed", "late", "listed", "late", "late", "rain", "late again"],
        "known_at": moments(4, 6, 4, 9, 6, 6, 8),
    }
)


def found(key, hour):
    return rows.Found(pl.DataFrame({"id": [key], "at": moments(hour)}), FACTS, pl.DataFrame(), "", "", held=True)


@pytest.mark.parametrize(
    ("key", "hour", "closed", "left"),
    [
        (9, 7, True, [(8, "listed"), (9, "listed"), (1, "late"), (None, "rain")]),
        (1, 5, False, [(8, "listed"), (9, "listed"), (1, "late"), (None, "rain")]),
        (8, 5, True, [(8, "listed"), (9, "listed")]),
    ],
    ids=["sealed", "open", "the first of those sealed"],
)
def test_a_model_is_told_no_fact_of_another_sealed_row_that_came_after_that_was_asked(key, hour, closed, left):
    told = rows.opened(found(key, hour), CONTRACT, [TAKEN], closed=closed).events
    assert told.select("id", "says").rows() == left
    assert told.columns == FACTS.columns


def test_a_moment_that_cannot_be_told_of_a_sealed_row_tells_nothing():
    unknown = TAKEN.with_columns(asked=pl.lit(None, TAKEN.schema["asked"]))
    told = rows.opened(found(9, 7), CONTRACT, [unknown], closed=False).events
    assert told["says"].to_list() == ["late", "rain"]


def test_of_no_holdout_in_use_every_fact_is_told():
    assert rows.opened(found(9, 7), CONTRACT, [], closed=False).events.equals(FACTS)


def test_facts_without_the_key_are_those_that_were_known():
    nameless = replace(found(9, 7), events=FACTS.drop("id"))
    told = rows.opened(nameless, CONTRACT, [TAKEN], closed=True).events
    assert told["says"].to_list() == ["listed", "late", "listed", "late", "rain"]


def test_facts_of_the_time_of_the_holdout_are_left_out_for_a_row_before_it():
    moments = pl.Series(["2020-01-01", "2020-01-15", "2020-02-01", "2020-02-02"]).str.to_datetime()
    events = pl.DataFrame({"known_at": moments, "y": [0, 1, 0, 1]})
    contract = SimpleNamespace(time="at")
    held = pl.DataFrame({"at": moments[2:]})
    assert rows._before(events, held, pl.DataFrame({"at": moments[:1]}), contract).height == 2
    assert rows._before(events, held, pl.DataFrame({"at": moments[3:]}), contract).height == 4
