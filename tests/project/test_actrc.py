"""`.actrc` and the events of a clone: of this repository, and of one that was adopted."""

import json
import re
from pathlib import Path

import pytest

from pushforward.actions.place import ACTIONS
from pushforward.project import actrc

ROOT = Path(__file__).parent.parent.parent


def test_this_repository_has_what_the_package_says():
    assert (ROOT / actrc.PATH).read_text() == actrc.text(actrc.CARRIED)
    for name, text in actrc.events("main").items():
        assert (ROOT / actrc.EVENTS / name).read_text() == text


def test_every_action_of_a_job_that_act_does_not_skip_has_a_stand_in():
    used = {
        found
        for path in (ROOT / ".github").rglob("*.yml")
        if path.name != "pages.yml"  # no `vars` say that it runs
        for found in re.findall(r"uses: ([\w-]+/[\w-]+@[0-9a-f]{40})", path.read_text())
    }
    told = dict(re.findall(r"^--local-repository (\S+)=(\S+)$", (ROOT / actrc.PATH).read_text(), re.MULTILINE))
    assert set(told) == used
    for folder in told.values():
        assert (ROOT / folder / "action.yml").is_file()


def test_act_reads_a_flag_a_line_and_no_path_leads_out_of_the_clone():
    for form in (actrc.CARRIED, actrc.ADOPTED):
        lines = [line for line in actrc.text(form).splitlines() if not line.startswith("#")]
        assert all(re.fullmatch(r"--?\S+( \S+)?", line) for line in lines), lines
        assert not re.search(r"[ =](/|\.\.|~)", "\n".join(lines))


def test_the_stand_ins_of_the_clone_are_those_of_a_server():
    assert ROOT / actrc.ACTIONS == ACTIONS


@pytest.mark.parametrize("branch", ["main", "master"])
def test_an_event_is_for_the_judge_and_promotes_nothing(branch):
    events = {name: json.loads(text) for name, text in actrc.events(branch).items()}
    for event in events.values():
        assert event["act"] is True
        # judge.yml promotes where these are the same
        assert event["workflow_run"]["head_branch"] != event["repository"]["default_branch"] == branch
    assert events["push.json"]["workflow_run"]["event"] == "push"
    assert events["pull_request.json"]["workflow_run"]["event"] == "pull_request"
