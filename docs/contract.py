"""Writes docs/contract.md and docs/schemas/ from the code: ``.venv/bin/python docs/contract.py``.

A schema that would break what is committed is not written: a new version of the kind is what to do then.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from mocban import commands, events, feeds, identity, messages, topics
from mocban.clock import rfc3339

HERE = Path(__file__).parent
PAGE, SCHEMAS = HERE / "contract.md", HERE / "schemas"
_AT = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
_IGNORED = frozenset({"title", "description", "$defs"})


def models() -> dict[str, type[BaseModel]]:
    """Everything that travels, by the path of its schema below docs/schemas."""
    return {
        "envelope.1": events.Envelope,
        "ack": messages.Ack,
        "state": messages.State,
        "heartbeat": messages.Heartbeat,
        "receipt": messages.Receipt,
        "request": commands.Request,
        "order": commands.Order,
        "feed": feeds.Feed,
        **{f"facts/{cls.kind}.{cls.kv}": cls for cls in _facts()},
        **{f"commands/{cls.name}.{cls.nv}": cls for cls in _commands()},
    }


def schemas() -> dict[str, str]:
    """Every schema as its file's text."""
    return {
        name: json.dumps(model.model_json_schema(), ensure_ascii=False, indent=1, sort_keys=True)
        + "\n"
        for name, model in sorted(models().items())
    }


def breaks(old: dict[str, Any], new: dict[str, Any], where: str = "") -> list[str]:
    """Why ``new`` is not the same version as ``old``: only an optional property may be added, nothing else changed."""
    found = []
    if set(new.get("required", ())) != set(old.get("required", ())):
        found.append(f"{where or 'it'}: other fields are required")
    found += [
        f"{where or 'it'}: {name} was {old.get(name)!r}, is {new.get(name)!r}"
        for name in sorted({*old, *new} - _IGNORED - {"required", "properties"})
        if old.get(name) != new.get(name)
    ]
    was, now = old.get("properties", {}), new.get("properties", {})
    for name in was:
        if name not in now:
            found.append(f"{where}{name}: gone")
        else:
            found += breaks(was[name], now[name], f"{where}{name}")
    for name, each in old.get("$defs", {}).items():
        found += breaks(each, new.get("$defs", {}).get(name, {}), f"{where}{name}.")
    return found


def page() -> str:
    """The text of docs/contract.md."""
    return "\n".join(
        line.rstrip() for part in _parts() for line in [*part.strip().splitlines(), ""]
    )


def _parts() -> Iterator[str]:
    yield _INTRO
    yield "## Topics\n\n" + _doc(topics).partition("\n\n")[2]
    yield _TOPICS
    yield "## Facts\n\n" + _doc(events)
    yield f"The envelope, at most {events.ENVELOPE_MAX} bytes of UTF-8 JSON:\n\n" + _fields(
        events.Envelope
    )
    yield _IDS + _fact_vector()
    for fact in _facts():
        natural = ", ".join(fact.natural)
        yield (
            f"### `{fact.kind}` version {fact.kv}\n\n{_doc(fact)}\n\nNatural key: {natural}."
            f" When the outbox is full: {_SHED[fact.shed]}.\n\n{_fields(fact)}"
        )
    yield "## Watermarks, state, heartbeats, receipts\n\n" + _doc(messages)
    for message in (messages.Ack, messages.State, messages.Heartbeat, messages.Receipt):
        yield f"### `{message.__name__.lower()}`\n\n{_doc(message)}\n\n{_fields(message)}"
    yield _RULES
    yield "## Signatures\n\n" + _doc(identity)
    yield _signature_vector()
    yield (
        "## Orders\n\n"
        + _doc(commands)
        + "\n\n"
        + _doc(commands.Request)
        + "\n\n"
        + _fields(commands.Request)
    )
    yield _doc(commands.Order) + "\n\n" + _fields(commands.Order, below=commands.Request)
    yield _ORDERS
    for command in _commands():
        yield f"### `{command.name}` version {command.nv}\n\n{_doc(command)}\n\n{_risk(command)}\n\n{_fields(command)}"
    yield (
        "## Feeds\n\n"
        + _doc(feeds)
        + f"\n\nAt most {feeds.ENTRIES_MAX} entries, {feeds.FEED_MAX} bytes.\n\n"
    )
    yield _fields(feeds.Feed) + "\n\nAn entry:\n\n" + _fields(feeds.Entry)
    yield (
        "Names and what they list: "
        + ", ".join(f"`{name}`" for name in feeds.NAMES)
        + ". "
        + _FEEDS
    )
    yield _READERS


def _facts() -> list[type[events.Fact]]:
    return [events.FACTS[key] for key in sorted(events.FACTS)]


def _commands() -> list[type[commands.Command]]:
    return [commands.COMMANDS[key] for key in sorted(commands.COMMANDS)]


def _doc(thing: Any) -> str:
    return (inspect.getdoc(thing) or "").replace("``", "`").strip()


def _fields(model: type[BaseModel], below: type[BaseModel] | None = None) -> str:
    schema = model.model_json_schema()
    known = set(below.model_fields) if below else set()
    rows = ["| field | required | what |", "|-|-|-|"]
    for name, each in schema.get("properties", {}).items():
        if name not in known:
            need = "yes" if name in schema.get("required", ()) else "no"
            rows.append(f"| `{name}` | {need} | {_type(each, schema)} |")
    return "\n".join(rows) if len(rows) > 2 else "No fields."


def _type(each: dict[str, Any], schema: dict[str, Any]) -> str:
    if "$ref" in each:
        target = schema["$defs"][each["$ref"].rpartition("/")[2]]
        return _type(target, schema)
    if "anyOf" in each:
        kinds = " or ".join(_type(one, schema) for one in each["anyOf"])
        return kinds + _default(each)
    if "const" in each:
        return f"always {json.dumps(each['const'])}"
    if "enum" in each:
        return "one of " + ", ".join(f"`{one}`" for one in each["enum"]) + _default(each)
    text = str(each.get("type", "any"))
    if each.get("format"):
        text = {"date-time": "UTC RFC 3339 with `Z`", "uuid": "UUID"}.get(
            each["format"], each["format"]
        )
    if text == "array":
        text = f"list of {_type(each.get('items', {}), schema)}"
    bounds = {
        "pattern": "matches `{}`", "minLength": "at least {} characters", "maxLength": "at most {} characters",
        "minimum": ">= {}", "exclusiveMinimum": "> {}", "maximum": "<= {}", "exclusiveMaximum": "< {}",
        "maxItems": "at most {}",
    }  # fmt: skip
    more = [
        say.format(str(each[key]).replace("|", "\\|")) for key, say in bounds.items() if key in each
    ]
    return ", ".join([text, *more]) + _default(each)


def _default(each: dict[str, Any]) -> str:
    if "default" not in each or each["default"] in (None, {}, []):
        return ""
    return f"; if missing {json.dumps(each['default'], ensure_ascii=False)}"


def _risk(command: type[commands.Command]) -> str:
    always = commands.persons(command.risk, undone=False)
    timed = commands.persons(command.risk, undone=True)
    need = {0: "nobody has", 1: "one person has", 2: "two persons have"}
    text = f"Risk {command.risk.name}: {need[always]} to approve it"
    if timed != always:
        text += f" ({need[timed]} to if it undoes itself after a time)"
    return f"{text}. Obeyed by: {', '.join(sorted(command.apps))}."


def example() -> events.Envelope:
    """The fact every implementation must be able to make, to the byte."""
    fact = events.PeopleCounted(passage=1, entered=2, left=1)
    return events.Envelope(
        id=fact.id_at("door-1"), epoch="0123456789abcdef", seq=1, ts=_AT, mono=12.5, boot="5e" * 16,
        kind=fact.kind, kv=fact.kv, data=fact.model_dump(mode="json"),
    )  # fmt: skip


def _fact_vector() -> str:
    payload = example().encode()
    value = events.chain(events.CHAIN_0, payload).hex()
    return (
        f"\n\nTo test yours: device `door-1`, `people-counted` with natural key `1` has the id `{example().id}`. Its"
        f" envelope below is {len(payload)} bytes, and the chain value after it, as seq 1, is `{value}`.\n\n"
        f"```\n{payload.decode()}\n```"
    )


def _signature_vector() -> str:
    import base64

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    key = identity.SigningKey(
        private, base64.b64encode(private.public_key().public_bytes_raw()).decode()
    )
    request = commands.Request(
        id=UUID(int=1),
        by="app:ops",
        tenant="demo",
        device="kiosk-1",
        app="kiosk",
        name="self-test",
        expires=_AT,
    )
    order = commands.sign(key, request, [], epoch="0123456789abcdef", seq=1, issued=_AT)
    return (
        f"To test yours: the public key of the seed 00 01 … 1f is `{key.public}`, its `kid` `{key.kid}`; with it this"
        f" order is valid until {rfc3339(_AT)}:\n\n```\n{order.encode().decode()}\n```"
    )


_SHED = {
    events.Shed.FIRST: "given up first",
    events.Shed.LATER: "given up second",
    events.Shed.NEVER: "never given up",
}
_INTRO = """
# The contract between edge and centre

Generated from the code by `docs/contract.py`; a test compares. JSON Schemas of all of it stand in `docs/schemas/`.
Within one version of a kind only optional fields are added; a reader ignores fields it does not know.

This page is enough to write a device in any language: `docs/examples/device.mjs` is one in a hundred lines.

1. A device tells **facts**. Each has an id derived from what happened, so telling it again is harmless.
2. Facts wait in an **outbox** that survives a crash. Each gets the next `seq` of the outbox's random `epoch`, without
   gaps.
3. They are published with QoS 1. **The broker's PUBACK proves nothing.** A fact is forgotten only when the gateway's
   **watermark** says that it is committed.
4. The gateway sends **orders**, signed, and **feeds**, signed and retained. A device that obeys neither is complete.
"""
_TOPICS = """
| channel | direction | QoS, retained | payload |
|-|-|-|-|
| `evt/{kind}` | device to gateway | 1 | envelope; user properties `epoch` and `seq` repeat its place |
| `state` | device to gateway | 1, retained | state; the will is the same with `online` false |
| `tel` | device to gateway | 0 | heartbeat; may be lost, nobody answers; a device may do without |
| `ack` | gateway to device | 1 | watermark |
| `cmd/{name}` | gateway to device | 1, with message expiry | order |
| `rsp/{name}` | device to gateway | 1 | receipt of an order |
| `feed/{name}` | gateway to device | 1, retained | feed |

MQTT 5. The device id is `[a-z0-9-]{3,32}`, equal to the certificate's CN and the MQTT user name, and says nothing
about the place. The client id is `device.app`. Subscribe to `ack`, then publish `state`, then the facts.
"""
_IDS = """
`id` is the UUIDv5 in the namespace `6d6f6362-616e-5001-8000-66616374732e` of the device id, the kind and the parts
of the natural key, as text, joined by the character U+001F. `seq` begins at 1. `ts` is the device's clock as it
is, right or wrong; `mono` are seconds since the boot `boot`. The bytes of one seq never change, however often it
is sent. The chain value after a fact is SHA-256(value before ‖ SHA-256(envelope)[:16])[:16], 16 zero bytes before
seq 1.
"""
_RULES = """
### What a device does

- PUBACK 0x00 and 0x10 (no subscriber) mean: wait for the watermark. If none came, publish everything waiting again,
  after 2 s, then ever more slowly up to a minute. 0x87 (not authorized) means: stop, alarm, try again in a minute.
- A watermark of another epoch is not for you. One at or above the first waiting seq deletes up to `upto`.
- `upto` beyond what you ever sent, or a `chain` that is not yours: your disk was copied or put back. Begin a new
  epoch, number what you hold from 1, publish the state again. The ids stay, so nothing counts twice.
- `upto` lower than before: the gateway was put back from a backup. Tell again what you still have from there.
- A disk moved to another machine begins a new epoch: compare machine id, file system and inode at start.
- When the disk is full, give up what may be given up, and put a `fact-shed` in its place: seqs have no gaps.

### What the gateway does

- It stores a fact once by its id, counts it in the same transaction, and sends the watermark after COMMIT.
- It answers every state with the watermark of its epoch.
- What cannot be a fact is kept in the dead table with its reason and still moves the watermark: an unknown kind or
  version, wrong data, bytes that are no JSON. `mocban gateway dead list` and `dead replay` bring it back after an
  upgrade.
- Other content at a place already taken is a dead letter (`seq-reuse`) and the sign of a copy.
"""
_ORDERS = """
A device checks in this order. What it cannot be sure was meant for it is not answered, only told as `audited`, at most
once a minute: the signature by a pinned key (`unsigned`, `unknown-key`, `bad-signature`), the address (`wrong-device`,
`wrong-topic`). An `id` it knows already gets its receipt again and nothing else. The rest is answered with
`command-answered`, outcome `refused`: the epoch of its outbox (`wrong-epoch`), `seq` greater than any it took
(`replayed`), `expires` (`expired`), the command (`unknown-command`, `bad-args`, `wrong-app`, `bad-mode`, `wiped`), the
persons (`approvals-missing`, `bad-approval`, `unknown-person`, `own-approval`). What it takes it writes down, sends the
receipt, acts, and tells `command-answered` once. Nothing is executed twice. An order's time is judged by the later of
the clock and the newest `issued` ever believed, so a clock set back revives nothing.

A person approves with `ssh-keygen -Y sign -n mocban-order` over the canonical form of the request's fields.
"""
_FEEDS = """A feed counts if it is signed by a pinned key, addressed to the device, newer than the one it has, and not
expired. A gate does not cry for a tag in one; without one it decides by the tag alone. Kiosks and gates get
`pending-security`: a kiosk on whose pad such a tag lies, as the item named, brings it into the state wanted, proves
that, and tells `security-mended` once. It does nothing to a tag that it lent or took back itself `since`."""
_READERS = """
## Reading committed facts

`GET /api/v1/facts?after=CURSOR&limit=N` at the gateway answers `{"facts": [...], "next": CURSOR}` in the order of
commit. The cursor is opaque; keep it durably after you have dealt with the page, and be idempotent by `id`: after
the gateway was put back from a backup some facts come again. Status 410 with the code `cursor-gone`: begin again
without `after`. `GET /api/v1/facts/wake` is a stream of server-sent events that only says that there is something
new.
"""


def main() -> int:
    """Write page and schemas; 1 if a schema would break what stands there."""
    broken = []
    for name, text in schemas().items():
        file = SCHEMAS / f"{name}.json"
        if file.exists() and "--break" not in sys.argv:
            broken += [
                f"{name}: {why}" for why in breaks(json.loads(file.read_text()), json.loads(text))
            ]
    if broken:
        sys.stderr.write("\n".join([*broken, "raise kv or nv instead, and keep the old version\n"]))
        return 1
    for name, text in schemas().items():
        (SCHEMAS / name).parent.mkdir(parents=True, exist_ok=True)
        (SCHEMAS / f"{name}.json").write_text(text, encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
