"""NDEF messages on ISO 15693 tags (NFC Forum Type 5): capability container, TLVs, records.

The item's number is the text of the first text record; without one it is the whole URI of the first URI record.
No length that the tag tells is believed beyond what was read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from kiosk.wire.content import (
    NOBODY,
    Content,
    Damage,
    Damaged,
    Fields,
    Foreign,
    ItemTag,
    Label,
    Look,
    Model,
    Usage,
    Warn,
)
from kiosk.wire.rfid501 import plain_number
from mocban.errors import LocalProtocolError

URI: Final = "uri"
"""Name in ``fields``."""

_MAGIC = (0xE1, 0xE2)  # E2: block addresses of two bytes
_NULL, _MESSAGE, _TERMINATOR = 0x00, 0x03, 0xFE
_MB, _ME, _CF, _SR, _IL, _TNF = 0x80, 0x40, 0x20, 0x10, 0x08, 0x07
_WELL_KNOWN = 1
_LANGUAGE = b"en"
_MARKS = (b"\xfe\xff", b"\xff\xfe")  # of UTF-16
_PREFIXES = (
    "", "http://www.", "https://www.", "http://", "https://", "tel:", "mailto:",
    "ftp://anonymous:anonymous@", "ftp://ftp.", "ftps://", "sftp://", "smb://", "nfs://", "ftp://", "dav://",
    "news:", "telnet://", "imap:", "rtsp://", "urn:", "pop:", "sip:", "sips:", "tftp:", "btspp://", "btl2cap://",
    "btgoep://", "tcpobex://", "irdaobex://", "file://", "urn:epc:id:", "urn:epc:tag:", "urn:epc:pat:",
    "urn:epc:raw:", "urn:epc:", "urn:nfc:",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Record:
    """One NDEF record. ``format``: the type name format; ``kind``: the type; ``name``: the record's id."""

    format: int
    kind: bytes
    payload: bytes = field(repr=False)
    name: bytes = field(default=b"", repr=False)

    @property
    def text(self) -> str | None:
        """What a text record says."""
        if (self.format, self.kind) != (_WELL_KNOWN, b"T") or not self.payload:
            return None
        raw = self.payload[1 + (self.payload[0] & 0x3F) :]
        if self.payload[0] & 0x80:
            return _text(raw, "utf-16" if raw[:2] in _MARKS else "utf-16-be")
        return _text(raw, "utf-8")

    @property
    def uri(self) -> str | None:
        """What a URI record says, whole."""
        if (self.format, self.kind) != (_WELL_KNOWN, b"U") or not self.payload:
            return None
        rest = _text(self.payload[1:], "utf-8")
        known = self.payload[0] < len(_PREFIXES)
        return _PREFIXES[self.payload[0]] + rest if known and rest is not None else None

    def write(self, *, first: bool, last: bool) -> bytes:
        """Its bytes."""
        short, named = len(self.payload) < 256, bool(self.name)
        head = _MB * first | _ME * last | _SR * short | _IL * named | self.format
        length = len(self.payload).to_bytes(1 if short else 4, "big")
        name_length = bytes((len(self.name),)) * named
        return (
            bytes((head, len(self.kind)))
            + length
            + name_length
            + self.kind
            + self.name
            + self.payload
        )


@dataclass(frozen=True, slots=True)
class _Memory:
    """``container``: its bytes. ``before`` and ``after``: other TLVs, raw, around the ``message``."""

    container: bytes
    before: bytes
    message: bytes | None
    after: bytes
    lack: int


def decode(data: bytes) -> Content | None:
    """User memory from block 0. None: no capability container. ``Foreign`` if no record names an item. Never raises."""
    memory = _split(data)
    if memory is None:
        return None
    if memory.lack:
        return Damaged(Damage.MISSING, memory.lack, Model.NDEF)
    records = _records(memory.message or b"")
    texts = [text for each in records or () if (text := each.text)]
    uris = [uri for each in records or () if (uri := each.uri)]
    number = (texts or uris or [""])[0].strip()
    if not number:
        return Foreign(Look.NDEF)
    fields = tuple((URI, uri) for uri in uris if texts)
    return ItemTag(
        number, Usage.UNSAID, 1, 1, NOBODY, 0, (Warn.NO_CHECK,), Model.NDEF, fields=fields
    )


def encode(label: Label, size: int, *, block: int = 4, over: bytes = b"") -> bytes:
    """The whole user memory, ``size`` bytes: a text record with the number, a URI record for each such field.

    Of ``over``, an NDEF tag, the capability container, other TLVs and records of other kinds stay.
    LocalProtocolError for what does not fit.
    """
    del block
    if over and len(over) != size:
        raise LocalProtocolError(
            f"Only {len(over)} of the tag's {size} bytes were read: the rest would be lost.",
            "Read the whole tag first.",
        )
    number = plain_number(label, size)
    if (label.parts, label.part) != (1, 1):
        raise LocalProtocolError("An NDEF tag cannot say parts.", "Choose ISO 28560 for parts.")
    old = _split(over)
    if old is None or old.lack:
        old = _Memory(_container(size), b"", None, b"", 0)
    found = _records(old.message or b"")
    if found is None:
        raise LocalProtocolError(
            "The message on this tag cannot be taken apart, so it cannot be kept.",
            "Reset the tag first if nobody needs it.",
        )
    kept = [each for each in found if (each.text, each.uri) == (None, None)]
    records = [
        Record(_WELL_KNOWN, b"T", bytes((len(_LANGUAGE),)) + _LANGUAGE + number),
        *_uris(label.fields),
        *kept,
    ]
    last = len(records) - 1
    message = b"".join(
        each.write(first=at == 0, last=at == last) for at, each in enumerate(records)
    )
    length = len(message)
    head = bytes((length,)) if length < 0xFF else b"\xff" + length.to_bytes(3, "big")[1:]
    image = old.container + old.before + bytes((_MESSAGE,)) + head + message + old.after
    room = min(size, len(old.container) + _area(old.container))
    if len(image) > room or length > 0xFFFE:
        raise LocalProtocolError(
            f"The message is {len(image) - room} bytes too long for this tag.",
            "Shorten it, or take a larger tag.",
        )
    return (image + bytes((_TERMINATOR,)) * (len(image) < room)).ljust(size, b"\x00")


def _split(data: bytes) -> _Memory | None:
    """None without a capability container of a version we can read (1.x)."""
    if len(data) < 4 or data[0] not in _MAGIC or data[1] >> 6 != 1:
        return None
    width = 4 if data[2] else 8
    if len(data) < width:
        return _Memory(data, b"", None, b"", width - len(data))
    container, end = data[:width], width + _area(data[:width])
    at = width
    while True:
        at = _filled(data, at)
        before = data[width:at]
        if at >= min(end, len(data)) or data[at] == _TERMINATOR:
            cut = len(data) < end and at == len(data) and not before.endswith(b"\x00")
            return _Memory(container, before, None, b"", int(cut))
        wide = data[at + 1 : at + 2] == b"\xff"
        start = at + (4 if wide else 2)
        length = int.from_bytes(data[at + 2 : start] if wide else data[at + 1 : start], "big")
        if start > len(data):
            return _Memory(container, before, None, b"", start - len(data))
        if start + length > end:
            return _Memory(container, before, None, b"", 0)
        if start + length > len(data):
            return _Memory(container, before, None, b"", start + length - len(data))
        at = start + length
        if data[start - (4 if wide else 2)] == _MESSAGE:
            return _Memory(container, before, data[start:at], _after(data[at:end]), 0)


def _filled(data: bytes, at: int) -> int:
    """The next byte that is not 00."""
    while at < len(data) and data[at] == _NULL:
        at += 1
    return at


def _after(data: bytes) -> bytes:
    """TLVs behind the message, raw, up to the terminator; none if they do not add up."""
    at = end = 0
    while (at := _filled(data, at)) < len(data) and data[at] != _TERMINATOR:
        wide = data[at + 1 : at + 2] == b"\xff"
        length = data[at + 2 : at + 4] if wide else data[at + 1 : at + 2]
        at = end = at + (4 if wide else 2) + int.from_bytes(length, "big")
    return data[:end] if end <= len(data) else b""


def _area(container: bytes) -> int:
    """Bytes for TLVs, as the container says."""
    return 8 * (container[2] or int.from_bytes(container[6:8], "big"))


def _container(size: int) -> bytes:
    """Version 1.0, everybody may read and write, blocks may be read several at once."""
    if size < 16:
        raise LocalProtocolError(
            f"A tag of {size} bytes is too small for NDEF.", "Take a larger tag."
        )
    eighths = (size - 4) // 8
    if eighths < 256:
        return bytes((0xE1, 0x40, eighths, 0x01))
    return bytes((0xE1, 0x40, 0x00, 0x01, 0x00, 0x00)) + ((size - 8) // 8).to_bytes(2, "big")


def _records(message: bytes) -> list[Record] | None:
    """The records; None if they do not add up, or come in chunks, which no library tag does."""
    found: list[Record] = []
    at = 0
    while at < len(message):
        head = message[at]
        lengths = at + 2 + (1 if head & _SR else 4)
        kind = lengths + bool(head & _IL)
        if head & _CF or kind > len(message):
            return None
        name_at = kind + message[at + 1]
        payload = name_at + (message[lengths] if head & _IL else 0)
        end = payload + int.from_bytes(message[at + 2 : lengths], "big")
        if end > len(message):
            return None
        found.append(
            Record(
                head & _TNF, message[kind:name_at], message[payload:end], message[name_at:payload]
            )
        )
        at = end
        if head & _ME:
            break
    return found


def _uris(fields: Fields) -> list[Record]:
    found = []
    for name, value in fields:
        if name != URI or not value or not value.isprintable():
            raise LocalProtocolError(
                f"An NDEF tag has no place for {name!r}.", "Choose ISO 28560 for other data."
            )
        fitting = [code for code, prefix in enumerate(_PREFIXES) if value.startswith(prefix)]
        code = max(fitting, key=lambda code: len(_PREFIXES[code]))
        rest = value[len(_PREFIXES[code]) :].encode()
        found.append(Record(_WELL_KNOWN, b"U", bytes((code,)) + rest))
    return found


def _text(raw: bytes, coding: str) -> str | None:
    try:
        text = raw.decode(coding)
    except UnicodeDecodeError:
        return None
    return text if text.isprintable() else None
