"""Edits of YAML as people write it: the difference is the edit, and whatever else it would say is refused."""

import difflib
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from pushforward import params, yamledit
from pushforward.errors import USAGE, PushforwardError

TEXT = b"""# the pipeline
train:
  rate: 0.1                 # a step
  depth: 4
  text: "deep"              # in quotes
  word: plain  # no quotes
  flow: {a: 1, b: 'two'}
  groups: [x, y]            # a list
  many:
    - x                     # first
    # between
    - y                     # second

  # of what follows
  none:                     # nothing yet
  on: true
  words: >-
    several
    lines

list:
- "a"   # not indented
- 'b'
by.dot: {in.side: 1}
last: 5"""


def lines_of(made, before=TEXT):
    found = difflib.unified_diff(before.decode().split("\n"), made.decode().split("\n"), n=0, lineterm="")
    return [line for line in found if line[:1] in "+-" and not line.startswith(("+++", "---"))]


@pytest.mark.parametrize(
    ("values", "lines"),
    [
        ({"train.rate": 0.05}, ["-  rate: 0.1                 # a step", "+  rate: 0.05                 # a step"]),
        ({"train.rate": 1e-07}, ["-  rate: 0.1                 # a step", "+  rate: 1.0e-07                 # a step"]),
        ({"train.depth": -3}, ["-  depth: 4", "+  depth: -3"]),
        ({"train.depth": 4.0}, ["-  depth: 4", "+  depth: 4.0"]),
        (
            {"train.text": 'say "no"'},
            ['-  text: "deep"              # in quotes', '+  text: "say \\"no\\""              # in quotes'],
        ),
        ({"train.word": "other"}, ["-  word: plain  # no quotes", "+  word: other  # no quotes"]),
        ({"train.word": "true"}, ["-  word: plain  # no quotes", '+  word: "true"  # no quotes']),
        ({"train.word": "No"}, ["-  word: plain  # no quotes", '+  word: "No"  # no quotes']),
        ({"train.word": "a: b # c"}, ["-  word: plain  # no quotes", '+  word: "a: b # c"  # no quotes']),
        ({"train.flow.b": "it's"}, ["-  flow: {a: 1, b: 'two'}", "+  flow: {a: 1, b: 'it''s'}"]),
        ({"train.flow.a": 7, "train.flow.b": "x"}, ["-  flow: {a: 1, b: 'two'}", "+  flow: {a: 7, b: 'x'}"]),
        ({"train.groups": ["z"]}, ["-  groups: [x, y]            # a list", "+  groups: [z]            # a list"]),
        ({"train.many": ["z", "y"]}, ["-    - x                     # first", "+    - z"]),
        (
            {"train.many": []},
            [
                "-    - x                     # first",
                "-    - y                     # second",
                "+    []",
            ],
        ),
        (
            {"train.none": "x"},
            ["-  none:                     # nothing yet", '+  none: "x"                     # nothing yet'],
        ),
        ({"train.on": False}, ["-  on: true", "+  on: false"]),
        ({"train.words": "one"}, ["-  words: >-", "-    several", "-    lines", "+  words: one"]),
        ({"list": ["b", "c"]}, ['-- "a"   # not indented', '+- "c"']),
        ({"by.dot.in.side": 2}, ["-by.dot: {in.side: 1}", "+by.dot: {in.side: 2}"]),
        ({"last": 6, "train.on": False}, ["-  on: true", "+  on: false", "-last: 5", "+last: 6"]),
    ],
)
def test_a_value_is_written_where_the_old_one_stands_and_nothing_else_moves(values, lines):
    made = yamledit.changed(TEXT, values)
    assert sorted(lines_of(made)) == sorted(lines)
    assert params.flatten(made) == {**params.flatten(TEXT), **values}


def test_lines_end_as_they_did_and_other_letters_stay_what_they_are():
    text = "# ä\r\na: 'ö'  # ü\r\nb:\r\n- x\r\n".encode()
    assert yamledit.changed(text, {"a": "é"}) == text.replace("ö".encode(), "é".encode())
    assert yamledit.appended(text, "b", "y", note="# new") == text + b'- "y"  # new\r\n'


ANCHORED = b"""base: &base
  a: 1
own:
  <<: *base
  b: &rate 2
  c: *rate
"""


def test_an_alias_gets_a_value_of_its_own():
    assert yamledit.changed(ANCHORED, {"own.c": 3}) == ANCHORED.replace(b"c: *rate", b"c: 3")


def test_items_that_others_stand_for_are_written_out():
    text = b"a: &x 1\nb:\n  - *x\n  - 2 # two\n"
    assert yamledit.changed(text, {"b": [2, 3]}) == b"a: &x 1\nb:\n  - 2 # two\n  - 3\n"


GROUPS = b"""groups:
  - a  # first
  # keep: b is for c
  - b

  # of c, which goes
  - c  # third
other: 1
"""


@pytest.mark.parametrize(
    ("value", "made"),
    [
        (["a", "b", "d"], [b"- a  # first", b"# keep: b is for c", b"- b", b"# of c, which goes", b"- d"]),
        (["a", "b"], [b"- a  # first", b"# keep: b is for c", b"- b", b"# of c, which goes"]),
        (["a"], [b"- a  # first", b"# keep: b is for c", b"# of c, which goes"]),
        (["b", "c"], [b"# keep: b is for c", b"- b", b"# of c, which goes", b"- c  # third"]),
        (["c", "a"], [b"# keep: b is for c", b"# of c, which goes", b"- c  # third", b"- a  # first"]),
        (["z"], [b"# keep: b is for c", b"# of c, which goes", b"- z"]),
        ([], [b"# keep: b is for c", b"# of c, which goes", b"[]"]),
        ("x", [b"# keep: b is for c", b"# of c, which goes", b'"x"']),
    ],
)
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_a_line_between_items_stays_and_what_stands_behind_one_goes_with_it(value, made, newline):
    text = yamledit.changed(GROUPS.replace(b"\n", newline), {"groups": value})
    assert text.startswith(b"groups:" + newline)
    assert text.endswith(newline + b"other: 1" + newline)
    kept = [line.strip() for line in text.splitlines() if line.strip()][1:-1]
    if value == ["z"]:  # where it stands among them nobody can know
        kept.sort()
    assert kept == made
    assert params.flatten(text) == {"groups": value, "other": 1}


@pytest.mark.parametrize(
    ("before", "value", "after"),
    [
        ("- a # x\n- a # y\n", ["a", "z"], "- a # x\n- z\n"),
        ("- a # x\n- a # y\n", ["z", "a"], "- z\n- a # y\n"),
        ("- a # x\n- a # y\n", ["m", "a", "a"], "- m\n- a # x\n- a # y\n"),
        ("- a # x\n- a # y\n- b # z\n", ["c", "a", "d"], "- c\n- a # y\n- d\n"),
        ("- a # x\n- b # y\n- a # z\n", ["b", "a", "c"], "- b # y\n- a # x\n- c\n"),
        ("- 1 # x\n- true # y\n- '1' # z\n", ["1", 1, True], "- '1' # z\n- 1 # x\n- true # y\n"),
        ("- - a\n  # of b\n  - b\n- c\n", [["a", "b"], "d"], "- - a\n  # of b\n  - b\n- d\n"),
        ("- &x a # x\n- *x # y\n", ["a", "b"], "- &x a # x\n- b\n"),
        ("-\n- b # y\n", [None, "c"], "-\n- c\n"),
        ("- '#' # x\n- 'a # b'\n", ["c"], "- 'c'\n"),
        ("- {a: 1}  # x\n- |\n  # no comment\n  b\n", [2], "- 2\n"),
    ],
)
def test_an_item_keeps_what_stands_behind_it_by_its_place_first(before, value, after):
    made = yamledit.changed(f"list:\n{before}".encode(), {"list": value})
    assert made.decode() == f"list:\n{after}"


@pytest.mark.parametrize(
    "text",
    [
        "list: [a, # of a\n  b]\n",
        "list:\n  # of all\n  [a,\n  # of b\n  b]\n",
        "list:\n- a\n- {b: 1, # of b\n  c: 2}\n",
        "list:\n- a\n- b: 1 # of b\n  c: 2\n",
        "list: { # nothing\n  }\n",
        "list: >- # folded\n  a\n  b\n",
    ],
)
def test_what_has_a_comment_inside_that_would_go_is_refused_and_may_stay_what_it_is(text):
    with pytest.raises(PushforwardError, match="list is written in a way that is not edited"):
        yamledit.changed(text.encode(), {"list": ["a"]})
    said = params.flatten(text.encode())["list"]
    assert yamledit.changed(text.encode(), {"list": said}) == text.encode()


def test_an_empty_mapping_with_a_comment_inside_gets_no_entry():
    with pytest.raises(PushforwardError, match="list is written in a way that is not edited"):
        yamledit.put(b"list: { # nothing\n  }\n", "list", "x", 1)


@pytest.mark.parametrize(
    ("before", "key", "after"),
    [
        (
            "collect:\n  # the months that are fetched\n  months:\n  - a\nlast: 1\n",
            "collect.corrected",
            'collect:\n  # the months that are fetched\n  months:\n  - a\n  corrected:\n    "x": 1\nlast: 1\n',
        ),
        ("# of a\na: 1  # one\n", "b", '# of a\na: 1  # one\nb:\n  "x": 1\n'),
        ("a: &a 1\nb: *a\n", "c", 'a: &a 1\nb: *a\nc:\n  "x": 1\n'),
        ("s: {\n  # of a\n  a: 1}\n", "s.b", 's: {\n  # of a\n  a: 1, b: {"x": 1}}\n'),
    ],
)
def test_a_mapping_that_is_not_there_yet_comes_last(before, key, after):
    assert yamledit.put(before.encode(), key, "x", 1).decode() == after


@given(
    old=st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.booleans()), min_size=1, max_size=5),
    new=st.lists(st.sampled_from("abcd"), max_size=5),
)
def test_no_line_of_comment_is_lost_whatever_a_list_becomes(old, new):
    lines = []
    for place, (name, above, behind) in enumerate(old):
        lines += [f"  # above {place}"] * above + [f"  - {name}{f'  # behind {place}' if behind else ''}"]
    made = yamledit.changed("\n".join(["list:", *lines, "end: 1"]).encode(), {"list": new}).decode()
    assert params.flatten(made.encode()) == {"list": new, "end": 1}
    found = [line.strip() for line in made.splitlines() if line.strip().startswith("#")]
    assert sorted(found) == sorted(f"# above {place}" for place, (_, above, _) in enumerate(old) if above)
    for line in made.splitlines():
        item, _, behind = line.partition("  # behind ")
        assert not behind or item == f"  - {old[int(behind)][0]}"


@pytest.mark.parametrize("key", ["own.a", "own.b", "base.a", "own.d"])
def test_what_would_change_more_than_that_is_refused(key):
    with pytest.raises(PushforwardError, match=f"params.yaml: {key} is written in a way that is not edited") as said:
        yamledit.changed(ANCHORED, {key: 3})
    assert said.value.exit_code == USAGE


def test_a_number_that_yaml_has_none_for_is_refused():
    with pytest.raises(PushforwardError, match=r"train\.rate is written in a way"):
        yamledit.changed(TEXT, {"train.rate": float("inf")})


@pytest.mark.parametrize(
    ("key", "lines"),
    [
        ("list", ['+- "new"  # why']),
        ("train.many", ['+    - "new"  # why']),
        ("train.groups", ["-  groups: [x, y]            # a list", '+  groups: [x, y, "new"]            # a list']),
    ],
)
def test_one_more_item_is_one_line_or_a_word_in_brackets(key, lines):
    made = yamledit.appended(TEXT, key, "new", note="# why")
    assert lines_of(made) == lines
    assert params.flatten(made)[key][-1] == "new"


@pytest.mark.parametrize("key", ["train.none", "train.rate", "train", "nowhere"])
def test_what_is_no_list_gets_no_item(key):
    with pytest.raises(PushforwardError, match=f"{key} is written in a way"):
        yamledit.appended(TEXT, key, "new")


@pytest.mark.parametrize(
    ("key", "name", "lines"),
    [
        ("train.flow", "a", ["-  flow: {a: 1, b: 'two'}", "+  flow: {a: v, b: 'two'}"]),
        ("train.flow", "c d", ["-  flow: {a: 1, b: 'two'}", '+  flow: {a: 1, b: \'two\', "c d": "v"}']),
        ("train", "new", ['+  "new": "v"']),
        ("train.none", "new", ['+    "new": "v"']),
        ("train.other", "new", ["+  other:", '+    "new": "v"']),
        ("other", "new", ["+other:", '+  "new": "v"']),
        ("by.dot.other", "new", ["-by.dot: {in.side: 1}", '+by.dot: {in.side: 1, other: {"new": "v"}}']),
    ],
)
def test_an_entry_stands_in_its_place_after_the_others_or_alone(key, name, lines):
    made = yamledit.put(TEXT, key, name, "v")
    assert lines_of(made) == lines
    assert params.flatten(made)[f"{key}.{name}"] == "v"


def test_an_empty_mapping_gets_its_first_entry():
    assert yamledit.put(b"a:\n  b: {}  # none\n", "a.b", "x", 1) == b'a:\n  b:  # none\n    "x": 1\n'
    assert yamledit.put(b"a: {b: {}, c: 1}\n", "a.b", "x", 1) == b'a: {b: {"x": 1}, c: 1}\n'


@pytest.mark.parametrize(
    ("key", "said"), [("train.rate", "train.rate is no mapping"), ("no.where", "there is no no to")]
)
def test_an_entry_of_what_is_no_mapping_is_refused(key, said):
    with pytest.raises(PushforwardError, match=said):
        yamledit.put(TEXT, key, "x", 1)


def test_what_stands_behind_an_item_is_read_and_written():
    assert yamledit.notes(TEXT, "train.many") == {"x": "# first", "y": "# second"}
    assert yamledit.notes(TEXT, "list") == {"a": "# not indented"}
    assert yamledit.notes(TEXT, "train.groups") == {}
    made = yamledit.noted(TEXT, "train.many", "x", "# 1")
    assert lines_of(made) == ["-    - x                     # first", "+    - x                     # 1"]
    for key in ("list", "last", "nowhere"):
        with pytest.raises(PushforwardError, match=f"{key} is written in a way"):
            yamledit.noted(TEXT, key, "b", "# no note is there")


NAMES = st.text("ab.-_ é", min_size=1, max_size=3).filter(str.strip) | st.sampled_from(["true", "1", "null", "<<"])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("ab:#'\"\\\n-{}[],&*!|>%@` é~", max_size=12)
    | st.sampled_from(["no", "null", "1", "1e3", "2013-05", "~", "<<", "=", "0x1f"])
)
VALUES = SCALARS | st.lists(SCALARS, max_size=3)
TREES = st.dictionaries(NAMES, VALUES | st.dictionaries(NAMES, VALUES, max_size=3), min_size=1, max_size=3)


def others(flat, key):
    return {name: found for name, found in flat.items() if not f"{name}.".startswith(f"{key}.")}


@given(tree=TREES, value=VALUES, flow=st.sampled_from([None, False, True]), crlf=st.booleans(), data=st.data())
def test_an_edit_of_any_file_is_the_edit_or_a_refusal(tree, value, flow, crlf, data):
    yaml, out = YAML(typ="safe", pure=True), io.StringIO()
    yaml.default_flow_style = flow
    yaml.dump(tree, out)
    text = out.getvalue().replace("\n", "\r\n" if crlf else "\n").encode()
    try:
        before = params.flatten(text)
    except PushforwardError:
        return
    key = data.draw(st.sampled_from([*before]))
    for edit, wanted in (
        (lambda: yamledit.changed(text, {key: value}), {**before, key: value}),
        (lambda: yamledit.appended(text, key, value, note="# new"), None),
        (lambda: yamledit.put(text, key, "new", value), None),
    ):
        try:
            made = params.flatten(edit())
        except PushforwardError:
            continue
        assert others(made, key) == others(before, key)
        if wanted is not None:
            assert made == wanted
