"""What verbs print with --json: one document of the schema in docs/schemas, which `UPDATE_GOLDEN=1` writes."""

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from tests.documents import check
from tests.team import PYTHON

from pushforward.commands import cli, printed
from pushforward.errors import NOT_PROMOTED, TOOL
from pushforward.gate.verdict import invalid
from pushforward.judge import judged
from pushforward.report.note import Context

SCHEMAS = Path(__file__).parent.parent.parent / "docs" / "schemas"


def verbs():
    """Every verb, and every word of one that has words, with its command."""
    context = click.Context(cli.main)
    for name in cli.VERBS:
        command = cli.main.get_command(context, name)
        yield name, command
        for word, below in getattr(command, "commands", {}).items():
            yield f"{name} {word}", below


# A log, as it is; and what jobs of other forges call, whose log alone has it.
WITHOUT = {"runs logs", "forge", *(f"forge {word}" for word in ("hand-over", "merge", "post", "promote", "sweep"))}


def test_every_verb_has_json_and_a_schema():
    having = {name for name, command in verbs() if any(one.name == "as_json" for one in command.params)}
    assert having == {name for name, _ in verbs()} - WITHOUT
    assert set(printed.PRINTED) - {"error"} == having


def test_the_published_schemas_are_those_of_the_types():
    made = {printed.file(verb).name: json.dumps(printed.schema(verb), indent=1) + "\n" for verb in printed.PRINTED}
    if os.environ.get("UPDATE_GOLDEN"):
        shutil.rmtree(SCHEMAS, ignore_errors=True)
        SCHEMAS.mkdir()
        for name, text in made.items():
            (SCHEMAS / name).write_text(text)
    assert {path.name: path.read_text() for path in SCHEMAS.iterdir()} == made


def told(team, verb, *args, codes=(0,)):
    """Type a verb with --json, and check what it prints on standard output."""
    done = subprocess.run(
        [str(PYTHON.parent / "pushforward"), *verb.split(), *args, "--json"],
        cwd=team.clone,
        env=os.environ | {"PYTHONPATH": str(team.clone / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in codes, f"{verb}: {done.stdout}{done.stderr}"
    return check(verb, done.stdout)


@pytest.mark.slow
def test_each_verb_prints_one_document_of_its_schema(promoted, tmp_path):
    team = promoted
    said = {
        "act": told(team, "act", "push"),
        "adopt": told(team, "adopt", "--dry-run"),
        "bundle": told(team, "bundle", "v1.0.0", "--out", str(tmp_path / "bundle")),
        "dispatch": told(team, "dispatch"),
        "env": told(team, "env"),
        "gc": told(team, "gc", "--dry-run"),
        "init": told(team, "init"),
        "new": told(team, "new", "other", "--dry-run"),
        "rehearse": told(team, "rehearse", codes=(0, NOT_PROMOTED)),
        "report": told(team, "report"),
        "show": told(team, "show"),
        "trust": told(team, "trust"),
        "verify": told(team, "verify", "v1.0.0", "--quick"),
        "web": told(team, "web", "--export", str(tmp_path / "site")),
        "runs": told(team, "runs"),
        "repro": told(team, "repro", "--clean"),
        "score": told(team, "score"),
    }
    (run,) = said["runs"]
    told(team, "check", "--quick", codes=(0, TOOL))
    told(team, "runs show", run["id"])
    told(team, "gate", "--plan")
    pushed = ("--head", "HEAD", "--event", "push", "--ref", "main")
    verdict = told(team, "gate", *pushed)
    told(team, "report", "--from", "verdict")
    assert verdict["commit"] == team.head()
    told(team, "record")
    told(team, "pull", "v1.0.0", "--force")
    assert said["repro"]["commit"] == team.head()
    assert said["act"]["line"][1] == "push"


def test_what_is_not_promoted_is_told_of_each_model(repository, monkeypatch, git):
    monkeypatch.chdir(repository)
    verdict = replace(invalid("because"), commit=git(repository, "rev-parse", "HEAD"), event="push")
    judged.store(repository / "verdict", verdict, Context(), "minor")
    done = CliRunner().invoke(cli.main, ["promote", "--json"])
    assert check("promote", done.stdout) == [{"model": "", "verdict": "invalid", "promotion": None}]
    assert done.stderr == "  invalid: nothing to promote\n"


@pytest.mark.parametrize(
    ("words", "exit_code", "step"),
    [
        (["report", "nowhere"], 2, "git log --oneline"),
        (["release", "--nothing"], 2, "pushforward release --help"),
        (["verify"], 2, "pushforward verify --help"),
    ],
)
def test_an_error_is_a_document_too_and_told_in_words(repository, monkeypatch, words, exit_code, step):
    monkeypatch.chdir(repository)
    done = CliRunner().invoke(cli.main, [*words, "--json"], prog_name="pushforward")
    assert done.exit_code == exit_code
    found = check("error", done.stdout)
    assert found["exit_code"] == exit_code
    assert step in found["next"]
    assert found["error"].split("\n")[0] in done.stderr
    assert CliRunner().invoke(cli.main, words).stdout == ""


def test_what_stands_after_two_dashes_is_act_s(repository, monkeypatch):
    monkeypatch.chdir(repository)
    assert CliRunner().invoke(cli.main, ["act", "push", "--", "--json"]).stdout == ""
