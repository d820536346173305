"""Every rule of the decision: where it holds and where it just does not, and which reason counts."""

import dataclasses
from datetime import timedelta
from pathlib import Path

import pytest

from pushforward import schema
from pushforward.errors import PushforwardError
from pushforward.lifecycle import Monitor
from pushforward.monitoring import decision
from pushforward.monitoring.decision import Ages, Decision, Found, decide
from pushforward.monitoring.interval import Interval
from pushforward.monitoring.live import Live, Part, Promise
from pushforward.monitoring.outcomes import Wait

PAGE = Path(__file__).parents[2] / "docs/monitoring.md"
LIMITS = Monitor(reference="data/valid/rows")
AGES = Ages(timedelta(days=20), timedelta(days=60), timedelta(hours=1))


def _interval(low: float, high: float) -> Interval:
    return Interval((low + high) / 2, low, high, 3000, 30, 0.05 / 3)


LIVE = Live(
    Wait(timedelta(hours=10), 9000, 1.0),
    asked=3100,
    old=3000,
    missing=10,
    naive=0.46,
    naive_rows=3050,
    loss=_interval(0.44, 0.50),
    rival=0.52,
    over=_interval(-0.05, 0.01),
    worse=_interval(-0.04, 0.02),
    bias=_interval(-0.01, 0.02),
)
FOUND = Found(LIMITS, AGES, Promise(0.45, "the holdout (2013-03)", rival=0.5), LIVE)


def _live(**changed: object) -> Found:
    return dataclasses.replace(FOUND, live=dataclasses.replace(LIVE, **changed))


def _of(**changed: object) -> Found:
    return dataclasses.replace(FOUND, **changed)


def test_what_nothing_speaks_against_is_fine():
    assert decide(FOUND) == Decision("fine", ())
    assert decide(FOUND).reason == "nothing speaks against it"


PROVEN = _interval(0.001, 0.05)
WORSE = (
    "it loses 0.4700 live (0.4400 to 0.5000), promised were 0.4500 on the holdout (2013-03), more than 10.0 % above; "
    "of the best constant's loss it takes 9.6 %, promised were 10.0 %"
)


@pytest.mark.parametrize(
    ("found", "word", "rule", "said"),
    [
        (
            _live(over=PROVEN, worse=PROVEN),
            "retrain",
            "worse",
            WORSE,
        ),
        (_live(late=PROVEN), "retrain", "worse", "over the last 30 days it loses 0.0255 more than is allowed"),
        (_live(over=PROVEN), "watch", "harder", "what is asked has become harder"),
        (
            _live(parts=(Part("origin", "EWR", 0.61, PROVEN), Part("origin", "JFK", 0.4, LIVE.over))),
            "watch",
            "slice",
            "it loses too much at origin EWR (0.6100)",
        ),
        (_live(bias=_interval(0.051, 0.071)), "watch", "bias", "the mean probability is 0.061 above the rate"),
        (_live(bias=_interval(-0.071, -0.051)), "watch", "bias", "0.061 below the rate of what came"),
        (_live(missing=151), "watch", "missing", "5.0 % of the answers that are old enough have no"),
        (_of(ages=dataclasses.replace(AGES, answer=timedelta(days=3))), "watch", "silent", "last answer is 3.0 d old"),
        (_of(ages=dataclasses.replace(AGES, answer=None)), "watch", "silent", "it has answered nothing"),
        (
            _live(wait=Wait(None, 900, 0.4, timedelta(days=30))),
            "watch",
            "open",
            "40.0% of the outcomes are",
        ),
        (_of(drifted=("temp", "dewp")), "watch", "drift", "temp; dewp"),
        (_of(broken=("carrier: 1 unseen",)), "watch", "broken", "carrier: 1 unseen"),
        (_of(unread="no table"), "watch", "unread", "no table"),
        (
            _of(limits=LIMITS.model_copy(update={"stale_days": 19})),
            "retrain",
            "stale",
            "the version is 20.0 d old, and stale_days is 19",
        ),
    ],
)
def test_each_rule_gives_its_word_and_its_reason(found, word, rule, said):
    told = decide(found)
    assert told.word == word
    assert told.reasons[0][0] == rule
    assert said in told.reason


@pytest.mark.ml_test_score("Monitoring 4")
def test_the_example_has_a_version_trained_anew_before_its_age_is_known_to_cost():
    """What two months cost is measured: `test_a_model_of_two_months_ago_is_worse_and_by_how_much_is_known`."""
    project = schema.load(PAGE.parents[1])
    assert project is not None
    assert project.monitor is not None
    days = project.monitor.stale_days
    assert days is not None
    assert days < 59  # from the first of January to the first of March
    for age, word in ((days, "fine"), (days + 1, "retrain")):
        ages = dataclasses.replace(AGES, version=timedelta(days=age))
        limits = LIMITS.model_copy(update={"stale_days": days})
        told = decide(_of(limits=limits, ages=ages))
        assert told.word == word
    assert told.reasons == (("stale", f"the version is {days + 1}.0 d old, and stale_days is {days}"),)


@pytest.mark.parametrize(
    "found",
    [
        _live(over=_interval(0.0, 0.05), worse=_interval(-0.001, 0.04)),
        _live(bias=_interval(0.05, 0.07)),
        _live(missing=150),
        _of(ages=dataclasses.replace(AGES, answer=timedelta(days=2))),
        _of(limits=LIMITS.model_copy(update={"stale_days": 20})),
        _of(live=None, promise=None),
        _live(wait=Wait(None, 900, 0.4, timedelta(days=29))),
        _live(over=Interval(0.3, None, None, 100, 9, 0.02), worse=Interval(0.3, None, None, 100, 9, 0.02)),
    ],
)
def test_what_is_on_the_limit_or_not_proven_is_fine(found):
    assert decide(found).word == "fine"


def test_without_a_rival_the_promise_stands():
    found = dataclasses.replace(_live(over=PROVEN, worse=None, rival=None), promise=Promise(0.45, "x"))
    assert decide(found).reasons[0][0] == "worse"


def test_in_an_easier_month_it_is_said_beside_the_constant():
    # it loses .44 of .44, promised were .45 of .5: less than was promised, and a larger part
    loss = Interval(0.44, 0.42, 0.46, 3000, 30, 0.01)
    told = decide(_live(loss=loss, rival=0.44, worse=PROVEN))
    assert told.reasons[0][0] == "worse"
    assert told.reason == (
        "it loses 0.4400 live (0.4200 to 0.4600), 100.0 % of what the best constant loses, promised were 90.0 %, "
        "more than 10.0 % above: what is asked has become easier"
    )


def test_clusters_that_are_no_days_are_not_called_days():
    told = decide(_live(late=PROVEN, cluster="customer"))
    assert "over the last 30 customers it loses 0.0255 more than is allowed" in told.reason


def test_the_gravest_counts_first_and_of_equals_the_earlier_rule():
    found = dataclasses.replace(_live(worse=PROVEN, over=PROVEN, missing=900), drifted=("temp",), unread="no table")
    assert [name for name, _ in decide(found).reasons] == ["worse", "drift", "missing", "unread"]


@pytest.mark.parametrize(
    ("word", "rules"),
    [
        ("fine", []),
        ("watch", ["bias"]),
        ("retrain", ["worse", "stale", "bias", "unread"]),
        ("retrain", ["stale", "harder"]),
    ],
)
def test_a_word_and_its_rules_as_they_are_decided_are_taken(word, rules):
    decision.check(word, rules)


@pytest.mark.parametrize(
    ("word", "rules"),
    [
        ("fine", ["bias"]),
        ("watch", []),
        ("watch", ["mine"]),
        ("watch", ["bias", "mine"]),
        ("watch", ["bias", "bias"]),
        ("watch", ["bias", "harder"]),
        ("retrain", ["harder", "stale"]),
        ("retrain", ["stale", "worse"]),
        ("watch", ["stale"]),
    ],
)
def test_a_word_and_rules_that_nothing_decides_are_refused(word, rules):
    with pytest.raises(PushforwardError, match="does not follow from") as refused:
        decision.check(word, rules)
    assert refused.value.exit_code == 3


def test_many_names_are_cut():
    assert decide(_of(drifted=tuple("abcd"))).reason == "a; b; and 2 more"
    parts = tuple(Part("origin", name, 0.5, PROVEN) for name in "abcdefg")
    assert "and 2 more" in decide(_live(parts=parts)).reason


def test_only_another_word_than_before_is_a_change():
    assert decision.changed("", "watch")
    assert decision.changed("watch", "retrain")
    assert decision.changed("watch", "fine")
    assert not decision.changed("", "fine")
    assert not decision.changed("watch", "watch")


def test_the_page_has_the_rules():
    rows = [f"| `{rule.name}` | {rule.word} | {rule.when} |" for rule in decision.RULES]
    told = PAGE.read_text().partition("<!-- rules:")[2].partition("<!-- /rules -->")[0]
    assert [line for line in told.splitlines() if line.startswith("| `")] == rows


def test_outcomes_that_never_come_are_watched_and_said_as_they_are():
    none = decide(_live(wait=Wait(None, 200, 0.0, timedelta(days=150))))
    said = "no outcome of 200 answers has come within 150.0 d: has monitor.outcomes the keys of the log?"
    assert none.reasons == (("open", said),)
    few = decide(_live(wait=Wait(None, 50, 0.0, timedelta(days=150))))
    assert few.reasons == (("open", "50 answers are too few to tell when their outcomes are known"),)
    assert few.word == "watch"
