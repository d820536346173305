"""stats: the published and the exact numbers, and what must hold for any rows."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pushforward.gate import stats

Y = np.array([1.0] * 4 + [0.0] * 6)
A = np.array([0.9, 0.8, 0.4, 0.35, 0.7, 0.4, 0.3, 0.2, 0.1, 0.1])
B = np.array([0.9, 0.6, 0.6, 0.55, 0.5, 0.55, 0.3, 0.25, 0.2, 0.05])
EACH = np.arange(10)


def p_above(estimate, bound):
    """The one-sided p value against "the mean is at most `bound`": the mirror of the gate's."""
    return stats.Estimate(-estimate.mean, estimate.error, estimate.freedom).p_below(-bound)


def test_delong_difference_is_exact_on_ten_rows():
    difference = stats.auc_difference(Y, A, B, EACH)
    assert stats.auc(Y, A) == pytest.approx(41 / 48, abs=1e-15)
    assert stats.auc(Y, B) == pytest.approx(47 / 48, abs=1e-15)
    assert difference.mean == pytest.approx(1 / 8, abs=1e-15)
    assert difference.error**2 == pytest.approx(1 / 80, abs=1e-15)
    z = difference.mean / difference.error
    assert z == pytest.approx(math.sqrt(5) / 2, abs=1e-12)
    assert math.erfc(z / math.sqrt(2)) == pytest.approx(0.2635524773, abs=1e-10)


D = np.array([0.02, 0.01, 0.03, -0.01, 0, -0.02, 0.04, 0.03, 0.05, 0.01, -0.03, 0.02])


def test_clustered_mean_of_groups_of_three():
    estimate = stats.clustered_mean(D, np.repeat(np.arange(4), 3))
    assert estimate.error == pytest.approx(0.011086778913, abs=1e-12)
    assert estimate.mean / estimate.error == pytest.approx(1.127469, abs=1e-6)
    assert 2 * p_above(estimate, 0) == pytest.approx(0.341576, abs=1e-6)


def test_clustered_mean_of_unequal_groups():
    estimate = stats.clustered_mean(D, np.array(["a"] * 5 + ["b"] * 3 + ["c"] * 2 + ["d"] * 2))
    assert estimate.error == pytest.approx(0.005057539293, abs=1e-12)
    assert estimate.mean / estimate.error == pytest.approx(2.47155766, abs=5e-9)
    assert (estimate.mean / estimate.error) ** 2 == pytest.approx(1350 / 221, abs=1e-12)
    assert p_above(estimate, 0) == pytest.approx(0.0449700499, abs=1e-10)
    assert estimate.low(0.05) == pytest.approx(0.0005977720, abs=1e-10)


def test_clusters_of_one_row_give_the_usual_error():
    estimate = stats.clustered_mean(D, np.arange(12))
    assert estimate.error == pytest.approx(0.006976692800, abs=1e-12)
    assert estimate.error == pytest.approx(D.std(ddof=1) / math.sqrt(12), abs=1e-15)


def test_student_sleep_data():
    first = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
    second = np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])
    estimate = stats.clustered_mean(second - first, np.arange(10))
    assert estimate.mean / estimate.error == pytest.approx(4.062127683, abs=1e-9)
    assert estimate.freedom == 9
    assert 2 * p_above(estimate, 0) == pytest.approx(0.002832890, abs=1e-9)
    assert p_above(estimate, 0) == pytest.approx(0.001416445, abs=1e-9)
    assert (estimate.low(0.025), estimate.high(0.025)) == pytest.approx((0.7001142, 2.4598858), abs=1e-7)
    assert (estimate.mean + 0.5) / estimate.error == pytest.approx(5.347611, abs=1e-6)
    assert p_above(estimate, -0.5) == pytest.approx(0.000231903, abs=1e-9)
    assert estimate.p_below(-0.5) == pytest.approx(1 - 0.000231903, abs=1e-9)


def test_holm_adjusts_in_the_order_given():
    assert stats.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    for adjusted, bonferroni in zip(stats.holm([0.01, 0.04, 0.03, 0.005]), [0.04, 0.16, 0.12, 0.02], strict=True):
        assert adjusted <= bonferroni + 1e-15
    assert stats.holm([0.005, 1.0, 1.0, 1.0])[0] == 0.02
    assert stats.holm([]) == []
    assert stats.holm([0.6, 0.9]) == [1.0, 1.0]


@pytest.mark.parametrize(
    ("alpha", "t"),
    [(0.05, 1.697), (0.025, 2.042), (0.005, 2.750), (0.0025, 3.030), (0.05 / 55, 3.421), (0.05 / 1024, 4.491)],
)
def test_bounds_use_student_quantiles(alpha, t):
    estimate = stats.Estimate(0.0, 1.0, 30)
    assert estimate.high(alpha) == pytest.approx(t, abs=5e-4)
    assert estimate.low(alpha) == -estimate.high(alpha)


def test_log_loss_clips_and_counts():
    y, p = np.array([1.0, 1.0, 0.0, 0.0]), np.array([0.0, 1.0, 1.0, 0.25])
    assert stats.log_loss(y, p) == pytest.approx([-math.log(1e-7), 1e-7, -math.log(1e-7), -math.log(0.75)], rel=1e-6)
    assert stats.clipped(p) == 3
    assert stats.log_loss(np.array([1.0]), np.float32([1.0])).dtype == np.float64


def test_squared_and_absolute_losses_by_hand():
    y, p = np.array([1.0, 0.0, 3.0]), np.array([0.75, 0.5, 1.0])
    assert stats.squared(y, p).tolist() == [0.0625, 0.25, 4.0]
    assert stats.absolute(y, p).tolist() == [0.25, 0.5, 2.0]


def test_losses_and_auc_agree_with_scikit_learn():
    from sklearn import metrics

    rng = np.random.default_rng(5)
    p = np.round(rng.uniform(0.01, 0.99, 500), 2)
    y = (rng.uniform(size=500) < p).astype(float)
    assert stats.log_loss(y, p).mean() == pytest.approx(metrics.log_loss(y, p), abs=1e-12)
    assert stats.squared(y, p).mean() == pytest.approx(metrics.brier_score_loss(y, p), abs=1e-12)
    assert stats.auc(y, p) == pytest.approx(metrics.roc_auc_score(y, p), abs=1e-12)


def test_offset_adjustment_undoes_a_shift_of_level():
    rng = np.random.default_rng(6)
    p = rng.uniform(0.02, 0.98, 400)
    y = (rng.uniform(size=400) < p).astype(float)
    shifted = 1 / (1 + np.exp(-(np.log(p / (1 - p)) - 0.455)))
    once, again = stats.offset_adjusted(y, p), stats.offset_adjusted(y, shifted)
    assert once == pytest.approx(again, abs=1e-12)
    assert once.mean() == pytest.approx(y.mean(), abs=1e-12)
    best = stats.log_loss(y, once).mean()
    for shift in (-0.01, 0.01):
        moved = 1 / (1 + np.exp(-(np.log(once / (1 - once)) + shift)))
        assert stats.log_loss(y, moved).mean() > best


def test_offset_adjustment_survives_certainty_that_is_wrong():
    y = np.array([1.0, 1.0, 0.0, 0.0])
    adjusted = stats.offset_adjusted(y, np.array([0.0, 1.0, 1.0, 1.0]))
    assert adjusted.mean() == pytest.approx(0.5, abs=1e-9)


def test_calibration_error_by_hand():
    y, p = np.array([0.0, 1.0, 1.0, 1.0]), np.array([0.05, 0.05, 0.95, 1.0])
    # One bin holds 0.05, 0.05 (mean y 0.5), the last 0.95, 1.0 (mean y 1): (2 * 0.45 + 2 * 0.025) / 4.
    assert stats.calibration_error(y, p) == pytest.approx(0.2375)


def test_what_can_be_detected_and_when_it_would_be_settled():
    estimate = stats.Estimate(0.004, 0.00235, 30)
    needed = (1.697260887 + 0.853767) * 0.00235
    assert stats.minimum_detectable(estimate, 0.05) == pytest.approx(needed, abs=1e-8)
    assert stats.clusters_to_settle(estimate, 0.0, 0.05) == math.ceil(31 * (needed / 0.004) ** 2)
    assert stats.clusters_to_settle(estimate, 0.004, 0.05) is None
    mirrored = stats.Estimate(-0.004, 0.00235, 30)
    assert stats.clusters_to_settle(mirrored, 0.0, 0.05) == stats.clusters_to_settle(estimate, 0.0, 0.05)


def test_no_error_means_no_doubt():
    estimate = stats.Estimate(0.01, 0.0, 12)
    assert (p_above(estimate, 0.0), p_above(estimate, 0.01), estimate.p_below(0.02)) == (0.0, 1.0, 0.0)


def test_labels_of_models_swapped_at_random_by_day_are_rejected_at_the_nominal_rate():
    rng = np.random.default_rng(7)
    days = np.repeat(np.arange(31), 300)
    values = rng.normal(0, 0.25, 31)[days] + rng.normal(0, 1, len(days))
    clustered = plain = 0
    for _ in range(1000):
        swapped = values * rng.choice([-1.0, 1.0], 31)[days]
        clustered += p_above(stats.clustered_mean(swapped, days), 0) < 0.05
        # The error of independent rows: with one row a cluster, only faster.
        plain += swapped.mean() > 1.645 * swapped.std(ddof=1) / math.sqrt(len(swapped))
    assert 0.02 <= clustered / 1000 <= 0.07
    assert plain / 1000 > 0.30


@st.composite
def scored_rows(draw):
    count = draw(st.integers(8, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    y = (np.arange(count) % 2).astype(float)
    digits = draw(st.integers(1, 6))
    first, second = (np.round(rng.uniform(0, 1, count), digits) for _ in range(2))
    clusters = np.concatenate([[0, 0, 1, 1], rng.integers(0, 6, count - 4)])
    return y, first, second, clusters, rng


def brute_force_auc(y, p):
    pairs = [(a, b) for a in p[y == 1] for b in p[y == 0]]
    return sum((Fraction(int(a > b)) + Fraction(int(a == b), 2) for a, b in pairs), Fraction(0)) / len(pairs)


@settings(deadline=None, max_examples=60)
@given(scored_rows())
def test_any_rows_auc_is_the_share_of_ordered_pairs_and_singletons_give_delong(rows):
    y, first, second, _, _ = rows
    difference = stats.auc_difference(y, first, second, np.arange(len(y)))
    exact = brute_force_auc(y, second) - brute_force_auc(y, first)
    assert difference.mean == pytest.approx(float(exact), abs=1e-12)
    variance = 0.0
    for side in (1, 0):
        sign = 1 if side else -1
        inside, outside = y == side, y != side
        above = [
            (np.sign(sign * (p[inside][:, None] - p[outside][None, :])) / 2 + 0.5).mean(axis=1) for p in (first, second)
        ]
        variance += np.var(above[1] - above[0], ddof=1) / inside.sum()
    assert difference.error**2 == pytest.approx(variance, abs=1e-12)


def brute_force_clustered_variance(y, first, second, clusters):
    """Obuchowski (1997), equation by equation, for the difference of two areas."""
    positives, negatives = y.sum(), (1 - y).sum()
    components = []
    for side in (1, 0):
        sign = 1 if side else -1
        above = [
            (np.sign(sign * (p[y == side][:, None] - p[y != side][None, :])) / 2 + 0.5).mean(axis=1)
            for p in (first, second)
        ]
        components.append(above[1] - above[0])
    theta = components[0].mean()
    names = np.unique(clusters)
    sums = [
        [one[clusters[y == side] == name].sum() for name in names]
        for one, side in ((components[0], 1), (components[1], 0))
    ]
    sizes = [[(clusters[y == side] == name).sum() for name in names] for side in (1, 0)]
    (v, w), (m, n) = (np.array(pair, dtype=float) for pair in (sums, sizes))
    with_positives, with_negatives, every = (m > 0).sum(), (n > 0).sum(), len(names)
    s10 = with_positives / ((with_positives - 1) * positives) * ((v - m * theta) ** 2).sum()
    s01 = with_negatives / ((with_negatives - 1) * negatives) * ((w - n * theta) ** 2).sum()
    s11 = every / (every - 1) * ((v - m * theta) * (w - n * theta)).sum()
    return s10 / positives + s01 / negatives + 2 * s11 / (positives * negatives)


@settings(deadline=None, max_examples=60)
@given(scored_rows())
def test_any_clusters_give_the_variance_of_obuchowski(rows):
    y, first, second, clusters, _ = rows
    difference = stats.auc_difference(y, first, second, clusters)
    exact = brute_force_clustered_variance(y, first, second, clusters)
    assert difference.error**2 == pytest.approx(max(exact, 0), abs=1e-12)


@settings(deadline=None, max_examples=60)
@given(scored_rows())
def test_any_rows_order_does_not_matter_and_swapping_the_models_negates(rows):
    y, first, second, clusters, rng = rows
    order = rng.permutation(len(y))
    loss = stats.log_loss(y, first) - stats.log_loss(y, second)
    for one, shuffled, swapped in (
        (
            stats.clustered_mean(loss, clusters),
            stats.clustered_mean(loss[order], clusters[order]),
            stats.clustered_mean(-loss, clusters),
        ),
        (
            stats.auc_difference(y, first, second, clusters),
            stats.auc_difference(y[order], first[order], second[order], clusters[order]),
            stats.auc_difference(y, second, first, clusters),
        ),
    ):
        assert (shuffled.mean, shuffled.error) == pytest.approx((one.mean, one.error), abs=1e-12)
        assert (swapped.mean, swapped.error) == pytest.approx((-one.mean, one.error), abs=1e-12)


@settings(deadline=None, max_examples=40)
@given(scored_rows(), st.floats(-5, 5))
def test_any_rows_a_constant_added_to_both_losses_changes_nothing(rows, constant):
    y, first, second, clusters, _ = rows
    old, new = stats.squared(y, first), stats.squared(y, second)
    plain = stats.clustered_mean(old - new, clusters)
    shifted = stats.clustered_mean((old + constant) - (new + constant), clusters)
    assert (shifted.mean, shifted.error) == pytest.approx((plain.mean, plain.error), abs=1e-12)


@settings(deadline=None, max_examples=40)
@given(scored_rows(), st.data())
def test_any_nan_is_never_above_a_bound(rows, data):
    y, first, second, clusters, _ = rows
    second[data.draw(st.integers(0, len(y) - 1))] = np.nan
    for loss in (stats.log_loss, stats.squared, stats.absolute):
        estimate = stats.clustered_mean(loss(y, first) - loss(y, second), clusters)
        assert not estimate.low(0.05) > -1e9
        assert not estimate.high(0.05) < 1e9
        assert not p_above(estimate, -1e9) < 0.05
        assert not estimate.p_below(1e9) < 0.05


@pytest.mark.parametrize(
    ("before", "after", "differs"),
    [
        ([0.5, 1e-8], [0.5, 1e-8], [False, False]),
        ([0.5, 0.25], [np.nextafter(0.5, 1), 0.25 * (1 + 2e-9)], [False, True]),
        ([0.5, 0.0], [0.5, 4e-13], [False, False]),
        ([0.5, 0.0], [0.5, 6e-13], [False, True]),
        ([-3e9, 1.0], [-3e9 * (1 + 5e-10), -1.0], [False, True]),
        ([0.5, np.nan], [0.5, np.nan], [True, True]),
        ([[0.5, 0.5], [0.5, 0.5]], [[0.5, 0.5], [0.5, 0.6]], [False, True]),
        ([], [], []),
    ],
)
def test_rounding_is_a_billionth_of_a_prediction_or_nothing_beside_the_largest(before, after, differs):
    assert stats.differing(np.array(before), np.array(after)).tolist() == differs


def test_a_model_is_known_again_whatever_its_last_bits():
    p = np.random.default_rng(5).random(1000)
    assert (stats.rounded(p) == stats.rounded(p * (1 + 2e-16))).all()
    assert np.abs(stats.rounded(p) / p - 1).max() < 5e-9
    assert (stats.rounded(p) != stats.rounded(p * (1 + 1e-6))).all()
    assert stats.rounded(np.array([-0.0, 0.0])).tobytes() == np.zeros(2).tobytes()
