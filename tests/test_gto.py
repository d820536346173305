"""GTO's grammar of tags, beside GTO's own."""

import pytest
from gto.constants import Action
from gto.tag import parse_name
from hypothesis import given
from hypothesis import strategies as st

from pushforward import gto
from pushforward.gto import Tag


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("text@v1.2.0", Tag("text", "text", "v1.2.0", (1, 2, 0), "", 0, False)),
        ("text@v1.2.0#7", Tag("text", "text", "v1.2.0", (1, 2, 0), "", 7, False)),
        ("text@v1.2.0!", Tag("text", "text", "v1.2.0", (1, 2, 0), "", 0, True)),
        ("text@v1.3.0-rc.1+b2", Tag("text", "text", "v1.3.0-rc.1+b2", (1, 3, 0), "", 0, False)),
        ("text#prod#3", Tag("text", "text", "", None, "prod", 3, False)),
        ("text#prod", Tag("text", "text", "", None, "prod", 0, False)),
        ("text#prod!#4", Tag("text", "text", "", None, "prod", 4, True)),
        ("text@deprecated", Tag("text", "text", "", None, "", 0, False)),
        ("text@deprecated#9", Tag("text", "text", "", None, "", 9, False)),
        ("some/folder=Text_2@v0.0.1", Tag("some/folder=Text_2", "Text_2", "v0.0.1", (0, 0, 1), "", 0, False)),
        ("a/b#Stage_1#1", Tag("a/b", "a/b", "", None, "Stage_1", 1, False)),
    ],
)
def test_a_tag_of_gtos_is_read_in_its_parts(name, wanted):
    assert gto.parse(name) == wanted
    assert parse_name(name)["name"] == wanted.artifact.replace("=", ":")


@pytest.mark.parametrize(
    "name", ["v1.2.0", "text@1.2.0", "text@v1.2", "text@v01.2.0", "text#", "@v1.0.0", "text@v1.0.0#", "text@x"]
)
def test_any_other_tag_is_none_of_gtos(name):
    assert gto.parse(name) is None
    assert parse_name(name, raise_on_fail=False) == {}


PARTS = st.sampled_from(
    ["text", "a-b", "x/y", "dir=text", "@", "#", "v1.2.3", "!", "deprecated", "7", "-", "v0.1.0-rc1"]
)


@given(st.lists(PARTS, min_size=2, max_size=7).map("".join))
def test_it_is_as_gto_reads_it(name):
    ours, theirs = gto.parse(name), parse_name(name, raise_on_fail=False)
    if ours is None or "action" not in theirs:  # `@created` is nothing that GTO reads any further
        assert ours is None or "created" in name
        assert not theirs.get("action")
        return
    assert ours.artifact.replace("=", ":") == theirs["name"]
    assert (ours.version or None, ours.stage or None) == (theirs.get("version"), theirs.get("stage"))
    assert ours.counter == theirs.get("counter", 0)
    assert ours.cancels == (theirs["action"] in {Action.UNASSIGN, Action.DEREGISTER})


def test_numbers_go_on_after_the_highest_of_the_model_in_whatever_folder():
    names = [
        "text@v1.2.0",
        "a=text@v1.10.0",
        "texts@v9.0.0",
        "text#prod#2",
        "text#dev#5",
        "a=text#prod!#7",
        "text@deprecated#8",
    ]
    assert gto.newest(names, "text") == (1, 10, 0)
    assert gto.newest(names, "other") is None
    assert (gto.last(names, "text", "prod"), gto.last(names, "text", "dev")) == (7, 5)
    assert gto.last(names, "text", "staging") == 0
