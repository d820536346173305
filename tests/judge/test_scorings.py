"""Probes in one process: what is asked of a model together, and who is to blame where that fails."""

import datetime

import numpy as np
import pytest

from pushforward.errors import PushforwardError
from pushforward.gate.leakage import Trial
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
