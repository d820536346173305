"""What a dvc.yaml may not say, and what becomes of a commit that says it."""

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest

from pushforward.errors import USAGE, PushforwardError
from pushforward.judge import handover
from pushforward.pipeline import lint as stages

ROOT = Path(__file__).parent.parent.parent
GOOD = """\
stages:
  collect:
    foreach: ${data.months}
    do:
      cmd: python -m flights.collect ${item}
      deps: [src/collect.py]
      outs:
        - data/raw/${item}.parquet
  train:
    cmd:
      - python -m flights.train
      - echo done
    deps: [data/raw]
    outs:
      - model:
          persist: true
    metrics:
      - metrics/metrics.json:
          cache: false
"""
TRACKED = {"src/collect.py", "params.yaml", "metrics/metrics.json", "data/keep"}


def refusal(text):
    with pytest.raises(PushforwardError) as refused:
        stages.check(text if isinstance(text, bytes) else text.encode(), TRACKED, {})
    assert refused.value.exit_code == USAGE
    assert refused.value.next == "edit dvc.yaml"
    return refused.value.message


def test_a_pipeline_with_loops_lists_and_options_is_taken():
    stages.check(GOOD.encode(), TRACKED, {})


TAKEN = "stages: {{s: {{cmd: c, {0}}}}}"


@pytest.mark.parametrize(
    "outs",
    [
        "metrics: [metrics.json: {cache: false}]",
        "metrics: [{eval/scores.toml: {cache: false}}, x.csv]",
        "plots: [roc.csv: {cache: false, x: fpr}]",
        "wdir: eval, metrics: [scores.toml: {cache: false}]",
    ],
)
def test_metrics_and_plots_that_git_keeps_by_dvcs_own_word_are_taken(outs):
    stages.check(TAKEN.format(outs).encode(), {"metrics.json", "eval/scores.toml", "roc.csv", "src/a.py"}, {})


@pytest.mark.parametrize(
    ("outs", "path", "step"),
    [
        ("metrics: [metrics.json]", "metrics.json", "write `cache: false` below metrics.json in dvc.yaml; or {}"),
        ("metrics: [metrics.json: {cache: true}]", "metrics.json", "write `cache: false` below metrics.json in "),
        ("outs: [metrics.json: {cache: false}]", "metrics.json", "name metrics.json under metrics: or plots:, with "),
        ("outs: [metrics.json]", "metrics.json", "{}"),
        ("metrics: [src/a.py: {cache: false}]", "src/a.py", "{}"),
        ("plots: [eval: {cache: false}]", "eval", "git rm -r --cached eval/scores.toml, and eval into .gitignore"),
        ("metrics: [pyproject.toml: {cache: false}]", "pyproject.toml", "{}"),
        ("outs: [src]", "src", "git rm -r --cached src/a.py, and src into .gitignore"),
    ],
)
def test_what_dvc_keeps_or_could_be_code_is_not_written_over_what_git_holds(outs, path, step):
    tracked = {"metrics.json", "eval/scores.toml", "src/a.py", "pyproject.toml"}
    with pytest.raises(PushforwardError, match=rf"stage 's' writes {path}, which git already holds") as found:
        stages.check(TAKEN.format(outs).encode(), tracked, {})
    assert found.value.message.endswith("git may hold metrics and plots with `cache: false`, and what lies in metrics/")
    assert found.value.next.startswith(step.format(f"git rm -r --cached {path}, and {path} into .gitignore"))


def test_a_name_that_would_be_another_stages_address_is_refused():
    assert "has a : in its name" in refusal("stages: {'a/dvc.yaml:s': {cmd: c, outs: [o]}}")


def test_a_stage_that_runs_nothing_is_refused():
    assert "stage 's' has an empty cmd" in refusal("stages: {s: {cmd: ' ', outs: [o]}}")


def test_this_projects_own_pipelines_are_taken():
    for path in (ROOT / "dvc.yaml", ROOT / "tests" / "toy" / "dvc.yaml"):
        stages.check(path.read_bytes(), set(), {})


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("../x", "stage 'train' writes ../x, outside of the repository"),
        ("/etc/cron.d/x", "outside of the repository"),
        ("a/../../x", "outside of the repository"),
        (".git/hooks/post-merge", ".git is not the pipeline's"),
        (".dvc/config", ".dvc is not the pipeline's"),
        (".github/workflows/judge.yml", ".github is not the pipeline's"),
        ("params.yaml", "params.yaml is not the pipeline's"),
        ("pushforward.yaml", "pushforward.yaml is not the pipeline's"),
        ("./data/../dvc.lock", "dvc.lock is not the pipeline's"),
    ],
)
def test_an_out_that_is_not_the_pipelines_is_refused_before_anything_runs(out, words):
    assert words in refusal(GOOD.replace("      - model:\n          persist: true\n", f"      - {out}\n"))


@pytest.mark.parametrize("folder", ["..", "../..", "/tmp", "a/../.."])
def test_a_stage_works_inside_of_the_repository(folder):
    assert "outside of the repository" in refusal(GOOD.replace("  train:\n", f"  train:\n    wdir: {folder}\n"))


def test_an_out_is_read_from_the_folder_that_its_stage_works_in():
    moved = GOOD.replace("  train:\n", "  train:\n    wdir: a/b\n")
    stages.check(moved.encode(), TRACKED, {})
    assert "params.yaml" in refusal(moved.replace("- model:", "- ../../params.yaml:"))


@pytest.mark.parametrize("spliced", ["${train.name}", "${ train.name }", "${item} ${who}", "${itemx}"])
def test_a_parameter_does_not_become_shell_text(spliced):
    said = refusal(GOOD.replace("python -m flights.train", f"python -m flights.train {spliced}"))
    assert "params.yaml, and name the key under params:" in said


SPLICED = "vars: [other.yaml, {out: build/m.pkl}]\nstages: {train: {cmd: 'python train.py ${%s}', outs: ['${out}']}}\n"
KNOWN = {"fit": {"depth": 3, "rate": -0.1, "name": "a_b", "deep": {}, "on": True, "evil": "x; rm -rf /", "flag": "-o"}}


@pytest.mark.parametrize("key", ["out", "fit.depth", "fit.rate", "fit.name", "fit.on"])
def test_a_value_that_is_one_plain_word_may_be_put_into_a_command(key):
    stages.check((SPLICED % key).encode(), TRACKED, KNOWN)


@pytest.mark.parametrize(
    "key", ["fit.evil", "fit.flag", "fit.deep", "fit", "fit.gone", "other", "fit.depth}${fit.evil"]
)
def test_a_value_that_is_more_or_is_not_known_is_no_shell_text(key):
    with pytest.raises(PushforwardError, match=r"into its command; a value could hold shell text"):
        stages.check((SPLICED % key).encode(), TRACKED, KNOWN)


LOOP = "stages:\n  one:\n    foreach: {}\n    do:\n      cmd: echo ${{item}}\n"
MATRIX = "stages:\n  one:\n    matrix: {}\n    cmd: echo ${{item.a}}\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (LOOP.format('["a@b"]'), "the item 'a@b' of stage 'one' has an @; DVC cannot name a stage by it"),
        (LOOP.format('{"a@b": 1}'), "the item 'a@b' of stage 'one' has an @"),
        (LOOP.format('["x", ""]'), "the item '' of stage 'one' is empty"),
        (LOOP.format('{"": 1}'), "the item '' of stage 'one' is empty"),
        (LOOP.format("${data.sites}"), "the item 'ny@jfk' of stage 'one' has an @"),
        (LOOP.format('["${data.name}"]'), "'${data.name}' of stage 'one' has an @"),
        (LOOP.format('["a\\nb"]'), "has a character that cannot be printed"),
        (LOOP.format('[1, "1"]'), "the items 1 and '1' of stage 'one' are one stage to DVC, 'one@1'"),
        (LOOP.format('[true, "true"]'), "the items True and 'true' of stage 'one' are one stage"),
        (
            MATRIX.format("{a: [x-y, x], b: [z, y-z]}"),
            "the items ('x-y', 'z') and ('x', 'y-z') of stage 'one' are one stage to DVC, 'one@x-y-z': it would",
        ),
        (MATRIX.format("{a: [x@], b: [1]}"), "the item ('x@', 1) of stage 'one' has an @"),
        (MATRIX.format("{a: [''] }"), "the item ('',) of stage 'one' is empty"),
        (MATRIX.format(f"{{a: {list(range(60))}, b: {list(range(60))}}}"), "more than 2,000 combinations"),
        ("stages:\n  one@x:\n    cmd: echo\n", "stage 'one@x' has an @ in its name"),
    ],
)
def test_a_loop_that_dvc_would_trip_over_is_told_by_its_item(text, words):
    with pytest.raises(PushforwardError) as refused:
        stages.check(text.encode(), set(), {"data": {"sites": ["lga", "ny@jfk"], "name": "x@"}})
    assert words in refused.value.message
    assert (refused.value.exit_code, refused.value.next) == (USAGE, "edit dvc.yaml")


@pytest.mark.parametrize(
    "text",
    [
        LOOP.format('["2013-01", "a.b", "a/b", "é", 1, 1.5, null, x, x]'),
        LOOP.format("[{a: 1}, {a: 2}]"),
        LOOP.format("{x: 1, y: {z: 2}}"),
        LOOP.format("${data.months}"),
        LOOP.format("${nothing.such}"),
        LOOP.format("[]"),
        MATRIX.format("{a: [x, y], b: [1, 2, 1]}"),
        MATRIX.format("{a: [{k: 1}, {k: 2}], b: [true, null]}"),
        MATRIX.format("{a: '${data.months}'}"),
        MATRIX.format("{}"),
    ],
)
def test_a_loop_that_dvc_takes_is_taken(text):
    stages.check(text.encode(), set(), {"data": {"months": ["2013-01", "2013-02"]}})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "must be a mapping"),
        (b"- a", "must be a mapping"),
        (b"stages: [a]", "must be a mapping of stages"),
        (b"stages:\n  a: 1", "stage 'a' must be a mapping"),
        (b"stages: [", "line 1"),
        (b"stages:\n\ta: 1", "line 2"),
        (b"<<<<<<< HEAD\nstages: {}\n", "line 2"),
        (b"stages: {}\nstages: {}\n", "duplicate key"),
        (b"\xff\xfe", "not UTF-8"),
        (b"a: \x00", ""),
        (b"stages: !!python/object/apply:os.system [touch PWNED]", ""),
        (b"x" * 300_000, "300,000 bytes"),
        (b"[" * (stages.LIMIT_DEPTH + 1) + b"]" * (stages.LIMIT_DEPTH + 1), "nested too deep"),
    ],
    ids=range(13),
)
def test_no_bytes_bring_it_down(text, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert words in refusal(text)
    assert not list(tmp_path.glob("PWNED"))


@pytest.mark.parametrize(
    "text", ["a: &a [x, x, x]\nb: [*a, *a]\n", "a: &a {k: v, l: w}\nb:\n  <<: [*a, *a]\n"], ids=["lists", "merges"]
)
def test_a_pipeline_is_measured_by_what_its_aliases_stand_for(text, monkeypatch):
    """Before any of it is built: a few lines can stand for more than a machine holds."""
    monkeypatch.setattr(stages, "LIMIT_NODES", 30)
    stages.check(text.encode(), set(), {})
    monkeypatch.setattr(stages, "LIMIT_NODES", 10)
    assert "stands for more than 10 values" in refusal(text)


@pytest.fixture
def toy(tmp_path, git):
    folder = tmp_path / "toy"
    for name, text in {
        "params.yaml": (ROOT / "tests" / "toy" / "params.yaml").read_text(),
        "pushforward.yaml": 'tool: "0.2.0"\nmodels:\n  toy: {environment: []}\n',
        ".dvc/config": "[core]\n    analytics = false\n",
        "dvc.yaml": "stages:\n  one:\n    cmd: echo x > a\n    outs: [a]\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "Begin")
    return folder


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("outs: [a]", "outs: [../a]", "outside of the repository"),
        ("outs: [a]", "outs: [a]\n  two:\n    cmd: echo y > a\n    outs: [a]", "a is an out of more than one stage"),
        (
            "outs: [a]",
            "outs: [b]\n    deps: [c]\n  two:\n    cmd: cp b c\n    deps: [b]\n    outs: [c]",
            "depend on each other in a circle",
        ),
    ],
)
def test_a_pipeline_that_cannot_be_is_a_mistake_of_the_commit_and_the_judge_is_told(toy, old, new, words):
    (toy / "dvc.yaml").write_text((toy / "dvc.yaml").read_text().replace(old, new))
    command = [str(ROOT / ".venv" / "bin" / "pushforward"), "repro", "--out", "handed"]
    env = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, cwd=toy, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == USAGE, done.stderr
    assert words in done.stderr
    assert "next: edit dvc.yaml" in done.stderr
    assert "Traceback" not in done.stderr
    record = json.loads((toy / "handed" / "run.json").read_text())
    assert record["outcome"] == "failed"
    assert words in record["message"]
    assert not (toy.parent / "a").exists()


def test_below_level_3_and_without_params_the_pipeline_runs_and_nothing_is_scored(toy):
    """`repro` leaves what was run, `score` says that there is nothing to score; what a plan would need is refused."""
    (toy / "params.yaml").unlink()
    env = os.environ | {"PYTHONPATH": str(ROOT / "src")}

    def run(*args):
        command = [str(ROOT / ".venv" / "bin" / "pushforward"), *args]
        return subprocess.run(command, cwd=toy, env=env, capture_output=True, text=True, check=False)

    done = run("repro", "--out", "handed")
    assert done.returncode == 0, done.stderr
    assert "1 ran" in done.stdout
    record = json.loads((toy / "handed" / "run.json").read_text())
    assert record["outcome"] == "ok"
    scored = run("score", "--out", "handed")
    assert (scored.returncode, scored.stdout) == (
        0,
        "  level 0 (rerun): nothing is scored; what the run wrote is handed over as it is\n",
    )
    refused = run("gate", "--plan")
    assert refused.returncode == USAGE, refused.stderr
    assert "the model toy is at level 0 (rerun), and judging it needs level 3: `holdout`" in refused.stderr
    assert "next: pushforward adopt --level 3" in refused.stderr


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("params.yaml", "a: &a [x\nb: [*a]\n", "params.yaml:2"),
        ("pushforward.yaml", "models: &a [x]\ngate: *a\n", "anchor or alias"),
        ("pushforward.yaml", 'tool: "0.2.0"\nmodels: {toy: {}}\ngate: {windw: 2}\n', "did you mean 'window'"),
        (
            "params.yaml",
            "train: {since: 2013-01-01}\n",
            'quote the date at train.since, or DVC cannot read the file: "2013-01-01"',
        ),
        ("pushforward.yaml", "gate: {}\ngate: {}\n", "duplicate key"),
        ("params.yaml", f"a: {'[' * 41}", "params.yaml"),
    ],
    ids=["alias", "alias of ours", "typo", "date", "twice", "deep"],
)
def test_settings_that_cannot_be_read_are_told_to_the_judge(toy, file, text, words):
    (toy / file).write_text(text)
    command = [str(ROOT / ".venv" / "bin" / "pushforward"), "repro", "--out", "handed"]
    env = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, cwd=toy, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (USAGE, False), done.stderr
    read = handover.read(toy / "handed")
    assert read.reproduction.outcome == "failed"
    assert words in read.reproduction.message


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("src/toy/__pycache__/pipeline.cpython-311.pyc", "src/toy/__pycache__"),
        ("__pycache__/conftest.cpython-312.pyc", "__pycache__"),
        ("a b/__pycache__/x.pyc", "a b/__pycache__"),
        ("src/__pycache__/deep/__pycache__/x.pyc", "src/__pycache__"),
        ("src/__pycache__/readme.txt", "src/__pycache__"),
        ("src/toy/hidden.pyc", "src/toy/hidden.pyc"),
        ("old.pyo", "old.pyo"),
    ],
)
def test_bytecode_that_git_holds_is_named_with_the_command_that_drops_it(path, named):
    with pytest.raises(PushforwardError) as refused:
        stages.check_bytecode(["README.md", path, "zz.py"])
    assert refused.value.message.startswith(f"git holds {named}: compiled Python")
    assert refused.value.next == f"git rm -r --cached {shlex.quote(named)}, and __pycache__/ into .gitignore"


def test_other_files_are_no_bytecode():
    stages.check_bytecode(["a__pycache__/x.py", "__pycache__.md", "src/pyc", "x.pyc.md", "src/__pycache__x/y"])


def test_a_commit_with_bytecode_is_told_so_before_anything_runs(toy, git):
    (toy / "src" / "__pycache__").mkdir(parents=True)
    (toy / "src" / "__pycache__" / "x.pyc").write_bytes(b"")
    git(toy, "add", "-A", "-f")
    git(toy, "commit", "-q", "-m", "Add too much")
    command = [str(ROOT / ".venv" / "bin" / "pushforward"), "repro", "--out", "handed"]
    env = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, cwd=toy, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, "git holds src/__pycache__: compiled Python" in done.stderr) == (USAGE, True), done.stderr
    assert "git holds src/__pycache__" in handover.read(toy / "handed").reproduction.message
