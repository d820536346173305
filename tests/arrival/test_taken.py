"""The line that a batch is: written into files as people have them, and nothing else of them changed."""

import difflib
from dataclasses import replace

import pytest

from pushforward.arrival import difference, taken
from pushforward.arrival.source import Listed
from pushforward.arrival.taken import Taken
from pushforward.errors import PushforwardError
from pushforward.lifecycle import Arrive
from pushforward.params import batches, plain

NEW = Listed("2013-03", "sha256:cc33cc")
ARRIVE = Arrive(source="python x.py {out}", corrected="params.yaml:collect.corrected")


def of(text, key="data.months", arrive=ARRIVE):
    content = text.encode()
    names = tuple(batches(content, key))
    return Taken("params.yaml", key, content, names, taken._digests(content, key, "params.yaml"), arrive, None)


def changed(before, after):
    """The lines of a difference."""
    lines = difflib.unified_diff(before.splitlines(), after.decode().splitlines(), n=0, lineterm="")
    return [line for line in lines if line[:1] in "+-" and not line.startswith(("+++", "---"))]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ('data:\n  months:\n    - "2013-01"\n    - "2013-02"\n', ['+    - "2013-03"  # digest sha256:cc33cc']),
        ('data:\n  months:\n  - "2013-01" # x\n\ntrain: 1 # y\n', ['+  - "2013-03"  # digest sha256:cc33cc']),
        ("data:\n  months:\n  -   '2013-01'\n  # the end\n", ['+  -   "2013-03"  # digest sha256:cc33cc']),
        ('data:\n  months:\n    - "2013-01"', ['+    - "2013-03"  # digest sha256:cc33cc']),
        ("data:\n  months:\n    - >-\n      2013-02\n", ['+    - "2013-03"  # digest sha256:cc33cc']),
        (
            'data: {months: ["2013-01", "2013-02"]} # all\n',
            [
                '-data: {months: ["2013-01", "2013-02"]} # all',
                '+data: {months: ["2013-01", "2013-02", "2013-03"]} # all',
            ],
        ),
        ('data:\n  months: [\n    "2013-01",\n    "2013-02"\n  ]\n', ['-    "2013-02"', '+    "2013-02", "2013-03"']),
    ],
)
def test_one_more_batch_is_one_line_of_the_file_as_it_is(text, lines):
    assert changed(text, of(text).adding(NEW)["params.yaml"]) == lines


def test_lines_that_end_as_on_windows_stay_so():
    text = 'data:\r\n  months:\r\n    - "2013-02"  # digest sha256:aa11aa\r\ncollect:\r\n  jobs: 4\r\n'
    (made,) = of(text).adding(NEW).values()
    added = '    - "2013-03"  # digest sha256:cc33cc\r\n'
    assert made.decode() == text.replace("collect", f"{added}collect")
    assert of(made.decode()).digests == {"2013-02": "sha256:aa11aa", "2013-03": "sha256:cc33cc"}
    (corrected,) = of(text).correcting(Listed("2013-02", "sha256:bb22bb")).values()
    assert corrected.count(b"\n") == corrected.count(b"\r\n") == text.count("\n") + 2
    assert of(corrected.decode()).digests == {"2013-02": "sha256:bb22bb"}
    assert plain(corrected)["collect"] == {"corrected": {"2013-02": "sha256:bb22bb"}, "jobs": 4}


def test_a_name_of_any_text_is_quoted():
    text = 'data:\n  months:\n    - "delivery A"\n'
    made = of(text).adding(Listed('it\'s: "B" # 7', "123456"))["params.yaml"]
    assert batches(made, "data.months") == ["delivery A", 'it\'s: "B" # 7']


def test_what_cannot_be_edited_by_a_line_is_left_to_a_person():
    text = 'all: &all\n  - "2013-01"\ndata:\n  months: *all\n'
    with pytest.raises(PushforwardError, match=r"params\.yaml: data\.months is written in a way"):
        of(text).adding(NEW)


def test_a_digest_is_read_from_behind_its_batch_and_from_nowhere_else():
    text = (
        'data:\n  months:\n    - "2013-01" # digest of nothing\n    - "2013-02"  # digest sha256:bb22bb\n'
        '    - "2013-03"\n    # digest sha256:dd44dd\n'
    )
    assert of(text).digests == {"2013-02": "sha256:bb22bb"}


@pytest.mark.parametrize(
    ("collect", "lines"),
    [
        ("collect:\n  source: x # y\n", ["+  corrected:", '+    "2013-02": "sha256:ee55ee"']),
        ("collect:\n  corrected: {}\n", ["-  corrected: {}", "+  corrected:", '+    "2013-02": "sha256:ee55ee"']),
        ('collect:\n  corrected:\n    "2013-01": "a"\n  x: 1\n', ['+    "2013-02": "sha256:ee55ee"']),
        (
            'collect:\n  corrected:\n    "2013-02": "a" # why\n',
            ['-    "2013-02": "a" # why', '+    "2013-02": "sha256:ee55ee" # why'],
        ),
    ],
)
def test_a_correction_is_two_lines(collect, lines):
    text = f'data:\n  months:\n    - "2013-01"\n    - "2013-02"  # digest sha256:bb22bb\n{collect}'
    made = of(text).correcting(Listed("2013-02", "sha256:ee55ee"))["params.yaml"]
    assert changed(text, made) == [
        '-    - "2013-02"  # digest sha256:bb22bb',
        '+    - "2013-02"  # digest sha256:ee55ee',
        *lines,
    ]
    assert plain(made)["collect"]["corrected"]["2013-02"] == "sha256:ee55ee"


def test_a_correction_without_a_section_to_write_below_is_refused():
    text = 'data:\n  months:\n    - "2013-02"  # digest sha256:bb22bb\n'
    with pytest.raises(PushforwardError, match="there is no collect to write below"):
        of(text).correcting(Listed("2013-02", "sha256:ee55ee"))


def listed(*names):
    return [Listed(name, "123456") for name in names]


@pytest.mark.parametrize(
    ("source", "known", "new", "gone"),
    [
        ("abcd", "ab", "cd", ""),
        ("bc", "ab", "c", ""),  # the first ones may be given up
        ("ac", "abc", "", "b"),
        ("abxc", "abc", "", ""),  # somebody has left x out
        ("cde", "ab", "cde", "ab"),
        ("", "abc", "", "abc"),
    ],
)
def test_the_difference_of_batches_of_any_name(source, known, new, gone):
    found = difference.of(listed(*source), list(known), {})
    assert "".join(one.batch for one in found.new) == new
    assert "".join(found.gone) == gone
    assert found.gap == ""


def test_months_are_in_their_own_order_whatever_the_list_has():
    found = difference.of(listed("2013-04", "2013-03", "2013-01", "2013-02", "2012-12"), ["2013-01", "2013-02"], {})
    assert [one.batch for one in found.new] == ["2013-03", "2013-04"]
    odd = difference.of(listed("2013-01", "2013-02", "batch-7"), ["2013-01", "2013-02"], {})
    assert odd.gap == "2013-03"


def test_only_what_has_a_digest_can_be_corrected():
    both = [Listed("a", "111111"), Listed("b", "222222")]
    found = difference.of(both, ["a", "b"], {"b": "333333"})
    assert found.corrected == (Listed("b", "222222"),)
    assert replace(found, corrected=()) == difference.Difference()
