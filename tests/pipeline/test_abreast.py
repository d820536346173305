"""Stages side by side: real DVC, stages that meet each other, count themselves and fail."""

import os
import shutil
import threading
import time
from pathlib import Path

import pytest
from tests.pipeline.small import clone, outcomes, run

pytestmark = pytest.mark.whole

PARTS = """\
stages:
  part:
    foreach: [1, 2, 3, 4]
    do:
      cmd: sh part.sh ${item}
      deps: [part.sh, source.txt]
      outs: ["out/${item}.txt"]
  whole:
    cmd: cat out/1.txt out/2.txt out/3.txt out/4.txt > out/whole.txt; echo whole >> ../ran
    deps: [out/1.txt, out/2.txt, out/3.txt, out/4.txt]
    outs: [out/whole.txt]
"""
PART = """echo part@$1 >> ../ran; echo + >> ../trace
%s
echo - >> ../trace; cat source.txt > out/$1.txt; echo $1 >> out/$1.txt
"""
# waits for its neighbour, 1 for 2 and 3 for 4, and fails where that does not come
MEET = """touch ../here-$1
other=$(( ($1 - 1) ^ 1 ))
for _ in $(seq 100); do [ -e ../here-$(( other + 1 )) ] && break; sleep 0.1; done
[ -e ../here-$(( other + 1 )) ] || exit 1"""


@pytest.fixture
def parts(project):
    """Four stages that need nothing of each other, and one that needs them all; `../ran` says which have run."""
    (project / "dvc.yaml").write_text(PARTS)
    (project / "part.sh").write_text(PART % "sleep 0.3")
    return project


def ran(project: Path) -> list[str]:
    path = project.parent / "ran"
    return sorted(path.read_text().split()) if path.exists() else []


def most_at_once(project: Path) -> int:
    depth, most = 0, 0
    for sign in (project.parent / "trace").read_text().split():
        depth += 1 if sign == "+" else -1
        most = max(most, depth)
    return most


EVERY = ["part@1", "part@2", "part@3", "part@4", "whole"]


def test_stages_that_need_nothing_of_each_other_run_at_once(parts):
    (parts / "part.sh").write_text(PART % MEET)
    done = run(parts, jobs=2)
    assert done.outcome == "ok", done.message
    assert outcomes(done) == dict.fromkeys(EVERY, "ran")
    assert (parts / "out" / "whole.txt").read_text() == "one\n1\none\n2\none\n3\none\n4\n"


def test_by_default_one_runs_after_the_other(parts):
    run(parts)
    assert (ran(parts), most_at_once(parts)) == (EVERY, 1)


@pytest.mark.parametrize("jobs", [2, 3, 9])
def test_no_more_run_at_once_than_are_allowed_and_each_once(parts, jobs):
    run(parts, jobs=jobs)
    assert ran(parts) == EVERY
    assert 2 <= most_at_once(parts) <= jobs


def test_the_lock_is_the_same_and_nothing_runs_again(parts, git, tmp_path):
    alone = tmp_path / "alone"
    shutil.copytree(parts, alone)
    run(alone, push=False)
    assert outcomes(run(parts, jobs=3)) == dict.fromkeys(EVERY, "ran")
    assert (parts / "dvc.lock").read_bytes() == (alone / "dvc.lock").read_bytes()
    before = ran(parts)
    assert outcomes(run(parts, jobs=3)) == dict.fromkeys(EVERY, "unchanged")
    (parts / "source.txt").write_text("two\n")
    assert [stage.reason for stage in run(parts, jobs=3).stages][:2] == ["source.txt", "source.txt"]
    assert ran(parts) == sorted(before + EVERY)


def test_what_the_run_cache_remembers_does_not_run(parts, git):
    run(parts, jobs=2)
    before = ran(parts)
    git(parts, "add", "-A")
    git(parts, "commit", "-q", "-m", "Parts")
    fresh = clone(git, parts, "fresh")
    (fresh / "dvc.lock").unlink(missing_ok=True)
    assert outcomes(run(fresh, jobs=2)) == dict.fromkeys(EVERY, "restored")
    assert ran(parts) == before


def test_one_that_is_changed_by_hand_alone_is_brought_back_and_not_run(parts):
    run(parts, jobs=2)
    before = ran(parts)
    for number in (1, 2):
        (parts / "out" / f"{number}.txt").unlink()
    (parts / "part.sh").touch()
    assert run(parts, jobs=2, whole=True).outcome == "ok"
    assert ran(parts) == before
    assert (parts / "out" / "2.txt").read_text() == "one\n2\n"


def test_one_that_fails_before_its_turn_is_told_in_its_turn(parts, capfd):
    (parts / "part.sh").write_text(PART % "[ $1 -ne 2 ] || { echo row 7 is bad >&2; exit 3; }; sleep 0.2")
    done = run(parts, jobs=2, say=print)
    assert (done.outcome, outcomes(done)) == ("refused", {"part@1": "ran", "part@2": "failed"})
    assert done.message == "row 7 is bad"
    told = capfd.readouterr().out.splitlines()
    assert told.index("  part@2 begins beside") < told.index("  part@2 …") < told.index("row 7 is bad")


def test_where_one_fails_those_at_work_are_stopped(parts):
    """Also what does not end where it is asked to."""
    stubborn = "sh -c 'trap \"\" TERM; echo $$ > ../slow; exec sleep 600' & wait"
    slow = f"[ $1 -ne 1 ] || {{ while [ ! -s ../slow ]; do sleep 0.05; done; exit 1; }}\n{stubborn}"
    (parts / "part.sh").write_text(PART % slow)
    began = time.monotonic()
    done = run(parts, jobs=2)
    assert (done.outcome, outcomes(done)) == ("failed", {"part@1": "failed"})
    assert time.monotonic() - began < 300, "or it has waited for the other"
    child = int((parts.parent / "slow").read_text())
    for _ in range(100):
        if not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text().split()[2]:
            break
        time.sleep(0.05)
    else:
        os.kill(child, 9)
        pytest.fail("what it had started is still at work")
    (parts / "part.sh").write_text(PART % "true")
    assert outcomes(run(parts, jobs=2)) == dict.fromkeys(EVERY, "ran")


def test_what_a_stage_says_before_its_turn_is_passed_on_in_its_turn(parts, capfd):
    (parts / "part.sh").write_text(PART % "echo words of $1")
    done = run(parts, jobs=4, say=print)
    told = capfd.readouterr().out.splitlines()
    for number in (1, 2, 3, 4):
        assert told[told.index(f"  part@{number} …") + 1 :].index(f"words of {number}") < 3
    assert [stage.name for stage in done.stages] == EVERY


def test_of_a_stage_whose_turn_has_come_is_told_at_once_what_it_says(parts):
    """It ends when somebody has heard it."""
    heard = "for _ in $(seq 300); do [ -e ../heard ] && break; sleep 0.1; done"
    (parts / "part.sh").write_text(PART % f"[ $1 -ne 2 ] || {{ echo hello; {heard}; }}")
    text = PARTS.replace("foreach: [1, 2, 3, 4]", "foreach: [1, 2]")
    (parts / "dvc.yaml").write_text(text[: text.index("  whole")])
    receiver, sender = os.pipe()
    kept = os.dup(1)

    def hear() -> None:
        with os.fdopen(receiver) as lines:
            for line in lines:
                if line == "hello\n":
                    (parts.parent / "heard").touch()

    hearing = threading.Thread(target=hear)
    hearing.start()
    os.dup2(sender, 1)
    os.close(sender)
    try:
        done = run(parts, jobs=2)
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        hearing.join()
    assert outcomes(done) == {"part@1": "ran", "part@2": "ran"}
    assert (parts.parent / "heard").exists()
    assert {stage.name: stage.seconds < 20 for stage in done.stages} == {"part@1": True, "part@2": True}


def test_how_long_a_stage_took_is_told_of_its_commands(parts):
    (parts / "part.sh").write_text(PART % "sleep 1")
    parts_of = {stage.name: stage.seconds for stage in run(parts, jobs=4).stages}
    assert all(parts_of[f"part@{number}"] >= 1 for number in (1, 2, 3, 4))


def test_what_goes_on_from_its_own_outs_keeps_its_turn(parts):
    text = PARTS.replace('outs: ["out/${item}.txt"]', "outs:\n        - out/${item}.txt: {persist: true}")
    (parts / "dvc.yaml").write_text(text)
    run(parts, jobs=4)
    assert (ran(parts), most_at_once(parts)) == (EVERY, 1)
