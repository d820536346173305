"""Roads that a person goes where the judge or the policy says no: typed from the refusals, on a real server."""

import json
import re
import subprocess

import pytest

from pushforward.git.repository import Repository
from pushforward.report import notes

pytestmark = pytest.mark.whole


def sign(team, *rights: str) -> None:
    """Give Ann a key, and that the rights."""
    key = team.clone.parent / "ann"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key)], check=True)
    team.git("config", "gpg.format", "ssh")
    team.git("config", "user.signingkey", f"{key}.pub")
    team.pushforward("trust", f"{key}.pub", *(f"--for={right}" for right in rights))


def test_a_refactoring_lands_on_a_protected_main_and_a_change_of_the_gate_is_signed_in(promoted):
    team = promoted
    team.pushforward("init", "--protect-main")
    with (team.clone / "src" / "toy" / "pipeline.py").open("a") as code:
        code.write("# refactored\n")
    team.git("commit", "-q", "-am", "Refactor")
    said = team.git("push", "local", "HEAD:refactored")
    assert "IDENTICAL" in said
    assert "merge refactored; there is nothing to tag" in " ".join(said.replace("remote:", "").split())
    assert "[remote rejected]" not in team.git("push", "local", "main", check=False)
    team.commit("pushforward.yaml", "  slices: [half]", "  slices: []", "Look at all alike")
    said = team.git("push", "local", "HEAD:gate")
    assert "IDENTICAL" in said
    assert "signed by who may, for it changes the judge" in " ".join(said.replace("remote:", "").split())
    refused = team.git("push", "local", "main", check=False)
    assert "no pull request has passed with this content; pushforward.yaml decides about the model" in refused
    assert "pushforward trust KEY.pub --for main" in refused
    sign(team, "main")
    words = re.search(r"git (commit .*?) -m '(.*?)', and push again", refused)
    assert words is not None
    team.git(*words[1].split(), "-m", words[2].replace("WHY", "the halves are too small"))
    said = team.push()
    told = "ann@example.org: the halves are too small"
    assert f"let in by a person's word: {told}" in " ".join(said.replace("remote:", "").split())
    assert f"**Let in by a person's word**, not by a verdict: {told.replace('@', '＠')}" in team.note(team.head())


def test_a_month_is_one_line_and_a_patch_and_is_taken_back_after_its_promotion(promoted):
    """Its version saw what is the holdout again: it is rolled back and deprecated, and the month is gone for good."""
    team = promoted
    team.commit("params.yaml", '    - "2020-04"\n', '    - "2020-04"\n    - "2020-05"\n', "Let May arrive")
    said = team.push()
    assert "data.months +2020-05" in said
    assert "nothing to do: tagged as toy@v1.0.1, in use in staging" in " ".join(said.replace("remote:", "").split())
    assert "tagged as toy＠v1.0.1, in use in staging" in team.note(team.head()), "the report that stays says it too"
    assert notes.read(Repository(team.bare), team.head())[0].verdict["mode"] == "refresh"
    assert "toy@v1.0.1" in team.tags()
    plan = json.loads(team.pushforward_fetched("gate", "--plan", "--json"))
    assert (plan["closed"], plan["left"], plan["alpha"]) == ("", 9, pytest.approx(0.0025)), "a refresh keeps it open"
    gone = team.commit("params.yaml", '    - "2020-05"\n', "", "Take May back")
    said = " ".join(team.push().replace("remote:", "").split())
    assert "The champion trained on 2020-03, a month of the holdout" in said
    for words in (
        "pushforward rollback ENVIRONMENT -m WHY wherever toy@v1.0.1 is in use",
        "pushforward deprecate toy@v1.0.1",
    ):
        assert words in said
    sign(team)
    team.git("fetch", "-q", "--tags", "local")
    team.pushforward("rollback", "staging", "-m", "May was wrong")
    team.pushforward("deprecate", "toy@v1.0.1", "-m", "May was wrong")
    team.pushforward("runs", "retry", gone[:9])
    team.pushforward("runs", "logs", "-f", gone[:9])
    assert "Identical" in team.note(gone)
