"""One link of a chain of evidence: told once, with what was expected, found, and what to type."""

import pytest

from pushforward.errors import POLICY, TOOL, PushforwardError
from pushforward.release import hop
from pushforward.release.hop import DifferentError, FailedError, Hop


def raising(error):
    def take():
        raise error

    return take


def test_what_stops_several_hops_is_told_once_where_it_was_met_first():
    why = PushforwardError("the tag is gone", next="pushforward show")
    steps = {
        "tag": raising(why),
        "target": lambda: "fine",
        "verdict": raising(why),
        "ledger": raising(FailedError("x")),
    }
    hops = list(hop.walk(steps))
    assert [(one.name, one.ok) for one in hops] == [
        ("tag", False),
        ("target", True),
        ("verdict", None),
        ("ledger", False),
    ]
    assert hops[2].said == "not taken: tag does not hold"


def test_hops_are_taken_one_by_one():
    taken = []
    walk = hop.walk({name: lambda name=name: taken.append(name) or name for name in ("tag", "target")})
    assert (next(walk).said, taken) == ("tag", ["tag"])


def test_a_difference_is_told_with_place_both_sides_and_the_next_command():
    found = hop.taken("tag", raising(DifferentError("the tag is another", "here", "1", "", next="pushforward trust")))
    assert found == Hop("tag", False, "the tag is another", "here", "1", "", "pushforward trust")
    assert found.line().splitlines() == [
        "✗ tag        the tag is another",
        "             expected 1",
        "             found    nothing",
        "             next     pushforward trust",
    ]
    assert found.record()["next"] == "pushforward trust"
    assert Hop("tag", True, "it holds").record() == {"name": "tag", "ok": True, "said": "it holds"}


@pytest.mark.parametrize(("code", "tool"), [(TOOL, True), (POLICY, False)])
def test_what_could_not_be_looked_at_for_want_of_a_tool_is_told_apart(code, tool):
    assert hop.taken("objects", raising(FailedError("no answer", exit_code=code))).tool is tool


def test_git_that_gives_up_on_a_damaged_object_breaks_the_chain():
    found = hop.taken("tag", raising(PushforwardError("error: x\nfatal: y", exit_code=TOOL)))
    assert (found.said, found.ok, found.tool) == ("error: x fatal: y", False, False)


def test_a_file_of_either_side_alone_differs():
    for expected, found in (({"a": "1"}, {}), ({}, {"a": "1"}), ({"a": "1"}, {"a": "2"})):
        with pytest.raises(DifferentError, match=r"the file a \(there\)"):
            hop.same_files("the file", "there", expected, found)
    hop.same_files("the file", "there", {"a": "1"}, {"a": "1"})
