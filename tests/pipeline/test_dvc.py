"""Real DVC, in a project of three stages that take no time."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.pipeline.small import DVC_YAML, clone, edit, outcomes, refused, run

from pushforward.errors import PushforwardError
from pushforward.git.repository import Repository
from pushforward.pipeline import dvc as pipeline
from pushforward.pipeline.lock import read_lock

pytestmark = pytest.mark.whole


def test_stages_are_told_apart_with_reasons(project, git):
    assert set(outcomes(run(project)).values()) == {"ran"}
    assert set(outcomes(run(project)).values()) == {"unchanged"}
    (project / "params.yaml").write_text("scale: 2\n")
    done = run(project)
    assert outcomes(done) == {"first": "unchanged", "second": "ran", "third": "unchanged"}
    assert [stage.reason for stage in done.stages if stage.outcome == "ran"] == ["scale 1 → 2"]


def test_a_fresh_clone_runs_nothing_and_fetches_nothing(project, git):
    run(project)
    fresh = clone(git, project, "fresh")
    shutil.copyfile(project / "dvc.lock", fresh / "dvc.lock")
    done = run(fresh)
    assert set(outcomes(done).values()) == {"unchanged"}
    assert not list((fresh / "out").glob("*.txt"))
    assert not (fresh / ".dvc" / "cache" / "files").exists()


def test_what_is_wanted_is_there_even_where_nothing_ran(project, git):
    run(project)
    fresh = clone(git, project, "fresh")
    shutil.copyfile(project / "dvc.lock", fresh / "dvc.lock")
    run(fresh, wanted=["out/second.txt"])
    assert [path.name for path in (fresh / "out").glob("*.txt")] == ["second.txt"]


def test_a_folder_that_a_changed_stage_needs_is_filled_whole(project, git):
    text = DVC_YAML.replace("deps: [out/second.txt]", "deps: [out]").replace(
        "wc -c out/second.txt", "cat out/*.txt | wc -c"
    )
    (project / "dvc.yaml").write_text(text + "    params: [scale]\n")
    run(project)
    size = (project / "metrics" / "size.json").read_text()
    fresh = clone(git, project, "fresh")
    for name in ("dvc.lock", "dvc.yaml"):
        shutil.copyfile(project / name, fresh / name)
    (fresh / "params.yaml").write_text("scale: 2\n")
    assert outcomes(run(fresh)) == {"first": "unchanged", "second": "ran", "third": "ran"}
    assert (fresh / "metrics" / "size.json").read_text() == size


def test_without_a_lock_the_run_cache_of_the_remote_answers(project, git):
    run(project)
    fresh = clone(git, project, "fresh")
    assert outcomes(run(fresh))["second"] == "restored"
    assert (fresh / "out" / "second.txt").read_text() == "one\n1\n"
    assert (fresh / "dvc.lock").read_bytes() == (project / "dvc.lock").read_bytes()


def test_a_stage_that_ends_with_3_has_refused_its_data(project, capfd):
    text = DVC_YAML.replace("cat source.txt > out/first.txt", "echo source.txt row 7 is bad >&2; exit 3")
    (project / "dvc.yaml").write_text(text)
    done = run(project)
    assert done.outcome == "refused"
    assert "source.txt row 7 is bad" in done.message
    assert outcomes(done) == {"first": "failed"}
    assert "source.txt row 7 is bad" in capfd.readouterr().out


def test_a_stage_that_dies_is_a_failure(project):
    (project / "dvc.yaml").write_text(DVC_YAML.replace("cat source.txt > out/first.txt", "kill -9 $$"))
    done = run(project)
    assert done.outcome == "failed"
    assert done.stages[-1].name == "first"


def test_entries_of_stages_that_are_gone_leave_the_lock(project):
    run(project)
    kept = DVC_YAML[: DVC_YAML.index("  third:")]
    (project / "dvc.yaml").write_text(kept)
    run(project)
    assert sorted(read_lock((project / "dvc.lock").read_bytes())) == ["first", "second"]


def stored(project, place):
    """Where the object of out/first.txt lies below a folder of objects."""
    name = read_lock((project / "dvc.lock").read_bytes())["first"]["outs"][0]["md5"]
    return place / "files" / "md5" / name[:2] / name[2:]


def spoil(path, text="two\n"):
    path.chmod(0o644)
    path.write_text(text)
    path.chmod(0o444)


@pytest.mark.parametrize("text", ["two\n", "", None], ids=["flipped", "cut off", "lost"])
def test_an_object_that_the_remote_lacks_or_spoils_is_put_back_from_the_cache(project, text):
    run(project)
    path = stored(project, project.parent / "store")
    spoil(path, text) if text is not None else path.unlink()
    run(project)
    assert path.read_text() == "one\n"


def test_an_object_that_remote_and_cache_have_spoiled_stops_the_run(project):
    run(project)
    for place in (project.parent / "store", project / ".dvc" / "cache"):
        spoil(stored(project, place))
    with pytest.raises(PushforwardError, match=r"lacks or spoils 1 .*out/first.txt") as refused:
        run(project)
    assert refused.value.exit_code == 6


def test_a_pipeline_that_makes_no_model_is_refused_before_anything_runs(project):
    wrong = refused(project, wanted=["out/first.txt", "model"])
    assert wrong.message.startswith("dvc.yaml: no stage makes model, which pushforward.yaml names; its stages make ")
    assert wrong.next == "edit dvc.yaml, or models in pushforward.yaml"
    assert not (project / "out" / "first.txt").exists()
    (project / "dvc.yaml").unlink()
    assert "there is none in this commit" in refused(project, wanted=["model"]).message


def test_a_model_that_no_change_could_make_anew_is_refused(project):
    edit(project, "    deps: [source.txt]\n", "")
    wrong = refused(project, wanted=["out/first.txt"])
    assert "stage first makes out/first.txt and has neither deps nor params" in wrong.message


FREEZE = ("  second:\n", "  second:\n    frozen: true\n")


def change_scale(project):
    (project / "params.yaml").write_text("scale: 2\n")


def change_source(project):
    (project / "source.txt").write_text("two\n")


def change_command(project):
    edit(project, "print(1)", "print(2)")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (change_scale, "scale 1 → 2"),
        (change_source, "out/first.txt"),
        (change_command, "its command"),
    ],
)
def test_a_frozen_stage_in_the_way_of_a_change_is_refused_by_name(project, change, said):
    run(project)
    edit(project, *FREEZE)
    assert outcomes(run(project)) == {"first": "unchanged", "second": "frozen", "third": "unchanged"}
    change(project)
    wrong = refused(project)
    assert wrong.message == f"dvc.yaml: stage second is frozen and would not run, though {said} changed since it ran"
    assert wrong.next == "dvc unfreeze second"


def test_a_frozen_stage_whose_change_reaches_no_dep_of_it_is_left_alone(project):
    run(project)
    edit(project, *FREEZE)
    edit(project, "wc -c out/second.txt", "wc -l out/second.txt")
    assert outcomes(run(project)) == {"first": "unchanged", "second": "frozen", "third": "ran"}


def test_a_frozen_stage_of_a_loop_is_told_how_to_thaw(project):
    (project / "dvc.yaml").write_text(
        "stages:\n  each:\n    foreach: [a]\n    do:\n      cmd: echo ${item} > out/${item}.txt\n"
        "      deps: [source.txt]\n      outs: ['out/${item}.txt']\n"
    )
    run(project)
    edit(project, "    do:\n", "    do:\n      frozen: true\n")
    change_source(project)
    wrong = refused(project)
    assert "stage each@a is frozen and would not run, though source.txt changed" in wrong.message
    assert wrong.next == "take `frozen: true` from each"


def test_a_stage_that_always_runs_is_no_frozen_one(project):
    edit(project, "  first:\n", "  first:\n    always_changed: true\n")
    run(project)
    assert outcomes(run(project))["first"] == "ran"


@pytest.mark.parametrize(
    ("command", "cause", "status"),
    [
        ("frobnicate", "frobnicate: command not found", "exit status 127"),
        ("printf 'def f(:' > x.py; python3 x.py", "x.py:1: SyntaxError: invalid syntax", "exit status 1"),
        ("printf 'def f():\\n {}[1]\\nf()\\n' > y.py; python3 y.py", "y.py:2: KeyError: 1", "exit status 1"),
        ("echo the mill is dry >&2; exit 1", "the mill is dry", "exit status 1"),
        ("kill -9 $$", "it was killed, as happens where memory runs out", "exit status -9"),
        ("exit 4", "exit status 4", "exit status 4"),
        ("rm out/first.txt", "it ended well, but made no out/first.txt, which dvc.yaml says it makes", None),
    ],
    ids=["no command", "syntax", "traceback", "words", "killed", "silent", "makes nothing"],
)
def test_the_first_cause_of_a_stage_that_fails_is_one_line(project, command, cause, status):
    edit(
        project,
        "cat source.txt > out/first.txt",
        f"cat source.txt > out/first.txt; {command.replace(chr(92), chr(92))}",
    )
    done = run(project)
    assert (done.outcome, done.cause) == ("failed", cause)
    assert (done.stages[-1].name, done.stages[-1].outcome) == ("first", "failed")
    assert done.stages[-1].reason == (status or cause)
    assert str(project) not in done.message


def test_what_a_stage_needs_and_nobody_has_is_named_with_the_stage(project):
    edit(project, "deps: [source.txt]", "deps: [sauce.txt]")
    wrong = refused(project)
    told = "dvc.yaml: stage first needs sauce.txt, which is neither in the commit nor made by a stage"
    assert (wrong.message, wrong.next) == (told, "git add sauce.txt, or dvc add sauce.txt && dvc push")


def test_data_that_was_never_pushed_is_the_commit_s_own_mistake(project):
    oid = "0" * 32
    (project / "source.txt").unlink()
    (project / "source.txt.dvc").write_text(f"outs:\n- md5: '{oid}'\n  size: 4\n  hash: md5\n  path: source.txt\n")
    wrong = refused(project)
    assert wrong.message == f"source.txt.dvc names source.txt (md5 {oid}), which the DVC remote does not have"
    assert wrong.next == "dvc push, then push again"


def test_a_remote_folder_that_is_not_there_is_not_made(project):
    (project.parent / "store").rmdir()
    with pytest.raises(PushforwardError, match="does not exist"):
        run(project, pull=False)
    assert not (project.parent / "store").exists()


def test_a_lock_of_the_commit_is_not_believed(project, git):
    run(project)
    git(project, "add", "-A")
    git(project, "commit", "-q", "-m", "Lock")
    champion = git(project, "rev-parse", "HEAD")
    lock = (project / "dvc.lock").read_text()
    (project / "dvc.lock").write_text(lock.replace("scale: 1", "scale: 9"))
    pipeline.seed(Repository(project), champion)
    assert (project / "dvc.lock").read_text() == lock
    pipeline.seed(Repository(project), None)
    assert not (project / "dvc.lock").exists()
    assert not list((project / "metrics").glob("*.json"))


ELSEWHERE = """\
stages:
  first:
    cmd: mkdir -p eval && cp source.txt eval/deep.json && wc -c < source.txt > metrics.json
    deps: [source.txt]
    outs: [eval]
    metrics: [metrics.json: {cache: false}]
metrics: [eval/deep.json]
"""


def test_metrics_outside_their_folder_are_kept_by_git_seeded_and_brought_in(project, git):
    """metrics.json as DVC has it, tracked; and one inside an out that the cache alone has."""
    (project / "dvc.yaml").write_text(ELSEWHERE)
    (project / ".gitignore").write_text("/eval\n")
    (project / "metrics.json").write_text("0\n")
    git(project, "add", "-A")
    git(project, "commit", "-q", "-m", "Claim")
    assert outcomes(run(project)) == {"first": "ran"}
    pipeline.untouched(Repository(project))
    git(project, "add", "-A")
    git(project, "commit", "-q", "-m", "Lock")
    champion = git(project, "rev-parse", "HEAD")
    (project / "metrics.json").write_text("9\n")
    git(project, "commit", "-q", "-am", "Claim again")
    shutil.rmtree(project / "eval")
    pipeline.seed(Repository(project), champion)
    assert (project / "metrics.json").read_text() == "4\n", "what the run found, not what the commit says"
    assert outcomes(run(project, shown=["eval/deep.json", "metrics.json"])) == {"first": "unchanged"}
    assert (project / "eval" / "deep.json").read_text() == "one\n"
    pipeline.seed(Repository(project), None)
    assert not (project / "metrics.json").exists()


def test_a_stage_that_writes_over_the_commit_is_refused(project, git):
    text = DVC_YAML.replace("cat source.txt > out/first.txt", "cat source.txt > out/first.txt; echo >> params.yaml")
    (project / "dvc.yaml").write_text(text)
    git(project, "commit", "-q", "-am", "Meddle")
    run(project)
    with pytest.raises(PushforwardError, match=r"changed params.yaml"):
        pipeline.untouched(Repository(project))


def test_what_dvc_writes_for_an_out_that_git_does_not_ignore_is_told_with_what_mends_it(project, git):
    (project / ".gitignore").write_text("/cache\n")
    git(project, "add", ".gitignore")
    git(project, "commit", "-q", "-m", "Forget an out")
    run(project)
    with pytest.raises(PushforwardError, match=r"DVC has written into out/\.gitignore: git does not") as refused:
        pipeline.untouched(Repository(project))
    assert refused.value.next == "pushforward adopt, which adds the lines, then commit .gitignore"
    pipeline.untouched(Repository(project), unignored=True)  # who has told of it already does not twice


def test_only_what_one_out_needs_is_built(project):
    pipeline.build(project, "out/first.txt", say=lambda _: None)
    assert (project / "out" / "first.txt").exists()
    assert not (project / "out" / "second.txt").exists()
    with pytest.raises(PushforwardError, match="no stage"):
        pipeline.build(project, "out/none.txt", say=lambda _: None)


def test_the_commands_see_this_python_first(project):
    (project / "dvc.yaml").write_text(
        DVC_YAML.replace("cat source.txt >", "python -c 'import sys; print(sys.prefix)' >")
    )
    run(project)
    assert (project / "out" / "first.txt").read_text().strip() == sys.prefix


def test_a_lock_is_written_down_twice_a_stage_and_tells_others_while_it_runs(project, monkeypatch):
    from dvc import rwlock

    (project / "dvc.yaml").write_text(DVC_YAML.replace("cat source.txt >", "cat .dvc/tmp/rwlock >"))
    written, edit_of = [], rwlock._edit_rwlock
    monkeypatch.setattr(rwlock, "_edit_rwlock", lambda *args: written.append(args) or edit_of(*args))
    done = run(project, pull=False, push=False)
    held = json.loads((project / "out" / "first.txt").read_text())
    assert [Path(path).name for path in held["write"]] == ["first.txt"]
    assert [Path(path).name for path in held["read"]] == ["source.txt"]
    assert len(written) == 2 * len(done.stages), "taken and given back; by itself DVC does so twenty times a stage"
    assert json.loads((project / ".dvc" / "tmp" / "rwlock").read_text()) == {}


def test_the_entry_points_of_dvc_that_this_relies_on_are_there():
    code = (
        "import dvc.repo, inspect, json; print(json.dumps(list(inspect.signature(dvc.repo.Repo.reproduce).parameters)))"
    )
    names = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    assert {"targets", "all_pipelines"} <= set(names)
    assert Path(sys.executable).parent.joinpath("dvc").exists()
