"""Tags without a library model: a plain number in ASCII, an NDEF message, or nothing at all.

Nothing guards a plain number: a misread one cannot be noticed, so every such tag carries a warning.
"""

from __future__ import annotations

import re

from kiosk.wire.content import NOBODY, Content, ItemTag, Label, Model, Usage, Warn
from kiosk.wire.extension import untouched
from kiosk.wire.ndef import decode as decode_ndef
from kiosk.wire.ndef import encode as encode_ndef
from kiosk.wire.rfid501 import plain_number
from mocban.errors import LocalProtocolError

__all__ = ["decode_ascii", "decode_ndef", "encode_ascii", "encode_ndef", "is_blank"]

SHORTEST = 4
"""Characters of a number; fewer are chance."""
_RUN = re.compile(rb"[\x20-\x7e]*")
_PADDING = b"\x00\xff"
_TYPED = b"\r\n"


def is_blank(data: bytes) -> bool:
    """Whether nothing was written: all 00, or FF, or the 55 of a factory, with 00 at the end."""
    return data != b"" and untouched(data)


def decode_ascii(data: bytes) -> Content | None:
    """Four characters or more from byte 0 on, then 00 or FF or the end. None: something else. Never raises.

    What a scanner types behind a number, CR or LF or both, may end it; then nothing else stands behind.
    """
    run = _run(data)
    number = run.strip(b" ").decode("ascii")
    behind = data[len(run) :]
    if not (typed := behind.lstrip(_TYPED)).strip(_PADDING):
        behind = typed
    if len(run) < SHORTEST or not number or (behind and behind[0] not in _PADDING):
        return None
    more = (Warn.MORE_BEHIND,) if behind.strip(_PADDING) else ()
    return ItemTag(number, Usage.UNSAID, 1, 1, NOBODY, 0, (Warn.NO_CHECK, *more), Model.ASCII)


def encode_ascii(label: Label, size: int, *, block: int = 4, over: bytes = b"") -> bytes:
    """The whole user memory, ``size`` bytes: the number, 00 behind. Of ``over``, what lies behind its number stays.

    LocalProtocolError for anything but a number of one part, 4 characters or more, that fits.
    """
    del block
    if over and len(over) != size:
        raise LocalProtocolError(
            f"Only {len(over)} of the tag's {size} bytes were read: the rest would be lost.",
            "Read the whole tag first.",
        )
    room = size
    memory = bytearray(size)
    old = decode_ascii(over)
    if isinstance(old, ItemTag) and Warn.MORE_BEHIND in old.warnings:
        run = _run(over)
        room = size - len(over[len(run) :].lstrip(_PADDING))
        memory[room:] = over[room:]
        room -= 1  # its end must be seen
    number = plain_number(label, room)
    if len(number) < SHORTEST:
        raise LocalProtocolError(
            f"A plain number of fewer than {SHORTEST} characters is not told from chance.",
            "Choose ISO 28560 for a short number.",
        )
    if (label.parts, label.part) != (1, 1) or label.fields:
        raise LocalProtocolError(
            "A plain number can say nothing else.", "Choose ISO 28560 for parts and other data."
        )
    memory[: len(number)] = number
    return bytes(memory)


def _run(data: bytes) -> bytes:
    match = _RUN.match(data)
    return match[0] if match else b""
