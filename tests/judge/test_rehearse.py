"""A rehearsal tells every fault of a push at once, runs what a push runs, and writes nowhere."""

import json
import sys

import pytest
from click.testing import CliRunner
from tests.foreign import test_plain_rows as plain
from tests.foreign import test_rerun as rerun
from tests.foreign.shapes import Foreign

from pushforward.commands.cli import main

pytestmark = pytest.mark.whole

SHAPE = plain.SHAPE | {
    ".dvc/.gitignore": "/config.local\n/cache\n/tmp\n",
    ".gitignore": "/model.pkl\n/data\n/.venv\n/handover/\n/verdict/\n__pycache__\n",
}


@pytest.fixture
def project(tmp_path, git, monkeypatch):
    return Foreign(tmp_path, git, monkeypatch, SHAPE)


def rehearsed(project, *options):
    said = project.invoke("rehearse", "--json", *options, fails=True)
    assert "{\n" in said, said
    return json.loads(said[said.index("{\n") :])


def state(*folders):
    """When each file was written; the index is but refreshed by `git status`."""
    found = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    return {str(path): path.stat().st_mtime_ns for path in found if path.name != "index"}


def test_a_sound_project_would_be_judged_and_nothing_is_written(project, git):
    project.write({"notes.txt": "not committed"})
    before = state(project.root, project.root.parent / "store")
    said = project.invoke("rehearse")
    assert "a push of HEAD" in said
    assert (
        "would be judged: 600 rows, taken as independent, squared\n  next: pushforward init, then git push local main\n"
        in said
    )
    assert "not rehearsed, for it is not committed: notes.txt" in said
    assert state(project.root, project.root.parent / "store") == before


def test_every_fault_of_a_push_is_told_at_once(project, git):
    """A column that is not there, a file that is nowhere, and a score that reads what the judge does not have."""
    project.write(
        {
            "raw.csv": "a\n1\n",
            "raw.csv.dvc": "outs:\n- md5: 0123456789abcdef0123456789abcdef\n  size: 4\n  hash: md5\n  path: raw.csv\n",
            ".gitignore": SHAPE[".gitignore"] + "/raw.csv\n/words.json\n",
            "dvc.yaml": plain.DVC.replace("data/holdout]", "data/holdout, words.json]"),
            "prepare.py": plain.PREPARE + "open('words.json', 'w').write('{}')\n",
            "predict.py": "open('words.json').read()\n" + plain.PREDICT,
            "pushforward.yaml": plain.SETTINGS.replace("slices: [town]", "slices: [country]").replace(
                "    loss: squared\n", "    loss: squared\n    card: card.md\n"
            ),
        }
    )
    project.commit("Break")
    found = rehearsed(project)
    told = [(one["file"], one["line"], one["what"], one["next"]) for one in found["faults"]]
    kept = "have the stage that makes model.pkl keep words.json in it: the judge has code, model and rows alone"
    lost = "scoring in checkout/ failed with exit status 1: predict.py:1: FileNotFoundError: [Errno 2] "
    again = "dvc push raw.csv.dvc where it was added, or dvc add raw.csv again"
    column = "data/holdout/labels.csv has no column country; it has id, price, town"
    settings = "pushforward.yaml"
    assert told == [
        (settings, 6, column, "write the name of the column, or have a stage write it"),
        (settings, 7, f"score: {lost}No such file or directory: 'words.json'", kept),
        (settings, 9, "card.md is not there", "write card.md, or take the line out"),
        ("raw.csv.dvc", 0, "raw.csv is neither in the store nor in the cache of this clone", again),
    ]


def test_what_a_stage_and_a_dependency_lack_is_told_with_the_holdout_that_can_be_made(project):
    """The training fails and a dependency is nowhere; the holdout is made all the same, and is too small."""
    project.write(
        {
            "dvc.yaml": plain.DVC.replace("deps: [train.py,", "deps: [train.py, gone.txt,"),
            "prepare.py": plain.PREPARE.replace("range(1200)", "range(650)"),
            "train.py": "raise ValueError('no number at all')\n",
        }
    )
    project.commit("Break")
    told = [(one["file"], one["line"], one["what"]) for one in rehearsed(project)["faults"]]
    assert told == [
        ("data/holdout", 0, "the holdout has 50 rows; at least 100 are needed"),
        ("dvc.yaml", 8, "stage train needs gone.txt, which git does not hold and no stage makes"),
    ]
    project.edit("dvc.yaml", " gone.txt,", "")
    failed = rehearsed(project)["faults"]
    what = "stage train failed: train.py:1: ValueError: no number at all"
    assert [one["what"] for one in failed if one["file"] == "dvc.yaml"] == [what]


def test_data_that_is_only_in_the_cache_is_to_be_pushed_and_the_rest_is_rehearsed_with_it(project):
    oid = "b026324c6904b2a9cb4b88d6d61c81d1"  # the MD5 of "1\n"
    project.write(
        {
            "raw.txt.dvc": f"outs:\n- md5: {oid}\n  size: 2\n  hash: md5\n  path: raw.txt\n",
            f".dvc/cache/files/md5/{oid[:2]}/{oid[2:]}": "1\n",
            ".gitignore": SHAPE[".gitignore"] + "/raw.txt\n",
            "dvc.yaml": plain.DVC.replace("deps: [prepare.py]", "deps: [prepare.py, raw.txt]"),
        }
    )
    project.commit("Add data")
    found = rehearsed(project)
    assert [(one["file"], one["what"], one["next"]) for one in found["faults"]] == [
        ("raw.txt.dvc", "raw.txt is not in the store", "dvc push raw.txt.dvc")
    ]
    assert found["rests_on"] == "600 rows, taken as independent, squared"
    place = project.root.parent / "store" / "files" / "md5" / oid[:2]
    place.mkdir(parents=True)
    (place / oid[2:]).write_text("1\n")
    assert rehearsed(project)["faults"] == []


def test_the_work_tree_is_rehearsed_where_that_is_asked(project):
    project.write({"predict.py": "raise KeyError('unfinished')\n", "new/words.txt": "one"})
    (project.root / "train.py").unlink()
    assert rehearsed(project)["faults"] == []
    found = rehearsed(project, "--worktree")
    assert [one["what"] for one in found["faults"] if one["line"]] == [
        "stage train needs train.py, which git does not hold and no stage makes"
    ]
    assert found["unasked"] == []
    project.write({"train.py": plain.TRAIN})
    (last,) = rehearsed(project, "--worktree")["faults"]
    assert "KeyError: 'unfinished'" in last["what"]


def test_predictions_that_differ_from_call_to_call_are_a_fault_beyond_rounding_and_a_remark_within(project):
    noise = "import random\n_predict = lambda p: [x * (1 + random.random() * {}) for x in p]\n"
    text = plain.PREDICT.replace("model.predict([[", "_predict(model.predict([[").replace("in rows])))", "in rows]))))")
    project.write({"predict.py": noise.format("1e-15") + text})
    project.commit("Round")
    found = rehearsed(project)
    assert found["faults"] == []
    assert any(one.startswith("scored twice, ") and one.endswith("passes for rounding") for one in found["remarks"])
    project.write({"predict.py": noise.format("0.1") + text})
    project.commit("Guess")
    (one,) = rehearsed(project)["faults"]
    assert one["what"].startswith("score: scored twice, 600 of 600 predictions differ by up to ")


def test_a_store_that_does_not_answer_is_told_with_its_cause(project):
    project.edit(".dvc/config", f"{project.root.parent}/store", "nowhere://bucket/x")
    (project.root / "raw.txt.dvc").write_text("outs:\n- md5: b026324c6904b2a9cb4b88d6d61c81d1\n  path: raw.txt\n")
    project.commit("Add data")
    (one, *_) = rehearsed(project)["faults"]
    assert one["file"] == ".dvc/config"
    assert "nowhere" in one["what"]


MISSING = "the remote s is read with dvc-s3, which is not where pushforward is installed"


def test_a_store_whose_driver_is_not_installed_names_it(project, monkeypatch):
    monkeypatch.setitem(sys.modules, "dvc_s3", None)  # whoever has it, has it not
    project.edit(".dvc/config", f"{project.root.parent}/store", "s3://bucket/x")
    project.edit("pushforward.yaml", "{path: data/holdout,", "{path: data/rows,")
    assert [(one["file"], one["what"], one["next"]) for one in rehearsed(project)["faults"]] == [
        (
            ".dvc/config",
            f"the store s3://bucket/x cannot be read: {MISSING}",
            "uv tool install 'pushforward[s3]', or pip install it there; then pushforward init",
        ),
        (
            "pushforward.yaml",
            "data/rows (holdout) is no out of dvc.yaml",
            "write it under outs: of the stage of dvc.yaml that makes it",
        ),
    ]


def test_init_ends_with_what_the_project_lacks_and_does_not_fail(project):
    project.edit("pushforward.yaml", "    loss: squared\n", "    loss: squared\n    card: card.md\n")
    said = project.invoke("init")
    assert "lacks    pushforward.yaml:9: card.md is not there\n  next: write card.md, or take the line out\n" in said
    assert said.splitlines()[-1].startswith("next     pushforward rehearse, and then git push local ")


def test_a_model_that_is_more_than_a_server_takes_is_told(project):
    project.edit("pushforward.yaml", "gate:\n", "server: {handover_mib: 1}\ngate:\n")
    project.edit("train.py", "pickle.dump((names, ", "pickle.dump((names, bytes(1 << 21), ")
    project.edit("predict.py", "names, model =", "names, _, model =")
    (one,) = rehearsed(project)["faults"]
    assert "the hand-over, the model in it, has more than 1 MiB (server.handover_mib" in one["what"]
    assert one["what"].endswith(": model has 2 MiB")


def test_of_one_cause_one_fault_is_told(project, git):
    """No settings, no store, a lock that git ignores, a file that is no YAML: DVC would tell of each in its own way."""
    project.write({"dvc.yaml": "stages:\n  a:\n    cmd: echo a: b\n", ".dvc/config": ""})
    (project.root / "pushforward.yaml").unlink()
    git(project.root, "rm", "-q", "--cached", "pushforward.yaml")
    project.write({".gitignore": SHAPE[".gitignore"] + "dvc.lock\n"})
    project.commit("Break")
    found = rehearsed(project)
    assert [(one["file"], one["line"], one["what"]) for one in found["faults"]] == [
        (".dvc/config", 0, "it names no default remote"),
        (".gitignore", 0, "git ignores dvc.lock, and DVC refuses to run"),
        ("dvc.yaml", 3, "mapping values are not allowed here"),
        ("pushforward.yaml", 0, "it is not there"),
    ]


def test_before_the_first_commit_there_is_nothing_to_rehearse(tmp_path, git, monkeypatch):
    git(tmp_path, "init", "-q")
    (tmp_path / "dvc.yaml").write_text("stages: {a: {cmd: a}}\n")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["rehearse"])
    assert done.exit_code == 2
    assert done.output.endswith(" yet\n  next: git add -A && git commit\n")


@pytest.fixture
def metered(tmp_path, git, monkeypatch):
    ignored = {".gitignore": rerun.SHAPE[".gitignore"] + "/.venv\n", ".dvc/.gitignore": SHAPE[".dvc/.gitignore"]}
    return Foreign(tmp_path, git, monkeypatch, rerun.SHAPE | ignored)


def test_the_limits_of_what_a_run_writes_are_tried(metered):
    """A broken one would hold the push, one that asks for the number before waits, one of no number is a fault."""
    limits = rerun.LIMITS.replace("at_most: 3", "at_most: 1")
    metered.write({"pushforward.yaml": rerun.SETTINGS + limits})
    metered.commit("Limit")
    found = rehearsed(metered)
    assert (found["level"], found["faults"]) == (1, [])
    held = [one for one in found["remarks"] if "held" in one]
    assert held == ["a push would be held: metrics/found.json:rows is 2, and at_most asks for 1"]
    metered.write({"pushforward.yaml": rerun.SETTINGS + limits.replace("test.rate", "test.auc")})
    metered.commit("Misname")
    (fault,) = rehearsed(metered)["faults"]
    assert (fault["file"], fault["line"], fault["what"], fault["next"]) == (
        "pushforward.yaml",
        7,
        'metrics."metrics/found.json:test.auc": the run wrote no such number',
        "have the stage that makes metrics/found.json write it, or mend the name",
    )
