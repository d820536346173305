"""Counts of the versions for Prometheus: swaps, candidates that failed, faults, the log; `serve` registers them."""

from collections.abc import Iterator

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pushforward.serving.live import Live

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
        words = "Events that went before their time, for want of memory."
        yield CounterMetricFamily("pushforward_events_dropped", words, value=live.events.dropped)
        running = [one for one in live.arms.values() if one is not None]
        restarts = sum(max(0, one.channel.starts - 1) for one in running)
        yield GaugeMetricFamily("pushforward_worker_restarts", "Workers started anew.", value=restarts)
        yield GaugeMetricFamily("pushforward_events", "Events kept for the next version.", value=live.events.rows)
