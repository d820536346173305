"""Numbers for Prometheus: what was answered is counted, and what somebody types is no label."""

import asyncio
from dataclasses import replace

from prometheus_client.parser import text_string_to_metric_families
from tests.serving.in_process import EVENT, ROW, SERVED, InProcess, ask, changed

from pushforward.serving import numbers
from pushforward.serving.app import Application


def after(*questions, versions=None):
    """The series, by name and labels, after questions."""

    async def run():
        application = Application(versions or InProcess())
        for path, body in questions:
            await ask(application, path, body)
        page = await ask(application, "/metrics")
        assert page.headers["content-type"].startswith("text/plain; version=")
        families = text_string_to_metric_families(page.body.decode())
        return {
            (one.name, *sorted(one.labels.items())): one.value
            for family in families
            for one in family.samples
            if one.name.startswith("pushforward_")
        }

    return asyncio.run(run())


def requests(series):
    return {
        tuple(dict(key[1:])[name] for name in ("route", "status", "arm", "version")): value
        for key, value in series.items()
        if key[0] == "pushforward_requests_total"
    }


def test_replies_rows_and_seconds_are_counted_by_route():
    two = {"rows": [ROW, changed(flight_id="b")]}
    series = after(("/predict", two), ("/predict", two), ("/events", {"events": [EVENT]}), ("/v2/health/live", None))
    assert requests(series) == {
        ("/predict", "200", "main", "flight-delay@v1.3.0"): 2,
        ("/events", "200", "", ""): 1,
        ("/v2/health/live", "200", "", ""): 1,
    }
    assert series["pushforward_rows_total", ("route", "/predict")] == 4
    assert series["pushforward_rows_total", ("route", "/events")] == 1
    assert series["pushforward_request_seconds_count", ("route", "/predict")] == 2
    assert series["pushforward_requests_open",] == 1  # the page itself
    version = (("digest", SERVED.digest), ("environment", "production"), ("version", "flight-delay@v1.3.0"))
    assert series["pushforward_served", *version] == 1


def test_refusals_are_counted_by_column_and_no_other_word():
    wrong = [{"rows": [changed(flight=1.5)]}, {"rows": [changed(zzz=1)]}, {"rows": [changed(yyy=1)]}, b"{"]
    series = after(*(("/predict", body) for body in wrong), ("/nowhere", None), ("/v2/models/nobody/infer", wrong[0]))
    refusals = {tuple(value for _, value in key[1:]): n for key, n in series.items() if "refusals_total" in key[0]}
    assert refusals == {
        ("flight", "/predict"): 1,
        ("other", "/predict"): 3,
        ("other", "other"): 1,
        ("other", "/v2/models/infer"): 1,
    }
    assert requests(series)["other", "404", "", ""] == 1


def test_versions_beyond_the_first_few_dozen_share_a_series(monkeypatch):
    monkeypatch.setattr(numbers, "MOST_VERSIONS", 3)

    async def run():
        versions = InProcess()
        application = Application(versions)
        for number in range(6):
            versions.served = replace(SERVED, version=f"v1.{number}.0")
            await ask(application, "/predict", {"rows": [ROW]})
        return {key[3] for key in application.numbers._requests}

    assert asyncio.run(run()) == {"flight-delay@v1.0.0", "flight-delay@v1.1.0", "flight-delay@v1.2.0", "other"}


def test_before_a_version_is_served_none_is_told_of():
    assert not [key for key in after(versions=InProcess(None)) if key[0] == "pushforward_served"]


def test_openmetrics_is_spoken_where_it_is_asked_for():
    async def run():
        return await ask(Application(InProcess()), "/metrics", headers={"accept": "application/openmetrics-text"})

    page = asyncio.run(run())
    assert page.headers["content-type"].startswith("application/openmetrics-text")
    assert page.body.endswith(b"# EOF\n")
