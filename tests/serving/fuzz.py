"""Requests from the server's own OpenAPI: right ones, the same with something broken, and bytes that are no request."""

import json
import re
from typing import NamedTuple

from hypothesis import strategies as st
from jsonschema import Draft202012Validator

ODD = [
    None,
    True,
    False,
    "",
    "17",
    "NaN",
    "é\u2028😀",
    "\x00",
    "a" * 300,
    "2013-02-30T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
]
ODD += [-1, 0, 15.0, 15.9, -0.0, 2**31, 2**63, 2**64, 10**30, 1e308, 5e-324, [], {}, [[]], [None], {"a": 1}]
# What `json` does not write: spliced into a body in place of a value.
TEXTS = ["NaN", "-Infinity", "1e400", "1e-400", '"\\ud800"', '"\\u0000"', "01", "+1", "1.", "'a'", "nul", "{", "]", ""]
MARK = "7c1d0f"
MOST = 4  # rows, where the document says no more


class Request(NamedTuple):
    """A request, whether it is right, and the schemas of its replies by status."""

    method: str
    path: str
    headers: dict
    body: bytes
    right: bool
    replies: dict


def values(schema, document):
    """Values that a schema of ours takes."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return values(document["components"]["schemas"][name], document)
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    for word in ("oneOf", "anyOf"):
        if word in schema:
            return st.one_of([values(each, document) for each in schema[word]])
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return st.one_of([_of(kind, schema, document) for kind in kinds])


def _of(kind, schema, document):
    if kind == "object":
        names = schema["properties"]
        return st.fixed_dictionaries(
            {name: values(names[name], document) for name in schema["required"]},
            optional={name: values(names[name], document) for name in names if name not in schema["required"]},
        )
    if kind == "array":
        return st.lists(
            values(schema["items"], document), min_size=schema.get("minItems", 0), max_size=MOST, unique_by=json.dumps
        )
    if kind == "integer":
        return st.integers(schema["minimum"], schema["maximum"])
    if kind == "number":
        return st.floats(schema["minimum"], schema["maximum"], allow_nan=False)
    if kind == "string":
        return st.from_regex(schema["pattern"]).map(str.strip) if "pattern" in schema else st.text(max_size=20)
    return {"boolean": st.booleans(), "null": st.none()}[kind]


@st.composite
def columns(draw, schema, document):
    """Lists by column, all of one length, which no schema can say."""
    rows = draw(st.integers(1, MOST))
    return {
        name: draw(st.lists(values(each["items"], document), min_size=rows, max_size=rows))
        for name, each in schema["properties"].items()
    }


@st.composite
def bodies(draw, path, schema, document):
    """A right body: what the schema says, and what the document says in words: lengths are equal, keys differ."""
    if path.endswith("/infer"):
        return draw(_tensors(schema, document))
    by_row, by_column = schema["oneOf"]
    (name,) = by_row["properties"]
    if draw(st.booleans()):
        given = draw(columns(by_column["properties"]["columns"], document))
        _differ(given)
        return {"columns": given}
    rows = draw(st.lists(values(by_row["properties"][name]["items"], document), min_size=1, max_size=MOST))
    for number, row in enumerate(rows):
        row |= {"flight_id": f"f{number}"} if "flight_id" in row else {}
    return {name: rows}


@st.composite
def _tensors(draw, schema, document):
    kinds = schema["properties"]["inputs"]["items"]["anyOf"]
    data = {each["properties"]["name"]["const"]: each["properties"]["data"] for each in kinds}
    given = draw(columns({"properties": data}, document))
    _differ(given)
    inputs = []
    for each in kinds:
        name, datatype = (each["properties"][one]["const"] for one in ("name", "datatype"))
        rows = len(given[name])
        shape = draw(st.sampled_from([[rows], [rows, 1]]))
        inputs.append({"name": name, "shape": shape, "datatype": datatype, "data": given[name]})
    more = {name: values(schema["properties"][name], document) for name in ("id", "outputs")}
    return draw(st.fixed_dictionaries({"inputs": st.permutations(inputs)}, optional=more))


def _differ(given):
    if "flight_id" in given:
        given["flight_id"] = [f"f{number}" for number in range(len(given["flight_id"]))]


def _places(tree, here=()):
    """The paths of all values of a tree."""
    yield here
    members = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for name, value in members:
        yield from _places(value, (*here, name))


@st.composite
def broken(draw, tree):
    """The bytes of a body with one thing changed: a value, a name, a length, or a few bytes."""
    tree = json.loads(json.dumps(tree))
    path = draw(st.sampled_from([*_places(tree)]))
    if not path:
        return json.dumps(draw(st.sampled_from(ODD))).encode()
    parent = tree
    for name in path[:-1]:
        parent = parent[name]
    how = draw(st.sampled_from(["value", "text", "gone", "more", "twice", "bytes"]))
    if how == "value":
        parent[path[-1]] = draw(st.sampled_from(ODD))
    elif how == "text":
        parent[path[-1]] = MARK
        return json.dumps(tree).replace(f'"{MARK}"', draw(st.sampled_from(TEXTS))).encode()
    elif how == "gone":
        del parent[path[-1]]
    elif how == "more" and isinstance(parent, dict):
        parent[draw(st.text(max_size=8))] = draw(st.sampled_from(ODD))
    elif how == "more":
        parent.append(draw(st.sampled_from(ODD)))
    elif how == "twice" and isinstance(parent, dict):
        member = json.dumps({path[-1]: parent[path[-1]]})[1:-1]
        parent[path[-1]] = MARK
        return json.dumps(tree).replace(f'{json.dumps(path[-1])}: "{MARK}"', f"{member}, {member}").encode()
    text = bytearray(json.dumps(tree, ensure_ascii=False).encode())
    if how == "bytes":
        for place in draw(st.lists(st.integers(0, len(text) - 1), min_size=1, max_size=3)):
            text[place] = draw(st.integers(0, 255))
    return bytes(text)


HEADERS = [
    {"content-type": "text/plain"},
    {"content-type": "application/json; charset=utf-16"},
    {"content-encoding": "gzip"},
    {"x-request-id": "a b"},
    {"inference-header-content-length": "3"},
]


@st.composite
def requests(draw, document):
    """A request: half of them right."""
    path, methods = draw(st.sampled_from([*document["paths"].items()]))
    if path.endswith(("predict", "events", "infer")) and draw(st.integers(0, 9)) == 0:
        return Request(draw(st.sampled_from(["GET", "PUT", "DELETE"])), _filled(path, document), {}, b"", False, {})
    ((method, operation),) = methods.items()
    replies = {int(status): said["content"] for status, said in operation["responses"].items()}
    where = _filled(path, document)
    if draw(st.integers(0, 19)) == 0 and "{" in path:
        where = where.replace("flight-delay", draw(st.sampled_from(["other", "%20", "a b", "é"])))
        return Request(method.upper(), where, {}, b"", False, replies)
    if method == "get":
        return Request("GET", where, {}, b"", True, replies)
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    tree = draw(bodies(path, schema, document))
    if draw(st.booleans()):
        ascii_only, indent = draw(st.booleans()), draw(st.sampled_from([None, 1]))
        text = json.dumps(tree, ensure_ascii=ascii_only, indent=indent).encode("utf-8")
        return Request("POST", where, {}, text, True, replies)
    if draw(st.integers(0, 9)) == 0:
        return Request("POST", where, draw(st.sampled_from(HEADERS)), json.dumps(tree).encode(), False, replies)
    raw = draw(st.one_of(broken(tree), broken(tree), broken(tree), st.binary(max_size=60)))
    return Request("POST", where, {}, raw, False, replies)


def _filled(path, document):
    """The path with the only model and version that there are."""
    operation = next(iter(document["paths"][path].values()))
    for one in operation.get("parameters", ()):
        path = path.replace(f"{{{one['name']}}}", one["schema"]["enum"][0])
    return path


def too_early(body):
    """Whether a moment is in the year 1 or 9999: an offset may lead out of the years that there are."""
    return re.search(rb'"(?:0001|9999)-', body)


def fault(request, said, document):
    """What is wrong with a reply: 5xx, a refusal of what is right, a status or body that is not of the document."""
    if said.status >= 500:
        return "5xx"
    if request.right and said.status != 200 and not too_early(request.body):
        return "refused"
    if not request.replies:
        return "" if said.status == 405 else "status"
    if said.status not in request.replies:
        return "status"
    kind = said.headers["content-type"].partition(";")[0]
    schema = {"components": document["components"], **request.replies[said.status][kind]["schema"]}
    right = kind != "application/json" or Draft202012Validator(schema).is_valid(said.json)
    return "" if right else "body"
