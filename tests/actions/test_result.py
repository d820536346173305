"""The result of a run: no job is a success of which a step is missing."""

import time
from pathlib import Path

import pytest

from pushforward.actions import result, workflow
from pushforward.actions.log import Mask, Reader

STEPS = "steps: [{run: 'a'}, {id: x, name: second, run: 'b'}, {if: always(), run: 'c'}, {uses: ./local}]"


@pytest.mark.parametrize(
    ("told", "missing"),
    [
        (["0", "x", "2", "3"], None),
        (["0", "x", "3"], None),
        (["0", "3"], "second"),
        (["0", "x", "2"], "./local"),
        (["x", "2", "3"], "a"),
        ([], "a"),
        (["0", "1", "3"], "second"),
    ],
)
def test_a_job_that_act_calls_a_success_without_a_step_is_none(told: list[str], missing: str | None) -> None:
    flow = workflow.load("ci.yml", f"on: push\njobs:\n  one: {{runs-on: ubuntu-latest, {STEPS}}}\n")
    reader = Reader(time.monotonic)
    job = {"job": "one", "jobID": "one", "level": "info"}
    for identity in told:
        list(reader.read(job | {"stepID": [identity], "stage": "Main", "step": identity, "stepResult": "success"}))
    list(reader.read(job | {"jobResult": "success"}))
    end = result.End(0, None)
    reasons = list(result.reasons_of(flow, reader, end))
    found = result.result_of(flow, reader, end, reasons, log=Path(), mask=Mask(()), seconds=0.0)
    said = [f"job one: it ended as a success, and its step {missing} did not run to its end"] if missing else []
    assert reasons == said
    assert [one.result for one in found.jobs] == ["failure" if missing else "success"]
    assert found.conclusion == ("failure" if missing else "success")


def test_a_step_that_began_and_never_ended_did_not_run() -> None:
    flow = workflow.load("ci.yml", "on: push\njobs:\n  one: {runs-on: ubuntu-latest, steps: [{run: 'a'}]}\n")
    reader = Reader(time.monotonic)
    job = {"job": "one", "jobID": "one", "level": "info"}
    list(reader.read(job | {"stepID": ["0"], "stage": "Main", "step": "a", "msg": "begun"}))
    list(reader.read(job | {"stepID": ["0"], "stage": "Post", "step": "a", "stepResult": "failure"}))
    list(reader.read(job | {"jobResult": "success"}))
    for cut, ended in ((None, "failure"), (("timed-out", "late"), "cancelled")):
        end = result.End(0, cut)
        reasons = list(result.reasons_of(flow, reader, end))
        found = result.result_of(flow, reader, end, reasons, log=Path(), mask=Mask(()), seconds=0.0)
        assert [one.result for one in found.jobs] == [ended]
