"""channel: a version answers, whatever becomes of its workers."""

import asyncio
import dataclasses
import errno
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest
from tests.serving.versions import Opened, spec, workers

from pushforward.serving import channel as module
from pushforward.serving import line
from pushforward.serving.channel import Channel
from pushforward.serving.events import Events
from pushforward.serving.line import FailedError, FaultError, Predicted
from pushforward.serving.port import RefusedError, UnavailableError

pytestmark = pytest.mark.whole


class Line:
    """A worker as a channel sees it, that does what a test says: raise, hang, or what a worker does."""

    def __init__(self, tell=None, predict=None):
        self.closed, self.told, self._tell, self._predict = False, [], tell, predict

    async def tell(self, frame):
        kinds = pickle.loads(frame)[1]["kind"]
        await self._do(self._tell(kinds) if callable(self._tell) else self._tell)
        self.told += kinds

    async def predict(self, rows, count):
        await self._do(self._predict)
        return Predicted({"p": rows["x"][:count]})

    async def close(self):
        self.closed = True

    async def _do(self, what):
        if what == "hang":
            await asyncio.Event().wait()
        if isinstance(what, Exception):
            raise what


class Opens:
    """Workers, one after the other, or why there is none."""

    def __init__(self, *made):
        self.made, self.on_end = [*made], None

    async def __call__(self, _spec, on_end):
        self.on_end = on_end
        one = self.made.pop(0)
        if isinstance(one, Exception):
            raise one
        return one


def test_it_answers_in_the_order_of_the_rows_to_the_last_bit(tmp_path):
    async def ask():
        async with Opened(spec(tmp_path)) as one:
            return await one.p(0.1, 1 / 3, 5e-324, -0.0)

    assert [value.hex() for value in asyncio.run(ask())] == [value.hex() for value in (0.1, 1 / 3, 5e-324, -0.0)]


def test_requests_that_wait_go_together_and_each_gets_its_own(tmp_path):
    frames = []

    async def ask():
        async with Opened(spec(tmp_path)) as one:
            predict = one.channel._line.predict

            async def counted(rows, count):
                frames.append(count)
                return await predict(rows, count)

            one.channel._line.predict = counted
            return await asyncio.gather(*(one.p(n, n + 0.5) for n in range(40)))

    assert asyncio.run(ask()) == [[n, n + 0.5] for n in range(40)]
    assert frames == [80], "all of them were asked before the worker was"


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
            await line.Line.open(spec(tmp_path, told, load_seconds=2.0))

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
            while one.channel.starts < 2 or one.channel._line.closed:
                assert time.monotonic() < end, one.said
                await asyncio.sleep(0.02)
            return await one.p(0.5), first != one.channel._line.process.pid

    assert asyncio.run(ask()) == ([0.5], True)


def test_a_version_that_fails_again_and_again_is_started_ever_more_seldom(tmp_path, monkeypatch):
    waits, over, sleep = [], asyncio.Event(), asyncio.sleep

    async def counted(seconds):
        waits.append(seconds)
        if len(waits) == 6:
            over.set()
            await asyncio.Event().wait()
        await sleep(0)

    async def ask():
        line = Line(predict=FaultError("it ended"))
        channel = Channel(spec(tmp_path), Events(35), print, Opens(line, *[FaultError("it crashed")] * 9))
        await channel.start()
        monkeypatch.setattr(asyncio, "sleep", counted)
        asked = asyncio.create_task(channel.predict({"x": [0.5]}, 1))
        async with asyncio.timeout(60):
            await over.wait()
        monkeypatch.setattr(asyncio, "sleep", sleep)
        asked.cancel()
        await channel.stop()
        return channel.starts

    monkeypatch.setattr(module, "BACK_OFF_SECONDS", (0.1, 1.0))
    assert asyncio.run(ask()) == 6
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_events_are_told_to_every_worker_also_to_one_that_starts_anew(tmp_path):
    async def ask():
        events = Events(35)
        events.add({"kind": ["a", "b"], "at": [datetime(2013, 1, 1, tzinfo=UTC)] * 2})
        async with Opened(spec(tmp_path, '{"say": "seen"}'), events) as one:
            before = await one.p(0.0)
            assert await one.channel.observed(1, events.add({"kind": ["c"] * 25_000})) == {}
            then = await one.p(0.0)
            os.kill(one.channel._line.process.pid, signal.SIGKILL)
            await asyncio.sleep(0.1)
            return before, then, await one.again(0.0)

    assert asyncio.run(ask()) == ([0.002], [25.002], [25.002])


def test_events_that_it_refuses_are_said_and_those_that_end_it_are_not_told_again(tmp_path):
    async def ask():
        events = Events(35)
        async with Opened(spec(tmp_path, '{"say": "seen"}'), events) as one:
            refused = await one.channel.observed(0, events.add({"kind": ["bad"]}))
            fatal = await one.channel.observed(1, events.add({"kind": ["fatal"]}))
            events.add({"kind": ["c"]})
            return refused, fatal, await one.again(0.0)

    assert asyncio.run(ask()) == (
        {0: "kind: bad is none"},
        {1: "the version failed on them"},
        [0.001],
    )


def test_events_that_are_too_old_to_be_kept_are_waited_for_by_nobody(tmp_path):
    async def ask():
        events = Events(35)
        async with Opened(spec(tmp_path, '{"say": "seen"}'), events) as one:
            for month in (3, 1):  # what is two months late is kept no more when it comes
                end = events.add({"kind": ["a"], "known_at": [datetime(2013, month, 1, tzinfo=UTC)]})
                assert await one.channel.observed(end - 1, end) == {}
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


async def _until(what):
    """Wait until something is so."""
    async with asyncio.timeout(20):
        while not what():
            await asyncio.sleep(0.01)


def test_a_version_that_fails_on_events_takes_them_from_no_other(tmp_path):
    def frail(kinds):
        return FaultError("it ended") if "fatal" in kinds else None

    async def ask():
        events, said = Events(35), []
        events.add({"kind": ["a"] * 25_000})
        for _ in range(3):  # a candidate that is tried again and again
            with pytest.raises(FaultError):
                await Channel(spec(tmp_path), events, print, Opens(Line(tell=FaultError("it ended")))).start()
        end = events.add({"kind": ["fatal"]})
        events.add({"kind": ["b"]})
        first, *frails = Line(), Line(tell=frail), Line(tell=frail), Line(tell=frail)
        channel = Channel(spec(tmp_path), events, said.append, Opens(first, *frails))
        await channel.start()
        first.closed = True
        channel.wake()
        await _until(lambda: "b" in frails[-1].told)
        await channel.stop()
        other = Line()
        await Channel(spec(tmp_path), events, print, Opens(other)).start()
        return events.rows, end, len(frails[-1].told), len(other.told), said

    rows, end, told, others, said = asyncio.run(ask())
    assert (rows, end, told, others) == (25_002, 4, 25_001, 25_002)
    # the first by itself, two at what they were told; that is told to the last no more
    assert said == ["it ended", "it ended", "it refuses events: the version failed on them", "it ended"]


def test_events_are_not_at_fault_where_the_worker_had_ended_before(tmp_path):
    async def ask():
        events, first, second = Events(35), Line(), Line()
        channel = Channel(spec(tmp_path), events, print, Opens(first, second))
        await channel.start()
        first.closed = True
        refused = await channel.observed(0, events.add({"kind": ["a"]}))
        await channel.stop()
        return refused, first.told, second.told

    assert asyncio.run(ask()) == ({}, [], ["a"])


def test_of_many_events_each_frame_that_is_refused_is_named(tmp_path):
    def choosy(kinds):
        return RefusedError("", f"{kinds[0]} is none") if kinds[0] in ("x", "z") else None

    async def ask():
        events, said = Events(35), []
        channel = Channel(spec(tmp_path), events, said.append, Opens(Line(tell=choosy)))
        await channel.start()
        end = events.add({"kind": ["x"] * 10_000 + ["y"] * 10_000 + ["z"] * 10})
        refused = await channel.observed(0, end)
        await channel.stop()
        return refused, said

    assert asyncio.run(ask()) == ({0: "x is none", 2: "z is none"}, [])


def test_events_that_are_refused_and_nobody_waits_for_are_said_once_for_each_worker(tmp_path):
    async def ask():
        events, said = Events(35), []
        for kind in "abc":
            events.add({"kind": [kind]})
        lines = [Line(tell=FailedError("no column id")) for _ in range(2)]
        channel = Channel(spec(tmp_path), events, said.append, Opens(*lines))
        await channel.start()
        before = [*said]
        lines[0].closed = True
        channel.wake()
        await _until(lambda: len(said) == 3)
        await channel.stop()
        return before, said

    before, said = asyncio.run(ask())
    assert before == ["it refuses events: no column id"]
    assert said == [*before, "it ended", "it refuses events: no column id"]


def test_whatever_goes_wrong_with_a_version_it_gets_another_worker(tmp_path):
    full = OSError(28, "No space left on device")

    async def ask():
        said, last = [], Line()
        opens = Opens(Line(predict=full), OSError(24, "Too many open files"), ValueError("no such place"), last)
        channel = Channel(spec(tmp_path), Events(35), said.append, opens)
        await channel.start()
        found = await channel.predict({"x": [0.5]}, 1)
        await channel.stop()
        return found.columns, said, last.closed

    found, said, closed = asyncio.run(ask())
    assert (found, closed) == ({"p": [0.5]}, True)
    assert said == [
        "OSError: [Errno 28] No space left on device",
        "OSError: [Errno 24] Too many open files",
        "ValueError: no such place",
    ]


def test_a_start_that_is_cancelled_leaves_no_worker(tmp_path):
    async def ask():
        events, hangs = Events(35), Line(tell="hang")
        events.add({"kind": ["a"]})
        task = asyncio.create_task(Channel(spec(tmp_path), events, print, Opens(hangs)).start())
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled(), hangs.closed

    assert asyncio.run(ask()) == (True, True)


def test_a_stop_that_is_cancelled_ends_the_worker_too(tmp_path):
    async def ask():
        hangs = Line(predict="hang")
        channel = Channel(spec(tmp_path), Events(35), print, Opens(hangs))
        await channel.start()
        asked = asyncio.create_task(channel.predict({"x": [0.5]}, 1))
        await asyncio.sleep(0.05)
        stop = asyncio.create_task(channel.stop())
        await asyncio.sleep(0.05)
        before = hangs.closed
        stop.cancel()
        await asyncio.wait([stop, asked])
        return before, hangs.closed, type(asked.exception())

    assert asyncio.run(ask()) == (False, True, UnavailableError)


def test_requests_that_nobody_waits_for_are_not_kept_while_no_worker_starts(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BACK_OFF_SECONDS", (0.1, 0.1))

    async def ask():
        opens = Opens(Line(), *[FaultError("it crashed")] * 200)
        channel = Channel(spec(tmp_path, answer_seconds=0.05), Events(35), print, opens)
        await channel.start()
        channel._line.closed = True
        asked = [channel.predict({"x": [0.5]}, 1) for _ in range(50)]
        found = await asyncio.gather(*asked, return_exceptions=True)
        starts = channel.starts
        await _until(lambda: channel.starts >= starts + 2)
        kept = len(channel._waiting)
        await channel.stop()
        return {type(one) for one in found}, kept

    assert asyncio.run(ask()) == ({UnavailableError}, 0)


def test_words_of_a_version_are_text_that_can_be_sent_and_one_line(tmp_path):
    said = json.dumps({"refused": "x: half of \ud83d\n\x1b[31mred"}).encode()
    with pytest.raises(RefusedError) as refused:
        line._said(said)
    assert refused.value.why == "x: half of red"
    with pytest.raises(FailedError, match=r"^half of$"):
        line._said(json.dumps({"failed": "half of \udc00"}).encode())
    assert [line._digest(one) for one in ("0f", "\ud83d", 7)] == [True, False, False]


def test_the_last_words_of_a_worker_command_no_terminal(tmp_path):
    told = spec(tmp_path)
    (tmp_path / "src" / "served.py").write_text("print(chr(27) + '[31mred')\nprint('last')\nraise SystemExit(1)")
    with pytest.raises(FaultError) as failed:
        asyncio.run(line.Line.open(told))
    assert str(failed.value).splitlines()[1:] == ["  red", "  last"]


def test_a_worker_for_which_there_is_no_socket_or_no_folder_is_a_fault(tmp_path, monkeypatch):
    told = spec(tmp_path)
    (tmp_path / "away").symlink_to(tmp_path / "src")
    with pytest.raises(FaultError, match="away is a link"):
        asyncio.run(line.Line.open(dataclasses.replace(told, folder="away")))

    def full(*_):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    async def ask():
        monkeypatch.setattr(line.socket, "socketpair", full)
        with pytest.raises(FaultError, match="cannot be run: Too many open files"):
            await line.Line.open(told)
        monkeypatch.undo()

    asyncio.run(ask())
