"""beside: what happens to a version that serves is told by a process of its own, wherever the clone's server is."""

import time

import pytest
from tests.mailbox import Webhook, served

from pushforward.notify.spool import Spool
from pushforward.server import beside, telling

pytestmark = pytest.mark.whole

NOTIFY = "notify:\n  team: {url_env: HOOK, events: [serving]}\n  others: {url_env: HOOK, events: [verdict]}\n"
WORDS = ("toy@v1.1.0 cannot be served", "it does not load; toy@v1.0.0 answers on", "pushforward verify v1.1.0")


@pytest.fixture
def hook():
    with served(Webhook()) as server:
        yield server


def waited(what):
    end = time.monotonic() + 60
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


def mine(hook):
    return [one["text"] for one in hook.taken if "cannot be served" in one["text"]]


def noted(root, git, text=NOTIFY):
    with (root / "pushforward.yaml").open("a") as file:
        file.write(text)
    git(root, "commit", "-q", "-am", "Tell the team")


def test_beside_a_server_of_this_machine_its_own_messages_and_addresses_are_used(tiny, hook):
    path = tiny.server.folder / telling.ADDRESSES
    path.write_text(f"HOOK={hook.url}\n")
    path.chmod(0o600)
    tiny.commit({"pushforward.yaml": (tiny.clone / "pushforward.yaml").read_text() + NOTIFY}, "Tell the team")
    tiny.push("main")
    said = []
    beside.tell(tiny.clone, said.append, *WORDS)
    waited(lambda: mine(hook))
    assert said == []
    heading, text, step = mine(hook)[0].split("\n")
    assert heading == f"{tiny.server.name}: toy@\N{ZERO WIDTH SPACE}v1.1.0 cannot be served"
    assert text.startswith("it does not load")
    assert step == "next: pushforward verify v1.1.0"
    waited(lambda: not [*telling.spool(tiny.server).waiting()])
    assert len(mine(hook)) == 1, "others hear of other things"


def test_elsewhere_the_addresses_are_the_programs_own(hub, git, hook, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOOK", hook.url)
    noted(hub.clone, git)
    git(hub.clone, "push", "-q", "origin", "HEAD:refs/heads/main")
    (hub.bare / "pushforward").rename(hub.folder / "away")  # what is left is a repository as a forge has it
    said = []
    beside.tell(hub.clone, said.append, *WORDS)
    waited(lambda: hook.taken and not [*Spool(beside.waiting(hub.clone)).waiting()])
    assert said == []
    assert [one["text"].partition(":")[0] for one in hook.taken] == ["clone"]


def test_whom_nobody_is_named_for_hears_nothing_and_what_cannot_be_read_is_a_line(hub, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (hub.bare / "pushforward").rename(hub.folder / "away")
    said = []
    beside.tell(hub.clone, said.append, *WORDS)
    assert (said, [*Spool(beside.waiting(hub.clone)).waiting()]) == ([], [])
    hub.bare.rename(hub.folder / "gone.git")
    beside.tell(hub.clone, said.append, *WORDS)
    (line,) = said
    assert line.startswith("nobody is told that toy@v1.1.0 cannot be served: ")
