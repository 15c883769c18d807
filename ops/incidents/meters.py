"""The metrics of operations. What the store knows is read from it at each scrape; the rest is counted here."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from ops.incidents.model import KINDS, SOURCES, STATES
from ops.incidents.store import Store


class Meters:
    """One registry of one service."""

    def __init__(self, store: Store) -> None:
        self.registry = CollectorRegistry()
        self.webhook = Histogram(
            "mocban_ops_webhook_seconds", "From an Alertmanager's delivery to its answer, by what it got", ["outcome"],
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
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
        self.registry.register(_Stored(store))

    def read(self, now: datetime) -> None:
        """Every fact there is has been read."""
        self.intake.set(now.timestamp())

    def render(self) -> bytes:
        """Prometheus text: ours, then the kernel's."""
        return generate_latest(self.registry) + generate_latest(REGISTRY)


class _Stored:
    """Numbers the store knows."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def collect(self) -> Iterable[Metric]:
        """Read the store; StorageError ends the scrape, which is then missing rather than wrong."""
        signals, incidents = self._store.tally()
        taken = CounterMetricFamily("mocban_ops_signals", "Signals taken", labels=["source"])
        for source in SOURCES:
            taken.add_metric([source], signals.get(source, 0))
        yield taken
        standing = GaugeMetricFamily("mocban_ops_incidents", "Incidents", labels=["state", "kind"])
        for state in STATES:
            for kind in KINDS:
                standing.add_metric([state, kind], incidents.get((state, kind), 0))
        yield standing

    def describe(self) -> Iterable[Metric]:
        """Names are only known at a scrape."""
        return ()
