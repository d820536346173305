"""Tables of rows: what is wrong is told by field and row; the quick reader takes nothing that the strict refuses."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.serving.in_process import EVENT, INPUTS, ROW, SERVED, changed, served_as

from pushforward.errors import PushforwardError
from pushforward.serving import inputs
from pushforward.serving.inputs import inputs_of
from pushforward.serving.strict import RequestError, parse

MADE = inputs_of(SERVED)
ROWS = MADE.rows


def body(tree):
    return tree if isinstance(tree, bytes) else json.dumps(tree).encode()


def refusal(tree, table=ROWS):
    with pytest.raises(RequestError) as error:
        table.read(body(tree))
    return error.value.status, error.value.field, error.value.row, str(error.value)


def without(name):
    return {one: value for one, value in ROW.items() if one != name}


WRONG = [
    (changed(flight=15.9), "flight", "15.9 is not an integer"),
    (changed(distance=40_000), "distance", "40000 is not from -32768 to 32767"),
    (changed(flight="17"), "flight", '"17" is not an integer'),
    (changed(carrier=17), "carrier", "17 is not a string"),
    (changed(origin="XXX"), "origin", '"XXX" is no value of this column; known: EWR, JFK, LGA'),
    (changed(origin=None), "origin", "is null, must be one of EWR, JFK, LGA"),
    (changed(flight_id=None), "flight_id", "is null, must be a string"),
    (changed(stops=7), "stops", "7 is no value of this column; known: 0, 1, 2"),
    (changed(fare=float("nan")), "fare", "NaN is not a finite number"),
    (changed(load=1e39), "load", "1e+39 is beyond what float32 holds"),
    (changed(charter="false"), "charter", '"false" is not true or false'),
    (changed(decided_at="2013-06-01T07:15:00"), "decided_at", "does not say its offset from UTC"),
    (changed(dep_local="2013-06-01T07:15:00+02:00"), "dep_local", "has an offset"),
    (without("distance"), "distance", "is missing; must be an integer from -32768 to 32767"),
    (changed(extra=1), "extra", "is no column; known: flight_id"),
    ({**without("distance"), "distanze": 1}, "distanze", "is no column; did you mean distance?"),
]


@pytest.mark.parametrize(("row", "field", "why"), WRONG, ids=lambda one: one if isinstance(one, str) else "")
@pytest.mark.ml_test_score("Monitoring 2")
def test_a_wrong_row_is_refused_by_its_field_and_number(row, field, why):
    status, named, number, said = refusal({"rows": [changed(flight_id="other"), row]})
    assert (status, named, number) == (422, field, 1)
    assert said.startswith(f"{field}, row 1: ")
    assert why in said


def test_a_number_beyond_64_bits_is_named_where_it_stands():
    text = json.dumps({"rows": [ROW]}).replace("129.5", "1e400")
    assert refusal(text.encode())[1:] == (
        "fare",
        0,
        "fare, row 0: a number beyond those of 64 bits is not a finite number",
    )


@pytest.mark.parametrize(
    ("tree", "field", "why"),
    [
        ([ROW], "", 'the body must be an object such as {"rows": [{…}]}'),
        ({}, "rows", "rows: the body must have either rows or columns, one of them"),
        ({"rows": [ROW], "columns": {}}, "rows", "one of them"),
        ({"row": [ROW]}, "row", "row: is not known; did you mean rows?"),
        ({"rows": ROW}, "rows", "rows: must be a list of objects, is an object"),
        ({"rows": []}, "rows", "rows: has no rows"),
        ({"rows": [ROW, 3]}, "rows", "rows, row 1: must be an object, is 3"),
        ({"columns": [ROW]}, "columns", "columns: must be an object of lists, is a list"),
        ({"columns": ROW}, "flight_id", 'flight_id: must be a list of values, is "UA1545"'),
        ({"columns": {name: [] for name in ROW}}, "flight_id", "flight_id: has no rows"),
    ],
)
def test_a_body_of_another_form_is_refused(tree, field, why):
    status, named, _, said = refusal(tree)
    assert (status, named) == (422, field)
    assert why in said


def test_columns_of_unequal_lengths_are_refused_by_name():
    columns = {name: [value] * 3 for name, value in ROW.items()} | {"distance": [1400]}
    assert refusal({"columns": columns})[1:] == (
        "distance",
        None,
        "distance: has 1 values, and flight_id has 3",
    )


def test_a_key_that_is_asked_twice_is_refused():
    status, field, row, said = refusal({"rows": [ROW, changed(flight_id="b"), ROW]})
    assert (status, field, row) == (422, "flight_id", 2)
    assert said == 'flight_id, row 2: "UA1545" is asked twice, in row 0 too'


@pytest.mark.parametrize(
    "text",
    [
        b'{"rows": [%s], "rows": [%s]}',
        b'{"rows": [%s], "r\\u006fws": [%s]}',
    ],
)
def test_a_name_twice_is_refused_outside_a_row(text):
    row = json.dumps(ROW).encode()
    assert refusal(text % (row, row))[:2] == (400, "rows")


@pytest.mark.parametrize("name", sorted(ROW))
def test_a_name_twice_is_refused_inside_a_row_whatever_its_value(name):
    row = json.dumps(ROW)
    twice = f'{row[:-1]}, "{name}": {json.dumps(ROW[name])}}}'
    assert refusal(f'{{"rows": [{twice}]}}'.encode())[:2] == (400, name)


def test_a_colon_or_quotation_mark_that_is_escaped_hides_no_name():
    row = json.dumps(changed(carrier='"'))
    assert ROWS.read(f'{{"rows": [{row}]}}'.encode())["carrier"] == ['"']
    twice = f'{row[:-1]}, "flight": 3}}'
    assert refusal(f'{{"rows": [{twice}]}}'.encode())[:2] == (400, "flight")


def test_more_rows_than_are_answered_at_once_are_413(monkeypatch):
    monkeypatch.setattr(inputs, "MOST_ROWS", 2)
    rows = [changed(flight_id=str(number)) for number in range(3)]
    assert refusal({"rows": rows}, inputs_of(SERVED).rows)[::3] == (413, "rows: has 3 rows, at most 2 at once")
    assert len(inputs_of(SERVED).rows.read(body({"rows": rows[:2]}))["flight"]) == 2


@pytest.mark.parametrize("read", ["quick", "read"])
@pytest.mark.parametrize("form", ["rows", "columns"])
def test_rows_and_columns_are_the_same_typed_values(read, form):
    two = [ROW, changed(flight_id="b", tailnum=None, decided_at="2013-06-01T09:15:00+02:00")]
    columns = {name: [row[name] for row in two] for name in ROW}
    made = getattr(ROWS, read)(body({"rows": two} if form == "rows" else {"columns": columns}))
    assert [*made] == [*INPUTS["rows"]]
    assert [*made["tailnum"]] == ["N14228", None]
    assert [*made["decided_at"]] == [datetime(2013, 6, 1, 7, 15, tzinfo=UTC)] * 2
    assert made["decided_at"][1].tzinfo is UTC
    assert made["dep_local"][0].tzinfo is None


def test_order_of_names_and_white_space_are_free():
    turned = dict(reversed(ROW.items()))
    text = json.dumps({"rows": [turned]}, indent=4).encode()
    assert ROWS.quick(text) is not None
    assert ROWS.read(text) == ROWS.read(body({"rows": [ROW]}))


def test_events_are_read_as_strictly():
    assert [*MADE.events.read(body({"events": [EVENT, EVENT]}))["delay"]] == [4, 4]
    assert refusal({"events": [EVENT | {"kind": "landed"}]}, MADE.events)[1:3] == ("kind", 0)


NUMBERS = [-1, 0, 1, 127, 128, 2**15, 2**31, 2**63, 2**64, 2**70, 15.0, 15.9, -0.0, 1e38, 1e39, 1e308, 1e-320]
MOMENTS = ["2013-06-01T07:15:00Z", "2013-06-01T07:15:00", "2013-06-01 07:15:00.1234567+05:30", "2013-06-01T07:15Z"]
EDGES = ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"]
TEXTS = ["", "17", "EWR", "NaN", "Z", "é\u2028😀", "a\\u0041"]
ODD = st.sampled_from([None, True, [], {}, *NUMBERS, *MOMENTS, *EDGES, *TEXTS])
WIDE = served_as(
    **{name: {"type": name, "nullable": True} for name in ("int8", "uint8", "uint64", "int64", "float32", "instant")}
)


@st.composite
def bodies(draw):
    """A body that is right but for some values, with names and spaces as somebody may write them."""
    names = [*WIDE.manifest["inputs"]["rows"]]
    rows = []
    for number in range(draw(st.integers(1, 3))):
        row = dict.fromkeys(names) | ROW | {"flight_id": draw(st.sampled_from(["a", "b", str(number)]))}
        row |= draw(st.dictionaries(st.sampled_from(names), ODD, max_size=3))
        rows.append(draw(st.permutations([*row.items()])))
    ascii_only, indent = draw(st.booleans()), draw(st.sampled_from([None, 1]))
    texts = [json.dumps(dict(row), ensure_ascii=ascii_only, indent=indent) for row in rows]
    if draw(st.booleans()):  # a member twice
        texts[0] = f"{texts[0].rstrip()[:-1]}, {json.dumps(dict([rows[0][draw(st.integers(0, 11))]]))[1:-1]}}}"
    return f'{{"rows": [{", ".join(texts)}]}}'.encode()


WIDE_ROWS = inputs_of(WIDE).rows


def read_strictly(text):
    try:
        return WIDE_ROWS.slowly(parse(text))
    except RequestError:
        return None


def exactly(columns):
    """The values with their types and zones, for 1 == 1.0 == True."""
    return columns and {name: [*map(repr, values)] for name, values in columns.items()}


@settings(deadline=None, max_examples=300)
@given(bodies())
def test_the_quick_reader_takes_nothing_but_what_the_strict_one_reads_so(text):
    quick = WIDE_ROWS.quick(text)
    if quick is not None:
        assert exactly(quick) == exactly(read_strictly(text))


def test_the_quick_reader_takes_what_is_written_plainly():
    row = dict.fromkeys(WIDE_ROWS.by_name) | ROW
    assert WIDE_ROWS.quick(body({"rows": [row]})) is not None


@pytest.mark.parametrize(
    ("served", "why"),
    [
        (replace(SERVED, manifest={}), "inputs.rows does not say which columns there are"),
        (replace(SERVED, manifest={"inputs": {"rows": {}}}), "inputs.rows does not say"),
        (served_as(**{'a"b': "String"}), 'inputs.rows.a"b: a name with quotes'),
        (replace(SERVED, manifest={"inputs": {"rows": INPUTS["rows"]}}), "inputs.events does not say"),
    ],
)
def test_a_manifest_that_does_not_say_what_is_asked_is_refused(served, why):
    with pytest.raises(PushforwardError) as refused:
        inputs_of(served)
    assert why in refused.value.message


def test_key_and_moment_are_asked_for_where_the_manifest_names_what_the_model_sees_alone():
    served = replace(SERVED, key="id", time="at", events=False, manifest={"inputs": {"rows": {"x": "float"}}})
    table = inputs_of(served).rows
    assert [(one.name, one.type, one.nullable) for one in table.columns] == [
        ("id", "string", False),
        ("x", "float64", True),
        ("at", "instant", False),
    ]
    assert refusal({"rows": [{"x": 0.5}]}, table)[1] == "id"


def test_a_version_that_takes_no_events_has_no_table_of_them():
    assert inputs_of(replace(SERVED, events=False)).events is None


def test_names_of_columns_are_free():
    served = served_as(c0="Int8", found={"type": "string"}, rows={"type": "int8"}, **{"in German: Größe": "Float64"})
    row = ROW | {"c0": 1, "found": "x", "rows": 2, "in German: Größe": 1.5}
    made = inputs_of(served).rows.quick(json.dumps({"rows": [row]}, ensure_ascii=False).encode())
    assert (made["c0"][0], made["found"][0], made["rows"][0], made["in German: Größe"][0]) == (1, "x", 2, 1.5)
