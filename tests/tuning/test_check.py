"""The check of what was found: its interval by hand, its words, and what a seed's noise is."""

import pytest

from pushforward.lifecycle import Searched, Tune
from pushforward.tuning import folds
from pushforward.tuning.check import check
from pushforward.tuning.folds import FailedError, Fold, Pace

FOLD = Fold(asked=("2013-07", "2013-08"))


class Ground:
    """A pipeline whose numbers are written down: of today's parameters and of the best, seed for seed."""

    def __init__(self, today, best, better="lower"):
        metric = {} if better == "lower" else {"metric": "m.json:auc"}
        self.told = Tune(space={"a": Searched(low=1, high=2)}, better=better, **metric)
        self.numbers, self.asked, self.pace = {1: today, 2: best}, [], Pace()

    def number(self, fold, values):
        self.asked.append((fold, dict(values)))
        return self.numbers[values["a"]][values.get("seed", 11) - 11]


def run(ground, seeds=("seed", (11, 12, 13, 14, 15)), *, apart=True, promised=0.05, ends=None):
    values = {"a": 1}, {"a": 2}
    return check(ground, FOLD, values, seeds, apart=apart, promised=promised, say=lambda _: None, ends=ends)


def test_the_interval_is_students_of_the_differences():
    # differences .01 .02 .03 .04 .05: mean .03, standard error sqrt(.00025 / 5), t(4) at 97.5 % is 2.776445
    ground = Ground([0.5] * 5, [0.49, 0.48, 0.47, 0.46, 0.45])
    found = run(ground)
    assert found.gain == pytest.approx(0.03)
    assert found.low == pytest.approx(0.03 - 2.776445 * 0.00707107, abs=1e-6)
    assert found.high == pytest.approx(0.03 + 2.776445 * 0.00707107, abs=1e-6)
    assert found.worth
    assert ground.asked[:2] == [(FOLD, {"a": 1, "seed": 11}), (FOLD, {"a": 2, "seed": 11})]
    assert found.sentences() == [
        "on 2013-07 to 2013-08, which no trial has seen: 0.4700, today's 0.5000",
        "with 5 seeds each +0.0300 better, between +0.0104 and +0.0496 at 95 %: more than a seed's noise",
        "the search promised +0.0500; the best of many looks better than it is, the check is what counts",
    ]


def test_a_gain_that_a_seed_could_make_is_none():
    found = run(Ground([0.50, 0.48, 0.51, 0.49, 0.52], [0.49, 0.50, 0.48, 0.50, 0.49]), apart=False, promised=None)
    assert not found.worth
    told = " ".join(found.sentences())
    assert "no more than a seed's noise" in told
    assert "on which the trials were compared" in told
    assert told.endswith("that was not kept back: the best of many looks better there than it is, with whatever seed")
    assert "promised" not in told


def test_where_higher_is_better_a_gain_is_more():
    found = run(Ground([0.7] * 5, [0.71, 0.72, 0.73, 0.72, 0.71], better="higher"))
    assert found.gain == pytest.approx(0.018)
    assert found.worth


def test_without_a_seed_the_noise_is_not_known():
    found = run(Ground([0.5], [0.4]), ("", ()))
    assert (found.gain, found.low, found.worth) == (pytest.approx(0.1), None, False)
    assert "its noise is not known" in found.sentences()[1]


class Slow(Ground):
    """A pipeline that takes 20 s for its fold and 10 s for each run."""

    def __init__(self, clock):
        super().__init__([0.5] * 5, [0.49, 0.48, 0.47, 0.46, 0.45])
        self.clock = clock

    def number(self, fold, values):
        if not self.pace.ready:
            self.clock[0] += 20
            self.pace.ready = 1
        self.clock[0] += 10
        self.pace.runs.append(10.0)
        return super().number(fold, values)


@pytest.fixture
def slow(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(folds.time, "monotonic", lambda: clock[0])
    ground = Slow(clock)
    ground.pace.runs, ground.pace.preparing = [7.0, 10.0, 4.0], [20.0]  # what the search has seen
    return ground


@pytest.mark.parametrize(("ends", "pairs"), [(120, 5), (119, 4), (79, 2), (40, 1), (60, 2), (59, 1)])
def test_the_check_ends_in_time_with_the_seeds_that_it_has(slow, ends, pairs):
    found = run(slow, ends=ends)
    assert slow.clock[0] == 20 + 20 * pairs <= ends
    assert found.seeds == (11, 12, 13, 14, 15)[:pairs]
    assert (len(found.today), len(found.best), found.planned) == (pairs, pairs, 5)
    assert found.gain == pytest.approx((0.01 + 0.01 * pairs) / 2)
    said = found.sentences()[1]
    if pairs == 1:
        assert said == "one seed alone: +0.0100 better; the time was over for others, so its noise is not known"
        assert not found.worth
    else:
        late = "" if pairs == 5 else " of 5, for the time was over,"
        assert said.startswith(f"with {pairs} seeds{late} each +")


def test_a_check_without_time_for_a_pair_begins_none_and_one_whose_run_takes_longer_has_none(slow):
    with pytest.raises(FailedError, match="the time is over"):
        run(slow, ends=39)
    assert slow.asked == []
    slow.pace.runs.clear()
    slow.pace.preparing.clear()
    with pytest.raises(FailedError, match="the time is over"):
        run(slow, ends=35)
    assert [values for _, values in slow.asked] == [{"a": 1, "seed": 11}]
