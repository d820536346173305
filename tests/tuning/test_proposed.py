"""What a search has found as a change that people merge: its words and pictures, and what is not proposed."""

import dataclasses
import json
import re
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner
from tests.team import make_clone

from pushforward.commands.cli import main
from pushforward.errors import DATA, USAGE, PushforwardError
from pushforward.git.refs import PICTURES
from pushforward.git.repository import Repository
from pushforward.judge import shown
from pushforward.report import vega
from pushforward.server.init import init
from pushforward.tuning import pictures, proposed
from pushforward.tuning import told as words
from pushforward.tuning.check import Check
from pushforward.tuning.study import Trial
from pushforward.tuning.tune import Tuned

pytestmark = pytest.mark.whole

PARAMS = """# what the pipeline is told
train:
  depth: 4                  # how deep
  rate: 0.1
  word: 'a|b'               # in quotes
"""
SPACE = """tune:
  space:
    train.depth: {low: 2, high: 9}
    train.rate: {low: 0.01, high: 1.0, log: true}
    train.word: {one_of: ['a|b', '<c>']}
  metric: m.json:loss
"""
TODAY = {"train.depth": 4, "train.rate": 0.1, "train.word": "a|b"}
BEST = {"train.depth": 6, "train.rate": 0.05, "train.word": "<c>"}
GAINED = Check("2013-07", True, (8, 9), (0.5, 0.5), (0.47, 0.48), 0.025, 0.01, 0.04, 0.03)


def found(commit, **other):
    trials = [
        Trial(0, TODAY, "complete", (0.5, 0.5), 0.5, "", 1.0),
        Trial(1, BEST, "complete", (0.46, 0.48), 0.47, "", 1.0),
        Trial(2, TODAY | {"train.depth": 9}, "pruned", (0.6,), None, "", 0.5),
        Trial(3, TODAY | {"train.depth": 2}, "failed", (), None, "train failed: <b>|x", 0.5),
        Trial(4, TODAY | {"train.rate": 0.3}, "complete", (0.49, 0.48), 0.485, "", 1.0),
    ]
    shares = {"train.depth": 0.7, "train.rate": 0.2, "train.word": 0.1}
    whole = Tuned(
        "0123456789ab",
        commit,
        "toy",
        "params.yaml",
        "m.json:loss",
        "lower",
        ("2013-05", "2013-06"),
        "2013-07",
        5,
        tuple(trials),
        TODAY,
        BEST,
        shares,
        GAINED,
        "",
        past=True,
    )
    return dataclasses.replace(whole, **other)


def _searched(folder, git):
    """A clone of the toy whose settings say what is searched."""
    clone = make_clone(folder / "toy", git)
    (clone / "params.yaml").write_text(PARAMS)
    with (clone / "pushforward.yaml").open("a") as settings:
        settings.write(SPACE)
    git(clone, "add", "-A")
    git(clone, "commit", "-qm", "Search")
    return clone


@pytest.fixture
def place(tmp_path, git, monkeypatch):
    """A clone and its server, which starts no run."""
    monkeypatch.setenv("PUSHFORWARD_RUN", "a-run")
    clone = _searched(tmp_path, git)
    init(clone)
    git(clone, "push", "-q", "local", "HEAD:refs/heads/main")
    return clone


def propose(place, git, **other):
    one = dataclasses.replace(found(git(place, "rev-parse", "HEAD").strip()), **other)
    return proposed.propose(place, one, say=lambda _: None)


def test_the_values_alone_are_proposed_and_the_words_say_what_is_known_of_them(place, git):
    made = propose(place, git)
    assert (made.branch, made.state) == ("tune-0123456789ab", "opened")
    show = git(place.parent / "toy.git", "show", "--format=%B", made.branch)
    patch = git(place.parent / "toy.git", "show", "--format=", made.branch)
    assert [line for line in patch.splitlines() if re.match(r"[-+][^-+]", line)] == [
        "-  depth: 4                  # how deep",
        "-  rate: 0.1",
        "-  word: 'a|b'               # in quotes",
        "+  depth: 6                  # how deep",
        "+  rate: 0.05",
        "+  word: '<c>'               # in quotes",
    ]
    assert show.startswith("Tune train.depth, train.rate, train.word\n")
    for part in (
        "5 trials: 3 through all folds, 1 given up after a fold, 1 failed. Each was tried on 2013-05; 2013-06;",
        "| `train.depth` | `4` | `6` |",
        "with 2 seeds each +0.0250 better, between +0.0100 and +0.0400 at 95 %: more than a seed's noise",
        "the search promised +0.0300",
        "Each was tried on 2013-05; 2013-06; no batch of the holdout was read.",
        "What counts is the verdict on this change: the judge decides on rows that no search has seen.",
        "line [0.500000, 0.470000, 0.470000]",
        "| `train.depth` | 70% |",
    ):
        assert part in show
    assert git(place, "status", "--porcelain") == ""
    assert propose(place, git).state == "there"


@pytest.mark.parametrize(
    "other",
    [
        {"check": None},
        {"check": dataclasses.replace(GAINED, low=-0.01)},
        {"check": dataclasses.replace(GAINED, low=None, high=None)},
        {"best": TODAY},
    ],
)
def test_what_is_no_more_than_noise_is_not_proposed_and_said_so(place, git, other):
    assert propose(place, git, **other) is None
    told = list(words.lines(found("0" * 40, **other), asked=True))
    assert any(line.startswith("nothing is proposed: ") for line in told)
    assert told[-1] == "  next: nothing: the parameters of today stay"


@pytest.mark.parametrize(
    ("other", "said", "after"),
    [
        ({"check": None, "unchecked": "the time is over"}, "what is not checked may be chance", "checks again"),
        (
            {"check": dataclasses.replace(GAINED, seeds=(8,), low=None, high=None, planned=5)},
            "there was time for one seed alone, and nobody knows what a seed alone does",
            "checks again, with all seeds",
        ),
        (
            {"check": dataclasses.replace(GAINED, low=-0.01, planned=5)},
            "the gain is no more than a seed's noise",
            "checks again, with all seeds",
        ),
    ],
)
def test_a_check_that_had_no_time_is_told_and_made_again(place, git, other, said, after):
    assert propose(place, git, **other) is None
    told = list(words.lines(found("0" * 40, **other), asked=True))
    assert told[-2:] == [f"nothing is proposed: {said}", f"  next: pushforward tune --resume, which {after}"]


@pytest.mark.parametrize(
    ("other", "wrong"),
    [
        ({"commit": "0" * 40}, "it is of the commit 000000000"),
        ({"best": BEST | {"train.depth": 10}}, r"train\.depth lies outside of tune\.space"),
        ({"best": BEST | {"train.word": "rm"}}, r"train\.word lies outside"),
        ({"best": BEST | {"collect.source": "http://x"}}, "it is of other parameters"),
        ({"file": ".github/workflows/judge.yml"}, "it is of other parameters"),
        ({"study": "x/../../main"}, "its study has no name"),
        ({"importances": {"train.depth": 0.5, "other": 0.5}}, "its trials are of other parameters"),
        ({"trials": (Trial(0, {"x": 1}, "complete", (0.5,), 0.5, "", 1.0),)}, "its trials are of other parameters"),
        (
            {"check": dataclasses.replace(GAINED, best=())},
            "its check has not as many numbers of the best as of today's",
        ),
    ],
)
def test_nothing_is_taken_from_a_folder_but_values_that_are_searched(place, git, other, wrong):
    with pytest.raises(PushforwardError, match=wrong) as refused:
        propose(place, git, **other)
    assert refused.value.exit_code == DATA


def test_where_the_default_branch_has_other_parameters_nothing_is_proposed(place, git):
    before = git(place, "rev-parse", "HEAD").strip()
    (place / "params.yaml").write_text(PARAMS.replace("rate: 0.1", "rate: 0.2"))
    git(place, "commit", "-qam", "Faster")
    git(place, "push", "-q", "local", "HEAD:refs/heads/main")
    git(place, "reset", "-q", "--hard", before)
    with pytest.raises(PushforwardError, match=r"has other parameters in params\.yaml than the search began with"):
        propose(place, git)


def test_where_the_rows_of_the_verdict_may_be_those_of_the_search_nobody_says_otherwise():
    check = dataclasses.replace(GAINED, apart=False, fold="validation")
    one = found("0" * 40, past=False, kept_back="", folds=("validation",), check=check)
    told = [*words.lines(one), proposed.body(one)]
    assert not any("no search has seen" in line or "no batch of the holdout" in line for line in told)
    assert "the judge decides; whether by other rows than those of m.json:loss, a search cannot know" in told[-2]
    for text in ("\n".join(told[:-1]), told[-1]):
        assert "that was not kept back: the best of many looks better there than it is" in text


@pytest.fixture
def forge(tmp_path, git, monkeypatch):
    """A checkout of a forge's repository, in a run of it, whose API answers nobody."""
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://github.com")
    monkeypatch.setenv("GITHUB_REPOSITORY", "us/toy")
    clone = _searched(tmp_path, git)
    git(tmp_path, "clone", "-q", "--bare", str(clone), "forge.git")
    git(clone, "remote", "add", "origin", str(tmp_path / "forge.git"))
    return clone


def shown_of(forge, git, branch):
    """The pictures that the change on a branch shows: those that are in refs of the forge."""
    bare = Repository(forge.parent / "forge.git")
    body = git(bare.path, "log", "-1", "--format=%B", branch)
    told = re.findall(r"!\[[\w.-]+\]\(https://github\.com/us/toy/blob/([0-9a-f]{40})/([\w.-]+)\?raw=true\)", body)
    kept = {bare.resolve(ref.name) for ref in bare.refs(PICTURES)}
    return sorted(name for commit, name in told if commit in kept and bare.read(commit, name)), body


def test_each_change_keeps_its_pictures_whatever_is_proposed_of_the_same_commit(forge, git):
    head = git(forge, "rev-parse", "HEAD").strip()
    bare = Repository(forge.parent / "forge.git")
    mine = shown.put(Repository(forge), "origin", head, {"learning.png": b"the judge's"})
    propose(forge, git)
    propose(forge, git, study="f" * 12)
    shown.put(Repository(forge), "origin", head, {"learning.png": b"the judge's"})
    drawn = ["history.png", "importance.png", "values-1.png", "values-2.png", "values-3.png"]
    for branch in ("tune-0123456789ab", "tune-ffffffffffff"):
        assert shown_of(forge, git, branch)[0] == drawn
    assert mine in {bare.resolve(ref.name) for ref in bare.refs(PICTURES)}


@pytest.mark.parametrize("wish", ["links", "none"])
def test_who_wants_no_pictures_shown_gets_none(forge, git, wish):
    with (forge / "pushforward.yaml").open("a") as settings:
        settings.write(f"report: {{pictures: {wish}}}\n")
    git(forge, "commit", "-qam", "Words")
    git(forge, "push", "-q", "origin", "HEAD:main")
    assert propose(forge, git) is not None
    names, body = shown_of(forge, git, "tune-0123456789ab")
    assert names == []
    assert "blob/" not in body
    assert Repository(forge.parent / "forge.git").refs(PICTURES) == []


def test_a_picture_that_cannot_be_drawn_or_put_costs_itself(forge, git, monkeypatch):
    png = vega.png

    def stumbles(picture, width):
        if pictures.draw(found("0" * 40))["importance.svg"] == picture:
            raise ValueError
        return png(picture, width)

    monkeypatch.setattr(proposed.vega, "png", stumbles)
    assert propose(forge, git) is not None
    assert shown_of(forge, git, "tune-0123456789ab")[0] == [
        "history.png",
        "values-1.png",
        "values-2.png",
        "values-3.png",
    ]
    hook = forge.parent / "forge.git" / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nif grep -q refs/pushforward/pictures; then echo none here >&2; exit 1; fi\n")
    hook.chmod(0o755)
    said = []
    one = found(git(forge, "rev-parse", "HEAD").strip(), study="f" * 12)
    assert proposed.propose(forge, one, say=said.append) is not None
    assert any("cannot be put into origin" in line and "without them" in line for line in said)
    assert "blob/" not in git(forge.parent / "forge.git", "log", "-1", "--format=%B", "tune-ffffffffffff")


@pytest.mark.parametrize(
    "typed",
    [["--trials", "3"], ["--seed", "0"], ["--resume"], ["--model", "toy"], ["--timeout", "1"], ["--within", "1"]],
)
def test_what_a_folder_that_is_read_makes_useless_is_refused(tmp_path, typed):
    said = CliRunner().invoke(main, ["tune", "--from", str(tmp_path), *typed])
    assert said.exit_code == USAGE
    assert f"--from searches nothing, so {typed[0]} is of no use with it" in said.output


def test_what_is_left_in_a_folder_is_read_again_and_drawn(tmp_path):
    one = found("0" * 40)
    proposed.leave(one, tmp_path / "out")
    assert proposed.read(tmp_path / "out") == one
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [
        "history.svg",
        "importance.svg",
        "tuned.json",
        "tuned.md",
        "values-1.svg",
        "values-2.svg",
        "values-3.svg",
    ]
    for path in (tmp_path / "out").glob("*.svg"):
        tree = ElementTree.fromstring(path.read_text())
        assert tree.tag.endswith("svg")
        assert "http" not in path.read_text().replace("http://www.w3.org", "")
    assert "<b>" not in (tmp_path / "out" / "tuned.md").read_text()


def test_numbers_that_nothing_can_be_drawn_of_cost_the_pictures_and_no_proposal(forge, git, monkeypatch):
    def stumbles(_):
        raise ValueError("no scale")

    monkeypatch.setattr(proposed.pictures, "draw", stumbles)
    assert propose(forge, git) is not None
    assert shown_of(forge, git, "tune-0123456789ab")[0] == []


def test_a_file_that_is_too_large_is_not_cut_and_a_link_is_not_followed(tmp_path):
    proposed.leave(found("0" * 40), tmp_path)
    path = tmp_path / "tuned.json"
    text = path.read_bytes()
    path.write_bytes(text + b" " * (proposed.LIMIT_BYTES - len(text)))
    assert proposed.read(tmp_path) == found("0" * 40)
    with path.open("ab") as more:
        more.write(b" ")
    for _ in range(2):
        with pytest.raises(PushforwardError, match=r"no tuned\.json, or a link, or more than 20 MiB") as refused:
            proposed.read(tmp_path)
        assert (refused.value.exit_code, refused.value.next) == (DATA, f"pushforward tune --out {tmp_path}")
        (tmp_path / "other.json").write_bytes(text)
        path.unlink()
        path.symlink_to("other.json")


def test_what_no_search_leaves_is_refused(tmp_path):
    with pytest.raises(PushforwardError, match=r"has no tuned\.json"):
        proposed.read(tmp_path)
    proposed.leave(found("0" * 40), tmp_path)
    told = json.loads((tmp_path / "tuned.json").read_text())
    (tmp_path / "tuned.json").write_text(json.dumps(told | {"folds": 3}))
    with pytest.raises(PushforwardError, match="is not what a search leaves: folds") as refused:
        proposed.read(tmp_path)
    assert refused.value.exit_code == DATA


def test_two_trials_are_drawn_and_one_is_not():
    one = found("0" * 40)
    assert "history.svg" in pictures.draw(one)
    assert pictures.draw(dataclasses.replace(one, trials=one.trials[:1], importances={})) == {}
    assert list(pictures.chart(dataclasses.replace(one, trials=one.trials[:1]))) == []
    higher = dataclasses.replace(one, better="higher")
    assert pictures.best_so_far(higher) == [0.5, 0.5, 0.5]
    assert pictures.best_so_far(one) == [0.5, 0.47, 0.47]
