"""The dispatcher against everything that dies: real pushes, hooks and act, with workflows of one line of shell."""

import errno
import json
import os
import signal
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests import tiny_server
from tests.tiny_server import Tiny, judge, train

from pushforward import durable
from pushforward.errors import MachineError, PushforwardError
from pushforward.git.refs import HOLDOUTS, RUNS, ZERO
from pushforward.git.repository import Repository
from pushforward.git.server import DELETED
from pushforward.report import notes
from pushforward.server import care, dispatch, execute, installation, pending, recover, runs
from pushforward.server import post_receive as receive
from pushforward.server.subject import Subject

pytestmark = pytest.mark.whole


def verdicts(tiny: Tiny, commit: str) -> list[object]:
    return [header["verdict"] for header in tiny.reports(commit)]


def overlap(one: runs.Run, other: runs.Run) -> bool:
    return one.started < other.ended and other.started < one.ended


def children(tiny: Tiny) -> dict[int, list[str]]:
    """The dispatcher's processes for this server: pid -> arguments after the path, or the run that it is.

    The process of a run is a fork of the coordinator's; its lock says whose it is.
    """
    found = {}
    locks = tiny.server.folder / runs.LOCKS
    signed = {path.read_text().partition(" ")[0]: path.name for path in locks.glob("*")}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        if "pushforward.server.dispatch" in words and tiny.server.bare in words:
            told = [signed[path.name]] if path.name in signed else []
            found[int(path.name)] = words[words.index(tiny.server.bare) + 1 : -1] or told
    return found


def kill_coordinators(tiny: Tiny) -> None:
    for pid, words in children(tiny).items():
        if not words:
            os.kill(pid, signal.SIGKILL)


def at_work(tiny: Tiny, commit: str) -> int:
    """The process of the run of a commit, once a workflow of it is at work."""
    tiny.wait(lambda: runs.running(tiny.server) and tiny.run(commit).stage)
    name = tiny.run(commit).job.key
    return next(pid for pid, words in children(tiny).items() if name in words)


def alive(mark: str) -> list[int]:
    """Processes that sleep for `mark` seconds."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if (path / "cmdline").read_bytes().split(b"\0")[:2] == [b"sleep", mark.encode()]:
                found.append(int(path.name))
        except OSError:
            continue
    return found


def test_branches_go_side_by_side_up_to_the_limit_and_who_waits_is_told(tiny):
    commits = {name: tiny.branch(name, "sleep 3") for name in ("one", "two", "three")}
    pushes = {}
    for name in commits:
        pushes[name] = tiny.leave(name)
        tiny.wait(lambda name=name: name == "three" or runs.is_running(tiny.server, f"pull_request-{commits[name]}"))
    said = {name: push.communicate()[0] for name, push in pushes.items()}
    one, two, three = (tiny.run(commit) for commit in commits.values())
    assert overlap(one, two)
    assert three.started >= min(one.ended, two.ended)
    expected = [f"{commits[name][:9]} (pull request)" for name in ("one", "two")]
    (line,) = [line for line in said["three"].splitlines() if "before this one" in line]
    assert "queued: 2 before this one" in line
    assert all(name in line for name in expected)
    assert [run.verdict for run in (one, two, three)] == ["hold"] * 3


def test_the_default_branch_goes_in_the_order_of_its_pushes_one_at_a_time(tiny):
    commits = []
    for number in range(3):
        commits.append(tiny.train(f"sleep 0.{number}"))
        tiny.lose("main")
    said = tiny.pushforward("dispatch")
    assert "3 judged" in said
    found = [tiny.run(commit) for commit in commits]
    assert [run.started for run in found] == sorted(run.started for run in found)
    assert not overlap(found[0], found[1])
    assert not overlap(found[1], found[2])
    assert [verdicts(tiny, commit) for commit in commits] == [["hold"]] * 3
    assert "nothing was waiting" in tiny.pushforward("dispatch")


def test_of_a_branch_the_newest_is_run_and_the_others_get_a_final_word(tiny):
    commits = [tiny.branch("hasty")]
    tiny.lose("hasty")
    commits.append(tiny.train("true"))
    tiny.lose("hasty")
    commits.append(tiny.train("echo at last"))
    assert "at last" in tiny.push("hasty")
    assert [tiny.reason(commit) for commit in commits] == [
        f"superseded by {commits[1][:9]}",
        f"superseded by {commits[2][:9]}",
        "as it is told to find",
    ]
    tiny.wait(tiny.idle)  # the report is there before the run has put its things away
    assert [tiny.run(commit).state for commit in commits] == ["cancelled", "cancelled", "done"]


def test_a_branch_that_comes_back_to_what_was_superseded_is_judged_after_all(tiny):
    first = tiny.branch("hasty", "echo first")
    tiny.lose("hasty")
    tiny.train("echo second")
    tiny.push("hasty")
    assert tiny.reason(first).startswith("superseded")
    tiny.git("reset", "-q", "--hard", first)
    assert "first" in tiny.push("-f", "hasty")
    assert tiny.reason(first) == "as it is told to find"


def test_a_newer_push_ends_the_older_run_of_its_pull_request(tiny):
    older = tiny.branch("long", "sleep 611")
    push = tiny.leave("long")
    at_work(tiny, older)
    newer = tiny.train("echo short")
    began = time.monotonic()
    tiny.push("long")
    assert time.monotonic() - began < 45
    assert f"Superseded by {newer[:9]}" in push.communicate()[0]
    assert tiny.reason(older) == f"superseded by {newer[:9]}"
    assert tiny.run(older).state == "cancelled"
    assert verdicts(tiny, newer) == ["hold"]
    assert not alive("611")


def test_runs_of_one_group_follow_one_another(tiny):
    together = train("sleep 1.5").replace("train-${{ github.event_name == 'push' && github.sha || github.ref }}", "gpu")
    together = together.replace("${{ github.event_name == 'pull_request' }}", "false")
    tiny.commit({".github/workflows/train.yml": together}, "Have one GPU")
    tiny.push("main")
    commits = []
    for name in ("one", "two"):
        tiny.git("switch", "-q", "-c", name, "main")
        commits.append(tiny.commit({"word.txt": name}))
    for push in [tiny.leave(name) for name in ("one", "two")]:
        push.communicate()
    one, two = (tiny.run(commit) for commit in commits)
    assert not overlap(one, two)
    assert [one.verdict, two.verdict] == ["hold", "hold"]


def test_a_coordinator_that_is_killed_loses_nothing(tiny):
    slow, queued = tiny.branch("slow", "sleep 4"), tiny.branch("queued")
    push = tiny.leave("slow", "-o", "ci.detach")
    push.communicate()
    at_work(tiny, slow)
    kill_coordinators(tiny)
    tiny.lose("queued")
    tiny.wait(lambda: verdicts(tiny, slow))
    tiny.wait(lambda: verdicts(tiny, queued))  # the run that ended found nobody who would start the next
    tiny.wait(tiny.idle)
    assert tiny.run(slow).attempt == 1
    assert verdicts(tiny, slow) == ["hold"]


def test_a_new_coordinator_waits_for_what_a_dead_one_has_started(tiny):
    slow = tiny.branch("slow", "sleep 4")
    push = tiny.leave("slow")
    at_work(tiny, slow)
    kill_coordinators(tiny)
    assert "1 judged" in tiny.pushforward("dispatch")
    assert tiny.run(slow).attempt == 1
    assert verdicts(tiny, slow) == ["hold"]
    assert "JUDGED" in push.communicate()[0], "whoever watched saw it to its end"


def test_a_run_that_is_killed_takes_all_that_it_started_with_it_and_is_tried_again(tiny):
    slow = tiny.branch("slow", "sleep 612")
    push = tiny.leave("slow")
    pid = at_work(tiny, slow)
    tiny.wait(lambda: alive("612"))
    os.kill(pid, signal.SIGKILL)
    first = set(alive("612"))
    tiny.wait(lambda: not first & set(alive("612")), 10)
    tiny.wait(lambda: alive("612") and tiny.run(slow).attempt == 2)
    os.kill(at_work(tiny, slow), signal.SIGKILL)
    tiny.wait(lambda: tiny.run(slow).attempt == 3 and alive("612"))
    os.kill(at_work(tiny, slow), signal.SIGKILL)
    said = push.communicate()[0]
    assert "attempt 2 of 3" in said
    assert "killed 3 times" in tiny.reason(slow)
    assert tiny.run(slow).final
    assert not alive("612")
    assert not list((tiny.server.folder / "runs").glob("*/cache"))


def test_a_run_killed_between_its_notes_and_its_mark_is_not_run_twice(tiny):
    commit = tiny.train("echo once")
    tiny.push("main")
    tiny.wait(tiny.idle)
    key = tiny.run(commit).job.key
    runs.change(tiny.server, key, final=False, state="running", verdict="")
    (runs.folder(tiny.server, key) / runs.DONE).unlink()
    assert "nothing was waiting" in tiny.pushforward("dispatch")
    assert (tiny.run(commit).state, tiny.run(commit).verdict, tiny.run(commit).attempt) == ("done", "hold", 1)


@pytest.mark.parametrize("text", ["deadbeef\n", None])
def test_where_nobody_can_read_what_was_judged_nothing_is_judged_or_called_off(tiny, text):
    first = tiny.branch("idea")
    tiny.push("idea")
    second = tiny.commit()
    tiny.push("idea")
    tiny.wait(tiny.idle)
    third = tiny.commit()
    tiny.lose("idea")
    path = Path(tiny.server.bare) / "refs" / "notes" / "pushforward"
    before = path.read_text()
    path.unlink()
    if text is not None:
        path.write_text(text)
    why = "runs wait, and no commit is wrong: refs/notes/pushforward is damaged"
    assert f"{why}; pushforward check, then pushforward dispatch" in tiny.pushforward("dispatch", check=False)
    job = runs.Job("pull_request", "refs/heads/idea", third)
    runs.store(tiny.server, runs.Run(job, asked=time.time(), attempt=2))
    with durable.locked(tiny.server.folder / receive.LOCK):  # the coordinator that would have started it
        assert dispatch.run_one(tiny.server, job.key) == 0
    held = runs.load(tiny.server, job.key)
    assert (held.machine, held.final, held.attempt) == (True, False, 1), "that was no attempt at the commit"
    path.write_text(before)
    assert "1 judged" in tiny.pushforward("dispatch")
    assert [verdicts(tiny, commit) for commit in (first, second, third)] == [["hold"]] * 3


@pytest.mark.parametrize(("text", "why"), [("deadbeef\n", "{} is damaged"), (None, "the file of {} is gone")])
def test_a_mark_that_cannot_be_read_is_no_word_that_a_push_was_not_judged(tiny, text, why):
    commit = tiny.git("rev-parse", "HEAD")
    before, path = tiny.run(commit), Path(tiny.server.bare) / f"{RUNS}{commit}"
    path.unlink()
    if text is not None:
        path.write_text(text)
    said = tiny.pushforward("dispatch", check=False)
    assert f"runs wait, and no commit is wrong: {why.format(f'{RUNS}{commit}')}; pushforward check" in said
    assert tiny.run(commit) == before


@pytest.mark.parametrize(("text", "why"), [("deadbeef\n", "{} is damaged"), (None, "the file of {} is gone")])
def test_a_ledger_that_cannot_be_read_is_not_begun_again(tiny, text, why):
    bare, name = Path(tiny.server.bare), f"{HOLDOUTS}2020-01_2020-02"
    Repository(bare).set_ref(name, Repository(bare).commit("main"))
    before = (bare / name).read_text()
    (bare / name).unlink()
    if text is not None:
        (bare / name).write_text(text)
    tiny.commit()
    tiny.lose("main")
    said = tiny.pushforward("dispatch", check=False)
    assert f"runs wait, and no commit is wrong: {why.format(name)}; pushforward check" in said
    (bare / name).write_text(before)
    assert "1 judged" in tiny.pushforward("dispatch")


@pytest.mark.parametrize("which", ["main", "idea"])
@pytest.mark.parametrize("text", ["deadbeef\n", "1" * 40 + "\n", None])
def test_a_branch_that_cannot_be_read_was_not_deleted(tiny, which, text):
    waits = tiny.branch("idea")
    tiny.lose("idea")
    job = runs.Job("pull_request", "refs/heads/idea", waits)
    runs.store(tiny.server, runs.Run(job, asked=time.time()))
    path = Path(tiny.server.bare) / "refs" / "heads" / which
    before = path.read_text()
    path.unlink()
    if text is not None:
        path.write_text(text)
    said = tiny.pushforward("dispatch", check=False)
    assert "no commit is wrong" in said
    assert f"refs/heads/{which}" in said
    assert not runs.load(tiny.server, job.key).final
    path.write_text(before)
    assert "1 judged" in tiny.pushforward("dispatch")
    assert verdicts(tiny, waits) == ["hold"]


def test_a_run_whose_workflows_cannot_be_told_of_ends_all_the_same(tiny, monkeypatch, capsys):
    def broken(*_: object) -> None:
        raise PushforwardError("refs/notes/pushforward cannot be moved")

    monkeypatch.setattr(execute.record, "beside", broken)
    done, _ = fails(tiny, monkeypatch, PushforwardError("edit it"))
    assert done.final
    assert (runs.folder(tiny.server, done.job.key) / runs.DONE).exists()
    assert "its workflows are not told of in a report: refs/notes/pushforward cannot" in capsys.readouterr().out


def test_what_was_judged_since_the_coordinator_looked_is_not_called_off(tiny):
    commit = tiny.branch("idea")
    tiny.push("idea")
    tiny.wait(tiny.idle)
    coordinator = dispatch.Coordinator(tiny.server, print, time.time())
    coordinator._conclude(runs.Run(runs.Job("pull_request", "refs/heads/idea", commit)), "superseded by another")
    assert verdicts(tiny, commit) == ["hold"]


def test_a_push_may_ask_for_no_run(tiny):
    commit = tiny.train("echo trained")
    said = tiny.push("-o", "ci.skip", "main")
    assert "skipped: git push -o ci.skip" in said
    assert "trained" not in said
    assert tiny.reason(commit) == "skipped: git push -o ci.skip"
    assert tiny.run(commit).state == "cancelled"
    assert tiny.server.repository.resolve(f"{RUNS}{commit}") == commit


def test_what_was_skipped_is_run_with_the_next_push(tiny):
    tiny.train("echo trained")
    tiny.push("-o", "ci.skip", "main")
    readme = tiny.commit({"README.md": "hello\n"})
    assert "trained" in tiny.push("main")
    assert tiny.reason(readme) == "as it is told to find"


def test_a_push_whose_hook_never_started_is_judged_with_the_next(tiny):
    lost = tiny.train("echo trained")
    tiny.lose("main")
    assert not tiny.reports(lost)
    readme = tiny.commit({"README.md": "hello\n"})
    said = tiny.push("main")
    assert "nothing to train" in said
    assert lost[:7] in said
    assert verdicts(tiny, lost) == ["hold"]
    assert tiny.reason(readme) == tiny.reason(lost)


def test_a_push_of_a_tag_finds_what_an_earlier_push_has_lost(tiny):
    lost = tiny.train("echo trained")
    tiny.lose("main")
    tiny.git("tag", "note")
    tiny.push("note")
    tiny.wait(lambda: verdicts(tiny, lost))
    tiny.wait(tiny.idle)
    assert verdicts(tiny, lost) == ["hold"]
    assert tiny.run(lost).state == "done"


def test_a_push_may_leave_its_run_to_itself(tiny):
    commit = tiny.branch("later", "sleep 1; echo done")
    said = tiny.push("-o", "ci.detach", "later")
    assert f"detached: {commit[:9]} go on without you" in said
    assert "pushforward runs" in said
    tiny.wait(lambda: verdicts(tiny, commit))


def test_a_push_option_that_is_not_known_is_told(tiny):
    tiny.branch("odd", "true")
    said = tiny.push("-o", "ci.skp", "-o", "\x1b[31mred", "odd")
    assert "push option 'ci.skp' is not known, and did nothing; did you mean ci.skip?" in said
    assert "known are ci.skip and ci.detach" in said
    assert "\x1b" not in said
    assert "JUDGED" in said


def test_a_branch_that_is_deleted_before_its_turn_gets_a_final_word(tiny):
    tiny.git("switch", "-q", "-c", "gone")
    commit = tiny.train("true")
    tiny.lose("gone")
    tiny.push(":gone")
    tiny.wait(lambda: verdicts(tiny, commit))
    assert tiny.reason(commit) == "cancelled: gone was deleted before its turn"


def test_what_a_deleted_branch_was_at_before_its_last_push_gets_a_final_word_too(tiny):
    tiny.git("switch", "-q", "-c", "gone")
    commits = []
    for number in range(3):
        commits.append(tiny.train(f"true {number}"))
        tiny.lose("gone")
    tiny.push(":gone")
    tiny.wait(lambda: all(verdicts(tiny, commit) for commit in commits))
    assert {tiny.reason(commit) for commit in commits} == {"cancelled: gone was deleted before its turn"}
    tiny.wait(tiny.idle)
    assert not list((tiny.server.folder / DELETED).iterdir())


def test_a_deletion_that_has_not_landed_withdraws_nothing(tiny):
    tiny.git("switch", "-q", "-c", "stays")
    commit = tiny.train("true")
    tiny.lose("stays")
    bare = Path(tiny.server.bare)
    told = {"ref": "refs/heads/stays", "log": (bare / "logs/refs/heads/stays").read_text()}
    assert commit in told["log"]
    folder = tiny.server.folder / DELETED
    folder.mkdir()
    for name, text in (
        ("1.json", json.dumps(told)),
        ("2.json", "{"),
        ("3.json", json.dumps({"ref": "refs/heads/stays"})),
    ):
        (folder / name).write_text(text)
    assert list(pending.withdrawn(tiny.server)) == []
    assert [path.name for path in folder.iterdir()] == ["1.json"], "it may still land"
    os.utime(folder / "1.json", (0, 0))
    assert list(pending.withdrawn(tiny.server)) == []
    assert not list(folder.iterdir())


def test_an_edit_of_the_readme_on_a_branch_waits_for_the_verdict_that_it_keeps(tiny):
    main = tiny.train("sleep 3")
    first = tiny.leave("main")
    at_work(tiny, main)
    tiny.git("switch", "-q", "-c", "words")
    words = tiny.commit({"README.md": "hello\n"})
    said = tiny.push("words")
    first.communicate()
    assert f"waits for the verdict on {main[:9]}" in said
    assert tiny.run(words).started >= tiny.run(main).ended
    assert tiny.reason(words) == tiny.reason(main)
    (report,) = notes.read(tiny.server.repository, words)
    assert (report.event, report.verdict["event"]) == ("pull_request", "push"), "of its own, by the word on another"


def due(tiny: Tiny) -> str:
    """A workflow that is due every minute, and was first seen an hour ago."""
    text = 'on:\n  schedule: [{cron: "* * * * *"}]\njobs:\n  look:\n    runs-on: ubuntu-latest\n    steps:\n'
    tiny.commit({".github/workflows/monitor.yml": text + "      - {name: look, shell: bash, run: echo looked}\n"})
    tiny.push("main")
    tiny.wait(tiny.idle)
    then = (datetime.now(UTC) - timedelta(hours=1)).strftime(pending.DUE)
    assert list(pending.remembered(tiny.server)) == ["monitor.yml * * * * *"], "at first sight nothing is due"
    pending.remember(tiny.server, {"monitor.yml * * * * *": then})
    return then


def test_who_has_no_timer_is_told_by_what_is_overdue(tiny):
    due(tiny)
    (found,) = [one for one in installation.server(Path(tiny.server.bare)) if one.name == "timer"]
    assert not found.ok
    assert found.found.startswith("monitor.yml (* * * * *) was due at ")
    assert found.mend.startswith("pushforward dispatch --help")
    tiny.pushforward("dispatch")
    assert [one.ok for one in installation.server(Path(tiny.server.bare)) if one.name == "timer"] == [True]


def test_a_schedule_runs_once_for_all_the_times_that_were_missed(tiny):
    then = due(tiny)
    said = tiny.pushforward("dispatch")
    assert "1 judged" in said or "2 judged" in said, "a minute may have passed"
    found = [run for run in runs.listed(tiny.server) if run.job.event == "schedule"]
    assert [run.verdict for run in found] in (["success"], ["success"] * 2)
    log = "".join(runs.log(tiny.server, found[0], follow=False))
    assert "looked" in log
    assert pending.remembered(tiny.server)["monitor.yml * * * * *"] > then


RELEASE = """
on:
  push: {tags: ["*#production#*"]}
jobs:
  bundle:
    runs-on: ubuntu-latest
    steps:
      - name: bundle
        shell: bash
        run: |
          mkdir "$PUSHFORWARD_ARTIFACTS/release" && echo "$GITHUB_REF_NAME" >"$PUSHFORWARD_ARTIFACTS/release/card.md"
          ln -s /etc/passwd "$PUSHFORWARD_ARTIFACTS/release/link"
          ls /%s
"""


def tagged(tiny: Tiny, git, folder: str = "usr") -> str:
    """A version, and a tag that puts it to production, as the policy would have let it in; the tag object."""
    commit = tiny.commit({".github/workflows/release.yml": RELEASE % folder})
    tiny.push("main")
    tiny.wait(tiny.idle)
    bare = Path(tiny.server.bare)
    git(bare, "tag", "-a", "-m", "first", "toy@v1.0.0", commit)
    git(bare, "tag", "-a", "-m", "use it", "toy#production#1", commit)
    return git(bare, "rev-parse", "toy#production#1")


def test_a_tag_that_puts_a_version_to_production_makes_its_release(tiny, git):
    tag = tagged(tiny, git).strip()
    assert "1 judged" in tiny.pushforward("dispatch")
    folder = tiny.server.folder / "releases" / "toy@v1.0.0"
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"card.md": "toy#production#1\n"}
    run = tiny.run("toy#production#1")
    assert (run.job.tag, run.verdict, run.final) == (tag, "success", True)
    assert tiny.server.repository.resolve(f"{RUNS}{tag}") == run.job.commit
    assert "nothing was waiting" in tiny.pushforward("dispatch")


def test_a_release_that_fails_leaves_none(tiny, git):
    tagged(tiny, git, "nowhere")
    tiny.pushforward("dispatch")
    assert not (tiny.server.folder / "releases").exists()
    run = tiny.run("toy#production#1")
    assert (run.verdict, run.final) == ("failure", True)


def test_what_passes_on_a_branch_lets_its_merge_in(tiny):
    tiny.commit({".github/workflows/judge.yml": judge(verdict="promote")})
    tiny.push("main")
    commit = tiny.branch("good", "true")
    tiny.push("good")
    repository = tiny.server.repository
    merge = repository.commit("refs/pull/1/merge")
    tree = repository.git("rev-parse", f"{merge}^{{tree}}").text
    assert repository.resolve(f"refs/pushforward/passed/{tree}") == merge
    assert [ref.name for ref in repository.refs("refs/pushforward/passed/")] == [f"refs/pushforward/passed/{tree}"]
    assert repository.git("rev-parse", f"{commit}^{{tree}}").text == tree


def test_what_the_run_of_a_branch_left_is_no_verdict_of_main(tiny):
    tiny.branch("topic", "echo trained")
    assert "trained" in tiny.push("topic")
    tiny.git("switch", "-q", "main")
    tiny.git("pull", "-q", "--ff-only", "local", "refs/pull/1/merge")
    merge = tiny.git("rev-parse", "HEAD")
    left = [run.job.event for run in runs.listed(tiny.server) if run.job.commit == merge]
    assert "trained" in tiny.push("main")
    tiny.wait(tiny.idle)
    known = [run.job.event for run in runs.listed(tiny.server) if run.job.commit == merge]
    assert sorted(known) == sorted([*left, "push"])
    assert tiny.reason(merge) == "as it is told to find"


def test_the_policy_is_told_what_the_pipeline_reads(tiny):
    stage = "{cmd: x, deps: [{path: lib, md5: a}, {path: data/x.csv, md5: b}]}"
    lock = f"schema: '2.0'\nstages:\n  a: {stage}\n"
    tiny.commit(
        {"dvc.lock": lock, "lib/a.py": "\n", "src/toy.py": "\n", "old.csv.dvc": "outs: []\n", "docs/a.md": "a\n"}
    )
    tiny.push("main")
    known = json.loads((tiny.server.folder / "registry.json").read_text())
    requirements = ["requirements/data.txt", "requirements/run.txt"]
    expected = [
        ".dvc/config",
        ".github",
        "dvc.lock",
        "lib",
        "old.csv.dvc",
        "params.yaml",
        "pushforward.yaml",
        *requirements,
        "src",
    ]
    assert known["reads"] == expected


def test_the_token_of_the_server_is_masked_wherever_it_is_printed(tiny):
    tiny.commit({".github/workflows/judge.yml": judge('echo "token $PUSHFORWARD_TOKEN"')})
    tiny.push("main")
    tiny.train("true")
    assert "token ***" in tiny.push("main")
    token = (tiny.server.folder / "token").read_text().strip()
    assert all(token not in path.read_text() for path in (tiny.server.folder / "runs").rglob("*") if path.is_file())


def test_what_a_step_masks_after_it_has_said_it_is_blanked_in_every_log(tiny):
    commit = tiny.branch("late", "echo the word is zebra-seven; sleep 0.5; echo ::add-mask::zebra-seven; sleep 0.5")
    tiny.push("late")
    run = tiny.run(commit)
    assert "the word is ***********\n" in "".join(runs.log(tiny.server, run, follow=False))
    kept = [path for path in runs.folder(tiny.server, run.job.key).rglob("*") if path.is_file()]
    assert not [path for path in kept if b"zebra-seven" in path.read_bytes()]


def test_a_training_sees_nothing_that_the_server_keeps(tiny):
    tiny.branch(
        "curious", f"ls {tiny.server.folder}; cat {tiny.server.folder}/token {tiny.server.folder}/keys/ci || true"
    )
    said = tiny.push("curious")
    if "runs have all rights" in tiny.pushforward("check", "--quick", check=False):
        pytest.skip("NOT TESTED HERE: nothing on this machine isolates runs")
    assert "allowed_signers" not in said
    assert (tiny.server.folder / "token").read_text().strip() not in said
    assert "No such file" in said


def test_what_the_dead_have_left_is_cleared_at_the_next_start(tiny):
    bare, folder = Path(tiny.server.bare), tiny.server.folder
    left = [bare / "refs/heads/main.lock", bare / "packed-refs.lock", folder / f"queue.json.1{durable.UNFINISHED}"]
    for path in left:
        path.touch()
    quarantine, unbegun = bare / "objects" / "tmp_objdir-incoming-abc", folder / "runs" / "push-abc"
    for path in (quarantine, unbegun):
        path.mkdir(parents=True)
    for path in (*left, quarantine, unbegun):
        os.utime(path, (1, 1))
    fresh = bare / "refs/heads/new.lock"
    fresh.touch()
    said = tiny.pushforward("dispatch")
    assert [line.split(":")[0] for line in said.splitlines() if line.startswith("removed")] == [
        "removed packed-refs.lock",
        "removed refs/heads/main.lock",
        "removed objects/tmp_objdir-incoming-abc",
        f"removed pushforward/queue.json.1{durable.UNFINISHED}",
        "removed pushforward/runs/push-abc",
    ]
    assert not any(path.exists() for path in (*left, quarantine, unbegun))
    assert fresh.exists(), "somebody may be about to use it"


def test_a_lock_stays_that_a_living_git_may_hold_and_no_other(tiny, monkeypatch):
    monkeypatch.setattr(recover, "OLD_SECONDS", 0.0)
    bare = Path(tiny.server.bare)
    held, older = bare / "refs/heads/main.lock", bare / "packed-refs.lock"
    with subprocess.Popen(["git", "-C", str(bare), "cat-file", "--batch"], stdin=subprocess.PIPE) as living:
        for lock in (held, older):
            lock.touch()
        os.utime(older, (1, 1))
        assert list(recover.server(tiny.server)) == ["removed packed-refs.lock: whoever made it is dead"]
        living.stdin.close()
    tiny.wait(lambda: list(recover.server(tiny.server)) == ["removed refs/heads/main.lock: whoever made it is dead"])


def test_a_run_waits_while_its_disk_is_nearly_full(tiny):
    store = Path(tiny.server.store)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(store)], check=False)
    if mounted.returncode:
        pytest.skip("NOT TESTED HERE: no small disk can be mounted")
    try:
        commit = tiny.train("echo trained")
        said = tiny.push("main")
        assert f"runs wait: the disk of {store} has 0.0 GiB free, a run needs 2" in said
        assert not tiny.reports(commit)
        assert tiny.run(commit).state == "queued"
        assert "runs wait" in tiny.pushforward("dispatch", check=False)
    finally:
        subprocess.run(["umount", str(store)], check=True)
    assert "1 judged" in tiny.pushforward("dispatch")
    assert verdicts(tiny, commit) == ["hold"]


def test_a_third_dispatcher_leaves_the_work_to_the_two_that_are_there(tiny):
    with durable.locked(tiny.server.folder / receive.LOCK):
        second = receive.spawn(tiny.server)
        tiny.wait(lambda: durable.held(tiny.server.folder / "dispatch.next"))
        assert receive.spawn(tiny.server).wait(30) == 0
        log = (tiny.server.folder / "dispatch.log").read_text()
        assert "another dispatcher is about to take this up" in log
    assert second.wait(30) == 0


def test_a_broken_queue_or_record_stops_nobody(tiny):
    for name in ("queue.json", "crons.json", "schedule.json"):
        (tiny.server.folder / name).write_text("{")
    folder = tiny.server.folder / "runs" / "push-cut"
    folder.mkdir()
    (folder / "run.json").write_text('{"job": {"event": "pu')
    commit = tiny.train("true")
    assert "JUDGED" in tiny.push("main")
    assert verdicts(tiny, commit) == ["hold"]


def test_two_servers_on_one_machine_know_nothing_of_each_other(tiny_template, tmp_path):
    ours, theirs = (tiny_server.copy(tiny_template, tmp_path / name) for name in ("ours", "theirs"))
    commits = [one.branch("slow", "sleep 2") for one in (ours, theirs)]
    for push in [one.leave("slow") for one in (ours, theirs)]:
        assert "JUDGED" in push.communicate()[0]
    assert overlap(ours.run(commits[0]), theirs.run(commits[1]))


@pytest.mark.parametrize(
    ("failed", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the server could not go on: No space left on device"),
        (OSError(errno.EISDIR, "Is a directory"), "a bug: IsADirectoryError"),
    ],
    ids=["full", "bug"],
)
def test_a_full_disk_is_no_bug_and_neither_is_the_last_word(tiny, monkeypatch, failed, said):
    commit = tiny.train("true")
    tiny.lose("main")
    run = runs.Run(runs.Job("push", "refs/heads/main", commit), attempt=1)

    def fail(*_: object) -> None:
        raise failed

    monkeypatch.setattr(execute, "outcome", fail)
    runs.store(tiny.server, run)
    execute.conduct(tiny.server, run, [])
    done = runs.load(tiny.server, run.job.key)
    assert (said in done.reason, done.final) == (True, False)


def fails(tiny, monkeypatch, failed, *, attempt=1):
    """A run of a commit that nobody has judged, conducted to its end while it fails so; what is written of it."""
    commit = tiny.train("true")
    tiny.lose("main")
    run = runs.Run(runs.Job("push", "refs/heads/main", commit), attempt=attempt)

    def fail(*_: object) -> None:
        raise failed

    monkeypatch.setattr(execute, "outcome", fail)
    runs.store(tiny.server, run)
    execute.conduct(tiny.server, run, [])
    return runs.load(tiny.server, run.job.key), (runs.folder(tiny.server, run.job.key) / runs.LOG).read_text()


def test_what_the_machine_has_wrong_is_never_the_last_word_on_a_commit(tiny, monkeypatch):
    trouble = MachineError("the store is away", next="mount it", detail="/srv/store")
    done, said = fails(tiny, monkeypatch, trouble, attempt=runs.ATTEMPTS)
    assert (done.final, done.machine, done.attempt, done.reason) == (
        False,
        True,
        runs.ATTEMPTS - 1,
        "the store is away",
    )
    assert "! NOT JUDGED  the store is away" in said
    assert f"nothing is wrong with {done.job.id}" in said
    assert "/srv/store" not in said
    assert not tiny.reports(done.job.commit)
    assert tiny.server.repository.resolve(f"{RUNS}{done.job.commit}") is None
    assert json.loads((tiny.server.folder / care.FILE).read_text())["detail"] == "/srv/store"
    monkeypatch.undo()
    assert "1 judged" in tiny.pushforward("dispatch")
    assert verdicts(tiny, done.job.commit) == ["hold"]
    assert not (tiny.server.folder / care.FILE).exists()


def test_a_judge_that_dies_of_the_machine_is_never_the_last_word_and_is_not_tried_for_every_push(tiny):
    tiny.commit({".github/workflows/judge.yml": judge("exit 137")}, "Die")
    tiny.push("main")
    commit = tiny.commit()
    for failures in (1, 2):
        said = tiny.push("main") if failures == 1 else tiny.pushforward("dispatch", check=False)
        run = tiny.run(commit)
        assert (run.final, run.machine, run.failures, run.attempt) == (False, True, failures, 0), said
        killed = "judge.yml: judge / judge: it was killed, as happens where memory runs out"
        assert run.reason == f"the judge came to no verdict: {killed}"
    assert not tiny.reports(commit)
    assert tiny.server.repository.resolve(f"{RUNS}{commit}") is None
    told = json.loads((tiny.server.folder / care.FILE).read_text())
    assert told["next"].endswith(f"pushforward runs cancel {run.job.id}, to give it up")
    found = next(found for found in installation._waiting(tiny.server))
    assert (found.ok, found.optional) == (False, False)
    assert found.found == f"{run.job.id} is not judged, tried 2 times: {run.reason}"
    assert found.mend == f"pushforward dispatch --bare {tiny.server.bare}, when that is mended"
    tiny.push("main:refs/heads/again", "-o", "ci.skip")
    tiny.wait(tiny.idle)
    assert tiny.run(commit).failures == 2, "a push so soon after tries it not"
    tiny.pushforward("dispatch", check=False)
    assert tiny.run(commit).failures == 3
    tiny.pushforward("runs", "cancel", commit)
    tiny.wait(lambda: tiny.run(commit).final)


def test_a_push_whose_run_is_gone_is_found_and_the_command_judges_it_again(tiny):
    commit = tiny.git("rev-parse", "HEAD")
    assert list(installation._waiting(tiny.server)) == []
    tiny.server.repository.git("update-ref", "-d", f"{RUNS}{commit}")
    (found,) = installation._waiting(tiny.server)
    assert found.found == f"{commit[:9]}: a report is there, and nothing says that it was judged; it is judged again"
    assert found.mend == f"pushforward dispatch --bare {tiny.server.bare}"
    assert "1 judged" in tiny.pushforward(*found.mend.split()[1:])
    assert verdicts(tiny, commit) == ["hold"]
    assert list(installation._waiting(tiny.server)) == []


@pytest.mark.parametrize("event", ["push", "pull_request"])
def test_what_is_asked_for_while_a_coordinator_looks_around_is_not_taken_for_gone(tiny, event):
    known = [run for run in runs.listed(tiny.server) if not run.final]
    found = pending.find(tiny.server)
    job = runs.Job(event, "refs/heads/main", tiny.git("rev-parse", "HEAD"))
    runs.forget(tiny.server, job)
    runs.store(tiny.server, runs.Run(job, asked=time.time()))
    before = tiny.reports(job.commit)
    dispatch.Coordinator(tiny.server, print, time.time())._tidy(known, found, {})
    assert not runs.load(tiny.server, job.key).final
    assert tiny.reports(job.commit) == before


@pytest.mark.parametrize(
    ("failures", "ago", "pauses"), [(1, 1, False), (2, 50, True), (2, 70, False), (9, 3500, True), (9, 3700, False)]
)
def test_what_the_machine_lets_fail_waits_longer_each_time(tiny, failures, ago, pauses):
    job = runs.Job("push", "refs/heads/main", "1" * 40)
    run = runs.Run(job, machine=True, failures=failures, attempt=0, ended=time.time() - ago)
    assert dispatch.Coordinator(tiny.server, print, time.time())._pauses(run) == pauses
    assert not dispatch.Coordinator(tiny.server, print, time.time(), at_once=True)._pauses(run)


def test_a_judge_that_was_killed_three_times_waits_and_says_nothing_of_the_commit(tiny):
    commit = tiny.commit()
    tiny.lose("main")
    job = runs.Job("push", "refs/heads/main", commit)
    runs.store(tiny.server, runs.Run(job, attempt=runs.ATTEMPTS, stage="judge", started=1.0))
    said = []
    dispatch.Coordinator(tiny.server, said.append, time.time())._tidy([], pending.find(tiny.server), {})
    run = runs.load(tiny.server, job.key)
    assert (run.final, run.machine, run.attempt, run.reason) == (False, True, 0, "the judge was killed 3 times")
    assert said == [
        f"{job.id} is not judged: the judge was killed 3 times; pushforward check, then pushforward dispatch"
    ]
    assert not tiny.reports(commit)


def test_a_run_that_failed_while_the_store_was_away_is_no_verdict(tiny, monkeypatch):
    Path(tiny.server.store).rename(Path(tiny.server.store).with_name("away"))
    done, said = fails(tiny, monkeypatch, PushforwardError("DVC: 2 files failed to download"))
    assert (done.final, done.machine, done.reason) == (False, True, "the server's store is not there")
    assert "failed to download" not in said


def test_a_verdict_that_cannot_be_written_down_is_not_lost_to_the_third_try(tiny, monkeypatch):
    def locked(*_: object, **__: object) -> None:
        raise PushforwardError("git update-ref failed: Unable to create 'refs/x.lock': File exists", exit_code=6)

    monkeypatch.setattr(execute.record, "put", locked)
    done, said = fails(tiny, monkeypatch, PushforwardError("edit it"), attempt=runs.ATTEMPTS)
    assert (done.final, done.machine) == (False, True)
    assert "what the run came to could not be written down" in said


def test_the_commit_s_own_mistake_is_final_at_once(tiny, monkeypatch):
    done, said = fails(tiny, monkeypatch, PushforwardError("train.yml: job train: containers do not run here"))
    assert (done.final, done.machine) == (True, False)
    assert "not final" not in said


@pytest.mark.parametrize(
    ("words", "itself"), [(("invalid", "invalid"), True), (("invalid", "hold"), False), (("skipped", "unknown"), False)]
)
def test_before_the_first_word_on_a_model_a_push_is_judged_by_itself(tiny, monkeypatch, words, itself):
    first, second = tiny.git("rev-parse", "HEAD"), tiny.commit()
    tiny.lose("main")
    third = tiny.commit()
    tiny.lose("main")
    said = dict(zip((first, second), words, strict=True))
    subject = Subject(tiny.server, runs.Job("push", "refs/heads/main", third, second))
    monkeypatch.setattr(subject, "verdict_of", lambda commit: {"verdict": said[commit]} if commit in said else {})
    assert (subject.judge, subject.judged_before) == ((third, ZERO) if itself else (second, second))
    branch = Subject(tiny.server, runs.Job("pull_request", "refs/heads/topic", third, second, pull=1))
    assert branch.judge == third, "a branch is judged by the default branch"
    tiny.server.repository.set_ref(f"{HOLDOUTS}2020-01_2020-02", first)
    assert Subject(tiny.server, runs.Job("push", "refs/heads/main", third, second)).judge == second


@pytest.mark.parametrize(
    ("levels", "words", "itself"),
    [
        ((0, 3), ("invalid", "measured"), True),
        ((1, 3), ("measured", "measured"), True),
        ((0, 0), ("measured", "measured"), False),
        ((1, 0), ("measured", "measured"), False),
        ((0, 3), ("hold", "measured"), False),
    ],
)
def test_a_push_that_has_more_to_be_judged_by_is_not_held_to_less(tiny, monkeypatch, levels, words, itself):
    first = tiny.git("rev-parse", "HEAD")
    whole = (tiny.clone / "pushforward.yaml").read_text()
    none = whole.partition("    path:")[0] + "    environment: []\n"
    one = none + "    path: m.pkl\n    metrics: {'m.json:f1': {better: higher, at_least: 0.5}}\n"
    second, third = (tiny.commit({"pushforward.yaml": {0: none, 1: one, 3: whole}[level]}) for level in levels)
    tiny.lose("main")
    said = dict(zip((first, second), words, strict=True))
    subject = Subject(tiny.server, runs.Job("push", "refs/heads/main", third, second))
    monkeypatch.setattr(subject, "verdict_of", lambda commit: {"verdict": said[commit]} if commit in said else {})
    assert subject.judged_before == (ZERO if itself else second)


def test_a_judge_that_cannot_work_hands_on_to_those_that_have_judged(tiny, monkeypatch):
    first = tiny.git("rev-parse", "HEAD")
    broken, repair = tiny.commit(), tiny.commit()
    tiny.lose("main")
    subject = Subject(tiny.server, runs.Job("push", "refs/heads/main", repair, broken))
    monkeypatch.setattr(subject, "verdict_of", lambda commit: {"base": first} if commit == broken else {})
    assert list(subject.judges()) == [broken, first]
    monkeypatch.setattr(subject, "verdict_of", lambda _: {"base": "f" * 40})
    assert list(subject.judges()) == [broken], "only what the branch has held may judge it"


def test_a_push_that_starts_no_workflow_is_told_which_branches_do(tmp_path):
    tiny = tiny_server.make(tmp_path)
    text = train().replace("branches: [main]", "branches: [release, next]")
    commit = tiny.commit({".github/workflows/train.yml": text})
    tiny.push("main")
    assert tiny.reason(commit) == (
        "no workflow of this server matches the push: its default branch is main, "
        ".github/workflows/train.yml runs for release, next"
    )
    assert tiny.run(commit).final
