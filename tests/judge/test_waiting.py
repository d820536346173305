"""A look that could not tell is taken up again with the months that come: real pushes to a real server."""

import json

import pytest

from pushforward.git.repository import Repository
from pushforward.judge import ledger
from pushforward.report import notes

pytestmark = pytest.mark.slow

WINDOW = "2020-03_2020-04"


def judged(team, commit):
    return notes.read(Repository(team.bare), team.git("rev-parse", commit).strip())[0].verdict


def state(team):
    return ledger.Ledger(Repository(team.bare)).state(WINDOW)


def looked(team, commit):
    found = judged(team, commit)
    return found["verdict"], found["look"] and found["look"].get("waiting")


def flat(said):
    return " ".join(said.replace("remote:", "").split())


def test_a_month_settles_what_two_could_not_tell(promoted):
    team = promoted
    team.commit("pushforward.yaml", "  window: 2\n", "  window: 2\n  extend: 2\n  looks: 20\n", "Let looks wait")
    team.push()
    team.git("switch", "-q", "-c", "idea")
    team.commit("params.yaml", "buckets: 2\n  shift: 0.0", "buckets: 4\n  shift: 0.1", "Use four buckets")
    said = flat(team.push("idea"))
    assert "UNKNOWN" in said
    assert "the look stays open for 61 days more" in said
    word, waiting = looked(team, "idea")
    assert (word, waiting["asking"], waiting["planned"], waiting["open"]) == ("unknown", 1, 122, True)
    assert waiting["level"] == pytest.approx(0.05 / 20)
    assert waiting["spent"] == pytest.approx(0.05 / 20 / 2)

    team.git("switch", "-q", "main")
    team.commit("params.yaml", '- "2020-04"', '- "2020-04"\n    - "2020-05"', "Let May arrive")
    team.commit("pushforward.yaml", "  window: 2\n", "  window: 3\n", "Ask it too")
    said = flat(team.push())
    assert "IDENTICAL" in said, "what models train on stays"
    arrived = judged(team, "main")
    assert arrived["touched"] == []
    assert arrived["holdout"]["months"] == ["2020-03", "2020-04", "2020-05"]
    assert arrived["holdout"]["until"] == "2020-04"
    assert state(team).retired is None
    assert len(state(team).open) == 1
    assert json.loads(team.pushforward("gate", "--plan", "--json"))["open"]

    team.pushforward("runs", "retry", team.git("rev-parse", "idea").strip())
    team.pushforward("dispatch")
    word, waiting = looked(team, "idea")
    assert (word, waiting["asking"], waiting["open"]) == ("promote", 2, False), judged(team, "idea")["reason"]
    assert waiting["spent"] == pytest.approx(0.05 / 20 * 92 / 122)
    assert len(state(team).looks) == 1, "it is one look"

    team.git("merge", "-q", "--no-edit", "idea")
    said = team.push()
    assert "toy@v1.1.0" in team.tags(), said
    found = judged(team, "main")
    assert found["look"]["replayed"], "what its pull request was told"
    assert (state(team).retired, state(team).by) == ("promoted", "toy@v1.1.0")
