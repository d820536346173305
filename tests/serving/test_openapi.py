"""The document says what is so: it is OpenAPI, right requests by it are answered, all replies are of its schemas."""

import asyncio
import json
import re
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from tests.serving import fuzz
from tests.serving.in_process import EVENT, INPUTS, ROW, SERVED, InProcess, ask, asked, changed
from tests.serving.test_v2 import tensors

from pushforward.serving.app import Application
from pushforward.serving.inputs import inputs_of
from pushforward.serving.openapi import INSTANT, LOCAL, document

DOCUMENT = document(SERVED, inputs_of(SERVED))


def valid(schema, value):
    """Whether a value is of a schema of the document."""
    return Draft202012Validator({"components": DOCUMENT["components"], **schema}).is_valid(value)


def body_schema(path):
    return DOCUMENT["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]


def schemas(tree):
    """Every schema of the document."""
    if isinstance(tree, dict):
        if "schema" in tree and isinstance(tree["schema"], dict):
            yield tree["schema"]
        for each in tree.values():
            yield from schemas(each)
    elif isinstance(tree, list):
        for each in tree:
            yield from schemas(each)


def test_every_schema_is_one_and_every_page_is_in_the_document():
    found = [*schemas(DOCUMENT), *DOCUMENT["components"]["schemas"].values()]
    assert len(found) > 30
    for schema in found:
        Draft202012Validator.check_schema(schema)
    from pushforward.serving.app import _ROUTES

    assert {*_ROUTES} == {path for path in DOCUMENT["paths"] if "{" not in path}
    assert asked("/openapi.json").json == DOCUMENT


def test_a_version_without_events_has_no_page_of_them():
    served = replace(SERVED, events=False)
    assert "/events" not in document(served, inputs_of(served))["paths"]


@pytest.mark.parametrize("path", ["/predict", "/v2/models/{model}/infer"])
def test_the_reply_to_a_bug_is_of_the_document(path):
    versions = InProcess()
    versions.failing = ZeroDivisionError("a bug")
    said = asked(
        path.format(model="flight-delay"), {"rows": [ROW]} if path == "/predict" else tensors(ROW), versions=versions
    )
    assert said.status == 500
    schema = DOCUMENT["paths"][path]["post"]["responses"]["500"]["content"]["application/json"]["schema"]
    assert valid(schema, said.json)
    assert not valid(schema, {"error": "a bug"})


RIGHT = [
    ("/predict", {"rows": [ROW]}),
    ("/predict", {"columns": {name: [value] for name, value in ROW.items()}}),
    ("/events", {"events": [EVENT]}),
    ("/v2/models/{model}/infer", tensors(ROW)),
]


@pytest.mark.parametrize(("path", "body"), RIGHT)
def test_what_is_answered_is_right_by_the_document(path, body):
    assert valid(body_schema(path), body)


@pytest.mark.parametrize("name", sorted(INPUTS["rows"]))
@pytest.mark.parametrize("value", [None, 15.9, 2**40, "XXX", True, [], "2013-06-01T07:15:00", "2013-06-01T07:15:00Z"])
def test_document_and_answer_agree_on_each_value_of_each_column(name, value):
    body = {"rows": [changed(**{name: value})]}
    said = asked("/predict", body)
    assert (said.status == 200) == valid(body_schema("/predict"), body), said.body


@pytest.mark.parametrize("year", [1, 1900, 2000, 2013, 2024, 9999])
def test_the_pattern_of_moments_takes_the_days_that_there_are(year):
    day, days = date(year, 1, 1), set()
    while day.year == year:
        days.add(day.isoformat())
        if day == date.max:
            break
        day += timedelta(days=1)
    texts = [f"{year:04}-{month:02}-{number:02}" for month in range(14) for number in range(33)]
    for pattern, end in ((LOCAL, "T23:59:59.5"), (INSTANT, "T23:59:59+14:00")):
        assert {text for text in texts if re.search(pattern, text + end)} == days


@pytest.mark.parametrize("text", ["0000-01-01T00:00:00", "2013-06-01T24:00:00", "2013-06-01T23:59:60", "2013-06-01"])
def test_the_pattern_of_moments_takes_no_hour_that_there_is_not(text):
    assert not re.search(LOCAL, text)
    assert not re.search(INSTANT, f"{text}Z")


APPLICATION = Application(InProcess())
LOOP = asyncio.new_event_loop()


@settings(deadline=None, max_examples=200, derandomize=True, suppress_health_check=[*HealthCheck])
@given(request=fuzz.requests(DOCUMENT))
def test_replies_to_requests_from_the_document_are_of_the_document(request):
    types = {"content-type": "application/json"} if request.method == "POST" else {}
    body = request.body if request.method == "POST" else None
    said = LOOP.run_until_complete(
        ask(APPLICATION, request.path, body, method=request.method, headers=types | request.headers)
    )
    assert fuzz.fault(request, said, DOCUMENT) == "", (request, said.status, said.body)


@settings(deadline=None, max_examples=50, derandomize=True)
@given(st.data())
def test_what_is_tried_as_right_is_right_by_the_document(data):
    request = data.draw(fuzz.requests(DOCUMENT))
    if request.right and request.body:
        path = request.path.replace("flight-delay", "{model}").replace("v1.3.0", "{version}")
        assert valid(body_schema(path), json.loads(request.body))
