"""The command that a report prints for a row is one that can be typed."""

import dataclasses
import shlex

import pytest
from click.testing import CliRunner
from tests.report.test_golden import REPORTS

from pushforward.commands.cli import main
from pushforward.errors import PushforwardError
from pushforward.explaining import explain
from pushforward.report import moved
from pushforward.report.markdown import markdown
from pushforward.report.terminal import terminal

COMMIT = "4f1c2ab94" + "0" * 31


@pytest.fixture
def typed(monkeypatch, tmp_path):
    """Type a printed command; what it has understood."""

    def understood(root, key, **asked):
        said.append({"key": key, **{name: asked[name] for name in ("model", "of")}})
        raise PushforwardError("understood")

    said = []
    monkeypatch.setattr(explain, "explain", understood)
    monkeypatch.setattr("pushforward.commands.common.project", lambda: tmp_path)

    def run(command):
        program, *words = shlex.split(command)
        done = CliRunner().invoke(main, words)
        assert (program, len(said)) == ("pushforward", 1), done.output
        return said.pop()

    return run


@pytest.mark.parametrize(
    "key", ["2013-09-03-EWR-UA-15", "-7", "--help", "--", "-", "a b", "it's", "-it's $(x)", "7", "*"]
)
@pytest.mark.parametrize("model", ["", "flight-delay"])
def test_a_printed_command_is_understood_as_it_was_meant(typed, key, model):
    assert typed(moved.command(key, COMMIT, model)) == {"key": key, "model": model, "of": COMMIT[:9]}
    assert typed(moved.command(key, model=model)) == {"key": key, "model": model, "of": ""}


def test_two_dashes_stand_only_where_they_are_needed():
    assert moved.command("7-", COMMIT) == "pushforward explain 7- --commit 4f1c2ab94"
    assert moved.command("-7", COMMIT, "a") == "pushforward explain --model a --commit 4f1c2ab94 -- -7"


def test_a_report_of_one_of_several_models_names_it():
    verdict, context = REPORTS["moved"]
    context = dataclasses.replace(context, model="flight-delay")
    asked = moved.command(context.moved[-1].key, verdict.commit, "flight-delay")
    assert "--model flight-delay" in asked
    assert asked in markdown(verdict, context)
    assert asked in " ".join(terminal(verdict, context, width=400).split())
