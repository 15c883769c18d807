"""The world's tags as the antenna of a UHF pad sees them, and the time it takes.

A TID is E2801300 and the UID. The UII and the user memory say what the tag's HF memory says, by ISO/TS 28560-4; the
AFI of the control word is the world's. What is written beyond that lives as long as the emulator.

Times, recalled from ISO/IEC 18000-63 and what readers usually choose, not measured: Tari 12.5 us and a data-1 of twice
that, so 18.75 us a bit to the tag; Miller 4 at 250 kHz, so 16 us a bit back; a word takes 8 ms to write.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from hashlib import blake2b

from kiosk.emulators.things import Place, WorldTag
from kiosk.emulators.world import World
from kiosk.wire import epc as bank01
from kiosk.wire import iso28560_4, uhf_tag
from kiosk.wire.content import CardTag, ItemTag, Label, Usage
from kiosk.wire.tag import decode
from kiosk.wire.uhf18 import TID_WORDS, Bank, Mask, Target, Uii
from mocban.errors import LocalProtocolError

_TID = bytes.fromhex("E2801300")
_EPC_BYTES, _USER_BYTES = 36, 64

_OUT, _BACK = 18.75e-6, 16e-6  # seconds a bit
_SYNC = 62.5e-6  # before every command but a Query
_PREAMBLE = 126e-6  # before a Query
_TURN = 40e-6  # between command and answer, and back
_PILOT = 10 * _BACK  # before an answer
_PROGRAM = 0.008  # seconds a word


@dataclass(frozen=True, slots=True)
class UhfTag:
    """One tag: its TID, control word and UII, and user memory."""

    world: WorldTag
    tid: bytes
    epc: bytes = field(repr=False)
    user: bytes = field(repr=False)

    @property
    def uii(self) -> bytes:
        """Without the control word."""
        return self.epc[2:]


class UhfField:
    """One antenna. ``epcs``: tags by UID that have another bank 01, as from PC on."""

    def __init__(
        self, world: World, place: Place = "pad", *, epcs: dict[str, bytes] | None = None
    ) -> None:
        self._world = world
        self._place: Place = place
        self._epcs = dict(epcs or {})
        self._users: dict[str, bytes] = {}
        self._mutters = 0

    def present(self) -> list[UhfTag]:
        """Every tag in the field."""
        return [self._of(tag) for tag in self._world.tags(self._place)]

    def inventory(self, *, tid: bool = False) -> tuple[list[UhfTag], float]:
        """The tags of one round, and its air time; one of them twice while the fault ``twins`` is on."""
        found = self.present()
        spent = rounds(found, tid=tid)
        if found and self._world.fault("twins"):
            found.insert(0, found[0])
        return found, spent

    def meant(self, target: Target) -> list[UhfTag]:
        """The tags that a request means. One that mutters is understood every other time."""
        found = [tag for tag in self.present() if _fits(tag, target)]
        first = next(iter(self._world.tags(self._place)), None)
        if found and first and found[0].world.uid == first.uid and self._world.fault("tag-mutters"):
            self._mutters += 1
            if self._mutters % 2:
                found = found[1:]
        return found

    def read(self, tag: UhfTag, bank: Bank, first: int, count: int) -> tuple[bytes | None, float]:
        """Words of a bank; None: it has not so many."""
        memory = _memory(tag, bank)
        if count < 1 or 2 * (first + count) > len(memory):
            return None, access(58, 1)
        return memory[2 * first : 2 * (first + count)], access(58, 16 * count)

    def write(self, tag: UhfTag, bank: Bank, first: int, data: bytes) -> tuple[bool, float]:
        """Words into bank 01 from the control word on, or into user memory; False if that failed."""
        spent = access(58, 0) + len(data) // 2 * (_PROGRAM + 66 * _OUT)
        leaves = self._world.spend("tag-leaves")
        if leaves in ("before", "on"):
            self._world.lift(tag.world.uid)
            return False, access(58, 0)
        memory = _memory(tag, bank)
        end = 2 * first + len(data)
        shut = bank in (Bank.TID, Bank.RESERVED) or end > len(memory)
        if shut or (bank is Bank.EPC and (not first or "afi" in tag.world.locks)):
            return False, access(58, 1)
        if self._world.spend("write-fails"):
            return False, spent
        self._keep(tag, bank, memory[: 2 * first] + data + memory[end:])
        if leaves == "after":
            self._world.lift(tag.world.uid)
        return True, spent

    def write_eas(self, tag: UhfTag, *, armed: bool) -> tuple[bool, float]:
        """The EAS bit of NXP's tags."""
        spent = access(90, 0) + _PROGRAM
        if self._world.spend("write-fails"):
            return False, spent
        self._world.write_eas(tag.world.uid, armed=armed)
        return True, spent

    def eas(self) -> tuple[bool, float]:
        """Whether any armed tag answers the alarm command."""
        return any(tag.world.eas for tag in self.present()), _said(36) + 64 * _BACK

    def _keep(self, tag: UhfTag, bank: Bank, memory: bytes) -> None:
        uid = tag.world.uid
        if bank is Bank.USER:
            self._users[uid] = memory
            return
        found = bank01.split(memory[2:])
        epc = b"" if found is None else bytes(found)
        self._epcs[uid] = epc
        afi = uhf_tag.afi(epc)
        if afi is not None and afi != tag.world.afi:
            self._world.write_afi(uid, afi)

    def _of(self, tag: WorldTag) -> UhfTag:
        made, user = _banks(tag)
        epc = self._epcs.get(tag.uid, made)
        epc = uhf_tag.secured(epc, tag.afi) or epc
        return UhfTag(tag, tid_of(tag.uid), epc, self._users.get(tag.uid, user))


def tid_of(uid: str) -> bytes:
    """The TID of the world's tag with this UID."""
    return _TID + bytes.fromhex(uid)


def rounds(tags: list[UhfTag], *, tid: bool = False) -> float:
    """Air time of an inventory: frames of slots, as many as tags are left, until none is; then an empty one."""
    left, turn, spent = tags, 0, 0.0
    while left:
        slots = 1 << (len(left) - 1).bit_length()
        places = [_draw(tag.tid, turn) % slots for tag in left]
        taken = Counter(places)
        alone = [tag for tag, place in zip(left, places, strict=True) if taken[place] == 1]
        crowds = len(taken) - len(alone)
        spent += _query() + (slots - 1) * _said(4)
        spent += sum(_told(tag) + (access_in_round() if tid else 0.0) for tag in alone)
        spent += crowds * (_TURN + _PILOT + 17 * _BACK + _TURN) + (slots - len(taken)) * _TURN
        left = [tag for tag, place in zip(left, places, strict=True) if taken[place] > 1]
        turn += 1
    return spent + _query() + _TURN


def _draw(tid: bytes, turn: int) -> int:
    """The slot that a tag draws: by lot, but the same for the same tags."""
    return int.from_bytes(blake2b(tid + turn.to_bytes(4, "big"), digest_size=4).digest(), "big")


def access(sent: int, heard: int) -> float:
    """One command to one tag: select it by 96 bits, find it, take its handle, ask ``sent`` bits, hear ``heard``."""
    opening = _said(44 + 96) + _query() + _said(18) + _heard(17) + _heard(16 + 96 + 17)
    return opening + _said(40) + _heard(33) + _said(sent) + _heard(1 + heard + 33)


def access_in_round() -> float:
    """The handle and six words of the TID, from a tag that an inventory just found."""
    return _said(40) + _heard(33) + _said(58) + _heard(1 + 16 * TID_WORDS + 33)


def _told(tag: UhfTag) -> float:
    return _heard(17) + _said(18) + _heard(8 * len(tag.epc) + 17)


def _query() -> float:
    return _PREAMBLE + 22 * _OUT


def _said(bits: int) -> float:
    return _SYNC + bits * _OUT


def _heard(bits: int) -> float:
    return _TURN + _PILOT + bits * _BACK + _TURN


def _memory(tag: UhfTag, bank: Bank) -> bytes:
    match bank:
        case Bank.RESERVED:
            return bytes(8)
        case Bank.EPC:
            return bank01.bank(tag.epc).ljust(_EPC_BYTES, b"\x00")
        case Bank.TID:
            return tag.tid
        case Bank.USER:
            return tag.user


def _fits(tag: UhfTag, target: Target) -> bool:
    match target:
        case Uii(data):
            return data in (b"", tag.uii)
        case Mask(bank, first, data):
            at = first // 8
            return not first % 8 and _memory(tag, bank)[at : at + len(data)] == data


def _banks(tag: WorldTag) -> tuple[bytes, bytes]:
    """Bank 01 from the control word on, and user memory."""
    content = decode(tag.data)
    match content:
        case ItemTag():
            label = Label(
                content.id, content.owner, content.usage, content.sub,
                content.parts or 1, content.part, content.fields,
            )  # fmt: skip
        case CardTag():
            label = Label(content.id, content.owner, Usage.PATRON_CARD)
        case _:
            return bank01.join(tid_of(tag.uid), afi=None), bytes(_USER_BYTES)
    try:
        user = iso28560_4.encode_user(label, _USER_BYTES)
        return iso28560_4.encode(label, afi=tag.afi, umi=True), user
    except LocalProtocolError:  # it does not go there: a tag that nobody has written yet
        return bank01.join(tid_of(tag.uid), afi=None), bytes(_USER_BYTES)
