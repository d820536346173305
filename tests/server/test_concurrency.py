"""Which runs exclude one another, and which end one another: no file of a branch reaches a run of another."""

from pathlib import Path

import pytest
from tests.tiny_server import train

from pushforward.actions.event import Event
from pushforward.git.server import Server
from pushforward.server import concurrency, dispatch, requests, runs
from pushforward.server.requests import Request
from pushforward.server.runs import Job

PLAIN = train().replace(train().partition("concurrency:")[2].partition("jobs:")[0], "").replace("concurrency:", "")
LINT = """name: lint
on: {{push: {{branches: ['**']}}, pull_request: {{}}, workflow_dispatch: {{}}}}
concurrency: {{group: "{group}", cancel-in-progress: true}}
jobs: {{lint: {{runs-on: ubuntu-latest, steps: [{{run: 'true'}}]}}}}
"""
TOY = (Path(__file__).parent.parent / "toy" / "pushforward.yaml").read_text().partition("server:")[0]
SETTINGS = f"{TOY}server:\n  workflows: [train, lint, retrain]\n"
RETRAIN = "name: retrain\non: {schedule: [{cron: '5 5 * * *'}]}\njobs: {a: {runs-on: u, steps: [{run: 'true'}]}}\n"


class Place:
    """A server, the tips of its branches, and runs that are due there."""

    def __init__(self, path, git):
        self.path, self.git = path, git
        self.server = Server(str(path / ".git"), "python", "", "", "acme/flights")
        (path / ".git" / "pushforward").mkdir()

    def commit(self, branch, **files):
        self.git(self.path, "symbolic-ref", "HEAD", f"refs/heads/{branch}")
        folder = self.path / ".github" / "workflows"
        folder.mkdir(parents=True, exist_ok=True)
        (self.path / "pushforward.yaml").write_text(SETTINGS)
        for name, text in files.items():
            (folder / f"{name}.yml").write_text(text)
        self.git(self.path, "add", "-A")
        self.git(self.path, "commit", "-q", "--allow-empty", "-m", branch)
        made = self.git(self.path, "rev-parse", "HEAD")
        self.git(self.path, "symbolic-ref", "HEAD", "refs/heads/main")  # the default branch of this server
        return made

    def single(self, branch, commit, *, trusted=False, name="push"):
        """A run of lint.yml by itself."""
        what = Event(name, commit, f"refs/heads/{branch}")
        job = requests.job_of("lint.yml", what, commit=commit, serial=f"{branch} {commit}", trusted=trusted)
        requests.put(self.server, Request(job, what))
        return job

    def exclude(self, one, other):
        return concurrency.exclude(self.server, one, other, self.main)


@pytest.fixture
def place(repository, git):
    found = Place(repository, git)
    found.main = found.commit("main", train=PLAIN, retrain=RETRAIN)
    return found


@pytest.mark.parametrize(
    "group",
    [
        "refs/heads/main",
        "retrain.yml",
        "refs/heads/other",
        "refs/heads/mine",
        "made\\0refs/heads/main",
        "\\0",
        "\\0gpu",
    ],
)
def test_a_group_that_the_file_of_a_branch_names_is_one_of_that_branch(place, group):
    other = place.commit("other")
    mine = place.single("mine", place.commit("mine", lint=LINT.format(group=group)))
    assert concurrency.of(place.server, mine, place.main).cancel_in_progress
    for job in (
        Job("push", "refs/heads/main", place.main),
        Job("schedule", "refs/heads/main", place.main, file="retrain.yml", cron="5 5 * * *", due="20261130T0505Z"),
        Job("pull_request", "refs/heads/other", other, pull=7),
        Job("pull_request", "refs/heads/mine", mine.commit, pull=8),
    ):
        assert not place.exclude(mine, job), job
        assert not place.exclude(job, mine), job


def test_a_group_of_the_default_branch_s_files_is_out_of_reach_of_a_branch(place):
    there = "group: train-${{ github.event_name == 'push' && github.sha || github.ref }}"
    place.main = place.commit("main", train=train().replace(there, "group: gpu"))
    judged = Job("pull_request", "refs/heads/other", place.commit("other"), pull=7)
    ours = place.single("main", place.commit("main", lint=LINT.format(group="gpu")), trusted=True)
    theirs = place.single("mine", place.commit("mine", lint=LINT.format(group="gpu")))
    assert place.exclude(judged, ours), "both are said by the default branch"
    assert not place.exclude(judged, theirs)
    assert not place.exclude(ours, theirs)


@pytest.mark.parametrize(
    ("newer", "older", "may"),
    [
        ("pull_request", "pull_request", True),
        ("pull_request", "workflow", True),
        ("workflow", "workflow", True),
        ("workflow", "schedule", True),
        ("schedule", "schedule", True),
        ("workflow", "pull_request", False),
        ("workflow", "push", False),
        ("pull_request", "push", False),
        ("schedule", "tag", False),
    ],
)
def test_a_single_workflow_ends_nothing_that_is_judged_for_a_push(newer, older, may):
    assert concurrency.may_end(Job(newer, "refs/heads/a", "a" * 40), Job(older, "refs/heads/a", "b" * 40)) is may


def test_the_number_of_a_run_keeps_groups_apart(place):
    text = LINT.format(group="${{ github.workflow }}-${{ github.head_ref || github.run_id }}")
    one, other = (place.single("mine", place.commit("mine", lint=f"{text}# {number}\n")) for number in (1, 2))
    assert not place.exclude(one, other)
    assert place.exclude(one, one)
    again = LINT.format(group="${{ github.workflow }}-${{ github.ref }}")
    one, other = (place.single("mine", place.commit("mine", lint=f"{again}# {number}\n")) for number in (1, 2))
    assert place.exclude(one, other), "of one branch and one name"


def test_a_run_whose_file_is_gone_is_excluded_by_nothing(place):
    gone = place.single("mine", place.main)
    assert not concurrency.of(place.server, gone, place.main).cancel_in_progress
    assert not place.exclude(gone, Job("push", "refs/heads/main", place.main))


def test_a_file_beside_ends_its_own_older_run_and_not_what_its_branch_is_judged_by(place):
    text = LINT.format(group="${{ github.ref }}")
    older, newer = (place.single("mine", place.commit("mine", lint=f"{text}# {number}\n")) for number in (1, 2))
    judged = Job("pull_request", "refs/heads/mine", newer.commit, pull=8)
    coordinator = dispatch.Coordinator(place.server, print, 0.0)
    coordinator.main = place.main
    coordinator._supersede([newer], [older, judged])
    assert runs.cancelled(place.server, older.key) == f"{runs.SUPERSEDED}{newer.commit[:9]}"
    assert not runs.cancelled(place.server, judged.key)


def test_a_run_whose_request_cannot_be_read_now_keeps_what_it_has(place):
    job = place.single("mine", place.main)
    dispatch.Coordinator(place.server, print, 0.0)._settle(runs.load(place.server, job.key))
    assert runs.load(place.server, job.key) is not None
