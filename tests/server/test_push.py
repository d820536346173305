"""A real team: real git, hooks, act and DVC, and a project that trains in no time."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from tests.team import make_team

from pushforward.git.repository import Repository
from pushforward.registry import tags as registry
from pushforward.report import notes

pytestmark = pytest.mark.slow


def entries(team, commit):
    return [(one.verdict, one.text) for one in notes.read(Repository(team.bare), commit)]


def verdict(team, commit="HEAD"):
    return entries(team, team.git("rev-parse", commit).strip())[0][0]


def sha256(path):
    return subprocess.run(["sha256sum", str(path)], capture_output=True, text=True, check=True).stdout.split()[0]


def wait_for(what, seconds=90):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.1)


def leave(team, *refs):
    """Push, and leave as soon as the training has begun."""
    command = ["git", "-C", str(team.clone), "push", "local", *refs]
    push = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    for line in push.stderr:
        if "train" in line:
            break
    os.killpg(push.pid, signal.SIGINT)
    push.communicate()


def test_the_first_push_makes_a_version_that_a_stranger_can_check_out(promoted, tmp_path):
    team = promoted
    assert team.tags() == ["toy#staging#1", "toy@v1.0.0"]
    judged = verdict(team)
    assert (judged["verdict"], judged["mode"], judged["event"]) == ("promote", "first", "push")
    other = tmp_path / "other"
    team.git("clone", "-q", str(team.bare), str(other))
    run = subprocess.run(
        ["git", "-C", str(other), "cat-file", "tag", "toy@v1.0.0"], capture_output=True, text=True, check=True
    )
    record = registry.record(run.stdout)
    subprocess.run(["git", "-C", str(other), "checkout", "-q", "toy@v1.0.0"], check=True)
    dvc = Path(team.python).parent / "dvc"
    subprocess.run([str(dvc), "pull", "-q", "model"], cwd=other, check=True, capture_output=True)
    assert sha256(other / "model" / "model.json") == record["model"] == judged["digests"]["model"]
    assert sha256(other / "dvc.lock") == record["lock"]
    assert record["commit"] == team.head()
    changed = team.git("diff", "--name-only", record["commit"], "toy@v1.0.0").split()
    assert changed == ["dvc.lock", "metrics/metrics.json"]


def test_gto_reads_the_same_registry(promoted):
    team = promoted
    gto = Path(os.sys.executable).parent / "gto"
    shown = subprocess.run(
        [str(gto), "show", "--json", "toy", "-r", str(team.clone)], capture_output=True, text=True, check=True
    )
    versions = json.loads(shown.stdout)
    assert [row["version"] for row in versions] == ["v1.0.0"]
    assert "staging" in shown.stdout


def test_a_registry_of_gtos_goes_on_where_it_ended(tmp_path):
    """By its own hand: registered and assigned before the server, and promoted, fetched and pushed after."""
    team = make_team(tmp_path)
    gto, before = Path(os.sys.executable).parent / "gto", team.head()
    for args in (["register", "toy", "--version", "v1.2.0"], ["assign", "toy", "--stage", "staging"]):
        subprocess.run([str(gto), *args, "-r", str(team.clone)], check=True, capture_output=True)
    assert team.git("tag").split() == ["toy#staging#1", "toy@v1.2.0"]
    assert "numbers go on after toy@v1.2.0; in use until a version is: staging: toy@v1.2.0" in team.pushforward("init")
    team.commit("params.yaml", "buckets: 2", "buckets: 3", "Adopt")
    said = team.push()
    assert "tagged toy@v1.3.0, toy#staging#2" in said, said
    assert (verdict(team)["mode"], verdict(team)["champion"]) == ("first", None)
    assert team.tags() == ["toy#staging#1", "toy#staging#2", "toy@v1.2.0", "toy@v1.3.0"]
    assert not list((team.bare / "pushforward" / "runs").glob("tag-*"))
    said = team.git("fetch", "local", "--tags") + team.git("push", "local", "--tags")
    assert "clobber" not in said
    assert "rejected" not in said
    assert team.git("rev-parse", "toy@v1.2.0^{commit}").strip() == before
    shown = team.pushforward("show")
    assert "  staging      toy@v1.3.0  since" in shown or "  staging      toy@v1.3.0  20" in shown, shown
    assert "  foreign      1 version, the newest toy@v1.2.0: not judged here, not signed" in shown
    done = subprocess.run([str(gto), "show", "toy", "--json", "-r", str(team.clone)], capture_output=True, check=True)
    assert [row["version"] for row in json.loads(done.stdout)] == ["v1.3.0", "v1.2.0"]
    assert "toy@v1.3.0 holds" in team.pushforward("verify", "v1.3.0", "--quick")
    assert "is foreign: not judged here, not signed" in team.pushforward("verify", "v1.2.0", "--quick", check=False)


def test_a_readme_runs_nothing_and_keeps_the_verdict(promoted):
    team = promoted
    before = team.head()
    (team.clone / "README.md").write_text("hello\n")
    team.git("add", "-A")
    team.git("commit", "-q", "-m", "Say hello")
    said = team.push()
    assert "nothing to train" in said
    assert before[:7] in said
    assert verdict(team)["commit"] == before
    assert not list((team.bare / "pushforward" / "runs" / f"push-{team.head()}").glob("*.yml"))
    assert team.tags() == ["toy#staging#1", "toy@v1.0.0"]


def test_a_readme_on_a_branch_runs_nothing_either(promoted):
    team = promoted
    team.git("switch", "-q", "-c", "words")
    (team.clone / "README.md").write_text("hello\n")
    team.git("add", "-A")
    team.git("commit", "-q", "-m", "Say hello")
    assert "nothing to train" in team.push("words")


def test_a_branch_is_judged_and_its_merge_promoted_also_where_its_pusher_has_left(promoted):
    team = promoted
    team.git("switch", "-q", "-c", "better")
    team.commit("params.yaml", "buckets: 2", "buckets: 6", "Use six buckets")
    said = team.push("better")
    judged = verdict(team)
    assert (judged["verdict"], judged["mode"], judged["pull"]) == ("promote", "superior", 1)
    assert "train.buckets 2 → 6" in said
    assert "2 unchanged" in said
    assert team.tags() == ["toy#staging#1", "toy@v1.0.0"]
    team.git("switch", "-q", "main")
    team.git("merge", "-q", "--ff-only", "better")
    leave(team, "main")
    wait_for(lambda: (team.bare / "pushforward" / "runs" / f"push-{team.head()}" / "done").exists())
    assert "toy@v1.1.0" in team.tags()
    assert [header["event"] for header, _ in entries(team, team.head())] == ["push", "pull_request"]
    shown = json.loads(team.pushforward_fetched("show", "--json"))
    assert [row["verdict"] for row in shown["history"]] == ["promote"] * 3
    assert shown["environments"] == {"staging": "toy@v1.1.0"}


def test_refused_data_is_a_verdict_with_the_row(promoted):
    team = promoted
    team.git("switch", "-q", "-c", "bad")
    team.commit("params.yaml", 'refuse: ""', 'refuse: "2020-02"', "Break February")
    said = team.push("bad")
    assert "row 7, column x: 3.5 is not between 0 and 1" in said
    assert verdict(team)["verdict"] == "invalid"
    assert "row 7" in team.pushforward_fetched("report", "bad")


def test_settings_that_cannot_be_read_are_a_verdict(promoted):
    team = promoted
    team.commit("pushforward.yaml", "window: 2", "windw: 2", "Mistype")
    said = team.push()
    assert "did you mean 'window'?" in " ".join(said.replace("remote:", "").split())
    assert verdict(team)["verdict"] == "invalid"


def test_two_that_push_at_once_both_get_a_verdict_and_a_branch_that_conflicts_with_them_is_told_so(promoted):
    team = promoted
    team.git("switch", "-q", "-c", "late")
    team.commit("params.yaml", "buckets: 2", "buckets: 3", "Use three")
    team.git("switch", "-q", "-c", "topic", "main")
    topic = team.commit("src/toy/predict.py", "import json\n", "import json\n\n", "Space it out")
    team.git("switch", "-q", "main")
    team.commit("params.yaml", "buckets: 2", "buckets: 1", "Use one")
    command = ["git", "-C", str(team.clone), "push", "local"]
    pushes = [
        subprocess.Popen([*command, name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for name in ("main", "topic")
    ]
    said = [push.communicate()[0] for push in pushes]
    assert all("in all; read it again" in text for text in said)
    assert len(entries(team, topic)) == 1
    assert len(entries(team, team.head())) == 1
    assert "conflicts with main in params.yaml" in " ".join(team.push("late").replace("remote:", "").split())


def test_a_branch_cannot_switch_its_judge_off(promoted):
    team = promoted
    team.git("switch", "-q", "-c", "quiet")
    path = ".github/workflows/train.yml"
    team.commit(path, "    branches: [main]\n\n", "    branches: [nowhere]\n\n", "Ignore everything")
    team.commit("params.yaml", "shift: 0.0", "shift: 0.9", "Believe nothing")
    said = team.push("quiet")
    assert "not run for a change that those of" in " ".join(said.replace("remote:", "").split())
    assert verdict(team)["verdict"] == "invalid"


def test_a_lock_with_conflict_markers_does_not_stop_the_server(promoted):
    team = promoted
    (team.clone / "dvc.lock").write_text("<<<<<<< HEAD\nschema: '2.0'\n=======\n")
    (team.clone / "dvc.yaml").write_text((team.clone / "dvc.yaml").read_text() + "# more\n")
    team.git("add", "-A")
    team.git("commit", "-q", "-m", "Merge badly")
    team.push()
    assert verdict(team)["verdict"] == "identical"


BETTER = """table = pl.read_parquet(sys.argv[1])
p = 1 / (1 + (1 - 4 * (pl.col("x") - 0.5)).exp())
table.select("id", p.alias("p")).write_parquet(sys.argv[3])
"""


def test_scoring_code_alone_makes_a_version_and_tags_that_could_not_be_made_are_said_so_and_made_later(promoted):
    team = promoted
    hook = team.bare / "hooks" / "pre-receive"
    policy = hook.read_text()
    refuse = "#!/bin/sh\nwhile read old new ref; do case $ref in refs/tags/*) echo no >&2; exit 1;; esac; done\n"
    hook.write_text(refuse)
    path = team.clone / "src/toy/predict.py"
    path.write_text(path.read_text().partition("table =")[0] + BETTER)
    team.git("commit", "-q", "-am", "Score better")
    said = team.push()
    assert "NOT TAGGED" in said
    assert "not final" in said
    told = " ".join(said.replace("remote:", "").split())
    assert "next it is not tagged yet; pushforward dispatch on the server tries again" in told
    assert "tagged as" not in told + team.note(team.head())
    hook.write_text(policy)
    assert "1 judged" in team.pushforward("dispatch")
    assert {"toy@v1.1.0", "toy#staging#2"} <= set(team.tags())
    assert "tagged as toy＠v1.1.0, in use in staging" in team.note(team.head()), "the report that stays says it too"
    assert len(entries(team, team.head())) == 1
    team.git("fetch", "-q", "--tags", "local")
    records = [registry.record(team.git("cat-file", "tag", f"toy@v1.{minor}.0")) for minor in (0, 1)]
    assert records[0]["model"] == records[1]["model"], "the very same file"
    assert "toy@v1.1.0 holds" in team.pushforward("verify", "v1.1.0", "--quick")


def test_the_steps_of_the_workflows_work_in_a_terminal(promoted):
    team = promoted
    team.pushforward("repro")
    team.pushforward("score")
    said = team.pushforward("gate", "--head", "HEAD", "--event", "push", "--ref", "main")
    assert "FIRST" in said.upper()
    assert "PROMOTE" in said
    assert team.head()[:7] in said
