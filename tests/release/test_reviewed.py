"""What a person's word takes where a forge has it: on which commit, of which record, and what the status says then."""

import dataclasses
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.release.test_review import EVE, WHY, Desk, refused
from tests.team import GOLDEN, MODEL_SETTINGS, Hub

from pushforward.commands.cli import main
from pushforward.gate.verdict import Holdout, Look, Verdict
from pushforward.git.repository import Repository
from pushforward.judge import judged, ledger, looks, passed
from pushforward.registry import trust
from pushforward.release import review
from pushforward.report import note, notes
from pushforward.report.note import Context

pytestmark = pytest.mark.whole

MONTHS = "2020-03_2020-04"
SECOND = MODEL_SETTINGS + MODEL_SETTINGS.partition("models:\n")[2].replace("toy:", "other:").replace(
    "path: model", "path: other"
)


@pytest.fixture
def desk(hub: Hub) -> Desk:
    return Desk(hub)


def promote(desk: Desk, monkeypatch: pytest.MonkeyPatch, *args: str) -> tuple[Result, str, str]:
    """`pushforward promote` in a job: what came of it, the outputs of its step, and the job's summary."""
    outputs, summary = desk.hub.folder / "outputs", desk.hub.folder / "summary"
    for path in (outputs, summary):
        path.write_text("")
    monkeypatch.chdir(desk.clone)
    monkeypatch.setenv("GITHUB_OUTPUT", str(outputs))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    with desk.hub.run():
        done = CliRunner().invoke(main, ["promote", *args])
    return done, outputs.read_text(), summary.read_text()


def word(outputs: str) -> dict[str, str]:
    """What the status is to say, by the outputs of a step."""
    (line,) = outputs.splitlines()
    told = json.loads(line.removeprefix("word="))
    assert isinstance(told, dict)
    return told


ACCEPTED = {"verdict": "accepted", "reason": f"by {EVE} against `unknown`: {WHY}"}


def test_a_word_on_the_default_branch_makes_a_version_and_is_handed_over(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdict = desk.judge("unknown")
    tag = desk.accept(verdict).tag
    done, outputs, summary = promote(desk, monkeypatch, "--review", tag, "--head", verdict.commit)
    assert done.exit_code == 0, done.output
    assert [one.name for one in desk.hub.known().versions] == ["toy@v1.0.0", "toy@v1.1.0"]
    assert word(outputs) == ACCEPTED
    assert "tagged as toy@v1.1.0" in summary


def test_a_word_on_a_pull_request_is_handed_over_and_promotes_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdict = desk.judge("unknown", pull=True)
    tag = desk.accept(verdict).tag
    done, outputs, _ = promote(desk, monkeypatch, "--review", tag, "--head", verdict.commit)
    assert done.exit_code == 0, done.output
    assert word(outputs) == ACCEPTED
    again = desk.reject(verdict, "not now").tag
    done, outputs, _ = promote(desk, monkeypatch, "--review", again, "--head", verdict.commit)
    assert word(outputs) == {"verdict": "rejected", "reason": f"by {EVE} against `unknown`: not now"}
    done, outputs, _ = promote(desk, monkeypatch, "--review", tag, "--head", verdict.commit)
    assert word(outputs)["verdict"] == "rejected", "the last word counts, whichever tag the run is of"
    assert [one.name for one in desk.hub.known().versions] == ["toy@v1.0.0"]


def test_a_word_turns_no_other_commit_green(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A branch of a tag's name, here or in a fork, starts the same workflow with a head of its own."""
    tag = desk.accept(desk.judge("unknown", pull=True)).tag
    other = desk.hub.commit("c", "Of somebody else")
    done, outputs, summary = promote(desk, monkeypatch, "--review", tag, "--head", other)
    assert done.exit_code == 5, done.output
    assert f"says nothing of {other}" in " ".join(done.output.split())
    assert outputs == ""
    assert "takes nothing" in summary
    assert "The status stays as it was." in summary


@pytest.mark.parametrize("tag", ["toy@review#7", "toy@v1.0.0", "main"])
def test_what_is_no_word_hands_nothing_over(desk: Desk, monkeypatch: pytest.MonkeyPatch, tag: str) -> None:
    done, outputs, summary = promote(desk, monkeypatch, "--review", tag, "--head", "a" * 40)
    assert done.exit_code != 0
    assert (outputs, "takes nothing" in summary) == ("", True)


def test_a_champion_that_has_moved_leaves_the_status(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    verdict = desk.judge("unknown", pull=True)
    tag = desk.accept(verdict).tag
    desk.hub.commit("c", "Train c")
    desk.hub.promote("c")
    desk.hub.git(desk.clone, "fetch", "-q", "--tags", "origin")
    done, outputs, summary = promote(desk, monkeypatch, "--review", tag, "--head", verdict.commit)
    assert (done.exit_code, outputs) == (5, "")
    assert "v1.1.0" in summary


def test_a_key_that_may_no_more_turns_nothing_green(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    verdict = desk.judge("unknown", pull=True)
    tag = desk.accept(verdict).tag
    path = desk.hub.bare / "pushforward" / "allowed_signers"
    path.write_text(path.read_text().replace("may=accept", "may=staging"))
    done, outputs, summary = promote(desk, monkeypatch, "--review", tag, "--head", verdict.commit)
    assert (done.exit_code, outputs) == (5, ""), done.output
    assert "may not accept" in summary


def test_no_word_takes_a_change_of_the_judge_from_a_branch(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    verdict = desk.judge("unknown", pull=True, touched=(".github/workflows/judge.yml",))
    tag = desk.accept(verdict).tag  # this server does not protect its main
    done, outputs, _ = promote(desk, monkeypatch, "--review", tag, "--head", verdict.commit)
    assert done.exit_code == 5, done.output
    assert "changes the judge" in done.output
    assert outputs == ""
    monkeypatch.setattr(trust, "is_forge", lambda *_: True)
    other = desk.judge("unknown", "d", pull=True, touched=("pushforward.yaml: gate.margin", "src/pushforward/x.py"))
    refused(lambda: desk.accept(other), "changes the judge", "who owns the judge")
    assert len(desk.hub.known().reviews) == 1


def test_a_change_of_the_judge_that_is_on_the_default_branch_may_be_accepted(desk: Desk) -> None:
    verdict = desk.judge("unknown", touched=(".github/workflows/judge.yml",))
    assert desk.promote_by(desk.accept(verdict).tag) == "toy@v1.1.0"


# several models


def of_two(desk: Desk, other: str) -> tuple[Verdict, str]:
    """A pull request whose first model is `unknown` and accepted, and whose `other` is what is asked; and the tag."""
    desk.hub.write("pushforward.yaml", SECOND)
    head = desk.hub.commit("b", "Try both")
    alone = desk.judge("unknown", commit=head, pull=True)
    Repository(desk.hub.bare).git("update-ref", "-d", f"refs/pushforward/verdict/{head}")
    passed.record(desk.clone, alone, "toy")
    if other:
        passed.record(desk.clone, dataclasses.replace(alone, verdict=other, reason="it does harm"), "other")
    desk.as_(EVE)
    return alone, review.accept(desk.clone, head, WHY, model="toy").tag


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ("hold", {"verdict": "hold", "reason": "other: it does harm"}),
        ("unknown", {"verdict": "unknown", "reason": "other: it does harm"}),
        ("promote", ACCEPTED),
        ("identical", ACCEPTED),
        ("", None),
    ],
)
def test_one_word_speaks_for_one_model(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, other: str, told: dict[str, str] | None
) -> None:
    verdict, tag = of_two(desk, other)
    done, outputs, _ = promote(desk, monkeypatch, "--review", tag, "--head", verdict.commit)
    assert done.exit_code == 0, done.output
    assert (word(outputs) if outputs else None) == told


# the record


def look_at(desk: Desk, outcome: str, *, says: str = "", key: bytes = b"") -> Verdict:
    """A verdict of main that used a look, of which the ledger has `outcome`, or `says` another one in its box."""
    verdict = dataclasses.replace(
        desk.judge("unknown", look=Look(1, 3, 0.05 / 3)), holdout=Holdout(("2020-03", "2020-04"), 60, 30, "8" * 64)
    )
    book = dataclasses.replace(ledger.of(desk.clone), key=key)
    asked = looks.Key(*(looks.digest(part) for part in "abcd"))
    taken = book.reserve(MONTHS, asked, alpha=0.05, looks=3, mode="superior", commit=verdict.commit)
    numbers = dataclasses.replace(verdict, verdict=says or outcome, look=None)
    book.settle(MONTHS, taken, outcome, numbers.to_json())
    return verdict


def test_what_the_ledger_says_too_is_taken(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUSHFORWARD_SEAL", "5" * 64)
    tag = desk.accept(look_at(desk, "unknown", key=ledger.of(desk.clone).key)).tag
    assert desk.promote_by(tag) == "toy@v1.1.0"


def test_what_the_ledger_says_otherwise_is_refused(desk: Desk) -> None:
    tag = desk.accept(look_at(desk, "hold")).tag
    refused(lambda: desk.promote_by(tag), f"the ledger of {MONTHS} does not say unknown at look 1")


def test_an_outcome_that_the_sealed_numbers_contradict_is_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUSHFORWARD_SEAL", "5" * 64)
    tag = desk.accept(look_at(desk, "unknown", says="hold", key=ledger.of(desk.clone).key)).tag
    refused(lambda: desk.promote_by(tag), "does not say unknown at look 1")
    monkeypatch.setenv("PUSHFORWARD_SEAL", "6" * 64)  # without the key nobody can tell
    assert desk.promote_by(tag) == "toy@v1.1.0"


def test_what_a_run_has_left_must_be_of_the_commit_and_of_the_model_that_were_judged(desk: Desk) -> None:
    verdict = desk.judge("unknown")
    tag, bare = desk.accept(verdict).tag, Repository(desk.hub.bare)
    ref = f"refs/pushforward/run/{verdict.commit}"
    tree = bare.write_tree(verdict.commit, {"dvc.lock": desk.hub.model("x")[0]}, index=desk.hub.folder / "index")
    code = bare.write_tree(verdict.commit, {"src/toy/predict.py": b"evil"}, index=desk.hub.folder / "index")
    date = bare.date(verdict.commit)
    for made in (
        bare.write_commit(tree, [verdict.commit], "Lock", date=date),
        bare.write_commit(code, [verdict.commit], "Lock", date=date),
        bare.write_commit(bare.git("rev-parse", f"{verdict.commit}^{{tree}}").text, [], "Lock", date=date),
    ):
        bare.set_ref(ref, made)
        refused(lambda: desk.promote_by(tag), "is not the model that was judged there")
    bare.set_ref(ref, verdict.commit)
    assert desk.promote_by(tag) == "toy@v1.1.0"


# after the merge


def test_after_the_merge_the_default_branch_says_whose_word_it_rests_on(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = desk.hub
    head = hub.commit("b", "Try b")
    desk.accept(desk.judge("unknown", commit=head, pull=True))
    verdict = desk.judge("unknown", commit=hub.commit("b", "Merge idea"))
    folder, handed = desk.clone / "verdict", desk.clone / "handover"
    judged.store(folder, verdict, Context(next_step="a person may take it"), "minor")
    (folder / "golden.json").write_bytes(GOLDEN)
    leave(handed, hub)
    done, outputs, _ = promote(desk, monkeypatch)
    assert done.exit_code == 0, done.output
    assert word(outputs) == ACCEPTED
    monkeypatch.setenv("PUSHFORWARD_TOKEN", hub.token)
    done = CliRunner().invoke(main, ["record", "--tagged"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    (told,) = notes.read(Repository(hub.bare), verdict.commit)
    assert isinstance(told, note.Report)
    assert told.context.review == f"accepted by {EVE} against `unknown`: {WHY} (toy@review#1)"
    assert "tagged as toy@v1.1.0" in told.context.next_step
    assert "Accepted by a person's word" in told.text


def test_without_a_word_nothing_is_handed_over(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    verdict = desk.judge("unknown")
    judged.store(desk.clone / "verdict", verdict, Context(), "minor")
    done, outputs, _ = promote(desk, monkeypatch)
    assert (done.exit_code, outputs) == (0, ""), done.output
    assert "nothing to promote" in done.output


def leave(folder: Path, hub: Hub) -> None:
    """What a run of main hands over, as far as a promotion reads it: the lock of the model `b`."""
    told = {"stages": [], "pulled": 0, "pushed": 0, "seconds": 1.0, "outcome": "failed", "message": ""}
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps({"commit": "c" * 40, **told}))
    (folder / "dvc.lock").write_bytes(hub.model("b")[0])
