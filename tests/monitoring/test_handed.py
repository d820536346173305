"""handed: looks that another job has left, read as hostile data."""

import dataclasses
import json
from datetime import UTC, datetime, timedelta

import pytest

from pushforward.errors import PushforwardError
from pushforward.lifecycle import Monitor
from pushforward.monitoring import handed
from pushforward.monitoring import words as words_of
from pushforward.monitoring.decision import Ages
from pushforward.monitoring.record import Reason, Record

LOOK = Record(
    "toy",
    "production",
    "toy@v1.0.0",
    "1" * 40,
    datetime(2020, 6, 1, tzinfo=UTC),
    "watch",
    (Reason("silent", "its last answer is 3.0 d old"),),
    "log loss",
    Ages(timedelta(days=1), None, timedelta(days=3)),
    Monitor(reference="data/rows"),
)


def test_looks_are_read_as_they_were_left(tmp_path):
    other = dataclasses.replace(LOOK, model="other", version="other@v2.0.0", decision="fine", reasons=())
    handed.leave([LOOK, other], tmp_path / "looks")
    assert handed.read(tmp_path / "looks") == {"toy": LOOK, "other": other}


def test_texts_are_lines_that_say_nothing_to_a_terminal_or_to_a_runner(tmp_path):
    words = "old\n::add-mask::x\x1b[2J\u202e" + "x" * 3000
    told = (Reason("silent", words), Reason("unread", "\n ::stop-commands::x"), Reason("unread", "so ##[add-mask]3"))
    handed.leave([dataclasses.replace(LOOK, reasons=told[:2])], tmp_path)
    found = handed.read(tmp_path)["toy"]
    assert found.reasons[0].words == "old ::add-mask::x" + "x" * (2000 - 18) + "…"
    said = words_of.lines(dataclasses.replace(found, reasons=(*found.reasons, told[2])))
    assert said[1:3] == ["  : :stop-commands::x", "  so ## [add-mask]3"]
    assert not [line for line in said if line.lstrip().startswith("::") or "##[" in line]


def _with(**changed):
    tree = {**json.loads(LOOK.to_json()), **changed}
    return json.dumps({"looks": [tree]})


def _days(*days):
    return [{"day": day, "rows": 1, "loss": 0.5} for day in days]


def _live(begun):
    wait = {"age": None, "rows": 0, "share": 0.0}
    return {"wait": wait, "asked": 1, "old": 1, "missing": 0, "naive": None, "naive_rows": 0, "begun": begun}


def _reasons(*rules):
    return [{"rule": rule, "words": "because"} for rule in rules]


def _looked(kind):
    return {"column": "temp", "kind": kind, "measured": 1.0, "limit": 2.0, "words": "temp", "far": True}


def test_what_these_are_made_from_is_read(tmp_path):
    text = _with(
        days=_days("2020-05-02", "2020-06-01"),
        first="2020-05-02",
        live=_live("2020-05-01"),
        reasons=_reasons("drift", "silent"),
        drift=[_looked("slow mean")],
        predicted={"against": "x", "looked": [_looked("unseen")]},
    )
    (tmp_path / "looks.json").write_text(text)
    found = handed.read(tmp_path)["toy"]
    assert (found.first.isoformat(), found.live.begun, found.drift[0].kind) == ("2020-05-02", "2020-05-01", "slow mean")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"looks": 3}',
        '{"looks": [3]}',
        _with(more=1),
        _with(decision="retrain"),
        _with(decision="fine"),
        _with(reasons=[]),
        _with(reasons=[{"rule": "mine", "words": "because"}]),
        _with(at="2020-06-01T00:00:00"),
        _with(days=_days("of old")),
        _with(days=_days("20200501")),
        _with(days=_days("2020-05-02", "2020-05-01")),
        _with(days=_days("2020-05-01", "2020-05-01")),
        _with(days=_days("2020-05-01", "2020-06-02")),
        _with(first="2020-06-02"),
        _with(first="of old"),
        _with(live=_live("2020-05-01")),
        _with(live=_live("2020-05-01"), first="2020-05-01"),
        _with(live=_live("20200501"), first="2020-05-02"),
        _with(decision="retrain", reasons=_reasons("silent", "stale")),
        _with(reasons=_reasons("silent", "silent")),
        _with(reasons=_reasons("silent", "drift")),
        _with(drift=[_looked("a | b")]),
        _with(predicted={"against": "x", "looked": [_looked("a | b")]}),
        json.dumps({"looks": [json.loads(LOOK.to_json())] * 2}),
    ],
)
def test_what_no_look_leaves_is_refused(tmp_path, text):
    (tmp_path / "looks.json").write_text(text)
    with pytest.raises(
        PushforwardError, match=r"looks.json is not what `pushforward monitor --look` writes"
    ) as refused:
        handed.read(tmp_path)
    assert refused.value.exit_code == 3


def test_a_link_a_long_file_and_none_are_refused(tmp_path, monkeypatch):
    handed.leave([LOOK], tmp_path)
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "looks.json").symlink_to(tmp_path / "looks.json")
    monkeypatch.setattr(handed, "LONGEST", 100)
    for folder in (tmp_path / "linked", tmp_path, tmp_path / "none"):
        with pytest.raises(PushforwardError, match=r"has no looks.json, or a link, or more than") as refused:
            handed.read(folder)
        assert (refused.value.exit_code, refused.value.next) == (3, f"pushforward monitor --look {folder}")
