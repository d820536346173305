"""The linter of workflows: what cannot run here, wherever it stands."""

from pathlib import Path

import pytest

from pushforward.actions import lint, workflow

ROOT = Path(__file__).parents[2]
SHA = "3d3c42e5aac5ba805825da76410c181273ba90b1"


def load(on: str, rest: str = "") -> workflow.Workflow:
    job = "jobs: {one: {runs-on: ubuntu-latest, steps: [{run: 'true'}]}}"
    return workflow.load("ci.yml", f"on: {on}\n{rest}\n{job}\n")


def load_job(job: str) -> workflow.Workflow:
    return workflow.load("ci.yml", f"on: push\njobs:\n  one: {job}\n")


def test_what_runs_here_has_no_problems() -> None:
    flow = load_job(
        f"{{runs-on: [ubuntu-latest], timeout-minutes: 5, steps: [{{uses: actions/checkout@{SHA}}},"
        " {run: 'true', timeout-minutes: 2, continue-on-error: true}]}"
    )
    assert lint.problems(flow) == []


@pytest.mark.parametrize(
    ("job", "why"),
    [
        ("{runs-on: ubuntu-24.04, steps: [{run: a}]}", "runs-on ubuntu-24.04 is not available"),
        ("{runs-on: [self-hosted, gpu], steps: [{run: a}]}", "runs-on self-hosted, gpu"),
        ("{runs-on: '${{ matrix.os }}', steps: [{run: a}]}", "runs-on"),
        ("{runs-on: '${{ inputs.os }}', steps: [{run: a}]}", "runs-on ${{ inputs.os }} is not available"),
        (
            "{runs-on: '${{ matrix.o }}', strategy: {matrix: {o: [ubuntu-latest, x]}}, steps: [{run: a}]}",
            "runs-on ubuntu",
        ),
        ("{runs-on: {group: big}, steps: [{run: a}]}", "runs-on group big"),
        ("{runs-on: ubuntu-latest}", "no steps"),
        ("{runs-on: ubuntu-latest, services: {db: {image: x}}, steps: [{run: a}]}", "services"),
        ("{runs-on: ubuntu-latest, container: debian, steps: [{run: a}]}", "containers do not run"),
        ("{runs-on: ubuntu-latest, continue-on-error: true, steps: [{run: a}]}", "continue-on-error"),
        ("{runs-on: ubuntu-latest, concurrency: x, steps: [{run: a}]}", "concurrency of a job"),
        ("{runs-on: ubuntu-latest, timeout-minutes: '${{ inputs.n }}', steps: [{run: a}]}", "timeout-minutes"),
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
    found = lint.problems(load_job(job))
    assert any(why in line for line in found), found
    assert all(line.startswith("ci.yml:3: job one: ") for line in found)


@pytest.mark.parametrize(
    ("on", "why"),
    [
        (
            "{push: {branch: [main]}}",
            "ci.yml:1: on.push.branch: there is no key `branch` here; did you mean `branches`?",
        ),
        ("{push: {branches: [a], branches-ignore: [b]}}", "exclude one another"),
        ("{push: {branches: ['!a']}}", "at least one pattern"),
        ("{push: {branches: ['[a']}}", r"[ without ]"),
        ("{push: {branches: [{a: b}]}}", "branches[0]: a mapping is not expected here"),
        ("{workflow_run: {types: [completed]}}", "needs `workflows`"),
    ],
)
def test_a_filter_that_github_would_refuse_is_refused(on: str, why: str) -> None:
    (line,) = lint.problems(load(on))
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
    assert lint.uses(flow, files.get) == [f"actions/checkout@{SHA}", f"actions/cache@{SHA}"]
    found = "\n".join(lint.problems(flow, files.get))
    assert "called.yml:2: job in: runs-on windows" in found
    assert "box/action.yml:1: uses docker://Dockerfile" in found
    assert "absent.yml: there is no such file" in found


def test_the_workflows_of_this_project_run_here() -> None:
    def read_file(path: str) -> str | None:
        file = ROOT / path
        return file.read_text() if file.is_file() else None

    published = "pages.yml"  # a forge's alone: no server has a site
    files = [file for file in sorted((ROOT / workflow.FOLDER).glob("*.yml")) if file.name != published]
    assert len(files) >= 5
    for file in files:
        assert lint.problems(workflow.load(file.name, file.read_text()), read_file) == []
