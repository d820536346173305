"""OpenAPI of the server: what can be asked, and what is answered, for the version that is served; for `app`.

It is made from the columns that check the requests, so it says what they do.
"""

from typing import Any

from pushforward import __version__
from pushforward.serving.columns import INTEGERS, LARGEST_FLOAT32, Column
from pushforward.serving.inputs import Inputs, Table
from pushforward.serving.port import Served
from pushforward.serving.reply import full_name

Schema = dict[str, Any]
LARGEST_FLOAT64 = float.fromhex("0x1.fffffffffffffp+1023")

# Days that there are, so that a string which fits the pattern is a moment. No leap seconds.
_LEAP = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
_DAY = (
    "(?:(?:(?!0000)[0-9]{4})-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    f"|{_LEAP}-02-29)"
)
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?"
INSTANT = f"^{_DAY}T{_TIME}(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])$"
LOCAL = f"^{_DAY}T{_TIME}$"

_STATUSES = {
    400: "The body is not JSON, or the request cannot be read.",
    404: "There is no such page, model or version.",
    405: "The page is there, and not for this method.",
    408: "The body did not come in time.",
    413: "The body or the number of rows is too large.",
    415: "The body is not application/json.",
    422: "A field is wrong: `error` says which, where and why.",
    500: "A bug of the server's own, which its log has under the name of the request.",
    503: "No version answers now; `Retry-After` says when to ask again.",
}
_BODY = (400, 404, 408, 413, 415, 422, 503)
_FLAGS = {"live": {"type": "boolean"}, "ready": {"type": "boolean"}}
_VERSIONED = {"model": {"type": "string"}, "version": {"type": "string"}, "digest": {"type": "string"}}


def document(served: Served, inputs: Inputs) -> Schema:
    """The document for the version that is served."""
    paths = {
        "/predict": _post("Predictions of rows", _asking("Row", inputs.rows), _prediction(served)),
        **_protocol(served, inputs.rows),
        "/openapi.json": {"get": _operation("This document", {200: {"type": "object"}, 503: _ERROR})},
        "/metrics": {"get": {"summary": "Numbers for Prometheus", "responses": {"200": _text()}}},
    }
    schemas = {"Error": _error(), "Row": _row(inputs.rows)}
    if inputs.events is not None:
        taken = _object({**_VERSIONED, "request": {"type": "string"}, "taken": _count(), "known": _count()})
        paths["/events"] = _post("Tell events", _asking("Event", inputs.events), taken)
        schemas["Event"] = _row(inputs.events)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"{full_name(served)}, served by pushforward",
            "version": __version__,
            "description": f"In {served.environment}: the model with SHA-256 {served.digest}.",
        },
        "paths": paths,
        "components": {"schemas": schemas},
    }


def value(one: Column) -> Schema:
    """The schema of a value of a column."""
    if one.values:
        return {"enum": [*one.values, *([None] if one.nullable else [])]}
    made: Schema
    if one.type in INTEGERS:
        low, high = INTEGERS[one.type]
        made = {"type": "integer", "minimum": low, "maximum": high}
    elif one.type in ("float32", "float64"):
        limit = LARGEST_FLOAT32 if one.type == "float32" else LARGEST_FLOAT64
        made = {"type": "number", "minimum": -limit, "maximum": limit}
    elif one.type == "boolean":
        made = {"type": "boolean"}
    elif one.type == "instant":
        made = {"type": "string", "format": "date-time", "pattern": INSTANT}
    else:
        made = {"type": "string"} | ({"pattern": LOCAL} if one.type == "local" else {})
    return made | {"type": [made["type"], "null"]} if one.nullable else made


def _object(properties: Schema, required: list[str] | None = None) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": [*properties] if required is None else required,
        "additionalProperties": False,
    }


def _list(items: Schema, most: int | None = None) -> Schema:
    return {"type": "array", "items": items, "minItems": 1} | ({} if most is None else {"maxItems": most})


def _count() -> Schema:
    return {"type": "integer", "minimum": 0}


def _row(table: Table) -> Schema:
    return _object({one.name: value(one) for one in table.columns})


def _asking(schema: str, table: Table) -> Schema:
    """A body: rows, or lists of equal lengths by column."""
    rows = _list({"$ref": f"#/components/schemas/{schema}"}, table.most)
    columns = _object({one.name: _list(value(one), table.most) for one in table.columns})
    return {"oneOf": [_object({table.name: rows}), _object({"columns": columns})]}


def _prediction(served: Served) -> Schema:
    return _object(
        {
            **_VERSIONED,
            "arm": {"enum": ["main", "canary"]},
            "request": {"type": "string"},
            "predictions": _object({name: _list({"type": "number"}) for name in served.predicted}),
        }
    )


def _error() -> Schema:
    return _object(
        {
            "error": {"type": "string"},
            "field": {"type": ["string", "null"]},
            "row": {"type": ["integer", "null"], "minimum": 0},
            "request": {"type": "string"},
        }
    )


_ERROR: Schema = {"$ref": "#/components/schemas/Error"}


def _operation(summary: str, replies: dict[int, Schema], **more: Any) -> Schema:
    said = {
        str(status): {
            "description": _STATUSES.get(status, "OK"),
            "content": {"application/json": {"schema": schema}},
        }
        | ({"headers": {"Retry-After": {"schema": {"type": "string"}}}} if status == 503 else {})
        for status, schema in (replies | {500: _ERROR}).items()
    }
    return {"summary": summary, **more, "responses": said}


def _post(summary: str, body: Schema, reply: Schema, parameters: list[Schema] | None = None) -> Schema:
    """An operation with a body of JSON."""
    content = {"required": True, "content": {"application/json": {"schema": body}}}
    replies = {200: reply} | dict.fromkeys(_BODY, _ERROR)
    more = {"parameters": parameters} if parameters else {}
    return {"post": _operation(summary, replies, requestBody=content, **more)}


def _text() -> Schema:
    return {"description": "OK", "content": {"text/plain": {"schema": {"type": "string"}}}}


def _protocol(served: Served, table: Table) -> Schema:
    """The paths of the Open Inference Protocol."""
    name = {"name": "model", "in": "path", "required": True, "schema": {"enum": [served.model], "type": "string"}}
    version = {**name, "name": "version", "schema": {"enum": [served.version], "type": "string"}}
    server = _object({"name": {"type": "string"}, "version": {"type": "string"}, "extensions": {"type": "array"}})
    paths: Schema = {"/v2": {"get": _operation("Open Inference Protocol: the server", {200: server})}}
    for word, status in (("live", (200,)), ("ready", (200, 400))):
        flag = _object({word: _FLAGS[word]})
        paths[f"/v2/health/{word}"] = {"get": _operation(f"Whether it is {word}", dict.fromkeys(status, flag))}
    for base, parameters in (
        ("/v2/models/{model}", [name]),
        ("/v2/models/{model}/versions/{version}", [name, version]),
    ):
        metadata = {200: _metadata(), 404: _ERROR, 503: _ERROR}
        paths[base] = {"get": _operation("The model", metadata, parameters=parameters)}
        flag = _object({"name": {"type": "string"}, "ready": {"type": "boolean"}})
        ready = {200: flag, 400: flag, 404: _ERROR}
        paths[f"{base}/ready"] = {"get": _operation("Whether it answers", ready, parameters=parameters)}
        paths[f"{base}/infer"] = _post("Inference", _inference(served, table), _inferred(served), parameters)
    return paths


def _metadata() -> Schema:
    tensor = _object(
        {"name": {"type": "string"}, "datatype": {"type": "string"}, "shape": {"const": [-1]}},
    )
    return _object(
        {
            "name": {"type": "string"},
            "versions": _list({"type": "string"}),
            "platform": {"type": "string"},
            "inputs": _list(tensor),
            "outputs": _list(tensor),
            "parameters": {"type": "object"},
        }
    )


def _inference(served: Served, table: Table) -> Schema:
    """A request for inference: each column once, all of one length."""
    inputs = [
        _object(
            {
                "name": {"const": one.name},
                "shape": {"type": "array", "prefixItems": [{"type": "integer", "minimum": 1}, {"const": 1}]}
                | {"minItems": 1, "maxItems": 2, "items": False},
                "datatype": {"const": one.datatype},
                "data": _list(value(one), table.most),
            }
        )
        for one in table.columns
    ]
    outputs = {"type": "array", "items": _object({"name": {"enum": [*served.predicted]}}), "uniqueItems": True}
    return _object(
        {
            "id": {"type": "string"},
            "inputs": {"type": "array", "minItems": len(inputs), "maxItems": len(inputs), "items": {"anyOf": inputs}},
            "outputs": outputs,
        },
        ["inputs"],
    )


def _inferred(served: Served) -> Schema:
    output = _object(
        {
            "name": {"enum": [*served.predicted]},
            "shape": {"type": "array", "items": _count(), "minItems": 1, "maxItems": 1},
            "datatype": {"const": "FP64"},
            "data": _list({"type": "number"}),
        }
    )
    return _object(
        {
            "model_name": {"type": "string"},
            "model_version": {"type": "string"},
            "id": {"type": "string"},
            "parameters": {"type": "object"},
            "outputs": _list(output),
        }
    )
