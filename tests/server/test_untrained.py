"""Told before the work: a push whose holdout answers no more, and what is not trained until the next one opens."""

import json
import time

import pytest
from tests.team import Team

from pushforward.git.repository import Repository
from pushforward.report import notes

pytestmark = pytest.mark.slow
FIRST = "! this holdout answers no more until 2020-05 arrives; your change is "
TRAINED = f"{FIRST}trained, and nothing is shown of its gain"
SKIPPED = f"{FIRST}not trained (pushforward.yaml: server.when_closed)"
WHY = "    the holdout 2020-03 to 2020-04 has retired: toy@v1.1.0 was promoted on it; the next month opens a new one"


def lines(said):
    return [line.removeprefix("remote: ").rstrip() for line in said.splitlines() if line.startswith("remote:")]


def verdict(team, commit):
    found = [one.verdict for one in notes.read(Repository(team.bare), commit)]
    return found[0] if found else {}


def ran(team, commit, event="pull_request"):
    """The workflows that a run has begun."""
    return sorted(path.name for path in (team.bare / "pushforward" / "runs" / f"{event}-{commit}").glob("*.yml"))


def wait(what, seconds=120):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.1)


def try_out(team, branch, buckets, start="main"):
    team.git("switch", "-q", "-c", branch, start)
    path = team.clone / "params.yaml"
    text = path.read_text()
    before = next(line for line in text.splitlines() if "buckets:" in line)
    return team.commit("params.yaml", before, f"  buckets: {buckets}", f"Use {buckets} buckets")


@pytest.fixture
def retired(first_version, second_version, tmp_path) -> Team:
    """A team on whose holdout a version was promoted."""
    return first_version(tmp_path, second_version)


def test_a_push_is_told_before_it_is_trained_that_the_holdout_answers_no_more(retired):
    team = retired
    commit = try_out(team, "more", 7)
    said = lines(team.push("more"))
    assert said[0] == TRAINED
    assert said[1] == WHY
    assert said.index(TRAINED) < next(
        place for place, line in enumerate(said) if "train.yml" in line or "repro" in line
    )
    assert verdict(team, commit)["verdict"] == "unknown"
    assert verdict(team, commit)["reason"] in WHY


def test_what_predicts_the_same_and_what_brings_the_month_is_told_nothing(retired):
    team = retired
    team.git("switch", "-q", "-c", "same", "main")
    (team.clone / "tests").mkdir(exist_ok=True)
    (team.clone / "tests" / "test_none.py").write_text("def test_none(): pass\n")
    team.git("add", "-A")
    team.git("commit", "-q", "-m", "Add a test")
    same = team.head()
    assert FIRST not in team.push("same")
    assert verdict(team, same)["verdict"] == "identical"
    team.git("switch", "-q", "-c", "may", "main")
    team.commit("params.yaml", '"2020-04"\n', '"2020-04"\n    - "2020-05"\n', "Let May arrive")
    assert "answers no more" not in team.push("may")
    assert verdict(team, team.head())["mode"] == "refresh"


def test_what_is_skipped_is_not_trained_and_is_judged_when_the_month_has_come(retired):
    team = retired
    team.commit("pushforward.yaml", "gate:\n", "server: {when_closed: skip}\ngate:\n", "Train nothing in vain")
    team.push()
    waiting = try_out(team, "waiting", 7)
    said = lines(team.push("waiting"))
    assert said[0] == SKIPPED
    assert said[1] == WHY
    assert ran(team, waiting) == [], "no workflow, and so no stage"
    found = verdict(team, waiting)
    assert (found["verdict"], found["stages"]) == ("unknown", [])
    assert found["reason"] == f"not trained: {WHY.strip()}"
    retry = f"pushforward runs retry {waiting[:9]}"
    assert any("is judged by itself once 2020-05 arrives" in line for line in said)
    assert retry in " ".join(said)

    insisted = try_out(team, "insisted", 8)
    team.push("insisted")
    assert ran(team, insisted) == []
    team.pushforward("runs", "retry", insisted[:9])
    team.pushforward("dispatch")
    wait(lambda: verdict(team, insisted).get("stages"))
    assert ran(team, insisted) == ["judge.yml", "train.yml"]
    assert not verdict(team, insisted)["reason"].startswith("not trained")
    assert verdict(team, insisted)["verdict"] == "unknown"

    team.git("switch", "-q", "main")
    team.commit("params.yaml", '"2020-04"\n', '"2020-04"\n    - "2020-05"\n', "Let May arrive")
    said = team.push()
    assert "answers no more" not in said
    wait(lambda: verdict(team, waiting).get("stages"))
    found = verdict(team, waiting)
    assert found["holdout"]["months"] == ["2020-04", "2020-05"]
    assert not found["reason"].startswith("not trained")
    assert verdict(team, insisted)["holdout"]["months"] == ["2020-03", "2020-04"], "it has had its answer"
    shown = json.loads(team.pushforward("runs", "--json"))
    assert all(run["final"] for run in shown if run["commit"] == waiting)
