"""Values as GitHub reads them: of YAML, of expressions, of inputs, and as act is given them."""

import json
import math

import pytest

from pushforward.actions import dialect, expression, lint, local, workflow
from pushforward.actions.event import Event, Repository, context


def flow(text: str) -> workflow.Workflow:
    return workflow.load("a.yml", text)


JOB = "jobs:\n  a:\n    runs-on: ubuntu-latest\n"


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("2024-03-25T00:00:00Z", "2024-03-25T00:00:00Z"),
        ("2024-03-25", "2024-03-25"),
        ("1_000", "1_000"),
        ("0b101", "0b101"),
        ("12:30:45", "12:30:45"),
        ("0x1F", 31),
        ("0o17", 15),
        ("2.0", 2),
        ("1e3", 1000),
        ("1.5", 1.5),
        ("-7", -7),
        ("yes", "yes"),
        ("true", True),
    ],
)
def test_a_value_of_yaml_reaches_a_step_as_it_does_on_github(tmp_path, written, value):
    read = flow(f"on: push\nenv: {{WHAT: {written}}}\n{JOB}    steps: [{{run: echo}}]\n")
    where = Repository(tmp_path, "me/toy", "main")
    given = json.loads(dialect.rendered(read, Event("push", "1" * 40, "refs/heads/main"), where))["env"]["WHAT"]
    assert (given, type(given)) == (value, type(value))


@pytest.mark.parametrize(("branch", "word"), [("main", "true"), ("topic", "false")])
def test_whether_a_ref_is_protected_is_true_or_false_and_no_text(tmp_path, branch, word):
    asked = "    if: github.ref_protected\n    steps: [{run: 'echo ${{ github.ref_protected == true }}'}]\n"
    read = flow(f"on: push\n{JOB}{asked}")
    where = Repository(tmp_path, "me/toy", "main")
    job = json.loads(dialect.rendered(read, Event("push", "1" * 40, f"refs/heads/{branch}"), where))["jobs"]["a"]
    assert job["if"] == word
    assert job["steps"][0]["run"] == f"echo ${{{{ {word} == true }}}}"


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("toJSON(fromJSON('{\"a\":[[1,2],[3]]}').a.*.*)", "[\n  1,\n  2,\n  3\n]"),
        ('join(fromJSON(\'[{"b":[1,2]},{"b":[3]},{}]\').*.b.*)', "1,2,3"),
        ("-Infinity < 0", True),
        ("'infinity' == Infinity", False),
        ("'Infinity' == Infinity", True),
        ("'+inf' == Infinity", False),
        ("'１' == 1", False),
        ("' 0x1f ' == 31", True),
        ("'' == 0", True),
    ],
)
def test_an_expression_has_the_value_that_github_documents(source, value):
    assert expression.evaluate(f"${{{{ {source} }}}}", {}) == value


def test_json_has_no_nan():
    with pytest.raises(expression.ExpressionError, match=r"fromJSON\(\) of what is no JSON"):
        expression.evaluate("${{ fromJSON('NaN') }}", {})
    assert math.isnan(expression.evaluate("${{ NaN }}", {}))


def test_a_constant_is_empty_here_and_leaves_what_stands_behind_it(tmp_path):
    read = flow(
        "on: {workflow_dispatch: {inputs: {dry: {type: boolean}}}}\n"
        "concurrency:\n  group: ${{ inputs.dry && 'dry' || vars.G || 'real' }}\n"
        "  cancel-in-progress: ${{ inputs.dry }}\n"
        "jobs:\n  a:\n    runs-on: ${{ vars.RUNNER || 'ubuntu-latest' }}\n    timeout-minutes: ${{ vars.T || 30 }}\n"
        "    steps: [{run: echo}]\n"
    )
    assert lint.problems(read) == []
    assert workflow.job_minutes(read) == {"a": 30}
    for given, group in (("false", "real"), ("true", "dry")):
        what = Event("workflow_dispatch", "1" * 40, "refs/heads/main", inputs={"dry": given})
        found = workflow.concurrency(read, context(what, Repository(tmp_path, "me/toy", "main")))
        assert (found.group, found.cancel_in_progress) == (group, given == "true")


def test_a_limit_of_each_leg_is_known_before_the_run():
    matrix = "    strategy: {matrix: {t: [10, 25]}}\n    timeout-minutes: ${{ matrix.t }}\n"
    read = flow(f"on: push\n{JOB}{matrix}    steps: [{{run: echo}}]\n")
    assert lint.problems(read) == []
    assert workflow.job_minutes(read) == {"a": 25}


def test_what_another_job_hands_over_is_no_output_of_a_step():
    job = {"steps": [{"run": "echo ${{ needs.build.outputs.version }} ${{ runner.debug }}"}]}
    assert list(local.undeclared(job, {"build": {"image"}})) == []
    job = {"steps": [{"run": "echo ${{ steps.build.outputs.version }}"}]}
    assert len(list(local.undeclared(job, {"build": {"image"}}))) == 1


def test_a_cron_has_five_fields_and_its_zone_beside_it():
    read = flow(f"on: {{schedule: [{{cron: '0 0 * * * TZ=Europe/Zurich'}}]}}\n{JOB}    steps: [{{run: echo}}]\n")
    (said,) = lint.problems(read)
    assert "has more than 5 fields; name the zone as timezone:" in said
