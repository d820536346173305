"""scored: a score command is given the events that are known, and what it fails at is a failure of the version."""

import asyncio
import errno
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.serving.shelf import AT, PREDICT
from tests.serving.versions import spec

from pushforward.judge import table
from pushforward.serving import tables
from pushforward.serving.events import Events
from pushforward.serving.line import FailedError
from pushforward.serving.scored import Scored, Told

TYPES = {"id": "String", "x": "Float64", "at": "Datetime(time_unit='us', time_zone='UTC')"}
KINDS = {"id": "String", "kind": "String", "known_at": TYPES["at"]}
ROWS = {"id": ["a", "b"], "x": [0.5, 0.25], "at": [AT, AT]}


def scored(folder, *, suffix=".parquet", command="python predict.py {rows} {events} {out}", **more):
    """A version that gives x and a thousandth for each event that it is told of."""
    kind = suffix.removeprefix(".")
    made = spec(folder, entry="", python=Path(sys.executable), **more)
    text = PREDICT.replace("read_parquet(sys.argv[1])", f"read_{kind}(sys.argv[1])")
    (folder / "predict.py").write_text(text.replace("write_parquet", f"write_{kind}"))
    contract = SimpleNamespace(score=command, folder=".", key="id", events=True)
    return asyncio.run(Scored.open(made, print, told=Told(contract, TYPES, KINDS, suffix)))


def frames(*days):
    """Frames of one event each, known so many days after the new year."""
    events = Events(float("inf"))
    for day in days:
        events.add({"id": ["a"], "kind": ["seen"], "known_at": [datetime(2020, 1, 1, tzinfo=UTC) + timedelta(day)]})
    return [frame for _, frame in events.since(0)]


def predict(one, rows, *told):
    async def ask():
        for frame in told:
            await one.tell(frame)
        return (await one.predict(rows, len(rows["id"]))).columns

    return asyncio.run(ask())


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_rows_go_in_the_kind_of_file_that_the_holdout_is(tmp_path, suffix):
    assert predict(scored(tmp_path, suffix=suffix), ROWS) == {"p": [0.5, 0.25]}


def test_events_are_kept_as_long_as_a_version_has_to_know_them(tmp_path):
    one = scored(tmp_path, remember_days=35)
    assert predict(one, ROWS, *frames(0, 30)) == {"p": [0.502, 0.252]}
    assert predict(one, ROWS, *frames(60)) == {"p": [0.502, 0.252]}, "the first is older than 35 days by then"
    assert one.events.rows == 2


def test_a_version_that_is_told_nothing_of_time_knows_all_events(tmp_path):
    assert predict(scored(tmp_path), ROWS, *frames(0, 300)) == {"p": [0.502, 0.252]}


def test_what_the_command_fails_at_is_a_failure_of_the_version(tmp_path):
    with pytest.raises(FailedError, match="x: it is below 0"):
        predict(scored(tmp_path), ROWS | {"x": [-1.0, 0.5]})


def test_what_the_command_has_said_is_told_without_what_commands_a_terminal(tmp_path):
    one = scored(tmp_path)
    (tmp_path / "predict.py").write_text("import sys; sys.exit('\\x1b]0;title\\x07\\x1b[31mred')")
    with pytest.raises(FailedError, match="red") as failed:
        predict(one, ROWS)
    assert "\x1b" not in str(failed.value)
    assert "title" not in str(failed.value)


def test_a_disk_that_is_full_is_a_failure_in_one_line(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    one = scored(tmp_path)
    monkeypatch.setattr(table, "write", full)
    with pytest.raises(FailedError) as failed:
        predict(one, ROWS)
    assert str(failed.value) == "[Errno 28] No space left on device"


def test_values_of_which_no_table_can_be_made_are_a_failure_too(tmp_path, monkeypatch):
    import polars as pl

    def broken(*_):
        raise pl.exceptions.ComputeError("no such value\nand how it came to that")

    one = scored(tmp_path)
    monkeypatch.setattr(tables, "frame", broken)
    with pytest.raises(FailedError, match=r"^no such value$"):
        predict(one, ROWS)
