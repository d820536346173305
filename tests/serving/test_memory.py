"""memory: what was told is known again after a restart, no older than it has to be, and no reply waits for it."""

import asyncio
import json
import pickle
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from tests.serving.shelf import AT, MANIFEST

from pushforward import parquet
from pushforward.serving import memory, tables
from pushforward.serving.events import Events
from pushforward.serving.memory import Memory

READ = pl.read_parquet
TYPES = tables.inputs(json.loads(MANIFEST), "events")


def told(*keys, **more):
    return {"id": list(keys), "kind": ["seen"] * len(keys), "known_at": [AT] * len(keys)} | more


def keeping(folder, days=35.0):
    said = []
    return Memory(folder / "events", days, said.append), said


def known(events):
    return [pickle.loads(frame)[1] for _, frame in events.since(0)]


def again(folder, days=35.0):
    """What a server that starts anew knows, and says."""
    kept, said = keeping(folder, days)
    events = Events(days)
    kept.replay(events)
    return known(events), said


def test_what_was_told_is_known_again_to_the_bit_in_its_order(tmp_path):
    kept, _ = keeping(tmp_path)
    columns = told("a", "b", x=[0.1, None], n=[2**40, -1], local=[AT.replace(tzinfo=None), None], yes=[True, None])
    kept.add(columns, TYPES)
    kept.add(told(), TYPES)
    asyncio.run(kept.flush())
    kept.add(told("c"), TYPES)  # of other columns: in a file of its own
    asyncio.run(kept.flush())
    kept.add(told("d"), TYPES)
    kept.add(told("e"), TYPES)
    asyncio.run(kept.flush())
    assert again(tmp_path) == ([columns, told("c", "d", "e")], [])
    assert len([*tmp_path.glob("events/*/*")]) == 2


def test_what_a_version_need_not_know_any_more_is_not_told_and_goes(tmp_path):
    kept, _ = keeping(tmp_path)
    old = tmp_path / "events" / "2020-01-01"
    old.mkdir(parents=True)
    frame = tables.frame(told("old"), TYPES, as_named=False)
    at = pl.lit(datetime.now(UTC) - timedelta(days=3)).cast(tables.INSTANT).alias("at")
    frame.select(at, *(pl.col(name).alias(f"event.{name}") for name in frame.columns)).write_parquet(old / "1.parquet")
    assert again(tmp_path, days=4)[0] == [told("old")]
    assert again(tmp_path, days=2)[0] == []
    # what is known again is forgotten when it would have been
    events = Events(4.0, clock=lambda: 0.0)
    kept.replay(events)
    events.clock = lambda: 2 * 86_400.0
    events.add(told("new"))
    assert known(events) == [told("new")]
    kept.days = 0.0
    kept.tidy()
    assert [*old.iterdir()] == []


def test_a_file_that_cannot_be_read_is_said_and_the_others_count(tmp_path):
    kept, _ = keeping(tmp_path)
    kept.add(told("a"), TYPES)
    asyncio.run(kept.flush())
    (path,) = tmp_path.glob("events/*/*.parquet")
    (path.parent / "000000.parquet").write_bytes(path.read_bytes()[:-9])
    (path.parent / "000001.parquet").write_bytes(b"")
    found, said = again(tmp_path)
    assert found == [told("a")]
    assert [line.partition(" cannot be read, and are not known")[0][-14:] for line in said] == [
        "000000.parquet",
        "000001.parquet",
    ]


def test_a_file_that_would_fill_the_memory_is_said_before_it_is_read(tmp_path, monkeypatch):
    kept, _ = keeping(tmp_path)
    kept.add(told("a"), TYPES)
    asyncio.run(kept.flush())
    (path,) = tmp_path.glob("events/*/*.parquet")
    pl.concat([pl.read_parquet(path)] * 1000).write_parquet(path.with_name("000000.parquet"))
    monkeypatch.setattr(parquet, "LIMIT_MEMORY", 10_000)
    monkeypatch.setattr(
        pl, "read_parquet", lambda path, **_: pytest.fail("it is read") if path.stem == "000000" else READ(path)
    )
    found, said = again(tmp_path)
    assert found == [told("a")]
    (line,) = said
    assert line.startswith(
        f"events in {path.parent}/000000.parquet cannot be read, and are not known: 000000.parquet takes "
    )
    assert line.endswith("the limit is 10,000")


def test_what_cannot_be_written_is_said_once_and_told_all_the_same(tmp_path):
    kept, said = keeping(tmp_path)
    (tmp_path / "events").write_text("no folder")
    for key in ("a", "b"):
        kept.add(told(key), TYPES)
        asyncio.run(kept.flush())
    assert kept.lost == 2
    (line,) = said
    assert line.startswith(f"events are known and not written to {tmp_path}/events, a restart forgets them: ")


@pytest.mark.parametrize("seconds", [0.01, 60.0])
def test_told_to_stop_it_has_written_what_waits(tmp_path, monkeypatch, seconds):
    monkeypatch.setattr(memory, "FLUSH_SECONDS", seconds)
    kept, _ = keeping(tmp_path)

    async def play():
        task = asyncio.create_task(kept.run())
        kept.add(told("a"), TYPES)
        await asyncio.sleep(0.1)
        kept.add(told("b"), TYPES)
        kept.stop()
        await task

    asyncio.run(play())
    assert again(tmp_path)[0] == [told("a", "b")]
