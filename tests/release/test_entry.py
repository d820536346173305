"""The record in a version's tag: read strictly, field by field."""

import json
from dataclasses import asdict

import pytest

from pushforward.errors import DATA, POLICY, PushforwardError
from pushforward.release import entry
from pushforward.release.entry import Record

RECORD = asdict(
    Record(2, "m", "f", "d", "l", "p", "e", "v", None, "c", None, 1, "s", "g", "a", "0.1.0")
)  # fmt: skip


def test_a_record_is_read_as_it_is_written():
    assert asdict(entry.record(RECORD, "toy@v1.0.0")) == RECORD
    assert entry.record(RECORD | {"ledger": "x", "previous": "toy@v0.9.0"}, "toy@v1.0.0").previous == "toy@v0.9.0"
    several = {"locks": ["dvc.lock", "a/dvc.lock"]}
    assert entry.record(RECORD | several, "toy@v1.0.0").locks == ("dvc.lock", "a/dvc.lock")
    alone = {key: value for key, value in RECORD.items() if key != "locks"}
    assert entry.record(alone, "toy@v1.0.0").locks == (), "the lock of the root alone"


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"schema": 3}, "schema"),
        ({"schema": True}, "schema"),
        ({"number": "1"}, "number"),
        ({"number": 1.0}, "number"),
        ({"number": True}, "number"),
        ({"model": None}, "model"),
        ({"previous": 1}, "previous"),
        ({"more": 1}, "more"),
        ({"\x1b[31mred": 1}, "red"),
    ],
    ids=str,
)
def test_a_record_of_another_form_is_refused_with_its_field(wrong, field):
    with pytest.raises(PushforwardError) as refused:
        entry.record(RECORD | wrong, "toy@v1.0.0")
    assert refused.value.message.startswith(f"the record in toy@v1.0.0 has another form: {field}: ")
    assert refused.value.exit_code == POLICY


@pytest.mark.parametrize("name", sorted(RECORD.keys() - {"locks", "review", "reviews"}))
def test_a_record_without_one_of_its_fields_is_refused(name):
    with pytest.raises(PushforwardError, match=f"has another form: {name}: "):
        entry.record({key: value for key, value in RECORD.items() if key != name}, "toy@v1.0.0")


@pytest.mark.parametrize("found", [{}, RECORD | {"lock": "\ud800"}], ids=["empty", "half a character"])
def test_what_is_no_record_at_all_is_refused(found):
    with pytest.raises(PushforwardError, match="has another form"):
        entry.record(found, "toy@v1.0.0")


def test_golden_rows_are_read_by_their_key():
    assert entry.golden(b'{"schema":1,"key":"id","rows":[{"id":"a","p":0.25},{"id":7,"p":1}]}', "id") == [
        ("a", 0.25),
        (7, 1),
    ]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"schema":1,"key":"id","rows":[]}',
        b'{"schema":2,"key":"id","rows":[{"id":"a","p":0.5}]}',
        b'{"schema":1,"key":"no","rows":[{"id":"a","p":0.5}]}',
        b'{"schema":1,"key":"id","rows":[{"id":"a","p":NaN}]}',
        b'{"schema":1,"key":"id","rows":[{"id":"a","p":"0.5"}]}',
        b'{"schema":1,"key":"id","rows":[{"id":0.5,"p":0.5}]}',
        b'{"schema":1,"key":"id","rows":[{"id":true,"p":0.5}]}',
        b'{"schema":1,"key":"id","rows":[{"p":0.5}]}',
        b'{"schema":1,"key":"id","rows":[{"id":"a","p":0.5}],"more":1}',
    ],
    ids=str,
)
def test_golden_rows_that_say_nothing_are_refused(content):
    with pytest.raises(PushforwardError, match=r"golden\.json is not of the form expected: ") as refused:
        entry.golden(content, "id")
    assert refused.value.exit_code == DATA


def golden(p, classes=0):
    content = json.dumps({"schema": 1, "key": "id", "rows": [{"id": 7, "p": p}]}).encode()
    return entry.golden(content, "id", classes)


def test_a_golden_row_has_one_number_or_one_a_class():
    assert golden(0.25) == [(7, 0.25)]
    assert golden([0.25, 0.75, 0.0], 3) == [(7, [0.25, 0.75, 0.0])]


@pytest.mark.parametrize(
    ("p", "classes", "why"),
    [
        ([0.5, 0.5], 0, "not every row has a id and a number p"),
        ([0.5, 0.5], 3, "not every row has a id and 3 numbers p"),
        (0.5, 3, "not every row has a id and 3 numbers p"),
        ("0.5", 0, "not every row has a id and a number p"),
        ([0.5, "x"], 2, "is not of the form expected"),
        (None, 0, "is not of the form expected"),
    ],
)
def test_a_golden_row_of_another_form_is_refused(p, classes, why):
    with pytest.raises(PushforwardError, match=why) as refused:
        golden(p, classes)
    assert refused.value.exit_code == DATA
