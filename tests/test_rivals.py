"""benchmarks/rivals.py: the published numbers of the rules that the benchmark compares the gate with."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

SPEC = importlib.util.spec_from_file_location("rivals", Path(__file__).parents[1] / "benchmarks" / "rivals.py")
rivals = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(rivals)

WITHIN = (0.1, 0.05, 0.025, 0.01)
# ease.ml/ci, figure 2, 32 looks: rows by delta, models and feedback, for each of `WITHIN`.
EASEML = {
    (1e-2, 1, "none"): (404, 1615, 6457, 40355),
    (1e-2, 1, "full"): (1340, 5358, 21429, 133930),
    (1e-2, 2, "none"): (1753, 7012, 28045, 175282),
    (1e-2, 2, "full"): (5496, 21984, 87933, 549581),
    (1e-3, 1, "none"): (519, 2075, 8299, 51868),
    (1e-3, 1, "full"): (1455, 5818, 23271, 145443),
    (1e-3, 2, "none"): (2214, 8854, 35414, 221333),
    (1e-3, 2, "full"): (5957, 23826, 95302, 595633),
    (1e-4, 1, "none"): (634, 2536, 10141, 63381),
    (1e-4, 1, "full"): (1570, 6279, 25113, 156956),
    (1e-4, 2, "none"): (2674, 10696, 42782, 267385),
    (1e-4, 2, "full"): (6417, 25668, 102670, 641684),
    (1e-5, 1, "none"): (749, 2996, 11983, 74894),
    (1e-5, 1, "full"): (1685, 6739, 26955, 168469),
    (1e-5, 2, "none"): (3135, 12538, 50150, 313437),
    (1e-5, 2, "full"): (6878, 27510, 110038, 687736),
}


@pytest.mark.parametrize(("case", "rows"), EASEML.items(), ids=str)
def test_hoeffding_asks_for_the_rows_that_easeml_ci_prints(case, rows):
    delta, models, feedback = case
    assert tuple(rivals.hoeffding_rows(models, within, delta, 32, feedback) for within in WITHIN) == rows


def test_bennett_asks_for_fewer_rows_where_few_decisions_change():
    rows = [rivals.bennett_rows(0.1, 0.01, 1e-4, 32, feedback) for feedback in ("none", "full")]
    assert rows == pytest.approx([29047.296, 67705.031], abs=5e-4)
    labels = 0.1 * rivals.bennett_rows(0.1, 0.01, 1e-4, 1, "none")
    assert labels == pytest.approx(2188.846, abs=5e-4)


def test_the_ladder_refuses_on_its_threshold_and_accepts_below():
    leader = np.array([1.0, 1.0, 0.0, 0.0])
    near, best = np.array([0.0, 1.0, 0.0, 0.0]), np.zeros(4)
    assert rivals.ladder_threshold(leader, near) == 0.5 - 0.25
    assert not near.mean() < rivals.ladder_threshold(leader, near)
    assert rivals.ladder_threshold(leader, best) == pytest.approx(0.5 - 0.288675, abs=5e-7)
    assert best.mean() < rivals.ladder_threshold(leader, best)


def test_the_row_wise_error_is_that_of_independent_rows():
    values = np.array([0.02, 0.01, 0.03, -0.01, 0, -0.02, 0.04, 0.03, 0.05, 0.01, -0.03, 0.02])
    assert rivals.row_wise_error(values) == pytest.approx(0.006976692800, abs=1e-12)


def test_mcnemar_is_exact():
    assert rivals.mcnemar(10, 2) == rivals.mcnemar(2, 10) == 0.03857421875
    assert rivals.mcnemar(0, 0) == rivals.mcnemar(3, 3) == 1.0


def test_the_normal_mixtures_agree_with_confseq():
    rho = rivals.mixture_rho(100, 0.05)
    assert rho == pytest.approx(12.60056, abs=5e-6)
    assert rivals.two_sided_evidence(10, 100, rho) == pytest.approx(-0.6510052, abs=5e-8)
    assert rivals.mixture_bound(rivals.two_sided_evidence, 100, rho, 0.05) == pytest.approx(30.35209, abs=5e-6)
    rho = rivals.mixture_rho(100, 2 * 0.05)
    assert rivals.one_sided_evidence(10, 100, rho) == pytest.approx(-0.06502391, abs=5e-9)
    assert rivals.mixture_bound(rivals.one_sided_evidence, 100, rho, 0.05) == pytest.approx(27.66071, abs=5e-6)


def test_a_path_without_drift_seldom_ever_exceeds_the_mixture_bound():
    rng = np.random.default_rng(3)
    paths = rng.normal(size=(2000, 61)).cumsum(axis=1)
    rho = rivals.mixture_rho(61, 2 * 0.05)
    bounds = [rivals.mixture_bound(rivals.one_sided_evidence, day, rho, 0.05) for day in range(1, 62)]
    assert (paths > bounds).any(axis=1).mean() <= 0.05
    assert (paths > 1.645 * np.sqrt(np.arange(1, 62))).any(axis=1).mean() > 0.15


def test_a_p_value_becomes_an_e_value_whose_mean_is_one():
    assert rivals.e_value(0.0025) == pytest.approx(10, abs=1e-12)
    p = (np.arange(200_000) + 0.5) / 200_000
    assert np.mean([rivals.e_value(one) for one in p]) == pytest.approx(1, abs=2e-3)
