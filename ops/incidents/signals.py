"""From a committed fact, an alert of Alertmanager or a person's report to a signal. Pure.

What is no sign of trouble (a loan, a count, a reader that was never lost, whatever operations told themselves) is none.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from mocban.clock import parse_rfc3339
from mocban.errors import RemoteProtocolError
from mocban.events import FACTS, Audited, DeviceChanged, Fact, GateAlarmed
from mocban.ids import check_device
from ops.incidents.model import Kind, Severity, Signal

FACT_KINDS = frozenset({GateAlarmed.kind, DeviceChanged.kind, Audited.kind})
"""Kinds of facts looked at."""
ALERTS: Mapping[str, Kind] = {
    "MocbanKioskOffline": "kiosk-offline",
    "MocbanReaderLost": "reader-lost",
    "MocbanOutboxOld": "outbox-old",
    "MocbanGateStorm": "gate-storm",
}
"""Our own alerts: each joins what facts told of the same."""
PARTS: Mapping[str, Kind] = {
    "reader": "reader-lost", "pad": "reader-lost", "gate": "device-lost", "gate-siren": "device-lost",
    "gate-field": "device-lost", "gate-antenna": "device-lost",
}  # fmt: skip
"""Parts of a device whose loss is an incident; of several antennas each is one, ``gate-antenna-2``."""
CLONE = "clone-suspected"
TEXT_MAX = 300
"""Longest text taken from outside, in characters."""
_SEVERITIES: Mapping[str, Severity] = {
    "critical": "critical", "page": "critical", "error": "major", "major": "major", "warning": "minor",
    "minor": "minor", "info": "info", "none": "info",
}  # fmt: skip
_NUMBER = re.compile(r"-\d+$")
_SUMMARIES = ("summary", "description", "message", "summary_vi")
_AGE_MAX = timedelta(days=365)


def of_fact(row: Mapping[str, Any], own: str) -> Signal | None:
    """What the fact ``row`` (as ``GET /api/v1/facts`` has it) is a sign of. ``own``: our device, which is not heeded.

    RemoteProtocolError if that is no fact.
    """
    try:
        if row["kind"] not in FACT_KINDS or row["device"] == own:
            return None
        cls = FACTS.get((row["kind"], row["kv"]))
        if cls is None:
            return None
        fact: Fact = cls.model_validate(row["data"])
        ident, device = f"fact:{row['id']}", str(row["device"])
        at, heard = parse_rfc3339(row["ts"]), parse_rfc3339(row["rx"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise RemoteProtocolError(f"a fact that is none: {type(error).__name__}") from None
    # A device whose clock stands wrong is still heard; its times would only mislead.
    if not heard - _AGE_MAX <= at <= heard:
        at = heard
    match fact:
        case GateAlarmed():
            args = {"item": fact.item, "reason": fact.reason, "direction": fact.direction}
            return Signal(ident, "fact", "gate-alarm", device, at, heard=heard, args=_said(args))
        case DeviceChanged(part=part, state=state) if (
            kind := PARTS.get(_NUMBER.sub("", part))
        ) and state != "degraded":
            return Signal(
                ident, "fact", kind, device, at, key=_key(kind, part), over=state == "ok",
                heard=heard, args=_said({"part": part, "code": fact.code}),
            )  # fmt: skip
        case Audited(action="clone-suspected"):
            args = _said({"epoch": fact.ref})
            return Signal(
                ident, "fact", "clone", _device(fact.object) or device, at, heard=heard, args=args
            )
        case _:
            return None


def of_alert(
    status: str, labels: Mapping[str, str], annotations: Mapping[str, str], starts: str, ends: str,
    fingerprint: str, now: datetime,
) -> Signal:  # fmt: skip
    """What one alert is a sign of; ``starts`` and ``ends`` as Alertmanager wrote them. ValueError if they are no times.

    Its id is fingerprint, start and status: the same alert repeated is the same signal.
    """
    over = status == "resolved"
    try:
        at = parse_rfc3339(ends if over else starts)
    except OverflowError:
        raise ValueError("a time out of range") from None
    at = min(max(at, now - _AGE_MAX), now)
    name = labels.get("alertname", "")
    print_ = fingerprint or _print(labels)
    device = _device(labels.get("device", ""))
    app = _said({"app": labels.get("app", "")[:16]}).get("app", "")
    kind = ALERTS.get(name, "alert")
    if not device:  # ours always name one; without it nothing can be joined
        kind = "alert"
    if kind == "reader-lost" and "gate" in {app, labels.get("part")}:
        kind, app = "device-lost", "gate"
    key = f"{name[:100]}/{print_[:64]}" if kind == "alert" else _key(kind, app)
    args = {
        "alert": name,
        "say": next(filter(None, (annotations.get(name) for name in _SUMMARIES)), ""),
        "instance": labels.get("instance", ""),
    }
    return Signal(
        f"alert:{print_[:64]}:{starts[:64]}:{status[:16]}", "alert", kind, device, at, app=app, key=key,
        over=over, severity=_SEVERITIES.get(labels.get("severity", "").lower(), ""), args=_said(args),
    )  # fmt: skip


def of_report(ident: str, by: str, say: str, device: str, kind: Kind, at: datetime) -> Signal:
    """What a person saw. ``reported`` stands for itself; another kind joins what is known of it."""
    key = ident if kind == "reported" else _key(kind, "gate" if kind == "device-lost" else "")
    return Signal(
        f"report:{ident}", "person", kind, device, at, key=key, args=_said({"by": by, "say": say})
    )


def _device(text: str) -> str:
    """``text`` if it is a device id."""
    try:
        return check_device(text)
    except ValueError:
        return ""


def _key(kind: Kind, part: str) -> str:
    """What tells two incidents of one kind and one device apart: the part, or the app."""
    return part or "kiosk" if kind in {"device-lost", "kiosk-offline", "outbox-old"} else ""


def _print(labels: Mapping[str, str]) -> str:
    text = "\n".join(f"{name}={value}" for name, value in sorted(labels.items()))
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:16]


def _said(args: Mapping[str, str]) -> dict[str, str]:
    """What is not empty, cut to a line's length and free of control characters."""
    clean = {
        name: "".join(c if c.isprintable() else " " for c in text[:TEXT_MAX]).strip()
        for name, text in args.items()
    }
    return {name: text for name, text in clean.items() if text}
