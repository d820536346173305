"""What a run says of itself, for the report."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import polars as pl

from pushforward.git.repository import Repository
from pushforward.judge.context import with_history, with_metrics
from pushforward.report import note
from pushforward.report.note import Context
from pushforward.settings import Outline


class Subject:
    """A commit of a repository whose model lies in a folder."""

    def __init__(self, repository, folder="."):
        self.repository = repository
        model = Outline(name="mine", folder=folder, path=None, environment=[])
        self.settings = SimpleNamespace(model=model)


DECLARES = """\
stages:
  s: {cmd: c, metrics: [metrics.json: {cache: false}, eval/auc.toml: {cache: false}]}
"""


def test_numbers_of_declared_metrics_are_shown_beside_those_of_the_version_in_use(tmp_path, git):
    (tmp_path / "dvc.yaml").write_text(DECLARES)
    (tmp_path / "metrics.json").write_text('{"n": 1, "roc": {"test": 0.5}}')
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "Begin")
    head = git(tmp_path, "rev-parse", "HEAD")
    found = {"metrics.json": b'{"n": 2, "roc": {"test": 0.75}}', "eval/auc.toml": b"n = 3", "other.json": b'{"x": 1}'}
    read = SimpleNamespace(commit=head, metrics=found)
    subject = Subject(Repository(tmp_path))
    context = with_metrics(Context(), read, subject, SimpleNamespace(commit=head))
    assert context.validation == {"metrics.json:n": 2.0, "roc.test": 0.75, "eval/auc.toml:n": 3.0}
    assert context.champion_validation["roc.test"] == 0.5
    ours = SimpleNamespace(commit=head, metrics=found | {"metrics/metrics.json": b'{"validation": {"auc": 0.9}}'})
    assert with_metrics(Context(), ours, subject, None).validation == {"auc": 0.9}


def test_numbers_of_a_model_below_the_root_are_those_of_its_folder(tmp_path, git):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "dvc.yaml").write_text(DECLARES)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "Begin")
    found = {"a/metrics.json": b'{"n": 2}', "metrics.json": b'{"n": 9}', "metrics/metrics.json": b'{"n": 8}'}
    read = SimpleNamespace(commit=git(tmp_path, "rev-parse", "HEAD"), metrics=found)
    subject = Subject(Repository(tmp_path), "a")
    assert with_metrics(Context(), read, subject, None).validation == {"n": 2.0}
    read.metrics |= {"a/metrics/metrics.json": b'{"validation": {"auc": 0.9}}'}
    assert with_metrics(Context(), read, subject, None).validation == {"auc": 0.9}


def test_what_months_that_came_did_to_columns_is_told_and_kept(tmp_path, git):
    git(tmp_path, "init", "-q")
    days = [datetime(2013, month, 1 + day % 28, tzinfo=UTC) for month in (4, 5) for day in range(2800)]
    columns = {"id": [f"r{n}" for n in range(5600)], "at": days, "x": [*(n // 28 for n in range(2800)), *([5] * 2800)]}
    contract = SimpleNamespace(time="at", key="id", name="mine")
    told = with_history(
        Context(months_added=("2013-05",)), pl.DataFrame(columns), {}, contract, Repository(tmp_path), ()
    )
    assert [one.partition(" (")[0] for one in told.drift] == ["x: shifted"]
    (profile,) = told.profiles
    assert (profile.column, [one.name for one in profile.months]) == ("x", ["2013-04", "2013-05"])
    assert [one.mean for one in profile.months] == [49.5, 5.0]
    assert told.profiles[0].far
    # What it did in the months before as well is nothing to tell.
    days = [datetime(2013, 1, 1, tzinfo=UTC) + timedelta(days=n // 5) for n in range(450)]
    swings = [n % 7 if (n // 150) % 2 else n % 100 for n in range(450)]
    earlier = pl.DataFrame({"id": ["e"] * 450, "at": days, "x": swings})
    calm = with_history(
        Context(months_added=("2013-05",)), pl.DataFrame(columns), {}, contract, Repository(tmp_path), (), earlier
    )
    assert calm.drift == ()
    assert calm.profiles[0].index > 1
    assert not calm.profiles[0].far
    kept = note.load(note.dump([note.Report({"event": "push"}, told, "text")], note.About()))
    assert kept.reports[0].context.profiles == told.profiles
    no_moment = SimpleNamespace(time=None, key="id", name="mine")
    assert with_history(Context(), pl.DataFrame(columns), {}, no_moment, Repository(tmp_path), ()).profiles == ()
