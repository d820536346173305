"""Rows and events by name, over an application: what is answered, and who answered it."""

import pytest
from tests.serving.in_process import EVENT, ROW, SERVED, InProcess, asked, changed

from pushforward.serving.port import RefusedError, UnavailableError


def test_predictions_come_in_the_order_of_the_rows_with_version_digest_and_arm():
    rows = [changed(flight_id=name) for name in "abc"]
    said = asked("/predict", {"rows": rows}, headers={"x-request-id": "r-7"})
    assert said.status == 200
    assert said.json == {
        "model": "flight-delay",
        "version": "flight-delay@v1.3.0",
        "digest": SERVED.digest,
        "arm": "main",
        "request": "r-7",
        "predictions": {"p": [0.125] * 3},
    }
    assert said.headers | {"content-length": ""} == {
        "content-type": "application/json",
        "content-length": "",
        "x-request-id": "r-7",
        "pushforward-version": "flight-delay@v1.3.0",
        "pushforward-digest": SERVED.digest,
        "pushforward-arm": "main",
    }


def test_a_canary_says_that_it_is_one():
    from dataclasses import replace

    versions = InProcess()
    versions.canary = replace(SERVED, version="v1.4.0", digest="cd" * 32)
    said = asked("/predict", {"rows": [ROW]}, versions=versions)
    assert (said.json["arm"], said.json["version"]) == ("canary", "flight-delay@v1.4.0")
    assert (said.headers["pushforward-arm"], said.headers["pushforward-digest"]) == ("canary", "cd" * 32)


def test_rows_are_counted_whatever_key_the_version_has_that_answers():
    from dataclasses import replace

    versions = InProcess()
    versions.canary = replace(SERVED, version="v1.4.0", key="of_another_holdout")
    said = asked("/predict", {"rows": [ROW, changed(flight_id="b")]}, versions=versions)
    assert (said.status, said.json["version"]) == (200, "flight-delay@v1.4.0")
    assert said.json["predictions"] == {"p": [0.125, 0.125]}


def test_events_are_told_and_counted():
    versions = InProcess()
    first = asked("/events", {"events": [EVENT, EVENT]}, versions=versions).json
    second = asked("/events", {"columns": {name: [value] for name, value in EVENT.items()}}, versions=versions).json
    assert [(one["taken"], one["known"]) for one in (first, second)] == [(2, 2), (1, 3)]
    assert first["version"] == "flight-delay@v1.3.0"


def test_a_wrong_event_tells_nothing_to_anybody():
    versions = InProcess()
    said = asked("/events", {"events": [EVENT, EVENT | {"delay": 1.5}]}, versions=versions)
    assert (said.status, said.json["field"], said.json["row"]) == (422, "delay", 1)
    assert versions.events == []


def test_a_version_without_events_takes_none():
    from dataclasses import replace

    said = asked("/events", {"events": [EVENT]}, versions=InProcess(replace(SERVED, events=False)))
    assert (said.status, said.json["error"]) == (404, "flight-delay@v1.3.0 takes no events")


def test_a_wrong_row_is_told_by_field_row_and_request():
    said = asked("/predict", {"rows": [changed(flight=15.9)]}, headers={"x-request-id": "r-7"})
    assert said.status == 422
    assert said.json == {
        "error": "flight, row 0: 15.9 is not an integer",
        "field": "flight",
        "row": 0,
        "request": "r-7",
    }


def test_a_version_that_cannot_answer_is_the_requests_fault_by_its_word():
    versions = InProcess()
    versions.failing = RefusedError("dest", "no such airport")
    said = asked("/predict", {"rows": [ROW]}, versions=versions)
    assert (said.status, said.json["error"], said.json["field"]) == (422, "dest: no such airport", "dest")


@pytest.mark.parametrize("path", ["/predict", "/events", "/v2/models/flight-delay/infer"])
def test_where_nobody_can_answer_it_is_503_and_when_to_ask_again(path):
    said = asked(path, {"rows": [ROW]}, versions=InProcess(None))
    assert (said.status, said.headers["retry-after"]) == (503, "1")
    assert said.json["error"] == "no version is served yet"


def test_a_worker_that_went_away_is_503_too():
    versions = InProcess()
    versions.failing = UnavailableError("the version is being replaced")
    said = asked("/predict", {"rows": [ROW]}, versions=versions)
    assert (said.status, said.json["error"]) == (503, "the version is being replaced")


def test_a_large_body_is_read_beside_others():
    versions = InProcess()
    rows = [changed(flight_id=str(number)) for number in range(1000)]
    assert len(asked("/predict", {"rows": rows}, versions=versions).json["predictions"]["p"]) == 1000
    rows[999]["flight"] = 1.5
    assert asked("/predict", {"rows": rows}, versions=versions).json["row"] == 999
