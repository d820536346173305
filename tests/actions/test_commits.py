"""The commits of a push in its event, and the event of a schedule in a time zone."""

from pathlib import Path

import pytest
from tests.actions.test_act import Project

from pushforward.actions.commits import number, pushed
from pushforward.actions.event import ZERO, Event, Repository, payload
from pushforward.git import repository as git


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_a_push_tells_its_commits_the_oldest_first(project: Project) -> None:
    first = project.commit({"a.txt": "1", "ä b.txt": "1"})
    (project.clone / "a.txt").unlink()
    second = project.commit({"ä b.txt": "2", "c.txt": "1"})
    third = project.commit({})
    bare = git.Repository(project.bare)
    told = pushed(bare, Event("push", third, "refs/heads/main", before=first), "file:///x")
    assert [one["id"] for one in told["commits"]] == [second, third]
    assert told["compare"] == f"file:///x/compare/{first[:12]}...{third[:12]}"
    assert told["head_commit"] == told["commits"][-1]
    one = told["commits"][0]
    assert (one["added"], one["removed"], one["modified"]) == (["c.txt"], ["a.txt"], ["ä b.txt"])
    assert (one["message"], one["author"]["name"], one["author"]["email"]) == ("a change", "a", "a@example.org")
    assert one["timestamp"].startswith("20")
    assert one["url"] == f"file:///x/commit/{second}"
    assert one["tree_id"] == bare.git("rev-parse", f"{second}^{{tree}}").text.strip()


def test_a_new_branch_tells_its_tip(project: Project) -> None:
    project.commit({"a.txt": "1"})
    tip = project.commit({"a.txt": "2"})
    for before in (ZERO, "1" * 40):
        told = pushed(git.Repository(project.bare), Event("push", tip, "refs/heads/x", before=before), "file:///x")
        assert [one["id"] for one in told["commits"]] == [tip]


def test_a_number_grows_with_each_commit_and_counts_a_merge_once(project: Project) -> None:
    first = project.commit({"a.txt": "1"})
    project.commit({"b.txt": "1"}, branch="topic")
    second = project.commit({"b.txt": "2"}, branch="topic")
    project.git("switch", "-q", "main")
    project.git("merge", "-q", "--no-ff", "-m", "Merge", "topic")
    project.git("push", "-q", "origin", "main")
    bare = git.Repository(project.bare)
    assert (number(bare, first), number(bare, second), number(bare, project.git("rev-parse", "main"))) == (1, 3, 2)


def test_a_message_forges_no_commit(project: Project) -> None:
    forged = "\x1e\x1f\n".join(["1" * 40] * 12)
    project.git("commit", "-q", "--allow-empty", "-m", forged)
    project.git("push", "-q", "origin", "HEAD:refs/heads/main")
    tip = project.git("rev-parse", "HEAD")
    told = pushed(git.Repository(project.bare), Event("push", tip, "refs/heads/main"), "file:///x")
    assert [one["id"] for one in told["commits"]] == [tip]
    assert told["head_commit"]["message"] == forged


def test_a_schedule_tells_its_cron_alone() -> None:
    event = Event("schedule", "a" * 40, "refs/heads/main", schedule="30 6 * * 1-5 TZ=America/New_York")
    assert payload(event, Repository(Path("/x"), "a/b"))["schedule"] == "30 6 * * 1-5"
