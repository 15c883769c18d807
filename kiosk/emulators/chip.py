"""What tags say to a raw ISO 15693 frame, for readers that pass frames through: FEIG BF, 3M 14, PC/SC transparent.

Frames are without their CRC, as readers take and give them.
"""

from __future__ import annotations

from kiosk.emulators import air
from kiosk.emulators.field import Field, nxp
from kiosk.emulators.things import WorldTag
from kiosk.wire.iso15693 import EAS_PASSWORD, EAS_PATTERN, NXP, Command, Flag, Uid

PASSWORD = bytes(4)
"""The EAS and AFI password of a tag as its maker leaves it."""

_OK = b"\x00"
_UNKNOWN, _NO_BLOCK, _LOCKED, _UNPROVEN = 0x01, 0x10, 0x12, 0x0F


class Chip:
    """All tags of a field as one listener. It remembers passwords that were shown, until the field is switched off.

    ``hear`` gives the answer (flags, then its bytes; None: nobody, or several at once) and the seconds on air.
    """

    def __init__(self, field: Field) -> None:
        self._field = field
        self._turn = 0
        self._random: dict[str, bytes] = {}
        self._shown: set[str] = set()

    def reset(self) -> float:
        """Field off and on."""
        self._random.clear()
        self._shown.clear()
        return self._field.reset()

    def hear(self, frame: bytes) -> tuple[bytes | None, float]:
        """One frame from its flags on. Total: what means nothing to a tag is answered by none."""
        if len(frame) < 2:
            return None, air.silence(len(frame))
        flags, command = frame[0], frame[1]
        if flags & Flag.INVENTORY:
            return self._inventory(flags, frame[2:])
        return self._one(flags, command, frame)

    def _inventory(self, flags: int, rest: bytes) -> tuple[bytes | None, float]:
        """One slot only: whoever fits the mask answers; two at once are no answer (a collision, ``collides``)."""
        chosen = self._masked(flags, rest)
        if chosen is None:
            return None, air.silence(2 + len(rest))
        spent = air.one_slot(bool(chosen), _mask_bits(flags, rest))
        if len(chosen) != 1:
            return None, spent
        tag = chosen[0]
        return _OK + bytes((tag.dsfid,)) + Uid.parse(tag.uid).on_air, spent

    def collides(self, frame: bytes) -> bool:
        """Whether several tags answer this inventory frame at once."""
        if len(frame) < 2 or not frame[0] & Flag.INVENTORY:
            return False
        return len(self._masked(frame[0], frame[2:]) or []) > 1

    def _masked(self, flags: int, rest: bytes) -> list[WorldTag] | None:
        afi = None
        if flags & Flag.AFI:
            if not rest:
                return None
            afi, rest = rest[0], rest[1:]
        if not rest or rest[0] > 64 or len(rest) - 1 < (rest[0] + 7) // 8:
            return None
        bits = rest[0]
        mask = int.from_bytes(rest[1 : 1 + (bits + 7) // 8], "little")
        low = (1 << bits) - 1
        found, _ = self._field.inventory(afi)
        seen = {tag.uid: tag for tag in found if int(tag.uid, 16) & low == mask & low}
        return list(seen.values())

    def _one(self, flags: int, command: int, frame: bytes) -> tuple[bytes | None, float]:
        sent = len(frame)
        custom = command >= 0xA0
        at = 3 if custom else 2
        if custom and (len(frame) < 3 or frame[2] != NXP):
            return None, air.silence(sent)
        if command == Command.NXP_EAS_ALARM and not flags & Flag.ADDRESS:
            armed, spent = self._field.eas(None)
            return (_OK + EAS_PATTERN if armed else None), spent
        if flags & Flag.ADDRESS:
            if len(frame) < at + 8:
                return None, air.silence(sent)
            tag = self._field.get(str(Uid(frame[at : at + 8][::-1])))
            at += 8
        elif flags & Flag.SELECT:
            tag = self._field.selected()
        else:
            here = self._field.present()
            tag = here[0] if len(here) == 1 else None
        if tag is None:
            return None, air.silence(sent)
        if custom:
            return self._custom(tag, command, flags, frame[at:], sent)
        return self._standard(tag, command, flags, frame[at:], sent)

    def _standard(
        self, tag: WorldTag, command: int, flags: int, args: bytes, sent: int
    ) -> tuple[bytes | None, float]:
        field = self._field
        match command:
            case Command.STAY_QUIET:
                return None, field.quiet(tag)
            case Command.SELECT:
                return _OK, field.select(tag)
            case Command.RESET_TO_READY:
                return _OK, field.ready(tag)
            case Command.SYSTEM_INFO:
                return _OK + _system(tag), air.info()
            case Command.READ_SINGLE if len(args) == 1:
                return self._read(tag, flags, args[0], 1)
            case Command.READ_MULTIPLE if len(args) == 2:
                return self._read(tag, flags, args[0], args[1] + 1)
            case Command.SECURITY_STATUS if len(args) == 2:
                return _OK + field.locks(tag, args[0], args[1] + 1), air.exchange(12, args[1] + 1)
            case Command.WRITE_SINGLE if len(args) == 1 + tag.block_size:
                if args[0] >= tag.blocks:
                    return _error(_NO_BLOCK), air.exchange(sent, 1)
                return _said(field.write(tag, args[0], args[1:]))
            case Command.WRITE_AFI if len(args) == 1:
                return _said(field.write_afi(tag, args[0]))
            case Command.WRITE_DSFID if len(args) == 1:
                return _said(field.write_dsfid(tag, args[0]))
            case _:
                return self._lock(tag, command, args, sent)

    def _lock(
        self, tag: WorldTag, command: int, args: bytes, sent: int
    ) -> tuple[bytes | None, float]:
        match command:
            case Command.LOCK_BLOCK if len(args) == 1:
                return _said(self._field.lock(tag, "blocks", args[0], 1))
            case Command.LOCK_AFI:
                return _said(self._field.lock(tag, "afi"))
            case Command.LOCK_DSFID:
                return _said(self._field.lock(tag, "dsfid"))
            case _:
                return _error(_UNKNOWN), air.exchange(sent, 1)

    def _custom(
        self, tag: WorldTag, command: int, flags: int, args: bytes, sent: int
    ) -> tuple[bytes | None, float]:
        field = self._field
        if not nxp(tag):
            return _error(_UNKNOWN), air.exchange(sent, 1)
        match command:
            case Command.NXP_SET_EAS:
                return _said(field.write_eas(tag, True))
            case Command.NXP_RESET_EAS:
                return _said(field.write_eas(tag, False))
            case Command.NXP_EAS_ALARM:
                armed, spent = field.eas(tag)
                return (_OK + EAS_PATTERN if armed else None), spent
            case Command.NXP_LOCK_EAS:
                return _said(field.lock(tag, "eas"))
            case Command.NXP_GET_RANDOM:
                self._turn += 1
                self._random[tag.uid] = (0x5A00 + self._turn & 0xFFFF).to_bytes(2, "big")
                return _OK + self._random[tag.uid], air.exchange(sent, 2)
            case Command.NXP_SET_PASSWORD if len(args) == 5:
                return self._password(tag, args, sent)
            case Command.NXP_PROTECT:
                if tag.uid not in self._shown:
                    return _error(_UNPROVEN), air.exchange(sent, 1)
                return _said(field.lock(tag, "afi" if flags & Flag.OPTION else "eas"))
            case _:
                return _error(_UNKNOWN), air.exchange(sent, 1)

    def _password(self, tag: WorldTag, args: bytes, sent: int) -> tuple[bytes | None, float]:
        """Masked by the random number, twice; a wrong one mutes the tag."""
        mask = self._random.pop(tag.uid, b"") * 2
        told = bytes(a ^ b for a, b in zip(args[1:], mask, strict=False))
        if args[0] == EAS_PASSWORD and told == PASSWORD:
            self._shown.add(tag.uid)
            return _OK, air.exchange(sent, 0)
        self._field.mute(tag)
        return None, air.silence(sent)

    def _read(
        self, tag: WorldTag, flags: int, first: int, count: int
    ) -> tuple[bytes | None, float]:
        data, spent = self._field.read(tag, first, count)
        if data is None:
            return _error(_NO_BLOCK), spent
        if not flags & Flag.OPTION:
            return _OK + data, spent
        size, locks = tag.block_size, self._field.locks(tag, first, count)
        rows = (locks[n : n + 1] + data[n * size : (n + 1) * size] for n in range(count))
        return _OK + b"".join(rows), air.read(count, size, locks=True)


def _system(tag: WorldTag) -> bytes:
    uid = Uid.parse(tag.uid).on_air
    return b"\x0f" + uid + bytes((tag.dsfid, tag.afi, tag.blocks - 1, tag.block_size - 1, 0x01))


def _mask_bits(flags: int, rest: bytes) -> int:
    return rest[1 if flags & Flag.AFI else 0]


def _said(outcome: tuple[bool, float]) -> tuple[bytes, float]:
    done, spent = outcome
    return (_OK if done else _error(_LOCKED)), spent


def _error(code: int) -> bytes:
    return bytes((0x01, code))
