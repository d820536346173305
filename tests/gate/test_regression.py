"""gate on a regression: real patients, squared and absolute error, and none of what only probabilities have."""

import dataclasses

import numpy as np
import pytest
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge

from pushforward.gate import stats
from pushforward.gate.decision import judge
from pushforward.gate.evidence import Evidence
from pushforward.gate.verdict import Verdict
from pushforward.settings import GateRules

METRICS = ("absolute", "squared")
GROUPS = 40


class Patients:
    """Disease progression of 442 patients (Efron et al. 2004): every third to train on, the others in 40 groups."""

    def __init__(self):
        found = load_diabetes()
        self.columns = found.feature_names
        self.held_out = np.arange(len(found.target)) % 3 != 0
        self.x, self.target = found.data, found.target
        self.y = self.target[self.held_out]
        self.clusters = np.arange(len(self.y)) * GROUPS // len(self.y)
        self.sex = np.where(self.x[self.held_out][:, self.columns.index("sex")] > 0, "one", "other")

    def ridge(self, *columns):
        x = self.x[:, [self.columns.index(name) for name in columns]]
        return Ridge(alpha=0.01).fit(x[~self.held_out], self.target[~self.held_out]).predict(x[self.held_out])

    def judge(self, metric, champion, challenger, **changes):
        evidence = Evidence(
            y=self.y,
            champion=champion,
            challenger=challenger,
            clusters=self.clusters,
            mode="first" if champion is None else "superior",
            months=(),
            slices={"sex": self.sex},
        )
        rules = GateRules(metric=metric, slices=["sex"])
        return judge(dataclasses.replace(evidence, **changes), rules, cluster="group")


@pytest.fixture(scope="module")
def patients():
    return Patients()


@pytest.fixture(scope="module")
def few(patients):
    return patients.ridge("age", "sex", "bp")


@pytest.fixture(scope="module")
def every(patients):
    return patients.ridge(*patients.columns)


@pytest.mark.parametrize("metric", METRICS)
def test_a_model_of_all_columns_replaces_one_of_three(patients, few, every, metric):
    verdict = patients.judge(metric, few, every)
    assert verdict.verdict == "promote"
    gains = {"absolute": np.abs(patients.y - few) - np.abs(patients.y - every)}
    gains["squared"] = (patients.y - few) ** 2 - (patients.y - every) ** 2
    estimate = stats.clustered_mean(gains[metric], patients.clusters)
    main, shown = verdict.numbers
    roots = [np.sqrt(((patients.y - p) ** 2).mean()) for p in (few, every)]
    assert (shown.name, shown.bound, shown.passed) == ("RMSE", None, None)
    assert (shown.champion, shown.challenger) == pytest.approx(roots, rel=1e-12)
    assert shown.low < roots[0] - roots[1] < shown.high
    assert (main.name, main.better) == (f"{metric} error", "lower")
    assert (main.gain, main.low) == pytest.approx((gains[metric].mean(), estimate.low(0.05)), rel=1e-12)
    assert (verdict.rows, verdict.clusters) == (294, GROUPS)
    assert "294 rows, 40 groups" in verdict.reason
    assert Verdict.from_json(verdict.to_json()) == verdict


@pytest.mark.parametrize("metric", METRICS)
def test_the_way_back_is_held(patients, few, every, metric):
    verdict = patients.judge(metric, every, few)
    assert verdict.verdict == "hold"
    assert f"{metric} error rises by" in verdict.reason


@pytest.mark.parametrize("metric", METRICS)
def test_nothing_that_only_probabilities_have_takes_part(patients, few, every, metric):
    verdict = patients.judge(metric, few, every)
    assert [guard.name for guard in verdict.guards] == ["slices", "constant"]
    assert (verdict.positives, verdict.calibration, verdict.clipped) == (None, None, 0)
    assert [(one.value, one.eligible, one.positives) for one in verdict.slices] == [
        ("one", True, None),
        ("other", True, None),
    ]


@pytest.mark.parametrize("metric", METRICS)
def test_identical_predictions_keep_the_champion(patients, every, metric):
    assert patients.judge(metric, every, every.copy()).verdict == "identical"


@pytest.mark.parametrize("metric", METRICS)
def test_a_small_change_is_unknown_and_says_how_many_groups_it_takes(patients, every, metric):
    verdict = patients.judge(metric, patients.ridge(*(set(patients.columns) - {"age"})), every)
    assert verdict.verdict == "unknown"
    assert verdict.days_to_settle > GROUPS
    assert f"about {verdict.days_to_settle:,} groups in all would settle it" in verdict.reason


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("bias", [-25.0, 25.0])
def test_a_constant_bias_is_held_and_its_removal_is_a_gain(patients, every, metric, bias):
    """Where nothing is a probability a level is part of the prediction: there is no verdict `calibration-only`."""
    assert patients.judge(metric, every, every + bias).verdict == "hold"
    assert patients.judge(metric, every + bias, every).verdict == "promote"


def test_a_bias_that_costs_every_row_the_same_leaves_nothing_to_test(patients):
    above = patients.y + 30
    verdict = patients.judge("absolute", above + 5, above)
    assert verdict.verdict == "invalid"
    assert "differ by a constant loss in every row" in verdict.reason


@pytest.mark.parametrize("metric", METRICS)
def test_better_than_a_bad_champion_is_not_enough(patients, few, metric):
    verdict = patients.judge(metric, few + 400, few + 200)
    assert verdict.verdict == "hold"
    assert "does not beat the constant prediction" in verdict.reason


@pytest.mark.parametrize("metric", METRICS)
def test_a_gain_that_harms_one_sex_is_held(patients, few, every, metric):
    verdict = patients.judge(metric, few, np.where(patients.sex == "one", every, few + 30))
    harmed = {one.value: one.harmed for one in verdict.slices}
    assert harmed == {"one": False, "other": True}
    assert verdict.verdict == "hold"


@pytest.mark.parametrize("metric", METRICS)
def test_a_first_model_meets_the_constant_alone(patients, every, metric):
    verdict = patients.judge(metric, None, every)
    assert (verdict.verdict, verdict.mode) == ("promote", "first")
    rate = patients.target[~patients.held_out].mean()
    assert patients.judge(metric, None, np.full_like(patients.y, rate)).verdict == "unknown"
    assert patients.judge(metric, None, np.full_like(patients.y, 2 * rate)).verdict == "hold"


@pytest.mark.parametrize("metric", METRICS)
def test_a_refresh_may_cost_one_per_cent(patients, every, metric):
    again = every + 0.2 * np.random.default_rng(1).normal(size=len(every))
    assert patients.judge(metric, every, again).verdict != "promote"
    verdict = patients.judge(metric, every, again, mode="refresh")
    assert verdict.verdict == "promote"
    assert verdict.numbers[0].bound == pytest.approx(-0.01 * verdict.numbers[0].champion)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_prediction_that_is_no_number_is_invalid(patients, few, every, metric, value):
    broken = every.copy()
    broken[7] = value
    assert patients.judge(metric, few, broken).verdict == "invalid"
    assert patients.judge(metric, broken, every).verdict == "invalid"
    assert patients.judge(metric, None, broken).verdict == "invalid"


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("value", [1e200, -1.7e308])
def test_a_number_too_large_to_square_is_invalid(patients, few, every, metric, value):
    broken = every.copy()
    broken[7] = value
    assert "the challenger predicts something beyond" in patients.judge(metric, few, broken).reason
    assert "the champion predicts something beyond" in patients.judge(metric, broken, every).reason
    assert patients.judge(metric, None, broken).verdict == "invalid"
    labels = patients.y.copy()
    labels[7] = value
    assert "a label is beyond" in patients.judge(metric, few, every, y=labels).reason


@pytest.mark.parametrize("metric", METRICS)
def test_a_slice_in_which_the_champion_makes_no_error_can_be_harmed(patients, few, every, metric):
    champion = np.where(patients.sex == "one", patients.y, few)
    verdict = patients.judge(metric, champion, np.where(patients.sex == "one", patients.y + 0.1, every))
    assert verdict.verdict == "hold"
    assert "sex one is more than 2 % worse" in verdict.reason


def test_a_margin_is_in_units_of_the_metric(patients, few, every):
    def judged(margin):
        rules = GateRules(metric="squared", margin=margin)
        evidence = Evidence(patients.y, few, every, patients.clusters, "superior", ())
        return judge(evidence, rules)

    low = judged(0.0).numbers[0].low
    assert low > 100
    assert judged(low * 0.99).verdict == "promote"
    assert judged(low * 1.01).verdict == "unknown"
