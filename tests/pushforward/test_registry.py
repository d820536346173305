import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushforward import registry
from pushforward.git import Ref
from pushforward.registry import FIRST, Version


def tag(name, target="c1", kind="tag"):
    return Ref(f"refs/tags/{name}", f"t-{name}", kind, target)


def test_versions_are_ordered_by_number_and_not_by_text():
    known = registry.fold("m-m", [tag("m-m@v1.10.0", "b"), tag("m-m@v1.9.0", "a")])
    assert [str(version.version) for version in known.versions] == ["v1.9.0", "v1.10.0"]
    assert known.newest.commit == "b"


def test_what_an_environment_uses_is_decided_by_the_counter():
    known = registry.fold(
        "mm", [tag("mm@v1.0.0", "a"), tag("mm@v1.1.0", "b"), tag("mm#prod#10", "a"), tag("mm#prod#9", "b")]
    )
    assert known.in_use("prod").name == "mm@v1.0.0"
    assert known.next_counter("prod") == 11
    assert known.next_counter("staging") == 1


def test_the_champion_is_what_production_holds_else_the_newest():
    versions = [tag("mm@v1.0.0", "a"), tag("mm@v1.1.0", "b")]
    assert registry.fold("mm", versions).champion.name == "mm@v1.1.0"
    assert registry.fold("mm", [*versions, tag("mm#production#1", "a")]).champion.name == "mm@v1.0.0"
    assert registry.fold("mm", []).champion is None


@pytest.mark.parametrize(
    ("name", "kind", "word"),
    [
        ("mm@v1.0", "tag", "form"),
        ("mm@v01.0.0", "tag", "form"),
        ("mm@v99999999999999999999.0.0", "tag", "form"),
        ("mm#prod#0", "tag", "form"),
        ("mm@v1.0.0", "commit", "lightweight"),
        ("mm#prod#1", "tag", "no version names"),
    ],
)
def test_what_cannot_be_read_is_reported(name, kind, word):
    known = registry.fold("mm", [tag(name, kind=kind)])
    assert known.versions == ()
    assert word in known.problems[0]


def test_other_models_and_other_tags_are_left_alone():
    assert registry.fold("mm", [tag("mmm@v1.0.0"), tag("v1.0.0"), tag("mm-notes")]).problems == ()


@pytest.mark.parametrize(("level", "expected"), [("major", "v2.0.0"), ("minor", "v1.3.0"), ("patch", "v1.2.4")])
def test_bump(level, expected):
    assert str(Version(1, 2, 3).bump(level)) == expected
    assert str(FIRST) == "v1.0.0"


@given(st.dictionaries(st.text(min_size=1), st.none() | st.text() | st.integers(), min_size=1))
def test_a_record_survives_its_message(content):
    assert registry.record(registry.message("flight-delay@v1.0.0: fine", content)) == content


def test_a_message_without_a_record_has_none():
    assert registry.record("Release\n\nby hand\n{not json") == {}
