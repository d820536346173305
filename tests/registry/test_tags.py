"""The fold from tags to the registry, and that GTO reads the same one from a real repository."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushforward.errors import PushforwardError
from pushforward.git.repository import Ref, Repository
from pushforward.registry import grammar
from pushforward.registry import tags as registry
from pushforward.registry.tags import FIRST, Version

GTO = Path(sys.executable).parent / "gto"


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


@pytest.mark.parametrize(
    ("tags", "problem"),
    [
        ([("mm@v1.0.0", "a"), ("mm@v1.1.0", "a")], "mm@v1.0.0 and mm@v1.1.0 name one commit, a"),
        ([("mm@v1.0.0", "a"), ("mm#prod#1", "a"), ("mm#prod#3", "a")], "mm#prod#2 is missing before #3"),
        ([("mm@v1.0.0", "a"), ("mm#prod#5", "a")], "mm#prod#1 to #4 is missing before #5"),
        ([("mm@v1.0.0", "a"), ("mm#prod#1", "a"), ("mm@v1.0.0!", "a")], "prod holds mm@v1.0.0, which is deprecated"),
        ([("mm@v1.0.0!", "a")], "mm@v1.0.0! deprecates a version that is not there"),
        ([("mm@v1.0.0", "a"), ("mm@v1.0.0!", "b")], "mm@v1.0.0! names b, its version a"),
        ([("Mm@v1.0.0", "a")], "Mm@v1.0.0 is not of mm: names are in small letters"),
        ([("mm@V1.0.0", "a")], f"mm@V1.0.0 is not of the form {grammar.GRAMMAR}"),
        ([("mm#Prod#1", "a")], f"mm#Prod#1 is not of the form {grammar.GRAMMAR}"),
        ([("mm@v1.0.0!2", "a")], f"mm@v1.0.0!2 is not of the form {grammar.GRAMMAR}"),
    ],
)
def test_what_contradicts_itself_is_reported(tags, problem):
    assert registry.fold("mm", [tag(name, target) for name, target in tags]).problems == (problem,)


def test_a_version_that_was_replaced_may_be_deprecated():
    tags = [tag("mm@v1.0.0", "a"), tag("mm@v1.1.0", "b"), tag("mm#prod#1", "a"), tag("mm#prod#2", "b")]
    known = registry.fold("mm", [*tags, tag("mm@v1.0.0!", "a")])
    assert known.problems == ()
    assert known.deprecated(known.named("v1.0.0")).name == "mm@v1.0.0!"
    assert known.deprecated(known.named("v1.1.0")) is None


def test_a_deprecated_version_is_no_champion_and_its_number_is_not_used_again():
    tags = [tag("mm@v1.0.0", "a"), tag("mm@v1.1.0", "b"), tag("mm@v1.1.0!", "b")]
    known = registry.fold("mm", tags)
    assert known.newest.name == "mm@v1.1.0"
    assert known.champion.name == "mm@v1.0.0"
    assert registry.fold("mm", [*tags, tag("mm@v1.0.0!", "a")]).champion is None


def test_what_does_not_count_is_left_out_with_all_that_it_contradicts_and_told():
    tags = [tag("mm@v1.0.0", "a"), tag("mm#prod#1", "a"), tag("mm@v9.0.0", "a"), tag("mm#prod#5", "z"), tag("mm@v1")]
    known = registry.fold("mm", [*tags, tag("mm@v1.0.0!", "a")])
    doubts = {name: f"{name}: not signed" for name in ("mm@v9.0.0", "mm#prod#5", "mm@v1.0.0!")}
    assert registry.without(known, doubts) == replace(
        registry.fold("mm", tags[:2]), problems=(f"mm@v1 is not of the form {grammar.GRAMMAR}", *doubts.values())
    )


def test_a_number_whose_name_is_taken_is_left_out():
    known = registry.fold("mm", [tag("mm@v1.0.0"), tag("mm#prod#1")])
    taken = {"mm@v1.0.0", "mm@v1.1.0", "mm@v2.0.0/x", "mm#prod#2"}
    assert [str(known.next_version(level, taken)) for level in ("major", "minor", "patch")] == [
        "v3.0.0",
        "v1.2.0",
        "v1.0.1",
    ]
    assert (known.next_counter("prod", taken), known.next_counter("staging", taken)) == (3, 1)
    assert str(registry.fold("mm", []).next_version("minor", {"mm@v1.0.0"})) == "v1.1.0"


def rolled_back(*uses, deprecated=()):
    """What a rollback goes back to after versions were in use one after the other."""
    tags = [tag(f"mm@v1.{name}.0", name) for name in set(uses)]
    tags += [tag(f"mm#prod#{number}", name) for number, name in enumerate(uses, 1)]
    known = registry.fold("mm", [*tags, *(tag(f"mm@v1.{name}.0!", name) for name in deprecated)])
    found = known.before("prod")
    return found.commit if found else None


@pytest.mark.parametrize(
    ("uses", "deprecated", "expected"),
    [
        ("", "", None),
        ("1", "", None),
        ("12", "", "1"),
        ("123", "", "2"),
        ("123", "2", "1"),
        ("123", "12", None),
        ("1232", "", "1"),  # a second rollback goes further back, not to what the first one left
        ("12321", "", None),
        ("121", "", None),
        ("1213", "", "1"),
        ("1213", "1", None),  # not to 2, which was left for 1
        ("12324", "", "2"),
    ],
)
def test_a_rollback_goes_to_what_was_in_use_before_and_never_forward(uses, deprecated, expected):
    assert rolled_back(*uses, deprecated=deprecated) == expected


@pytest.mark.parametrize("text", ["v1.2.0", "1.2.0", "mm@v1.2.0"])
def test_a_version_is_found_by_any_of_its_names(text):
    assert registry.fold("mm", [tag("mm@v1.2.0"), tag("mm@v1.20.0", "b")]).named(text).name == "mm@v1.2.0"


@pytest.mark.parametrize(
    ("text", "words"),
    [("v1.2", "did you mean v1.2.0"), ("", "the newest is v1.2.0"), ("nn@v1.2.0", "no version nn@v1.2.0")],
)
def test_a_version_that_is_not_there_is_refused_with_the_next_command(text, words):
    with pytest.raises(PushforwardError, match=words) as refused:
        registry.fold("mm", [tag("mm@v1.2.0")]).named(text)
    assert refused.value.next == "pushforward show"


def test_a_model_without_versions_says_so():
    with pytest.raises(PushforwardError, match="mm has no version yet"):
        registry.fold("mm", []).named("v1.0.0")


RECORDS = {
    "t-mm@v1.0.0": {"number": 1, "previous": None},
    "t-mm@v1.1.0": {"number": 2, "previous": "mm@v1.0.0"},
    "t-mm#prod#1": {"version": "mm@v1.0.0", "previous": None},
    "t-mm#prod#2": {"version": "mm@v1.1.0", "previous": "mm@v1.0.0"},
}


@pytest.mark.parametrize(
    ("name", "change", "problem"),
    [
        ("", {}, None),
        ("mm@v1.1.0", {"number": 3}, "mm@v1.1.0 is version number 2 here and says that it is number 3"),
        ("mm@v1.1.0", {"previous": None}, "mm@v1.1.0 follows mm@v1.0.0 here and says that it follows None"),
        ("mm@v1.0.0", {"previous": "mm@v0.9.0"}, "mm@v1.0.0 follows nothing here and says that it follows mm@v0.9.0"),
        ("mm#prod#2", {"version": "mm@v1.0.0"}, "mm#prod#2 names mm@v1.1.0 and says that it puts mm@v1.0.0 to use"),
        ("mm#prod#2", {"previous": None}, "mm#prod#2 replaces mm@v1.0.0 and says that it replaces None"),
    ],
)
def test_records_that_contradict_the_tags_are_reported(name, change, problem):
    tags = [tag("mm@v1.0.0", "a"), tag("mm@v1.1.0", "b"), tag("mm#prod#1", "a"), tag("mm#prod#2", "b")]
    records = RECORDS | ({f"t-{name}": RECORDS[f"t-{name}"] | change} if name else {})
    assert list(registry.inconsistent(registry.fold("mm", tags), records)) == ([problem] if problem else [])


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("register"), st.sampled_from(["major", "minor", "patch"])),
        st.tuples(st.just("use"), st.sampled_from(["prod", "staging"]), st.integers(0, 20)),
        st.tuples(st.just("deprecate"), st.integers(0, 20)),
    ),
    max_size=30,
)


def written(steps):
    """The refs that a team leaves that does `steps` one after the other, and what it should find in them."""
    refs, versions, uses, deprecated = [], [], {}, set()
    for number, (what, *how) in enumerate(steps):
        if what == "register":
            version = versions[-1][0].bump(how[0]) if versions else FIRST
            versions.append((version, f"{number:040x}"))
            refs.append(tag(f"mm@{version}", versions[-1][1]))
        elif what == "use" and versions:
            environment, place = how
            chosen = versions[place % len(versions)]
            uses.setdefault(environment, []).append(chosen)
            refs.append(tag(f"mm#{environment}#{len(uses[environment])}", chosen[1]))
        elif what == "deprecate" and versions:
            version, commit = versions[how[0] % len(versions)]
            if version not in deprecated:
                deprecated.add(version)
                refs.append(tag(f"mm@{version}!", commit))
    return refs, versions, uses, deprecated


@given(STEPS, st.randoms(use_true_random=False))
def test_the_fold_finds_what_was_done_whatever_the_order_of_the_refs(steps, random):
    refs, versions, uses, deprecated = written(steps)
    shuffled = random.sample(refs, len(refs))
    known = registry.fold("mm", shuffled)
    assert known == registry.fold("mm", refs)
    assert [(one.version, one.commit) for one in known.versions] == versions
    assert {one.version for one in known.deprecations} == deprecated
    for environment, chosen in uses.items():
        assert [use.commit for use in known.uses(environment)] == [commit for _, commit in chosen]
        assert [use.counter for use in known.uses(environment)] == list(range(1, len(chosen) + 1))
        assert known.in_use(environment).version == chosen[-1][0]
        assert known.next_counter(environment) == len(chosen) + 1
        back = known.before(environment)
        if back is not None:
            assert back.version not in deprecated
            assert back.version != chosen[-1][0]
            assert back.version in {version for version, _ in chosen[:-1]}
    held = {chosen[-1][0] for chosen in uses.values()}
    assert len(known.problems) == sum(chosen[-1][0] in deprecated for chosen in uses.values())
    assert bool(known.problems) == bool(held & deprecated)


@given(STEPS, st.lists(st.text(st.sampled_from("m@#v.!0129prod-AB/"), max_size=12)), st.randoms(use_true_random=False))
def test_the_fold_reads_any_name_and_reports_each_of_this_model_that_it_cannot_read(steps, names, random):
    refs, *_ = written(steps)
    known = registry.fold("mm", refs)
    taken = {ref.name for ref in refs}
    strange = {name for name in names if f"refs/tags/{name}" not in taken and registry.parse(name) is None}
    mixed = [*refs, *(tag(name) for name in strange)]
    found = registry.fold("mm", random.sample(mixed, len(mixed)))
    assert (found.versions, found.assignments, found.deprecations) == (
        known.versions,
        known.assignments,
        known.deprecations,
    )
    mine = [name for name in strange if name.lower().startswith(("mm@", "mm#"))]
    assert len(found.problems) == len(known.problems) + len(mine)


@pytest.mark.parametrize(("level", "expected"), [("major", "v2.0.0"), ("minor", "v1.3.0"), ("patch", "v1.2.4")])
def test_bump(level, expected):
    assert str(Version(1, 2, 3).bump(level)) == expected
    assert str(FIRST) == "v1.0.0"


@given(st.dictionaries(st.text(min_size=1), st.none() | st.text() | st.integers(), min_size=1))
def test_a_record_survives_its_message(content):
    assert registry.record(registry.message("flight-delay@v1.0.0: fine", content)) == content


def test_a_message_without_a_record_has_none():
    assert registry.record("Release\n\nby hand\n{not json") == {}


# What GTO has left from before the server.


def marked(name, target="c1", kind="tag"):
    """A tag as a server keeps it that has taken it over: itself, and its mark."""
    mine = tag(name, target, kind)
    return [mine, replace(mine, name=f"refs/pushforward/foreign/{name}")]


def before():
    """Two versions of GTO's and what it had put to use, the counters being of the whole artifact; light or not."""
    return [
        *marked("mm@v1.0.0", "a"),
        *marked("mm@v1.2.0", "", "commit"),
        *marked("mm#prod#1", "a"),
        *marked("mm#dev#2", "a"),
        *marked("mm#prod#3", "", "commit"),
        *marked("mm@deprecated#4", "a"),
        *marked("models=mm@v0.9.0", "a"),
        *marked("other@v7.0.0", "a"),
    ]


def test_a_foreign_tag_is_no_version_no_use_and_no_problem():
    known = registry.fold("mm", before())
    assert (known.versions, known.assignments, known.deprecations, known.problems) == ((), (), (), ())
    assert (known.newest, known.champion, known.in_use("prod"), known.environments) == (None, None, None, [])
    assert [one.name for one in known.foreign_versions] == ["models=mm@v0.9.0", "mm@v1.0.0", "mm@v1.2.0"]


@pytest.mark.parametrize(("level", "name"), [("major", "v2.0.0"), ("minor", "v1.3.0"), ("patch", "v1.2.1")])
def test_numbers_go_on_after_foreign_ones(level, name):
    known = registry.fold("mm", before())
    assert str(known.next_version(level)) == name
    own = registry.fold("mm", [*before(), tag("mm@v1.3.0", "b")])
    assert own.next_version(level) == own.newest.version.bump(level)
    assert (known.next_counter("prod"), known.next_counter("dev"), known.next_counter("staging")) == (4, 3, 1)


def test_a_higher_foreign_number_is_never_gone_below():
    known = registry.fold("mm", [*before(), *marked("models=mm@v3.1.0", "a"), tag("mm@v1.3.0", "b")])
    assert str(known.next_version("patch")) == "v3.1.1"


def test_what_gto_has_put_to_use_is_told_until_a_version_is():
    known = registry.fold("mm", before())
    lightweight = next(ref for ref in before() if ref.name.endswith("mm@v1.2.0")).object
    refs = [replace(ref, object=lightweight) if ref.name.endswith("#prod#3") else ref for ref in before()]
    assert registry.fold("mm", refs).foreign_environments == {"dev": "mm@v1.0.0", "prod": "mm@v1.2.0"}
    assert known.foreign_use("dev") == "mm@v1.0.0"
    own = registry.fold("mm", [*refs, tag("mm@v1.3.0", "b"), tag("mm#prod#4", "b")])
    assert own.foreign_environments == {"dev": "mm@v1.0.0"}
    assert own.in_use("prod").name == "mm@v1.3.0"
    assert own.before("prod") is None
    assert own.problems == ()
    emptied = registry.fold("mm", [*refs, tag("mm@v1.3.0", "b"), tag("mm#prod#4", "b"), tag("mm#prod!#5", "b")])
    assert emptied.foreign_use("prod") == ""


def test_what_gto_has_taken_back_is_neither_a_version_nor_in_use():
    known = registry.fold("mm", [*before(), *marked("mm@v1.0.0!", "a"), *marked("mm#dev!#5", "a")])
    assert [one.name for one in known.foreign_versions] == ["models=mm@v0.9.0", "mm@v1.2.0"]
    assert known.foreign_use("dev") == ""
    assert known.next_counter("dev") == 6
    assert str(known.next_version("minor")) == "v1.3.0"


@pytest.mark.parametrize(("number", "missing"), [(4, ()), (6, ("mm#prod#4 to #5 is missing before #6",))])
def test_a_number_after_a_foreign_one_leaves_no_gap(number, missing):
    known = registry.fold("mm", [*before(), tag("mm@v1.3.0", "b"), tag(f"mm#prod#{number}", "b")])
    assert known.problems == missing


def test_a_mark_is_of_one_object():
    """A tag that is another than what the server has taken over is what it would be without the mark."""
    moved = [replace(ref, object="other") if ref.name == "refs/tags/mm@v1.0.0" else ref for ref in before()]
    assert [one.name for one in registry.fold("mm", moved).versions] == ["mm@v1.0.0"]


def test_a_foreign_version_is_not_called_by_its_name():
    known = registry.fold("mm", before())
    for text in ("v1.2.0", "1.2.0", "mm@v1.2.0"):
        with pytest.raises(PushforwardError, match=r"mm@v1\.2\.0 is foreign: not judged here, not signed") as refused:
            known.named(text)
        assert refused.value.next == "git push a commit that passes the gate"
    with pytest.raises(PushforwardError, match="no version yet"):
        known.named("v9.0.0")


def test_foreign_tags_stay_where_others_are_left_out():
    known = registry.fold("mm", [*before(), tag("mm@v1.3.0", "b")])
    left = registry.without(known, {"mm@v1.3.0": "not signed"})
    assert (left.versions, left.foreign) == ((), known.foreign)


def test_without_its_mark_a_tag_of_gtos_does_not_count_either():
    """A clone that has fetched the tags and not the marks: what is neither signed nor recorded is no version."""
    known = registry.fold(
        "mm", [tag("mm@v1.0.0", "a"), tag("mm@v1.1.0", "b"), tag("mm#prod#1", "a"), tag("mm@v1.2.0", "c")]
    )
    texts = {
        "t-mm@v1.0.0": b"object a\n\nRegistering artifact\n",
        "t-mm@v1.1.0": b'object b\n\nIt passed\n\n{"schema":2}\n',
        "t-mm@v1.2.0": b"object c\n\nBy hand\n-----BEGIN SSH SIGNATURE-----\n",
    }
    left = registry.without_bare(known, texts)
    assert [one.name for one in left.versions] == ["mm@v1.1.0", "mm@v1.2.0"]
    assert left.assignments == ()
    assert left.problems == tuple(
        f"{name}: it has no signature and no record; it does not count" for name in ("mm@v1.0.0", "mm#prod#1")
    )
    assert registry.without_bare(left, texts) == left


def gto(folder, *args):
    done = subprocess.run([str(GTO), *args, "--json", "-r", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    return json.loads(done.stdout)


class Tagged:
    """A repository whose tags are made a minute apart, as GTO asks for."""

    def __init__(self, folder, git):
        self.folder, self.git, self.minute = folder, git, 0

    def commit(self):
        self.git(self.folder, "commit", "-q", "--allow-empty", "-m", "Train")

    def tag(self, name, target="HEAD", minute=None):
        self.minute += 1
        date = f"2024-05-01T10:{minute or self.minute:02d}:00Z"
        self.git(self.folder, "tag", "-a", "-m", "x", name, f"{target}^{{}}", GIT_COMMITTER_DATE=date)

    @property
    def known(self):
        return registry.fold("toy", Repository(self.folder).refs("refs/tags"))


@pytest.fixture
def tagged(repository, git):
    made = Tagged(repository, git)
    for minor in range(3):
        made.commit()
        made.tag(f"toy@v1.{minor}.0")
        made.tag(f"toy#staging#{minor + 1}")
    made.tag("toy#production#1", "toy@v1.2.0")
    made.tag("toy#production#2", "toy@v1.1.0")  # a rollback
    made.tag("toy@v1.0.0!", "toy@v1.0.0")
    return made


def test_gto_shows_the_same_versions_and_environments(tagged):
    known = tagged.known
    assert known.problems == ()
    rows = gto(tagged.folder, "show", "toy")
    offered = [str(one.version) for one in known.versions if not known.deprecated(one)]
    assert [row["version"] for row in rows] == offered[::-1]
    held = {stage["stage"]: row["version"] for row in rows for stage in row["stages"]}
    assert held == {name: str(known.in_use(name).version) for name in known.environments}
    assert held == {"production": "v1.1.0", "staging": "v1.2.0"}


def test_gto_tells_the_same_history(tagged):
    known = tagged.known
    events = [event["ref"] for event in gto(tagged.folder, "history", "toy") if event["event"] != "commit"]
    ours = (*known.versions, *known.assignments, *known.deprecations)
    assert sorted(events) == sorted(one.name for one in ours)
    for environment in known.environments:
        mine = [name for name in reversed(events) if f"#{environment}#" in name]
        assert mine == [use.name for use in known.uses(environment)]


def test_by_design_the_clock_that_gto_goes_by_has_no_part_in_our_order(tagged):
    tagged.tag("toy#production#3", "toy@v1.2.0", minute=1)  # dated before all others
    assert tagged.known.in_use("production").name == "toy@v1.2.0"
    held = {stage["stage"]: row["version"] for row in gto(tagged.folder, "show", "toy") for stage in row["stages"]}
    assert held["production"] == "v1.1.0", "GTO takes the tag with the latest date"


def test_by_design_what_gto_passes_over_without_a_word_is_a_problem(tagged, git):
    git(tagged.folder, "tag", "toy@v9.0.0")
    tagged.tag("toy@v01.0.0")
    tagged.tag("toy#production#0")
    assert len(gto(tagged.folder, "show", "toy")) == 2
    assert len(tagged.known.problems) == 3


EMPTIED = [
    tag("mm@v1.0.0", "a"),
    tag("mm@v1.1.0", "b"),
    tag("mm@v1.2.0", "c"),
    tag("mm#prod#1", "a"),
    tag("mm#prod#2", "b"),
    tag("mm#prod!#3", "b"),
]


def test_an_emptied_environment_holds_nothing_until_it_is_filled_again():
    known = registry.fold("mm", EMPTIED)
    assert known.in_use("prod") is None
    assert known.problems == ()
    assert known.next_counter("prod") == 4
    assert [one.name for one in known.uses("prod")] == ["mm#prod#1", "mm#prod#2", "mm#prod!#3"]
    filled = registry.fold("mm", [*EMPTIED, tag("mm#prod#4", "c")])
    assert filled.in_use("prod").name == "mm@v1.2.0"
    assert filled.before("prod").name == "mm@v1.0.0", "what was taken out is no way back"


def test_a_number_that_two_have_taken_at_once_leaves_nothing_there_and_is_told():
    known = registry.fold("mm", [*EMPTIED[:-1], tag("mm#prod#3", "c"), tag("mm#prod!#3", "b")])
    assert known.in_use("prod") is None
    assert known.next_counter("prod") == 4
    assert known.problems == ("mm#prod has number 3 twice; it holds nothing from there on",)


def test_the_records_of_an_emptied_environment_are_held_against_it():
    known = registry.fold("mm", [*EMPTIED, tag("mm#prod#4", "c")])
    records = {
        f"t-{name}": {"previous": before} for name, before in {"mm#prod!#3": "mm@v1.1.0", "mm#prod#4": None}.items()
    }
    assert list(registry.inconsistent(known, records)) == []
    records["t-mm#prod#4"] = {"previous": "mm@v1.1.0"}
    records["t-mm#prod!#3"] = {"version": "mm@v1.0.0"}
    assert list(registry.inconsistent(known, records)) == [
        "mm#prod!#3 names mm@v1.1.0 and says that it takes mm@v1.0.0 out",
        "mm#prod#4 replaces nothing and says that it replaces mm@v1.1.0",
    ]


def test_gto_reads_an_emptied_environment_as_we_do(tagged):
    """Where it held one version; of several, GTO goes back to the one before, and we to none."""
    tagged.tag("toy#canary#1", "toy@v1.1.0")
    tagged.tag("toy#canary!#2", "toy@v1.1.0")
    held = {stage["stage"]: row["version"] for row in gto(tagged.folder, "show", "toy") for stage in row["stages"]}
    assert "canary" not in held
    assert tagged.known.in_use("canary") is None
    assert tagged.known.problems == ()
