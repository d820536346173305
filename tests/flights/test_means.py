"""What a model is fitted with: the same bytes from files as from memory, a cluster of real processes, and refusals."""

import fcntl
import json
import os
import re
import signal
import subprocess
import time
import weakref
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import xgboost

from flights import evaluate, holdout, train
from flights.errors import StageError
from flights.metrics import auc, log_loss
from flights.params import read_section
from flights.schema import EVENTS, SCORED, read_columns
from flights.train import Train

pytestmark = pytest.mark.whole

ROOT = Path(__file__).parents[2]
QUIET = ("--no-dashboard", "--dashboard-address", "127.0.0.1:0")
MADE = ("model/model.ubj", "metrics/metrics.json", "metrics/learning.csv", "metrics/importance.csv")


def _set(project, **means):
    path = project / "params.yaml"
    lines = "".join(f"  {name}: {value}\n" for name, value in means.items())
    path.write_text(path.read_text().replace("train:\n", f"train:\n{lines}", 1))


def test_a_fit_from_files_gives_the_bytes_of_a_fit_in_memory_and_leaves_no_file(project, trained):
    _set(project, memory="external")
    for path in MADE:
        (project / path).unlink()
    train.main([])
    evaluate.main([])
    for path in MADE:
        assert (project / path).read_bytes() == (trained / path).read_bytes(), path
    predictions = (pl.read_parquet(folder / "data/predictions.parquet") for folder in (project, trained))
    assert next(predictions).equals(next(predictions))
    assert sorted(path.name for path in (project / "data").iterdir()) == sorted(
        path.name for path in (trained / "data").iterdir()
    )
    manifest = json.loads((project / "model/manifest.json").read_text())
    fitted = {"device": "cpu", "memory": "external", "input": "host", "cluster": "none", "reproducible": True}
    fitted |= {"xgboost": xgboost.__version__}
    assert manifest["fitted"] == fitted
    assert json.loads((trained / "model/manifest.json").read_text())["fitted"] == fitted | {"memory": "in-core"}


def test_from_files_no_more_than_a_month_is_in_memory(project, monkeypatch):
    _set(project, memory="external")
    held, most = set(), [0]

    def table(month, read=train.training_table):
        found = read(month)
        held.add(id(found))
        weakref.finalize(found, held.discard, id(found))
        most.append(len(held))
        return found

    monkeypatch.setattr(train, "training_table", table)
    train.main([])
    # The validation month is watched while a month before it is read, which the last one read still waits for.
    assert 0 < max(most) <= 3


def test_a_large_holdout_is_the_same_rows_written_month_by_month(project, monkeypatch):
    names = ("rows", "events", "labels")
    whole = {name: pl.read_parquet(f"data/holdout/{name}.parquet") for name in names}
    monkeypatch.setattr(holdout, "AT_ONCE", 0)
    holdout.main([])
    for name, table in whole.items():
        assert pl.read_parquet(f"data/holdout/{name}.parquet").equals(table), name
    assert sorted(path.name for path in (project / "data/holdout").iterdir()) == sorted(
        f"{name}.parquet" for name in names
    )


def test_of_three_months_each_event_comes_once_and_in_order(project):
    paths = [project / f"data/valid/events/2013-0{month}.parquet" for month in (1, 2, 3)]
    parts = list(holdout.merged(paths))
    assert len(parts) == 3
    whole = pl.concat([pl.read_parquet(path) for path in paths]).select(list(EVENTS)).sort(holdout.ORDER)
    assert pl.concat(parts).equals(whole)


def test_the_metrics_of_many_rows_are_those_of_few(monkeypatch):
    from sklearn.metrics import roc_auc_score

    from flights import metrics

    random = np.random.default_rng(5)
    p = np.round(random.random(1000), 2)
    y = (random.random(1000) < p).astype(np.int8)
    whole = log_loss(y, p), auc(y, p)
    monkeypatch.setattr(metrics, "CHUNK", 7)
    assert (log_loss(y, p), auc(y, p)) == whole
    assert auc(y, p) == pytest.approx(roc_auc_score(y, p), abs=1e-15)


def test_columns_of_a_file_that_is_too_large_to_be_read_are_read(project, monkeypatch):
    from flights import sizes

    path = project / "data/predictions.parquet"
    monkeypatch.setattr(sizes, "LIMIT_MEMORY", 1000)
    found = read_columns(path, SCORED, pl.col("part") == "validation", ["late"])
    assert found.columns == ["late"]
    assert 0 < found.height < pl.scan_parquet(path).select(pl.len()).collect().item()


def test_a_gpu_where_there_is_none_is_refused_before_anything_is_fitted(project, monkeypatch):
    _set(project, device="cuda")
    before = (project / "model/model.ubj").read_bytes()
    monkeypatch.setattr(train, "training_table", None)
    with pytest.raises(StageError, match=r"train\.device: cuda, and this XGBoost .* is built without CUDA") as refused:
        train.main([])
    assert refused.value.exit_code == 6
    assert (project / "model/model.ubj").read_bytes() == before


def test_a_gpu_that_xgboost_does_not_find_is_refused(project, monkeypatch):
    _set(project, device="cuda")
    monkeypatch.setattr(xgboost, "build_info", lambda: {"USE_CUDA": True})
    with pytest.raises(StageError, match="there is no GPU that XGBoost can use") as refused:
        train.main([])
    assert refused.value.exit_code == 6


@pytest.mark.parametrize(
    ("means", "words"),
    [
        ({"memory": "external", "cluster": "dask"}, "memory: external is for one machine"),
        ({"memory": "external", "device": "cuda"}, "no GPU fit takes"),
        ({"scheduler": "tcp://10.0.0.1:8786"}, "a scheduler is named and cluster is none"),
        ({"cluster": "dask", "scheduler": "10.0.0.1:8786"}, "train.scheduler"),
        ({"device": "tpu"}, "train.device"),
    ],
)
def test_means_that_do_not_go_together_are_refused_with_their_line(project, means, words):
    _set(project, **means)
    with pytest.raises(StageError, match=re.escape(words)) as refused:
        read_section("train", Train)
    assert refused.value.exit_code == 2


def test_a_cluster_without_dask_is_refused_with_the_lock_that_has_it(project):
    _set(project, cluster="dask")
    with pytest.raises(StageError, match="needs dask, distributed, pandas, pyarrow") as refused:
        train.main([])
    assert refused.value.exit_code == 6
    assert "requirements/dask.txt" in refused.value.next_step


@pytest.fixture(scope="session")
def dask_bin() -> Path:
    """The environment of `make env-dask`, built where it is not there yet."""
    folder = ROOT / ".venv-dask"
    (ROOT / ".pytest_cache").mkdir(exist_ok=True)
    with (ROOT / ".pytest_cache" / "dask.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        built = subprocess.run(["make", "-s", "env-dask"], cwd=ROOT, capture_output=True, text=True, check=False)
    if built.returncode:
        pytest.skip(f"no environment with Dask: {built.stderr[-300:]}")
    return folder / "bin"


def _stage(name, dask_bin, **more):
    return subprocess.Popen(
        [dask_bin / "python", "-m", f"flights.{name}"],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_WAIT_POLICY": "passive"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **more,
    )


@pytest.mark.slow
def test_a_cluster_on_this_machine_gives_another_model_that_is_as_good_and_promises_no_bytes(project, dask_bin):
    numbers = json.loads((project / "metrics/metrics.json").read_text())["validation"]
    _set(project, cluster="dask", workers=2)
    fitting = _stage("train", dask_bin)
    said = fitting.communicate()[0]
    assert fitting.returncode == 0, said
    evaluate.main([])
    manifest = json.loads((project / "model/manifest.json").read_text())
    version = re.search(r"^dask==([0-9.]+)", (ROOT / "requirements/dask.txt").read_text(), re.MULTILINE)[1]
    told = {"xgboost": xgboost.__version__, "device": "cpu", "memory": "in-core", "input": "host", "cluster": "dask"}
    assert manifest["fitted"] == told | {"workers": 2, "dask": version, "reproducible": False, "within": 0.02}
    again = json.loads((project / "metrics/metrics.json").read_text())["validation"]
    # Some 6,000 rows: another seed moves them as far.
    assert again["logloss"] == pytest.approx(numbers["logloss"], abs=0.05)
    assert again["auc"] == pytest.approx(numbers["auc"], abs=0.05)


class _Cluster:
    """A scheduler and two workers, each a process of its own, as `dask scheduler` and `dask worker` start them."""

    def __init__(self, folder, dask_bin):
        self.folder, self.bin, self.started = folder, dask_bin, []
        self._start("scheduler", "--host", "127.0.0.1", "--port", "0", *QUIET, "--scheduler-file", "at.json")
        self.address = self._wait(lambda: json.loads((folder / "at.json").read_text())["address"])
        self.workers = [self._worker(number) for number in range(2)]

    def _start(self, *words):
        # Away from the project: what a worker needs of it must come with the fit.
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        with (self.folder / f"{words[0]}-{len(self.started)}.log").open("w") as log:
            process = subprocess.Popen(
                [self.bin / "dask", *words],
                cwd=self.folder,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.started.append(process)
        return process

    def _worker(self, number):
        return self._start("worker", self.address, "--no-nanny", "--nthreads", "1", "--name", str(number), *QUIET)

    def _wait(self, asked):
        for _ in range(600):
            try:
                return asked()
            except (OSError, ValueError, KeyError):
                time.sleep(0.1)
        raise AssertionError((self.folder / "scheduler-0.log").read_text())

    def end(self):
        for process in self.started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def cluster(tmp_path, dask_bin):
    folder = tmp_path / "cluster"
    folder.mkdir()
    found = _Cluster(folder, dask_bin)
    yield found
    found.end()


@pytest.mark.slow
def test_a_worker_killed_in_the_fit_ends_it_with_a_word_and_the_rest_of_the_cluster_fits_again(
    project, cluster, dask_bin
):
    before = (project / "model/model.ubj").read_bytes()
    _set(project, cluster="dask", scheduler=cluster.address)
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(
        text.replace("max_rounds: 30", "max_rounds: 5000").replace("patience: 5", "patience: 1000")
    )
    fitting = _stage("train", dask_bin)
    logs = [cluster.folder / f"worker-{number}.log" for number in (1, 2)]
    while not any("round 25/" in log.read_text() for log in logs):
        assert fitting.poll() is None, fitting.communicate()[0]
        time.sleep(0.05)
    os.killpg(cluster.workers[1].pid, signal.SIGKILL)
    said = fitting.communicate(timeout=120)[0]
    assert fitting.returncode == 6, said
    assert "the Dask cluster lost a worker, or its scheduler, in the fit" in said
    assert "next: dvc repro" in said
    assert (project / "model/model.ubj").read_bytes() == before

    (project / "params.yaml").write_text(text)
    fitting = _stage("train", dask_bin)
    said = fitting.communicate(timeout=300)[0]
    assert fitting.returncode == 0, said
    manifest = json.loads((project / "model/manifest.json").read_text())
    assert manifest["fitted"]["workers"] == 1


@pytest.mark.slow
def test_a_scheduler_that_is_not_there_is_refused_by_its_address(project, dask_bin, monkeypatch):
    _set(project, cluster="dask", scheduler="tcp://127.0.0.1:9")
    fitting = _stage("train", dask_bin)
    said = fitting.communicate(timeout=120)[0]
    assert fitting.returncode == 6, said
    assert "no Dask scheduler answers at tcp://127.0.0.1:9 (train.scheduler)" in said
