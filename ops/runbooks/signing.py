"""Before a person signs: that it is what they were asked about, and what it says, in words made of it. Pure."""

from __future__ import annotations

import hashlib
from typing import Any

from mocban import commands, identity
from mocban.errors import RemoteProtocolError
from ops.incidents.words import plain
from ops.runbooks.asks import NAMESPACE
from ops.runbooks.saying import N_, moment, name, say


def check(found: dict[str, Any], ask: dict[str, Any]) -> None:
    """Only what was asked about is ever signed: this step of this execution, its commands as shown, and orders."""
    run = found["execution"]
    first, *orders = ask["documents"]
    body = first["body"]
    hashed = [_digest(one) for one in ask.get("commands", ())]
    right = (
        first["namespace"] == NAMESPACE
        and (body.get("v"), body.get("execution"), body.get("step")) == (1, run["id"], ask["step"])
        and body.get("playbook") == run["playbook"]["sha256"]
        and body.get("by") == run["by"]
        and body.get("commands") == hashed
        and all(one["namespace"] == commands.NAMESPACE for one in orders)
        and all(_digest(one["body"]) in hashed for one in orders)
    )
    if not right:
        raise RemoteProtocolError(
            "the service asks to sign something else",
            "sign nothing, and look at the service",
            code="bad-ask",
        )


def words(found: dict[str, Any], ask: dict[str, Any], lang: str) -> list[str]:
    """What is signed, in words made of the documents themselves."""
    run, body = found["execution"], ask["documents"][0]["body"]
    row = next(row for row in found["steps"] if row["id"] == ask["step"])
    lines = [
        say(lang, N_("You sign:")),
        "  " + say(lang, N_("Playbook: {playbook}"), playbook=name(run["playbook"], lang)),
        "  " + say(lang, N_("Step: {step}"), step=name(row, lang)),
        "  " + say(lang, N_("Begun by: {by}"), by=str(body["by"]).partition(":")[2]),
        "  " + say(lang, N_("To be approved until: {until}"), until=moment(body["expires"])),
    ]
    for one in ask["documents"][1:]:
        order = one["body"]
        args = " ".join(f"{k}={v}" for k, v in order["args"].items())
        what = f"{order['app']} {order['name']} {args}".strip()
        lines.append(
            "  " + say(
                lang, N_("Order to {device}: {what}, valid until {until}"), device=order["device"], what=what,
                until=moment(order["expires"]),
            )
        )  # fmt: skip
    return [*map(plain, lines), *(f"  {text}" for text in calls(ask))]


def calls(ask: dict[str, Any]) -> list[str]:
    """The commands of ``ask`` that are no orders, to the letter."""
    lines: list[str] = []
    for one in ask["commands"]:
        if "device" in one:
            continue  # an order has a document of its own, if it is still to be given
        lines.append(f"{one['type']}: {one['command']}")
        lines += [f"  {name}: {value}" for name, value in one.get("headers", ())]
        lines += [f"  {part}" for part in one.get("content", "").splitlines()]
    return [plain(text) for text in lines]


def _digest(body: dict[str, Any]) -> str:
    return hashlib.sha256(identity.canonical(body)).hexdigest()
