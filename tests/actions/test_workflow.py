"""Workflow files: reading, GitHub's filters, refusals, expressions."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushforward.actions import workflow
from pushforward.actions.event import ZERO, Event, Repository, context, payload
from pushforward.actions.expression import ExpressionError, evaluate
from pushforward.actions.workflow import WorkflowError

ROOT = Path(__file__).parents[2]
SHA = "3d3c42e5aac5ba805825da76410c181273ba90b1"
REPOSITORY = Repository(Path("/srv/flights.git"), "acme/flights")
PUSH = Event("push", "a" * 40, "refs/heads/main")
TAG = Event("push", "a" * 40, "refs/tags/v1.0")
PULL = Event("pull_request", "a" * 40, "refs/pull/7/merge", action="opened", number=7, base="main", head="topic/x")
JUDGE = Event(
    "workflow_run",
    "a" * 40,
    "refs/heads/main",
    action="completed",
    head="topic/x",
    head_sha="b" * 40,
    workflow="train",
    source="pull_request",
    conclusion="success",
    run_id=9,
    pull_requests=(7,),
)


def load(on: str, rest: str = "") -> workflow.Workflow:
    job = "jobs: {one: {runs-on: ubuntu-latest, steps: [{run: 'true'}]}}"
    return workflow.load("ci.yml", f"on: {on}\n{rest}\n{job}\n")


def load_job(job: str) -> workflow.Workflow:
    return workflow.load("ci.yml", f"on: push\njobs:\n  one: {job}\n")


# The examples of GitHub's documentation, "Workflow syntax", filter pattern cheat sheet.
@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("feature/*", "feature/my-branch feature/your-branch", "feature/a/b feature"),
        ("feature/**", "feature/beta-a/my-branch feature/your-branch feature/mona/the/octocat", "features/x"),
        ("main", "main", "main2 xmain"),
        ("*", "main releases", "all/the/branches"),
        ("**", "all/the/branches every/tag main", ""),
        ("*feature", "mona-feature feature ver-10-feature", "a/feature feature-1"),
        ("v2*", "v2 v2.0 v2.9", "v1"),
        ("v[12].[0-9]+.[0-9]+", "v1.10.1 v2.0.0", "v3.1.1 v1..1 v1.1"),
        ("*.jsx?", "page.js page.jsx", "page.jsxx a/page.js"),
        ("*.js", "app.js index.js", "js/app.js"),
        ("**.js", "index.js js/index.js src/js/app.js", "index.jsx"),
        ("docs/*", "docs/README.md docs/file.txt", "docs/a/b docs"),
        ("docs/**", "docs/README.md docs/mona/octocat.txt", "mydocs/a"),
        ("docs/**/*.md", "docs/README.md docs/mona/hello-world.md docs/a/markdown/file.md", "docs/a.txt"),
        ("**/docs/**", "docs/hello.md dir/docs/my-file.txt space/docs/plan/space.doc", "mydocs/hello.md"),
        ("**/README.md", "README.md js/README.md", "xREADME.md"),
        ("**/*src/**", "a/src/app.js my-src/code/js/app.js", "a/srcs/app.js"),
        ("**/*-post.md", "my-post.md path/their-post.md", "post.md"),
        ("**/migrate-*.sql", "migrate-10909.sql db/migrate-v1.0.sql db/sept/migrate-v1.sql", "migrate.sql"),
        (r"a\*b", "a*b", "axb"),
        ("[CB]at", "Cat Bat", "cat CBat"),
        ("x+", "x xx xxx", "y"),
    ],
)
def test_a_pattern_matches_what_github_documents(pattern: str, yes: str, no: str) -> None:
    for name in yes.split():
        assert workflow.matches_pattern(pattern, name), name
    for name in no.split():
        assert not workflow.matches_pattern(pattern, name), name


@given(st.text(alphabet="ab/.-", max_size=12))
def test_plain_text_matches_itself_and_two_stars_match_all(name: str) -> None:
    assert workflow.matches_pattern(name, name)
    assert workflow.matches_pattern("**", name)
    assert workflow.matches_pattern("*", name) == ("/" not in name)


def test_no_pattern_is_slow() -> None:
    assert not workflow.matches_pattern("**a" * 300, "a" * 299 + "b")


@pytest.mark.parametrize("pattern", ["[ab", "?", "*+", "[]", "[z-a]"])
def test_a_malformed_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(WorkflowError, match=r"branches|pattern"):
        workflow.matches(load(f"{{push: {{branches: ['{pattern}']}}}}"), PUSH)


@pytest.mark.parametrize(
    ("on", "event", "expected"),
    [
        ("push", PUSH, True),
        ("[push, pull_request]", PULL, True),
        ("pull_request", PUSH, False),
        ("push", TAG, True),
        ("{push: }", TAG, True),
        ("{push: {branches: [main]}}", PUSH, True),
        ("{push: {branches: main}}", PUSH, True),
        ("{push: {branches: [main]}}", TAG, False),
        ("{push: {branches-ignore: [dev]}}", TAG, False),
        ("{push: {tags: ['v*']}}", TAG, True),
        ("{push: {tags: ['v*']}}", PUSH, False),
        ("{push: {tags-ignore: ['v*']}}", TAG, False),
        ("{push: {tags-ignore: ['v*']}}", PUSH, False),
        ("{push: {branches: [main], tags: ['v*']}}", TAG, True),
        ("{push: {branches: [main], tags: ['w*']}}", TAG, False),
        ("{push: {branches-ignore: ['m*']}}", PUSH, False),
        ("{push: {branches: ['**', '!m*']}}", PUSH, False),
        ("{push: {branches: ['**', '!m*', 'main']}}", PUSH, True),
        ("{push: {paths: ['src/**']}}", replace(PUSH, paths=("README.md",)), False),
        ("{push: {paths: ['src/**']}}", replace(PUSH, paths=("README.md", "src/a.py")), True),
        ("{push: {paths: ['src/**', '!src/docs/**']}}", replace(PUSH, paths=("src/docs/a",)), False),
        ("{push: {paths: ['src/**']}}", PUSH, True),
        ("{push: {paths: ['src/**']}}", replace(TAG, paths=("README.md",)), True),
        ("{push: {paths-ignore: ['*.md']}}", replace(PUSH, paths=("README.md",)), False),
        ("{push: {paths-ignore: ['*.md']}}", replace(PUSH, paths=("README.md", "a.py")), True),
        ("{push: {branches: [main], paths: ['a']}}", replace(PUSH, paths=("a",), ref="refs/heads/x"), False),
        ("pull_request", replace(PULL, action="closed"), False),
        ("{pull_request: {types: [closed]}}", replace(PULL, action="closed"), True),
        ("{pull_request: {branches: [main]}}", PULL, True),
        ("{pull_request: {branches: ['topic/*']}}", PULL, False),
        ("{pull_request: {paths: ['a']}}", replace(PULL, paths=("b",)), False),
        ("{workflow_run: {workflows: [train], types: [completed]}}", JUDGE, True),
        ("{workflow_run: {workflows: [check]}}", JUDGE, False),
        ("{workflow_run: {workflows: [train], types: [requested]}}", JUDGE, False),
        ("{workflow_run: {workflows: [train], branches: [main]}}", JUDGE, False),
        ("{workflow_run: {workflows: [train], branches-ignore: [main]}}", JUDGE, True),
        ("workflow_dispatch", Event("workflow_dispatch", "a" * 40, "refs/heads/main"), True),
        (
            "{schedule: [{cron: '0 5 * * *'}]}",
            Event("schedule", "a" * 40, "refs/heads/main", schedule="0 5 * * *"),
            True,
        ),
        (
            "{schedule: [{cron: '0 5 * * *'}]}",
            Event("schedule", "a" * 40, "refs/heads/main", schedule="0 6 * * *"),
            False,
        ),
    ],
)
def test_a_workflow_answers_to_the_events_that_github_documents(on: str, event: Event, expected: bool) -> None:
    assert workflow.matches(load(on), event) is expected


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


def test_what_runs_here_has_no_problems() -> None:
    flow = load_job(
        f"{{runs-on: [ubuntu-latest], timeout-minutes: 5, steps: [{{uses: actions/checkout@{SHA}}},"
        " {run: 'true', timeout-minutes: 2, continue-on-error: true}]}"
    )
    assert workflow.problems(flow) == []


@pytest.mark.parametrize(
    ("job", "why"),
    [
        ("{runs-on: ubuntu-24.04, steps: [{run: a}]}", "runs-on ubuntu-24.04 is not available"),
        ("{runs-on: [self-hosted, gpu], steps: [{run: a}]}", "runs-on self-hosted, gpu"),
        ("{runs-on: '${{ matrix.os }}', steps: [{run: a}]}", "runs-on"),
        ("{runs-on: {group: big}, steps: [{run: a}]}", "runs-on group big"),
        ("{steps: [{run: a}]}", "runs-on nothing"),
        ("{runs-on: ubuntu-latest}", "no steps"),
        ("{runs-on: ubuntu-latest, services: {db: {image: x}}, steps: [{run: a}]}", "services"),
        ("{runs-on: ubuntu-latest, container: debian, steps: [{run: a}]}", "containers do not run"),
        ("{runs-on: ubuntu-latest, continue-on-error: true, steps: [{run: a}]}", "continue-on-error"),
        ("{runs-on: ubuntu-latest, concurrency: x, steps: [{run: a}]}", "concurrency of a job"),
        ("{runs-on: ubuntu-latest, timeout-minutes: '${{ 1 }}', steps: [{run: a}]}", "timeout-minutes"),
        ("{runs-on: ubuntu-latest, steps: [{run: a, timeout-minutes: 0.05}]}", "whole number"),
        ("{runs-on: ubuntu-latest, steps: [{uses: 'docker://debian'}]}", "actions in containers"),
        ("{runs-on: ubuntu-latest, steps: [{uses: actions/checkout@v7}]}", "pin it by a full commit SHA"),
        (f"{{runs-on: ubuntu-latest, steps: [{{uses: some/thing@{SHA}}}]}}", "no local stand-in"),
        (f"{{runs-on: ubuntu-latest, steps: [{{uses: actions/cache/save@{SHA}}}]}}", "no local stand-in"),
        ("{runs-on: ubuntu-latest, steps: [{if: false, uses: $/x}]}", "write ./x"),
        ("{runs-on: ubuntu-latest, steps: [{uses: ./../x}]}", "inside of the repository"),
        (f"{{uses: other/repo/.github/workflows/x.yml@{SHA}}}", "no local stand-in"),
        (
            "{runs-on: ubuntu-latest, strategy: {matrix: {a: [1, 2]}}, outputs: {a: b}, steps: [{run: a}]}",
            "arbitrary leg",
        ),
    ],
)
def test_what_act_would_ignore_or_fetch_is_refused(job: str, why: str) -> None:
    found = workflow.problems(load_job(job))
    assert any(why in line for line in found), found
    assert all(line.startswith("ci.yml: job one") for line in found)


@pytest.mark.parametrize(
    ("on", "why"),
    [
        ("{push: {branch: [main]}}", "there is no filter `branch`"),
        ("{push: {branches: [a], branches-ignore: [b]}}", "exclude one another"),
        ("{push: {branches: ['!a']}}", "at least one pattern"),
        ("{push: {branches: ['[a']}}", r"[ without ]"),
        ("{push: {branches: [{a: b}]}}", "a string or a list of strings"),
        ("{workflow_run: {types: [completed]}}", "needs `workflows`"),
    ],
)
def test_a_filter_that_github_would_refuse_is_refused(on: str, why: str) -> None:
    (line,) = workflow.problems(load(on))
    assert why in line


def test_actions_are_found_in_local_actions_and_reusable_workflows_too() -> None:
    files = {
        "setup/action.yml": "runs: {using: composite, steps: [{uses: ./deep}, {run: a, shell: bash}]}",
        "deep/action.yaml": f"runs: {{using: composite, steps: [{{uses: actions/cache@{SHA}}}, {{uses: ./setup}}]}}",
        "box/action.yml": "runs: {using: docker, image: Dockerfile}",
        ".github/workflows/called.yml": "on: workflow_call\njobs: {in: {runs-on: windows, steps: [{uses: ./box}]}}",
    }
    flow = workflow.load(
        "ci.yml",
        f"""
on: push
jobs:
  one: {{runs-on: ubuntu-latest, steps: [{{if: false, uses: actions/checkout@{SHA}}}, {{uses: ./setup}}]}}
  two: {{uses: ./.github/workflows/called.yml}}
  three: {{uses: ./.github/workflows/absent.yml}}
""",
    )
    assert workflow.uses(flow, files.get) == [f"actions/checkout@{SHA}", f"actions/cache@{SHA}"]
    found = "\n".join(workflow.problems(flow, files.get))
    assert "called.yml: job in: runs-on windows" in found
    assert "box: uses docker://Dockerfile" in found
    assert "absent.yml: there is no such file" in found


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
        "'${{ github.nonsense }}'",
        "'${{ hashFiles(1) }}'",
        "{group: a, typo: b}",
        "{group: a, cancel-in-progress: maybe}",
    ],
)
def test_a_concurrency_group_that_cannot_be_evaluated_is_refused(asked: str) -> None:
    flow = load("push", f"concurrency: {asked}")
    with pytest.raises(WorkflowError, match=r"ci\.yml: "):
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


def test_the_workflows_of_this_project_run_here() -> None:
    def read_file(path: str) -> str | None:
        file = ROOT / path
        return file.read_text() if file.is_file() else None

    for file in sorted((ROOT / workflow.FOLDER).glob("*.yml")):
        assert workflow.problems(workflow.load(file.name, file.read_text()), read_file) == []
