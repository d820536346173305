"""Probes in one process: what is asked of a model together, and who is to blame where that fails."""

import datetime
import threading

import numpy as np
import polars as pl
import pytest

from pushforward.errors import PushforwardError
from pushforward.gate.leakage import Trial
from pushforward.judge import scorings
from pushforward.judge.score import Pair, PredictionsError, ScoringError
from pushforward.judge.scorings import answers

NOON = datetime.datetime(2013, 5, 1, 12, tzinfo=datetime.UTC)


@pytest.fixture
def asked(tmp_path):
    """What is true, and two trials; each table of events is its own name."""
    trials = [Trial(NOON, tmp_path / f"{n}-events", tmp_path / f"{n}") for n in range(2)]
    told = Pair(tmp_path / "events", tmp_path / "p")
    for path in (told.events, *(trial.told for trial in trials)):
        path.write_text(path.name)
    return told, trials


class Scorer:
    """A score command that fails for some tables of events, and notes what each of its processes is told."""

    def __init__(self, *bad, late=False):
        self.bad, self.late, self.processes = bad, late, []

    def run(self, pairs):
        told = [pair.events.read_text() for pair in pairs]
        self.processes.append(told)
        for pair, name in zip(pairs, told, strict=True):
            if name in self.bad:
                raise ScoringError(f"no {name}", late=self.late)
            pair.out.write_text(str(len(name)))


def read(path):
    return np.array([float(path.read_text())])


def test_one_process_answers_all_and_hears_last_what_is_true(asked):
    told, trials = asked
    scorer = Scorer()
    before, afters = answers(scorer.run, read, told, trials, at_once=True)
    assert scorer.processes == [["0-events", "1-events", "events"]]
    assert [before.tolist(), *(one.tolist() for one in afters)] == [[6.0], [8.0], [8.0]]
    assert not any(trial.told.exists() for trial in trials)
    assert told.events.exists()


def test_a_command_for_one_table_has_a_process_for_each_the_true_one_first(asked):
    told, trials = asked
    scorer = Scorer()
    before, afters = answers(scorer.run, read, told, trials, at_once=False)
    assert scorer.processes[0] == ["events"]
    assert sorted(scorer.processes[1:]) == [["0-events"], ["1-events"]]
    assert [before.tolist(), *(one.tolist() for one in afters)] == [[6.0], [8.0], [8.0]]


@pytest.mark.parametrize("at_once", [True, False])
def test_without_a_trial_there_is_one_process(asked, at_once):
    scorer = Scorer()
    answers(scorer.run, read, asked[0], [], at_once=at_once)
    assert scorer.processes == [["events"]]


@pytest.mark.parametrize(("bad", "words"), [("events", "no events"), ("1-events", "with the future replaced the chal")])
def test_where_it_fails_it_is_told_of_which_table(asked, bad, words):
    told, trials = asked
    with pytest.raises(PushforwardError) as failed:
        answers(Scorer(bad).run, read, told, trials, at_once=True)
    assert failed.value.message.startswith(words)
    assert not any(trial.told.exists() for trial in trials)


class Forgetful(Scorer):
    """A score command that keeps what its process was told first."""

    def run(self, pairs):
        super().run(pairs)
        for pair in pairs[1:]:
            pair.out.write_text(pairs[0].out.read_text())


def test_whoever_keeps_what_they_were_told_first_is_asked_again_alone_and_refused(asked):
    told, trials = asked
    scorer = Forgetful()
    with pytest.raises(
        PredictionsError, match="other predictions in 1 rows than told of one: it keeps what it was told"
    ):
        answers(scorer.run, read, told, trials, at_once=True)
    assert scorer.processes == [["0-events", "1-events", "events"], ["events"]]


def test_a_model_that_events_tell_nothing_is_asked_again_alone_and_believed(asked):
    told, trials = asked
    for path in (told.events, *(trial.told for trial in trials)):
        path.write_text("the same")
    scorer = Scorer()
    before, afters = answers(scorer.run, read, told, trials, at_once=True)
    assert [before.tolist(), *(one.tolist() for one in afters)] == [[8.0], [8.0], [8.0]]
    assert len(scorer.processes) == 2


def test_one_that_was_late_is_not_waited_for_again(asked):
    told, trials = asked
    scorer = Scorer("events", late=True)
    with pytest.raises(ScoringError, match="no events"):
        answers(scorer.run, read, told, trials, at_once=True)
    assert len(scorer.processes) == 1


@pytest.fixture
def three(tmp_path, monkeypatch):
    """What is true, three trials, a light model, and two cores."""
    trials = [Trial(NOON, tmp_path / f"{n}-events", tmp_path / f"{n}") for n in range(3)]
    told, model = Pair(tmp_path / "events", tmp_path / "p"), tmp_path / "model"
    for path in (told.events, *(trial.told for trial in trials)):
        path.write_text(path.name)
    model.mkdir()
    (model / "weights").write_bytes(b"x" * 1000)
    monkeypatch.setattr(scorings, "_cores", lambda: 2)
    return told, trials, model


HALVES = [["0-events", "1-events"], ["2-events", "events"]]
ALL = [["0-events", "1-events", "2-events", "events"]]


def test_two_processes_share_the_tables_and_the_true_one_comes_last_after_a_trial(three):
    told, trials, model = three
    scorer = Scorer()
    before, afters = answers(scorer.run, read, told, trials, at_once=True, model=model)
    assert sorted(scorer.processes) == HALVES
    assert [before.tolist(), *(one.tolist() for one in afters)] == [[6.0], [8.0], [8.0], [8.0]]
    assert not any(trial.told.exists() for trial in trials)


def test_the_two_are_there_at_the_same_time(three):
    told, trials, model = three
    scorer, both = Scorer(), threading.Barrier(2, timeout=60)

    def run(pairs):
        both.wait()
        scorer.run(pairs)

    answers(run, read, told, trials, at_once=True, model=model)
    assert len(scorer.processes) == 2


@pytest.mark.parametrize("trials", range(1, 8))
@pytest.mark.parametrize("most", range(1, 9))
def test_however_many_share_them_what_is_true_is_heard_last_and_never_first(trials, most):
    shares = scorings._shares(range(trials + 1), most)
    assert [one for share in shares for one in share] == list(range(trials + 1))
    assert len(shares) <= most
    assert all(len(share) >= 2 for share in shares)


def test_one_process_scores_all_where_there_is_no_core_for_another(three, monkeypatch):
    monkeypatch.setattr(scorings, "_cores", lambda: 1)
    told, trials, model = three
    scorer = Scorer()
    answers(scorer.run, read, told, trials, at_once=True, model=model)
    assert scorer.processes == ALL


@pytest.mark.parametrize("why", ["many events", "a large model", "a large file", "an unknown model"])
def test_one_process_scores_all_where_memory_is_for_one(three, monkeypatch, why):
    told, trials, model = three
    if why == "many events":
        pl.DataFrame({"id": range(11)}).write_parquet(told.events)
        monkeypatch.setattr(scorings, "EVENTS_AT_ONCE", 10)
    elif why.startswith("a large"):
        monkeypatch.setattr(scorings, "LIGHT", 999)
        model = model / "weights" if why == "a large file" else model
    else:
        model = None
    processes = []

    def run(pairs):
        processes.append([pair.events.name for pair in pairs])
        for pair in pairs:
            pair.out.write_text(str(len(pair.events.name)))

    answers(run, read, told, trials, at_once=True, model=model)
    assert processes == ALL


def test_whoever_keeps_what_their_process_was_told_first_is_refused_also_where_two_share(three):
    told, trials, model = three
    scorer = Forgetful()
    with pytest.raises(PredictionsError, match="it keeps what it was told first"):
        answers(scorer.run, read, told, trials, at_once=True, model=model)
    assert sorted(scorer.processes[:2]) == HALVES
    assert scorer.processes[2:] == [["events"]]


def test_what_two_fight_over_is_tried_by_one(three):
    told, trials, model = three
    scorer = Scorer()

    def run(pairs):
        scorer.run(pairs)
        if len(pairs) == 2:
            raise ScoringError("the device is in use")

    before, afters = answers(run, read, told, trials, at_once=True, model=model)
    assert sorted(scorer.processes[:2]) == HALVES
    assert scorer.processes[2:] == ALL
    assert [before.tolist(), *(one.tolist() for one in afters)] == [[6.0], [8.0], [8.0], [8.0]]


@pytest.mark.parametrize(("bad", "words"), [("events", "no events"), ("1-events", "with the future replaced the chal")])
def test_where_sharing_fails_it_is_told_of_which_table(three, bad, words):
    told, trials, model = three
    with pytest.raises(PushforwardError) as failed:
        answers(Scorer(bad).run, read, told, trials, at_once=True, model=model)
    assert failed.value.message.startswith(words)


@pytest.mark.parametrize("bad", ["1-events", "events"])
def test_of_two_that_share_one_that_was_late_is_not_waited_for_again(three, bad):
    told, trials, model = three
    scorer = Scorer(bad, late=True)
    with pytest.raises(ScoringError, match=f"no {bad}"):
        answers(scorer.run, read, told, trials, at_once=True, model=model)
    assert sorted(scorer.processes) == HALVES
