"""What has passed: recorded where it was pushed to, and known by rows of the holdout."""

import dataclasses
import itertools
import json

import numpy as np
import polars as pl
import pytest

from pushforward.gate.verdict import invalid
from pushforward.git.repository import Repository
from pushforward.judge import passed, records


def passing(commit, reason="log loss falls"):
    return dataclasses.replace(invalid(reason), verdict="promote", commit=commit, event="push", ref="refs/heads/main")


@pytest.mark.parametrize("count", [0, 1, 7, 100, 101, 1220])
def test_golden_rows_are_spread_evenly_over_the_holdout(count):
    keys, predictions = pl.Series("n", range(count), dtype=pl.Int64), np.linspace(0.1, 0.9, count)
    rows = json.loads(passed.golden_rows("n", keys, predictions))["rows"]
    assert len(rows) == min(100, count)
    places = [row["n"] for row in rows]
    assert places == sorted(set(places)), "whole numbers stay what they are"
    assert all(row["p"] == predictions[row["n"]] for row in rows)
    steps = {after - before for before, after in itertools.pairwise(places)}
    assert not steps or max(steps) - min(steps) <= 1


@pytest.mark.parametrize("elsewhere", [False, True], ids=["on this machine", "elsewhere"])
def test_what_passes_is_recorded_where_it_was_pushed_to(repository, git, tmp_path, elsewhere):
    git(tmp_path, "clone", "-q", "--bare", str(repository), "origin.git")
    # a program that reaches it says nothing of where it is
    git(repository, "config", "protocol.ext.allow", "always")
    far = f"ext::git %s {tmp_path / 'origin.git'}"
    git(repository, "remote", "add", "origin", far if elsewhere else str(tmp_path / "origin.git"))
    head, origin = git(repository, "rev-parse", "HEAD"), Repository(tmp_path / "origin.git")
    ref = f"refs/pushforward/verdict/{head}"
    for reason in ("log loss falls", "log loss falls", "log loss falls, said again"):
        passed.record(repository, passing(head, reason))
        assert origin.read(ref, "verdict.json") == passing(head, reason).to_json().encode()
        assert sorted(origin.tree(ref)) == ["beside/verdict.json", "verdict.json"]
    assert git(origin.path, "rev-list", ref).splitlines()[-1] != git(origin.path, "rev-parse", ref), "it only grows"


@pytest.mark.parametrize(
    "change", [{"verdict": "hold"}, {"verdict": "invalid"}, {"verdict": "invalid", "event": "pull_request"}]
)
def test_nothing_else_is_recorded(repository, git, change):
    head = git(repository, "rev-parse", "HEAD")
    passed.record(repository, dataclasses.replace(passing(head), **change))
    assert git(repository, "for-each-ref", "refs/pushforward") == ""


@pytest.mark.parametrize("outcome", ["promote", "unknown", "hold"])
def test_what_was_judged_of_a_pull_request_lies_in_a_folder_of_its_own(repository, git, outcome):
    head, ours = git(repository, "rev-parse", "HEAD"), Repository(repository)
    passed.record(repository, dataclasses.replace(passing(head), verdict=outcome, event="pull_request"))
    tree = f"refs/pushforward/verdict/{head}"
    assert sorted(ours.tree(tree)) == ["beside/pull/verdict.json", "pull/verdict.json"]
    assert json.loads(records.judged(ours, head, "pull_request", "")[1])["verdict"] == outcome
    assert records.judged(ours, head, "push", "") is None
    assert json.loads(ours.read(tree, "beside/pull/verdict.json"))["tree"] == git(
        repository, "rev-parse", f"{head}^{{tree}}"
    )


def test_each_of_several_models_has_its_verdict_on_the_commit_beside_the_others(repository, git):
    head, ours = git(repository, "rev-parse", "HEAD"), Repository(repository)
    for name in ("red", "wine", "red"):
        passed.record(repository, passing(head, f"{name} is better"), name)
    names = ["beside/red.json", "beside/wine.json", "red.json", "wine.json"]
    assert sorted(ours.tree(f"refs/pushforward/verdict/{head}")) == names
    assert json.loads(records.read(ours, head, "wine"))["reason"] == "wine is better"
    assert records.read(ours, head, "white") is None
    assert records.read(ours, "0" * 40, "red") is None
