"""What hooks and the dead have left: hostile where a server is shared, and nothing is lost or done twice for it."""

import errno
import json
import os

import pytest
from tests.team import make_clone

from pushforward.actions.event import Event
from pushforward.git.server import ASKED, DELETED, PUSHED, Server
from pushforward.policy import hook
from pushforward.server import left, pending, post_receive, recover, requests, runs, triggers
from pushforward.server.init import init
from pushforward.server.requests import Request
from pushforward.server.runs import Run

PUBLISH = "name: publish\non: {push: {tags: ['v*']}}\njobs: {a: {runs-on: u, steps: [{run: 'true'}]}}\n"
COMMIT = "a" * 40


@pytest.fixture
def server(tmp_path):
    """A server that nobody works for."""
    for name in ("", PUSHED, DELETED, ASKED):
        (tmp_path / "bare" / "pushforward" / name).mkdir(parents=True, exist_ok=True)
    return Server(str(tmp_path / "bare"), "python", "", "", "a/b")


@pytest.fixture
def tagged(repository, git, toy_settings):
    """A server whose default branch answers to tags, and its commit."""
    (repository / ".github" / "workflows").mkdir(parents=True)
    (repository / ".github" / "workflows" / "publish.yml").write_text(PUBLISH)
    (repository / "pushforward.yaml").write_text(f"{toy_settings}server:\n  workflows: [publish]\n")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "Publish")
    git(repository, "config", "core.logAllRefUpdates", "always")
    (repository / ".git" / "pushforward" / PUSHED).mkdir(parents=True)
    return Server(str(repository / ".git"), "python", "", "", "a/b"), git(repository, "rev-parse", "HEAD")


@pytest.fixture
def toy_settings(request):
    return (request.config.rootpath / "tests" / "toy" / "pushforward.yaml").read_text().partition("server:")[0]


def asks(ref="refs/tags/v1", commit=COMMIT, serial="1"):
    what = Event("push", commit, ref)
    return Request(requests.job_of("publish.yml", what, commit=commit, serial=serial, tag=commit), what)


def push(server, commit, *names, name="1-1-0"):
    """What the policy leaves of a push of tags."""
    path = server.folder / PUSHED / f"{name}.json"
    path.write_text(json.dumps({"tags": [[f"refs/tags/{one}", commit] for one in names]}))
    return path


def die(*_):
    raise KeyboardInterrupt


def old(path):
    os.utime(path, (1, 1))


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        "{",
        "\0",
        "[]",
        '{"tags": 1}',
        '{"tags": [["refs/tags/v1"]]}',
        json.dumps({"tags": [["refs/heads/main", COMMIT]]}),
        json.dumps({"tags": [["refs/tags/../heads/main", COMMIT]]}),
        json.dumps({"tags": [["refs/tags/v1", "HEAD"]]}),
        json.dumps({"tags": [["refs/tags/v1\n", COMMIT]]}),
        json.dumps({"tags": [["refs/tags/v1", COMMIT], ["refs/heads/main", COMMIT]]}),
    ],
)
def test_what_is_no_word_of_the_policy_starts_nothing_and_is_set_aside(server, text):
    path = server.folder / PUSHED / "1-1-0.json"
    path.write_text(text)
    assert triggers.of_tags(server) == []
    assert not path.exists()
    assert (server.folder / left.ASIDE / "pushed-1-1-0.json").read_text() == text


@pytest.mark.parametrize(
    "text", ["[" * 200_000, "[]", '{"ref": "refs/tags/v1", "log": "x"}', '{"ref": "refs/heads/a"}']
)
def test_what_is_no_word_of_a_deleted_branch_withdraws_nothing(server, text):
    path = server.folder / DELETED / "1-1-0.json"
    path.write_text(text)
    assert list(pending.withdrawn(server)) == []
    assert (server.folder / left.ASIDE / "deleted-1-1-0.json").read_text() == text


def test_neither_a_pipe_nor_a_link_nor_a_folder_holds_up_whoever_looks(server):
    folder = server.folder / PUSHED
    os.mkfifo(folder / "1.json")
    (folder / "2.json").symlink_to(server.folder / "token")
    (folder / "3.json").mkdir()
    (folder / "4\udcff.json").write_text("{}")
    assert triggers.of_tags(server) == []


def test_tags_of_one_push_start_what_they_start_once_all_are_there(tagged, git):
    server, commit = tagged
    path = push(server, commit, "v1", "v2")
    git(server.bare, "tag", "v1", commit)
    assert triggers.of_tags(server) == []
    assert path.exists()
    git(server.bare, "tag", "v2", commit)
    assert [job.ref for job in triggers.of_tags(server)] == ["refs/tags/v1", "refs/tags/v2"]
    assert not path.exists()
    assert [job.ref for job in requests.waiting(server)] == ["refs/tags/v1", "refs/tags/v2"]


def test_tags_that_never_land_hold_up_the_others_for_a_while(tagged, git):
    server, commit = tagged
    path = push(server, commit, "v1", "v2")
    git(server.bare, "tag", "v1", commit)
    old(path)
    assert [job.ref for job in triggers.of_tags(server)] == ["refs/tags/v1"]
    assert not path.exists()


def test_more_than_three_tags_start_nothing_also_while_they_land(tagged, git):
    server, commit = tagged
    names, said = ["v1", "v2", "v3", "v4"], []
    path = push(server, commit, *names)
    for name in names:
        assert triggers.of_tags(server, said.append) == []
        assert path.exists()
        git(server.bare, "tag", name, commit)
    assert triggers.of_tags(server, said.append) == []
    assert said == ["4 tags in one push start nothing, as on GitHub; push 3 at a time"]
    assert not path.exists()
    assert requests.waiting(server) == []


def test_a_tag_that_is_pushed_again_is_followed_in_what_this_push_has_started(tagged, git):
    server, commit = tagged
    updates = [("0" * 40, commit, "refs/tags/v1")]
    push(server, commit, "v1")
    git(server.bare, "tag", "v1", commit)
    (first,) = post_receive._of_tags(server, updates)
    runs.store(server, Run(first, final=True, verdict="success", reason=f"{runs.SUPERSEDED}b", asked=1.0, ended=2.0))
    git(server.bare, "update-ref", f"refs/pushforward/run/{commit}", commit)
    git(server.bare, "tag", "-d", "v1")
    git(server.bare, "tag", "v1", commit)
    push(server, commit, "v1", name="2-2-0")
    (second,) = post_receive._of_tags(server, updates)
    assert second.key != first.key
    assert not runs.revive(server, first)
    assert runs.load(server, first.key).final
    assert git(server.bare, "rev-parse", f"refs/pushforward/run/{commit}") == commit, "the verdict on main stands"


def test_a_request_is_there_before_its_run(server, monkeypatch):
    request = asks()
    with monkeypatch.context() as patched:
        patched.setattr(runs, "store", die)
        with pytest.raises(KeyboardInterrupt):
            requests.put(server, request)
    assert requests.waiting(server) == [request.job]
    assert not requests.put(server, request)


def test_a_run_that_a_dispatcher_has_made_of_a_request_is_not_begun_anew(server):
    request = asks()
    begun = Run(request.job, attempt=1, started=5.0)
    runs.store(server, begun)
    assert requests.put(server, request)
    assert runs.load(server, request.job.key) == begun


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO])
def test_a_request_that_cannot_be_read_now_stays(server, monkeypatch, number):
    request = asks()
    requests.put(server, request)

    def fail(_):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(left, "read", fail)
        assert requests.waiting(server) == []
        with pytest.raises(OSError, match=os.strerror(number)):
            requests.load(server, request.job)
    assert requests.waiting(server) == [request.job]
    assert requests.load(server, request.job) == request


def test_a_request_that_nobody_can_make_anything_of_is_set_aside(server):
    path = server.folder / ASKED / "workflow-a.json"
    for text in ("[" * 200_000, "{}", '{"job": 1, "event": {}}'):
        path.write_text(text)
        assert requests.waiting(server) == []
        assert (server.folder / left.ASIDE / "asked-workflow-a.json").read_text() == text


def test_what_has_ended_and_was_not_closed_is_not_run_again(server):
    request = asks()
    requests.put(server, request)
    place = server.folder / ASKED / f"{request.job.key}.json"
    done = Run(request.job, "done", "success", final=True, ended=place.stat().st_mtime + 1)
    runs.store(server, done)
    requests.close_ended(server)
    assert requests.waiting(server) == []
    requests.retry(server, done)
    requests.close_ended(server)
    assert requests.waiting(server) == [request.job], "asked for again"
    runs.store(server, Run(request.job, "done", "success", final=True, ended=place.stat().st_mtime - 1))
    requests.close_ended(server)
    assert requests.waiting(server) == [request.job], "asked for after its end"


def test_what_the_dead_have_left_of_pushes_and_requests_is_cleared(server):
    requests.put(server, request := asks())
    kept, gone = server.folder / ASKED / f"{request.job.key}.given", server.folder / ASKED / "workflow-b.given"
    for path in (kept, gone, server.folder / ASKED / "workflow-c.given"):
        path.mkdir()
    unfinished = [server.folder / name / "1.unfinished" for name in (PUSHED, ASKED, DELETED)]
    for path in unfinished:
        path.touch()
    for path in (kept, gone, *unfinished):
        old(path)
    assert len(list(recover.server(server))) == 4
    assert not any(path.exists() for path in (gone, *unfinished))
    assert {path.name for path in (server.folder / ASKED).glob("*.given")} == {kept.name, "workflow-c.given"}


def test_whoever_is_of_the_group_leaves_word_where_a_server_is_shared(tmp_path, git):
    clone = make_clone(tmp_path / "clone", git)
    made = init(clone)
    git(made.bare, "config", "core.sharedRepository", "group")
    init(clone)
    for name in (PUSHED, DELETED):
        assert (made.folder / name).stat().st_mode & 0o070 == 0o070, name


def test_what_a_pusher_leaves_is_there_for_the_dispatcher_to_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = os.umask(0o077)
    try:
        hook._write("pushed", 0, {"tags": []})
    finally:
        os.umask(before)
    (path,) = (tmp_path / "pushed").iterdir()
    assert path.stat().st_mode & 0o777 == 0o644
    assert left.read(path) == {"tags": []}
