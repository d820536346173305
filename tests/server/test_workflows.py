"""What follows a run, and what it waits for: whatever dies, whoever runs it. A server whose workflows are not run."""

import dataclasses
import signal
import time
from types import SimpleNamespace

import pytest
from tests.server.test_triggers import SETTINGS, flow, follows, lists, workflow

from pushforward import durable
from pushforward.actions.event import Event
from pushforward.actions.workflow import load
from pushforward.errors import BUG, TOOL, MachineError, PushforwardError
from pushforward.git.refs import ZERO
from pushforward.server import ends, execute, record, recover, requests, runs, triggers, workflows
from pushforward.server.record import Outcome
from pushforward.server.requests import Request
from pushforward.server.required import Required
from pushforward.server.runs import Job, Run
from pushforward.server.subject import Subject
from pushforward.server.wish import UnwantedError, Wish

pytestmark = pytest.mark.whole

MAIN = "refs/heads/main"
WENT_WELL = SimpleNamespace(conclusion="success")


def quiet(_: str) -> None:
    """Say nothing."""


def unasked(*_: object) -> None:
    raise AssertionError("nothing is required here")


def commit(tiny, *names, more="", **files):
    """What `main` is at once these workflows are there, which nobody runs."""
    made = {workflow(name): text for name, text in files.items()}
    found = tiny.commit(made | lists(tiny, *names, more=more))
    tiny.lose("main")
    return found


def execution(tiny, job, attempt=1, see_to=unasked):
    run = Run(job, attempt=attempt, started=1.0)
    runs.store(tiny.server, run)
    return workflows.Execution(tiny.server, run, SimpleNamespace(say=quiet), Wish(tiny.server, job), see_to)


def asked(tiny):
    return sorted(job.file for job in requests.waiting(tiny.server))


def test_what_follows_a_version_is_asked_for_though_whoever_has_tagged_it_was_killed(tiny, monkeypatch):
    files = {
        "between": flow("between", follows("train")),
        "notify": flow("notify", follows("train"), 'cat "$PUSHFORWARD_ARTIFACTS/verdict/report.txt"'),
        "deploy": flow("deploy", follows("judge")),
        "behind": flow("behind", follows("between"), "pushforward gate"),
    }
    before = tiny.git("rev-parse", "HEAD")
    at = commit(tiny, *files, **files)
    at = tiny.commit()
    tiny.lose("main")
    job = Job("push", MAIN, at, before)
    told = [(one.flow.file, one.level, one.source, one.judge) for one in ends.of_version(Subject(tiny.server, job))]
    assert told == [("train.yml", 0, "push", False), ("judge.yml", 1, "workflow_run", True)], "the judge is before it"
    job = dataclasses.replace(job, before=tiny.git("rev-parse", "HEAD^"))
    told = [(one.flow.file, one.level, one.source, one.judge) for one in ends.of_version(Subject(tiny.server, job))]
    assert told == [
        ("train.yml", 0, "push", False),
        ("between.yml", 1, "push", False),
        ("behind.yml", 2, "workflow_run", True),
    ]
    again = execution(tiny, job, attempt=2)
    verdict = again.judged / "verdict"
    verdict.mkdir(parents=True)
    monkeypatch.setattr(again, "_finished_before", lambda: Outcome("promote", "it is there"))
    assert again.outcome().verdict == "promote"
    again.follow()
    assert asked(tiny) == ["judge.yml", "notify.yml"]  # in this push `judge` is one beside


def test_what_is_required_after_a_judge_that_was_killed_is_waited_for(tiny, monkeypatch):
    at = commit(tiny, "deploy", more="  required: [deploy]\n", deploy=flow("deploy", follows("judge")))
    job = Job("push", MAIN, at, tiny.git("rev-parse", "HEAD^"))
    again = execution(tiny, job, 2, lambda one: Run(one, verdict="failure", reason="it is down", final=True))
    monkeypatch.setattr(again, "_finished_before", lambda: Outcome("promote", "it is there", passed="tree"))
    found = again.outcome()
    assert found.terminal.splitlines() == [
        "! NOT GREEN  deploy.yml is required (server.required), and is failure: it is down",
        "it is there",
    ]
    assert found.passed == ""


@pytest.mark.parametrize(
    ("found", "attempt", "over"),
    [
        (Outcome("hold", ""), 1, True),
        (Outcome("failure", "", final=False), 1, False),
        (Outcome("failure", "", final=False), runs.ATTEMPTS, True),
        (Outcome("invalid", "", state="cancelled"), 1, False),
        (Outcome("invalid", "", final=False, machine=MachineError("the disk is full")), runs.ATTEMPTS, False),
    ],
)
def test_a_run_that_is_not_tried_again_is_over(found, attempt, over):
    assert execute._is_over(Run(Job("push", MAIN, "c" * 40), attempt=attempt), found) == over


@pytest.mark.parametrize("code", [TOOL, BUG])
def test_whoever_hears_of_a_failure_hears_of_the_last_attempt(tiny, monkeypatch, code):
    at = commit(tiny)
    followed = []

    def fail(*given: object) -> None:
        given[-1].append(SimpleNamespace(follow=lambda: followed.append(1)))
        raise PushforwardError("the tool has failed", exit_code=code)

    monkeypatch.setattr(execute, "outcome", fail)
    for attempt in range(1, runs.ATTEMPTS + 1):
        run = Run(Job("push", MAIN, at, ZERO), attempt=attempt)
        runs.store(tiny.server, run)
        execute.conduct(tiny.server, run, [])
        assert len(followed) == (attempt == runs.ATTEMPTS)


@pytest.mark.parametrize("final", [True, False])
def test_what_is_tried_again_may_hand_on_what_was_left(tiny, final):
    job = Job("push", MAIN, commit(tiny))
    left = runs.folder(tiny.server, job.key) / "judged" / "verdict"
    left.mkdir(parents=True)
    record.put(tiny.server, Run(job, attempt=1), Outcome("promote", "", subject=job.commit, final=final), last=False)
    assert left.exists() != final


def test_no_judge_hears_of_a_training_that_nobody_judges(tiny):
    at = commit(tiny, "tell", tell=flow("tell", follows("train")))
    what = Event("workflow_dispatch", at, MAIN, workflow="train")
    job = requests.job_of("train.yml", what, commit=at, serial="1", trusted=True)
    requests.put(tiny.server, Request(job, what))
    alone = execution(tiny, job)
    alone.ended = [ends.Ended(load("train.yml", flow("train", "push")), WENT_WELL, "workflow_dispatch", 0)]
    alone.follow()
    assert asked(tiny) == ["tell.yml", "train.yml"]


def test_a_branch_that_takes_a_workflow_off_its_list_is_held_to_it(tiny):
    commit(tiny, "lint", lint=flow("lint", "push"))
    tiny.git("switch", "-q", "-c", "topic")
    at = tiny.commit({SETTINGS: (tiny.clone / SETTINGS).read_text().replace(", lint]", "]")})
    tiny.lose("topic")
    job = Job("pull_request", "refs/heads/topic", at, ZERO, 1)
    wanted = Subject(tiny.server, job).settings.server.workflows
    (found,) = triggers.of_branch(tiny.server, Run(job, asked=1.0), ["train.yml"], wanted)
    assert (found.file, found.trusted) == ("lint.yml", False)


def test_what_is_required_behind_another_is_waited_for(tiny):
    at = commit(tiny, "lint", "scan", lint=flow("lint", "push"), scan=flow("scan", follows("lint")))
    what = Event("push", at, MAIN)
    lint, other = (requests.job_of(file, what, commit=at, serial="1") for file in ("lint.yml", "other.yml"))
    scan = requests.job_of("scan.yml", Event("workflow_run", at, MAIN), commit=at, serial="1", cause=lint, level=1)
    seen = []

    def see_to(job: Job) -> Run:
        seen.append(job.file)
        if job == lint:
            runs.store(tiny.server, Run(scan))
        return Run(job, verdict="failure", reason="a hole", final=True)

    needs = Required(tiny.server, ["scan"], see_to)
    assert needs.awaited == {"lint", "scan"}
    assert [why.message for why in needs.red([lint, other])] == [
        "scan.yml is required (server.required), and is failure: a hole"
    ]
    assert seen == ["lint.yml", "scan.yml"]
    assert Required(tiny.server, [], see_to).awaited == set()


@pytest.mark.slow
def test_what_is_carried_over_is_held_to_what_is_required(tiny):
    message = "env: {M: '${{ github.event.head_commit.message }}'}\n"
    conclusion = "env: {C: '${{ github.event.workflow_run.conclusion }}'}\n"
    files = {
        workflow("lint"): flow("lint", "push", 'test "$M" != Bad', message),
        workflow("scan"): flow("scan", follows("lint"), 'test "$C" = success', conclusion),
        "README.md": "good\n",
    }
    tiny.commit(files | lists(tiny, "lint", "scan", more="  required: [scan]\n"))
    assert "JUDGED" in tiny.push("main")
    good = tiny.commit({"README.md": "better\n"})
    tiny.push("main")
    assert [one["verdict"] for one in tiny.reports(good)] == ["hold"]
    bad = tiny.commit({"README.md": "bad\n"}, "Bad")
    tiny.push("main")
    assert tiny.reason(bad).startswith("scan.yml is required (server.required), and is failure: scan.yml: one / say:")


@pytest.fixture
def lint(tiny):
    """A single workflow that is due."""
    text = flow("lint", "push", more="concurrency: one\n")
    at = commit(tiny, "lint", lint=text)
    what = Event("push", at, MAIN)
    job = requests.job_of("lint.yml", what, commit=at, serial="1", trusted=True)
    requests.put(tiny.server, Request(job, what))
    return tiny, job


def ends_well(server, run, left):
    done = dataclasses.replace(run, final=True, verdict="success", ended=time.time(), reason=" ".join(left))
    runs.store(server, done)
    requests.close(server, done)


def test_a_run_that_is_seen_to_clears_up_after_the_dead_and_leaves_the_alarm_as_it_was(lint, monkeypatch):
    tiny, job = lint
    monkeypatch.setattr(execute, "conduct", ends_well)
    monkeypatch.setattr(recover, "run", lambda _, key: [f"ended sleep of {key}"])
    runs.store(tiny.server, Run(job, attempt=1))
    signal.alarm(500)
    try:
        done = execute.see_to(tiny.server, job, unasked)
    finally:
        left = signal.alarm(0)
    assert (done.verdict, done.attempt, done.reason) == ("success", 2, f"ended sleep of {job.key}")
    assert 400 < left <= 500


def test_a_run_that_is_seen_to_waits_for_its_group_and_for_space(lint, monkeypatch):
    tiny, job = lint
    monkeypatch.setattr(execute, "conduct", ends_well)
    monkeypatch.setattr(execute, "TURN_SECONDS", 0.01)
    other = dataclasses.replace(job, serial="lint-other")
    told = requests.load(tiny.server, job).event
    requests.put(tiny.server, Request(other, told))
    waited = []

    def unwanted() -> None:
        waited.append(1)
        raise UnwantedError("superseded by another")

    with durable.locked(runs.lock(tiny.server, other.key)), pytest.raises(UnwantedError):
        execute.see_to(tiny.server, job, unwanted)
    assert waited
    monkeypatch.setattr(recover, "short_of_space", lambda _: "the disk of /srv has 1 GiB free")
    with pytest.raises(MachineError, match="the server's disk is full") as full:
        execute.see_to(tiny.server, job, unasked)
    assert "/srv" in full.value.detail
    monkeypatch.undo()
    monkeypatch.setattr(execute, "conduct", ends_well)
    assert execute.see_to(tiny.server, job, unasked).verdict == "success"


def test_each_workflow_has_an_alarm_of_its_own(lint, monkeypatch):
    tiny, job = lint
    doing, rung = execution(tiny, job), []
    done = SimpleNamespace(learned=None, conclusion="success")
    monkeypatch.setattr(workflows, "run_workflow", lambda *_, **__: rung.append(signal.alarm(0)) or done)
    monkeypatch.setattr(workflows, "Provision", lambda *_, **__: SimpleNamespace(setup=lambda *_, **__: None))
    signal.alarm(300)
    doing._workflow(load("lint.yml", flow("lint", "push")), doing.subject.event, doing.subject.commit)
    minutes = 2 * doing.subject.settings.server.timeout_minutes + workflows.BUILD_MINUTES
    assert 60 * minutes - 60 <= rung[0] <= 60 * minutes


def test_a_green_follower_is_handed_the_same_when_it_runs_again(lint, tmp_path):
    tiny, job = lint
    made = tmp_path / "train"
    made.mkdir()
    (made / "run.json").write_text("{}")
    follower = dataclasses.replace(job, serial="deploy-1", file="deploy.yml")
    requests.put(tiny.server, Request(follower, requests.load(tiny.server, job).event), [made])
    for number in range(2):
        run = runs.load(tiny.server, follower.key)
        requests.given(tiny.server, follower, target := tmp_path / f"artifacts-{number}")
        assert (target / "train" / "run.json").read_text() == "{}"
        ends_well(tiny.server, run, [])
        assert not requests.is_waiting(tiny.server, follower)
        requests.retry(tiny.server, runs.load(tiny.server, follower.key))
