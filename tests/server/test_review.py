"""A person's word on a real server: from `unknown` to a version, on the default branch and through a protected one."""

import json
import subprocess

import pytest
from tests.team import Team

from pushforward.git.repository import Repository
from pushforward.judge import ledger
from pushforward.registry import tags as registry
from pushforward.report import note, notes

pytestmark = pytest.mark.slow
WHY = "the rows of June are rare, and it costs nothing"


def trusted(team: Team) -> None:
    """Let the person of the clone sign, and accept."""
    key = team.clone.parent / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    for name, value in {"gpg.format": "ssh", "user.signingkey": f"{key}.pub"}.items():
        team.git("config", name, value)
    team.pushforward("trust", f"{key}.pub", "--for", "accept", "--for", "main")


def told(team: Team, commit: str) -> note.Report:
    return notes.read(Repository(team.bare), commit)[0]


def test_what_is_unknown_becomes_a_version_by_a_persons_word(promoted: Team):
    team = promoted
    trusted(team)
    commit = team.commit("params.yaml", "shift: 0.0", "shift: 0.02", "Shrink a little")
    said = team.push()
    assert "UNKNOWN" in said, said
    runs = len(list((team.bare / "pushforward" / "runs").glob("push-*")))
    said = team.pushforward("accept", "HEAD", "-m", WHY)
    assert f"accepted by ann@example.org against `unknown`: {WHY}" in said, said
    assert "nothing to do: tagged as toy@v1.1.0" in said, said
    assert len(list((team.bare / "pushforward" / "runs").glob("push-*"))) == runs
    word = f"accepted by ann@example.org against `unknown`: {WHY} (toy@review#1)"
    team.git("fetch", "-q", "--tags", "local")
    record = registry.record(team.git("cat-file", "tag", "toy@v1.1.0"))
    assert record["commit"] == commit
    assert word in team.git("cat-file", "tag", "toy@v1.1.0")
    report = told(team, commit)
    assert report.context.review == word
    assert "**Accepted by a person's word**" in report.text
    assert word in " ".join(team.pushforward("report", commit).split())
    book = ledger.Ledger(Repository(team.bare))
    state = book.state("2020-03_2020-04")
    assert [len(state.looks), state.retired, len(state.accepted)] == [1, None, 1]
    said = team.pushforward("verify", "v1.1.0", "--json")
    hops = json.loads(said[said.index("{\n") : said.rindex("}") + 1])["hops"]
    assert [hop["name"] for hop in hops if not hop["ok"]] == []
    assert "accepted by ann@example.org" in next(hop["said"] for hop in hops if hop["name"] == "word")
    into_a_protected_main(team)


def into_a_protected_main(team: Team) -> None:
    """The same server, protected: what is unknown on a branch lands when it was accepted, and not while it is rejected.

    It goes on with the team of the test above, whose version is the one to beat.
    """
    team.pushforward("init", "--protect-main")
    team.git("checkout", "-q", "-b", "idea")
    head = team.commit("params.yaml", "shift: 0.02", "shift: 0.002", "Shrink less")
    assert "UNKNOWN" in team.push("idea")
    said = team.git("push", "local", "idea:main", check=False)
    assert "no pull request has passed with this content" in said, said
    said = team.pushforward("accept", "idea", "-m", WHY)
    assert "merge it" in said, said
    team.pushforward("reject", head, "-m", "not before July")
    said = team.git("push", "local", "idea:main", check=False)
    assert "rejected by ann@example.org (toy@review#3): not before July" in said, said
    assert told(team, head).context.review.startswith("rejected by ann@example.org")
    team.pushforward("accept", head, "-m", "July is here")
    said = team.git("push", "local", "idea:main")
    assert "tagged as toy@v1.2.0" in said, said
    assert "accepted by ann@example.org" in said
    team.git("fetch", "-q", "--tags", "local")
    assert "July is here (toy@review#4)" in team.git("cat-file", "tag", "toy@v1.2.0")
    said = team.pushforward("reject", head, "-m", "after all", check=False)
    assert "is toy@v1.2.0 already" in said, said
