"""A person's word: what may be accepted and by whom, what comes of it, how it is taken back, and where it shows."""

import dataclasses
import json
from collections.abc import Callable

import pytest
from tests.team import ANN, CI, GOLDEN, Hub

from pushforward.errors import NOT_PROMOTED, POLICY, PushforwardError
from pushforward.gate.verdict import Champion, Holdout, Verdict
from pushforward.git.repository import Repository
from pushforward.judge import passed
from pushforward.registry import reviews, trust
from pushforward.registry import tags as registry
from pushforward.release import chain, entry, review, reviewed, verify
from pushforward.release.chain import Evidence
from pushforward.release.promote import promote

EVE = "eve@example.org"
WHY = "the late trains of June are worth it"


class Desk:
    """A hub with a version, v1.0.0, and somebody who may accept; models are judged with any outcome."""

    def __init__(self, hub: Hub) -> None:
        self.hub, self.clone = hub, hub.clone
        hub.trust(EVE, "accept")
        hub.promote("a", "major")
        hub.git(self.clone, "fetch", "-q", "--tags", "origin")

    @property
    def champion(self) -> str:
        found = self.hub.known().champion
        return found.name if found else ""

    def judge(self, outcome: str, model: str = "b", *, commit: str = "", pull: bool = False, **more: object) -> Verdict:
        """A verdict on a new commit of main, or on one of a branch, recorded as the gate does."""
        hub, commit = self.hub, commit or self.hub.commit(model, f"Try {model}")
        told = {"verdict": outcome, "champion": Champion(self.champion, "c" * 40) if self.champion else None}
        told |= {"holdout": Holdout(("2020-03", "2020-04"), 60, 30, "8" * 64)} | more
        told |= {"event": "pull_request", "ref": "refs/heads/idea", "pull": 1} if pull else {}
        verdict = dataclasses.replace(hub.judge_as(commit, model), **told)
        golden = hub.folder / "golden.json"
        golden.write_bytes(GOLDEN)
        passed.record(self.clone, verdict, golden=golden)
        if not pull:
            Repository(hub.bare).set_ref(f"refs/pushforward/run/{commit}", commit)
        return verdict

    def as_(self, email: str) -> None:
        self.hub.person(self.clone, email)

    def accept(self, verdict: Verdict, why: str = WHY, who: str = EVE) -> review.Said:
        self.as_(who)
        return review.accept(self.clone, verdict.commit, why)

    def reject(self, verdict: Verdict, why: str = "no", who: str = EVE) -> review.Said:
        self.as_(who)
        return review.reject(self.clone, verdict.commit, why)

    def promote_by(self, tag: str) -> str:
        """What the run of a review's tag makes."""
        with self.hub.run():
            taken = reviewed.reviewed(self.clone, tag)
            assert taken.passed is not None, taken.word
            return promote(self.clone, taken.passed, {}, {}, say=self.hub.said.append, target=taken.target).version


@pytest.fixture
def desk(hub: Hub) -> Desk:
    return Desk(hub)


def refused(call: Callable[[], object], *words: str, code: int = POLICY) -> PushforwardError:
    with pytest.raises(PushforwardError) as found:
        call()
    said = f"{found.value.message} {found.value.next}"
    assert all(word in said for word in words), said
    assert found.value.exit_code == code, said
    return found.value


@pytest.mark.parametrize("outcome", ["unknown", "calibration-only"])
def test_what_the_judge_could_not_tell_becomes_a_version_by_a_persons_word(desk: Desk, outcome: str):
    verdict = desk.judge(outcome)
    said = desk.accept(verdict)
    assert (said.tag, said.word, said.verdict, said.by) == ("toy@review#1", "accepted", outcome, EVE)
    assert desk.promote_by(said.tag) == "toy@v1.1.0"
    line = f"accepted by {EVE} against `{outcome}`: {WHY} (toy@review#1)"
    tag = desk.hub.git(desk.hub.bare, "cat-file", "tag", "refs/tags/toy@v1.1.0")
    assert f"toy@v1.1.0: {line}\n" in tag
    assert registry.record(tag)["review"] == desk.hub.git(desk.hub.bare, "rev-parse", "refs/tags/toy@review#1")
    card = (
        desk.hub.file("toy@v1.1.0", "card.md").decode().replace("\\", "").replace("＠", "@").replace("＃", "#")
    )  # nobody is called
    assert f"- A person's word: {line}" in card, card
    assert f"A{line[1:]}; the judge: log loss falls." in card, card
    statement = json.loads(desk.hub.file("toy@v1.1.0", "provenance.json"))
    assert statement["predicate"]["buildDefinition"]["internalParameters"]["accepted"] == line
    found = verify.verify(desk.clone, "v1.1.0", quick=True, say=lambda _: None, progress=lambda _: None)
    hops = {hop.name: hop for hop in found.hops}
    assert hops["word"].ok, hops["word"]
    assert f"accepted by {EVE}" in hops["word"].said
    assert all(hops[name].ok for name in ("tag", "registry", "verdict", "provenance")), hops  # of what a hub has


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        ("hold", "shown not to gain"),
        ("identical", "predicts the same"),
        ("promote", "needs nobody's word"),
        ("measured", "no model was judged"),
    ],
)
def test_what_the_gate_has_decided_is_not_accepted(desk: Desk, outcome: str, words: str):
    verdict = desk.judge(outcome, pull=True)
    refused(lambda: desk.accept(verdict), words, "pushforward report")
    assert not desk.hub.known().reviews


def test_a_key_that_may_not_accept_is_told_who_may(desk: Desk):
    verdict = desk.judge("unknown")
    refused(lambda: desk.accept(verdict, who=ANN), ANN, "pushforward trust")
    assert not desk.hub.known().reviews


def test_a_word_needs_a_reason(desk: Desk):
    refused(lambda: desk.accept(desk.judge("unknown"), "  "), "the reason is empty", code=2)


def test_what_was_judged_against_another_version_is_the_question_no_more(desk: Desk):
    verdict = desk.judge("unknown")
    desk.hub.commit("c", "Train c")
    desk.hub.promote("c")
    refused(lambda: desk.accept(verdict), "toy@v1.0.0", "toy@v1.1.0", "push it again")


def test_an_acceptance_that_comes_to_another_champion_makes_no_version(desk: Desk):
    verdict = desk.judge("unknown")
    said = desk.accept(verdict)
    desk.hub.commit("c", "Train c")
    desk.hub.promote("c")
    desk.hub.git(desk.clone, "fetch", "-q", "--tags", "origin")
    refused(lambda: desk.promote_by(said.tag), "toy@v1.1.0 is in use now")
    assert [one.name for one in desk.hub.known().versions] == ["toy@v1.0.0", "toy@v1.1.0"]


def test_without_a_word_nothing_that_is_unknown_is_promoted(desk: Desk):
    verdict = desk.judge("unknown")
    with desk.hub.run():
        refused(lambda: desk.hub.promote_verdict(verdict, "b"), "pushforward accept", code=NOT_PROMOTED)


def test_a_word_is_taken_back_before_there_is_a_version_and_not_after(desk: Desk):
    verdict = desk.judge("unknown")
    said = desk.accept(verdict)
    refused(lambda: desk.accept(verdict), "accepted by", "already")
    assert desk.reject(verdict).tag == "toy@review#2"
    desk.hub.git(desk.clone, "fetch", "-q", "--tags", "origin")
    with desk.hub.run():
        assert reviewed.reviewed(desk.clone, said.tag).passed is None
        refused(lambda: desk.hub.promote_verdict(verdict, "b"), "unknown", code=NOT_PROMOTED)
    again = desk.accept(verdict)
    assert desk.promote_by(again.tag) == "toy@v1.1.0"
    refused(lambda: desk.reject(verdict), "is toy@v1.1.0 already", "rollback", "deprecate")


def test_a_word_on_a_branch_counts_for_main_where_model_and_question_are_the_same(desk: Desk):
    head = desk.hub.commit("b", "Try b")
    desk.judge("unknown", commit=head, pull=True)
    desk.as_(EVE)
    said = review.accept(desk.clone, head, WHY)
    assert said.event == "pull_request"
    assert "merge it" in said.next
    merged = desk.hub.commit("b", "Merge idea")
    verdict = desk.judge("unknown", commit=merged)
    with desk.hub.run():
        assert reviewed.word_on(desk.clone, verdict) is not None
        assert desk.hub.promote_verdict(verdict, "b").version == "toy@v1.1.0"
    other = desk.judge("unknown", "d")
    assert reviewed.word_on(desk.clone, other) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"verdict": "calibration-only"},
        {"holdout": Holdout(("2020-04", "2020-05"), 61, 31, "9" * 64)},
        {"champion": Champion("toy@v0.9.0", "c" * 40)},
    ],
)
def test_a_word_on_a_branch_does_not_count_for_another_question(desk: Desk, changed: dict[str, object]):
    head = desk.hub.commit("b", "Try b")
    desk.judge("unknown", commit=head, pull=True)
    desk.as_(EVE)
    review.accept(desk.clone, head, WHY)
    verdict = desk.judge("unknown", commit=desk.hub.commit("b", "Merge idea"))
    assert reviewed.word_on(desk.clone, verdict) is not None
    assert reviewed.word_on(desk.clone, dataclasses.replace(verdict, **changed)) is None


def test_verify_says_that_a_key_was_revoked_later_and_that_a_word_was_taken_back(desk: Desk):
    verdict = desk.judge("unknown")
    version = desk.promote_by(desk.accept(verdict).tag)
    path = desk.hub.bare / "pushforward" / "allowed_signers"
    text = path.read_text()
    holds = f'{EVE} namespaces="git,pushforward"'
    path.write_text(text.replace(holds, f'{holds},valid-before="20990101000000Z"'))

    def hop() -> str:
        of = Evidence(Repository(desk.hub.bare), version, lambda: trust.signers_file(desk.clone))
        return chain.accepted(of)

    assert "revoked at 20990101000000Z" in hop()
    path.write_text(text.replace("may=accept", "may=staging"))
    refused(hop, "may not accept")


def test_one_word_of_two_that_race_counts(desk: Desk, hub: Hub):
    verdict = desk.judge("unknown")
    other = hub.another("other")
    hub.trust("bob@example.org", "accept")
    hub.person(other, "bob@example.org")
    said = desk.accept(verdict)
    refused(lambda: review.accept(other, verdict.commit, "mine"), f"accepted by {EVE}")
    assert [one.name for one in hub.known().reviews] == [said.tag]


def test_the_ledger_has_nothing_of_a_word_where_no_look_was_taken_and_the_entry_reads_back(desk: Desk):
    version = desk.promote_by(desk.accept(desk.judge("unknown")).tag)
    told = desk.hub.record(version)
    assert entry.record(told, version).review
    words = reviews.read(Repository(desk.hub.bare), desk.hub.known())
    assert [word.word for word in words] == ["accepted"]
    assert CI not in words[0].by
