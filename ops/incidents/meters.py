"""The metrics of operations. What the store knows is read from it at each scrape; the rest is counted here."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from mocban import meters
from ops.incidents.model import KINDS, SOURCES, STATES
from ops.incidents.store import Store


class Meters:
    """One registry of one service."""

    def __init__(self, store: Store) -> None:
        self.registry = CollectorRegistry()
        self.webhook = Histogram(
            "mocban_ops_webhook_seconds", "From an Alertmanager's delivery to its answer, by what it got", ["outcome"],
            buckets=meters.SECONDS,
            registry=self.registry,
        )  # fmt: skip
        self.truncated = Counter(
            "mocban_ops_alerts_truncated", "Alerts that Alertmanager left out, or that were too many",
            registry=self.registry,
        )  # fmt: skip
        self.malformed = Counter(
            "mocban_ops_alerts_malformed", "Alerts that could not be read", registry=self.registry
        )
        self.intake = Gauge(
            "mocban_ops_intake_timestamp_seconds", "When every fact of the gateway was last read",
            registry=self.registry,
        )  # fmt: skip
        for outcome in ("stored", "refused", "failed"):
            self.webhook.labels(outcome)
        self.registry.register(meters.Read(lambda: _stored(store)))

    def read(self, now: datetime) -> None:
        """Every fact there is has been read."""
        self.intake.set(now.timestamp())

    def render(self) -> bytes:
        """Prometheus text: ours, then the kernel's."""
        return meters.text(self.registry)


def _stored(store: Store) -> Iterable[Metric]:
    """Numbers the store knows. StorageError if it cannot be read."""
    signals, incidents = store.tally()
    taken = CounterMetricFamily("mocban_ops_signals", "Signals taken", labels=["source"])
    for source in SOURCES:
        taken.add_metric([source], signals.get(source, 0))
    yield taken
    standing = GaugeMetricFamily("mocban_ops_incidents", "Incidents", labels=["state", "kind"])
    for state in STATES:
        for kind in KINDS:
            standing.add_metric([state, kind], incidents.get((state, kind), 0))
    yield standing
