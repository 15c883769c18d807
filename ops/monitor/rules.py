"""The alert rules, from which Prometheus' rule file is made. Pure.

Metrics are the gateway's. An app that is gone is found by the age of its last sign of life, since the gateway never
forgets one it knew; ``absent()`` would have to be told of every device. A scrape that fails (the gateway starts anew)
neither raises nor ends an alert by itself, within ``GAP``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ops.incidents.model import SEVERITY, Kind

GROUP = "mocban"
GAP = 600
"""Seconds for which what was last known of an app's state is held to be so."""
DEFAULT_BEAT = 30
"""Seconds between heartbeats of an app that the gateway has not heard since it started."""
EDGE = 'app=~"kiosk|gate"'
"""Apps that always beat; a device of another maker may do without."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What is too much. Times are seconds.

    ``scrape``: between two looks at the metrics. ``beats``: heartbeats an app may miss. ``outbox``: age of the oldest
    fact that waits. ``storm``: alarms of one gate within a minute. ``hold``: how long every condition has to last;
    without it, as long as its rule says.
    """

    scrape: int = 15
    beats: int = 5
    outbox: int = 900
    storm: int = 10
    hold: int | None = None

    @property
    def window(self) -> int:
        """Over which alarms are counted: a minute, or four scrapes if that is more."""
        return max(60, 4 * self.scrape)


@dataclass(frozen=True, slots=True)
class Rule:
    """One alert. ``hold``: seconds its condition has to last. ``words``: language to (what is so, what to do)."""

    name: str
    kind: Kind
    expr: str
    hold: int
    words: Mapping[str, tuple[str, str]]
    labels: Mapping[str, str] = field(default_factory=dict)

    def all_labels(self) -> dict[str, str]:
        """What the rule adds to the labels of its expression."""
        return {"severity": SEVERITY[self.kind], "kind": self.kind, **self.labels}

    def annotations(self) -> dict[str, str]:
        """``summary_vi``, ``do_vi``, ``summary_en``, ``do_en``: templates over the labels."""
        found = {}
        for language, (summary, do) in self.words.items():
            found[f"summary_{language}"], found[f"do_{language}"] = summary, do
        return found

    def said(self, labels: Mapping[str, str]) -> dict[str, str]:
        """The annotations as Prometheus writes them for an alert with ``labels``."""

        def value(match: re.Match[str]) -> str:
            return labels.get(match[1], "")

        return {
            name: re.sub(r"{{ \$labels\.(\w+) }}", value, text)
            for name, text in self.annotations().items()
        }


def rules(limits: Limits) -> tuple[Rule, ...]:
    """The four of them."""

    def hold(usual: int) -> int:
        return usual if limits.hold is None else limits.hold

    device = "{{ $labels.device }}"
    return (
        Rule(
            "MocbanKioskOffline", "kiosk-offline", _offline(limits), hold(60),
            {
                "vi": (
                    f"{device} ({{{{ $labels.app }}}}) mất liên lạc",
                    "Xem máy có điện và có mạng không; nếu có, khởi động lại máy.",
                ),
                "en": (
                    f"{device} ({{{{ $labels.app }}}}) cannot be reached",
                    "Look whether it has power and network; if so, start it again.",
                ),
            },
        ),
        Rule(
            "MocbanReaderLost", "reader-lost", _reader(), hold(30),
            {
                "vi": (
                    f"{device} không thấy đầu đọc ({{{{ $labels.part }}}})",
                    "Kiểm tra nguồn và cáp của đầu đọc; chạy kịch bản mất đầu đọc.",
                ),
                "en": (
                    f"{device} has lost its reader ({{{{ $labels.part }}}})",
                    "Look at the reader's power and cable; run the playbook for a lost reader.",
                ),
            },
        ),
        Rule(
            "MocbanOutboxOld", "outbox-old", _outbox(limits), hold(120),
            {
                "vi": (
                    f"{device} ({{{{ $labels.app }}}}) có mạng nhưng dữ liệu chưa về trung tâm",
                    "Xem ổ đĩa và nhật ký của cổng trung tâm: máy đang chờ xác nhận.",
                ),
                "en": (
                    f"{device} ({{{{ $labels.app }}}}) is connected, but what it tells is not stored",
                    "Look at the gateway's disk and log: the device waits for its watermark.",
                ),
            },
        ),
        Rule(
            "MocbanGateStorm", "gate-storm", _storm(limits), hold(0),
            {
                "vi": (
                    f"Cổng {device} báo động liên tục",
                    "Xem có lô sách nào đặt gần cổng không; chạy kịch bản cổng báo động liên tục.",
                ),
                "en": (
                    f"Gate {device} cries again and again",
                    "Look whether books lie near the gate; run the playbook for a gate storm.",
                ),
            },
            {"app": "gate"},
        ),
    )  # fmt: skip


def _offline(limits: Limits) -> str:
    """Its will was told, or it has been silent for too many of its own heartbeats."""
    seen = f"mocban_device_last_seen_timestamp_seconds{{{EDGE}}}"
    every = f"(mocban_device_heartbeat_seconds{{{EDGE}}} or {seen} * 0 + {DEFAULT_BEAT})"
    return (
        f"max by (device, app) (last_over_time(mocban_device_up{{{EDGE}}}[{GAP}s]) == 0)"
        f" or max by (device, app) (time() - {seen} > {limits.beats} * {every})"
    )


def _reader() -> str:
    """The part of a kiosk or a gate that reads tags; of an app that fell silent nothing is known."""
    return 'max by (device, app, part) (mocban_device_part_ok{part=~"reader|gate"} == 0)'


def _outbox(limits: Limits) -> str:
    """Heartbeats come, so there is a line. What had waited when it came back is gone by the next one, or nearly so."""
    oldest = "mocban_device_outbox_oldest_timestamp_seconds"
    return f"max by (device, app) (time() - {oldest} > {limits.outbox})"


def _storm(limits: Limits) -> str:
    """Not from a gate that was away within two windows: it tells now of alarms long ago."""
    window = limits.window
    alarms = f"sum by (device) (increase(mocban_gate_alarms_total[{window}s])) >= {limits.storm}"
    there = f'min by (device) (min_over_time(mocban_device_up{{app="gate"}}[{2 * window}s])) == 1'
    return f"{alarms} and on (device) {there}"


def rule_file(limits: Limits) -> dict[str, Any]:
    """Prometheus' rule file."""
    return {
        "groups": [
            {
                "name": GROUP,
                "interval": f"{limits.scrape}s",
                "rules": [
                    {
                        "alert": rule.name,
                        "expr": rule.expr,
                        "for": f"{rule.hold}s",
                        "labels": rule.all_labels(),
                        "annotations": rule.annotations(),
                    }
                    for rule in rules(limits)
                ],
            }
        ]
    }


def metrics(limits: Limits) -> set[str]:
    """Names of the metrics the rules ask for."""
    return {name for rule in rules(limits) for name in re.findall(r"mocban_\w+", rule.expr)}


def written(body: Mapping[str, Any]) -> str:
    """As a file of Prometheus or Alertmanager: JSON, which is YAML."""
    return json.dumps(body, ensure_ascii=False, indent=2) + "\n"
