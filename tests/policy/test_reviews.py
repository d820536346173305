"""A person's word, as the hook takes or refuses it: on which verdict, by whom, and what it lets in."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests import policy_server
from tests.policy_server import ANN, EVE, GIL, Released, sha256

pytestmark = pytest.mark.whole


class Desk:
    """A server with v1.1.0 in use, and a commit of main, E, of which the judge could not tell."""

    def __init__(self, released: Released) -> None:
        self.released, self.server = released, released.server
        self.commit = released.commits["E"]
        self.judged()

    def judged(self, commit: str = "", event: str = "push", beside: Any = None, **changes: Any) -> bytes:
        """What the judge has recorded of a commit."""
        server, commit = self.server, commit or self.commit
        digests = {part: sha256(part.encode()) for part in ("model", "manifest", "data", "params", "environment")}
        lock = server.run("git", "-C", str(server.clone), "cat-file", "blob", f"{commit}:dvc.lock").stdout
        said = {"verdict": "unknown", "event": event, "commit": commit, "ledger": ""}
        said |= {"digests": digests | {"lock": sha256(lock)}, "holdout": {"sha256": "8" * 64}}
        said |= {"champion": {"version": "toy@v1.1.0", "commit": self.released.commits["B"]}} | changes
        content = json.dumps(said).encode()
        place = "pull/verdict.json" if event == "pull_request" else "verdict.json"
        tree = server.git("rev-parse", f"{commit}^{{tree}}")
        noted = {"level": "minor", "tree": tree, "lands": False, "judge": False} | (beside or {})
        files = {place: content, f"beside/{place}": json.dumps(noted).encode()}
        made = server.commit(server.tree(files, where=server.bare), where=server.bare)
        server.git("update-ref", f"refs/pushforward/verdict/{commit}", made, where=server.bare)
        return content

    def record(self, commit: str = "", event: str = "push", **changes: Any) -> dict[str, Any]:
        """The record of an honest word on what was judged."""
        commit = commit or self.commit
        place = "pull/verdict.json" if event == "pull_request" else "verdict.json"
        where = f"refs/pushforward/verdict/{commit}:{place}"
        content = self.server.git("cat-file", "blob", where, where=self.server.bare).encode()
        said = json.loads(content)
        told = {"schema": 2, "word": "accepted", "commit": commit, "event": event, "verdict": said["verdict"]}
        told |= {"sha256": sha256(content), "model": said["digests"]["model"], "reason": "it is worth it", "by": GIL}
        told |= {"environment": said["digests"]["environment"], "holdout": said["holdout"]["sha256"]}
        return told | {"champion": said["champion"] and said["champion"]["version"]} | changes

    def spec(self, number: int = 1, commit: str = "", *, who: str = GIL, on: str = "", **changes: Any) -> str:
        """A word to be pushed; `on` is the commit that its tag names instead."""
        name = f"toy@review#{number}"
        record = changes.pop("record", None) or self.record(commit, **changes)
        return f"{self.server.tag(name, on or commit or self.commit, record, who=who)}:refs/tags/{name}"

    def version(self, review: str = "", **changes: Any) -> Any:
        """The version that the judge's key makes of E, resting on a review."""
        promotion = self.released.promotion(target=self.commit, commit=self.commit)
        tag = self.server.git("rev-parse", f"refs/tags/{review}", where=self.server.bare) if review else ""
        numbers = [
            int(name.rpartition("#")[2])
            for name in self.server.git("tag", where=self.server.bare).split()
            if "@review#" in name
        ]
        ground = {"review": tag, "reviews": max(numbers)} if review else {}
        promotion.record = promotion.record | {"ledger": None} | ground | changes
        return promotion


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Released:
    made: Released = policy_server.made_once(policy_server.release, tmp_path_factory.mktemp("reviews"))
    return made


@pytest.fixture
def released(template: Released, tmp_path: Path) -> Released:
    return Released(policy_server.copy(template.server, tmp_path / "server"), template.commits)


@pytest.fixture
def desk(released: Released) -> Desk:
    return Desk(released)


@pytest.mark.parametrize("outcome", ["unknown", "calibration-only"])
def test_a_word_of_who_may_is_taken_and_a_version_rests_on_it(desk: Desk, outcome: str):
    desk.judged(verdict=outcome)
    desk.server.taken(desk.spec())
    assert desk.version("toy@review#1").push().taken


@pytest.mark.parametrize("outcome", ["promote", "hold", "identical", "measured", "invalid"])
def test_what_the_gate_has_decided_is_not_accepted(desk: Desk, outcome: str):
    desk.judged(verdict=outcome)
    desk.server.refused(f"review-of-{outcome}", desk.spec())


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("no-word", {"word": "fine"}),
        ("another-commit", {"commit": "1" * 40}),
        ("no-reason", {"reason": "  "}),
        ("another-sha256", {"sha256": "1" * 64}),
        ("another-outcome", {"verdict": "calibration-only"}),
        ("another-champion", {"champion": "toy@v1.0.0"}),
        ("another-holdout", {"holdout": "1" * 64}),
        ("another-model", {"model": "1" * 64}),
        ("another-environment", {"environment": "1" * 64}),
        ("another-event", {"event": "pull_request"}),
        ("event-that-is-a-list", {"event": ["push"]}),
        ("word-that-is-a-list", {"word": ["accepted"]}),
    ],
)
def test_a_record_that_is_not_of_the_verdict_is_refused(desk: Desk, name: str, changes: dict[str, str]):
    desk.server.refused(f"review-{name}", desk.spec(record=desk.record() | changes))


def test_only_a_key_that_was_named_for_it_accepts(desk: Desk):
    desk.server.refused("review-not-allowed", desk.spec(who=ANN))
    desk.server.refused("review-stranger", desk.spec(who=EVE))


def test_what_was_judged_against_another_version_is_the_question_no_more(desk: Desk):
    desk.judged(champion={"version": "toy@v1.0.0", "commit": desk.released.commits["A"]})
    desk.server.refused("review-old-champion", desk.spec())
    desk.judged(champion=None)
    desk.server.refused("review-no-champion", desk.spec())


def test_without_a_model_there_is_nothing_to_take(desk: Desk):
    desk.judged(digests={"model": "", "environment": ""})
    desk.server.refused("review-no-model", desk.spec())


def test_words_have_one_row_of_numbers_and_each_is_said_once(desk: Desk):
    desk.server.refused("review-number", desk.spec(2))
    desk.server.refused("review-two", desk.spec(), desk.spec(2, word="rejected"))
    desk.server.taken(desk.spec())
    desk.server.refused("review-again", desk.spec(2))
    desk.server.taken(desk.spec(2, word="rejected"))
    desk.server.refused("review-rejected-again", desk.spec(3, word="rejected"))
    assert not desk.version("toy@review#1").push().taken, "it was taken back"
    desk.version("toy@review#1").refused("review-taken-back")


def test_a_version_that_does_not_know_of_a_word_is_refused(desk: Desk):
    desk.server.taken(desk.spec())
    before = desk.version("toy@review#1")
    other = desk.server.follow(desk.commit, {"src/toy/pipeline.py": b"another"})
    desk.server.taken(f"{other}:refs/heads/idea")
    desk.judged(other, "pull_request")
    desk.server.taken(desk.spec(2, other, event="pull_request", word="rejected"))
    before.refused("review-said-meanwhile")
    assert desk.version("toy@review#1").push().taken


def test_a_verdict_that_came_later_is_given_a_word_of_its_own(desk: Desk):
    desk.server.taken(desk.spec())
    desk.judged(holdout={"sha256": "7" * 64})
    desk.version("toy@review#1").refused("version-of-a-later-question")
    desk.server.taken(desk.spec(2))
    desk.server.refused("review-again-later", desk.spec(3))
    assert desk.version("toy@review#2").push().taken


def test_after_there_is_a_version_no_word_is_said(desk: Desk):
    desk.server.taken(desk.spec())
    assert desk.version("toy@review#1").push().taken
    desk.server.refused("review-after-version", desk.spec(2, word="rejected"))


def test_a_version_of_what_is_unknown_rests_on_a_word_on_this_model(desk: Desk):
    desk.version().refused("version-of-unknown")
    desk.server.taken(desk.spec())
    desk.version(review="toy@review#1")
    desk.judged(verdict="hold")
    desk.version("toy@review#1").refused("version-of-hold")
    desk.judged(verdict="unknown", holdout={"sha256": "7" * 64})
    desk.version("toy@review#1").refused("version-of-another-question")
    desk.judged()
    keys = desk.server.signers.read_text()
    desk.server.signers.write_text(keys.replace("may=accept", "may=canary"))
    desk.version("toy@review#1").refused("version-by-a-key-that-may-not")


def test_a_word_lets_a_branch_into_a_protected_main(desk: Desk):
    server = desk.server
    server.configure(protect=True)
    model = server.follow(desk.commit, {"src/toy/pipeline.py": b"another"})
    server.taken(f"{model}:refs/heads/idea")
    desk.judged(model, "pull_request")
    assert not server.push(f"{model}:refs/heads/main").taken
    server.taken(desk.spec(1, model, event="pull_request"))
    other = server.follow(desk.commit, {"src/toy/pipeline.py": b"something else"})
    assert not server.push(f"{other}:refs/heads/main").taken, "a word is on one content"
    server.taken(desk.spec(2, model, event="pull_request", word="rejected"))
    server.refused("review-rejected-main", f"{model}:refs/heads/main")
    server.taken(desk.spec(3, model, event="pull_request"))
    keys = server.signers.read_text()
    server.signers.write_text(keys.replace("may=accept", "may=canary"))
    server.refused("review-key-gone", f"{model}:refs/heads/main")
    server.signers.write_text(keys)
    server.taken(f"{model}:refs/heads/main")


@pytest.mark.parametrize("by_now", [{"verdict": "hold"}, {"reason": "the same outcome of another day"}])
def test_a_word_on_what_was_judged_again_lets_nothing_in(desk: Desk, by_now: dict[str, str]):
    server = desk.server
    server.configure(protect=True)
    model = server.follow(desk.commit, {"src/toy/pipeline.py": b"another"})
    server.taken(f"{model}:refs/heads/idea")
    desk.judged(model, "pull_request")
    server.taken(desk.spec(1, model, event="pull_request"))
    before = server.git("rev-parse", f"refs/pushforward/verdict/{model}", where=server.bare)
    desk.judged(model, "pull_request", **by_now)
    server.refused("review-of-a-verdict-before", f"{model}:refs/heads/main")
    server.taken(f"{server.follow(desk.commit, {'README.md': b'nothing to do with it'})}:refs/heads/main")
    server.git("update-ref", "refs/heads/main", desk.commit, where=server.bare)
    server.git("update-ref", f"refs/pushforward/verdict/{model}", before, where=server.bare)
    server.taken(f"{model}:refs/heads/main")


def test_a_rejection_keeps_out_what_has_passed(desk: Desk):
    server = desk.server
    server.configure(protect=True)
    model = server.follow(desk.commit, {"src/toy/pipeline.py": b"another"})
    server.taken(f"{model}:refs/heads/idea")
    desk.judged(model, "pull_request", beside={"lands": True}, verdict="promote")
    tree = server.git("rev-parse", f"{model}^{{tree}}")
    server.git("update-ref", f"refs/pushforward/passed/{tree}", model, where=server.bare)
    server.taken(desk.spec(1, model, event="pull_request", word="rejected"))
    server.refused("review-rejected-passed", f"{model}:refs/heads/main")


def test_a_change_of_the_judge_lands_by_no_word_of_acceptance(desk: Desk):
    server = desk.server
    server.configure(protect=True)
    model = server.follow(desk.commit, {"dvc.yaml": b"another"})
    server.taken(f"{model}:refs/heads/idea")
    desk.judged(model, "pull_request", beside={"judge": True})
    server.refused("review-of-judge", desk.spec(1, model, event="pull_request"))
    server.configure(protect=False)
    server.taken(desk.spec(1, model, event="pull_request"))
    server.configure(protect=True)
    assert not server.push(f"{model}:refs/heads/main").taken


def test_of_several_models_each_has_passed_or_was_accepted(desk: Desk):
    server = desk.server
    server.configure(protect=True)
    server.know(models=["toy", "rain"])
    model = server.follow(desk.commit, {"src/toy/pipeline.py": b"another"})
    server.taken(f"{model}:refs/heads/idea")
    desk.judged(model, "pull_request")
    ref, bare = f"refs/pushforward/verdict/{model}", server.bare
    one = server.git("cat-file", "blob", f"{ref}:pull/verdict.json", where=bare).encode()
    noted = json.loads(server.git("cat-file", "blob", f"{ref}:beside/pull/verdict.json", where=bare))
    for lands, taken in ((False, False), (True, True)):
        beside = {"toy": noted, "rain": noted | {"lands": lands}}
        files = {f"pull/{name}.json": one for name in beside}
        files |= {f"beside/pull/{name}.json": json.dumps(told).encode() for name, told in beside.items()}
        made = server.commit(server.tree(files, where=bare), where=bare)
        server.git("update-ref", ref, made, where=bare)
        if not lands:
            record = desk.record() | {"commit": model, "event": "pull_request", "sha256": sha256(one)}
            server.taken(desk.spec(1, model, record=record))
        assert server.push(f"{model}:refs/heads/main").taken is taken
