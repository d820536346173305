"""Looks that wait, in a real chain: what takes one up again, what does not, and what no chain may say."""

import json

import numpy as np
import polars as pl
import pytest

from pushforward.errors import PushforwardError
from pushforward.gate import sequential
from pushforward.gate.evidence import Evidence
from pushforward.git.repository import Repository
from pushforward.judge import ledger, looks
from pushforward.judge.askings import Plan
from pushforward.judge.waiting import days_of

MONTHS = "2013-03_2013-04"
REF = f"refs/pushforward/holdout/{MONTHS}"


@pytest.fixture
def bare(tmp_path, git):
    git(tmp_path, "init", "-q", "--bare", "bare.git")
    return tmp_path / "bare.git"


@pytest.fixture
def chain(bare):
    return ledger.Ledger(Repository(bare), key=b"")


def days(count, challenger=0.1, champion=0.3, label=0, first=0):
    """So many days of two rows."""
    day = np.repeat(np.arange(first, first + count), 2).astype(str)
    rows = np.full(2 * count, 1.0)
    evidence = Evidence(rows, champion * rows, challenger * rows, day, "superior", ("2013-03", "2013-04"))
    keys = pl.Series("id", [f"{one}-{place % 2}" for place, one in enumerate(day)])
    return days_of(evidence, keys, pl.Series("y", [label] * len(day)))


def ask(chain, found, *, rules="r", planned=40, looks_=2):
    told = looks.digest
    listed = told(repr(sorted(found.digests)))
    key = looks.Key(told("c" + listed), told("d" + listed), told("h" + listed), told(rules))
    plan = Plan(found, planned)
    return chain.reserve(MONTHS, key, alpha=0.05, looks=looks_, mode="superior", commit="c" * 40, plan=plan)


def told(chain, look, verdict="unknown"):
    return chain.settle(MONTHS, look, verdict, f"{look.number} {len(look.waits.askings)}")


def test_a_look_is_taken_up_again_on_the_days_that_came(chain, bare, git):
    first = told(chain, ask(chain, days(20)))
    assert (first.number, first.open, first.alpha) == (1, True, 0.025)
    assert first.asked == pytest.approx(0.0125)
    assert first.waits.spent == pytest.approx(0.0125)
    again = ask(chain, days(25))
    assert (again.number, again.verdict, len(again.waits.askings)) == (1, "", 2)
    assert again.asked == pytest.approx(sequential.nominal(0.025, [0.5, 0.625], [0.0125]))
    assert again.waits.spent == pytest.approx(0.025 * 0.625)
    assert told(chain, again, "promote").verdict == "promote"
    state = chain.state(MONTHS)
    assert (len(state.looks), state.open) == (1, ())
    handed_on = state.next_alpha(0.05, 2, "superior")
    assert handed_on == pytest.approx(0.025 * (0.625 - 0.5)), "what this asking spent, not all of the look"
    entry = json.loads(git(bare, "show", f"{REF}~1:entry.json"))
    assert (entry["entry"], entry["number"], entry["asking"], entry["clusters"]) == ("extended", 1, 2, 25)
    assert git(bare, "log", "-1", "--format=%s", f"{REF}~1") == f"Look 1 at {MONTHS}, asked again on 25 clusters"


def test_the_same_days_again_spend_nothing(chain):
    told(chain, ask(chain, days(20)))
    again = ask(chain, days(20))
    assert (again.replayed, again.verdict, len(again.waits.askings)) == (True, "unknown", 1)
    told(chain, ask(chain, days(25)), "promote")
    earlier = ask(chain, days(20))
    assert (earlier.replayed, earlier.verdict, earlier.asked) == (True, "unknown", pytest.approx(0.0125))
    assert told(chain, earlier).verdict == "unknown"
    assert chain.state(MONTHS).length == 4


@pytest.mark.parametrize(
    ("other", "rules"),
    [
        (days(25, challenger=0.2), "r"),
        (days(25, champion=0.2), "r"),
        (days(25, label=1), "r"),
        (days(15), "r"),
        (days(25, first=1), "r"),
        (days(25), "other"),
    ],
    ids=["challenger", "champion", "labels", "fewer days", "a day is gone", "rules"],
)
def test_another_question_is_another_look(chain, other, rules):
    told(chain, ask(chain, days(20)))
    found = ask(chain, other, rules=rules)
    assert (found.number, len(found.waits.askings)) == (2, 1)


def test_a_look_that_is_settled_or_at_its_end_is_over(chain):
    told(chain, ask(chain, days(20), looks_=9), "hold")
    assert ask(chain, days(25), looks_=9).number == 2
    told(chain, ask(chain, days(25), looks_=9))
    last = told(chain, ask(chain, days(41)))
    assert (last.number, last.open) == (2, False)
    assert last.waits.spent == pytest.approx(last.alpha)
    assert ask(chain, days(42)).number == 3


def test_the_levels_of_all_askings_never_exceed_that_of_the_look(chain):
    for count in (20, 21, 30, 39, 40):
        look = told(chain, ask(chain, days(count)))
    bounds = [sequential.quantile(1 - one.level) for one in look.waits.askings]
    shares = [one.clusters / 40 for one in look.waits.askings]
    assert sum(sequential.crossing(shares, bounds)) == pytest.approx(look.alpha, rel=1e-6)


def test_the_holdout_is_not_spent_while_a_look_waits(chain):
    told(chain, ask(chain, days(20)))
    told(chain, ask(chain, days(20, challenger=0.2)), "hold")
    assert chain.state(MONTHS).retired is None
    with pytest.raises(looks.ClosedError, match="all 2 looks at the holdout"):
        ask(chain, days(20, challenger=0.3))
    told(chain, ask(chain, days(40)))
    assert chain.state(MONTHS).retired == "spent"


def test_a_run_that_died_while_asking_again_finishes_it(chain):
    told(chain, ask(chain, days(20)))
    dead = ask(chain, days(25))
    again = ask(chain, days(25))
    assert (again.replayed, again.waits) == (True, dead.waits)
    assert told(chain, again, "hold").verdict == "hold"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"level": 0.02}, "the level of the asking is wrong"),
        ({"spent": 0.001}, "what is said to be spent is wrong"),
        ({"clusters": 20}, "without another cluster"),
        ({"asking": 3}, "asking 3 after asking 1"),
        ({"number": 2}, "never reserved"),
    ],
    ids=["level", "spent", "same days", "place", "look"],
)
def test_a_chain_that_says_otherwise_is_refused(chain, bare, change, why):
    look = told(chain, ask(chain, days(20)))
    state, plan = chain.state(MONTHS), Plan(days(25), 40)
    further = plan.further(look.waits, days(20).listed, ("1" * 64, "2" * 64, "3" * 64))
    entry = looks.Extended(**looks.head(state), number=1, commit="c" * 40, **further.told).model_copy(update=change)
    commit = chain._write(state, entry, {})
    Repository(bare).update_ref(REF, commit, state.tip)
    with pytest.raises(PushforwardError, match=why):
        chain.state(MONTHS)


def test_the_clusters_tell_nothing_of_a_label():
    assert days(20).digests == days(20, label=1).digests
    assert days(20).labelled(days(20).digests) != days(20, label=1).labelled(days(20).digests)
