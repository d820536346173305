"""Hand-overs in git: left by a run, taken by the judge, with what a pusher could make of them."""

import subprocess

import pytest
from tests import docket_double
from tests.forge.test_docket import of_gitea
from tests.handovers import git

from pushforward.errors import PushforwardError
from pushforward.forge import gitea
from pushforward.forge.docket import Waiting


@pytest.fixture
def double():
    with docket_double.serve(docket_double.Gitea()) as made:
        yield made


def docket_of(hub, double, name="judge"):
    return gitea.Gitea.of(of_gitea(double), hub.fresh(name), "main")


def test_a_hand_over_comes_as_it_was_left_and_is_gone_when_done(hub, double, tmp_path):
    topic = hub.commit("topic", "topic")
    files = {"record.json": b"{}", "models/a/weights.bin": bytes(range(256))}
    assert hub.leave(topic, files) == f"refs/pushforward/handover/{topic}"
    double.open(5, topic)
    docket = docket_of(hub, double)
    (waiting,) = docket.waiting()
    assert (waiting.head, waiting.branch, waiting.pull) == (topic, "topic", 5)
    docket.take(waiting, tmp_path / "taken")
    found = {p.relative_to(tmp_path / "taken").as_posix(): p.read_bytes() for p in (tmp_path / "taken").rglob("*.*")}
    assert found == files
    docket.done(waiting)
    assert hub.left == []
    assert list(docket.waiting()) == []


def test_a_run_that_comes_later_is_judged_too(hub, double):
    topic = hub.commit("topic", "topic")
    double.open(5, topic)
    hub.leave(topic, {"record.json": b"1"})
    docket = docket_of(hub, double)
    (first,) = docket.waiting()
    hub.leave(topic, {"record.json": b"2"})
    docket.done(first)
    assert len(hub.left) == 1, "what the later run has left is not taken away unread"
    (second,) = docket.waiting()
    assert second.run != first.run


def test_pushes_come_first_in_their_order(hub, double):
    first, second = hub.head, hub.commit("second")
    topic = hub.commit("topic", "topic")
    double.open(5, topic)
    for head in (topic, second, first):
        hub.leave(head, {"record.json": head.encode()})
    waiting = list(docket_of(hub, double).waiting())
    assert [one.head for one in waiting] == [first, second, topic]
    assert [one.pull for one in waiting] == [None, None, 5]


def test_what_no_pull_request_has_as_its_head_is_dropped(hub, double):
    old = hub.commit("old", "topic")
    new = hub.commit("new", "topic")
    hub.leave(old, {"record.json": b"{}"})
    double.open(5, new)
    assert list(docket_of(hub, double).waiting()) == []
    assert hub.left == []


def test_a_pull_request_into_another_branch_is_not_judged(hub, double):
    topic = hub.commit("topic", "topic")
    hub.leave(topic, {"record.json": b"{}"})
    double.open(5, topic, base="release")
    assert list(docket_of(hub, double).waiting()) == []


def test_more_pull_requests_than_fit_on_a_page(hub, double):
    topic = hub.commit("topic", "topic")
    hub.leave(topic, {"record.json": b"{}"})
    for number in range(120):
        double.open(number + 10, f"{number:040x}")
    double.open(5, topic)
    assert [one.pull for one in docket_of(hub, double).waiting()] == [5]


def test_nothing_is_asked_of_the_forge_where_nothing_waits(hub, double):
    assert list(docket_of(hub, double).waiting()) == []
    assert double.calls == []


def test_a_link_in_a_hand_over_is_not_followed_and_not_made(hub, double, tmp_path):
    blob = git(hub.clone, "hash-object", "-w", "--stdin", stdin="/etc/passwd")
    entries = f"120000 blob {blob}\tlink\n100644 blob {blob}\tplain\n"
    commit = git(hub.clone, "commit-tree", "-m", "x", git(hub.clone, "mktree", stdin=entries))
    git(hub.clone, "push", "-q", "origin", f"{commit}:refs/pushforward/handover/{hub.head}")
    docket_of(hub, double).take(Waiting(hub.head, "main", None, commit), tmp_path / "taken")
    assert [path.name for path in (tmp_path / "taken").iterdir()] == ["plain"]


def test_a_name_that_leads_out_of_a_hand_over_is_refused(hub, double, tmp_path):
    blob = git(hub.clone, "hash-object", "-w", "--stdin", stdin="x")
    inner = git(hub.clone, "mktree", stdin=f"100644 blob {blob}\toutside\n")
    raw = b"40000 ..\0" + bytes.fromhex(inner)
    made = subprocess.run(
        ["git", "-C", str(hub.clone), "hash-object", "-w", "--literally", "-t", "tree", "--stdin"],
        input=raw, capture_output=True, check=True,
    )  # fmt: skip
    commit = git(hub.clone, "commit-tree", "-m", "x", made.stdout.decode().strip())
    git(hub.clone, "push", "-q", "origin", f"{commit}:refs/pushforward/handover/{hub.head}")
    with pytest.raises(PushforwardError, match=r"leads out of"):
        docket_of(hub, double).take(Waiting(hub.head, "main", None, commit), tmp_path / "in" / "taken")
    assert not (tmp_path / "in" / "outside").exists()


def test_a_run_that_may_not_write_says_what_to_do(hub):
    hook = hub.bare / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho read-only >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(PushforwardError, match="read-only") as failed:
        hub.leave(hub.head, {"record.json": b"{}"})
    assert failed.value.next == "push the branch to this repository itself: a fork's run may not write"


def test_a_judge_in_a_repository_of_its_own_asks_of_the_other(hub, double):
    given = of_gitea(double) | {"GITHUB_REPOSITORY": "octo/judge", "PUSHFORWARD_REPOSITORY": "octo/flights"}
    topic = hub.commit("topic", "topic")
    hub.leave(topic, {"record.json": b"{}"})
    double.open(5, topic)
    docket = gitea.Gitea.of(given, hub.fresh("apart"), "main")
    assert [one.pull for one in docket.waiting()] == [5]
    assert docket.links(Waiting(topic, "topic", 5, "")) == {
        "this run": f"{double.url}/octo/judge/actions/runs/41",
        "changes": f"{double.url}/octo/flights/pulls/5/files",
    }


@pytest.mark.parametrize(("given", "name"), [({}, "Gitea"), ({"FORGEJO_TOKEN": "x"}, "Forgejo")])
def test_it_is_called_by_its_name(double, tmp_path, given, name):
    assert gitea.Gitea.of(of_gitea(double) | given, tmp_path, "main").name == name
