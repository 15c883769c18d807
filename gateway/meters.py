"""The gateway's metrics. What the store knows is read from the store at each scrape, so that the page, the API and
``/metrics`` cannot disagree and nothing is forgotten at a restart; the rest is counted here.
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from gateway.beats import Beats
from gateway.store.port import Readings, dead_by_reason, revived_by_reason
from mocban import meters

_SAYS = {
    "loans": "Loans told by kiosks",
    "returns": "Returns told by kiosks",
    "refused": "Items refused at kiosks",
    "alarms": "Alarms of gates",
    "people_in": "People who came in through gates",
    "people_out": "People who left through gates",
}
_TOLD = {
    "heartbeat_seconds": "From one of its heartbeats to the next",
    "uptime_seconds": "How long the process runs",
    "outbox_waiting": "Facts the gateway has not confirmed",
    "outbox_oldest_timestamp_seconds": "When the oldest of them happened, by our clock",
    "disk_free_bytes": "Bytes free where the outbox lies",
    "clock_skew_seconds": "How far its clock is ahead of ours",
}
"""Gauges of a heartbeat, without ``mocban_device_``."""


class Meters:
    """One registry of one gateway."""

    def __init__(self, readings: Readings, beats: Beats) -> None:
        self.registry = CollectorRegistry()
        self.batch = Histogram(
            "mocban_gateway_batch_messages",
            "Messages in one transaction",
            buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500),
            registry=self.registry,
        )
        self.commit = Histogram(
            "mocban_gateway_commit_seconds",
            "Time to store one batch durably",
            buckets=meters.SECONDS,
            registry=self.registry,
        )
        self.storage_failures = Counter(
            "mocban_gateway_storage_failures",
            "Batches the disk refused; they are tried again",
            registry=self.registry,
        )
        self.connections = Counter(
            "mocban_gateway_connections",
            "Connections to the broker that became ready",
            registry=self.registry,
        )
        self.connected = Gauge(
            "mocban_gateway_connected",
            "1 while the canary has come back on this connection",
            registry=self.registry,
        )
        self.unsent = Counter(
            "mocban_gateway_unsent",
            "Messages of ours the broker did not take, by its reason",
            ["reason"],
            registry=self.registry,
        )
        self.registry.register(meters.Read(lambda: _stored(readings)))
        self.registry.register(meters.Read(lambda: _devices(readings, beats)))

    def render(self) -> bytes:
        """Prometheus text: ours, then the kernel's."""
        return meters.text(self.registry)


def _stored(readings: Readings) -> Iterable[Metric]:
    """Numbers the store knows. StorageError if it cannot be read."""
    tally = readings.tally()
    yield CounterMetricFamily("mocban_gateway_facts", "Facts committed", value=tally.get("new", 0))
    yield CounterMetricFamily(
        "mocban_gateway_duplicates",
        "Facts and dead letters that came again",
        value=tally.get("duplicate", 0),
    )
    dead = CounterMetricFamily(
        "mocban_gateway_dead", "Messages that cannot be facts", labels=["reason"]
    )
    for reason, amount in dead_by_reason(tally).items():
        dead.add_metric([reason], amount)
    yield dead
    revived = CounterMetricFamily(
        "mocban_gateway_revived", "Dead letters that became facts after all", labels=["reason"]
    )
    for reason, amount in revived_by_reason(tally).items():
        revived.add_metric([reason], amount)
    yield revived
    clones = CounterMetricFamily(
        "mocban_gateway_clones", "Other facts told at a place taken", labels=["device"]
    )
    by_device: dict[str, int] = {}
    for (device, _), amount in readings.clones().items():
        by_device[device] = by_device.get(device, 0) + amount
    for device, amount in by_device.items():
        clones.add_metric([device], amount)
    yield clones
    yield GaugeMetricFamily(
        "mocban_gateway_watermark_lag",
        "Missing below the highest seen, all epochs",
        value=readings.lag(),
    )
    for measure, amount in readings.totals().items():
        yield CounterMetricFamily(f"mocban_{measure}", _SAYS[measure], value=amount)


def _devices(readings: Readings, beats: Beats) -> Iterable[Metric]:
    """Each app of each device. Of one that fell silent only ``up`` and ``last_seen`` stay: old values look alive."""
    rows = readings.devices()
    names = ["device", "app"]
    up = GaugeMetricFamily(
        "mocban_device_up",
        "1 while the app says that it is there, 0 after its will",
        labels=names,
    )
    for row in rows:
        if row.app and row.online is not None:
            up.add_metric([row.device, row.app], row.online)
    yield up
    seen = GaugeMetricFamily(
        "mocban_device_last_seen_timestamp_seconds", "When it was last heard of, by our clock", labels=names
    )  # fmt: skip
    for (device, app), at in beats.seen(rows).items():
        if app:
            seen.add_metric([device, app], at.timestamp())
    yield seen
    alarms = CounterMetricFamily("mocban_gate_alarms", "Alarms of one gate", labels=["device"])
    gates = {row.device: 0 for row in rows if row.app == "gate"}
    for device, amount in {**gates, **readings.by_device("alarms")}.items():
        alarms.add_metric([device], amount)
    yield alarms
    bad = CounterMetricFamily(
        "mocban_gateway_beats_bad", "Heartbeats that were of no use", labels=["reason"]
    )
    for reason, amount in beats.bad().items():
        bad.add_metric([reason], amount)
    yield bad
    yield from _beating(beats)


def _beating(beats: Beats) -> Iterable[Metric]:
    """What the last heartbeat of each says, while it can be believed."""
    names = ["device", "app"]
    info = GaugeMetricFamily(
        "mocban_device_info", "Always 1; what it runs", labels=[*names, "version", "mode"]
    )
    part = GaugeMetricFamily(
        "mocban_device_part_ok", "1 if the named part of the device is well", labels=[*names, "part"]
    )  # fmt: skip
    numbers = {
        name: GaugeMetricFamily(f"mocban_device_{name}", say, labels=names)
        for name, say in _TOLD.items()
    }
    for key, heard in beats.fresh().items():
        rx, beat = heard.rx, heard.beat
        info.add_metric([*key, beat.version, beat.mode], 1)
        for name, state in sorted(beat.parts.items()):
            part.add_metric([*key, name], state == "ok")
        says: dict[str, float | None] = {
            "heartbeat_seconds": beat.every,
            "uptime_seconds": beat.uptime,
            "outbox_waiting": beat.waiting,
            "disk_free_bytes": beat.disk_free,
            "clock_skew_seconds": (beat.clock - rx).total_seconds(),
        }
        if beat.oldest is not None:
            # Its age by the device's own clock, which may be wrong, brought to ours.
            age = (beat.clock - beat.oldest).total_seconds()
            says["outbox_oldest_timestamp_seconds"] = rx.timestamp() - age
        for name, value in says.items():
            if value is not None:
                numbers[name].add_metric(key, value)
    yield from (info, part, *numbers.values())
