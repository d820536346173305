"""Metrics agree with scikit-learn, ties and constants included."""

import numpy as np
import pytest
from sklearn import metrics as oracle

from flights.metrics import auc, brier, calibration, calibration_error, log_loss

RNG = np.random.default_rng(0)
Y = (RNG.random(500) < 0.3).astype(np.int8)
CASES = {
    "random": RNG.random(500),
    "tied": np.round(RNG.random(500), 1).clip(0.01, 0.99),
    "constant": np.full(500, 0.3),
    "skilled": np.clip(0.5 * Y + 0.5 * RNG.random(500), 0.01, 0.99),
}


@pytest.mark.parametrize("p", CASES.values(), ids=CASES.keys())
def test_metrics_agree_with_scikit_learn(p):
    assert log_loss(Y, p) == pytest.approx(oracle.log_loss(Y, p), rel=1e-12)
    assert auc(Y, p) == pytest.approx(oracle.roc_auc_score(Y, p), rel=1e-12)
    assert brier(Y, p) == pytest.approx(oracle.brier_score_loss(Y, p), rel=1e-12)


@pytest.mark.ml_test_score("Monitoring 5")
def test_log_loss_of_a_certain_error_is_large_but_finite():
    assert log_loss(np.array([1, 0], dtype=np.int8), np.array([0.0, 1.0])) == pytest.approx(34.5, abs=0.1)


def test_auc_of_one_class_is_undefined():
    assert np.isnan(auc(np.ones(3, dtype=np.int8), np.array([0.1, 0.2, 0.3])))


def test_calibration_groups_are_of_equal_size_and_cover_every_row():
    table = calibration(Y, CASES["random"], 7)
    assert table[:, 2].sum() == 500
    assert np.ptp(table[:, 2]) <= 1
    assert (table[:, 2] @ table[:, 1]) == pytest.approx(Y.sum())


def test_calibration_error_is_the_mean_gap():
    y = np.array([0, 0, 1, 1], dtype=np.int8)
    p = np.array([0.1, 0.3, 0.6, 0.6])
    assert calibration_error(y, p, bins=2) == pytest.approx((0.2 + 0.4) / 2)
