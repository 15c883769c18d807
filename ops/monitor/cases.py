"""When each rule fires and when not, as tests for ``promtool``. Pure.

In such a test time begins at 0. A series is one sample a scrape; where there is none, the gateway shows it no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ops.monitor.rules import Limits, rules

KIOSK = 'app="kiosk",device="kiosk-1"'
GATE = 'app="gate",device="gate-1"'
OF_KIOSK = {"device": "kiosk-1", "app": "kiosk"}
OF_GATE = {"device": "gate-1", "app": "gate"}
LATE = 1500
"""Seconds of every series: longer than the longest limit and hold together."""


Samples = tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """``rule`` looked at after ``at`` seconds of ``series`` (name to samples): the labels it fires with, or none."""

    rule: str
    what: str
    series: Mapping[str, Samples]
    at: int
    fires: Mapping[str, str] | None = None


def cases(limits: Limits) -> tuple[Case, ...]:
    """At least one of each kind for each rule."""
    step, n = limits.scrape, LATE // limits.scrape + 1
    held = {rule.name: rule.hold for rule in rules(limits)}
    seen, up = (
        f"mocban_device_last_seen_timestamp_seconds{{{KIOSK}}}",
        f"mocban_device_up{{{KIOSK}}}",
    )
    beat = f"mocban_device_heartbeat_seconds{{{KIOSK}}}"
    part = f'mocban_device_part_ok{{{KIOSK},part="%s"}}'
    oldest = f"mocban_device_outbox_oldest_timestamp_seconds{{{KIOSK}}}"
    alarms, gate_up = 'mocban_gate_alarms_total{device="gate-1"}', f"mocban_device_up{{{GATE}}}"

    def flat(value: float | None, length: int = n) -> Samples:
        return (value,) * length

    def from_(second: int, before: float | None, after: float | None) -> Samples:
        at = -(-second // step)
        return flat(before, at) + flat(after, n - at)

    def first(second: int) -> int:
        """The first look at or after ``second``."""
        return -(-second // step) * step

    def after(second: int, rule: str = "") -> int:
        """A look at which a condition true since ``second`` has lasted long enough."""
        return first(second) + first(held.get(rule, 0)) + step

    now = tuple(float(i * step) for i in range(n))
    quiet = limits.beats * 30
    offline, lost, old, storm = (
        "MocbanKioskOffline",
        "MocbanReaderLost",
        "MocbanOutboxOld",
        "MocbanGateStorm",
    )
    many, few = float(limits.storm + 2), float(limits.storm - 2)
    return (
        Case(offline, "its will was told", {up: from_(300, 1, 0), seen: now}, after(300, offline), OF_KIOSK),
        *([Case(offline, "its will was told a moment ago", {up: from_(300, 1, 0), seen: now}, first(300))]
          if held[offline] else []),
        Case(offline, "silent, but not for long", {up: flat(1), seen: tuple(min(300.0, at) for at in now)},
             300 // step * step + quiet // step * step),
        Case(offline, "it was a restart", {up: from_(300, 1, 0)[: 300 // step + 1] + flat(1), seen: now},
             after(300, offline)),
        Case(offline, "the gateway was away meanwhile", {up: from_(300, 0, None), seen: from_(300, 0, None)},
             after(600), OF_KIOSK),
        Case(offline, "silent, and nobody told a will", {up: flat(1), seen: flat(0)}, after(quiet, offline), OF_KIOSK),
        Case(offline, "silent since before the gateway started", {seen: flat(0), up: flat(1), beat: flat(None)},
             after(quiet, offline), OF_KIOSK),
        Case(offline, "it beats slowly", {up: flat(1), seen: flat(0), beat: flat(300)}, after(quiet, offline)),
        Case(offline, "it beats", {up: flat(1), seen: now, beat: flat(30)}, LATE),
        Case(offline, "a device of another maker that does not beat",
             {'mocban_device_last_seen_timestamp_seconds{app="door",device="door-1"}': flat(0)}, LATE),
        Case(lost, "the reader is gone", {part % "reader": from_(300, 1, 0)}, after(300, lost),
             {**OF_KIOSK, "part": "reader"}),
        Case(lost, "another part is gone", {part % "ils": flat(0), part % "reader": flat(1)}, LATE),
        Case(lost, "the whole kiosk fell silent", {part % "reader": from_(step, 0, None)}, LATE),
        Case(old, "the gateway stores nothing", {oldest: flat(0)}, after(limits.outbox, old), OF_KIOSK),
        Case(old, "facts come and go", {oldest: now}, LATE),
        Case(old, "facts wait, but not for long", {oldest: tuple(at - limits.outbox + step for at in now)}, LATE),
        *([Case(old, "it came back with a day's facts a moment ago", {oldest: from_(300, None, -86400)}, first(300))]
          if held[old] else []),
        Case(old, "it came back with a day's facts, and they went",
             {oldest: from_(max(1, held[old] - step), -86400, None)}, after(0, old)),
        Case(storm, "more alarms than any thief makes", {alarms: from_(300, 0, many), gate_up: flat(1)},
             after(300, storm), OF_GATE),
        Case(storm, "a few alarms", {alarms: from_(300, 0, few), gate_up: flat(1)}, after(300, storm)),
        Case(storm, "a day's alarms, told by a gate that was away",
             {alarms: from_(300, 0, many), gate_up: from_(300 - step, 0, 1)}, after(300, storm)),
        Case(storm, "many alarms in a whole day", {alarms: tuple(i * step / 60 for i in range(n)), gate_up: flat(1)},
             LATE),
    )  # fmt: skip


def as_file(limits: Limits, rule_file: str) -> dict[str, Any]:
    """The file ``promtool test rules`` takes; ``rule_file`` is the rules' name beside it."""
    return {
        "rule_files": [rule_file],
        "evaluation_interval": f"{limits.scrape}s",
        "tests": [_one(case, limits) for case in cases(limits)],
    }


def _one(case: Case, limits: Limits) -> dict[str, Any]:
    rule = next(rule for rule in rules(limits) if rule.name == case.rule)
    expected = []
    if case.fires is not None:
        labels = {**case.fires, **rule.all_labels()}
        expected = [{"exp_labels": labels, "exp_annotations": rule.said(labels)}]
    return {
        "name": f"{case.rule}: {case.what}",
        "interval": f"{limits.scrape}s",
        "input_series": [
            {
                "series": name,
                "values": " ".join("stale" if value is None else f"{value:g}" for value in values),
            }
            for name, values in case.series.items()
        ],
        "alert_rule_test": [
            {"alertname": rule.name, "eval_time": f"{case.at}s", "exp_alerts": expected}
        ],
    }
