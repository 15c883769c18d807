"""Devices as a person reads them: who is there, what has not come through yet. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from ops.console.feed import Body, Picture
from ops.console.search import holds
from ops.console.view import COLOURS, Eye, Row, marked, severity, title, when, worst_first
from ops.console.words import ago
from ops.runbooks import saying

COLUMNS = ("state", "device", "app", "seen", "waiting", "version", "last")
"""Of the table of devices."""
_ORDER = ("gone", "unknown", "online")


def rows(picture: Picture, eye: Eye, wanted: str = "") -> list[Row]:
    """Devices that hold ``wanted``, gone ones first; cells as in ``COLUMNS``."""
    known = [(_presence(one), one) for one in picture.devices]
    known.sort(
        key=lambda pair: (_ORDER.index(pair[0]), str(pair[1]["device"]), str(pair[1]["app"]))
    )
    found = []
    for name, one in known:
        word, waiting = marked(name, eye.say(name)), _waiting(one)
        cells = (
            word, str(one["device"]), str(one["app"]), eye.since(one.get("seen") or one.get("last_rx")),
            "" if waiting is None else str(waiting), str(one.get("version") or ""), str(one.get("last_kind") or ""),
        )  # fmt: skip
        if holds(wanted, " ".join((word, *cells[1:3], *cells[5:]))):
            found.append(Row(f"{one['device']}/{one['app']}", cells, COLOURS.get(name, "")))
    return found


def presence(picture: Picture, eye: Eye) -> str:
    """How many devices are there, and how long the most silent one was not heard of."""
    say = eye.say
    online = [one.get("online") for one in picture.devices]
    parts = [
        say("devices-online", n=online.count(True)),
        say("devices-gone", n=online.count(False)),
    ]
    if online.count(None):
        parts.append(say("devices-unknown", n=online.count(None)))
    heard = [at for one in picture.devices if one.get("online") and (at := when(one.get("seen")))]
    if heard:
        parts.append(say("heard", ago=_ago(min(heard), eye)))
    return " · ".join(parts)


def outboxes(picture: Picture, eye: Eye) -> str:
    """What has not come through yet, and whose fact has waited longest; a device that says nothing is left out."""
    say = eye.say
    told = [(one, waiting) for one in picture.devices if (waiting := _waiting(one)) is not None]
    if not told:
        return say("age-none")
    full = [(one, waiting) for one, waiting in told if waiting]
    if not full:
        return say("waiting-none")
    text = say("waiting-facts", n=sum(waiting for _, waiting in full), devices=len(full))
    ages = [(at, str(one["device"])) for one, _ in full if (at := when(one.get("oldest")))]
    if not ages:
        return text
    at, device = min(ages)
    return f"{text} · {say('waiting-oldest', ago=_ago(at, eye), device=device)}"


def sheet(body: Body, picture: Picture, eye: Eye) -> list[tuple[str, str]]:
    """All that is known of one app of a device, and the open incidents about it."""
    say, name = eye.say, _presence(body)
    last = (str(body.get("last_kind") or ""), saying.moment(str(body.get("last_ts") or "")))
    facts = {
        "seen": saying.moment(str(body.get("seen") or "")), "since": saying.moment(str(body.get("since") or "")),
        "mode": str(body.get("mode") or ""), "version": str(body.get("version") or ""),
        "facts": str(body.get("facts", "")), "last": " ".join(filter(None, last)), "waiting": _held(body, eye),
    }  # fmt: skip
    lines = [(marked(name, say(name)), COLOURS.get(name, ""))]
    lines += [(f"{say(f'col-{key}')}: {told}", "") for key, told in facts.items() if told]
    about = [one for one in worst_first(picture.incidents) if one.get("device") == body["device"]]
    if about:
        lines += [("", ""), (say("incidents"), "bold")]
        lines += [(f"{one['no']}  {severity(one, eye)}  {title(one, eye)}", "") for one in about]
    return lines


def _held(body: Body, eye: Eye) -> str:
    """Facts that wait on it and the age of the oldest; empty if it does not say."""
    waiting, at = _waiting(body), when(body.get("oldest"))
    if waiting is None:
        return ""
    return f"{waiting} · {eye.say('oldest', ago=_ago(at, eye))}" if waiting and at else str(waiting)


def _waiting(body: Body) -> int | None:
    found = body.get("waiting")
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def _ago(at: datetime, eye: Eye) -> str:
    return ago((eye.now - at.astimezone(UTC)).total_seconds(), eye.say)


def _presence(device: Body) -> str:
    return {True: "online", False: "gone"}.get(device.get("online"), "unknown")  # type: ignore[arg-type]
