"""follow: what answers is what the environments' tags name, and whatever becomes of a candidate, something answers."""

import asyncio
import contextlib
import errno
import os
import signal
import socket
import subprocess
import threading
import time
from types import SimpleNamespace

import pytest
from tests.serving.shelf import AT, Shelf, running
from tests.serving.versions import workers

from pushforward.errors import TOOL, USAGE, PushforwardError
from pushforward.lifecycle import Serve
from pushforward.registry import signers
from pushforward.serving import follow, uses
from pushforward.serving.events import Events
from pushforward.serving.follow import Follower
from pushforward.serving.live import Live
from pushforward.serving.port import RefusedError, UnavailableError
from pushforward.serving.uses import Told, Use, Uses

pytestmark = pytest.mark.whole

LIMITS = "serve: {load_seconds: 3.0, answer_seconds: 3.0, memory_mb: 1024}\n"
MAIN, CANARY = (Use(f"toy#{name}#1", "o", f"toy@v1.{n}.0", "c") for n, name in enumerate(("production", "staging")))


class Followed:
    """The versions of a shelf, followed inside of the block."""

    def __init__(self, shelf, environment="production", *, root=None, **more):
        self.shelf, self.said = shelf, []
        self.live = Live(Events(35), **more)
        folder = shelf.hub.folder / "serving"
        folder.mkdir()
        known = Uses(root or shelf.hub.clone)
        self.follower = Follower(known, environment, self.live, folder, shelf.hub.folder / "cache", self.said.append)

    async def __aenter__(self):
        self.task = asyncio.create_task(self.follower.run())
        return self

    async def __aexit__(self, *_):
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task

    async def p(self, x=0.5, key="a"):
        """The prediction of one row, and the version that gave it."""
        answer = await self.live.predict({"id": [key], "x": [x], "at": [AT]}, "r")
        return answer.predictions["p"][0], answer.served.version

    async def until(self, what, seconds=60.0):
        """Wait until something is so."""
        end = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < end, self.said
            assert not self.task.done(), self.task.exception()
            await asyncio.sleep(0.02)

    async def answers(self, version):
        """Wait until this version answers."""
        await self.until(lambda: self.live.served is not None and self.live.served.version == version)

    async def does(self, act, *args, **more):
        """Do something that takes a while, beside what goes on."""
        return await asyncio.to_thread(act, *args, **more)


def follower(folder, serve=None):
    """One that goes by what a test tells it, and asks nobody."""
    known = SimpleNamespace(root=folder, model="toy", seconds=0.01)
    one = Follower(known, "production", Live(Events(35)), folder, folder / "cache", [].append)
    one._see(Told({"production": MAIN, "staging": CANARY}, serve or Serve(canary="staging"), ""))
    return one


class Ends:
    """A channel of which it is known that it was stopped."""

    stopped = False

    async def stop(self):
        self.stopped = True


def holding(folder):
    """A follower, and the version that it asks for its canary's share."""
    one = follower(folder)
    canary, post = running(Ends(), "v1.1.0", folder / "canary" / "checkout"), one.posts["canary"]
    post.running, post.done = canary, CANARY
    one.live.put("canary", canary)
    one._started.append(canary)
    return one, canary


@pytest.mark.parametrize("named", ["research", None])
def test_an_arm_goes_with_its_environment_also_where_the_next_one_has_no_tag(tmp_path, named):
    async def play():
        one, canary = holding(tmp_path)
        hangs = one.posts["canary"].task = asyncio.create_task(asyncio.sleep(600))
        one._see(Told({"production": MAIN, "staging": CANARY}, Serve(canary=named), ""))
        await asyncio.wait([hangs, *one._ending])
        post = one.posts.get("canary")
        return one.live.arms["canary"], post and (post.environment, post.use), canary.channel.stopped, hangs.cancelled()

    found = ("research", None) if named else None
    assert asyncio.run(play()) == (None, found, True, True)


def test_an_arm_goes_with_the_tags_of_its_environment(tmp_path):
    async def play():
        one, canary = holding(tmp_path)
        one._see(Told({"production": MAIN}, Serve(canary="staging"), ""))
        await one._see_to(one.posts["canary"])
        await one.posts["canary"].task
        return one.live.arms["canary"], one.posts["canary"].before is canary

    assert asyncio.run(play()) == (None, True), "and it is the way back"


def test_what_goes_wrong_beside_the_requests_is_said(tmp_path):
    async def play():
        one, said = follower(tmp_path), []
        one.say = said.append
        one._beside(lambda word: {}[word], "x")
        await asyncio.wait([*one._ending])
        await asyncio.sleep(0)
        return said, one._ending

    assert asyncio.run(play()) == (["a bug of the server's own: KeyError: 'x'"], set())


def test_a_canary_is_taken_back_only_where_it_is_still_what_its_environment_holds(hub):
    shelf = Shelf(hub)
    shelf.use(shelf.add())
    shelf.add('{"p": 0.25}', lambda _: 0.25)
    shelf.add('{"p": 0.75}', lambda _: 0.75)  # what passes is in staging by itself
    one, said, told = follower(hub.clone), [], []
    one.say, one.tell = said.append, lambda *words: told.append(words)
    before = hub.git(hub.bare, "for-each-ref")
    one._sign("staging", "toy@v1.1.0", "it is worse")
    assert hub.git(hub.bare, "for-each-ref") == before
    why = "staging has moved on to toy@v1.2.0 meanwhile; nothing was done"
    assert said == [f"staging: {why}"]
    title = "toy@v1.1.0 is taken back as a canary in staging"
    assert told == [(title, f"it is worse; {why}", "pushforward show")]
    one._sign("staging", "toy@v1.2.0", "it is worse")
    assert hub.record("toy#staging#4")["version"] == "toy@v1.1.0"


def test_a_swap_goes_on_with_the_events_and_a_way_back_needs_no_start(hub):
    shelf = Shelf(hub)
    first, second = shelf.add('{"p": 0.25}', lambda _: 0.25), shelf.add('{"say": "seen"}', lambda _: 0.003)
    shelf.use(first)

    async def play():
        async with Followed(shelf) as one:
            with pytest.raises(UnavailableError):
                await one.p()
            await one.answers("v1.0.0")
            found = [await one.p()]
            assert await one.live.observe({"id": ["a", "b"], "kind": ["x", "y"], "known_at": [AT, AT]}) == 2
            with pytest.raises(RefusedError, match="kind: bad is none"):
                await one.live.observe({"id": ["a"], "kind": ["bad"], "known_at": [AT]})
            await one.does(shelf.use, second)
            await one.answers("v1.1.0")
            found.append(await one.p())
            await one.does(shelf.back)
            await one.answers("v1.0.0")
            found.append(await one.p())
            return found, one.follower._number, one.said

    found, made, said = asyncio.run(play())
    assert found == [(0.25, "v1.0.0"), (0.002, "v1.1.0"), (0.25, "v1.0.0")]
    assert said[-1].startswith("production: toy@v1.0.0 answers (toy#production#3"), said
    assert made == 2
    assert workers(hub.folder) == []


def test_after_a_start_the_version_before_is_made_ready_too(hub):
    shelf = Shelf(hub)
    for p in (0.25, 0.75):
        shelf.use(shelf.add(f'{{"p": {p}}}', lambda _, p=p: p))

    async def play():
        async with Followed(shelf) as one:
            await one.answers("v1.1.0")
            await one.until(lambda: one.follower.posts["main"].before is not None)
            await one.does(shelf.back)
            await one.answers("v1.0.0")
            return await one.p(), one.follower._number

    assert asyncio.run(play()) == ((0.25, "v1.0.0"), 2)


@pytest.mark.parametrize(
    "told",
    ['{"load": "hang"}', '{"predict": "memory"}'],
)
def test_a_candidate_that_fails_takes_nothing_over_and_the_next_one_does(hub, told):
    shelf = Shelf(hub, settings=LIMITS)
    good, bad, better = shelf.add(), shelf.add(told), shelf.add('{"p": 0.75}', lambda _: 0.75)
    shelf.use(good)

    async def play():
        async with Followed(shelf) as one:
            await one.answers("v1.0.0")
            await one.does(shelf.use, bad)
            await one.until(lambda: one.live.counts["candidates_failed"])
            assert await one.p() == (0.5, "v1.0.0")
            assert any("toy@v1.0.0 answers on; again in 30 s" in line for line in one.said), one.said
            await one.does(shelf.use, better)
            await one.answers("v1.2.0")
            assert await one.p() == (0.75, "v1.2.0")
            return one.live.counts["candidates_failed"]

    assert asyncio.run(play()) == 1


def test_a_candidate_that_failed_is_tried_again_after_a_while(hub, monkeypatch):
    monkeypatch.setattr(follow, "AGAIN_SECONDS", (0.2, 1.0))
    shelf = Shelf(hub)
    shelf.use(shelf.add())
    (hub.store / "files").rename(hub.store / "away")

    async def play():
        async with Followed(shelf) as one:
            await one.until(lambda: one.live.counts["candidates_failed"] >= 2)
            (hub.store / "away").rename(hub.store / "files")
            await one.answers("v1.0.0")

    asyncio.run(play())


def test_a_canary_that_fails_is_taken_back_by_a_tag_that_says_why(hub):
    shelf = Shelf(hub, settings="serve: {canary: staging, share: 1.0}\n")
    shelf.use(shelf.add())
    shelf.add('{"above": 0.85}')  # what passes is in staging by itself

    told = []

    async def play():
        async with Followed(shelf) as one:
            one.follower.tell = lambda *words: told.append(words)
            await one.answers("v1.0.0")
            await one.until(lambda: one.live.arms.get("canary") is not None)
            assert await one.p() == (0.5, "v1.1.0")
            for _ in range(3):
                assert await one.p(0.9) == (0.9, "v1.0.0")
            assert one.live.arms["canary"] is None
            await one.until(lambda: any("toy#staging#3 says so" in line for line in one.said))
            assert await one.p() == (0.5, "v1.0.0")

    asyncio.run(play())
    record = hub.record("toy#staging#3")
    assert record["version"] == "toy@v1.0.0"
    assert record["by"] == "Ann <ann@example.org>"
    why = "3 of its last 4 answers failed where the version in use answered"
    assert record["reason"] == f"toy@v1.1.0 as a canary: {why}"
    title = "toy@v1.1.0 is taken back as a canary in staging"
    assert told == [(title, f"{why}; toy#staging#3 says so", "pushforward show")]


def test_an_environment_that_is_emptied_answers_nobody(hub):
    from pushforward.release.release import empty

    shelf = Shelf(hub)
    version = shelf.add()
    shelf.use(version)

    async def play():
        async with Followed(shelf) as one:
            await one.answers("v1.0.0")
            await one.does(empty, hub.clone, "nobody needs it", environment="production")
            await one.until(lambda: one.live.served is None)
            with pytest.raises(UnavailableError):
                await one.p()
            await one.does(shelf.use, version)
            await one.answers("v1.0.0")
            assert one.said[-2] == "production: no version is in use (toy#production!#2)"

    asyncio.run(play())


def test_a_tag_that_comes_while_another_is_tried_is_gone_by_at_once(hub):
    shelf = Shelf(hub, settings="serve: {load_seconds: 600.0}\n")
    hangs, good = shelf.add('{"load": "hang"}'), shelf.add()
    shelf.use(hangs)

    async def play():
        async with Followed(shelf) as one:
            await one.until(lambda: workers(hub.folder))
            await one.does(shelf.use, good)
            await one.answers("v1.1.0")
            await one.until(lambda: len(workers(hub.folder)) == 1)

    asyncio.run(play())


def test_a_repository_that_cannot_be_read_is_said_once_and_what_is_served_stays(hub):
    shelf = Shelf(hub)
    shelf.use(shelf.add())

    async def play():
        async with Followed(shelf) as one:
            await one.answers("v1.0.0")
            hub.bare.rename(hub.folder / "away.git")
            await one.until(lambda: one.live.counts["unread"] >= 2)
            assert await one.p() == (0.5, "v1.0.0")
            (hub.folder / "away.git").rename(hub.bare)
            version = await one.does(shelf.add, '{"p": 0.25}', lambda _: 0.25)
            await one.does(shelf.use, version)
            await one.answers("v1.1.0")
            assert len([line for line in one.said if "what is served stays" in line]) == 1
            assert one.said.count("the repository is read again") == 1

    asyncio.run(play())


SETTINGS = "pushforward.yaml: unknown key"


@pytest.mark.parametrize(
    ("looks", "said"),
    [
        (  # what git says of a repository that is away depends on when it went
            [("hung up", TOOL), ("reset by peer", TOOL), ("unable to connect", TOOL), None, ("refused", TOOL)],
            ["hung up; what is served stays", "the repository is read again", "refused; what is served stays"],
        ),
        (  # settings that have to be mended are another matter than a network that comes and goes
            [(SETTINGS, USAGE), ("refused", TOOL), (SETTINGS, USAGE), ("timed out", TOOL), None],
            [f"{SETTINGS}; what is served stays", "refused; what is served stays", "the repository is read again"],
        ),
        (
            [OSError(errno.ENOSPC, "No space left", "/tmp/a"), OSError(errno.ENOSPC, "No space left", "/tmp/b")],
            ["[Errno 28] No space left: '/tmp/a'; what is served stays"],
        ),
    ],
    ids=["an outage", "settings", "a disk"],
)
def test_what_keeps_it_from_looking_is_said_once_in_whatever_words_it_comes(tmp_path, looks, said):
    one, found = follower(tmp_path), []
    one.say = found.append
    for look in looks:
        if look is None:
            one._reached()
        else:
            one._missed(look if isinstance(look, OSError) else PushforwardError(look[0], exit_code=look[1]))
    assert found == said
    assert one.live.counts["unread"] == sum(look is not None for look in looks)


def test_who_has_to_know_is_told_once_of_what_cannot_be_served_and_no_answer_waits_for_it(hub, monkeypatch):
    monkeypatch.setattr(follow, "AGAIN_SECONDS", (0.2, 0.2))
    shelf = Shelf(hub, settings=LIMITS)
    good, bad = shelf.add(), shelf.add('{"load": "crash"}')
    shelf.use(good)
    told, over = [], threading.Event()

    def tell(*words):
        told.append(words)
        over.wait(60)

    async def play():
        async with Followed(shelf) as one:
            one.follower.tell = tell
            await one.answers("v1.0.0")
            await one.does(shelf.use, bad)
            await one.until(lambda: one.live.counts["candidates_failed"] >= 2)
            assert told, "and whoever is told hangs"
            assert await one.p() == (0.5, "v1.0.0")
            over.set()

    asyncio.run(play())
    ((title, text, then),) = told
    assert title == "toy@v1.1.0 (toy#production#2) cannot be served in production"
    assert text.endswith("toy@v1.0.0 answers on")
    assert then == "pushforward verify --in-use production --quick"


def _listens(port):
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def daemon(folder, port):
    """The repositories of a folder, read over the network."""
    words = ["git", "daemon", "--export-all", "--reuseaddr", "--listen=127.0.0.1", f"--port={port}"]
    run = subprocess.Popen(
        [*words, f"--base-path={folder}", str(folder)], stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        end = time.monotonic() + 30
        while not _listens(port):
            assert time.monotonic() < end
            time.sleep(0.05)
        yield
    finally:
        os.killpg(run.pid, signal.SIGKILL)
        run.communicate()


def test_a_repository_elsewhere_is_followed_over_the_network_and_while_it_is_gone_what_is_served_stays(
    hub, git, monkeypatch
):
    monkeypatch.setattr(uses, "FAR_SECONDS", 0.2)
    shelf = Shelf(hub)
    shelf.use(shelf.add())
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    far = hub.folder / "far"

    git(hub.bare, "config", "receive.advertisePushOptions", "true")
    signers.publish(hub.bare, "as its owner does")
    address = f"git://127.0.0.1:{port}/{hub.bare.name}"

    async def play(net):
        net.enter_context(daemon(hub.folder, port))
        git(hub.folder, "clone", "-q", "-o", "local", address, str(far))
        async with Followed(shelf, root=far) as one:
            await one.answers("v1.0.0")
            assert not one.follower.uses.near
            await one.does(shelf.use, await one.does(shelf.add, '{"p": 0.25}', lambda _: 0.25))
            await one.answers("v1.1.0")
            net.close()
            await one.does(shelf.use, await one.does(shelf.add, '{"p": 0.75}', lambda _: 0.75))
            await one.until(lambda: one.live.counts["unread"] >= 2)
            assert await one.p() == (0.25, "v1.1.0")
            net.enter_context(daemon(hub.folder, port))
            await one.answers("v1.2.0")
            assert await one.p() == (0.75, "v1.2.0")
            assert len([line for line in one.said if line.endswith("; what is served stays")]) == 1, one.said
            assert one.said.count("the repository is read again") == 1

    with contextlib.ExitStack() as net:
        asyncio.run(play(net))
