"""SIP2 lines fit for a log: whoever reads them learns what was said, but not of whom.

What may be shown is listed (``PLAIN``); every other value, of known fields or unknown, becomes "…". The checksum goes
too: it is a sum, and with all other bytes known it tells the sum of a PIN's digits.
"""

from __future__ import annotations

from kiosk.wire.sip2 import ID, Checksum, Message, decode
from kiosk.wire.sip2_fields import EXTENSIONS, MESSAGES, PLAIN, Spec
from kiosk.wire.sip2_types import fits
from mocban.errors import RemoteProtocolError

HIDDEN = "…"


def redacted(line: bytes | str, encoding: str = "utf-8") -> str:
    """``line`` without anything that could name a patron or open an account. Total: never raises."""
    data = line.encode(errors="replace") if isinstance(line, str) else line
    try:
        return shown(decode(data, encoding))
    except RemoteProtocolError as error:
        return f"<{len(data)} bytes, {error.code}>"


def shown(message: Message) -> str:
    """``message`` as ``redacted`` writes its line."""
    spec = MESSAGES[message.code]
    sure = trusted(message)
    pieces = [message.code]
    pieces += (
        message.fixed.get(part.name, "") if sure else HIDDEN * part.width for part in spec.fixed
    )
    for key, value in message.fields:
        told = value if sure and open_(key, value) else HIDDEN if value else ""
        pieces.append(f"{key if named(key, spec, sure=sure) else '??'}{told}|")
    if message.seq is not None:
        pieces.append(f"AY{message.seq}")
    if message.checksum is not Checksum.NONE:
        pieces.append(f"AZ{HIDDEN}")
    return "".join(pieces)


def trusted(message: Message) -> bool:
    """False if bytes may stand where they do not belong: then nothing that was said may be shown."""
    if message.checksum is Checksum.BAD:
        return False
    parts = MESSAGES[message.code].fixed
    return all(part.pattern.fullmatch(message.fixed.get(part.name, "")) for part in parts)


def open_(key: str, value: str) -> bool:
    """True if ``value`` of field ``key`` may be shown: it names no patron, and is what the field should hold."""
    return key in PLAIN and fits(key, value)


def named(key: str, spec: Spec, *, sure: bool) -> bool:
    """True if ``key`` may be shown: it is a field's id, and not two letters out of a value that was torn."""
    ours = key in spec.required or key in spec.optional or key in EXTENSIONS
    return ours or (sure and ID.fullmatch(key) is not None)
