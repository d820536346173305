"""The Open Inference Protocol, version 2, over REST: health, models and inference; `app` routes here.

One input for each column, of shape [n] or [n, 1], as the model's metadata lists them. Its binary extension is not
spoken. https://github.com/kserve/open-inference-protocol is the specification.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Union

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
INFER = "/v2/models/infer"  # the route, for the numbers too
PLATFORM = "pushforward"
_CONTENT = {"boolean": ("np",), "string": ("str",), "instant": ("str", "datetime"), "local": ("str", "datetime")}
_WHOLE = ("pd", "np")  # content types of a request: what they say of columns is so

Parameters = dict[str, Any]


class _Input(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    shape: list[int]
    datatype: str
    data: Any
    parameters: Parameters | None = None


class _Output(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    name: str
    parameters: Parameters | None = None


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    inputs: list[_Input]
    id: str | None = None
    parameters: Parameters | None = None
    outputs: list[_Output] | None = None


class Inference(msgspec.Struct):
    """A request for inference that has been checked: its rows, its name, and the outputs that it wants."""

    rows: Columns
    id: str | None
    outputs: list[str]


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


async def infer(versions: Versions, served: Served, reader: "Reader", asked: Asked, *, pinned: bool) -> Reply:
    """Predictions of rows that come as one tensor a column; `pinned`: by this version, which the address names."""
    inference = await aside(reader.read, asked.body)
    answer = await versions.predict(inference.rows, asked.request, pinned=pinned)
    if pinned and answer.served.version != served.version:
        raise RequestError(f"{full_name(served)} is not served any more; {full_name(answer.served)} is", status=404)
    return answered(_response(inference, answer, asked.request), answer, len(next(iter(inference.rows.values()))))


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


class Reader:
    """The reader of requests for inference of one version: in one pass where they are beyond doubt, else strictly."""

    def __init__(self, table: Table, predicted: Sequence[str]) -> None:
        self._table = table
        self._predicted = predicted
        kinds = {_tensor(one): one for one in table.columns}
        self._columns: dict[Any, Column] = kinds
        request = msgspec.defstruct(
            "Request",
            [
                ("inputs", _list(Union[tuple(kinds)])),  # noqa: UP007 - of as many as there are columns
                ("id", str | None, None),
                ("parameters", Parameters | None, None),
                ("outputs", list[_Output] | None, None),
            ],
            forbid_unknown_fields=True,
        )
        self._decoder: Any = msgspec.json.Decoder(request)

    def read(self, body: bytes) -> Inference:
        """A request for inference, checked; raises `RequestError`."""
        made = None if b"\\" in body else self._quickly(body)
        return made if made is not None else self._slowly(parse(body))

    def _quickly(self, body: bytes) -> Inference | None:
        """A request that is beyond doubt, by its quotation marks too (`Table.quick`); None where there is doubt."""
        try:
            request = self._decoder.decode(body)
        except BROKEN:
            return None
        made: dict[str, Sequence[Any]] = {}
        optional: list[Any] = [request.id, request.parameters, request.outputs]
        for one in request.inputs:
            column = self._columns[type(one)]
            if one.shape[:1] != [len(one.data)] or one.shape[1:] not in ([], [1]):
                return None
            _parameters(one.parameters, _content(column), column.name)
            optional.append(one.parameters)
            made[column.name] = one.data
        if len(made) != len(self._columns) or len(request.inputs) != len(made):
            return None
        _parameters(request.parameters, _WHOLE, "parameters")
        wanted = _wanted(request.outputs, self._predicted)
        marks = sum(2 + encode(one).count(b'"') for one in optional if one is not None)
        if body.count(b'"') != 2 * (1 + 6 * len(made) + self._table.strings(made)) + marks:
            return None
        checked = self._table.quickly_checked({name: made[name] for name in self._table.by_name})
        return None if checked is None else Inference(checked, request.id, wanted)

    def _slowly(self, tree: Any) -> Inference:
        """The same by the checks that say which field of which row is wrong."""
        try:
            request = msgspec.convert(tree, _Request)
        except msgspec.ValidationError as wrong:
            raise RequestError(_words(str(wrong))) from None
        given: dict[str, _Input] = {}
        for one in request.inputs:
            if one.name in given:
                raise RequestError("is there twice among the inputs", field=one.name)
            given[one.name] = one
        self._table.complete(given)
        _parameters(request.parameters, _WHOLE, "parameters")
        rows: int | None = None
        for name, column in self._table.by_name.items():
            rows = _check_input(given[name], column, self._table, rows)
        wanted = _wanted(request.outputs, self._predicted)
        return Inference(self._table.checked({one.name: _flat(one) for one in request.inputs}), request.id, wanted)


def _tensor(column: Column) -> Any:
    """The type of one column's input, which its name tells from the others."""
    fields: list[Any] = [
        ("shape", list[int]),
        ("datatype", Literal[column.datatype]),
        ("data", _list(column.annotation())),
        ("parameters", Parameters | None, None),
    ]
    return msgspec.defstruct("Tensor", fields, tag_field="name", tag=column.name, forbid_unknown_fields=True)


def _list(kind: Any) -> Any:
    return list[kind]


def _content(column: Column) -> Sequence[str]:
    return _CONTENT.get(column.type, ("np",))


def _wanted(outputs: list[_Output] | None, predicted: Sequence[str]) -> list[str]:
    """The names of the outputs that are wanted; all, where none is named."""
    names = [one.name for one in outputs or ()]
    for output in outputs or ():
        if output.name not in predicted:
            raise RequestError(f"is no output; {meant(output.name, predicted)}", field=output.name)
        if names.count(output.name) > 1:
            raise RequestError("is there twice among the outputs", field=output.name)
        _parameters(output.parameters, ("np",), output.name)
    return names or [*predicted]


def _words(said: str) -> str:
    """What the reader of the request's form says, with the place first."""
    why, _, place = said.partition(" - at `$.")
    return f"{place.rstrip('`') or 'the request'}: {why[:1].lower()}{why[1:]}".replace("`", "'")


def _check_input(one: _Input, column: Column, table: Table, rows: int | None) -> int:
    """Refuse datatype, shape and parameters that are not this column's; how many rows there are."""
    if one.datatype != column.datatype:
        raise RequestError(f"has datatype {shown(one.datatype)}, must be {column.datatype}", field=one.name)
    shape = one.shape
    if len(shape) not in (1, 2) or shape[0] < 0 or shape[1:] not in ([], [1]):
        raise RequestError(f"has shape {shape[:8]}, must be [n] or [n, 1]", field=one.name)
    table.count(shape[0], one.name)
    if rows is not None and shape[0] != rows:
        raise RequestError(f"has {shape[0]} rows by its shape, and another input {rows}", field=one.name)
    _parameters(one.parameters, _content(column), one.name)
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


def _flat(one: _Input) -> Any:
    """The values of a tensor, whose shape they must have: in one list, or as [n, 1] in a list for each row."""
    values = one.data
    if not isinstance(values, list):
        raise RequestError(f"must be a list of values, is {shown(values)}", field=one.name)
    if len(one.shape) == 2 and values and all(isinstance(value, list) and len(value) == 1 for value in values):
        values = [value[0] for value in values]
    if len(values) != one.shape[0]:
        raise RequestError(f"has {len(values)} values, and its shape says {one.shape[0]}", field=one.name)
    return values
