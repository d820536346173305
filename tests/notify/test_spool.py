"""What waits to be told: tried again after longer and longer, dropped at last, and every message that was is named."""

import json
from time import gmtime, strftime

import pytest
from tests.mailbox import Webhook, served

from pushforward.notify import spool as spools
from pushforward.notify.news import News
from pushforward.notify.spool import Spool
from pushforward.schema import Target

TEAM = {"team": Target(url_env="HOOK"), "owners": Target(url_env="HOOK", events=["release"])}


class Clock:
    """Moves when somebody sleeps."""

    def __init__(self):
        self.now, self.slept = 1_700_000_000.0, []

    def time(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(round(seconds))
        self.now += seconds

    def time_ns(self):
        return int(self.now * 1e9)

    def gmtime(self):
        return gmtime(self.now)

    strftime = staticmethod(strftime)


@pytest.fixture
def clock(monkeypatch):
    found = Clock()
    monkeypatch.setattr(spools, "time", found)
    return found


@pytest.fixture
def hook():
    with served(Webhook()) as server:
        yield server


@pytest.fixture
def spool(tmp_path):
    said = []
    made = Spool(tmp_path / "spool", say=said.append)
    object.__setattr__(made, "said", said)
    return made


def news(title="Hold: a1b2c3d", event="verdict"):
    return News(event, "flights", title)


def test_everybody_is_told_of_what_they_want_to_hear_and_nothing_is_left(spool, hook):
    assert spool.put(TEAM, news()) == 1
    assert spool.put(TEAM, news("Released", "release")) == 2
    spool.send({"HOOK": hook.url})
    assert [one["text"] for one in hook.taken] == ["flights: Hold: a1b2c3d", "flights: Released", "flights: Released"]
    assert ([*spool.waiting()], spool.dropped()) == ([], [])
    assert spool.said[0] == "told verdict to team: Hold: a1b2c3d"


def test_no_address_is_on_disk_and_nobody_else_reads_what_is(spool, hook):
    spool.put(TEAM, news())
    (path,) = spool.folder.glob("*.json")
    assert "127.0.0.1" not in path.read_text()
    assert (path.stat().st_mode & 0o777, spool.folder.stat().st_mode & 0o777) == (0o600, 0o700)


def test_what_may_pass_is_tried_soon_then_at_rest_and_dropped_at_last(spool, hook, clock):
    """Whoever sends waits seconds; what is due later waits for whoever comes next."""
    hook.answers = [(500, {})] * 99
    spool.put(TEAM, news())
    spool.send({"HOOK": hook.url})
    assert clock.slept == [5, 20]
    assert len(hook.paths) == 3
    (item,) = spool.waiting()
    assert (item.tries, item.why) == (3, "127.0.0.1 answers 500 no_service")
    spool.send({"HOOK": hook.url})
    assert len(hook.paths) == 3, "it is not due yet"
    for pause in spools.PAUSES[2:]:
        clock.now += pause + 1
        spool.send({"HOOK": hook.url})
    assert len(hook.paths) == 1 + len(spools.PAUSES)
    assert [*spool.waiting()] == []
    (line,) = spool.dropped()
    assert line.endswith("verdict to team: Hold: a1b2c3d (127.0.0.1 answers 500 no_service, after 8 tries)")


def test_one_that_was_lost_for_a_while_is_told_in_the_end(spool, hook, clock):
    hook.answers = [(0, {}), (503, {"Retry-After": "60"})]
    spool.put(TEAM, news())
    spool.send({"HOOK": hook.url})
    assert (len(hook.taken), clock.slept) == (0, [5]), "it asks for more time than whoever sends has"
    clock.now += 61
    spool.send({"HOOK": hook.url})
    assert len(hook.taken) == 1


def test_what_no_try_can_mend_is_dropped_at_once_and_holds_nothing_up(spool, hook):
    hook.answers = [(404, {})]
    spool.put(TEAM, news("first"))
    spool.put(TEAM, news("second"))
    spool.send({"HOOK": hook.url})
    assert [one["text"] for one in hook.taken] == ["flights: second"]
    assert [line.partition("UTC ")[2] for line in spool.dropped()] == [
        "verdict to team: first (127.0.0.1 answers 404 no_service)"
    ]


def test_an_address_that_is_not_there_yet_is_waited_for(spool, hook, clock):
    spool.put(TEAM, news())
    spool.send({})
    (item,) = spool.waiting()
    assert item.why == "HOOK is not set: nobody is told by it"
    clock.now += 3600
    spool.send({"HOOK": hook.url})
    assert len(hook.taken) == 1


def test_there_are_never_more_than_so_many(spool, hook, monkeypatch):
    monkeypatch.setattr(spools, "MOST", 3)
    monkeypatch.setattr(spools, "MOST_DROPPED", 2)
    for number in range(7):
        spool.put(TEAM, news(f"number {number}"))
    assert [item.news.title for item in spool.waiting()] == ["number 4", "number 5", "number 6"]
    assert [line.partition("UTC ")[2] for line in spool.dropped()] == [
        f"verdict to team: number {number} (more than 3 messages wait)" for number in (2, 3)
    ]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", json.dumps({"name": "team"}), "\x00"])
def test_what_cannot_be_read_is_dropped(spool, content):
    spool.folder.mkdir()
    (spool.folder / "1.json").write_text(content)
    spool.send({})
    assert [line.partition("UTC ")[2] for line in spool.dropped()] == ["1.json (it cannot be read)"]


def test_one_sends_at_a_time_one_stands_by_and_a_third_has_nothing_to_do(spool, hook):
    spool.put(TEAM, news())
    with spools.durable.locked(spool.folder / spools.STANDBY):
        spool.send({"HOOK": hook.url})
    assert hook.taken == []
    spool.send({"HOOK": hook.url})
    assert len(hook.taken) == 1
