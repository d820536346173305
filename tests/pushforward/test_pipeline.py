"""Real DVC, in a project of three stages that take no time."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pushforward import pipeline
from pushforward.errors import PushforwardError
from pushforward.git import Repository

DVC_YAML = """\
stages:
  first:
    cmd: cat source.txt > out/first.txt
    deps: [source.txt]
    outs: [out/first.txt]
  second:
    cmd: (cat out/first.txt; python3 -c "print(1)") > out/second.txt
    deps: [out/first.txt]
    params: [scale]
    outs: [out/second.txt]
  third:
    cmd: wc -c out/second.txt > metrics/size.json
    deps: [out/second.txt]
    metrics:
      - metrics/size.json:
          cache: false
"""


@pytest.fixture
def project(tmp_path, git):
    folder = tmp_path / "project"
    (folder / ".dvc").mkdir(parents=True)
    for name in ("out", "metrics"):
        (folder / name).mkdir()
        (folder / name / "keep").touch()
    (tmp_path / "store").mkdir()
    (folder / ".dvc" / "config").write_text(
        "[core]\n    remote = store\n    analytics = false\n[cache]\n    type = copy\n"
        "['remote \"store\"']\n    url = ../../store\n    verify = true\n"
    )
    (folder / ".dvc" / ".gitignore").write_text("/cache\n/tmp\n/config.local\n")
    (folder / ".gitignore").write_text("out/*.txt\nout/.gitignore\n")
    (folder / "dvc.yaml").write_text(DVC_YAML)
    (folder / "params.yaml").write_text("scale: 1\n")
    (folder / "source.txt").write_text("one\n")
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "Begin")
    return folder


def outcomes(done):
    return {stage.name: stage.outcome for stage in done.stages}


def run(folder, **options):
    return pipeline.reproduce(folder, **{"pull": True, "push": True, "say": lambda _: None} | options)


def clone(git, project, name):
    folder = project.parent / name
    git(project.parent, "clone", "-q", str(project), str(folder))
    shutil.copytree(project / "metrics", folder / "metrics", dirs_exist_ok=True)
    return folder


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
    assert sorted(pipeline.read_lock((project / "dvc.lock").read_bytes())) == ["first", "second"]


def test_a_spoiled_object_in_the_remote_stops_the_run(project):
    run(project)
    name = pipeline.read_lock((project / "dvc.lock").read_bytes())["first"]["outs"][0]["md5"]
    stored = project.parent / "store" / "files" / "md5" / name[:2] / name[2:]
    stored.chmod(0o644)
    stored.write_text("two\n")
    stored.chmod(0o444)
    with pytest.raises(PushforwardError, match=r"lacks or spoils 1 .*out/first.txt") as refused:
        run(project)
    assert refused.value.exit_code == 6


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


def test_a_stage_that_writes_over_the_commit_is_refused(project, git):
    text = DVC_YAML.replace("cat source.txt > out/first.txt", "cat source.txt > out/first.txt; echo >> params.yaml")
    (project / "dvc.yaml").write_text(text)
    git(project, "commit", "-q", "-am", "Meddle")
    run(project)
    with pytest.raises(PushforwardError, match=r"changed params.yaml"):
        pipeline.untouched(Repository(project))


def test_only_what_one_out_needs_is_built(project):
    pipeline.build(project, "out/first.txt", say=lambda _: None)
    assert (project / "out" / "first.txt").exists()
    assert not (project / "out" / "second.txt").exists()
    with pytest.raises(PushforwardError, match="no stage"):
        pipeline.build(project, "out/none.txt", say=lambda _: None)


def test_reasons_are_read_from_two_locks():
    before = {"cmd": "a", "deps": [{"path": "x", "md5": "1"}, {"path": "z", "md5": "1"}], "params": {"p": {"k": 1}}}
    after = {
        "cmd": "b",
        "deps": [{"path": "x", "md5": "2"}, {"path": "y", "md5": "1"}],
        "params": {"p": {"k": 2, "n": 3}},
    }
    assert pipeline.reason(before, after) == "its command, x, y, z (gone) and 2 more"
    assert pipeline.reason(None, after) == "new stage"
    months = {"params": {"p": {"data.months": ["2013-01"], "train": {"depth": 4, "seed": 1}}}}
    later = {"params": {"p": {"data.months": ["2013-01", "2013-02"], "train": {"depth": 6, "seed": 1}}}}
    assert pipeline.reason(months, later) == "data.months +2013-02, train.depth 4 → 6"


def test_the_commands_see_this_python_first(project):
    (project / "dvc.yaml").write_text(
        DVC_YAML.replace("cat source.txt >", "python -c 'import sys; print(sys.prefix)' >")
    )
    run(project)
    assert (project / "out" / "first.txt").read_text().strip() == sys.prefix


def test_the_entry_points_of_dvc_that_this_relies_on_are_there():
    code = (
        "import dvc.repo, inspect, json; print(json.dumps(list(inspect.signature(dvc.repo.Repo.reproduce).parameters)))"
    )
    names = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    assert {"targets", "all_pipelines"} <= set(names)
    assert Path(sys.executable).parent.joinpath("dvc").exists()


def test_all_options_of_a_remote_go_along_and_relative_places_become_absolute(tmp_path):
    root = tmp_path / "a,b" / "clone"
    (root / ".dvc").mkdir(parents=True)
    (root / ".dvc" / "config").write_text(
        '[core]\n    remote = s\n[cache]\n    dir = ../../cache\n[\'remote "s"\']\n    url = "../../store #1"\n'
        "['remote \"other\"']\n    url = s3://other\n"
    )
    (root / ".dvc" / "config.local").write_text("['remote \"s\"']\n    jobs = 4\n    verify = true\n")
    there = pipeline.storage(root)
    assert there.cache == tmp_path / "a,b" / "cache"
    assert there.options == {"url": f"{tmp_path}/a,b/store #1", "jobs": "4", "verify": "true"}
    (tmp_path / "x" / ".dvc").mkdir(parents=True)
    (tmp_path / "x" / ".dvc" / "config").write_text(there.config())
    assert pipeline.storage(tmp_path / "x") == there
    from dvc.config import Config

    read = Config(dvc_dir=str(tmp_path / "x" / ".dvc"))
    assert (read["cache"]["dir"], read["core"]["remote"]) == (str(there.cache), "s")
    assert {key: str(read["remote"]["s"][key]).lower() for key in there.options} == there.options
