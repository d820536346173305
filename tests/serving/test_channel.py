"""channel: a version answers, whatever becomes of its workers."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest
from tests.serving.versions import Opened, spec, workers

from pushforward.serving.channel import Channel
from pushforward.serving.events import Events
from pushforward.serving.line import FaultError, Line
from pushforward.serving.port import RefusedError, UnavailableError


def test_it_answers_in_the_order_of_the_rows_to_the_last_bit(tmp_path):
    async def ask():
        async with Opened(spec(tmp_path)) as one:
            return await one.p(0.1, 1 / 3, 5e-324, -0.0)

    assert [value.hex() for value in asyncio.run(ask())] == [value.hex() for value in (0.1, 1 / 3, 5e-324, -0.0)]


def test_requests_that_wait_go_together_and_each_gets_its_own(tmp_path):
    async def ask():
        async with Opened(spec(tmp_path, '{"slow": 0.2}')) as one:
            began = time.monotonic()
            found = await asyncio.gather(*(one.p(n, n + 0.5) for n in range(40)))
            return found, time.monotonic() - began

    found, seconds = asyncio.run(ask())
    assert found == [[n, n + 0.5] for n in range(40)]
    assert seconds < 40 * 0.2


def test_they_are_one_call_of_the_predictor(tmp_path):
    async def ask():
        async with Opened(spec(tmp_path, '{"slow": 0.3, "say": "together"}')) as one:
            return await asyncio.gather(*(one.p(n) for n in range(20)))

    first, *others = asyncio.run(ask())
    assert first == [20.0] or (first == [1.0] and others[0] == [19.0])


def test_what_it_refuses_is_refused_by_the_name_of_its_column_and_alone(tmp_path):
    async def ask():
        async with Opened(spec(tmp_path, '{"slow": 0.1}')) as one:
            asked = [one.p(0.5), one.p(-1), one.p(0.25)]
            return await asyncio.gather(*asked, return_exceptions=True), one.said

    (first, refused, last), said = asyncio.run(ask())
    assert (first, last, said) == ([0.5], [0.25], [])
    assert isinstance(refused, RefusedError)
    assert (refused.field, refused.why) == ("x", "it is below 0")


@pytest.mark.parametrize(
    ("x", "why"),
    [(-2, "ended"), (-3, "did not answer within"), (-4, "KeyError")],
    ids=["it dies", "it hangs", "it raises"],
)
def test_rows_that_end_a_worker_are_without_an_answer_and_the_others_are_not(tmp_path, x, why):
    async def ask():
        async with Opened(spec(tmp_path, answer_seconds=3.0)) as one:
            asked = [one.p(x), one.p(0.25), one.p(0.5)]
            found = await asyncio.gather(*asked, return_exceptions=True)
            return found, await one.again(0.75), one.said

    (bad, *good), later, said = asyncio.run(ask())
    assert isinstance(bad, UnavailableError)
    # of a worker that hangs they may be too late, and are told so
    assert all(one in ([0.25], [0.5]) or (x == -3 and isinstance(one, UnavailableError)) for one in good)
    assert later == [0.75]
    assert any(why in words for words in said), said


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ('{"p": NaN}', "p is nan"),
        ('{"p": Infinity}', "p is inf"),
        ('{"p": 1.5}', "has to be in"),
        ('{"predict": "few"}', "answers 1 rows with {'p': 0}"),
        ('{"predict": "name"}', "answers 1 rows with {'q': 1}"),
        ('{"predict": "garbage"}', "bytes"),
        ('{"predict": "crash"}', "ended"),
        ('{"predict": "raise"}', "as it was told"),
    ],
)
def test_an_answer_that_is_none_is_never_given(tmp_path, told, why):
    async def ask():
        async with Opened(spec(tmp_path, told, probability=True, answer_seconds=2.0)) as one:
            with pytest.raises(UnavailableError):
                await one.p(0.5)
            return one.said

    said = asyncio.run(ask())
    assert any(why in words for words in said), said


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ('{"load": "crash"}', "it ended"),
        ('{"load": "hang"}', "did not answer within 2 s"),
        ('{"load": "memory"}', "MemoryError"),
        ('{"load": "raise"}', "RuntimeError: as it was told"),
        ('{"load": "garbage"}', "it answers with"),
        ("no json", "JSONDecode|Expecting value"),
    ],
)
def test_what_does_not_load_is_said_and_leaves_no_process(tmp_path, told, why):
    async def ask():
        with pytest.raises(FaultError, match=why):
            await Line.open(spec(tmp_path, told, load_seconds=2.0))

    asyncio.run(ask())
    assert workers(tmp_path) == []


def test_a_worker_that_prints_without_end_is_read_and_its_last_words_kept(tmp_path):
    async def ask():
        async with Opened(spec(tmp_path, '{"load": "print"}')) as one:
            assert len(workers(tmp_path)) == 1
            return await one.p(0.5)

    assert asyncio.run(ask()) == [0.5]


def test_an_idle_worker_that_is_killed_is_replaced_before_anybody_asks(tmp_path):
    async def ask():
        async with Opened(spec(tmp_path)) as one:
            assert await one.p(0.5) == [0.5]
            first = one.channel._line.process.pid
            os.kill(first, signal.SIGKILL)
            end = time.monotonic() + 20
            while one.channel.starts < 2 or not one.channel.ready:
                assert time.monotonic() < end, one.said
                await asyncio.sleep(0.02)
            return await one.p(0.5), first != one.channel._line.process.pid

    assert asyncio.run(ask()) == ([0.5], True)


def test_a_version_that_fails_again_and_again_is_started_ever_more_seldom(tmp_path):
    async def ask():
        async with Opened(spec(tmp_path, answer_seconds=1.0)) as one:
            (tmp_path / "model" / "model.json").write_text('{"load": "crash"}')
            os.kill(one.channel._line.process.pid, signal.SIGKILL)
            await asyncio.sleep(2.5)
            with pytest.raises(UnavailableError):
                await one.p(0.5)
            return one.channel.starts

    assert 3 <= asyncio.run(ask()) <= 7


def test_events_are_told_to_every_worker_also_to_one_that_starts_anew(tmp_path):
    async def ask():
        events = Events(35)
        events.add({"kind": ["a", "b"], "at": [datetime(2013, 1, 1, tzinfo=UTC)] * 2})
        async with Opened(spec(tmp_path, '{"say": "seen"}'), events) as one:
            before = await one.p(0.0)
            assert await one.channel.observed(events.add({"kind": ["c"] * 25_000})) == ""
            then = await one.p(0.0)
            os.kill(one.channel._line.process.pid, signal.SIGKILL)
            await asyncio.sleep(0.1)
            return before, then, await one.again(0.0)

    assert asyncio.run(ask()) == ([0.002], [25.002], [25.002])


def test_events_that_it_refuses_are_said_and_those_that_end_it_are_not_told_again(tmp_path):
    async def ask():
        events = Events(35)
        async with Opened(spec(tmp_path, '{"say": "seen"}'), events) as one:
            refused = await one.channel.observed(events.add({"kind": ["bad"]}))
            fatal = await one.channel.observed(events.add({"kind": ["fatal"]}))
            events.add({"kind": ["c"]})
            return refused, fatal, await one.again(0.0)

    assert asyncio.run(ask()) == ("kind: bad is none", "the version failed on them", [0.001])


def test_events_that_are_too_old_to_be_kept_are_waited_for_by_nobody(tmp_path):
    async def ask():
        events = Events(35)
        async with Opened(spec(tmp_path, '{"say": "seen"}'), events) as one:
            for month in (3, 1):  # what is two months late is kept no more when it comes
                end = events.add({"kind": ["a"], "known_at": [datetime(2013, month, 1, tzinfo=UTC)]})
                assert await one.channel.observed(end) == ""
            return one.channel._heard, await one.p(0.0)

    assert asyncio.run(ask()) == (2, [0.001])


def test_features_are_told_by_their_digest_where_they_are_asked_for(tmp_path):
    async def ask(features):
        async with Opened(spec(tmp_path, features=features)) as one:
            return (await one.channel.predict({"x": [0.5, 0.5, 0.25]}, 3)).features

    first, second, third = asyncio.run(ask(features=True))
    assert first == second != third
    assert asyncio.run(ask(features=False)) is None


def test_who_waits_when_it_stops_is_answered(tmp_path):
    async def ask():
        async with Opened(spec(tmp_path, '{"slow": 0.3}')) as one:
            asked = [asyncio.create_task(one.p(n)) for n in range(10)]
            await asyncio.sleep(0.05)
        with pytest.raises(UnavailableError):
            await one.p(0.5)
        return [await task for task in asked]

    assert asyncio.run(ask()) == [[n] for n in range(10)]


def test_too_many_that_wait_are_told_so_at_once(tmp_path):
    async def ask():
        async with Opened(spec(tmp_path, '{"slow": 0.5}')) as one:
            asked = [asyncio.create_task(one.p(*[0.5] * 9_999)) for _ in range(10)]
            await asyncio.sleep(0)
            with pytest.raises(UnavailableError, match="rows are waiting"):
                await one.p(*[0.5] * 9_999)
            return [len(await task) for task in asked]

    assert asyncio.run(ask()) == [9_999] * 10


def test_workers_end_with_their_server_also_while_they_hang(tmp_path):
    code = f"""
import asyncio, os, sys
sys.path[:0] = {sys.path!r}
from tests.serving.versions import Opened, spec
from pathlib import Path
async def main():
    async with Opened(spec(Path({str(tmp_path)!r}))) as one:
        task = asyncio.create_task(one.p(-3))
        await asyncio.sleep(0.3)
        print(one.channel._line.process.pid, flush=True)
        os.kill(os.getpid(), 9)
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    pid = int(done.stdout)
    end = time.monotonic() + 10
    while True:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            break
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_channel_that_never_started_answers_nobody(tmp_path):
    async def ask():
        channel = Channel(spec(tmp_path, '{"load": "raise"}'), Events(1), print)
        with pytest.raises(FaultError):
            await channel.start()
        with pytest.raises(UnavailableError):
            await channel.predict({"x": [0.5]}, 1)
        await channel.stop()

    asyncio.run(ask())
