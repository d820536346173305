"""What was judged, recorded in a repository of this machine and in one that is only pushed to."""

from dataclasses import replace

import pytest

from pushforward.errors import PushforwardError
from pushforward.gate.verdict import invalid
from pushforward.git.refs import HOLDOUTS, NOTES, REPORTS
from pushforward.git.repository import Repository, tree_entries
from pushforward.judge import ledger, recorded
from pushforward.judge.ledger import Ledger
from pushforward.judge.looks import Key
from pushforward.report import notes
from pushforward.report.note import Context

KEY = b"a" * 43 + b"="
SVG = b"<svg/>"
MONTHS = "2020-03_2020-04"


@pytest.fixture(params=["on this machine", "on another one"])
def judge(request, repository, git, tmp_path):
    """The checkout of a judge, and the bare repository that it judges for."""
    bare = tmp_path / "forge.git"
    git(tmp_path, "clone", "-q", "--bare", str(repository), str(bare))
    git(repository, "remote", "add", "origin", str(bare))
    if request.param == "on another one":
        git(repository, "remote", "set-url", "origin", f"ext::git %s {bare}")
        git(repository, "config", "protocol.ext.allow", "always")
    return repository, Repository(bare)


def verdict(commit, reason="because", **more):
    return replace(invalid(reason), commit=commit, event="pull_request", pull=1, ref="refs/heads/idea", **more)


def put(root, told, drawn=(), context=Context()):  # noqa: B008
    return recorded.record(root, recorded.report(told, context), dict.fromkeys(drawn, SVG))


def drawn(bare, commit, event="pull_request"):
    (found,) = bare.objects([f"{REPORTS}{commit}:{event}/plots"])
    return sorted(tree_entries(found[1])) if found else []


def test_a_report_and_its_pictures_are_where_everybody_reads_them(judge, git):
    root, bare = judge
    head = git(root, "rev-parse", "HEAD")
    made = put(root, verdict(head), ["roc.svg", "pr.svg"])
    assert made.place in ("origin", str(bare.path))
    assert made.pictures == bare.resolve(f"{REPORTS}{head}")
    assert [one.verdict["reason"] for one in notes.read(bare, head)] == ["because"]
    assert drawn(bare, head) == ["pr.svg", "roc.svg"]
    put(root, verdict(head, "again"), ["roc.svg"])
    put(root, replace(verdict(head, "merged"), event="push", pull=None), ["learning.svg"])
    assert [one.verdict["reason"] for one in notes.read(bare, head)] == ["merged", "again"]
    assert (drawn(bare, head), drawn(bare, head, "push")) == (["roc.svg"], ["learning.svg"])
    assert git(bare.path, "notes", "--ref=pushforward", "show", head).startswith("## ")


def test_what_a_run_left_is_recorded_and_recorded_anew(judge, git):
    root, bare = judge
    told = replace(verdict(git(root, "rev-parse", "HEAD")), event="push", pull=None)
    where = ledger.of(root).repository.path
    for subject in ("one", "two", "two"):
        lock = git(where, "commit-tree", "-p", told.commit, "-m", subject, f"{told.commit}^{{tree}}")
        recorded.record(root, recorded.report(told, Context()), {}, lock)
        assert bare.resolve(f"refs/pushforward/run/{told.commit}") == lock


def test_the_same_again_changes_nothing(judge, git):
    root, bare = judge
    head = git(root, "rev-parse", "HEAD")
    for _ in range(2):
        put(root, verdict(head), ["roc.svg"])
        tips = [bare.resolve(ref) for ref in (NOTES, f"{REPORTS}{head}")]
    assert len(git(bare.path, "rev-list", NOTES).split()) == 1
    assert tips == [bare.resolve(ref) for ref in (NOTES, f"{REPORTS}{head}")]


def test_numbers_of_a_holdout_that_has_retired_are_opened_in_the_reports_that_kept_them_back(judge, git):
    root, bare = judge
    head = git(root, "rev-parse", "HEAD")
    put(root, verdict(head, "it does not hold", sealed=True))
    book = Ledger(bare, key=KEY)
    look = book.reserve(MONTHS, Key(*(d * 64 for d in "1234")), alpha=0.05, looks=4, mode="superior", commit=head)
    book.settle(MONTHS, look, "invalid", verdict(head, "it is worse by 0.0123").to_json())
    put(root, verdict(head, "it does not hold", sealed=True))
    assert [one.verdict["reason"] for one in notes.read(bare, head)] == ["it does not hold"]
    book.retire(MONTHS, "promoted", "toy@v1.1.0")
    git(root, "commit", "-q", "--allow-empty", "-m", "The next one")
    later = git(root, "rev-parse", "HEAD")
    git(root, "push", "-q", "origin", "HEAD:refs/heads/idea")
    put(root, verdict(later))
    (opened,) = notes.read(bare, head)
    assert (opened.verdict["reason"], opened.verdict["sealed"]) == ("it is worse by 0.0123", False)
    assert "It is worse by 0.0123" in opened.text
    assert bare.resolve(f"{HOLDOUTS}{MONTHS}")


@pytest.mark.parametrize("name", ["", "red"], ids=["a ledger from when it was alone", "its own ledger"])
def test_a_report_of_several_models_stays_when_a_holdout_of_one_of_them_retires(judge, git, name):
    root, bare = judge
    models = "".join(f"  {one}: {{path: {one}, environment: [lock.txt]}}\n" for one in ("red", "wine"))
    (root / "pushforward.yaml").write_text(f'tool: "0.2.0"\nmodels:\n{models}')
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "Have two models")
    git(root, "push", "-q", "origin", "HEAD")
    head = git(root, "rev-parse", "HEAD")
    told = verdict(head, "wine: it does not hold", sealed=True, base=head)
    parts = {one: (verdict(head, f"why {one}"), Context()) for one in ("red", "wine")}
    recorded.record(root, recorded.report(told, Context(), parts), {})
    (before,) = notes.read(bare, head)
    assert "<details><summary>red: invalid</summary>" in before.text
    assert "Why wine" in before.text
    book = Ledger(bare, key=KEY, model=name)
    look = book.reserve(MONTHS, Key(*(d * 64 for d in "1234")), alpha=0.05, looks=4, mode="superior", commit=head)
    book.settle(MONTHS, look, "invalid", verdict(head, "red is worse by 0.0123").to_json())
    book.retire(MONTHS, "promoted", "red@v1.1.0")
    git(root, "commit", "-q", "--allow-empty", "-m", "The next one")
    git(root, "push", "-q", "origin", "HEAD:refs/heads/idea")
    put(root, verdict(git(root, "rev-parse", "HEAD")))
    assert notes.read(bare, head) == [before]


@pytest.mark.parametrize("judge", ["on another one"], indirect=True)
def test_what_may_not_be_written_is_said_with_what_mends_it(judge, git):
    root, bare = judge
    hook = bare.path / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'Permission to octo/flights.git denied to github-actions[bot].' >&2; exit 1\n")
    hook.chmod(0o755)
    head = git(root, "rev-parse", "HEAD")
    for pictures in ([], ["roc.svg"]):
        with pytest.raises(PushforwardError, match=r"denied to github-actions\[bot\]") as refused:
            put(root, verdict(head), pictures)
        assert refused.value.exit_code == 6
        assert refused.value.message.startswith(f"the verdict on {head[:9]} is not in the history: refs/")
        assert refused.value.next == "give the job `contents: write`, or run it again; the verdict itself stands"


def test_pictures_that_are_links_too_large_or_too_many_are_left_out(tmp_path):
    (tmp_path / "a.svg").write_bytes(SVG)
    (tmp_path / "large.svg").write_bytes(b" " * recorded.LIMIT_PICTURE)
    (tmp_path / "link.svg").symlink_to(tmp_path / "a.svg")
    (tmp_path / "text.txt").write_text("no picture")
    assert recorded.pictures(tmp_path) == {"a.svg": SVG}
    for number in range(40):
        (tmp_path / f"b{number}.svg").write_bytes(SVG)
    assert len(recorded.pictures(tmp_path)) == recorded.LIMIT_PICTURES
    assert recorded.pictures(tmp_path / "nowhere") == {}


def test_the_last_word_says_what_came_of_it_and_nothing_that_is_to_come():
    context = Context(next_step="merge", next_command="git merge", next_version="toy@v1.0.0", branch="idea")
    assert recorded.last_word(context, "done") == Context(next_step="done", branch="idea")
