"""The pipeline under DVC: a new month costs one month, and what changed decides what runs."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.whole

ROOT = Path(__file__).parents[2]


def test_every_file_of_the_example_is_a_dependency_of_the_stage_that_imports_it():
    """What a stage imports decides its bytes; a module that dvc.yaml forgets would change them unnoticed."""
    stages = re.split(r"\n  (?=[a-z]+:\n)", (ROOT / "dvc.yaml").read_text())
    checked = 0
    for stage in stages:
        command = re.search(r"cmd: python -m flights\.(\w+)", stage)
        if not command:
            continue
        listed = set(re.findall(r"src/flights/(\w+)\.py", stage))
        assert listed == _imported(command[1]), command[1]
        checked += 1
    assert checked == 7


def _imported(module):
    found, queue = set(), [module]
    while queue:
        name = queue.pop()
        if name not in found:
            found.add(name)
            source = (ROOT / f"src/flights/{name}.py").read_text()
            queue += re.findall(r"^ *from flights\.(\w+) import", source, flags=re.MULTILINE)
    return found


def test_no_command_of_the_pipeline_takes_free_text():
    for expression in re.findall(r"cmd:.*?\$\{(.*?)\}", (ROOT / "dvc.yaml").read_text()):
        assert expression == "item"


@pytest.fixture
def repository(tmp_path, months, trained):
    """This repository's pipeline in a new git repository, on thinned months from a folder."""
    folder = tmp_path / "repository"
    folder.mkdir()
    for name in ("dvc.yaml", ".dvcignore", ".gitignore", "data/.gitignore"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    shutil.copytree(ROOT / "src/flights", folder / "src/flights", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "requirements").mkdir()
    shutil.copy(ROOT / "requirements/run.txt", folder / "requirements/run.txt")
    feed = tmp_path / "feed"
    feed.mkdir()
    for name, month in months.items():
        month.flights.drop("source_file", "source_row").write_csv(feed / f"flights-{name}.csv")
        month.weather.drop("source_file", "source_row").write_csv(feed / f"weather-{name}.csv")
    text = (trained / "params.yaml").read_text().replace("SOURCE", str(feed)).replace('    - "2013-03"\n', "")
    (folder / "params.yaml").write_text(text)
    shutil.copy(trained / "pushforward.yaml", folder)
    return folder


def _dvc(folder, *arguments):
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(folder.parent),
        "PYTHONPATH": str(folder / "src"),
        "DVC_SITE_CACHE_DIR": str(folder.parent / "site"),
        "DVC_NO_ANALYTICS": "1",
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def _ran(output):
    return set(re.findall(r"Running stage '(.*?)'", output))


def test_the_committed_lock_is_of_these_files(tmp_path):
    """What it names is here; that the pipeline makes of that what it says, tests/test_flights_push.py tries."""
    folder = tmp_path / "repository"
    for name in ("src/flights", "metrics"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "requirements").mkdir()
    for name in ("dvc.yaml", "dvc.lock", "params.yaml", "pushforward.yaml", "requirements/run.txt"):
        shutil.copy(ROOT / name, folder / name)
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    assert _dvc(folder, "init", "-q")[0] == 0

    def would_run():  # without data to begin with, DVC ends at the first stage that it would have to run
        status, output = _dvc(folder, "repro", "--dry", "--allow-missing")
        return output if status or _ran(output) else ""

    said = would_run()
    assert said == "", f"dvc.lock is of other files: type `make lock-data`, and commit dvc.lock and metrics/\n{said}"
    for name, old, new in (("params.yaml", "  seed: 7", "  seed: 8"), ("src/flights/train.py", "import", "\nimport")):
        text = (folder / name).read_text()
        (folder / name).write_text(text.replace(old, new, 1))
        assert "train" in would_run(), name
        (folder / name).write_text(text)


@pytest.mark.slow
def test_a_new_month_runs_the_row_wise_stages_of_that_month_only(repository):
    subprocess.run(["git", "init", "-q", str(repository)], check=True)
    assert _dvc(repository, "init", "-q")[0] == 0
    params = repository / "params.yaml"
    status, output = _dvc(repository, "repro", "features@2013-01", "features@2013-02")
    assert status == 0, output
    params.write_text(params.read_text().replace('    - "2013-02"\n', '    - "2013-02"\n    - "2013-03"\n'))
    status, output = _dvc(repository, "repro")
    assert status == 0, output
    after = {"lookback", "holdout", "train", "evaluate"}
    assert _ran(output) == {"collect@2013-03", "validate@2013-03", "features@2013-03"} | after

    assert _ran(_dvc(repository, "repro")[1]) == set()
    params.write_text(params.read_text().replace("max_depth: 3", "max_depth: 2"))
    assert _ran(_dvc(repository, "repro")[1]) == {"train", "evaluate"}
    assert "logloss" in _dvc(repository, "metrics", "show")[1]
    drawn = json.loads(_dvc(repository, "plots", "show", "--json")[1])
    assert {f"metrics/{name}.csv" for name in ("learning", "importance", "calibration", "slices")} <= set(drawn["data"])
    source = repository.parent / "feed/flights-2013-03.csv"
    source.write_text(source.read_text().replace(",JFK,", ",XXX,", 1))
    assert _dvc(repository, "repro", "-f", "-s", "collect@2013-03")[0] == 0
    status, output = _dvc(repository, "repro", "validate@2013-03")
    assert status != 0
    assert "'XXX' is not one of EWR, JFK, LGA" in output
    assert "exited with 3" in output
    assert "Traceback" not in output
