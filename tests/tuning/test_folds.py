"""Folds: which batches a moment of the past has, that no two ask the same one, and that none has one of the holdout."""

import pytest

from pushforward.errors import PushforwardError
from pushforward.settings import parse
from pushforward.tuning import folds
from pushforward.tuning.folds import Fold, origins

MONTHS = [f"2013-{number:02d}" for number in range(1, 13)]


def test_twelve_months_and_a_holdout_of_two_make_four_moments():
    assert [(one.listed[-1], one.asked) for one in origins(MONTHS, 2, 9)] == [
        ("2013-04", ("2013-03", "2013-04")),
        ("2013-06", ("2013-05", "2013-06")),
        ("2013-08", ("2013-07", "2013-08")),
        ("2013-10", ("2013-09", "2013-10")),
    ]
    assert [one.listed[0] for one in origins(MONTHS, 2, 9)] == ["2013-01"] * 4
    assert [str(one) for one in origins(MONTHS, 2, 2)] == ["2013-07 to 2013-08", "2013-09 to 2013-10"]
    assert [str(one) for one in origins(MONTHS[:6], 1, 9)] == ["2013-03", "2013-04", "2013-05"]


@pytest.mark.parametrize("window", range(1, 13))
def test_no_moment_has_a_batch_of_the_holdout_and_each_asks_its_last(window):
    for arrived in range(1, 40):
        names = [f"b{number}" for number in range(arrived)]
        found = origins(names, window, 100)
        asked = [name for one in found for name in one.asked]
        assert len(asked) == len(set(asked)) == window * len(found)
        for one in found:
            assert not {*one.listed} & {*names[-window:]}
            assert one.asked == one.listed[-window:]
            assert len(one.listed) >= window + 2  # one to train on, one to validate on
        assert bool(found) == (arrived >= 2 * window + 2)


def settings(text="", window=1):
    return parse(
        f"""tool: "0.2.0"
models:
  toy:
    path: model
    holdout: {{path: data/holdout, key: id, label: y, cluster: none, time: none}}
    score: python predict.py {{rows}} {{out}}
    batches: params.yaml:batches
gate: {{window: {window}}}
tune: {{space: {{a: {{low: 1, high: 2}}}}{text}}}
""".encode()
    )


def test_the_last_fold_is_kept_back_and_so_many_are_searched():
    rules = settings(", folds: 2")
    found = folds.folds(rules, rules.project.tune, lambda _: b"batches: [a, b, c, d, e, f]")
    assert [one.asked for one in found] == [("c",), ("d",), ("e",)]
    assert folds.folds(rules, rules.project.tune, lambda _: b"batches: [a, b, c, d]") == [Fold(("a", "b", "c"), ("c",))]


def test_a_fold_of_a_number_of_the_pipeline_is_named_by_its_moment_and_no_batch_is_said_to_be_asked():
    rules = settings(", folds: 2, metric: 'm.json:loss'")
    found = folds.folds(rules, rules.project.tune, lambda _: b"batches: [a, b, c, d, e, f]")
    assert [one.listed[-1] for one in found] == ["c", "d", "e"]
    assert [str(one) for one in found] == [f"validation as of {name}" for name in "cde"]
    assert [one.asked for one in found] == [()] * 3


@pytest.mark.parametrize("name", ["batches", "data.batches", "data"])
def test_the_list_of_batches_is_not_searched(name):
    """A trial that could choose it would train on the holdout."""
    listed = "batches" if name == "batches" else "data.batches"
    text = f"""tool: "0.2.0"
models:
  toy:
    path: model
    holdout: {{path: data/holdout, key: id, label: y, cluster: none, time: none}}
    score: python predict.py {{rows}} {{out}}
    batches: params.yaml:{listed}
tune: {{space: {{train.x: {{low: 1, high: 2}}, {name}: {{one_of: [[a, b, c, d], [a]]}}}}}}
"""
    with pytest.raises(PushforwardError, match=f"tune.space has '{name}', and params.yaml:{listed} lists the batches"):
        parse(text.encode())
    # of another file, or of another key that begins alike, it is none
    assert parse(text.replace("params.yaml:", "batches.yaml:").encode()).project.tune
    assert parse(text.replace(f"{name}: {{one", f"{name}_kept: {{one").encode()).project.tune


def test_the_batches_of_a_fold_stand_whatever_a_trial_has(tmp_path, git):
    git(tmp_path, "init", "-q")
    (tmp_path / "params.yaml").write_text("batches: [a, b, c, d, e, f]\na: 1\n")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "Begin")
    rules = settings()
    ground = folds.Ground(tmp_path, rules, rules.project.tune, tmp_path, tmp_path / "log", print)
    made = ground._params(Fold(("a", "b", "c"), ("c",)), {"a": 2, "batches": ["f"]})
    assert made == b"batches: [a, b, c]\na: 2\n"


def test_too_few_batches_are_refused_with_how_many_are_needed():
    rules = settings(window=2)
    with pytest.raises(PushforwardError, match="5 batches have arrived, and a search needs 6"):
        folds.folds(rules, rules.project.tune, lambda _: b"batches: [a, b, c, d, e]")
