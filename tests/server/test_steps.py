"""The steps of a run and their seconds, from act's log while it grows."""

import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from pushforward.git.server import Server
from pushforward.server import runs, steps
from pushforward.server.runs import Job, Run


def entry(step, **more):
    began = datetime.now(UTC) - timedelta(seconds=30)
    told = {"job": "ci/train", "step": step, "stepID": [step], "stage": "Main", "time": began.isoformat()}
    return json.dumps(told | more)


def test_what_is_said_belongs_to_its_step_whatever_that_is_called(tmp_path):
    server = Server(str(tmp_path), "", "", "", "")
    run = Run(Job("push", "refs/heads/main", "a" * 40), state="running", started=time.time())
    place = runs.folder(server, run.job.key) / "train.yml"
    place.mkdir(parents=True)
    (place / "log.jsonl").touch()
    lines = """\
job one
step a
  1
step b
  2
step a: success, 1.0 s
step b: failure, 1.0 s
step b: failure, 1.0 s
  3
step b: failure, 1.0 s: success, 2.0 s
step Post c: failure, 0.1 s
step d
  4
job one: failure, 9.0 s
"""
    (place / "log.txt").write_text(lines)
    assert steps.said(server, run) == ["  1", "  2", "  3", "  4"]


def test_steps_have_their_seconds_also_while_one_is_at_work(tmp_path):
    server = Server(str(tmp_path), "", "", "", "")
    run = Run(Job("push", "refs/heads/main", "a" * 40), state="running", started=time.time())
    place = runs.folder(server, run.job.key) / "train.yml"
    place.mkdir(parents=True)
    lines = [
        entry("set up", msg="begin"),
        entry("set up", stage="Pre"),
        entry("set up", msg="said", raw_output=True),
        entry("set up", stepResult="success", executionTime=1_500_000_000),
        "no JSON",
        entry("fit", msg="begin"),
        entry("inner", stepID=["fit", "inner"]),
    ]
    (place / "log.jsonl").write_text("\n".join(lines) + "\n")
    (place / "log.txt").write_text(
        "job train\nstep set up\n  said\nstep set up: success, 1.5 s\nstep fit\n  epoch 1\n  step x: success, 1.0 s\n"
    )
    first, second = steps.of(server, run)
    assert (first.workflow, first.job, first.name, first.result, first.seconds) == (
        "train.yml",
        "train",
        "set up",
        "success",
        1.5,
    )
    assert (second.name, second.result) == ("fit", "running")
    assert 29 <= second.seconds <= 40
    assert steps.said(server, run) == ["  said", "  epoch 1\n  step x: success, 1.0 s"]
    assert [*steps.lines([first])] == ["  ✓ train.yml  train / set up  1.5 s"]
    assert steps.of(server, replace(run, state="done"))[1].result == "cancelled"
    before = steps.mark(server)
    assert steps.mark(server) == before
    (place / "log.txt").write_text("more\n")
    assert steps.mark(server) != before
    assert steps.of(server, replace(run, job=Job("push", "", "b" * 40))) == []
