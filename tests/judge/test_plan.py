"""plan: what the holdout can still answer, from the verdicts that are there."""

import dataclasses
import json
import math

import pytest

from pushforward.gate import stats
from pushforward.gate.verdict import Champion, Holdout, Number, Validation, Verdict
from pushforward.git.repository import Repository
from pushforward.judge import ledger, looks, names, plan, recorded
from pushforward.report import notes
from pushforward.report.note import Context

SETTINGS = """\
tool: "0.2.0"
models:
  toy:
    path: model
    environment: [run.txt]
    holdout: {path: data, key: id, label: y, cluster: date, time: at}
    score: score {rows} {events} {out}
    batches: params.yaml:data.months
gate: {window: 2, looks: 4}
"""
PARAMS = """\
data: {months: ["2020-01", "2020-02", "2020-03", "2020-04"]}
"""
MONTHS = ("2020-03", "2020-04")


@pytest.fixture
def clone(repository, git):
    (repository / "pushforward.yaml").write_text(SETTINGS)
    (repository / "params.yaml").write_text(PARAMS)
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "Ask")
    return repository


def judged(clone, git, *, error, gain=0.004, word="unknown", mode="superior"):
    """A commit with the note of a verdict whose gain on 25 days of validation has this error."""
    git(clone, "commit", "-q", "--allow-empty", "-m", "Try")
    commit = git(clone, "rev-parse", "HEAD")
    number = Number("log loss", "lower", 0.5, 0.5 - gain, gain)
    found = Validation("2020-02", 1000, 25, (number,), gain_error=error)
    verdict = Verdict(word, "because", mode, "logloss", {}, validation=found, holdout=Holdout(MONTHS, 100, 61, ""))
    verdict = dataclasses.replace(verdict, commit=commit, event="push", champion=Champion("toy@v1.0.0", ""))
    notes.put(Repository(clone), commit, recorded.report(verdict, Context()), lock=clone / "lock")
    return commit


def test_before_anything_was_compared_there_are_looks_and_nothing_else(clone):
    found = plan.plan(clone)
    assert (found.months, found.left, found.looks, found.alpha) == (MONTHS, 4, 4, 0.0125)
    assert (found.closed, found.challengers, found.typical) == ("", 0, ())
    assert plan.terminal(found).splitlines()[1] == "looks       4 of 4 left, the next at 98.75 % confidence"


def test_the_error_of_the_validation_month_is_scaled_to_the_holdout(clone, git):
    for error in (0.001, 0.002, 0.003):
        judged(clone, git, error=error)
    found = plan.plan(clone)
    assert (found.challengers, found.clusters, found.champion_loss) == (3, 61, 0.5)
    expected = stats.Estimate(0.0, 0.002 * math.sqrt(25 / 61), 60)
    assert found.typical[1].gain == pytest.approx(stats.minimum_detectable(expected, 0.0125))
    assert [one.like for one in found.typical] == ["the closest", "typical", "the most different"]
    assert found.typical[1].share == pytest.approx(found.typical[1].gain / 0.5)
    needed = dict(found.days)
    assert needed[0.005] == pytest.approx(4 * needed[0.01], rel=0.05), "half the gain takes four times the days"


def test_an_unknown_verdict_says_how_many_days_would_settle_it(clone, git):
    commit = judged(clone, git, error=0.003, gain=0.001)
    judged(clone, git, error=0.003, gain=0.001, word="hold")
    found = plan.plan(clone)
    assert [one for one, _ in found.unknown] == [commit]
    assert found.unknown[0][1] > 61
    assert f"{commit[:9]}: about" in plan.terminal(found)
    assert max(map(len, plan.terminal(found).splitlines())) <= 80


def test_a_refresh_is_no_typical_challenger(clone, git):
    judged(clone, git, error=0.003, mode="refresh")
    assert plan.plan(clone).challengers == 0


def test_looks_and_retirement_come_from_the_ledger(clone):
    book = ledger.Ledger(Repository(clone))
    name = names.ledger(MONTHS)
    key = looks.Key(*("abcd"[n] * 64 for n in range(4)))
    look = book.reserve(name, key, alpha=0.05, looks=4, mode="superior", commit="")
    assert plan.plan(clone).left == 3
    book.settle(name, look, "promote", "{}")
    book.promoted(name, look.number, "toy@v1.1.0")
    found = plan.plan(clone)
    assert (found.left, "toy@v1.1.0 was promoted on it" in found.closed) == (0, True)
    assert "closed      the holdout 2020-03 to 2020-04 has retired" in plan.terminal(found)
    assert json.loads(json.dumps(dataclasses.asdict(found)))["left"] == 0
