"""The compactions of ISO/IEC 15962: text <-> as few bytes as its alphabet allows.

Code 0 belongs to the application (an ISIL, a bit map); nothing here reads it.
"""

from __future__ import annotations

from enum import IntEnum

from mocban.errors import LocalProtocolError

_INTEGER_MOST = 9_999_999_999_999_999_999  # 19 digits
_SPACE = 0b100000  # as a six-bit group; it looks like the pad
_FIVE = bytes(range(0x41, 0x60)).decode()
_SIX = bytes(range(0x20, 0x60)).decode()


class Code(IntEnum):
    """Bits 6-4 of a precursor."""

    APPLICATION = 0
    INTEGER = 1  # unsigned, most significant byte first, as few bytes as it takes
    NUMERIC = 2  # one nibble a digit; an odd one out is followed by F
    FIVE_BIT = 3  # 41-5F, padded with 0
    SIX_BIT = 4  # 20-5F, padded with the beginning of 100000
    SEVEN_BIT = 5  # 00-7E, padded with 1
    OCTETS = 6  # ISO 8859-1
    UTF8 = 7


_FEWEST = {Code.FIVE_BIT: 3, Code.SIX_BIT: 4, Code.SEVEN_BIT: 8}  # characters that repay a packing
_ORDER = (Code.INTEGER, Code.NUMERIC, Code.FIVE_BIT, Code.SIX_BIT, Code.SEVEN_BIT)


def choose(text: str) -> Code:
    """The most compact code that holds ``text``; UTF-8 for everything that no packing holds.

    ISO 8859-1 is never chosen: UTF-8 says the same, and what it says can be told from the bytes.
    """
    for code in _ORDER:
        if len(text) >= _FEWEST.get(code, 2) and holds(code, text):
            return code
    return Code.UTF8


def holds(code: Code, text: str) -> bool:
    """Whether ``text`` survives ``pack`` and ``unpack``. Leading zeros are never an integer's."""
    match code:
        case Code.APPLICATION:
            return False
        case Code.INTEGER:
            return _digits(text) and 2 <= len(text) <= 19 and text[0] != "0"
        case Code.NUMERIC:
            return _digits(text) and len(text) >= 2
        case Code.FIVE_BIT:
            return text.strip(_FIVE) == ""
        case Code.SIX_BIT:  # a last space would be taken for the pad
            return text.strip(_SIX) == "" and not text.endswith(" ")
        case Code.SEVEN_BIT:
            return text.isascii() and "\x7f" not in text
        case Code.OCTETS:
            return max(text, default="") <= "\xff"
        case Code.UTF8:
            return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def pack(code: Code, text: str) -> bytes:
    """``text`` in ``code``; LocalProtocolError if ``code`` does not hold it."""
    if not holds(code, text):
        raise LocalProtocolError(
            f"This text does not fit the {code.name.lower().replace('_', '-')} form.",
            "Let the form be chosen by the text.",
        )
    match code:
        case Code.INTEGER:
            number = int(text)
            return number.to_bytes((number.bit_length() + 7) // 8, "big")
        case Code.NUMERIC:
            return bytes.fromhex(text + "F" * (len(text) % 2))
        case Code.FIVE_BIT:
            return _join(text.encode(), 5, 0b00000000)
        case Code.SIX_BIT:
            return _join(text.encode(), 6, 0b10000000)
        case Code.SEVEN_BIT:
            return _join(text.encode(), 7, 0b11111111)
        case Code.OCTETS:
            return text.encode("latin-1")
        case _:
            return text.encode("utf-8")


def unpack(code: Code, data: bytes) -> str | None:
    """The text of ``data``, wrong pads forgiven (see ``exact``); None if there is none. Never raises."""
    match code:
        case Code.APPLICATION:
            return None
        case Code.INTEGER:
            number = int.from_bytes(data, "big")
            return str(number) if data and number <= _INTEGER_MOST else None
        case Code.NUMERIC:
            digits = data.hex().removesuffix("f")
            return digits if _digits(digits) or not data else None
        case Code.FIVE_BIT:
            groups = _split(data, 5)
            end = groups.index(0) if 0 in groups else len(groups)
            return "".join(chr(group | 0x40) for group in groups[:end])
        case Code.SIX_BIT:
            groups = _split(data, 6)
            if len(data) % 3 == 0 and groups[-1:] == [_SPACE]:
                groups.pop()
            return "".join(chr(group if group & 0x20 else group | 0x40) for group in groups)
        case Code.SEVEN_BIT:
            groups = _split(data, 7)
            if len(data) % 7 == 0 and groups[-1:] == [0x7F]:
                groups.pop()
            return "".join(map(chr, groups))
        case Code.OCTETS:
            return data.decode("latin-1")
        case Code.UTF8:
            try:
                return data.decode("utf-8")
            except UnicodeDecodeError:
                return None


def exact(code: Code, data: bytes, text: str) -> bool:
    """Whether ``data`` is ``text`` as the standard packs it: nothing stray in the pads."""
    return holds(code, text) and pack(code, text) == data


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _join(groups: bytes, width: int, pad: int) -> bytes:
    """Groups of ``width`` bits and as many of the eight bits of ``pad`` as fill the last byte."""
    bits = 0
    for group in groups:
        bits = bits << width | group & (1 << width) - 1
    rest = -len(groups) * width % 8
    bits = bits << rest | pad >> 8 - rest
    return bits.to_bytes((len(groups) * width + rest) // 8, "big")


def _split(data: bytes, width: int) -> list[int]:
    """Whole groups of ``width`` bits; a rest is a pad."""
    whole, rest = divmod(len(data) * 8, width)
    bits = int.from_bytes(data, "big") >> rest
    mask = (1 << width) - 1
    return [bits >> shift & mask for shift in range((whole - 1) * width, -1, -width)]
