"""Spans of requests, by the middleware of OpenTelemetry where somebody has set it up."""

import asyncio

import pytest
from tests.serving.in_process import EVENT, ROW, InProcess, ask

from pushforward.serving.app import Application
from pushforward.serving.tracing import traced

BODY = {"rows": [ROW]}


@pytest.fixture
def spans():
    """What OpenTelemetry was told, where somebody has set it up in this process."""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    from opentelemetry.util._once import Once

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    yield exporter
    provider.shutdown()
    trace._TRACER_PROVIDER, trace._TRACER_PROVIDER_SET_ONCE = None, Once()


def test_opentelemetry_has_a_span_for_each_request_with_version_and_caller(spans):
    application = traced(Application(InProcess()))
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    async def run():
        await ask(application, "/predict", BODY, headers={"traceparent": parent})
        await ask(application, "/events", {"events": [EVENT]})
        await ask(application, "/v2/health/live")

    asyncio.run(run())
    served = [one for one in spans.get_finished_spans() if one.kind.name == "SERVER"]
    assert [one.name for one in served] == ["POST /predict", "POST /events"]
    assert f"{served[0].context.trace_id:032x}" == parent.split("-")[1]
    assert served[0].attributes["pushforward.version"] == "flight-delay@v1.3.0"
    assert served[0].attributes["pushforward.request"]


def test_without_opentelemetry_set_up_nothing_stands_between():
    application = Application(InProcess())
    assert traced(application) is application
