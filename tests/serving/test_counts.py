"""counts: what the versions did is on the page for Prometheus, each series once, and docs/serving.md lists them all."""

import asyncio
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

from prometheus_client.parser import text_string_to_metric_families
from tests.serving.in_process import EVENT, ROW, InProcess, ask, changed
from tests.serving.shelf import running

from pushforward.serving.app import Application
from pushforward.serving.counts import WORDS, Counts
from pushforward.serving.events import Events
from pushforward.serving.journal import Journal
from pushforward.serving.live import Live
from pushforward.serving.memory import Memory

DOCS = Path(__file__).parent.parent.parent / "docs" / "serving.md"


def version(name, starts=1, **measured):
    one = running(SimpleNamespace(starts=starts), name)
    return replace(one, prepared=replace(one.prepared, **measured))


def alive(folder, **arms):
    """Versions by their arms, with a log; nothing of it runs."""
    live = Live(Events(35.0), Journal(folder, print), memory=Memory(folder / "events", 35.0, print))
    live.arms.update(arms)
    return live


def page(live, *questions):
    """The samples of a page, by name and labels, after questions."""

    async def run():
        application = Application(InProcess())
        application.numbers.registry.register(Counts(live))
        for path, body in questions:
            await ask(application, path, body)
        return (await ask(application, "/metrics")).body.decode()

    samples = [one for family in text_string_to_metric_families(asyncio.run(run())) for one in family.samples]
    found = {(one.name, *sorted(one.labels.items())): one.value for one in samples}
    assert len(found) == len(samples), "each series is there once"
    return found


def test_what_happened_to_the_versions_is_counted(tmp_path):
    live = alive(tmp_path, main=version("v1.0.0", 3), canary=version("v2.0.0", 2), shadow=None)
    live.counts.update({name: place + 1 for place, name in enumerate(WORDS)})
    live.journal.rows, live.journal.lost, live.memory.lost = 70, 8, 9
    live.events.add({"id": ["a", "b"]})
    found = page(live)
    for place, name in enumerate(WORDS):
        assert found[f"pushforward_{name}_total",] == place + 1
    assert found["pushforward_log_rows_total",] == 70
    assert found["pushforward_log_rows_lost_total",] == 8
    assert found["pushforward_events_lost_total",] == 9
    assert found["pushforward_worker_restarts",] == 3
    assert found["pushforward_events",] == 2


def test_what_a_version_took_for_a_golden_row_is_told_by_arm_where_it_was_measured(tmp_path):
    main = version("v1.0.0", latency_ms=2.5, memory_mb=3.0)
    found = page(alive(tmp_path, main=main, canary=version("v2.0.0")))
    labels = (("arm", "main"), ("version", "toy@v1.0.0"))
    measured = {key: value for key, value in found.items() if "_golden_" in key[0]}
    assert measured == {
        ("pushforward_golden_row_seconds", *labels): 0.0025,
        ("pushforward_golden_memory_bytes", *labels): 3 * 1024**2,
    }


def test_without_a_log_nothing_is_told_of_one():
    found = page(Live(Events(35.0)))
    assert not [key for key in found if "_log_" in key[0] or "events_lost" in key[0]]


def test_every_series_is_in_the_table_of_the_docs_with_its_labels_and_no_other(tmp_path):
    live = alive(tmp_path, main=version("v1.0.0", latency_ms=1.0, memory_mb=1.0))
    asked = (
        ("/predict", {"rows": [ROW]}),
        ("/predict", {"rows": [changed(flight=1.5)]}),
        ("/events", {"events": [EVENT]}),
    )
    found = {}
    for name, *labels in page(live, *asked):
        if name.startswith("pushforward_") and not name.endswith("_created"):
            histogram = re.sub(r"(request_seconds)_(bucket|count|sum)$", r"\1", name)
            found.setdefault(histogram, set()).update({label for label, _ in labels} - {"le"})
    told = {}
    for line in DOCS.read_text().partition("## Numbers and traces")[2].partition("\n## ")[0].splitlines():
        if line.startswith("| `pushforward_"):
            series, labels = line.split("|")[1:3]
            for name in re.findall(r"`([^`]+)`", series):
                assert name not in told, "once"
                told[name] = set(re.findall(r"`([^`]+)`", labels))
    assert told == found
