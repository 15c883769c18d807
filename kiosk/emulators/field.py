"""What the antenna of an emulated HF pad sees: the world's tags with what a field does to them, and the time it takes.

Times are seconds on air (``kiosk.emulators.air``). What a reader thinks about and what its line carries is not here.
"""

from __future__ import annotations

from collections.abc import Callable

from kiosk.emulators import air
from kiosk.emulators.things import Place, WorldTag
from kiosk.emulators.world import World
from kiosk.wire.iso15693 import SystemInfo, Uid

_IC = 0x01  # IC reference of an ICODE SLIX
_SILENT = air.silence(12)


class Field:
    """One antenna. It remembers who was quieted, selected or muted until ``reset``.

    A tag that is given to a method is one that ``get``, ``present`` or ``inventory`` gave; it may be gone by then.
    """

    def __init__(self, world: World, place: Place = "pad") -> None:
        self._world = world
        self._place: Place = place
        self._quiet: set[str] = set()
        self._muted: set[str] = set()
        self._selected = ""
        self._mutters = 0

    def present(self, afi: int | None = None) -> list[WorldTag]:
        """Every tag in the field, quieted ones too; with ``afi`` those of that family."""
        return [tag for tag in self._world.tags(self._place) if of_family(tag.afi, afi)]

    def inventory(self, afi: int | None = None) -> tuple[list[WorldTag], float]:
        """The tags that answer an inventory; one of them twice while the fault ``twins`` is on."""
        shut = self._quiet | self._muted
        found = [tag for tag in self.present(afi) if tag.uid not in shut]
        spent = air.inventory([bytes.fromhex(tag.uid) for tag in found], afi)
        if found and self._world.fault("twins"):
            found.insert(0, found[0])
        return found, spent

    def get(self, uid: str) -> WorldTag | None:
        """The tag of this UID, if it answers now. A tag that mutters leaves every third question unanswered."""
        for number, tag in enumerate(self.present()):
            if tag.uid != uid or uid in self._muted:
                continue
            if number == 0 and self._world.fault("tag-mutters"):
                self._mutters += 1
                return tag if self._mutters % 3 else None
            return tag
        return None

    def read(self, tag: WorldTag, first: int, count: int) -> tuple[bytes | None, float]:
        """``count`` blocks; None: the tag has no such block."""
        size = tag.block_size
        if count < 1 or first + count > tag.blocks:
            return None, air.exchange(12, 1)
        return tag.data[first * size : (first + count) * size], air.read(count, size)

    def locks(self, tag: WorldTag, first: int, count: int) -> bytes:
        """The lock byte of each of these blocks: 1 if it is locked."""
        return bytes(str(number) in tag.locks for number in range(first, first + count))

    def write(self, tag: WorldTag, first: int, data: bytes) -> tuple[bool, float]:
        """Whole blocks, one by one; False at the first that could not be written, those before it stay written."""
        size, spent = tag.block_size, 0.0
        for at in range(0, len(data), size):
            number, block = first + at // size, data[at : at + size]
            if len(block) != size or not 0 <= number < tag.blocks:
                return False, spent + air.exchange(11 + size, 1)

            def write(number: int = number, block: bytes = block) -> None:
                self._world.write_block(tag.uid, number, block)

            done, took = self._change(tag, str(number), write, air.write(size))
            spent += took
            if not done:
                return False, spent
        return bool(data), spent

    def write_afi(self, tag: WorldTag, afi: int) -> tuple[bool, float]:
        """The AFI; False if it could not be written."""
        return self._change(
            tag, "afi", lambda: self._world.write_afi(tag.uid, afi), air.write_byte()
        )

    def write_dsfid(self, tag: WorldTag, dsfid: int) -> tuple[bool, float]:
        """The DSFID; False if it could not be written."""
        return self._change(
            tag, "dsfid", lambda: self._world.write_dsfid(tag.uid, dsfid), air.write_byte()
        )

    def write_eas(self, tag: WorldTag, armed: bool) -> tuple[bool, float]:
        """The EAS bit; False if it could not be written, as on a tag that is not NXP's."""
        if not nxp(tag):
            return False, air.exchange(11, 1)
        return self._change(
            tag, "eas", lambda: self._world.write_eas(tag.uid, armed=armed), air.write_eas()
        )

    def eas(self, tag: WorldTag | None) -> tuple[bool, float]:
        """Whether the EAS alarm is answered: by this tag, or by anybody in the field."""
        if tag is not None:
            return tag.eas, air.eas(armed=tag.eas)
        armed = any(one.eas for one in self.present())
        return armed, air.eas(armed=armed, addressed=False)

    def info(self, tag: WorldTag) -> tuple[SystemInfo, float]:
        """All that the tag says about itself."""
        uid = Uid.parse(tag.uid)
        return SystemInfo(uid, tag.dsfid, tag.afi, tag.blocks, tag.block_size, _IC), air.info()

    def lock(self, tag: WorldTag, what: str, first: int = 0, count: int = 0) -> tuple[bool, float]:
        """Lock ``afi``, ``dsfid``, ``eas`` or ``blocks`` for ever; False if it was locked or is not there."""
        if what == "blocks":
            wanted = [str(number) for number in range(first, first + count)]
            if not wanted or first + count > tag.blocks:
                return False, air.exchange(11, 1)
        else:
            wanted = [what]
        if tag.locks.intersection(wanted) or (what == "eas" and not nxp(tag)):
            return False, air.exchange(11, 1)
        self._world.lock(tag.uid, *wanted)
        return True, air.lock() * len(wanted)

    def quiet(self, tag: WorldTag) -> float:
        """Silence it in inventories; it still answers by its UID."""
        self._quiet.add(tag.uid)
        return air.quiet()

    def select(self, tag: WorldTag) -> float:
        """Make it the one that answers without an address."""
        self._selected = tag.uid
        return air.exchange(10, 0)

    def selected(self) -> WorldTag | None:
        """The selected tag, if it is there."""
        return self.get(self._selected) if self._selected else None

    def ready(self, tag: WorldTag) -> float:
        """Undo ``quiet`` and ``select``."""
        self._quiet.discard(tag.uid)
        self._selected = ""
        return air.exchange(10, 0)

    def mute(self, tag: WorldTag) -> None:
        """It answers nothing at all any more, as after a wrong password."""
        self._muted.add(tag.uid)

    def reset(self) -> float:
        """Field off and on: all is forgotten."""
        self._quiet.clear()
        self._muted.clear()
        self._selected = ""
        return air.OFF

    def _change(
        self, tag: WorldTag, what: str, change: Callable[[], None], spent: float
    ) -> tuple[bool, float]:
        """One write as the faults allow it."""
        leaves = self._world.spend("tag-leaves")
        if leaves in ("before", "on"):
            self._world.lift(tag.uid)
            return False, _SILENT
        if what in tag.locks:
            return False, air.exchange(11, 1)
        if self._world.spend("write-fails"):
            return False, spent
        change()
        if leaves == "after":
            self._world.lift(tag.uid)
        return True, spent


def nxp(tag: WorldTag) -> bool:
    """Whether it knows NXP's custom commands."""
    return tag.uid.startswith("E004")


def of_family(own: int, asked: int | None) -> bool:
    """ISO/IEC 15693-3: no AFI or 00 means all; a low nibble 0 the whole family; else exactly this one."""
    if not asked:
        return True
    return own >> 4 == asked >> 4 if asked & 0x0F == 0 else own == asked
