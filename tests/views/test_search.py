"""What a reader asks of the list of runs."""

import pytest

from pushforward.report.note import About
from pushforward.views import search
from pushforward.views.snapshot import Header, Run


def run(commit, verdict, branch, author, subject, **more):
    header = Header(
        verdict=verdict, reason="it falls by 0.02", mode="superior", event="push", ref=f"refs/heads/{branch}"
    )
    return Run(commit * 40, header.model_copy(update=more), About(1, author, subject))


RUNS = [
    run("a", "promote", "main", "Ann", "Deeper trees"),
    run("b", "hold", "deeper", "Bashir", "Deeper trees, fewer", event="pull_request", pull=12),
    run("c", "hold", "main", "Ann", "Another seed"),
]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", "abc"),
        ("verdict=hold", "bc"),
        ("verdict=hold&author=ann", "c"),
        ("branch=DEEP", "b"),
        ("text=deeper+trees", "ab"),
        ("text=%2312", "b"),
        ("text=bbbbbbb", "b"),
        ("text=0.02+seed", "c"),
        ("verdict=ho", ""),
        ("unknown=1&verdict=hold", "bc"),
        ("verdict=promote&verdict=hold", "bc"),
        ("&".join(f"x{n}=1" for n in range(50)) + "&verdict=hold", "abc"),
    ],
)
def test_a_query_keeps_what_answers_it(query, found):
    asked = search.read(query)
    assert "".join(run.commit[0] for run in asked.keep(RUNS)) == found
    assert bool(asked) == (found != "abc")


def test_a_query_has_an_address_that_asks_the_same():
    asked = search.read("text=a%26b%3Cx%3E&page=3&verdict=hold")
    assert (asked.text, asked.page) == ("a&b<x>", 3)
    assert search.read(f"{asked.address}&page=3") == asked
    assert search.read("page=-1").page == search.read("page=x").page == search.read("page=0").page == 1
    assert len(search.read(f"text={'x' * 9999}").text) == search.LONGEST
