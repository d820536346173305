"""Counts of the versions for Prometheus: swaps, candidates that failed, faults, the log; `serve` registers them."""

from collections.abc import Iterator, Mapping

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pushforward.serving.candidate import MIB
from pushforward.serving.live import Live, Running
from pushforward.serving.port import Arm

WORDS = {
    "swaps": "Versions that have taken over an arm, or left it.",
    "candidates_failed": "Candidates that could not be served; the version before answers on.",
    "faults": "Answers that a version failed at, and workers that ended.",
    "taken_back": "Canaries that were taken back.",
    "unread": "Looks at the refs that failed; what is served stays.",
    "left_out": "Requests that a canary or shadow was not compared on, for too many were under way.",
    "shadow_failed": "Answers that a shadow failed at.",
}


class Counts(Collector):
    """The counts, when somebody asks."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def collect(self) -> Iterator[Metric]:
        """Each as one series."""
        live, journal = self._live, self._live.journal
        for name, words in WORDS.items():
            yield CounterMetricFamily(f"pushforward_{name}", words, value=live.counts[name])
        if journal is not None:
            yield CounterMetricFamily("pushforward_log_rows", "Rows written to the log.", value=journal.rows)
            yield CounterMetricFamily("pushforward_log_rows_lost", "Rows that are not in the log.", value=journal.lost)
        if live.memory is not None:
            words = "Events that are known and not on disk: a restart forgets them."
            yield CounterMetricFamily("pushforward_events_lost", words, value=live.memory.lost)
        words = "Events that went before their time, for want of memory."
        yield CounterMetricFamily("pushforward_events_dropped", words, value=live.events.dropped)
        running = {arm: one for arm, one in live.arms.items() if one is not None}
        yield from _asked(running)
        restarts = sum(max(0, one.channel.starts - 1) for one in running.values())
        yield GaugeMetricFamily("pushforward_worker_restarts", "Workers started anew.", value=restarts)
        yield GaugeMetricFamily("pushforward_events", "Events kept for the next version.", value=live.events.rows)


def _asked(running: Mapping[Arm, Running]) -> Iterator[Metric]:
    """What the versions took when they were asked for their golden rows, before they answered."""
    names = ("arm", "version")
    row = GaugeMetricFamily("pushforward_golden_row_seconds", "How long a golden row took (median).", labels=names)
    memory = GaugeMetricFamily("pushforward_golden_memory_bytes", "Memory after the golden rows.", labels=names)
    for arm, one in running.items():
        if one.prepared.latency_ms is not None:
            row.add_metric((arm, one.name), one.prepared.latency_ms / 1000)
        if one.prepared.memory_mb is not None:
            memory.add_metric((arm, one.name), one.prepared.memory_mb * MIB)
    yield from (row, memory)
