"""URN Code 40, the alphabet of a UHF tag's UII (ISO/TS 28560-4, ISO/IEC 15962): three characters in two bytes.

A word is ``1600a + 40b + c + 1``. A first byte from FB to FE is no word but an escape: a long number, or one
character that the alphabet lacks. 0000 pads. Escapes may have an odd length, so words need not lie on even bytes.
"""

from __future__ import annotations

from mocban.errors import LocalProtocolError

_ALPHABET = "\0ABCDEFGHIJKLMNOPQRSTUVWXYZ-.:0123456789"  # 0 pads an unfinished triple
_VALUES = {letter: value for value, letter in enumerate(_ALPHABET) if value}
_LARGEST = 0xFA00
_NUMBER, _CHARS = 0xFB, {0xFC: 1, 0xFD: 2, 0xFE: 3}  # escape -> bytes of UTF-8 behind it


def decode(data: bytes) -> str | None:
    """The text, or None if these bytes are not URN Code 40. Never raises; an empty text is None too."""
    text: list[str] = []
    at, end = 0, len(data.rstrip(b"\x00"))
    while at < end:
        step = _escape(data, at) if data[at] >= _NUMBER else _word(data, at)
        if step is None:
            return None
        said, at = step
        text.append(said)
    return "".join(text) or None


def encode(text: str) -> bytes:
    """``text`` in an even number of bytes; LocalProtocolError if it is empty or holds what no tag should.

    Runs of digits are never written as integers: some readers in the field read those only at the start of a text.
    """
    if not text or not text.isprintable():
        raise LocalProtocolError("A tag's text is not empty and has no control characters.")
    out, waiting = bytearray(), ""
    for letter in text:
        if letter in _VALUES:
            waiting += letter
            if len(waiting) == 3:
                out += _triple(waiting)
                waiting = ""
            continue
        out += _triple(waiting) if waiting else b""
        waiting = ""
        out += _letter(letter)
    out += _triple(waiting) if waiting else b""
    return bytes(out) + bytes(len(out) % 2)


def _word(data: bytes, at: int) -> tuple[str, int] | None:
    value = int.from_bytes(data[at : at + 2], "big")
    if len(data) < at + 2 or not 0 < value <= _LARGEST:
        return None
    first, rest = divmod(value - 1, 1600)
    triple = "".join(_ALPHABET[n] for n in (first, *divmod(rest, 40)))
    said = triple.rstrip("\0")
    return None if not said or "\0" in said else (said, at + 2)


def _escape(data: bytes, at: int) -> tuple[str, int] | None:
    kind = data[at]
    if kind == _NUMBER:
        if len(data) < at + 2:
            return None
        digits, size = (data[at + 1] >> 4) + 9, (data[at + 1] & 0x0F) + 4
        raw = data[at + 2 : at + 2 + size]
        said = str(int.from_bytes(raw, "big")).zfill(digits)
        return None if len(raw) < size or len(said) > digits else (said, at + 2 + size)
    size = _CHARS.get(kind, 0)
    try:
        said = data[at + 1 : at + 1 + size].decode("utf-8")
    except UnicodeDecodeError:
        return None
    return (said, at + 1 + size) if len(said) == 1 and said.isprintable() else None


def _triple(letters: str) -> bytes:
    a, b, c = (_VALUES.get(letter, 0) for letter in letters.ljust(3, "\0"))
    return (1600 * a + 40 * b + c + 1).to_bytes(2, "big")


def _letter(letter: str) -> bytes:
    raw = letter.encode("utf-8", "surrogatepass")
    kind = next((kind for kind, size in _CHARS.items() if size == len(raw)), None)
    if kind is None:
        raise LocalProtocolError(f"The character {letter} does not fit a UHF tag.")
    return bytes((kind,)) + raw
