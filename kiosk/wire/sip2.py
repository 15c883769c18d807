"""SIP2 2.00: lines of bytes <-> messages. Strict when we write, tolerant when we read.

The trailer is ``AY`` digit ``AZ`` four hex digits, a sum over the *encoded* bytes. ``decode``
raises RemoteProtocolError only; its text, like a message's repr, never holds a value that could
name a patron.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from kiosk.wire.sip2_fields import EXTENSIONS, MESSAGES, PLAIN, REPEATABLE, Spec
from kiosk.wire.sip2_tolerance import Tolerance
from kiosk.wire.sip2_types import STRICT, Kind, fits, kind
from mocban.errors import LocalProtocolError, RemoteProtocolError

END = b"\r"
BLANK_DUE = " " * 18
LONGEST = 255  # bytes of one value
_TRAILER = re.compile(rb"AY([0-9])AZ([0-9A-Fa-f]{0,4})\Z")
_ONLY_SUM = re.compile(rb"AZ([0-9A-Fa-f]{1,4})\Z")
_TRAILER_LIKE = re.compile(  # the letters begun, or three of the four in their places
    rb"AY.*|(?:.Y.AZ|A..AZ|AY..Z|AY.A.).{4}", re.DOTALL
)
ID = re.compile(r"[A-Z][A-Z0-9]")
_EDGES = bytes(range(0x20)) + b"\x7f\xfb"  # noise some terminals and telnet put around a line
_BIDI = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
_TONES = frozenset("\u0300\u0301\u0303\u0309\u0323")  # the combining tones of code page 1258


class Checksum(StrEnum):
    """What a received line's checksum said."""

    NONE = "none"
    GOOD = "good"
    BAD = "bad"


class Sequence(StrEnum):
    """What an answer's sequence number says beside its request's."""

    NONE = "none"  # there is none to compare
    RIGHT = "right"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True, repr=False)
class Message:
    """One message: ``fixed`` by name (see sip2_fields), ``fields`` in the order of the line.

    Unknown fields are kept. ``seq`` 0..9 or None; ``warnings`` say what ``decode`` let pass;
    ``raw`` is the line as it came.
    """

    code: str
    fixed: Mapping[str, str] = field(default_factory=dict)
    fields: tuple[tuple[str, str], ...] = ()
    seq: int | None = None
    checksum: Checksum = field(default=Checksum.NONE, compare=False)
    warnings: tuple[str, ...] = field(default=(), compare=False)
    raw: bytes = field(default=b"", compare=False)

    def get(self, key: str, default: str = "") -> str:
        """The first value of field ``id``, without the blanks around it."""
        return next((value.strip() for name, value in self.fields if name == key), default)

    def all(self, key: str) -> tuple[str, ...]:
        """Every value of field ``id`` that is not blank."""
        return tuple(value.strip() for name, value in self.fields if name == key and value.strip())

    def has(self, key: str) -> bool:
        """True if field ``id`` is there, even empty."""
        return any(name == key for name, _ in self.fields)

    def __repr__(self) -> str:
        sure = self.checksum is not Checksum.BAD  # a damaged id may show what it should hide
        shown = (
            f"{key}={value!r}" if sure and key in PLAIN else _hidden(key)
            for key, value in self.fields
        )
        return f"Message({' '.join([self.code, *shown])})"


def encode(message: Message, encoding: str = "utf-8", *, trailer: bool = True) -> bytes:
    """The line with its CR; ``trailer`` asks for AY and AZ (96 and 97 carry AZ only).

    LocalProtocolError if anything is not exactly as the protocol wants it.
    """
    spec = MESSAGES.get(message.code)
    if spec is None:
        raise LocalProtocolError(f"there is no SIP2 message {message.code!r}")
    _check_fields(message.code, spec, message.fields)
    pieces = [message.code.encode(), _fixed_out(message, spec)]
    for key, value in message.fields:
        pieces += (key.encode(), _value_out(key, value, encoding), b"|")
    line = b"".join(pieces)
    if not trailer:
        return line + END
    if message.code in ("96", "97"):
        return seal(line, None)
    if message.seq is None or not 0 <= message.seq <= 9:
        raise LocalProtocolError(f"message {message.code} needs a sequence number 0 to 9")
    return seal(line, message.seq)


def seal(line: bytes, seq: int | None) -> bytes:
    """``line`` (with or without its CR) with trailer and CR; without ``seq`` AZ only."""
    line = line.removesuffix(END) + (b"AZ" if seq is None else b"AY%dAZ" % seq)
    return line + b"%04X" % (-sum(line) & 0xFFFF) + END


def sealed(line: bytes) -> bool:
    """True if ``line`` ends as a line with number and checksum does, whatever stands before."""
    return _TRAILER.search(line.strip(_EDGES)) is not None


def decode(line: bytes, encoding: str = "utf-8") -> Message:
    """The message in one line, with or without terminator; what is odd but readable is a warning.

    RemoteProtocolError if it is no SIP2 message; its ``code`` says why: sip2-empty,
    sip2-free-text, sip2-unknown-message, sip2-cut-short.
    """
    raw = line.strip(_EDGES)
    warnings: list[str] = []
    _edges(line, raw, warnings)
    body, seq, checksum = _split_trailer(raw, warnings)
    code = body[:2].decode("ascii", "replace")
    spec = MESSAGES.get(code)
    if spec is None:
        why = "unknown-message" if code.isascii() and code.isdigit() else "free-text"
        raise _refused(f"a line of {len(raw)} bytes is no SIP2 message", why if raw else "empty")
    if len(body) < 2 + spec.width:
        raise _refused(f"the fixed part of message {code} is cut short", "cut-short")
    before = len(warnings)
    fixed = _fixed_in(body[2 : 2 + spec.width], spec, warnings)
    if len(warnings) > before and len(body) > 2 + spec.width and b"|" not in body:
        raise _refused(f"a line of {len(raw)} bytes only begins like message {code}", "free-text")
    fields = tuple(_fields_in(body[2 + spec.width :], spec, encoding, warnings))
    return Message(code, fixed, fields, seq, checksum, tuple(dict.fromkeys(warnings)), raw)


def sequence(request: Message, answer: Message) -> Sequence:
    """Whether ``answer`` bears the number of ``request``."""
    if request.seq is None or answer.seq is None:
        return Sequence.NONE
    return Sequence.RIGHT if request.seq == answer.seq else Sequence.WRONG


def sayable(value: str, encoding: str = "utf-8", *, key: str = "") -> bool:
    """True if ``value`` can be written into field ``key``: tags and cards may hold anything."""
    try:
        _value_out(key, value, encoding)
    except LocalProtocolError:
        return False
    return True


def clean(text: str) -> str:
    """``text`` fit to be shown: NFC, and a blank for each control or direction character."""
    return unicodedata.normalize("NFC", "".join(" " if _odd(char) else char for char in text))


def _refused(say: str, why: str) -> RemoteProtocolError:
    do = "look whether the library system speaks SIP2 there, and in the same way as we do"
    return RemoteProtocolError(say, do, code=f"sip2-{why}")


def _check_fields(code: str, spec: Spec, fields: tuple[tuple[str, str], ...]) -> None:
    ids = [key for key, _ in fields]
    known = EXTENSIONS.union(spec.required, spec.optional)
    for key in ids:
        if key not in known:
            raise LocalProtocolError(f"field {key!r} does not belong in message {code}")
        if key not in REPEATABLE and ids.count(key) > 1:
            raise LocalProtocolError(f"field {key} stands twice in message {code}")
    if missing := [key for key in spec.required if key not in ids]:
        raise LocalProtocolError(f"message {code} lacks {' '.join(missing)}")


def _fixed_out(message: Message, spec: Spec) -> bytes:
    if set(message.fixed) != {part.name for part in spec.fixed}:
        raise LocalProtocolError(f"the fixed part of message {message.code} has other fields")
    for part in spec.fixed:
        if not part.pattern.fullmatch(message.fixed[part.name]):
            raise LocalProtocolError(f"{part.name} of message {message.code} is malformed")
    return "".join(message.fixed[part.name] for part in spec.fixed).encode("ascii")


def _value_out(key: str, value: str, encoding: str) -> bytes:
    text = unicodedata.normalize("NFC", value)
    if "|" in text or any(map(_odd, text)):
        raise LocalProtocolError(f"the value of {key} holds a delimiter or control character")
    if not fits(key, text):
        raise LocalProtocolError(f"the value of {key} is no {kind(key)}")
    try:
        data = _windows_1258(text) if encoding == "cp1258" else text.encode(encoding)
    except UnicodeEncodeError:
        raise LocalProtocolError(f"the value of {key} cannot be written in {encoding}") from None
    if len(data) > LONGEST:
        raise LocalProtocolError(f"the value of {key} is longer than {LONGEST} bytes")
    return data


def _windows_1258(text: str) -> bytes:
    """Vietnamese in code page 1258: a letter it lacks becomes base letter and combining tone."""
    out = b""
    for char in text:
        try:
            out += char.encode("cp1258")
        except UnicodeEncodeError:
            marks = unicodedata.normalize("NFD", char)
            base = "".join(mark for mark in marks if mark not in _TONES)
            tone = "".join(mark for mark in marks if mark in _TONES)
            out += (unicodedata.normalize("NFC", base) + tone).encode("cp1258")
    return out


def _split_trailer(raw: bytes, warnings: list[str]) -> tuple[bytes, int | None, Checksum]:
    seq: int | None = None
    if found := _TRAILER.search(raw):
        seq, digits = int(found[1]), found[2]
    elif (found := _ONLY_SUM.search(raw)) and _may_end(raw[: found.start()]):
        digits = found[1]
    elif found := _damaged(raw):
        warnings.append(Tolerance.DAMAGED_TRAILER)
        return raw[: found.start()], None, Checksum.BAD
    else:
        return raw, None, Checksum.NONE
    if len(digits) < 4:
        warnings.append(Tolerance.SHORT_CHECKSUM)
    if not digits:
        return raw[: found.start()], seq, Checksum.NONE
    total = sum(raw[: found.end() - len(digits)]) + int(digits, 16)
    state = Checksum.BAD if total & 0xFFFF else Checksum.GOOD
    return raw[: found.start()], seq, state


def _edges(line: bytes, raw: bytes, warnings: list[str]) -> None:
    around = line[: line.find(raw)] + line.removesuffix(END)[line.find(raw) + len(raw) :]
    if around.strip(b"\r\n"):
        warnings.append(Tolerance.NOISE)
    elif around:
        warnings.append(Tolerance.LINE_FEED)


def _damaged(raw: bytes) -> re.Match[bytes] | None:
    """A trailer with a byte changed, lost or too many, in the place of a trailer."""
    spec = MESSAGES.get(raw[:2].decode("ascii", "replace"))
    begin = max(raw.rfind(b"|") + 1, 2 + spec.width if spec else 0)
    return _TRAILER_LIKE.fullmatch(raw, begin)


def _may_end(body: bytes) -> bool:
    """A checksum without AY counts only where no value can be taken for one."""
    spec = MESSAGES.get(body[:2].decode("ascii", "replace"))
    return body.endswith(b"|") or (spec is not None and len(body) == 2 + spec.width)


def _fixed_in(data: bytes, spec: Spec, warnings: list[str]) -> dict[str, str]:
    fixed: dict[str, str] = {}
    at = 0
    for part in spec.fixed:
        text = data[at : at + part.width].decode("ascii", "replace")
        at += part.width
        if not part.pattern.fullmatch(text):
            lower = part.pattern.fullmatch(text.upper())
            warnings.append(f"{Tolerance.LOWER_CASE if lower else Tolerance.ODD} {part.name}")
            text = text.upper() if lower else text
        fixed[part.name] = text
    return fixed


def _fields_in(
    data: bytes, spec: Spec, encoding: str, warnings: list[str]
) -> Iterator[tuple[str, str]]:
    pieces = data.split(b"|")
    if pieces[-1]:
        warnings.append(Tolerance.LAST_DELIMITER)
    seen: set[str] = set()
    for piece in pieces:
        if len(piece) < 2:
            if piece:
                warnings.append(Tolerance.STRAY_BYTE)
            continue
        key = piece[:2].decode("ascii", "replace")
        if not ID.fullmatch(key):
            warnings.append(Tolerance.FIELD_ID)
        elif key not in spec.required and key not in spec.optional:
            warnings.append(f"{Tolerance.UNEXPECTED} {key}")
        if key in seen and key not in REPEATABLE:
            warnings.append(Tolerance.TWICE)
        seen.add(key)
        yield clean(key), _value_in(key, piece[2:], encoding, warnings)
    if missing := [key for key in spec.required if key not in seen]:
        warnings.append(f"{Tolerance.LACKS} {' '.join(missing)}")


def _value_in(key: str, data: bytes, encoding: str, warnings: list[str]) -> str:
    text = _text(data, encoding, warnings)
    name = key if ID.fullmatch(key) else "??"
    if not (text.isascii() and text.isprintable()):
        if any(map(_odd, text)):
            warnings.append(f"{Tolerance.CONTROL} {name}")
        elif encoding != "cp1258" and not unicodedata.is_normalized("NFC", text):
            warnings.append(f"{Tolerance.DECOMPOSED} {name}")  # in 1258 there is no other way
        text = clean(text)
    if fits(key, text.strip()):
        return text
    if kind(key) is Kind.FLAG and STRICT[Kind.FLAG].fullmatch(text.strip().upper()):
        warnings.append(f"{Tolerance.LOWER_CASE} {name}")
        return text.upper()
    warnings.append(f"{Tolerance.ODD} {name}")
    return text


def _text(data: bytes, encoding: str, warnings: list[str]) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        warnings.append(f"{Tolerance.NOT_ENCODED} {encoding}")
        return data.decode(encoding, "replace")


def _hidden(key: str) -> str:
    return f"{key if ID.fullmatch(key) else '??'}=…"


def _odd(char: str) -> bool:
    return char in _BIDI or unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")
