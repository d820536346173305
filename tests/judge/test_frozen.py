"""What a server makes of several dvc.yaml, of stages without dependencies, and of frozen ones: real pushes."""

import hashlib
import os
import shutil
import subprocess

import polars as pl
import pytest
from tests.team import PYTHON, make_team

from pushforward.pipeline.lock import read_lock


def dvc(team, *args):
    """DVC as a person has it in the clone."""
    env = os.environ | {"PATH": f"{PYTHON.parent}:{os.environ['PATH']}", "PYTHONPATH": str(team.clone / "src")}
    command = [str(PYTHON.parent / "dvc"), *args]
    done = subprocess.run(command, cwd=team.clone, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def freeze(team, stage="collect"):
    path = team.clone / "dvc.yaml"
    path.write_text(path.read_text().replace(f"  {stage}:\n", f"  {stage}:\n    frozen: true\n"))


def split(team):
    """Train in a dvc.yaml of its own, which works in the root, one stage that depends on nothing, a month that is not
    there.
    """
    path = team.clone / "dvc.yaml"
    before, train = path.read_text().split("  train:\n")
    path.write_text(f"{before}  codes:\n    cmd: printf EWR > data/codes.txt\n    outs: [data/codes.txt]\n")
    code = team.clone / "src" / "toy" / "pipeline.py"
    skips = code.read_text().replace(
        "    for month in MONTHS:\n", "    for month in (m for m in MONTHS if m != '2020-02'):\n"
    )
    code.write_text(skips)
    (team.clone / "training").mkdir()
    (team.clone / "training" / "dvc.yaml").write_text(f"stages:\n  train:\n    wdir: ..\n{train}")


@pytest.mark.slow
def test_several_dvc_yaml_are_one_pipeline_of_which_the_commit_says_only_what_is_frozen(tmp_path):
    team = make_team(tmp_path)
    split(team)
    dvc(team, "repro", "-P")
    dvc(team, "push")
    freeze(team)
    team.git("add", "-A")
    team.git("commit", "-q", "-m", "Split, and freeze")
    said = team.push()
    assert "✓ PROMOTE" in said, said
    assert "toy@v1.0.0" in team.tags(), said
    assert "codes                      ran" in said, "what depends on nothing runs"
    assert "collect                    frozen" in said, "and what is frozen is not run"
    assert "! frozen: collect; no run makes what dvc.lock has of it" in said
    assert "! data/holdout is made of no row of 2020-02, though listed" in said, "what was declared did not come"
    team.git("fetch", "-q", "--tags", "local")
    stages = read_lock(team.git("show", "toy@v1.0.0:dvc.lock").encode())
    assert set(stages) == {"collect", "holdout", "codes"}
    told = team.pushforward("verify", "toy@v1.0.0")
    assert "✓ rebuild    3 stages" in told, "what is frozen comes from the store, and the rest is made again"
    assert "toy@v1.0.0 holds" in told
    team.rest()
    lock = team.clone / "training" / "dvc.lock"
    lock.write_text(lock.read_text().replace("buckets: 2", "buckets: 8"))
    team.commit("params.yaml", "buckets: 2", "buckets: 8", "Eight buckets, and a lock that says so")
    said = team.push()
    assert "training/dvc.yaml:train    ran" in said, said
    assert "train.buckets 2 → 8" in said
    assert "1 frozen, 2 unchanged" in said
    assert "toy@v1.1.0" in team.tags(), said


@pytest.mark.slow
def test_what_a_push_freezes_is_no_data_of_its_own_judge(promoted):
    """A hand-written lock with rows of one month less, in the store: believed of what trains, not of the holdout."""
    dvc(promoted, "repro")
    path = promoted.clone / "data" / "rows.parquet"
    pl.read_parquet(path).filter(pl.col("date").dt.month() != 4).write_parquet(path)
    forged = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    place = promoted.clone.parent / "store" / "files" / "md5" / forged[:2] / forged[2:]
    place.parent.mkdir(exist_ok=True)
    shutil.copyfile(path, place)
    lock = promoted.clone / "dvc.lock"
    made = read_lock(lock.read_bytes())["collect"]["outs"][0]
    text = lock.read_text().replace(f"      size: {made['size']}\n", f"      size: {path.stat().st_size}\n")
    lock.write_text(text.replace(made["md5"], forged))
    freeze(promoted)
    promoted.git("add", "-A")
    promoted.git("commit", "-q", "-m", "Freeze other rows")
    said = promoted.push()
    assert "! INVALID" in said, said
    told = " ".join(said.replace("remote:", " ").split())
    assert "what dvc.lock has of the frozen collect is another one, and counts from the next push on" in told.lower()
    assert "predictions.parquet has 1,550 rows; the holdout has 3,050; it has none of 2020-04" in told
    assert "dvc.lock: collect (frozen)" in told, "which touches what judges"
