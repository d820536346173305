"""What the pusher sees while a run goes on."""

import pytest

from pushforward.actions.log import Mask, Progress
from pushforward.server.console import MOST_LINES, Console, Lines


@pytest.fixture
def said():
    return []


@pytest.fixture
def clock():
    return [100.0]


@pytest.fixture
def lines(said, clock):
    return Lines(said.append, ["upload"], log="pushforward runs logs --all abc", clock=lambda: clock[0])


def output(text, step="repro"):
    return Progress("output", text, "train", step)


def test_a_step_of_our_own_is_shown_and_ends_with_its_time(lines, said):
    lines.take(Progress("step-start", "repro", "train", "repro"))
    lines.take(output("  train …"))
    lines.take(output("plain words"))
    lines.take(output("   "))
    lines.take(output("  train 1.2 s"))
    lines.take(Progress("step-end", "repro", "train", "repro", seconds=2.34, result="success"))
    assert said == ["  train …", "    plain words", "  train 1.2 s", "  repro 2.3 s"]


def test_of_an_action_only_a_failure_is_shown(lines, said):
    for result in ("success", "failure"):
        lines.take(Progress("step-start", "upload", "train", "upload"))
        lines.take(output(f"artifact, {result}", "upload"))
        lines.take(Progress("step-end", "upload", "train", "upload", seconds=0.5, result=result))
    assert said == ["  artifact, failure", "  step upload failed after 0.5 s"]


def test_rounds_are_told_every_two_seconds_with_the_time_that_is_left(lines, said, clock):
    lines.take(output("  train …"))
    for done in range(1, 101):
        clock[0] += 0.25
        lines.take(output(f"round {done}/100  log loss 0.{done:03}"))
    assert [int(line.split("/")[0].split()[-1]) for line in said[1:]] == list(range(8, 100, 8))
    assert said[1] == "    round 8/100  log loss 0.008  about 23 s left"
    assert said[-1] == "    round 96/100  log loss 0.096  about 1 s left"


def test_a_training_that_tells_the_time_itself_is_left_alone(lines, said, clock):
    for done in (25, 50):
        clock[0] += 3
        lines.take(output(f"  round {done}/100  log loss: validation 0.5  at most 9 s left"))
    assert said[-1] == "  round 50/100  log loss: validation 0.5  at most 9 s left"


def test_a_second_fit_starts_its_clock_again(lines, said, clock):
    for done in (50, 100, 1, 2):
        clock[0] += 4
        lines.take(output(f"round {done}/100"))
    assert said[-1].endswith("about 392 s left")


def test_a_wall_of_log_is_cut_and_its_end_shown_where_the_step_fails(lines, said, clock):
    for number in range(1000):
        clock[0] += 0.01
        lines.take(output(f"line {number}"))
    assert said[MOST_LINES] == f"    … (more than {MOST_LINES} lines; all of them: pushforward runs logs --all abc)"
    assert len(said) < MOST_LINES + 7
    lines.take(Progress("step-end", "repro", "train", "repro", seconds=9.0, result="failure"))
    assert said[-2:] == ["  line 999", "  step repro failed after 9.0 s"]


def test_warnings_are_shown(lines, said):
    lines.take(Progress("warning", "a.py:3: look here", "train", "repro"))
    assert said == ["  warning: a.py:3: look here"]


def test_a_console_goes_on_where_an_earlier_attempt_was_killed(tmp_path):
    for text in ("one", "two\n\x1b[31mthree"):
        console = Console(tmp_path / "deep" / "log")
        console.say(text)
        console.close()
    assert (tmp_path / "deep" / "log").read_text() == "one\ntwo\nthree\n"


def test_what_turns_out_to_be_secret_is_blanked_and_nothing_moves(tmp_path):
    path = tmp_path / "report.log"
    log = Console(path)
    log.say("the key is zébra, really")
    mask = Mask([])
    mask.learn("zébra")
    log.hide(mask)
    log.say("and on")
    log.close()
    assert path.read_text() == "the key is ******, really\nand on\n"
