"""The Open Inference Protocol, version 2, over REST: health, models and inference; `app` routes here.

One input for each column, of shape [n] or [n, 1], as the model's metadata lists them. Its binary extension is not
spoken. https://github.com/kserve/open-inference-protocol is the specification.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from pushforward import __version__
from pushforward.serving.columns import Column
from pushforward.serving.inputs import BROKEN, Inputs, Table
from pushforward.serving.named import aside
from pushforward.serving.port import Answer, Columns, Served, Versions
from pushforward.serving.reply import Asked, Reply, answered, encode, full_name, told
from pushforward.serving.strict import RequestError, listed, meant, parse, shown

BINARY = b"inference-header-content-length"
NO_BINARY = "the binary extension is not spoken here; send data as JSON, binary_data=False of tritonclient"
PLATFORM = "pushforward"
_CONTENT = {"boolean": ("np",), "string": ("str",), "instant": ("str", "datetime"), "local": ("str", "datetime")}
_WHOLE = ("pd", "np")  # content types of a request: what they say of columns is so

Data = TypeVar("Data")
Parameters = dict[str, Any]


class _Input(msgspec.Struct, Generic[Data], forbid_unknown_fields=True, omit_defaults=True):
    name: str
    shape: list[int]
    datatype: str
    data: Data
    parameters: Parameters | None = None


class _Output(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    name: str
    parameters: Parameters | None = None


class _Request(msgspec.Struct, Generic[Data], forbid_unknown_fields=True, omit_defaults=True):
    inputs: list[_Input[Data]]
    id: str | None = None
    parameters: Parameters | None = None
    outputs: list[_Output] | None = None


class Inference(msgspec.Struct):
    """A request for inference that has been checked: its rows, its name, and the outputs that it wants."""

    rows: Columns
    id: str | None
    outputs: list[str]


_quick: msgspec.json.Decoder[_Request[msgspec.Raw]] = msgspec.json.Decoder(_Request[msgspec.Raw])


def server() -> Reply:
    """Who this is."""
    return told({"name": PLATFORM, "version": __version__, "extensions": []})


def live() -> Reply:
    """That the process answers."""
    return told({"live": True})


def ready(served: Served | None) -> Reply:
    """Whether a version answers; the protocol wants 4xx where none does."""
    return told({"ready": served is not None}, served, 200 if served else 400)


def model_ready(name: str, served: Served | None) -> Reply:
    """Whether this model answers."""
    return told({"name": name, "ready": served is not None}, served, 200 if served else 400)


def model(served: Served, inputs: Inputs) -> Reply:
    """What the model takes and gives."""
    said = {
        "name": served.model,
        "versions": [served.version],
        "platform": PLATFORM,
        "inputs": [{"name": one.name, "datatype": one.datatype, "shape": [-1]} for one in inputs.rows.columns],
        "outputs": [{"name": name, "datatype": "FP64", "shape": [-1]} for name in served.predicted],
        "parameters": {"digest": served.digest, "environment": served.environment},
    }
    return told(said, served)


async def infer(versions: Versions, served: Served, inputs: Inputs, asked: Asked, *, pinned: bool) -> Reply:
    """Predictions of rows that come as one tensor a column; `pinned`: by this version, which the address names."""
    if BINARY in asked.headers:
        raise RequestError(NO_BINARY, status=415)
    inference = await aside(lambda body: read(body, inputs.rows, served.predicted), asked.body)
    answer = await versions.predict(inference.rows, asked.request, pinned=pinned)
    if pinned and answer.served.version != served.version:
        raise RequestError(f"{full_name(served)} is not served any more; {full_name(answer.served)} is", status=404)
    return answered(_response(inference, answer, asked.request), answer, len(inference.rows[served.key]))


def _response(inference: Inference, answer: Answer, request: str) -> dict[str, Any]:
    served = answer.served
    return {
        "model_name": served.model,
        "model_version": served.version,
        "id": inference.id if inference.id is not None else request,
        "parameters": {"version": full_name(served), "digest": served.digest, "arm": answer.arm, "request": request},
        "outputs": [
            {"name": name, "shape": [len(values)], "datatype": "FP64", "data": values}
            for name, values in answer.predictions.items()
            if name in inference.outputs
        ],
    }


def read(body: bytes, table: Table, predicted: Sequence[str]) -> Inference:
    """A request for inference, checked; raises `RequestError`."""
    made = None if b"\\" in body else _quickly(body, table, predicted)
    return made if made is not None else _slowly(parse(body), table, predicted)


def _quickly(body: bytes, table: Table, predicted: Sequence[str]) -> Inference | None:
    """A request that is beyond doubt: written again, it has as many quotation marks, so no name was there twice."""
    try:
        request = _quick.decode(body)
        if encode(request).count(b'"') != body.count(b'"'):
            return None
        wanted = _check(request, table, predicted)
        given = {one.name: one for one in request.inputs}
        made = {name: table.quickly(name, bytes(given[name].data)) for name in table.by_name}
    except BROKEN:
        return None
    rows = request.inputs[0].shape[0]
    if any(len(values) != rows for values in made.values()):
        return None
    try:
        checked = table.quickly_checked({**made})
    except OverflowError:
        return None
    return None if checked is None else Inference(checked, request.id, wanted)


def _slowly(tree: Any, table: Table, predicted: Sequence[str]) -> Inference:
    """The same by the checks that say which field of which row is wrong."""
    try:
        request = msgspec.convert(tree, _Request[Any])
    except msgspec.ValidationError as wrong:
        raise RequestError(_words(str(wrong))) from None
    wanted = _check(request, table, predicted)
    return Inference(table.checked({one.name: _flat(one) for one in request.inputs}), request.id, wanted)


def _words(said: str) -> str:
    """What the reader of the request's form says, with the place first."""
    why, _, place = said.partition(" - at `$.")
    return f"{place.rstrip('`') or 'the request'}: {why[:1].lower()}{why[1:]}".replace("`", "'")


def _check(request: _Request[Data], table: Table, predicted: Sequence[str]) -> list[str]:
    """Refuse what is wrong with a request beside its values; the outputs that it wants."""
    given: dict[str, _Input[Data]] = {}
    for one in request.inputs:
        if one.name in given:
            raise RequestError("is there twice among the inputs", field=one.name)
        given[one.name] = one
    table.complete(given)
    _parameters(request.parameters, _WHOLE, "parameters")
    rows: int | None = None
    for name, column in table.by_name.items():
        rows = _check_input(given[name], column, table, rows)
    wanted = [one.name for one in request.outputs or ()]
    for output in request.outputs or ():
        if output.name not in predicted:
            raise RequestError(f"is no output; {meant(output.name, predicted)}", field=output.name)
        if wanted.count(output.name) > 1:
            raise RequestError("is there twice among the outputs", field=output.name)
        _parameters(output.parameters, ("np",), output.name)
    return wanted or [*predicted]


def _check_input(one: _Input[Data], column: Column, table: Table, rows: int | None) -> int:
    """Refuse datatype, shape and parameters that are not this column's; how many rows there are."""
    if one.datatype != column.datatype:
        raise RequestError(f"has datatype {shown(one.datatype)}, must be {column.datatype}", field=one.name)
    shape = one.shape
    if len(shape) not in (1, 2) or shape[0] < 0 or shape[1:] not in ([], [1]):
        raise RequestError(f"has shape {shape[:8]}, must be [n] or [n, 1]", field=one.name)
    table.count(shape[0], one.name)
    if rows is not None and shape[0] != rows:
        raise RequestError(f"has {shape[0]} rows by its shape, and another input {rows}", field=one.name)
    _parameters(one.parameters, _CONTENT.get(column.type, ("np",)), one.name)
    return shape[0]


def _parameters(given: Mapping[str, Any] | None, types: Sequence[str], field: str) -> None:
    """Refuse a parameter that would change nothing here, or the reading of what was sent."""
    for name, value in (given or {}).items():
        if name in ("binary_data_size", "binary_data", "binary_data_output"):
            if value is not False:
                raise RequestError(NO_BINARY, status=415, field=field)
        elif name != "content_type":
            raise RequestError(f"parameter {shown(name)} is not known; content_type is", field=field)
        elif value not in types:
            raise RequestError(f"content_type {shown(value)} is not spoken here; {listed(types)}", field=field)


def _flat(one: _Input[Any]) -> Any:
    """The values of a tensor, whose shape they must have: in one list, or as [n, 1] in a list for each row."""
    values = one.data
    if not isinstance(values, list):
        raise RequestError(f"must be a list of values, is {shown(values)}", field=one.name)
    if len(one.shape) == 2 and values and all(isinstance(value, list) and len(value) == 1 for value in values):
        values = [value[0] for value in values]
    if len(values) != one.shape[0]:
        raise RequestError(f"has {len(values)} values, and its shape says {one.shape[0]}", field=one.name)
    return values
