"""Workflow files: reading, concurrency, payloads, expressions."""

from pathlib import Path

import pytest
from tests.actions.samples import JUDGE, PULL, PUSH, load

from pushforward.actions import workflow
from pushforward.actions.event import ZERO, Event, Repository, context, payload
from pushforward.actions.expression import ExpressionError, evaluate
from pushforward.actions.workflow import WorkflowError

ROOT = Path(__file__).parents[2]
SHA = "3d3c42e5aac5ba805825da76410c181273ba90b1"
REPOSITORY = Repository(Path("/srv/flights.git"), "acme/flights")


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("a: [", "not valid YAML"),
        ("on: push\non: push\njobs: {}", "not valid YAML"),
        ("on: push", "needs `on:` and `jobs:`"),
        ("%YAML 1.1\n---\non: push\njobs: {}", "needs `on:`"),
        ("[1]", "not a mapping"),
        ("on: 3\njobs: {}", "not an event"),
        ("on: push\njobs: {a: 1}", "job a is not a mapping"),
        ("on: push\njobs: {a: {steps: {}}}", "`steps` is not a list"),
        ("x" * 70_000, "70000 bytes"),
        ("[" * (workflow.MAX_DEPTH + 1) + "]" * (workflow.MAX_DEPTH + 1), "nested too deep"),
        ("a: &a [*a]", "of itself"),
        ("a: !!python/object/apply:os.system [id]", "not valid YAML"),
    ],
)
def test_a_file_that_is_no_workflow_is_refused(source: str, why: str) -> None:
    with pytest.raises(WorkflowError, match=why):
        workflow.load("ci.yml", source)


@pytest.mark.parametrize(
    "source", ["a: &a [x, x, x]\nb: [*a, *a]\n", "a: &a {k: v, l: w}\nb:\n  <<: [*a, *a]\n"], ids=["lists", "merges"]
)
def test_a_file_is_measured_by_what_its_aliases_stand_for(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflow, "MAX_NODES", 30)
    with pytest.raises(WorkflowError, match="needs `on:`"):
        workflow.load("ci.yml", source)
    monkeypatch.setattr(workflow, "MAX_NODES", 10)
    with pytest.raises(WorkflowError, match="more than 10 values"):
        workflow.load("ci.yml", source)


def test_limits_are_those_of_the_jobs_one_after_the_other() -> None:
    flow = workflow.load(
        "ci.yml", "on: push\njobs: {a: {runs-on: x, timeout-minutes: 5}, b: {runs-on: x, timeout-minutes: 2.5}, c: {}}"
    )
    assert workflow.job_minutes(flow) == {"a": 5.0, "b": 2.5, "c": 360.0}
    assert workflow.limit_minutes(flow) == 367.5


@pytest.mark.parametrize(
    ("asked", "event", "group", "cancel"),
    [
        ("train", PUSH, "train", False),
        ("'${{ github.workflow }}-${{ github.ref }}'", PUSH, "ci-refs/heads/main", False),
        ("{group: '${{ github.event.workflow_run.head_branch }}'}", JUDGE, "topic/x", False),
        ("{group: '${{ github.event.workflow_run.head_branch }}'}", PUSH, "", False),
        ("{group: '${{ github.head_ref || github.ref }}', cancel-in-progress: true}", PULL, "topic/x", True),
        ("{group: '${{ github.head_ref || github.ref }}'}", PUSH, "refs/heads/main", False),
        (
            "{group: g, cancel-in-progress: \"${{ github.event_name == 'pull_request' }}\"}",
            PULL,
            "g",
            True,
        ),
        (
            "{group: g, cancel-in-progress: \"${{ github.event_name != 'pull_request' && true }}\"}",
            PULL,
            "g",
            False,
        ),
    ],
)
def test_a_concurrency_group_is_evaluated(asked: str, event: Event, group: str, cancel: bool) -> None:
    flow = load("push", f"name: ci\nconcurrency: {asked}")
    contexts = context(event, REPOSITORY, workflow_name=flow.name)
    assert workflow.concurrency(flow, contexts) == workflow.Concurrency(group, cancel)


@pytest.mark.parametrize(
    "asked",
    [
        "'${{ nonsense.ref }}'",
        "'${{ hashFiles(1) }}'",
        "{group: a, typo: b}",
        "{group: a, cancel-in-progress: maybe}",
    ],
)
def test_a_concurrency_group_that_cannot_be_evaluated_is_refused(asked: str) -> None:
    flow = load("push", f"concurrency: {asked}")
    with pytest.raises(WorkflowError, match=r"ci\.yml:"):
        workflow.concurrency(flow, context(PUSH, REPOSITORY))


def test_no_concurrency_is_none() -> None:
    assert workflow.concurrency(load("push"), {}) is None


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("'it''s'", "it's"),
        ("1 == 1.0", True),
        ("'A' == 'a'", True),
        ("null == 0", True),
        ("'x' == 0", False),
        ("!(true && false) || 'no'", True),
        ("false && 'a' || 'b'", "b"),
        ("github.event.nothing.at.all", None),
        ("github.event.number", 7),
    ],
)
def test_an_expression_has_githubs_value(expression: str, value: object) -> None:
    assert evaluate(f"${{{{ {expression} }}}}", context(PULL, REPOSITORY)) == value


@pytest.mark.parametrize("expression", ["", "(1", "1 +", "&& 1", "a b", "'open", "(" * 100 + "1" + ")" * 100])
def test_a_broken_expression_is_refused(expression: str) -> None:
    with pytest.raises(ExpressionError, match="cannot evaluate"):
        evaluate(f"x${{{{ {expression} }}}}", {"a": 1})


def test_payloads_hold_what_actions_read() -> None:
    push = payload(PUSH, REPOSITORY)
    assert (push["deleted"], push["before"], push["after"]) == (False, ZERO, "a" * 40)
    assert push["repository"]["default_branch"] == "main"
    pull = payload(PULL, REPOSITORY)
    assert (pull["number"], pull["pull_request"]["base"]["ref"], pull["pull_request"]["head"]["ref"]) == (
        7,
        "main",
        "topic/x",
    )
    run = payload(JUDGE, REPOSITORY)["workflow_run"]
    assert (run["id"], run["name"], run["conclusion"], run["event"]) == (9, "train", "success", "pull_request")
    assert (run["head_sha"], run["head_branch"]) == ("b" * 40, "topic/x")
    assert run["pull_requests"][0]["number"] == 7
