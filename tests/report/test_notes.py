"""Notes in a real repository: none is lost, none is changed, each event has one report."""

import fcntl
import json
import subprocess
import sys

import pytest

from pushforward.git.repository import Repository
from pushforward.report import note, notes


def text(event, body="text", **more):
    return f"<!-- pushforward {json.dumps({'event': event} | more)} -->\n{body}\n"


@pytest.fixture
def checkout(repository):
    return Repository(repository)


@pytest.fixture
def put(checkout, tmp_path):
    def run(event, body="text", commit="HEAD", **more):
        notes.put(checkout, checkout.commit(commit), event, text(event, body, **more), lock=tmp_path / "deep" / "lock")

    return run


def events(checkout, commit="HEAD"):
    return [(header["event"], body) for header, body in note.entries(notes.read(checkout, checkout.commit(commit)))]


WRITER = """
import sys
from pathlib import Path
from pushforward.report import notes
from pushforward.git.repository import Repository
folder, commit, text = sys.argv[1:]
sys.stdin.read()
notes.put(Repository(Path(folder)), commit, "push", text, lock=Path(folder) / "notes.lock")
"""


def test_of_eight_that_write_at_once_none_is_lost(checkout, git):
    tree = git(checkout.path, "rev-parse", "HEAD^{tree}")
    texts = {
        git(checkout.path, "commit-tree", "-m", str(number), tree): text("push", f"report {number}", number=number)
        for number in range(8)
    }
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(checkout.path), commit, note], stdin=subprocess.PIPE, stderr=sys.stderr
        )
        for commit, note in texts.items()
    ]
    for writer in writers:
        writer.stdin.close()
    assert [writer.wait(60) for writer in writers] == [0] * 8
    assert {commit: notes.read(checkout, commit) for commit in notes.annotated(checkout)} == texts


def test_a_new_report_for_the_same_event_takes_the_place_of_the_old(checkout, put):
    put("push", "first")
    put("push", "second")
    assert [body.splitlines()[1] for _, body in events(checkout)] == ["second"]


def test_reports_for_another_event_stay_below(checkout, put):
    put("pull_request", "of the branch")
    put("push", "of main")
    assert [event for event, _ in events(checkout)] == ["push", "pull_request"]
    put("pull_request", "of the branch, again")
    assert [body.splitlines()[1] for _, body in events(checkout)] == ["of the branch, again", "of main"]


@pytest.mark.parametrize(
    "body",
    [
        "# a title that git takes for a comment",
        "two blanks break a line  \nin markdown\t\n\n\n\nand blank lines stay",
        "    indented\n\ttabs",
        "✓ −0.0011 … ﻿ é",
        "\x1b[31m \x00 \r\n",
        "<!-- pushforward not json -->",
        "--- \n-- \nSigned-off-by: nobody",
    ],
)
def test_a_report_is_kept_to_the_byte(checkout, put, git, body):
    put("pull_request", "below")
    put("push", body + "\nend")
    expected = f"{text('push', body + chr(10) + 'end')}\n{text('pull_request', 'below')}"
    assert notes.read(checkout, checkout.commit("HEAD")) == expected
    put("pull_request", "above")
    assert events(checkout)[1][1] == text("push", body + "\nend")


def test_notes_of_people_elsewhere_are_left_alone(checkout, put, git):
    git(checkout.path, "notes", "add", "-m", "mine", "HEAD")
    put("push")
    assert git(checkout.path, "notes", "show", "HEAD") == "mine"
    assert git(checkout.path, "log", "-1", "--format=%an", notes.NOTES) == "pushforward"


def test_a_commit_without_a_note_has_an_empty_one(checkout, put):
    head = checkout.commit("HEAD")
    assert notes.read(checkout, head) == ""
    assert notes.annotated(checkout) == {}
    put("push")
    assert list(notes.annotated(checkout)) == [head]


def test_a_lock_is_let_go_of_by_whoever_dies(tmp_path):
    code = "import sys; from pathlib import Path; from pushforward.report import notes\n"
    code += "with notes.locked(Path(sys.argv[1])): print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"\n"
        with (tmp_path / "lock").open() as handle, pytest.raises(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        holder.kill()
    with notes.locked(tmp_path / "lock"):
        pass


def test_of_a_push_of_several_commits_the_judged_one_is_found_from_the_others(repository, checkout, put, git):
    first = checkout.commit("HEAD")
    assert notes.later(checkout, first) == ""
    for number in range(4):
        git(repository, "commit", "-q", "--allow-empty", "-m", str(number))
    second, fourth = checkout.commit("HEAD~3"), checkout.commit("HEAD~1")
    assert notes.later(checkout, first) == ""
    put("push", commit="HEAD~1")
    put("push", commit="HEAD")
    assert notes.later(checkout, first) == notes.later(checkout, second) == fourth
    assert notes.later(checkout, checkout.commit("HEAD")) == ""
