"""The words of a look, on a terminal and in its report: each number with what it is of, and nothing where none is."""

import dataclasses
from datetime import timedelta

import pytest
from tests.views.test_looked import RECORD

from pushforward.monitoring import words
from pushforward.monitoring.interval import Interval
from pushforward.monitoring.live import Part
from pushforward.monitoring.record import Looked, Predicted

LIVE = "live log loss"


def _of(**changed):
    return dataclasses.replace(RECORD, live=dataclasses.replace(RECORD.live, **changed))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "0.4700 (0.4400 … 0.5000 at every look; 9,000 answers of 60 days)"),
        ({"cluster": "customer"}, "0.4700 (0.4400 … 0.5000 at every look; 9,000 answers of 60 customers)"),
        (
            {"loss": Interval(0.47, None, None, 900, 6, 0.01)},
            "0.4700 (too early for an interval; 900 answers of 6 days)",
        ),
        (
            {"loss": Interval(0.47, None, None, 900, 6, 0.01), "begun": "2013-05-01"},
            "0.4700 (no interval; 900 answers of 6 days)",
        ),
    ],
)
def test_the_live_loss_is_told_with_its_interval_and_its_clusters(changed, said):
    assert dict(words.numbers(_of(**changed)))[LIVE] == said


def test_days_that_were_counted_and_are_gone_are_told():
    assert dict(words.numbers(_of(begun="2013-05-01")))["answers from 2013-05-01 on"] == (
        "were counted, of which the first or their outcomes are there no more: only what is lost lately can be proven"
    )
    assert not [name for name, _ in words.numbers(RECORD) if name.startswith("answers from")]


def test_a_terminal_has_the_word_its_reasons_and_what_may_be_done():
    told = words.lines(RECORD)
    assert told[0] == "? watch: flight-delay@v1.0.0 in production: it loses <b>more</b> live"
    assert told[1] == "  temp: mean 1 → 9"
    assert told[-1] == "  next: nothing has come yet"
    assert "  answers: 9,400, of which 400 are younger" in told
    assert "  last answer: 1.0 h old" in told
    assert words.title(dataclasses.replace(RECORD, reasons=())).endswith(": nothing speaks against it")


def test_the_report_escapes_what_came_from_data_and_has_its_tables():
    part = Part("origin", "a|b", 0.61, Interval(0.03, 0.01, 0.05, 300, 20, 0.01))
    moved = Looked("temp", "mean", 9.0, 1.0, "temp: mean 1 → 9", far=True)
    near = dataclasses.replace(moved, column="dewp", words="dewp: mean 1 → 1", far=False)
    found = dataclasses.replace(_of(parts=(part,)), drift=(moved, near), predicted=Predicted("the first 28 days"))
    report = words.markdown(found)
    assert "- It loses &lt;b&gt;more&lt;/b&gt; live. (harder)" in report
    assert "| origin a\\|b | 0.6100 |" in report
    assert "| temp | mean | temp: mean 1 → 9 |" in report
    assert "dewp: mean" not in report
    assert "2 held against training, further than they may be: temp" in report


def test_an_answer_that_never_came_is_told_as_none():
    ages = dataclasses.replace(RECORD.ages, batch=None, answer=None, version=timedelta(days=3))
    told = dict(words.numbers(dataclasses.replace(RECORD, ages=ages)))
    assert (told["version"], told["last answer"]) == ("3.0 d old", "none")
    assert "newest month trained on" not in told


def test_what_a_column_was_found_to_be_is_no_markup():
    looked = Looked("temp", "mean", 9.0, 1.0, "temp: mean 1 → 9", far=True)
    forged = dataclasses.replace(looked, kind="a | <b>@all</b>")
    assert "| temp | a \\| &lt;b&gt;＠all&lt;/b&gt; |" in words.markdown(dataclasses.replace(RECORD, drift=(forged,)))
