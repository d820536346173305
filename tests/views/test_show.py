"""The history of a real repository with real notes: complete, in order, within its width, and inert."""

import json
import unicodedata
from dataclasses import replace

import pytest
from click.testing import CliRunner
from tests.team import MODEL_SETTINGS, MONTHS

from pushforward.commands.cli import main
from pushforward.errors import MachineError, PushforwardError
from pushforward.gate.verdict import Holdout, Number, invalid
from pushforward.git.repository import Repository
from pushforward.judge import recorded
from pushforward.registry import tags as registry
from pushforward.report import notes
from pushforward.report.note import Context, Report
from pushforward.views import show

HOSTILE = "\x1b[2J\x1b]0;owned\x07\u202edetsurt\u200b | `x` <b> @ann ﷽"


class History:
    """Commits, each a minute after the one before, and verdicts on them."""

    def __init__(self, folder, git):
        self.folder, self.git, self.minute = folder, git, 0

    def commit(self, subject, *, told=MODEL_SETTINGS):
        self.minute += 1
        (self.folder / "pushforward.yaml").write_text(told)
        (self.folder / "params.yaml").write_text(f"{MONTHS}# {self.minute}\n")
        self.git(self.folder, "add", "-A")
        date = f"2024-05-01T10:{self.minute:02d}:00Z"
        self.git(self.folder, "commit", "-q", "-m", subject, GIT_COMMITTER_DATE=date, GIT_AUTHOR_DATE=date)
        return self.git(self.folder, "rev-parse", "HEAD")

    def judge(self, commit, word, *, ref="main", event="push", pull=None, gain=0.0123, source=None):
        numbers = (Number("log loss", "lower", 0.5, 0.5 - gain, gain, gain - 0.01, gain + 0.01),) if gain else ()
        verdict = replace(
            invalid("because"),
            verdict=word,
            commit=source or commit,
            ref=f"refs/heads/{ref}",
            event=event,
            pull=pull,
            numbers=numbers,
            holdout=Holdout(("2020-03", "2020-04"), 100, 60, "0" * 64),
        )
        report = recorded.report(verdict, Context())
        notes.put(Repository(self.folder), commit, report, lock=self.folder / ".git" / "notes.lock")

    def version(self, name, commit):
        text = registry.message(f"{name}: fine", {"schema": 1, "model": "m", "commit": commit})
        self.git(self.folder, "tag", "-a", "-m", text, name, commit)


@pytest.fixture
def history(repository, git):
    return History(repository, git)


def columns(text):
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(bool(unicodedata.combining(character)) for character in text)


def table(history, width=80):
    return show.terminal(show.state(history.folder), width=width).split("\n\n")[1].splitlines()[1:]


def test_the_oldest_verdict_stands_first_whatever_was_judged_first(history):
    commits = [history.commit(f"Change {number}") for number in range(4)]
    for commit in (commits[2], commits[0], commits[3], commits[1]):
        history.judge(commit, "hold")
    assert [row.split()[0] for row in table(history)] == [commit[:7] for commit in commits]


def test_a_commit_that_was_judged_twice_has_two_rows_the_branch_before_its_merge(history):
    commit = history.commit("Be better")
    history.judge(commit, "promote", ref="better", event="pull_request", pull=7)
    history.judge(commit, "promote")
    history.version("toy@v1.0.0", commit)
    entries = show.state(history.folder).history
    rows = [(entry.ref, entry.pull, entry.version) for entry in entries]
    assert rows == [("better", 7, ""), ("main", None, "v1.0.0")]


def test_reports_that_cannot_be_read_are_no_empty_history(history):
    history.judge(history.commit("Begin"), "promote")
    (history.folder / ".git" / notes.NOTES).write_text("deadbeef\n")
    with pytest.raises(MachineError, match="refs/notes/pushforward is damaged"):
        show.state(history.folder)


def test_versions_and_environments_are_what_the_tags_say(history):
    for minor in range(2):
        commit = history.commit("Change")
        history.judge(commit, "promote")
        history.version(f"toy@v1.{minor}.0", commit)
        history.version(f"toy#staging#{minor + 1}", commit)
    history.version("toy#production#1", "HEAD^")
    state = show.state(history.folder)
    assert state.versions == ("toy@v1.0.0", "toy@v1.1.0")
    assert state.environments == {"production": "toy@v1.0.0", "staging": "toy@v1.1.0"}
    assert [entry.version for entry in state.history] == ["v1.0.0", "v1.1.0"]
    today = state.uses[0].when
    text = show.terminal(state)
    assert text.startswith(
        f"toy\n  production   toy@v1.0.0  {today} by Ann\n  staging      toy@v1.1.0  {today} by Ann\n"
    )


def test_who_released_why_and_what_is_deprecated_is_shown(history, git):
    history.version("toy@v1.0.0", history.commit("Change"))
    history.version("toy@v1.1.0", history.commit("Change again"))
    told = {"schema": 2, "version": "toy@v1.0.0", "previous": None, "by": f"Bob{HOSTILE}", "reason": f"Calm {HOSTILE}"}
    text = registry.message("production: toy@v1.0.0 from now on", told)
    git(history.folder, "tag", "-a", "-m", text, "toy#production#1", "toy@v1.0.0^{}", GIT_COMMITTER_DATE="@0 +0000")
    text = registry.message("deprecated", {"schema": 2, "version": "toy@v1.1.0", "reason": "Leaks", "by": "Eve <e@x>"})
    git(history.folder, "tag", "-a", "-m", text, "toy@v1.1.0!", "toy@v1.1.0^{}", GIT_COMMITTER_DATE="@86400 +0000")
    state = show.state(history.folder)
    (use,) = state.uses
    assert (use.environment, use.version, use.tag, use.when) == (
        "production",
        "toy@v1.0.0",
        "toy#production#1",
        "1970-01-01",
    )
    assert (use.by, use.reason) == (told["by"], told["reason"])
    assert state.problems == ()
    lines = show.terminal(state, width=60).splitlines()
    assert lines[1].startswith("  production   toy@v1.0.0  1970-01-01 by Bob")
    assert lines[2] == "  deprecated   toy@v1.1.0  1970-01-02 by Eve: Leaks"
    assert max(columns(line) for line in lines) <= 60
    assert not [c for c in show.terminal(state) if unicodedata.category(c) in ("Cc", "Cf") and c != "\n"]


def test_on_a_forge_what_nobody_signed_is_a_problem_and_not_in_use(history, git, tmp_path):
    history.commit("Begin")
    git(tmp_path, "init", "-q", "--bare", "forge.git")
    git(history.folder, "remote", "add", "origin", str(tmp_path / "forge.git"))
    git(history.folder, "push", "-q", "origin", "main")
    history.version("toy@v9.9.9", "HEAD")
    history.version("toy#production#1", "HEAD")
    assert show.state(history.folder).versions == (), "what nobody has pushed does not count"
    git(history.folder, "push", "-q", "origin", "--tags")
    state = show.state(history.folder)
    assert state.environments == {"production": "toy@v9.9.9"}
    assert state.problems == ("no signature was verified: the git remote 'origin' names no allowed signers",)
    (history.folder / ".github").mkdir()
    (history.folder / ".github" / "allowed_signers").write_text("# nobody yet\n")
    history.commit("Trust nobody")
    git(history.folder, "push", "-q", "origin", "main")
    state = show.state(history.folder)
    assert (state.environments, state.versions) == ({}, ())
    assert state.problems == (
        "toy@v9.9.9: it is not signed with an ssh key; it does not count",
        "toy#production#1: it is not signed with an ssh key; it does not count",
    )


def test_a_record_that_says_something_else_than_its_tag_is_a_problem(history, git):
    history.version("toy@v1.0.0", history.commit("Change"))
    history.version("toy@v1.1.0", history.commit("Change again"))
    text = registry.message("x", {"schema": 2, "version": "toy@v1.1.0", "previous": None})
    git(history.folder, "tag", "-a", "-m", text, "toy#production#1", "toy@v1.0.0^{}")
    (problem,) = show.state(history.folder).problems
    assert problem == "toy#production#1 names toy@v1.0.0 and says that it puts toy@v1.1.0 to use"


def test_the_version_of_a_lock_commit_is_shown_at_what_was_pushed(history, git):
    commit = history.commit("Change")
    history.judge(commit, "promote")
    child = git(history.folder, "commit-tree", "-p", commit, "-m", "Lock: Change", f"{commit}^{{tree}}")
    text = registry.message("toy@v1.0.0: fine", {"commit": commit})
    git(history.folder, "tag", "-a", "-m", text, "toy@v1.0.0", child)
    assert [entry.version for entry in show.state(history.folder).history] == ["v1.0.0"]


def test_a_verdict_that_stands_from_an_earlier_commit_says_from_which(history):
    first, second = history.commit("Change"), history.commit("Document")
    history.judge(first, "promote")
    history.judge(second, "promote", source=first)
    rows = table(history)
    assert "✓ promote" in rows[0]
    assert f"= as {first[:7]}" in rows[1]
    assert "promote" not in rows[1]


@pytest.mark.parametrize("word", ["promote", "calibration-only"])
@pytest.mark.parametrize("width", [pytest.param(80), 120])
def test_no_line_is_wider_than_asked_for(history, word, width):
    commit = history.commit("Change what cannot be changed " * 6)
    history.judge(commit, word, ref="a-branch-with-a-long-name-of-forty-letters", event="pull_request", pull=123)
    history.judge(commit, word, gain=-0.0123)
    history.version("toy@v1.0.0", commit)
    rows = show.terminal(show.state(history.folder), width=width).splitlines()
    assert max(columns(row) for row in rows) <= width


def test_characters_of_two_columns_count_as_two(history):
    history.judge(history.commit("変更" * 40), "hold")
    assert columns(table(history)[0]) <= 80


def test_a_wider_terminal_shows_more_of_the_subject(history):
    subject = "Use the aircraft's last known leg, and the weather where it was observed"
    history.judge(history.commit(subject), "hold")
    assert subject not in table(history, 80)[0]
    assert subject in table(history, 140)[0]


def test_a_hostile_subject_is_inert(history):
    history.judge(history.commit(HOSTILE), "hold", ref=HOSTILE)
    state = show.state(history.folder)
    for text in (show.terminal(state, width=200), show.markdown(state)):
        assert not [c for c in text if unicodedata.category(c) in ("Cc", "Cf") and c != "\n"]
    rows = show.markdown(state).splitlines()
    assert [row.count("|") for row in rows] == [10, 10, 10]
    assert rows[2].count("`") == 4, "the branch and the subject, each in a span that it cannot leave"
    assert "<b>" not in rows[2]


def test_a_tag_that_is_not_of_the_registry_is_a_problem_and_inert(history, git):
    commit = history.commit("Change")
    name = "toy@\x9b2J\u202e"
    git(history.folder, "tag", "-a", "-m", "x", name, commit)
    state = show.state(history.folder)
    assert len(state.problems) == 1
    text = show.terminal(state)
    assert "! toy@" in text
    assert not [c for c in text if unicodedata.category(c) in ("Cc", "Cf") and c != "\n"]


def test_a_lightweight_version_is_a_problem_and_no_version(history, git):
    git(history.folder, "tag", "toy@v1.0.0", history.commit("Change"))
    state = show.state(history.folder)
    assert (state.versions, state.environments) == ((), {})
    assert "lightweight" in show.terminal(state)


def test_a_verdict_on_a_commit_that_is_not_here_stays_in_the_history(history, git, tmp_path):
    kept = history.commit("Begin")
    git(history.folder, "checkout", "-q", "-b", "topic")
    gone = history.commit("Try")
    for commit in (kept, gone):
        history.judge(commit, "hold")
    git(tmp_path, "clone", "-q", "--no-local", "--single-branch", "-b", "main", str(history.folder), "other")
    other = tmp_path / "other"
    git(other, "fetch", "-q", "origin", "refs/notes/pushforward:refs/notes/pushforward")
    assert Repository(other).resolve(gone) is None
    assert {entry.commit for entry in show.state(other).history} == {kept, gone}


def test_a_repository_without_verdicts_gives_a_readable_answer(history):
    history.commit("Begin")
    text = show.terminal(show.state(history.folder))
    assert text.splitlines()[:2] == ["toy", "  no version yet"]
    assert show.markdown(show.state(history.folder)).splitlines()[0].startswith("| commit | branch |")


def a_clone(tmp_path, git, *options):
    git(tmp_path, "clone", "-q", *options, f"file://{tmp_path / 'repository'}", "other")
    return tmp_path / "other"


def registered(history, git):
    """A version that staging uses, and a report."""
    commit = history.commit("Begin")
    history.judge(commit, "promote")
    history.version("toy@v1.0.0", commit)
    use = registry.message("staging: fine", {"schema": 2, "version": "toy@v1.0.0", "reason": "fine", "by": "Ann"})
    git(history.folder, "tag", "-a", "-m", use, "toy#staging#1", commit)


CUT = [
    ("--no-tags",),
    ("--depth=1",),
    ("--depth=1", "--no-tags"),
    ("--single-branch", "--no-tags"),
]


@pytest.mark.parametrize("options", CUT, ids=" ".join)
def test_a_clone_however_it_was_made_tells_what_its_remote_has(history, git, tmp_path, options):
    registered(history, git)
    other = a_clone(history.folder.parent, git, *options)
    state = show.state(other)
    assert (state.lacks, state.environments) == ("", {"staging": "toy@v1.0.0"})
    assert [(entry.version, entry.subject) for entry in state.history] == [("v1.0.0", "Begin")]
    assert git(other, "notes", "--ref=pushforward", "show", "HEAD").startswith("## ")


def test_a_tag_of_a_clones_own_and_a_branch_that_is_checked_out_do_not_count(history, git):
    registered(history, git)
    other = a_clone(history.folder.parent, git)
    git(other, "tag", "-d", "toy@v1.0.0")
    git(other, "tag", "-a", "-m", "mine", "toy@v1.0.0", "HEAD")
    git(other, "rm", "-q", "params.yaml")
    git(other, "commit", "-q", "-m", "Take everything away")
    history.version("toy@v1.1.0", history.commit("Better"))
    state = show.state(other)
    assert state.versions == ("toy@v1.0.0", "toy@v1.1.0")
    assert git(other, "rev-parse", "toy@v1.0.0") == git(history.folder, "rev-parse", "toy@v1.0.0")


def test_of_several_models_the_tags_of_each_are_fetched_at_once(history, git, monkeypatch):
    told = MODEL_SETTINGS.replace("models:\n  toy:\n", "models:\n  red: {path: red, environment: [lock.txt]}\n  toy:\n")
    commit = history.commit("Begin", told=told)
    for name in ("red", "toy"):
        history.version(f"{name}@v1.0.0", commit)
    other = a_clone(history.folder.parent, git, "--no-tags")
    asked, remote = [], Repository.remote

    def counted(self, *words, **options):
        asked.append(any("refs/notes/" in word for word in words))
        return remote(self, *words, **options)

    monkeypatch.setattr(Repository, "remote", counted)
    monkeypatch.chdir(other)
    done = CliRunner().invoke(main, ["show", "--json"])
    assert done.exit_code == 0, done.output
    states = json.loads(done.output)["models"]
    assert [(one["versions"], one["lacks"]) for one in states] == [(["red@v1.0.0"], ""), (["toy@v1.0.0"], "")]
    assert asked.count(True) == 1


def test_a_registry_that_went_back_is_told(history, git):
    registered(history, git)
    other = a_clone(history.folder.parent, git)
    git(other, "update-ref", "refs/pushforward/registry", "HEAD")
    git(other, "commit", "-q", "--allow-empty", "-m", "Another")
    git(other, "update-ref", "refs/pushforward/registry", "HEAD")
    git(history.folder, "update-ref", "refs/pushforward/registry", "HEAD")
    lacks = show.state(other).lacks
    assert lacks.startswith("the registry of origin went back to something older, or was made anew; next: git fetch")


def test_a_remote_that_cannot_be_asked_is_not_taken_for_an_empty_one(history, git):
    history.commit("Begin")
    git(history.folder, "remote", "add", "origin", "/nowhere")
    state = show.state(history.folder)
    text = show.terminal(state)
    assert "no version is known here" in text
    assert state.lacks == "origin cannot be asked, so what it has beside this is not known; next: git ls-remote origin"


def test_a_remote_that_is_empty_too_has_nothing_to_fetch(history, git, tmp_path):
    history.commit("Begin")
    git(tmp_path, "init", "-q", "--bare", "empty.git")
    git(history.folder, "remote", "add", "origin", str(tmp_path / "empty.git"))
    assert show.terminal(show.state(history.folder)).splitlines()[:2] == ["toy", "  no version yet"]


def test_a_version_that_nothing_uses_is_no_missing_version(history):
    history.version("toy@v1.0.0", history.commit("Begin"))
    assert "  no version is in use yet" in show.terminal(show.state(history.folder))


def test_what_environments_hold_under_an_earlier_name_stays_in_sight(history, git):
    registered(history, git)
    history.commit("Rename", told=MODEL_SETTINGS.replace("  toy:", "  boat:"))
    state = show.state(history.folder)
    assert (state.model, state.environments, state.versions) == ("boat", {}, ())
    assert [(use.environment, use.version) for use in state.earlier] == [("staging", "toy@v1.0.0")]
    text = show.terminal(state)
    assert "  staging      toy@v1.0.0  " in text
    assert "! the model was called toy before; boat is not compared with it" in text
    git(history.folder, "tag", "-a", "-m", "words", "pkg#live#1", "HEAD")
    assert len(show.state(history.folder).earlier) == 1, "a tag of somebody else's is no environment"


def test_a_repository_without_commits_reads_the_folder(tmp_path, git):
    git(tmp_path, "init", "-q", "new")
    with pytest.raises(PushforwardError, match=r"has no pushforward.yaml"):
        show.state(tmp_path / "new")
    (tmp_path / "new" / "pushforward.yaml").write_text(MODEL_SETTINGS)
    assert show.terminal(show.state(tmp_path / "new")).startswith("toy\n  no version yet")


def test_json_has_one_form(history, monkeypatch):
    commit = history.commit("Change")
    history.judge(commit, "hold", ref="idea", event="pull_request", pull=3)
    history.judge(history.commit("Break"), "invalid", gain=None)
    monkeypatch.chdir(history.folder)
    done = CliRunner().invoke(main, ["show", "--json"])
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert list(found) == [
        "model",
        "environments",
        "uses",
        "versions",
        "deprecated",
        "problems",
        "history",
        "earlier",
        "foreign",
        "lacks",
        "looks",
        "reviews",
    ]
    assert found["history"][0] == {
        "commit": commit,
        "when": "2024-05-01",
        "subject": "Change",
        "ref": "idea",
        "pull": 3,
        "verdict": "hold",
        "stands_from": "",
        "mode": "superior",
        "months": "2020-03 2020-04",
        "gain": 0.0123,
        "low": pytest.approx(0.0023),
        "high": pytest.approx(0.0223),
        "loss": pytest.approx(0.4877),
        "version": "",
    }
    assert found["history"][1]["loss"] is None


def test_git_is_asked_as_often_for_two_verdicts_as_for_eight(history, monkeypatch):
    asked, counts, run = [], [], Repository.git
    monkeypatch.setattr(Repository, "git", lambda *given, **options: asked.append(given) or run(*given, **options))
    for many in (2, 6):
        for _ in range(many):
            history.judge(history.commit("a change"), "hold")
        asked.clear()
        show.state(history.folder)
        counts.append(len(asked))
    assert counts[0] == counts[1] > 0


def test_a_report_that_this_version_cannot_read_is_a_problem_and_hides_no_other(history):
    first, second = history.commit("one"), history.commit("two")
    history.judge(first, "hold")
    lock = history.folder / ".git" / "notes.lock"
    notes.put(Repository(history.folder), second, Report({"event": "push", "verdict": 3}, Context(), "?"), lock=lock)
    state = show.state(history.folder)
    assert [entry.commit for entry in state.history] == [first]
    assert f"{second[:9]} has a report that this version cannot read" in state.problems


def test_a_note_of_an_older_version_is_a_problem_too(history, git):
    first, second = history.commit("one"), history.commit("two")
    history.judge(first, "hold")
    git(history.folder, "notes", "--ref=pushforward", "add", "-m", '<!-- pushforward {"verdict":"hold"} -->', second)
    state = show.state(history.folder)
    assert [entry.commit for entry in state.history] == [first]
    assert state.problems == (f"{second[:9]} has a report that this version cannot read",)
