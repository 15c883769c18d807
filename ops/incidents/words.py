"""Incidents and their timelines in plain words, from what the API answers. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ops.incidents.model import What

Say = Callable[[str], str]
"""A catalog's gettext."""


def N_(text: str) -> str:  # noqa: N802  gettext's own name for "translate later"
    """Mark ``text`` for the catalog."""
    return text


TITLES: Mapping[str, str] = {
    "gate-alarm": N_("Gate {device} alarmed"),
    "gate-storm": N_("Gate {device} alarms without end: probably a fault of the gate"),
    "reader-lost": N_("The reader of {device} does not answer"),
    "kiosk-offline": N_("{device} ({app}) is not connected"),
    "outbox-old": N_("{device} ({app}) cannot deliver its reports"),
    "device-lost": N_("The gate reader of {device} does not answer"),
    "clone": N_("Two tell as {device}: perhaps a copied memory card"),
    "reported": N_("Reported: {say}"),
    "alert": N_("Alert {alert}: {say}"),
}
"""By ``title_key``."""

KIND_WORDS: Mapping[str, str] = {
    "gate-alarm": N_("gate alarm"),
    "gate-storm": N_("faulty gate"),
    "reader-lost": N_("reader lost"),
    "kiosk-offline": N_("not connected"),
    "outbox-old": N_("reports not delivered"),
    "device-lost": N_("device lost"),
    "clone": N_("copied device"),
    "reported": N_("report"),
    "alert": N_("alert"),
}

STATE_WORDS: Mapping[str, str] = {
    "open": N_("new"),
    "acked": N_("in hand"),
    "resolved": N_("resolved"),
}
SEVERITY_WORDS: Mapping[str, str] = {
    "info": N_("info"),
    "minor": N_("minor"),
    "major": N_("major"),
    "critical": N_("critical"),
}

LINES: Mapping[What, str] = {
    "opened": N_("Opened"),
    "signal": N_("Told {count} more times"),
    "became": N_("This is rather: {kind_words}"),
    "over": N_("It is over, as {actor_words} tells"),
    "truncated": N_("{count} more alerts did not reach us"),
    "acked": N_("{actor_words} sees to it"),
    "noted": N_("Note"),
    "resolved": N_("Resolved"),
    "playbook-begun": N_("Playbook {playbook} began by itself"),
    "playbook-refused": N_("Playbook {playbook} did not begin: {say}"),
}
"""By an entry's ``what``; whoever else writes into timelines brings words of its own."""
FADED = N_("Resolved by itself: over, and nobody was needed")

ERRORS: Mapping[str, tuple[str, str]] = {
    "incident-unknown": (N_("there is no such incident"), N_("see mocban ops incidents list")),
    "already": (N_("this incident is resolved already"), N_("report it anew if it is back")),
}
"""By code: what is wrong, and what to do."""


def title(incident: Mapping[str, Any], say: Say) -> str:
    """One line that says what it is."""
    kind = str(incident["title_key"])
    values = _Known(incident.get("args") or {})
    values.update(device=incident["device"] or say(N_("somewhere")), app=incident["app"] or "kiosk")
    text = say(TITLES[kind]).format_map(values) if kind in TITLES else kind
    text = plain(text).strip().rstrip(":")
    if kind in {"gate-alarm", "gate-storm"} and incident["signals"] > 1:
        text += f" ({incident['signals']})"
    elif kind == "reported" and incident["device"]:
        text += f" ({incident['device']})"
    return text


def line(entry: Mapping[str, Any], say: Say, more: Mapping[str, str] | None = None) -> str:
    """One entry in a line; ``more``: words for further ``what``. What nobody has words for is named by its name."""
    what, actor = str(entry["what"]), str(entry["actor"])
    args = dict(entry.get("args") or {})
    texts: dict[str, str] = {**dict(LINES.items()), **(more or {})}
    text = texts.get(what, "")
    values = _Known(args)
    values["count"] = args.get("count", "1")
    values["actor_words"] = who(actor, say)
    values["kind_words"] = say(KIND_WORDS[args["kind"]]) if args.get("kind") in KIND_WORDS else ""
    if what == "resolved" and actor == "app:ops":
        said = say(FADED)
    elif text:
        said = say(text).format_map(values)
    else:
        said = " ".join([what, *(f"{name}={value}" for name, value in sorted(args.items()))])
    if what == "opened" and args.get("say"):
        said += f": {args['say']}"
    return plain(f"{said}: {entry['text']}" if entry.get("text") else said)


def plain(text: str) -> str:
    """``text`` in one line, without what would command a terminal or turn the reading about."""
    return "".join(c if c.isprintable() else " " for c in text)


def who(actor: str, say: Say) -> str:
    """An actor's name."""
    kind, _, name = actor.partition(":")
    if kind == "app":
        return {"ops": say(N_("the system")), "alertmanager": "Alertmanager"}.get(name, name)
    return name or say(N_("somebody"))


class _Known(dict[str, str]):
    """Values of a sentence; what is not known is left out."""

    def __missing__(self, key: str) -> str:
        return ""
