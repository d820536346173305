"""Numbers of the server for Prometheus: requests, seconds, rows, refusals, and which version is served; for `app`.

One process, so one series of each. What whoever asks has typed is no label: an unknown path, field or version is
`other`, and so is what comes after the first few dozen versions.
"""

from collections.abc import Callable, Collection, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.gc_collector import GCCollector
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from pushforward.serving.port import Versions
from pushforward.serving.reply import Reply, full_name

OTHER = "other"
MOST_VERSIONS = 32  # that have series of their own in the life of a process
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Numbers:
    """The numbers of one server; `registry` takes those of others too."""

    def __init__(self, versions: Versions, waiting: Callable[[], float]) -> None:
        self.registry = CollectorRegistry()
        for collector in (GCCollector, PlatformCollector, ProcessCollector):
            collector(registry=self.registry)
        self.registry.register(_Served(versions))
        self.requests = Counter(
            "pushforward_requests",
            "Replies, by route, status, and the arm and version that predicted.",
            ("route", "status", "arm", "version"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "pushforward_request_seconds",
            "From the request's headers to the reply, by route.",
            ("route",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.rows = Counter(
            "pushforward_rows", "Rows predicted and events taken, by route.", ("route",), registry=self.registry
        )
        self.refusals = Counter(
            "pushforward_refusals", "Refused requests, by route and column.", ("route", "field"), registry=self.registry
        )
        waits = Gauge("pushforward_requests_open", "Requests that wait for their reply.", registry=self.registry)
        waits.set_function(waiting)
        self._versions: set[str] = set()
        self._requests: dict[tuple[str, int, str, str], Counter] = {}
        self._seconds: dict[str, Histogram] = {}
        self._rows: dict[str, Counter] = {}

    def count(self, route: str, reply: Reply, seconds: float) -> None:
        """Count a reply."""
        key = (route, reply.status, reply.arm, self._version(reply.version))
        counter = self._requests.get(key)
        if counter is None:
            counter = self._requests[key] = self.requests.labels(*map(str, key))
            self._seconds.setdefault(route, self.seconds.labels(route))
            self._rows.setdefault(route, self.rows.labels(route))
        counter.inc()
        self._seconds[route].observe(seconds)
        if reply.rows:
            self._rows[route].inc(reply.rows)

    def refuse(self, route: str, field: str, known: Collection[str]) -> None:
        """Count a refusal by the column that it names."""
        self.refusals.labels(route, field if field in known else OTHER).inc()

    def _version(self, version: str) -> str:
        if version not in self._versions and len(self._versions) >= MOST_VERSIONS:
            return OTHER
        self._versions.add(version)
        return version

    def page(self, accept: str) -> tuple[bytes, str]:
        """The page for Prometheus in the format that it accepts, and the name of that format."""
        encoder, kind = choose_encoder(accept)
        return encoder(self.registry), kind


class _Served(Collector):
    """Which version is served, when asked."""

    def __init__(self, versions: Versions) -> None:
        self._versions = versions

    def collect(self) -> Iterator[Metric]:
        served = self._versions.served
        family = GaugeMetricFamily(
            "pushforward_served", "The version that answers.", labels=("version", "digest", "environment")
        )
        if served is not None:
            family.add_metric((full_name(served), served.digest, served.environment), 1)
        yield family
