"""Told before the work: a push whose holdout answers no more, and what is not trained until the next one opens."""

import json
import subprocess
import time

import pytest
from tests.team import Team
from tests.tiny_server import judge

from pushforward.errors import PushforwardError
from pushforward.gate import verdict as verdicts
from pushforward.git.repository import Repository
from pushforward.judge import recorded
from pushforward.report import note, notes
from pushforward.server import runs, untrained

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
    assert any(line.endswith(f"{waiting[:7]} was not trained") for line in said), "it was compared with nothing"
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
    team.commit("params.yaml", 'refuse: ""', 'refuse: "2020-05"', "Break what collects May")
    broken = team.commit("params.yaml", '"2020-04"\n', '"2020-04"\n    - "2020-05"\n', "Let May arrive")
    assert "INVALID" in team.push()
    assert verdict(team, broken)["verdict"] == "invalid"
    team.pushforward("dispatch")
    assert ran(team, waiting) == [], "nobody can be judged by such a main"
    team.commit("params.yaml", 'refuse: "2020-05"', 'refuse: ""', "Mend it")
    said = " ".join(team.push().replace("remote:", "").split())
    assert "INVALID" in said, "the holdout is made by what main was before: a change of the judge counts next"
    assert f"The holdout is made by main before this push ({broken[:9]}), which cannot: rows of 2020-05" in said
    assert "it judges from the next on: push again with a change that trains" in said
    assert ran(team, waiting) == [], "nor by this one"
    team.commit("params.yaml", "holdout:\n", "holdout:  # of the month that is mended\n", "Ask again")
    said = team.push()
    assert "answers no more" not in said
    wait(lambda: verdict(team, waiting).get("stages"))
    found = verdict(team, waiting)
    assert found["holdout"]["months"] == ["2020-04", "2020-05"]
    assert not found["reason"].startswith("not trained")
    assert verdict(team, insisted)["holdout"]["months"] == ["2020-03", "2020-04"], "it has had its answer"

    def over():  # the report is there before the run is closed
        shown = json.loads(team.pushforward("runs", "--json"))
        return all(run["final"] for run in shown if run["commit"] == waiting)

    wait(over)


def test_what_was_retried_and_accepted_is_promoted_where_it_is_merged(retired):
    team = retired
    key = team.clone.parent / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    for name, value in {"gpg.format": "ssh", "user.signingkey": f"{key}.pub"}.items():
        team.git("config", name, value)
    team.pushforward("trust", f"{key}.pub", "--for", "accept")
    team.commit("pushforward.yaml", "gate:\n", "server: {when_closed: skip}\ngate:\n", "Train nothing in vain")
    team.push()
    idea = try_out(team, "idea", 7)
    team.push("idea")
    said = team.pushforward("accept", "idea", "-m", "seven it is", check=False)
    assert f"{idea[:9]} was not trained" in said, said
    assert f"pushforward runs retry {idea[:9]} first" in said, said
    team.pushforward("runs", "retry", idea[:9])
    team.pushforward("dispatch")
    wait(lambda: verdict(team, idea).get("stages"))
    team.pushforward("accept", "idea", "-m", "seven it is")
    team.git("switch", "-q", "main")
    team.git("merge", "-q", "--ff-only", "idea")
    said = lines(team.push())
    assert said[0] == f"{TRAINED}, unless it is what a person has accepted"
    assert any("tagged as toy@v1.2.0" in line for line in said), said


@pytest.fixture
def waits(tiny):
    """A branch that was said not to be trained, on a server that would train it now; nobody has taken it up."""
    head = tiny.branch("waits")
    tiny.push("waits")
    tiny.wait(tiny.idle)
    job = tiny.run(head).job
    told = verdicts.Verdict("unknown", "not trained: it is closed", "superior", "", {}, commit=head, event=job.event)
    report = recorded.report(told, note.Context(branch="waits", target="main"))
    lock = tiny.server.folder / notes.LOCK
    notes.drop(tiny.server.repository, head, "push", lock=lock)  # a tiny judge says so of every commit
    notes.put(tiny.server.repository, head, report, lock=lock)
    runs.store(tiny.server, runs.Run(job, "done", "unknown", told.reason, final=True, ended=1.0))
    return job


def test_any_dispatch_takes_up_what_a_crash_has_left(tiny, waits):
    assert tiny.reason(waits.commit).startswith("not trained")
    assert "1 judged" in tiny.pushforward("dispatch")
    assert tiny.reason(waits.commit) == "as it is told to find"
    assert "nothing was waiting" in tiny.pushforward("dispatch")


def test_who_insists_meanwhile_is_heard(tiny, waits, monkeypatch):
    def insist(*_):
        runs.retry(tiny.server, tiny.run(waits.commit))
        return False

    monkeypatch.setattr(untrained, "_waits", insist)
    assert untrained.take_up(tiny.server) == []
    run = tiny.run(waits.commit)
    assert (run.insisted, run.final, run.taken_up) == (True, False, "")
    with pytest.raises(PushforwardError, match="is queued"):
        runs.retry(tiny.server, run)


def test_a_commit_on_two_branches_is_taken_up_once(tiny, waits):
    tiny.git("push", "--receive-pack=git -c core.hooksPath=/dev/null receive-pack", "local", "waits:refs/heads/too")
    assert untrained.take_up(tiny.server) == [waits.id]
    assert untrained.take_up(tiny.server) == []


def test_what_was_taken_up_in_vain_is_taken_up_again_once_main_judges(tiny, waits):
    repository, main = tiny.server.repository, tiny.server.repository.resolve("main")
    assert untrained.take_up(tiny.server) == [waits.id]
    run = tiny.run(waits.commit)
    assert run.taken_up == main
    failed = recorded.report(
        verdicts.Verdict("invalid", "it broke", "superior", "", {}, commit=waits.commit, event=waits.event),
        note.Context(),
    )
    notes.put(repository, waits.commit, failed, lock=tiny.server.folder / notes.LOCK)
    runs.change(tiny.server, waits.key, state="done", verdict="invalid", final=True, ended=1.0)
    assert untrained.take_up(tiny.server) == [], "that is its own fault"
    tiny.git("switch", "-q", "main")
    tiny.commit({".github/workflows/judge.yml": judge(verdict="invalid")}, "Judge nothing")
    tiny.push("main")
    tiny.commit(None, "Have it judged by that")
    assert "INVALID" in tiny.push("main") or tiny.reports(tiny.git("rev-parse", "main"))[0]["verdict"] == "invalid"
    assert untrained.take_up(tiny.server) == [], "nobody can be judged by that"
    tiny.commit({".github/workflows/judge.yml": judge()}, "Judge again")
    tiny.push("main")
    tiny.commit(None, "Have it judged by that")
    tiny.push("main")
    tiny.wait(tiny.idle)
    assert tiny.reason(waits.commit) == "as it is told to find"
    assert tiny.run(waits.commit).taken_up not in ("", main)
