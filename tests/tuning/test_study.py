"""A search: what it tries next depends on nothing but its seed and what came before, whatever kills it in between."""

import statistics

import pytest

from pushforward.errors import PushforwardError
from pushforward.lifecycle import Searched, Tune
from pushforward.tuning import study
from pushforward.tuning.folds import FailedError, Fold, Pace
from pushforward.tuning.study import Search

FOLDS = [Fold(asked=(name,)) for name in ("old", "new")]
SPACE = {
    "x": Searched(low=0.01, high=10.0, log=True),
    "depth": Searched(low=1, high=9),
    "word": Searched(one_of=["a", "b"]),
}
NOW = {"x": 5.0, "depth": 2, "word": "a"}


class Killed(BaseException):
    """What a kill -9 is to whoever cannot catch it."""


class Ground:
    """A pipeline that is a formula: the best is x 1, depth 5, word b."""

    def __init__(self, *, dies_at=0, fails=lambda values: False):
        self.calls, self.dies_at, self.fails, self.pace = [], dies_at, fails, Pace()

    def number(self, fold, values):
        self.calls.append((str(fold), dict(values)))
        if len(self.calls) == self.dies_at:
            raise Killed
        if self.fails(values):
            raise FailedError("train failed: too deep")
        return abs(values["x"] - 1) + abs(values["depth"] - 5) / 4 + (values["word"] == "a") + 0.1 * (fold is FOLDS[1])


def search(path, ground, *, trials=14, seed=0, said=None, until=None, now=NOW, **told):
    tune = Tune(space=SPACE, **told)
    asked = Search(tune, now, FOLDS, trials, seed, until, (said if said is not None else []).append)
    return study.search(path, asked, ground)


def tried(found):
    return [(one.number, one.values, one.state, one.folds, one.value, one.cause) for one in found.trials]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A search that nothing disturbs."""
    ground, said = Ground(), []
    found = search(tmp_path_factory.mktemp("whole") / "a.journal", ground, said=said)
    return found, ground, said


def test_it_begins_with_today_finds_the_best_and_gives_up_early_what_is_worse(whole):
    found, ground, said = whole
    first = found.trials[0]
    assert first.values == NOW
    assert first.folds == (pytest.approx(5.75), pytest.approx(5.85))
    assert first.value == pytest.approx(statistics.fmean(first.folds))
    assert found.best.value == min(one.value for one in found.complete) < 1.5
    assert len(found.trials) == 14
    assert {one.state for one in found.trials} == {"complete", "pruned"}
    pruned = [one for one in found.trials if one.state == "pruned"]
    assert pruned
    assert {len(one.folds) for one in pruned} == {1}
    assert len(ground.calls) == 2 * 14 - len(pruned)
    assert sum("and no further" in line for line in said) == len(pruned)
    for one in pruned:  # worse there than half of those before it that went through
        before = [other.folds[0] for other in found.complete if other.number < one.number]
        assert one.folds[0] > statistics.median(before)


def test_what_is_tried_is_what_is_said_of_it(whole):
    found, ground, _ = whole
    assert [values for _, values in ground.calls if values] == [one.values for one in found.trials for _ in one.folds]
    for one in found.trials:
        assert float(f"{one.values['x']:.4g}") == one.values["x"]


def test_the_same_seed_tries_the_same_and_another_others(whole, tmp_path):
    found = whole[0]
    assert tried(search(tmp_path / "b.journal", Ground())) == tried(found)
    assert tried(search(tmp_path / "c.journal", Ground(), seed=1))[1:] != tried(found)[1:]


def test_the_first_is_today_to_the_last_digit_after_a_kill_too(tmp_path):
    now = {"x": 0.0316227766, "depth": 2, "word": "a"}
    path = tmp_path / "digits.journal"
    with pytest.raises(Killed):
        search(path, Ground(dies_at=2), now=now)
    ground = Ground()
    found = search(path, ground, trials=3, now=now)
    assert found.trials[0].values == now
    assert ground.calls[0] == ("old", now)
    assert found.trials[0].value == pytest.approx(1 - 0.0316227766 + 0.75 + 1 + 0.05, abs=1e-12)
    for one in found.trials[1:]:
        assert float(f"{one.values['x']:.4g}") == one.values["x"]


class Slow(Ground):
    """A pipeline that takes 5 s for a fold, and then 2 s for a run on the old one and 10 s on the new one."""

    def __init__(self, clock):
        super().__init__()
        self.clock, self.made = clock, set()

    def number(self, fold, values):
        if fold not in self.made:
            self.made.add(fold)
            with self.pace.told(self.pace.preparing):
                self.clock[0] += 5
            self.pace.ready += 1
        with self.pace.told(self.pace.runs):
            self.clock[0] += 2 if fold is FOLDS[0] else 10
        return values["x"]


def test_no_trial_begins_that_would_leave_no_time_for_the_check(tmp_path, monkeypatch):
    """The longest run takes 10 s: a trial has two such, the check 7 and 5 s for its fold; the first took 22."""
    clock = [1000.0]
    monkeypatch.setattr(study.time, "monotonic", lambda: clock[0])

    def trials(seconds, checks, of=9):
        clock[0] = 1000.0
        asked = Search(Tune(space=SPACE), NOW, FOLDS, of, 0, None, lambda _: None, 1000.0 + seconds, checks)
        found = study.search(tmp_path / f"{seconds}-{checks}.journal", asked, Slow(clock))
        return len(found.trials), found.interrupted

    assert trials(22 + 94, 6) == (1, "the time is over")
    assert trials(22 + 95, 6, of=2) == (2, "")
    assert trials(22 + 20, 0, of=2) == (2, "")
    assert trials(22 + 19, 0) == (1, "the time is over")
    assert trials(1000, 6) == (9, "")
    # Taken up again it knows what it knew, and that its folds have to be made anew.
    for seconds, count in ((95 + 9, 1), (95 + 10, 2)):
        asked = Search(Tune(space=SPACE), NOW, FOLDS, 2, 0, None, [].append, clock[0] + seconds, 6)
        assert len(study.search(tmp_path / f"{22 + 94}-6.journal", asked, Slow(clock)).trials) == count


def test_a_run_that_fails_has_taken_its_time_too(tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(study.time, "monotonic", lambda: clock[0])

    class Failing(Slow):
        def number(self, fold, values):
            super().number(fold, values)
            raise FailedError("train failed: too deep")

    asked = Search(Tune(space=SPACE), NOW, FOLDS[1:], 2, 0, None, lambda _: None, 15 + 9.0)
    assert len(study.search(tmp_path / "f.journal", asked, Failing(clock)).trials) == 1


@pytest.mark.parametrize("call", [1, 2, 3, 11, 20])
def test_a_search_that_is_killed_goes_on_as_if_it_had_not_been(whole, tmp_path, call):
    path = tmp_path / "killed.journal"
    with pytest.raises(Killed):
        search(path, Ground(dies_at=call))
    with pytest.raises(Killed):
        search(path, Ground(dies_at=1))  # and again, in the first fold of what was half done
    assert tried(search(path, Ground())) == tried(whole[0])


def test_a_line_that_a_kill_cut_off_is_as_if_it_had_not_begun(whole, tmp_path):
    path = tmp_path / "torn.journal"
    with pytest.raises(Killed):
        search(path, Ground(dies_at=9))
    path.write_bytes(path.read_bytes() + b'{"op_code":8,"worker_i')
    assert tried(search(path, Ground())) == tried(whole[0])


def test_more_trials_go_on_after_those_that_there_are(whole, tmp_path):
    path = tmp_path / "more.journal"
    assert tried(search(path, Ground(), trials=6)) == tried(whole[0])[:6]
    ground = Ground()
    assert tried(search(path, ground)) == tried(whole[0])
    assert not any(values == NOW for _, values in ground.calls)


def test_what_does_not_run_is_told_and_gone_around(tmp_path):
    path, fails = tmp_path / "fails.journal", lambda values: values["depth"] > 5
    found = search(path, Ground(fails=fails))
    failed = [one for one in found.trials if one.state == "failed"]
    assert failed
    assert all(one.values["depth"] > 5 and one.value is None for one in failed)
    assert {one.cause for one in failed} == {"train failed: too deep"}
    assert found.best.values["depth"] <= 5
    torn = tmp_path / "torn.journal"
    with pytest.raises(Killed):
        search(torn, Ground(fails=fails, dies_at=15))
    assert tried(search(torn, Ground(fails=fails))) == tried(found)


def test_where_none_of_the_first_runs_the_search_ends_with_the_reason(tmp_path):
    ground = Ground(fails=lambda values: True)
    with pytest.raises(PushforwardError, match="none of the first 3 trials ran: train failed: too deep"):
        search(tmp_path / "none.journal", ground)
    assert len(ground.calls) == 3


def test_ctrl_c_ends_it_with_what_there_is(tmp_path):
    class Pressed(Ground):
        def number(self, fold, values):
            if len(self.calls) == 7:
                raise KeyboardInterrupt
            return super().number(fold, values)

    found = search(tmp_path / "c.journal", Pressed())
    assert found.interrupted == "Ctrl-C"
    assert len(found.trials) == 3
    assert found.best is not None


def test_after_the_time_no_trial_begins(tmp_path):
    found = search(tmp_path / "t.journal", Ground(), until=0.0)
    assert (found.interrupted, found.trials, found.best) == ("the time is over", [], None)


def test_where_higher_is_better_the_highest_is_the_best(tmp_path):
    found = search(tmp_path / "h.journal", Ground(), better="higher", metric="m.json:auc")
    assert found.best.value == max(one.value for one in found.complete)
    assert found.best.value > found.trials[0].value > 5


def test_today_is_no_trial_where_the_space_has_it_not(tmp_path):
    ground = Ground()
    search(tmp_path / "o.journal", ground, trials=3, now=NOW | {"depth": 30})
    assert not any(values["depth"] == 30 for _, values in ground.calls)


def test_what_matters_most_is_told_first(tmp_path):
    class Depth(Ground):
        def number(self, fold, values):
            return float(values["depth"])

    search(tmp_path / "i.journal", Depth(), trials=30)
    shares = study.importances(tmp_path / "i.journal")
    assert next(iter(shares)) == "depth"
    assert set(shares) == set(SPACE)
    assert sum(shares.values()) == pytest.approx(1)
    search(tmp_path / "one.journal", Ground(), trials=1)
    assert study.importances(tmp_path / "one.journal") == {}
