"""The Open Inference Protocol: what it says is here; answers of MLServer that hide a fault are refused here."""

import json

import pytest
from tests.serving.in_process import INPUTS, ROW, SERVED, InProcess, asked, changed, served_as

from pushforward import __version__
from pushforward.serving.columns import DATATYPES

MODEL = "/v2/models/flight-delay"
INFER = f"{MODEL}/infer"
TYPES = {name: DATATYPES[said["type"]] for name, said in INPUTS["rows"].items()}


def tensors(*rows, **more):
    """A request for inference of rows: one input a column."""
    inputs = [
        {"name": name, "shape": [len(rows)], "datatype": TYPES[name], "data": [row[name] for row in rows]}
        for name in ROW
    ]
    return {"inputs": inputs} | more


def edited(name, *rows, **changes):
    """The same with one input changed."""
    request = tensors(*(rows or (ROW,)))
    next(one for one in request["inputs"] if one["name"] == name).update(changes)
    return request


def test_the_server_says_what_it_is():
    assert asked("/v2").json == {"name": "pushforward", "version": __version__, "extensions": []}


@pytest.mark.parametrize(
    ("path", "up", "down"),
    [
        ("/v2/health/live", {"live": True}, {"live": True}),
        ("/v2/health/ready", {"ready": True}, {"ready": False}),
        (f"{MODEL}/ready", {"name": "flight-delay", "ready": True}, {"name": "flight-delay", "ready": False}),
    ],
)
def test_health_is_200_or_as_the_protocol_wants_4xx(path, up, down):
    here, gone = asked(path), asked(path, versions=InProcess(None))
    assert (here.status, here.json) == (200, up)
    assert (gone.status, gone.json) == (200 if up == down else 400, down)


@pytest.mark.parametrize("path", [MODEL, f"{MODEL}/versions/v1.3.0"])
def test_a_model_lists_its_columns_and_outputs(path):
    said = asked(path).json
    assert (said["name"], said["versions"], said["platform"]) == ("flight-delay", ["v1.3.0"], "pushforward")
    assert {one["name"]: one["datatype"] for one in said["inputs"]} == TYPES
    assert said["outputs"] == [{"name": "p", "datatype": "FP64", "shape": [-1]}]
    assert said["parameters"]["digest"] == SERVED.digest


@pytest.mark.parametrize("verb", ["", "/ready", "/infer"])
def test_another_model_and_another_version_are_404_with_what_there_is(verb):
    body = tensors(ROW) if verb == "/infer" else None
    for path, why in (
        (f"/v2/models/other{verb}", "model: there is no such model; flight-delay is served"),
        (f"{MODEL}/versions/v9{verb}", "version: there is no such version; flight-delay@v1.3.0 is served"),
    ):
        said = asked(path, body)
        assert (said.status, said.json["error"]) == (404, why)


def test_inference_answers_in_the_protocols_form_and_names_who_answered():
    two = tensors(ROW, changed(flight_id="b"), id="mine")
    said = asked(INFER, two, headers={"x-request-id": "r-7"})
    assert said.status == 200
    assert said.json == {
        "model_name": "flight-delay",
        "model_version": "v1.3.0",
        "id": "mine",
        "parameters": {
            "version": "flight-delay@v1.3.0",
            "digest": SERVED.digest,
            "arm": "main",
            "request": "r-7",
        },
        "outputs": [{"name": "p", "shape": [2], "datatype": "FP64", "data": [0.125, 0.125]}],
    }
    assert said.headers["pushforward-version"] == "flight-delay@v1.3.0"
    assert said.headers["pushforward-digest"] == SERVED.digest


def test_rows_are_the_same_as_by_name():
    versions = InProcess()
    for path, body in (("/predict", {"rows": [ROW]}), (INFER, tensors(ROW))):
        assert asked(path, body, versions=versions).status == 200
    by_name, by_tensor = versions.rows
    assert {name: [*values] for name, values in by_name.items()} == {name: [*each] for name, each in by_tensor.items()}


def test_a_version_in_the_address_is_asked_itself_and_not_its_canary():
    versions = InProcess()
    versions.canary = SERVED
    free = asked(INFER, tensors(ROW), versions=versions).json
    pinned = asked(f"{MODEL}/versions/v1.3.0/infer", tensors(ROW), versions=versions).json
    assert (free["parameters"]["arm"], pinned["parameters"]["arm"]) == ("canary", "main")
    assert versions.pinned == [False, True]


def test_shape_n_1_takes_a_flat_list_or_a_list_a_row():
    for data in ([1400, 1500], [[1400], [1500]]):
        versions = InProcess()
        body = edited("distance", ROW, changed(flight_id="b"), shape=[2, 1], data=data)
        assert asked(INFER, body, versions=versions).status == 200
        assert [*versions.rows[0]["distance"]] == [1400, 1500]


def test_outputs_are_filtered_and_an_unknown_one_refused():
    from dataclasses import replace

    versions = InProcess(replace(SERVED, predicted=("p_early", "p_late")))
    both = asked(INFER, tensors(ROW), versions=versions).json["outputs"]
    one = asked(INFER, tensors(ROW, outputs=[{"name": "p_late"}]), versions=versions).json["outputs"]
    assert ([each["name"] for each in both], one) == (["p_early", "p_late"], both[1:])
    wrong = asked(INFER, tensors(ROW, outputs=[{"name": "p_latte"}]), versions=versions)
    assert (wrong.status, wrong.json["error"]) == (422, "p_latte: is no output; did you mean p_late?")
    twice = asked(INFER, tensors(ROW, outputs=[{"name": "p_late"}] * 2), versions=versions)
    assert twice.json["error"] == "p_late: is there twice among the outputs"


def without(name):
    return {"inputs": [one for one in tensors(ROW)["inputs"] if one["name"] != name]}


def with_input(**one):
    return {"inputs": [*tensors(ROW)["inputs"], {"shape": [1], "datatype": "INT32", "data": [1]} | one]}


# What MLServer 1.7.1 answers: a bare 500, or 200 for what nobody has asked. Here: 422, and where.
REFUSED = {
    "missing column (500)": (without("distance"), "distance", "distance: is missing; must be an integer"),
    "extra column (500)": (with_input(name="gate"), "gate", "gate: is no column"),
    "misnamed column (500)": (
        {"inputs": [one | {"name": one["name"].replace("distance", "distanze")} for one in tensors(ROW)["inputs"]]},
        "distanze",
        "distanze: is no column; did you mean distance?",
    ),
    "BYTES for a number (500)": (edited("distance", datatype="BYTES", data=["17"]), "distance", "must be INT16"),
    "number for BYTES (500)": (edited("carrier", data=[17]), "carrier", "carrier, row 0: 17 is not a string"),
    "300 in INT8 (500)": (edited("stops", data=[300]), "stops", "stops, row 0: 300 is not from -128 to 127"),
    "wrong width (500)": (edited("distance", shape=[1, 2], data=[[1, 2]]), "distance", "has shape [1, 2]"),
    "100,000,000 rows, two values (500)": (
        edited("distance", shape=[10**8, 2]),
        "distance",
        "has shape [100000000, 2], must be [n] or [n, 1]",
    ),
    "-1 rows (200: whatever fits)": (edited("distance", shape=[-1]), "distance", "has shape [-1]"),
    "string in a number (200: 17)": (edited("flight", data=["17"]), "flight", '"17" is not an integer'),
    "NaN as a string (200: NaN)": (edited("fare", data=["NaN"]), "fare", '"NaN" is not a number'),
    "null in a number (200: NaN)": (edited("fare", data=[None]), "fare", "fare, row 0: is null, must be a number"),
    "no rows (200: [0, 2])": (
        {"inputs": [one | {"shape": [0], "data": []} for one in tensors(ROW)["inputs"]]},
        "flight_id",
        "flight_id: has no rows",
    ),
    "shape says 3, one value (200: one row)": (
        {"inputs": [one | {"shape": [3]} for one in tensors(ROW)["inputs"]]},
        "flight_id",
        "flight_id: has 1 values, and its shape says 3",
    ),
    "unequal columns (200: gaps filled with NaN)": (
        edited("distance", ROW, changed(flight_id="b"), shape=[1], data=[1400]),
        "distance",
        "distance: has 1 rows by its shape, and another input 2",
    ),
    "unequal columns, equal shapes (200: NaN)": (
        edited("distance", ROW, changed(flight_id="b"), data=[1400]),
        "distance",
        "distance: has 1 values, and its shape says 2",
    ),
    "a name twice (200: the last)": (
        with_input(name="distance", datatype="INT16"),
        "distance",
        "is there twice among the inputs",
    ),
    "15.9 in an integer (200: 15)": (edited("flight", data=[15.9]), "flight", "flight, row 0: 15.9 is not an integer"),
    "unknown content_type (200: ignored)": (
        tensors(ROW, parameters={"content_type": "pandas"}),
        "parameters",
        'content_type "pandas" is not spoken here; pd, np',
    ),
    "unknown content_type of an input": (
        edited("carrier", parameters={"content_type": "base64"}),
        "carrier",
        'content_type "base64" is not spoken here; str',
    ),
    "a code that is none (200: as code 0)": (edited("origin", data=["XXX"]), "origin", '"XXX" is no value'),
    "integer codes for a category (500)": (edited("origin", datatype="INT32", data=[7]), "origin", "must be BYTES"),
    "a fraction for a code (200: as code 0)": (edited("stops", data=[1.5]), "stops", "1.5 is not an integer"),
    "a code beyond the values (200: as code 0)": (edited("stops", data=[7]), "stops", "7 is no value of this column"),
    "FP64 for FP32": (edited("load", datatype="FP64"), "load", 'has datatype "FP64", must be FP32'),
    "a parameter that nobody reads": (tensors(ROW, parameters={"priority": 1}), "parameters", "is not known"),
    "no inputs (400)": ({"inputs": []}, "flight_id", "flight_id: is missing"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_another_server_hides_is_refused_by_name(case):
    body, field, why = REFUSED[case]
    said = asked(INFER, body)
    assert (said.status, said.json["field"]) == (422, field)
    assert why in said.json["error"]


@pytest.mark.parametrize(
    ("body", "status", "why"),
    [
        ({}, 422, "the request: object missing required field 'inputs'"),
        ({"inputs": tensors(ROW)["inputs"], "input": []}, 422, "the request: object contains unknown field 'input'"),
        ({"inputs": [{"name": 3}]}, 422, "inputs[0].name: expected 'str', got 'int'"),
        (edited("distance", shape=[1.0]), 422, "inputs[7].shape[0]: expected 'int', got 'float'"),
        (edited("distance", data=1400), 422, "distance: must be a list of values, is 1400"),
        (edited("distance", data=[[1400]]), 422, "distance, row 0: a list is not an integer"),
        (edited("distance", data=[{}]), 422, "distance, row 0: an object is not an integer"),
        (b"{", 400, "the body is not JSON"),
    ],
)
def test_a_request_of_another_form_is_refused_by_its_place(body, status, why):
    said = asked(INFER, body)
    assert said.status == status
    assert said.json["error"].startswith(why)


@pytest.mark.parametrize("name", ["inputs", "id", "parameters"])
def test_a_member_twice_is_refused(name):
    body = {"id": "a", "parameters": {"content_type": "pd"}} | tensors(ROW)
    text = f"{json.dumps(body)[:-1]}, {json.dumps({name: body[name]})[1:-1]}}}"
    said = asked(INFER, text.encode())
    assert (said.status, said.json["field"]) == (400, name)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (tensors(ROW), {"inference-header-content-length": "10"}),
        (edited("fare", parameters={"binary_data_size": 8}), {}),
        (tensors(ROW, outputs=[{"name": "p", "parameters": {"binary_data": True}}]), {}),
        (tensors(ROW, parameters={"binary_data_output": True}), {}),
    ],
)
def test_the_binary_extension_is_refused_with_what_to_send_instead(body, headers):
    said = asked(INFER, body, headers=headers)
    assert said.status == 415
    assert "send data as JSON, binary_data=False of tritonclient" in said.json["error"]


@pytest.mark.parametrize("kind", ["application/octet-stream", None])
def test_the_binary_extension_is_refused_by_its_header_whatever_the_type(kind):
    headers = {"inference-header-content-length": "10", "content-type": kind}
    said = asked(INFER, b"{}", headers=headers)
    assert (said.status, said.json["field"]) == (415, "inference-header-content-length")


def test_tritonclient_names_no_type_and_is_answered():
    assert asked(INFER, tensors(ROW), headers={"content-type": None}).status == 200


def test_content_types_that_say_what_is_so_are_taken():
    body = tensors(
        ROW, parameters={"content_type": "pd"}, outputs=[{"name": "p", "parameters": {"binary_data": False}}]
    )
    for one in body["inputs"]:
        kinds = {"BYTES": "datetime" if "_at" in one["name"] else "str"}
        one["parameters"] = {"content_type": kinds.get(one["datatype"], "np")}
    assert asked(INFER, body).status == 200


def test_unsigned_64_bits_are_read_whole():
    versions = InProcess(served_as(hash="UInt64"))
    body = tensors(ROW)
    body["inputs"].append({"name": "hash", "shape": [1], "datatype": "UINT64", "data": [2**64 - 1]})
    assert asked(INFER, body, versions=versions).status == 200
    assert versions.rows[0]["hash"] == [2**64 - 1]
