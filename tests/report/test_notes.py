"""Reports in a real repository: none is lost, none is changed, each event has one, and people can read them."""

import dataclasses
import fcntl
import subprocess
import sys

import pytest

from pushforward.errors import MachineError, PushforwardError
from pushforward.git import reading
from pushforward.git.refs import NOTES
from pushforward.git.repository import Repository
from pushforward.report import note, notes
from pushforward.report.note import Context, Report

pytestmark = pytest.mark.whole


def report(event, body="text", **more):
    return Report({"event": event} | more, Context(), f"{body}\n")


@pytest.fixture
def checkout(repository):
    return Repository(repository)


@pytest.fixture
def put(checkout, tmp_path):
    def run(event, body="text", commit="HEAD", **more):
        notes.put(checkout, checkout.commit(commit), report(event, body, **more), lock=tmp_path / "deep" / "lock")

    return run


def events(checkout, commit="HEAD"):
    return [(one.event, one.text) for one in notes.read(checkout, checkout.commit(commit))]


WRITER = """
import sys
from pathlib import Path
from pushforward.report import notes
from pushforward.report.note import Context, Report
from pushforward.git.repository import Repository
folder, commit, number, remote = sys.argv[1:]
sys.stdin.read()
told = Report({"event": "push", "number": number}, Context(), f"report {number}")
# a lock each: as on machines of their own
notes.put(Repository(Path(folder)), commit, told, lock=Path(f"{folder}-{number}.lock"), remote=remote)
"""


def written_at_once(folders, commits, remote=""):
    """Have each of `commits` reported, all at once, from the folder in its place."""
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder), commit, str(number), remote],
            stdin=subprocess.PIPE,
            stderr=sys.stderr,
        )
        for number, (folder, commit) in enumerate(zip(folders, commits, strict=True))
    ]
    for writer in writers:
        writer.stdin.close()
    assert [writer.wait(120) for writer in writers] == [0] * len(commits)


def some_commits(checkout, git, count):
    tree = git(checkout.path, "rev-parse", "HEAD^{tree}")
    return [git(checkout.path, "commit-tree", "-m", str(number), tree) for number in range(count)]


def test_of_eight_that_write_at_once_none_is_lost(checkout, git):
    commits = some_commits(checkout, git, 8)
    written_at_once([checkout.path] * 8, commits)
    assert notes.kept(checkout).keys() == set(commits)
    for number, commit in enumerate(commits):
        assert [one.verdict["number"] for one in notes.read(checkout, commit)] == [str(number)]
        assert git(checkout.path, "notes", "--ref=pushforward", "show", commit) == f"report {number}"


def a_forge(checkout, git, clones):
    """A bare repository that is reached as one of another machine, and clones of it."""
    bare = checkout.path.parent / "forge.git"
    git(checkout.path, "clone", "-q", "--bare", str(checkout.path), str(bare))
    made = []
    for number in range(clones):
        clone = checkout.path.parent / f"judge-{number}"
        git(checkout.path, "clone", "-q", str(bare), str(clone))
        git(clone, "remote", "set-url", "origin", f"ext::git %s {bare}")
        git(clone, "config", "protocol.ext.allow", "always")
        made.append(clone)
    return bare, made


def test_of_four_judges_that_write_to_a_forge_at_once_none_is_lost(checkout, git):
    some = some_commits(checkout, git, 4)
    for number, commit in enumerate(some):
        git(checkout.path, "branch", f"topic-{number}", commit)
    bare, clones = a_forge(checkout, git, 4)
    written_at_once(clones, some, "origin")
    forge = Repository(bare)
    assert notes.kept(forge).keys() == set(some)
    for number, commit in enumerate(some):
        assert [one.verdict["number"] for one in notes.read(forge, commit)] == [str(number)]
    assert len(git(bare, "rev-list", NOTES).split()) == 4, "one after the other, and nothing was pushed over"


def test_a_forge_that_takes_nothing_is_told_and_leaves_nothing_here(checkout, git, tmp_path, monkeypatch):
    monkeypatch.setattr(notes, "STUCK", 1)
    bare, (clone,) = a_forge(checkout, git, 1)
    hook = bare / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'Permission to octo/flights denied' >&2; exit 1\n")
    hook.chmod(0o755)
    mine, head = Repository(clone), checkout.commit("HEAD")
    for _ in range(2):
        with pytest.raises(PushforwardError, match="Permission to octo/flights denied") as refused:
            notes.put(mine, head, report("push"), lock=tmp_path / "lock", remote="origin")
        assert refused.value.message.startswith("refs/notes/pushforward cannot be moved in origin: ")
    assert (mine.resolve(NOTES), Repository(bare).resolve(NOTES)) == (None, None)
    hook.unlink()
    notes.put(mine, head, report("push"), lock=tmp_path / "lock", remote="origin")
    assert events(Repository(bare), head) == [("push", "text\n")]


def test_a_new_report_for_the_same_event_takes_the_place_of_the_old(checkout, put):
    put("push", "first")
    put("push", "second")
    assert events(checkout) == [("push", "second\n")]


def test_reports_for_another_event_stay_below(checkout, put, git):
    put("pull_request", "of the branch")
    put("push", "of main")
    assert [event for event, _ in events(checkout)] == ["push", "pull_request"]
    put("pull_request", "of the branch, again")
    assert [text for _, text in events(checkout)] == ["of the branch, again\n", "of main\n"]
    assert git(checkout.path, "notes", "--ref=pushforward", "show", "HEAD") == "of the branch, again\n\nof main"


def test_a_report_is_renewed_in_its_place_and_dropped_with_its_note(checkout, put, tmp_path, git):
    put("pull_request", "below")
    put("push", "above")
    head, lock = checkout.commit("HEAD"), tmp_path / "lock"
    notes.renew(checkout, head, report("pull_request", "opened"), lock=lock)
    assert [text for _, text in events(checkout)] == ["above\n", "opened\n"]
    notes.drop(checkout, head, "push", lock=lock)
    assert events(checkout) == [("pull_request", "opened\n")]
    notes.drop(checkout, head, "pull_request", lock=lock)
    assert (events(checkout), notes.listed(checkout)) == ([], ({}, set()))
    assert git(checkout.path, "notes", "--ref=pushforward", "list") == ""


def test_single_workflows_are_told_below_each_by_its_newest_word(checkout, put, git, tmp_path):
    put("push")
    commit, lock = checkout.commit("HEAD"), tmp_path / "lock"
    lint = note.Workflow("lint-1", "lint.yml", "push", "failure", "<b>no</b> @ann", 1.0)
    scan = note.Workflow("scan-1", "scan.yml", "push", "success")
    notes.beside(checkout, commit, [lint, scan], lock=lock)
    notes.beside(checkout, commit, [dataclasses.replace(lint, verdict="success", reason="")], lock=lock)
    kept = note.load(checkout.read(NOTES, notes._path(commit)))
    assert [(one.id, one.verdict) for one in kept.workflows] == [("lint-1", "success"), ("scan-1", "success")]
    assert "| ✓ scan-1 |" in git(checkout.path, "notes", "--ref=pushforward", "show", commit)
    assert "<b>" not in note.table([lint])
    assert "@ann" not in note.table([lint]), "nobody is called"


def test_the_same_report_again_moves_nothing(checkout, put):
    put("push")
    tip = checkout.resolve(NOTES)
    put("push")
    assert checkout.resolve(NOTES) == tip


@pytest.mark.parametrize(
    "body",
    [
        "# a title that git takes for a comment",
        "two blanks break a line  \nin markdown\t\n\n\n\nand blank lines stay",
        "    indented\n\ttabs",
        "✓ −0.0011 … ﻿ é",
        "\x1b[31m \x00 \r\n",
        "--- \n-- \nSigned-off-by: nobody",
        "data 3\nabc\ncommit refs/heads/main\nD pushforward.yaml",
    ],
)
def test_a_report_is_kept_to_the_byte(checkout, put, body):
    put("pull_request", "below")
    put("push", body + "\nend")
    assert events(checkout) == [("push", f"{body}\nend\n"), ("pull_request", "below\n")]
    command = ["git", "-C", str(checkout.path), "notes", "--ref=pushforward", "show", "HEAD"]
    assert subprocess.run(command, capture_output=True, check=True).stdout.decode() == f"{body}\nend\n\nbelow\n"


def test_a_log_with_notes_reads_like_a_report(checkout, put, git):
    put("push", "## Promote: it is better", reason="x" * 5000)
    shown = git(checkout.path, "log", "-1", "--notes=pushforward")
    assert "Notes (pushforward):\n    ## Promote: it is better" in shown
    assert max(map(len, shown.splitlines())) < 100


def test_notes_of_people_elsewhere_are_left_alone(checkout, put, git):
    git(checkout.path, "notes", "add", "-m", "mine", "HEAD")
    put("push")
    assert git(checkout.path, "notes", "show", "HEAD") == "mine"
    assert git(checkout.path, "log", "-1", "--format=%an", notes.NOTES) == "pushforward"


@pytest.mark.parametrize("many", [0, 300])
def test_a_note_that_git_has_written_is_listed_as_strange_and_gives_way(checkout, put, git, many):
    for commit in some_commits(checkout, git, many):
        git(checkout.path, "notes", "--ref=pushforward", "add", "-m", "old", commit)
    git(checkout.path, "notes", "--ref=pushforward", "add", "-m", "old", "HEAD")
    head = checkout.commit("HEAD")
    kept, strange = notes.listed(checkout)
    assert (kept, head in strange, len(strange)) == ({}, True, many + 1)
    assert notes.reported(checkout) == strange, "what was judged by an older version is not judged again"
    assert notes.among(checkout, {head, "0" * 40}) == {head}
    assert notes.among(checkout, {*strange, "0" * 40}) == strange
    put("push", "new")
    assert git(checkout.path, "notes", "--ref=pushforward", "show", "HEAD") == "new"
    kept, strange = notes.listed(checkout)
    assert (list(kept), len(strange)) == ([head], many)
    git(
        checkout.path,
        "notes",
        "--ref=pushforward",
        "add",
        "-m",
        "by hand",
        git(checkout.path, "hash-object", "-w", "--stdin"),
    )
    assert events(checkout) == [("push", "new\n")], "git keeps what is no note"


def test_what_a_commit_says_of_itself_is_kept_beside(checkout, put, git):
    put("push")
    content = checkout.read(NOTES, notes._path(checkout.commit("HEAD")))
    seconds, author, subject = git(checkout.path, "log", "-1", "--format=%ct%n%an%n%s").split("\n")
    assert note.load(content).commit == note.About(int(seconds), author, subject)


def test_a_commit_that_is_not_here_has_a_report_all_the_same(checkout, tmp_path):
    notes.put(checkout, "1" * 40, report("push"), lock=tmp_path / "lock")
    assert events(checkout, "1" * 40) if checkout.resolve("1" * 40) else notes.read(checkout, "1" * 40)
    assert note.load(checkout.read(NOTES, notes._path("1" * 40))).commit == note.About()


def test_of_a_few_commits_it_is_asked_by_name_which_have_a_report_and_nothing_is_listed(checkout, put, monkeypatch):
    put("push")
    head = checkout.commit("HEAD")
    monkeypatch.setattr(notes, "listed", None)
    assert notes.among(checkout, [head, "0" * 40]) == {head}
    assert notes.among(checkout, []) == set()


@pytest.mark.parametrize("text", ["deadbeef", "", "1" * 40, "ref: refs/nowhere"])
def test_a_damaged_ref_of_reports_is_no_word_that_nothing_was_judged(checkout, put, tmp_path, text):
    put("push")
    head, path = checkout.commit("HEAD"), checkout.path / ".git" / notes.NOTES
    path.write_text(f"{text}\n")
    asked = {
        "read": lambda: notes.read(checkout, head),
        "kept": lambda: notes.kept(checkout),
        "among": lambda: notes.among(checkout, {head}),
        "many": lambda: notes.among(checkout, {head, *(f"{number:040}" for number in range(notes.ASKED))}),
    }
    for ask in asked.values():
        with pytest.raises(MachineError) as refused:
            ask()
        assert refused.value.message == "refs/notes/pushforward is damaged"
        with reading.kept(), pytest.raises(MachineError):
            ask()
    with pytest.raises(MachineError):
        put("push", "again")
    with pytest.raises(MachineError):
        notes.drop(checkout, head, "push", lock=tmp_path / "lock")
    path.unlink()
    assert [bool(ask()) for ask in asked.values()] == [False] * 4, "there are none yet"


@pytest.mark.parametrize("what", ["^{tree}", ":reports", "{json}"])
def test_what_git_has_lost_of_the_reports_is_no_word_that_nothing_was_judged(checkout, put, tmp_path, git, what):
    put("push")
    head = checkout.commit("HEAD")
    name = git(checkout.path, "rev-parse", f"{notes.NOTES}{what.replace('{json}', ':' + notes._path(head))}")
    (checkout.path / ".git" / "objects" / name[:2] / name[2:]).unlink()
    with pytest.raises(MachineError, match="refs/notes/pushforward is damaged"):
        notes.read(checkout, head)
    with pytest.raises(PushforwardError):
        notes.put(checkout, head, report("pull_request"), lock=tmp_path / "lock")
    if what == "^{tree}":
        for ask in (lambda: notes.among(checkout, {head}), lambda: notes.kept(checkout)):
            with pytest.raises(MachineError):
                ask()


def test_a_verdict_that_stands_is_the_report_of_the_event_that_it_was_carried_to(checkout, put, tmp_path):
    put("push")
    stands = Report(
        {"event": "push"}, Context(kind="carried", carried_to="b" * 40, carried_by="pull_request"), "kept\n"
    )
    notes.put(checkout, checkout.commit("HEAD"), stands, lock=tmp_path / "lock")
    assert events(checkout) == [("pull_request", "kept\n"), ("push", "text\n")]
    notes.drop(checkout, checkout.commit("HEAD"), "pull_request", lock=tmp_path / "lock")
    assert events(checkout) == [("push", "text\n")]


def test_a_commit_without_a_note_has_no_report(checkout, put):
    head = checkout.commit("HEAD")
    assert notes.read(checkout, head) == []
    assert notes.kept(checkout) == {}
    put("push")
    assert list(notes.kept(checkout)) == [head]


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
    assert notes.later(checkout, first, notes.kept(checkout)) == ""
    for number in range(4):
        git(repository, "commit", "-q", "--allow-empty", "-m", str(number))
    second, fourth = checkout.commit("HEAD~3"), checkout.commit("HEAD~1")
    assert notes.later(checkout, first, notes.kept(checkout)) == ""
    put("push", commit="HEAD~1")
    put("push", commit="HEAD")
    known = notes.kept(checkout)
    assert notes.later(checkout, first, known) == notes.later(checkout, second, known) == fourth
    assert notes.later(checkout, checkout.commit("HEAD"), known) == ""
