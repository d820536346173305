"""journal: what was answered is in files that are whole, and no answer waits for them."""

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import polars as pl
from tests.serving.shelf import AT, MANIFEST

from pushforward.monitoring import tables as read
from pushforward.serving import growing, journal
from pushforward.serving.journal import Asking, Entry, Journal
from pushforward.serving.line import Predicted
from pushforward.serving.port import Served

SERVED = Served("toy", "v1.0.0", "d" * 64, "production", "id", "at", ("p",), True, json.loads(MANIFEST))


ASKING = Asking("r", "1-1")


def entry(*x, asking=ASKING, served=SERVED, arm="main", **more):
    rows = {"id": [f"k{value}" for value in x], "x": list(x), "at": [AT] * len(x)} | more
    columns = {name: [value / 2 for value in x] for name in served.predicted}
    return Entry(datetime.now(UTC), asking, served, arm, rows, Predicted(columns), 1500)


def files(folder):
    return sorted(folder.glob("*/*"))


def test_a_line_a_row_with_who_gave_it_and_what_was_asked(tmp_path):
    kept = Journal(tmp_path / "log", print)
    kept.add(entry(0.5, 0.25))
    kept.add(entry(0.75, asking=Asking("s", "1-2"), arm="canary"))
    asyncio.run(kept.flush())
    (path,) = files(tmp_path / "log")
    assert read.FILE.fullmatch(path.name)
    assert read.DAY.fullmatch(path.parent.name)
    found = pl.read_parquet(path)
    assert found.schema == {
        "at": pl.Datetime("us", "UTC"),
        "request": pl.String,
        "asking": pl.String,
        "version": pl.String,
        "digest": pl.String,
        "arm": pl.String,
        "key": pl.String,
        "time": pl.Datetime("us", "UTC"),
        "p": pl.Float64,
        "latency_us": pl.Int64,
        "features": pl.String,
        "row.id": pl.String,
        "row.x": pl.Float64,
        "row.at": pl.Datetime("us", "UTC"),
    }
    assert found.select("request", "asking", "version", "arm", "key", "p", "row.x").rows() == [
        ("r", "1-1", "toy@v1.0.0", "main", "k0.5", 0.25, 0.5),
        ("r", "1-1", "toy@v1.0.0", "main", "k0.25", 0.125, 0.25),
        ("s", "1-2", "toy@v1.0.0", "canary", "k0.75", 0.375, 0.75),
    ]
    assert found["time"].to_list() == [AT] * 3


def test_monitoring_reads_what_it_writes(tmp_path):
    kept = Journal(tmp_path / "log", print)
    kept.add(entry(0.5, 0.25))
    asyncio.run(kept.flush())
    found = read.answers(tmp_path / "log", "toy@v1.0.0", ("p",), probability=True)
    assert sorted(found["p"].to_list()) == [0.125, 0.25]


def test_a_file_grows_until_it_is_long_or_old_and_is_whole_each_time(tmp_path, monkeypatch):
    kept = Journal(tmp_path / "log", print)
    for number in range(3):
        kept.add(entry(float(number)))
        asyncio.run(kept.flush())
        (path,) = files(tmp_path / "log")
        assert pl.read_parquet(path).height == number + 1
    monkeypatch.setattr(growing, "MOST_ROWS", 3)
    kept.add(entry(9.0))
    asyncio.run(kept.flush())
    monkeypatch.setattr(growing, "MOST_SECONDS", -1.0)
    kept.add(entry(10.0))
    asyncio.run(kept.flush())
    assert [pl.read_parquet(path)["row.x"].to_list() for path in files(tmp_path / "log")] == [
        [0.0, 1.0, 2.0],
        [9.0],
        [10.0],
    ]
    assert (kept.rows, kept.lost) == (5, 0)


def test_versions_have_files_of_their_own_whatever_their_columns(tmp_path):
    manifest = {"inputs": {"rows": {"id": "int64", "x": "string"}, "events": {}}}
    other = Served("toy", "v2.0.0", "e" * 64, "production", "id", None, ("p_a", "p_b"), False, manifest)
    kept = Journal(tmp_path / "log", print)
    kept.add(entry(0.5))
    kept.add(entry(0.5, served=other, id=[7], x=["blue"]))
    asyncio.run(kept.flush())
    first, second = (pl.read_parquet(path) for path in files(tmp_path / "log"))
    assert first.columns != second.columns
    assert second.select("key", "time", "p_a", "row.id", "row.x").rows() == [("7", None, 0.25, 7, "blue")]


def test_a_disk_that_is_full_loses_rows_that_are_counted_and_says_so_once(tmp_path):
    said = []
    kept = Journal(tmp_path / "log", said.append)
    kept.add(entry(0.5))
    asyncio.run(kept.flush())
    (path,) = files(tmp_path / "log")
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))  # as a disk with a hundred bytes left
    try:
        for number in range(3):
            kept.add(entry(float(number), 0.5))
            asyncio.run(kept.flush())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert (kept.rows, kept.lost) == (1, 6)
    assert files(tmp_path / "log") == [path]
    assert path.read_bytes() == before
    assert said == [f"predictions are answered and not written to {tmp_path / 'log'}: File too large"]
    kept.add(entry(0.5))
    asyncio.run(kept.flush())
    assert said[1:] == [f"predictions are written to {tmp_path / 'log'} again; 6 rows are lost"]
    assert pl.read_parquet(path).height == 2


def test_a_folder_that_cannot_be_made_loses_rows_too(tmp_path):
    (tmp_path / "log").write_text("a file\n")
    said = []
    kept = Journal(tmp_path / "log", said.append)
    kept.add(entry(0.5))
    asyncio.run(kept.flush())
    assert kept.lost == 1
    assert "Not a directory" in said[0]


def test_what_comes_faster_than_it_is_written_is_lost_and_the_memory_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "MOST_ROWS", 3)
    said = []
    kept = Journal(tmp_path / "log", said.append)
    for _ in range(5):
        kept.add(entry(0.5))
    assert (kept.lost, len(kept._waiting), len(said)) == (2, 3, 1)


def test_old_days_go_and_nothing_else(tmp_path):
    today = datetime.now(UTC).date()
    names = [str(today - timedelta(days=days)) for days in (0, 1, 2, 40)]
    for name in (*names, "notes", "2020-1x-01"):
        (tmp_path / "log" / name).mkdir(parents=True)
        (tmp_path / "log" / name / "000000-000000-1.parquet").write_text("x")
    left = tmp_path / "log" / names[0] / "000000-000000-1.parquet.abcd.unfinished"
    left.write_text("half")
    os.utime(left, (0, 0))
    kept = Journal(tmp_path / "log", print)
    kept.tidy()
    assert sorted(path.name for path in (tmp_path / "log").iterdir()) == sorted([*names, "notes", "2020-1x-01"])
    assert not left.exists()
    kept.keep_days = 2
    kept.tidy()
    assert sorted(path.name for path in (tmp_path / "log").iterdir()) == sorted([*names[:3], "notes", "2020-1x-01"])


def test_it_writes_by_itself_and_the_rest_when_it_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "FLUSH_SECONDS", 0.05)

    async def play():
        kept = Journal(tmp_path / "log", print)
        task = asyncio.create_task(kept.run())
        kept.add(entry(0.5))
        while not files(tmp_path / "log"):
            await asyncio.sleep(0.01)
        kept.add(entry(0.25))
        kept.stop()
        await task
        return kept.rows

    assert asyncio.run(play()) == 2
    assert pl.read_parquet(files(tmp_path / "log")[0]).height == 2


def test_who_kills_the_server_loses_no_file_that_was_there(tmp_path):
    code = f"""
import asyncio, os, sys
sys.path[:0] = {sys.path!r}
from pathlib import Path
from tests.serving.test_journal import Journal, entry
kept = Journal(Path({str(tmp_path / "log")!r}), print)
kept.add(entry(0.5))
asyncio.run(kept.flush())
kept.add(entry(0.25))
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    assert [pl.read_parquet(path).height for path in files(tmp_path / "log")] == [1]
