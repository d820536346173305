"""live: who answers a request, who is asked beside, and what becomes of a canary that is worse."""

import asyncio
from types import SimpleNamespace

import pytest
from tests.serving.shelf import AT, running
from tests.serving.versions import Opened, spec

from pushforward.serving.events import Events
from pushforward.serving.journal import Journal
from pushforward.serving.line import Line
from pushforward.serving.live import LOOK_EVERY, Live, opened
from pushforward.serving.memory import Memory
from pushforward.serving.port import RefusedError, UnavailableError
from pushforward.serving.shares import TIMED, within

pytestmark = pytest.mark.whole


class Arms:
    """A live with the versions that files of models say, open inside of the block."""

    def __init__(self, folder, **told):
        self.events, self.worse = Events(35), []
        self.kept = Journal(folder / "log", print)
        share = told.pop("share", 1.0)
        self.opened = {
            arm: Opened(spec(folder / arm, text, answer_seconds=3.0), self.events) for arm, text in told.items()
        }
        self.live = Live(self.events, self.kept, share, worse=self.worse.append)

    async def __aenter__(self):
        for number, (arm, one) in enumerate(self.opened.items()):
            await one.__aenter__()
            self.live.put(arm, running(one.channel, f"v{number}.0.0"))
        return self

    async def __aexit__(self, *_):
        await self.live.close()
        for one in self.opened.values():
            await one.__aexit__()

    async def p(self, key="a", x=0.5, **more):
        answer = await self.live.predict({"id": (key,), "x": (x,), "at": (AT,)}, "r", **more)
        return answer.arm, answer.predictions["p"][0]

    async def logged(self):
        async with asyncio.timeout(60):
            while self.live._beside:
                await asyncio.sleep(0.01)
        return sorted((one.arm, one.asking.request, one.predicted.columns["p"][0]) for one in self.kept._waiting)


@pytest.mark.ml_test_score("Infra 6")
def test_a_canary_answers_its_share_and_both_are_logged(tmp_path):
    async def play():
        async with Arms(tmp_path, main='{"p": 0.25}', canary='{"p": 0.75}', share=0.3) as one:
            salt = one.live.arms["canary"].served.digest
            inside = next(key for key in map(str, range(99)) if within(key, salt, 0.3))
            outside = next(key for key in map(str, range(99)) if not within(key, salt, 0.3))
            found = [await one.p(inside), await one.p(outside), await one.p(inside, pinned=True)]
            return found, await one.logged()

    found, logged = asyncio.run(play())
    assert found == [("canary", 0.75), ("main", 0.25), ("main", 0.25)]
    assert logged == [("canary", "r", 0.75), ("main", "r", 0.25), ("main", "r", 0.25), ("main", "r", 0.25)]


def test_what_is_asked_together_has_one_name_of_its_own_whatever_a_client_calls_it(tmp_path):
    async def play():
        async with Arms(tmp_path, main='{"p": 0.25}', canary='{"p": 0.75}', shadow='{"p": 0.5}', share=1.0) as one:
            for _ in range(3):
                await one.p()
            await one.logged()
            return [(entry.asking.request, entry.asking.name, entry.arm) for entry in one.kept._waiting]

    logged = asyncio.run(play())
    assert {request for request, _, _ in logged} == {"r"}
    names = {name for _, name, _ in logged}
    assert len(names) == 3
    assert sorted(logged) == [("r", name, arm) for name in sorted(names) for arm in ("canary", "main", "shadow")]


def test_a_shadow_is_asked_and_not_heard(tmp_path):
    async def play():
        async with Arms(tmp_path, main='{"p": 0.25}', shadow='{"p": 0.75}') as one:
            return await one.p(), await one.logged()

    assert asyncio.run(play()) == (("main", 0.25), [("main", "r", 0.25), ("shadow", "r", 0.75)])


def test_a_shadow_that_fails_is_counted_and_nobody_waits_for_it(tmp_path):
    async def play():
        async with Arms(tmp_path, main='{"p": 0.25}', shadow='{"predict": "raise"}') as one:
            found = await one.p()
            await one.logged()
            return found, one.live.counts["shadow_failed"]

    assert asyncio.run(play()) == (("main", 0.25), 1)


def test_a_canary_that_fails_costs_no_answer_and_goes(tmp_path):
    async def play():
        async with Arms(tmp_path, main='{"p": 0.25}', canary='{"predict": "raise"}') as one:
            return [await one.p() for _ in range(5)], one.worse, one.live.arms["canary"]

    found, worse, canary = asyncio.run(play())
    assert found == [("main", 0.25)] * 5
    assert worse == ["3 of its last 3 answers failed where the version in use answered"]
    assert canary is None


@pytest.mark.ml_test_score("Monitoring 6")
def test_a_canary_that_is_slow_goes(tmp_path):
    async def play():
        async with Arms(tmp_path, main='{"p": 0.25}', canary='{"slow": 0.05}') as one:
            one.live.slower = 1.25  # on a machine where the other one takes less than 200 ms
            for _ in range(TIMED + LOOK_EVERY):
                await one.p()
                await one.logged()
            return one.worse

    (why,) = asyncio.run(play())
    assert "where the version in use takes" in why


def test_events_are_told_to_every_arm_and_what_is_refused_is_not_kept(tmp_path):
    async def play():
        told = {"main": '{"say": "seen"}', "canary": '{"say": "seen"}'}
        async with Arms(tmp_path, **told, share=0.5) as one:
            assert await one.live.observe({"kind": ["a", "b"]}) == 2
            with pytest.raises(RefusedError) as refused:
                await one.live.observe({"kind": ["bad"]})
            assert (refused.value.field, refused.value.why) == ("kind", "bad is none")
            found = {(await one.p(str(key))) for key in range(20)}
            return found, one.events.rows

    assert asyncio.run(play()) == ({("main", 0.002), ("canary", 0.002)}, 2)


def test_of_many_events_what_is_refused_is_not_kept_and_the_others_are_and_are_written(tmp_path):
    async def play():
        async with Arms(tmp_path, main='{"say": "seen"}', canary='{"say": "seen"}', share=0.5) as one:
            one.live.memory = Memory(tmp_path / "events", 35, print)
            with pytest.raises(RefusedError, match="kind: bad is none"):
                await one.live.observe({"kind": ["bad"] + ["a"] * 14_999})
            await one.live.memory.flush()
            again = Events(35)
            found = {(await one.p(str(key))) for key in range(20)}
            return one.events.rows, one.live.memory.replay(again), again.rows, found

    kept = 5_000  # the frame of 10,000 in which the bad one is was refused whole
    assert asyncio.run(play()) == (kept, kept, kept, {("main", 5.0), ("canary", 5.0)})


def test_how_much_slower_a_canary_may_be_is_as_the_settings_say_it_now(tmp_path):
    async def play():
        async with Arms(tmp_path, main='{"p": 0.25}', canary='{"p": 0.75}') as one:
            main, canary = one.live.arms["main"], one.live.arms["canary"]
            for slower in (100.0, 10.0):
                one.live.slower = slower
                for _ in range(TIMED):
                    one.live._pair(canary, main, 500.0, 10.0)
                yield [*one.worse]

    async def both():
        return [found async for found in play()]

    assert asyncio.run(both()) == [[], ["it takes 500 ms where the version in use takes 10 (medians of 120)"]]


def test_what_a_version_that_was_in_use_took_is_held_against_no_canary(tmp_path):
    async def play():
        async with Arms(tmp_path, main='{"p": 0.25}', canary='{"p": 0.75}') as one:
            main, canary = one.live.arms["main"], one.live.arms["canary"]
            one.live.put("main", running(main.channel, "v7.0.0"))
            for _ in range(3):
                one.live._pair(canary, main, None, 10.0)
            before = one.live.pairs.asked
            one.live._pair(canary, one.live.arms["main"], None, 10.0)
            return before, one.live.pairs.asked

    assert asyncio.run(play()) == (0, 1)


def test_what_keeps_events_for_a_version_keeps_them_as_long_as_the_server_does(tmp_path):
    found, one = [], Opened(spec(tmp_path))

    async def opens(told, on_end):
        found.append(told)
        return await Line.open(told, on_end)

    async def play():
        made = SimpleNamespace(spec=lambda _, features: one.channel.spec, opens=opens, served=None)
        await (await opened(made, None, Live(Events(7)), print, features=False)).channel.stop()

    asyncio.run(play())
    assert [told.remember_days for told in found] == [7]


def test_without_a_version_nobody_is_answered():
    async def play():
        live = Live(Events(35))
        for asked in (live.predict({"id": ["a"]}, "r"), live.observe({"kind": ["a"]})):
            with pytest.raises(UnavailableError, match="no version is in use"):
                await asked

    asyncio.run(play())
