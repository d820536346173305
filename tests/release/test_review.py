"""A person's word: what may be accepted and by whom, what comes of it, how it is taken back, and where it shows."""

import dataclasses
import json
from collections.abc import Callable

import pytest
from tests import forge_double
from tests.team import ANN, CI, GOLDEN, Hub

from pushforward.errors import NOT_PROMOTED, POLICY, PushforwardError
from pushforward.gate.verdict import Champion, Holdout, Verdict
from pushforward.git.repository import Repository
from pushforward.judge import passed
from pushforward.process import Completed
from pushforward.registry import reviews, trust
from pushforward.registry import tags as registry
from pushforward.registry import transaction as tagging
from pushforward.registry.grammar import ACCEPTED, REJECTED
from pushforward.release import chain, entry, review, reviewed, verify, word
from pushforward.release.chain import Evidence
from pushforward.release.promote import promote

pytestmark = pytest.mark.whole

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


def hop(desk: Desk, version: str) -> str:
    """What `verify` says of the word that a version rests on."""
    return chain.accepted(Evidence(Repository(desk.hub.bare), version, lambda: trust.signers_file(desk.clone)))


def revoked(desk: Desk, when: str) -> None:
    """Revoke the key of Eve."""
    path = desk.hub.bare / "pushforward" / "allowed_signers"
    holds = f'{EVE} namespaces="git,pushforward"'
    path.write_text(path.read_text().replace(holds, f'{holds},valid-before="{when}"'))


def later(desk: Desk, number: int, verdict: Verdict, what: str = REJECTED, *, sign: bool = True, **more: str) -> str:
    """A word that no hook has seen, as it lands in a race or on a forge; the tag's object."""
    on, name = word.subject(verdict), f"toy@review#{number}"
    desk.as_(EVE)
    message = reviews.message(what, on, EVE, reviews.record(what, on, reason="no", by=EVE))
    how = "-s" if sign else "-a"
    desk.hub.git(desk.clone, "tag", how, "-f", "-m", message, name, verdict.commit, **more)
    identity = desk.hub.git(desk.clone, "rev-parse", f"refs/tags/{name}")
    desk.hub.git(desk.hub.bare, "fetch", "-q", "--no-tags", str(desk.clone), f"refs/tags/{name}:refs/tags/{name}")
    return identity


def test_verify_says_that_a_key_was_revoked_later_and_asks_whether_it_might(desk: Desk):
    version = desk.promote_by(desk.accept(desk.judge("unknown")).tag)
    path = desk.hub.bare / "pushforward" / "allowed_signers"
    text = path.read_text()
    revoked(desk, "20990101000000Z")
    assert "revoked at 20990101000000Z" in hop(desk, version)
    path.write_text(text.replace("may=accept", "may=staging"))
    refused(lambda: hop(desk, version), "may not accept")


def test_a_version_that_was_made_beside_a_rejection_does_not_verify(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    verdict = desk.judge("unknown")
    said = desk.accept(verdict)
    later(desk, 2, verdict)
    found = reviews.read(Repository(desk.hub.bare), desk.hub.known())
    assert reviews.covering(found, word.subject(verdict)) == []
    (desk.hub.bare / "hooks" / "pre-receive").unlink()  # a judge that has been had, and a server without its policy
    monkeypatch.setattr(word, "on", lambda *_: found[0])
    with desk.hub.run():
        version = desk.hub.promote_verdict(verdict, "b").version
    assert desk.hub.record(version)["review"] == found[0].tag
    assert desk.hub.record(version)["reviews"] == 2
    refused(lambda: hop(desk, version), said.tag, "was taken back", "toy@review#2")


def test_a_rejection_that_lost_the_race_with_the_version_came_too_late(desk: Desk):
    verdict = desk.judge("unknown")
    version = desk.promote_by(desk.accept(verdict).tag)
    later(desk, 2, verdict)
    assert desk.hub.record(version)["reviews"] == 1
    assert f"accepted by {EVE}" in hop(desk, version)


def test_what_nobody_signed_takes_nothing_back(desk: Desk):
    verdict = desk.judge("unknown")
    later(desk, 1, verdict, sign=False)
    forge_double.make(desk.hub)
    desk.hub.git(desk.clone, "fetch", "-q", "--tags", "origin")
    said = desk.accept(verdict)
    assert said.tag == "toy@review#2"
    later(desk, 3, verdict, sign=False)
    assert desk.reject(desk.judge("unknown", "d"), "not this one").tag == "toy@review#4"
    version = desk.promote_by(said.tag)
    assert desk.hub.record(version)["reviews"] == 4
    later(desk, 9, verdict, sign=False)
    assert [one.counter for one in reviews.read(Repository(desk.hub.bare), desk.hub.known())] == [1, 2, 3, 4, 9]
    assert f"accepted by {EVE}" in hop(desk, version)


def test_a_revoked_key_that_dates_its_word_back_promotes_nothing(desk: Desk):
    verdict = desk.judge("unknown")
    forge_double.make(desk.hub)
    signers = desk.clone / forge_double.FILE
    holds = f'{EVE} namespaces="git,pushforward"'
    signers.write_text(signers.read_text().replace(holds, f'{holds},valid-before="20260601000000Z"'))
    desk.hub.git(desk.clone, "commit", "-q", "-a", "-m", "Revoke Eve")
    desk.hub.git(desk.clone, "push", "-q", "origin", "HEAD:refs/heads/main")
    later(desk, 1, verdict, ACCEPTED, GIT_COMMITTER_DATE="2026-05-01T00:00:00Z")
    assert reviewed.word_on(desk.clone, verdict) is None
    refused(lambda: reviewed.reviewed(desk.clone, "toy@review#1"), "may not accept any more")
    with desk.hub.run():
        refused(lambda: desk.hub.promote_verdict(verdict, "b"), "unknown", code=NOT_PROMOTED)


def test_a_verdict_that_came_later_is_given_a_word_of_its_own(desk: Desk):
    first = desk.judge("unknown")
    desk.accept(first)
    second = desk.judge("unknown", commit=first.commit, holdout=Holdout(("2020-04", "2020-05"), 61, 31, "9" * 64))
    assert reviewed.word_on(desk.clone, second) is None
    again = desk.accept(second)
    assert again.tag == "toy@review#2"
    refused(lambda: desk.accept(second), "already")
    assert desk.promote_by(again.tag) == "toy@v1.1.0"


def test_an_earlier_word_that_fits_is_not_lost_to_a_later_one_that_does_not():
    on = reviews.Subject("a" * 40, "pull_request", "unknown", "1" * 64, "m", "e", "toy@v1.0.0", "h")
    other = dataclasses.replace(on, sha256="2" * 64, holdout="another")
    main = dataclasses.replace(on, commit="b" * 40, event="push", sha256="3" * 64)

    def say(number: int, what: str, subject: reviews.Subject) -> reviews.Word:
        return reviews.Word(f"toy@review#{number}", str(number), what, EVE, 0, WHY, subject)

    first, second = say(1, ACCEPTED, on), say(2, ACCEPTED, other)
    assert reviews.covering([first, second], main) == [first]
    assert reviews.covering([first, second, say(3, REJECTED, other)], main) == []
    third = say(3, ACCEPTED, dataclasses.replace(on, commit="c" * 40))
    assert reviews.covering([first, second, third], main) == [third, first]
    own = say(4, ACCEPTED, main)
    assert reviews.covering([first, own, third], main) == [own, third, first]
    assert reviews.covering([first, say(4, REJECTED, main)], main) == []
    assert reviews.covering([first], dataclasses.replace(main, verdict="hold")) == []


@pytest.mark.parametrize(
    "changed",
    [{"word": []}, {"word": "fine"}, {"champion": 1}, {"reason": None}, {"event": "tag"}, {"commit": "b" * 40}],
)
def test_a_record_of_another_form_is_no_word(changed: dict[str, object]):
    on = reviews.Subject("a" * 40, "push", "unknown", "1" * 64, "m", "e", "toy@v1.0.0", "h")
    told = reviews.record(ACCEPTED, on, reason=WHY, by=EVE)
    head = f"object {'a' * 40}\ntype commit\ntag toy@review#1\ntagger Eve <{EVE}> 1800000000 +0000\n\n"

    def tag(record: dict[str, object]) -> bytes:
        return f"{head}{reviews.message(ACCEPTED, on, EVE, record)}".encode()

    whole = reviews.parse("toy@review#1", "1", tag(told))
    assert whole is not None
    assert (whole.subject, whole.counter, whole.when) == (on, 1, 1800000000)
    assert reviews.parse("toy@review#1", "1", tag(told | changed)) is None


def test_whoever_comes_second_with_the_same_word_is_told_whose_it_was(desk: Desk, hub: Hub):
    verdict = desk.judge("unknown")
    other = hub.another("other")
    hub.trust("bob@example.org", "accept")
    hub.person(other, "bob@example.org")
    said = desk.accept(verdict)
    refused(lambda: review.accept(other, verdict.commit, "mine"), f"accepted by {EVE}")
    assert [one.name for one in hub.known().reviews] == [said.tag]


def test_of_two_words_that_race_one_counts(desk: Desk, hub: Hub, monkeypatch: pytest.MonkeyPatch):
    verdict = desk.judge("unknown")
    other = hub.another("other")
    hub.trust("bob@example.org", "accept")
    hub.person(other, "bob@example.org")
    said: list[review.Said] = []
    push = tagging.without_waiting

    def slower(repository: Repository, remote: str, specs: list[str], seen: tagging.Seen) -> Completed:
        if not said and repository.path == other:
            monkeypatch.setattr(tagging, "without_waiting", push)
            said.append(desk.accept(verdict))
        return push(repository, remote, specs, seen)

    monkeypatch.setattr(tagging, "without_waiting", slower)
    refused(lambda: review.accept(other, verdict.commit, "mine"), f"accepted by {EVE}", "already")
    assert [one.tag for one in said] == ["toy@review#1"]
    assert [one.name for one in hub.known().reviews] == ["toy@review#1"]
    assert hub.git(other, "tag", "--list", "toy@review#2") == ""


def test_no_ledger_notes_a_word_where_no_look_was_taken_and_the_entry_reads_back(desk: Desk):
    version = desk.promote_by(desk.accept(desk.judge("unknown")).tag)
    told = desk.hub.record(version)
    assert entry.record(told, version).review
    assert desk.hub.git(desk.hub.bare, "for-each-ref", "refs/pushforward/holdout") == ""
    words = reviews.read(Repository(desk.hub.bare), desk.hub.known())
    assert [one.word for one in words] == ["accepted"]
    assert CI not in words[0].by
