"""How long a conversation with ISO 15693 tags takes on air, in seconds; computed, never measured.

Fast mode: 1 of 4 to the tag, one subcarrier at the high rate back, both 26.48 kbit/s. The constants are those of
ISO/IEC 15693-3 as recalled; the programming time is that of an ICODE SLIX, 2 to 5 ms by its data sheet as recalled.
Every operation ends with the pause a reader must keep before it speaks again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

BYTE = 302.08e-6
_SOF, _EOF = 75.5e-6, 37.8e-6  # of the reader
_FRAME = 2 * 151e-6  # SOF and EOF of the tag
_T1 = 320.9e-6  # reader's end to tag's answer
_T2 = 309.2e-6  # tag's end to the reader's next word
_T3 = 474e-6  # how long a reader listens for an answer that does not begin
PROGRAM = 5e-3
"""Until a tag has written one block, or its AFI, DSFID or EAS bit."""
OFF = 15e-3
"""Field off and on again."""

_SLOTS = 16
_UID_BITS = 64
_CRC = 2
_ADDRESSED = 10  # flags, command, UID
_FOUND = 9  # DSFID, UID


def inventory(uids: Sequence[bytes], afi: int | None = None) -> float:
    """Find these UIDs (8 bytes, most significant first): 16 slots, and where answers collide again with a longer mask.

    ``uids`` are those that answer, after ``afi`` chose. Twins answer as one.
    """
    return _rounds({int.from_bytes(uid, "big") for uid in uids}, 0, 3 + (afi is not None))


def one_slot(answers: bool, mask: int = 0) -> float:
    """One inventory of one slot with ``mask`` bits; ``answers``: anybody does, understood or not."""
    sent = _said(3 + _whole(mask))
    return sent + (_heard(_FOUND) if answers else _T3)


def read(blocks: int, size: int = 4, *, locks: bool = False) -> float:
    """``blocks`` blocks of ``size`` bytes of one tag by UID; ``locks``: each with its lock byte.

    One block is asked for by itself, which takes no count.
    """
    return exchange(_ADDRESSED + 1 + (blocks > 1), blocks * (size + locks))


def write(size: int = 4) -> float:
    """One block of ``size`` bytes."""
    return exchange(_ADDRESSED + 1 + size, 0) + PROGRAM


def write_byte() -> float:
    """The AFI or the DSFID."""
    return exchange(_ADDRESSED + 1, 0) + PROGRAM


def write_eas() -> float:
    """NXP: the EAS bit; the maker's code follows the command."""
    return exchange(_ADDRESSED + 1, 0) + PROGRAM


def eas(*, armed: bool, addressed: bool = True) -> float:
    """NXP: ask for the EAS alarm; a tag whose bit is off says nothing."""
    sent = (_ADDRESSED if addressed else 2) + 1
    return exchange(sent, 32) if armed else silence(sent)


def info() -> float:
    """System information with all its fields."""
    return exchange(_ADDRESSED, 14)


def lock() -> float:
    """One lock for ever."""
    return exchange(_ADDRESSED + 1, 0) + PROGRAM


def quiet() -> float:
    """Stay quiet; no tag answers that."""
    return _said(_ADDRESSED) + _T2


def exchange(sent: int, heard: int) -> float:
    """``sent``: bytes to the tag from the flags on; ``heard``: bytes behind the flags of its answer; CRCs apart."""
    return _said(sent) + _heard(heard)


def silence(sent: int = _ADDRESSED) -> float:
    """A question of ``sent`` bytes that no tag answers."""
    return _said(sent) + _T3


def _rounds(uids: set[int], mask: int, head: int) -> float:
    """One round under a mask of so many bits, and all rounds its collisions make needful."""
    slots = Counter(uid >> mask & _SLOTS - 1 for uid in uids)
    spent = _said(head + _whole(mask)) + (_SLOTS - 1) * _EOF
    spent += len(slots) * _heard(_FOUND) + (_SLOTS - len(slots)) * _T3
    for slot, many in slots.items():
        if many > 1 and mask + 4 < _UID_BITS:
            inside = {uid for uid in uids if uid >> mask & _SLOTS - 1 == slot}
            spent += _rounds(inside, mask + 4, head)
    return spent


def _said(size: int) -> float:
    return _SOF + (size + _CRC) * BYTE + _EOF


def _heard(size: int) -> float:
    return _T1 + _FRAME + (1 + size + _CRC) * BYTE + _T2


def _whole(bits: int) -> int:
    return (bits + 7) // 8
