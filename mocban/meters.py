"""What the metrics of our services have in common, beside their numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import Metric

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
"""Buckets of what should last milliseconds."""


class Read:
    """Metrics that are read anew at each scrape; what ``collect`` raises ends it: missing rather than wrong."""

    def __init__(self, collect: Callable[[], Iterable[Metric]]) -> None:
        self.collect = collect

    def describe(self) -> Iterable[Metric]:
        """Names are only known at a scrape."""
        return ()


def text(registry: CollectorRegistry) -> bytes:
    """Prometheus text: those of ``registry``, then the kernel's."""
    return generate_latest(registry) + generate_latest(REGISTRY)
