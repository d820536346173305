"""gate: every verdict, why it is given, and what no evidence may do."""

import dataclasses
import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from pushforward.errors import PushforwardError
from pushforward.gate import stats
from pushforward.gate.decision import judge, noun, without_look
from pushforward.gate.evidence import Evidence
from pushforward.gate.verdict import (
    Champion,
    Digests,
    Holdout,
    Stage,
    Verdict,
    invalid,
    lands,
    mode,
    of_its_own_word,
    touched,
)
from pushforward.judge import seal
from pushforward.judge.context import next_step
from pushforward.report.note import Context
from pushforward.settings import GateRules

DEEP = "[" * (sys.getrecursionlimit() + 1)  # one more than is parsed
DAYS, A_DAY = 60, 200
RULES = GateRules(slices=["origin"])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


class World:
    """Rows whose true log odds are known: a part that varies by row, a part that varies by day."""

    def __init__(self, seed=1):
        self.rng = rng = np.random.default_rng(seed)
        self.days = np.repeat(np.arange("2013-10-01", "2013-11-30", dtype="datetime64[D]"), A_DAY)
        self.by_row = rng.normal(0, 1.2, len(self.days))
        self.by_day = np.repeat(rng.normal(0, 0.4, DAYS), A_DAY)
        self.truth = self.by_row + self.by_day - 1.2
        self.y = (rng.uniform(size=len(self.days)) < sigmoid(self.truth)).astype(np.int8)
        self.origin = rng.choice(["EWR", "JFK", "LGA"], len(self.days))

    def evidence(self, champion, challenger, **changes):
        slices = {"origin": self.origin}
        kind = "first" if champion is None else "superior"
        plain = Evidence(
            y=self.y,
            champion=champion,
            challenger=challenger,
            clusters=self.days,
            mode=kind,
            months=("2013-10", "2013-11"),
            slices=slices,
        )
        return dataclasses.replace(plain, **changes)

    def model(self, signal, *, level=-1.2, noise=0.0, seed=2):
        """A model that sees `signal` of the row's part, and noise of its own that is common to a day."""
        rng = np.random.default_rng(seed)
        by_day = np.repeat(rng.normal(0, 1, DAYS), A_DAY)
        return sigmoid(signal * self.by_row + level + noise * by_day)


@pytest.fixture(scope="module")
def world():
    return World()


def by_name(rows):
    return {row.name: row for row in rows}


def test_a_real_improvement_is_promoted(world):
    verdict = judge(world.evidence(world.model(0.6), world.model(0.9)), RULES)
    assert verdict.verdict == "promote"
    assert verdict.mode == "superior"
    main = verdict.numbers[0]
    assert (main.name, main.better, main.bound, main.passed) == ("log loss", "lower", 0.0, True)
    expected = stats.log_loss(world.y, world.model(0.6)) - stats.log_loss(world.y, world.model(0.9))
    estimate = stats.clustered_mean(expected, world.days)
    assert (main.gain, main.low) == pytest.approx((estimate.mean, estimate.low(0.05)), abs=1e-12)
    assert main.champion - main.challenger == pytest.approx(main.gain, abs=1e-12)
    assert "12,000 rows, 60 days" in verdict.reason
    assert (verdict.rows, verdict.clusters, verdict.positives) == (12000, 60, int(world.y.sum()))
    assert verdict.clusters_better == sum(expected[world.days == day].sum() > 0 for day in np.unique(world.days))
    assert {guard.outcome for guard in verdict.guards} == {"pass"}
    assert [guard.name for guard in verdict.guards] == ["log loss, offset adjusted", "AUC", "slices", "constant"]
    assert [one.value for one in verdict.slices] == ["EWR", "JFK", "LGA"]


def test_the_first_model_meets_floors_only_and_it_is_said(world):
    verdict = judge(world.evidence(None, world.model(0.9)), RULES)
    assert (verdict.verdict, verdict.mode) == ("promote", "first")
    assert "no champion" in verdict.reason
    assert "floors only" in verdict.reason
    assert all(number.gain is None and number.champion is None for number in verdict.numbers)


def test_a_first_model_without_skill_is_held(world):
    shuffled = np.random.default_rng(3).permutation(world.model(0.9))
    verdict = judge(world.evidence(None, shuffled), RULES)
    assert verdict.verdict == "hold"
    assert "does not beat the constant prediction" in verdict.reason


def test_a_first_model_that_is_the_constant_or_nearly_so_is_not_promoted(world):
    almost = world.y.mean() + np.random.default_rng(8).normal(0, 1e-3, len(world.y))
    assert judge(world.evidence(None, almost), RULES).verdict in ("unknown", "hold")
    assert judge(world.evidence(None, np.full(len(world.y), 0.5)), RULES).verdict == "hold"


def test_two_models_swapped_at_random_by_day_are_unknown_where_a_row_wise_test_promotes(world):
    rng = np.random.default_rng(12)
    one, other = world.model(0.8, noise=0.4, seed=3), world.model(0.8, noise=0.4, seed=4)
    promoted = naive = 0
    for _ in range(100):
        swap = rng.choice([True, False], DAYS).repeat(A_DAY)
        old, new = np.where(swap, one, other), np.where(swap, other, one)
        promoted += judge(world.evidence(old, new), RULES).verdict == "promote"
        difference = stats.log_loss(world.y, old) - stats.log_loss(world.y, new)
        naive += stats.clustered_mean(difference, np.arange(len(difference))).low(0.05) > 0
    assert promoted <= 10
    assert naive >= 20


def test_unknown_says_how_long_it_would_take(world):
    verdict = judge(world.evidence(world.model(0.9), world.model(0.92, noise=0.05)), RULES)
    assert verdict.verdict == "unknown"
    main = verdict.numbers[0]
    assert main.low <= 0 < main.high
    assert verdict.days_to_settle > 60
    assert f"about {verdict.days_to_settle:,} days in all would settle it" in verdict.reason
    assert verdict.minimum_detectable > abs(main.gain)


def test_a_worse_model_is_held(world):
    verdict = judge(world.evidence(world.model(0.9), world.model(0.6)), RULES)
    assert verdict.verdict == "hold"
    assert "rises by" in verdict.reason
    assert verdict.days_to_settle is None


def test_a_gain_that_is_only_a_shift_of_level_is_calibration_only(world):
    champion = world.model(0.9, level=-0.6)
    challenger = world.model(0.87, level=-1.2)
    verdict = judge(world.evidence(champion, challenger), RULES)
    assert verdict.verdict == "calibration-only"
    assert by_name(verdict.numbers)["log loss"].passed
    assert by_name(verdict.numbers)["log loss, offset adjusted"].gain < 0
    assert abs(verdict.calibration.challenger_mean - verdict.calibration.rate) < 0.03
    assert verdict.calibration.champion_mean > verdict.calibration.rate + 0.05


def test_a_refresh_of_the_same_quality_passes_and_a_worse_one_does_not(world):
    old = world.model(0.9)
    same = world.model(0.89)
    assert judge(world.evidence(old, same), RULES).verdict != "promote"
    verdict = judge(world.evidence(old, same, mode="refresh"), RULES)
    assert verdict.verdict == "promote"
    assert "same recipe, newer data" in verdict.reason
    main = by_name(verdict.numbers)["log loss"]
    assert main.bound == pytest.approx(-0.01 * main.champion, abs=1e-15)
    worse = judge(world.evidence(old, world.model(0.6), mode="refresh"), RULES)
    assert worse.verdict == "hold"


@pytest.mark.ml_test_score("Model 6")
def test_a_better_model_that_harms_one_slice_is_held(world):
    challenger = np.where(world.origin == "LGA", world.model(0.45), world.model(1.0))
    verdict = judge(world.evidence(world.model(0.6), challenger), RULES)
    assert verdict.verdict == "hold"
    assert "origin LGA is more than 2 % worse" in verdict.reason
    assert {one.value: one.harmed for one in verdict.slices} == {"EWR": False, "JFK": False, "LGA": True}


def test_small_slices_are_listed_and_decide_nothing(world):
    origin = world.origin.astype(object)
    origin[:25] = "tiny"
    challenger = world.model(0.9)
    challenger[:25] = 1 - world.y[:25]
    verdict = judge(world.evidence(world.model(0.6), challenger, slices={"origin": origin}), RULES)
    tiny = {one.value: one for one in verdict.slices}["tiny"]
    assert not tiny.eligible
    assert (tiny.low, tiny.p_harm, tiny.harmed) == (None, None, False)
    assert "(1 too small to tell)" in by_name(verdict.guards)["slices"].detail


def test_a_lower_loss_with_a_worse_ranking_is_not_promoted(world):
    champion = sigmoid(4 * world.by_row - 4)
    blurred = world.by_row + np.random.default_rng(4).normal(0, 0.5, len(world.y))
    verdict = judge(world.evidence(champion, sigmoid(0.8 * blurred - 1.2)), RULES)
    assert by_name(verdict.numbers)["log loss"].passed
    assert by_name(verdict.guards)["AUC"].outcome == "fail"
    assert verdict.verdict != "promote"


def test_identical_predictions_keep_the_champion(world):
    p = world.model(0.9)
    verdict = judge(world.evidence(p, p.copy()), RULES)
    assert verdict.verdict == "identical"
    assert "the champion's" in verdict.reason


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (lambda w, p: {"challenger": np.where(np.arange(len(p)) == 7, np.nan, p)}, "challenger predicts something"),
        (lambda w, p: {"champion": np.where(np.arange(len(p)) == 7, np.inf, p)}, "champion predicts something"),
        (lambda w, p: {"challenger": p + 1}, r"challenger predicts outside \[0, 1\]"),
        (lambda w, p: {"challenger": p[:-1]}, "challenger has the shape"),
        (lambda w, p: {"challenger": p[:, None]}, "challenger has the shape"),
        (lambda w, p: {"y": np.where(w.y == 1, 2, 0)}, "neither 0 nor 1"),
        (lambda w, p: {"y": np.where(np.arange(len(p)) == 7, np.nan, w.y)}, "label is missing"),
        (lambda w, p: {"y": np.zeros_like(w.y)}, "0 positive rows"),
        (lambda w, p: {"y": np.ones_like(w.y)}, "0 negative rows"),
        (lambda w, p: {"y": (np.arange(len(p)) < 60).astype(int)}, "all positive rows .* one cluster"),
        (lambda w, p: {"clusters": np.arange(len(p)) % 9}, "has 9 clusters"),
        (lambda w, p: {"clusters": np.array([None] * len(p))}, "a row has no cluster"),
        (lambda w, p: {"clusters": np.full(len(p), np.datetime64("NaT"))}, "a row has no cluster"),
        (lambda w, p: {"slices": {}}, "gate.slices names 'origin'"),
        (lambda w, p: {"challenger_until": "2013-10"}, "challenger trained on 2013-10, a month of the holdout"),
        (lambda w, p: {"champion_until": "2013-12"}, "champion trained on 2013-12"),
        (lambda w, p: {"problems": ("the model is not the one in dvc.lock",)}, "not the one in dvc.lock"),
    ],
)
def test_evidence_that_cannot_be_judged_is_invalid(world, changes, message):
    p = world.model(0.9)
    models = {"champion": world.model(0.6), "challenger": p}
    verdict = judge(world.evidence(**models | changes(world, p)), RULES)
    assert verdict.verdict == "invalid"
    assert re.search(message, verdict.reason)
    assert Verdict.from_json(verdict.to_json()) == verdict


def test_losses_that_differ_by_a_constant_are_invalid(world):
    y = np.linspace(0, 1, len(world.y))
    rules = GateRules(metric="absolute")
    verdict = judge(world.evidence(y + 2, y + 1, y=y), rules)
    assert verdict.verdict == "invalid"


def test_a_regression_is_judged_without_the_guards_of_classification(world):
    y = world.by_row + world.by_day
    better, worse = world.by_row, 0.7 * world.by_row
    for metric in ("absolute", "squared"):
        rules = GateRules(metric=metric, slices=["origin"])
        verdict = judge(world.evidence(worse, better, y=y), rules)
        assert verdict.verdict == "promote"
        assert [guard.name for guard in verdict.guards] == ["slices", "constant"]
        assert (verdict.calibration, verdict.positives) == (None, None)
        assert judge(world.evidence(better, worse, y=y), rules).verdict == "hold"


def test_the_brier_score_can_be_the_metric(world):
    verdict = judge(world.evidence(world.model(0.5), world.model(1.0)), GateRules(metric="brier"))
    assert verdict.verdict == "promote"
    assert [number.name for number in verdict.numbers] == [
        "Brier score",
        "log loss, offset adjusted",
        "AUC",
        "log loss",
    ]


def test_a_margin_is_asked_for(world):
    evidence = world.evidence(world.model(0.6), world.model(0.9))
    low = judge(evidence, RULES).numbers[0].low
    assert judge(evidence, RULES.model_copy(update={"margin": low * 0.99})).verdict == "promote"
    assert judge(evidence, RULES.model_copy(update={"margin": low * 1.01})).verdict == "unknown"


def test_a_champion_is_there_exactly_where_the_mode_says_so(world):
    with pytest.raises(ValueError, match="a first model has no champion"):
        judge(world.evidence(None, world.model(0.9), mode="superior"), RULES)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32 - 1))
def test_any_order_of_the_rows_gives_the_same_verdict(seed):
    world = World(9)
    evidence = world.evidence(world.model(0.7, noise=0.1), world.model(0.8, noise=0.1, seed=5))
    order = np.random.default_rng(seed).permutation(len(world.y))
    shuffled = dataclasses.replace(
        evidence,
        y=evidence.y[order],
        champion=evidence.champion[order],
        challenger=evidence.challenger[order],
        clusters=evidence.clusters[order],
        slices={"origin": world.origin[order]},
    )
    one, other = judge(evidence, RULES), judge(shuffled, RULES)
    assert (one.verdict, one.reason, one.clusters_better) == (other.verdict, other.reason, other.clusters_better)
    for left, right in zip(one.numbers, other.numbers, strict=True):
        assert (left.gain, left.low) == pytest.approx((right.gain, right.low), abs=1e-10)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 999), st.floats(0.2, 1.2), st.floats(0.2, 1.2))
def test_any_two_models_swapped_negate_and_never_both_pass(seed, first, second):
    world = World(seed)
    one, other = world.model(first), world.model(second, noise=0.1)
    there, back = (judge(world.evidence(*pair), RULES) for pair in ((one, other), (other, one)))
    for left, right in zip(there.numbers, back.numbers, strict=True):
        assert left.gain == pytest.approx(-right.gain, abs=1e-10)
        assert left.low == pytest.approx(-right.high, abs=1e-10)
    assert "promote" not in (there.verdict, back.verdict) or there.verdict != back.verdict


@settings(deadline=None, max_examples=15)
@given(st.lists(st.integers(0, DAYS * A_DAY - 1), min_size=1, max_size=5), st.sampled_from([np.nan, np.inf, -0.1, 2]))
def test_any_bad_number_anywhere_never_passes(places, value):
    world = World(11)
    for who in ("champion", "challenger"):
        models = {"champion": world.model(0.5), "challenger": world.model(1.0)}
        models[who][places] = value
        assert judge(world.evidence(**models), RULES).verdict == "invalid"


def test_a_verdict_survives_json_to_the_bit(world):
    verdict = dataclasses.replace(
        judge(world.evidence(world.model(0.6), world.model(0.9)), RULES),
        commit="a" * 40,
        ref="refs/heads/ünïcode`|",
        pull=7,
        champion=Champion("flight-delay@v1.0.0", "b" * 40),
        holdout=Holdout(("2013-10", "2013-11"), 12000, 60, "c" * 64),
        digests=Digests(model="d" * 64),
        stages=(Stage("train", "ran", "params changed", 12.5),),
        touched=("pushforward.yaml: gate.alpha",),
        seconds=0.25,
    )
    assert Verdict.from_json(verdict.to_json()) == verdict
    assert "\n" not in verdict.to_json()
    assert json.loads(verdict.to_json())["schema"] == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tree: tree | {"verdict": "merge it"}, "verdict"),
        (lambda tree: tree | {"extra": 1}, "extra"),
        (lambda tree: tree | {"rows": "12"}, "rows"),
        (lambda tree: tree | {"rows": 1.5}, "rows"),
        (lambda tree: tree | {"schema": 2}, "schema"),
        (lambda tree: tree | {"numbers": [{"name": "auc"}]}, "numbers"),
        (lambda tree: {key: value for key, value in tree.items() if key != "touched"}, "a key is missing"),
        (lambda tree: [tree], "not a verdict"),
    ],
)
def test_what_is_not_a_verdict_is_refused(change, message):
    tree = json.loads(invalid("no", "first", RULES).to_json())
    assert Verdict.from_json(json.dumps(tree)).reason == "no"
    with pytest.raises(PushforwardError, match=message):
        Verdict.from_json(json.dumps(change(tree)))


@pytest.mark.parametrize(
    "text",
    ["", "{", "null", DEEP, '{"schema":1,"schema":1}', '{"seconds":NaN}', b"\xff\xfe", '"verdict"'],
)
def test_text_that_is_not_a_verdict_is_refused(text):
    with pytest.raises(PushforwardError, match="not a verdict"):
        Verdict.from_json(text)


OWN = "pushforward.yaml: "
BEFORE = {
    "data.months": ["2013-01", "2013-02"],
    "train.seed": 1,
    f"{OWN}gate.alpha": 0.05,
    f"{OWN}server.timeout_minutes": 60,
}
LATER = BEFORE | {"data.months": ["2013-01", "2013-02", "2013-03"]}


@pytest.mark.parametrize(
    ("paths", "before", "after", "expected"),
    [
        (["params.yaml"], None, LATER, "first"),
        (["params.yaml"], BEFORE, LATER, "refresh"),
        (["params.yaml", "dvc.lock", "metrics/metrics.json"], BEFORE, LATER, "refresh"),
        (["params.yaml", "README.md", "docs/a.svg", "tests/x.py", "data/.gitignore"], BEFORE, LATER, "refresh"),
        (["params.yaml"], BEFORE, LATER | {f"{OWN}server.timeout_minutes": 5}, "refresh"),
        *(
            (["pushforward.yaml"], BEFORE, LATER | {f"{OWN}{leaf}": 2}, "refresh")
            for leaf in ("repro.jobs", "report.pictures", "notify.team.url_env", "serve.replicas", "tune.trials")
        ),
        (["dvc.lock"], BEFORE, BEFORE, "refresh"),
        (["params.yaml", "src/flights/train.py"], BEFORE, LATER, "superior"),
        (["params.yaml", "requirements/run.txt"], BEFORE, LATER, "superior"),
        (["params.yaml", "dvc.yaml"], BEFORE, LATER, "superior"),
        (["params.yaml"], BEFORE, LATER | {"train.seed": 2}, "superior"),
        (["params.yaml"], BEFORE, LATER | {"train.seed": 1.0}, "superior"),
        (["params.yaml"], BEFORE, LATER | {"train.new": None}, "superior"),
        (["params.yaml"], BEFORE, LATER | {f"{OWN}gate.alpha": 0.2}, "superior"),
        (["params.yaml"], BEFORE, LATER | {"data.months": ["2013-02", "2013-03"]}, "superior"),
        (["params.yaml"], LATER, BEFORE, "superior"),
        (["params.yaml"], BEFORE, {}, "superior"),
    ],
)
def test_the_mode_follows_from_the_difference(paths, before, after, expected):
    assert mode(paths, before, after, arrivals="data.months") == expected


def test_batches_may_be_listed_in_a_file_of_their_own():
    before = {"sites.yaml: names": ["Kyoto", "Bergen"], "train.seed": 1}
    later, paths = before | {"sites.yaml: names": ["Kyoto", "Bergen", "Lima"]}, ["sites.yaml", "dvc.lock"]
    assert mode(paths, before, later, arrivals="sites.yaml: names") == "refresh"
    assert mode(paths, before, later, arrivals="data.months") == "superior"
    assert mode(paths, later, before, arrivals="sites.yaml: names") == "superior"
    assert touched(paths, before, later, arrivals="sites.yaml: names") == ()
    assert touched(paths, before, later, (["sites.yaml"], []), arrivals="") == ("sites.yaml",)


def test_a_section_of_the_pipeline_s_with_a_name_of_ours_is_the_pipeline_s():
    theirs = {"gate.alpha": 1, "server.jobs": 3, "promote.x": 1}
    assert mode(["params.yaml"], theirs, theirs | {"server.jobs": 4}, arrivals="data.months") == "superior"
    assert touched(["params.yaml"], theirs, {}, arrivals="data.months") == ()


def test_a_change_of_the_judge_is_named():
    paths = ["src/pushforward/gate/decision.py", "src/flights/train.py", "params.yaml", ".github/workflows/judge.yml"]
    assert touched(paths, BEFORE, LATER | {f"{OWN}gate.alpha": 0.2, "train.seed": 3}, arrivals="data.months") == (
        ".github/workflows/judge.yml",
        "src/pushforward/gate/decision.py",
        "pushforward.yaml: gate.alpha",
    )
    assert touched(["README.md"], BEFORE, LATER, arrivals="data.months") == ()


@pytest.mark.parametrize(
    ("outcome", "touches", "expected"),
    [
        ("promote", (), True),
        ("promote", ("pushforward.yaml: gate.alpha",), True),
        ("identical", (), True),
        ("identical", ("src/flights/collect.py", "params.yaml: collect.source"), True),
        ("identical", ("pushforward.yaml: gate.alpha",), False),
        ("identical", ("pushforward.yaml: models.toy.path",), False),
        ("identical", ("pushforward.yaml: promote.environments",), False),
        ("identical", (".github/workflows/judge.yml", "src/flights/collect.py"), False),
        ("identical", ("src/pushforward/gate/decision.py",), False),
        ("identical", ("dvc.yaml",), False),
        ("measured", ("src/flights/collect.py",), True),
        ("measured", ("pushforward.yaml: models.toy.metrics",), False),
        ("unknown", (), False),
        ("hold", (), False),
        ("calibration-only", (), False),
        ("invalid", (), False),
    ],
)
def test_what_a_protected_branch_takes_for_its_verdict_alone(outcome, touches, expected):
    assert lands(dataclasses.replace(invalid("x"), verdict=outcome, touched=touches)) is expected


@pytest.mark.parametrize(
    ("outcome", "touches", "expected"),
    [
        ("promote", (), True),
        ("promote", ("dvc.yaml", "metrics/found.json", "requirements/run.txt"), True),
        ("promote", ("pushforward.yaml: gate.alpha",), False),
        ("promote", ("loss.py",), False),
        ("promote", (".github/workflows/judge.yml",), False),
        ("identical", ("dvc.yaml",), False),
        ("hold", (), False),
    ],
)
def test_what_a_protected_branch_takes_for_predictions_that_the_change_wrote_itself(outcome, touches, expected):
    verdict = of_its_own_word(dataclasses.replace(invalid("x"), verdict=outcome, touched=touches))
    assert lands(verdict) is expected
    signed = "signed by who may, for it changes the judge" in next_step(
        dataclasses.replace(verdict, event="pull_request"), Context(branch="topic")
    )
    assert signed is (not expected and outcome != "hold")


def test_who_promotes_by_itself_is_a_matter_of_the_judge():
    before, after = ({f"{OWN}promote.environments.production": word} for word in ("manual", "auto"))
    changed = touched(["pushforward.yaml"], before, after, arrivals="data.months")
    assert changed == ("pushforward.yaml: promote.environments.production",)


def test_the_road_past_a_champion_that_saw_the_holdout_is_told(world):
    evidence = dataclasses.replace(
        world.evidence(world.model(0.8), world.model(0.9)), months=("2020-03",), champion_until="2020-03"
    )
    verdict = dataclasses.replace(judge(evidence, RULES), commit="4f1c2ab9" * 5, champion=Champion("toy@v1.0.1", "c"))
    assert verdict.reason == "the champion trained on 2020-03, a month of the holdout"
    told = next_step(verdict, Context())
    assert "pushforward rollback ENVIRONMENT -m WHY wherever toy@v1.0.1 is in use" in told
    assert "pushforward deprecate toy@v1.0.1 -m WHY, then pushforward runs retry 4f1c2ab94" in told
    evidence = dataclasses.replace(evidence, champion_until="", challenger_until="2020-03")
    assert judge(evidence, RULES).reason == "the challenger trained on 2020-03, a month of the holdout"


def test_a_jump_too_good_to_be_true_waits_for_a_person(world):
    verdict = judge(world.evidence(world.model(0.3, noise=1.0), world.model(1.0)), RULES)
    assert verdict.verdict == "unknown"
    assert "more often a leak than a gain; a person must look at the features" in verdict.reason
    assert verdict.days_to_settle is None
    assert by_name(verdict.guards)["plausible"].outcome == "undecided"


def test_a_first_model_above_what_the_owner_believes_waits_for_a_person(world):
    rules = RULES.model_copy(update={"suspect_auc": 0.6})
    verdict = judge(world.evidence(None, world.model(0.9)), rules)
    assert verdict.verdict == "unknown"
    assert "above 0.6 it is more likely a leak" in verdict.reason


@pytest.mark.parametrize("first", [False, True])
def test_data_that_a_person_must_look_at_is_judged_by_nobody_else(world, first):
    champion = None if first else world.model(0.6)
    doubted = world.evidence(
        champion, world.model(0.9), doubts=("the column 'left' tells; a person must look", "small")
    )
    told = without_look(doubted, RULES)
    assert (told.verdict, told.reason) == ("unknown", "the column 'left' tells; a person must look; small")
    assert [(guard.name, guard.outcome) for guard in told.guards] == [("data", "undecided")] * 2
    assert told.numbers == (), "nothing is compared, so no look is spent"
    closed = seal.public(told, None)
    assert closed.sealed
    assert closed.reason.startswith("the column 'left' tells; a person must look")
    assert judge(dataclasses.replace(doubted, problems=("worse",)), RULES).verdict == "invalid"


def test_what_predicts_as_the_champion_does_stays_identical_whatever_the_data(world):
    model = world.model(0.6)
    assert without_look(world.evidence(model, model, doubts=("small",)), RULES).verdict == "identical"


def test_a_small_gain_beside_a_large_shift_of_level_is_calibration_only(world):
    """It is a gain for certain, and next to nothing of what the raw loss shows."""
    verdict = judge(world.evidence(world.model(0.87, level=-0.6), world.model(0.875, level=-1.2)), RULES)
    refitted = by_name(verdict.numbers)["log loss, offset adjusted"]
    assert 0 < refitted.low < refitted.gain < by_name(verdict.numbers)["log loss"].gain / 2
    assert verdict.verdict == "calibration-only"
    assert "mostly by its overall level" in verdict.reason


def test_a_gain_that_is_not_certain_once_the_levels_are_refitted_is_unknown(world):
    champion = world.model(0.8, level=-1.0, noise=0.25, seed=12)
    challenger = world.model(0.83, level=-1.2, noise=0.25, seed=13)
    verdict = judge(world.evidence(champion, challenger), RULES)
    assert by_name(verdict.numbers)["log loss"].passed
    assert by_name(verdict.guards)["log loss, offset adjusted"].outcome == "undecided"
    assert verdict.verdict == "unknown"
    assert verdict.days_to_settle > DAYS


SCHEMA = Path(__file__).parent.parent.parent / "docs" / "verdict.schema.json"


def test_the_published_schema_is_that_of_the_verdict():
    """`UPDATE_GOLDEN=1` writes it again; a change that readers notice raises `schema`."""
    found = TypeAdapter(Verdict).json_schema() | {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    text = json.dumps(found, indent=1, sort_keys=True) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        SCHEMA.write_text(text)
    assert SCHEMA.read_text() == text
    assert found["properties"]["schema"]["const"] == 1


@pytest.mark.parametrize(
    ("column", "clusters", "word"),
    [
        ("date", ["2013-05-31", "2013-06-01"], "day"),
        ("date", ["2013-05-31 00:00:00.000", "2013-06-01 00:00:00.000"], "day"),
        ("patient_id", ["p1", "p2"], "patient id"),
        ("week", ["2013-W05", "2013-W06"], "week"),
        ("origin", ["2013-05-31", "JFK"], "origin"),
    ],
)
def test_a_sentence_has_the_clusters_own_word(column, clusters, word):
    assert noun(column, np.array(clusters)) == word
