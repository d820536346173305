"""handed: looks that another job has left, read as hostile data."""

import dataclasses
import json
from datetime import UTC, datetime, timedelta

import pytest

from pushforward.errors import PushforwardError
from pushforward.lifecycle import Monitor
from pushforward.monitoring import handed
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
    handed.leave([dataclasses.replace(LOOK, reasons=(Reason("silent", words),))], tmp_path)
    (reason,) = handed.read(tmp_path)["toy"].reasons
    assert reason.words == "old ::add-mask::x" + "x" * (2000 - 18) + "…"


def _with(**changed):
    tree = {**json.loads(LOOK.to_json()), **changed}
    return json.dumps({"looks": [tree]})


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
        _with(days=[{"day": "of old", "rows": 1, "loss": 0.5}]),
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
