"""The demo world: one truth, several processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kiosk.emulators.things import FAULTS, read_seed
from kiosk.emulators.world import World

DE_MEN = "E004010012345678"
READER, OTHER = "TV2400001", "TV2400002"
DUE = "2026-12-12T16:59:59.000Z"

# Written out again from the published dumps: a slip in demo.toml must not pass unseen.
DUMPS = {
    "lich-su": "11010131313232333334340000000000000000513E4445373035000000000000",
    "de-men": "1101014247303030313233343500000000000003 17564E42473031".replace(" ", ""),
    "thoi-gian": "810101323933353030303030333634390000008793525532393300",
    "dat-rung": "110302424730303035343332310000000000 00FC98564E42473031".replace(" ", ""),
    "sach-duc": "3201042132313130333634330000000 0F7000000 4445444932352D4500000036".replace(
        " ", ""
    ),
    "the-1": "18010154563234303030303100000000000000 8808564E42473031".replace(" ", ""),
}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A fresh demo branch."""
    world = World.create(tmp_path / "world.db", read_seed())
    yield world
    world.close()


def test_the_demo_holds_the_published_dumps_to_the_byte(world: World) -> None:
    for name, hexes in DUMPS.items():
        data = world.tag(name).data
        assert data.hex().upper().startswith(hexes)
        assert not any(data[len(hexes) // 2 :])
        assert len(data) == (32 if name == "lich-su" else 112)
    assert len(world.tags()) == len(DUMPS)


def test_a_world_that_is_not_there_is_not_made_by_opening_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        World(tmp_path / "nowhere.db")
    assert not (tmp_path / "nowhere.db").exists()


def test_a_tag_goes_to_the_pad_and_back_by_uid_or_name(world: World) -> None:
    world.lay("de-men")
    world.lay("the-1")
    assert [tag.name for tag in world.tags("pad")] == ["de-men", "the-1"]
    world.lift(DE_MEN)
    assert world.tag("de-men").place == "hand"
    with pytest.raises(KeyError):
        world.lay("no-such-book")


def test_only_one_card_lies_on_the_pad(world: World) -> None:
    world.show_card("the-1")
    assert world.tag("the-1").place == "pad"
    world.show_card(None)
    assert world.tag("the-1").place == "hand"
    with pytest.raises(ValueError, match="not a card"):
        world.show_card("de-men")


def test_a_refused_change_changes_nothing(world: World) -> None:
    world.show_card("the-1")
    before = world.version()
    with pytest.raises(KeyError):
        world.show_card("no-such-card")
    assert world.tag("the-1").place == "pad"
    assert world.version() == before


def test_disarming_and_arming_are_counted_only_when_the_mark_changes(world: World) -> None:
    for afi in (0xC2, 0xC2, 0x07, 0x07, 0x00, 0xC2):
        world.write_afi(DE_MEN, afi)
    assert world.tag(DE_MEN).afi == 0xC2
    counters = world.counters()
    assert (counters["tags_disarmed"], counters["tags_armed"]) == (1, 1)
    with pytest.raises(ValueError, match="one byte"):
        world.write_afi(DE_MEN, 256)


def test_a_block_is_written_whole_or_not_at_all(world: World) -> None:
    world.write_block(DE_MEN, 27, b"\xde\xad\xbe\xef")
    assert world.tag(DE_MEN).data[-4:] == b"\xde\xad\xbe\xef"
    assert world.tag(DE_MEN).data.hex().upper().startswith(DUMPS["de-men"])
    for block, data in ((28, b"1234"), (-1, b"1234"), (0, b"123"), (0, b"12345")):
        with pytest.raises(ValueError, match="block"):
            world.write_block(DE_MEN, block, data)
    assert len(world.tag(DE_MEN).data) == 112


def test_a_passage_keeps_the_tags_as_they_were_at_that_moment(world: World) -> None:
    world.lay("de-men")
    first = world.walk(["de-men", "the-1", DE_MEN], "out")
    world.write_afi(DE_MEN, 0xC2)
    second = world.walk([], "in")
    one, two = world.passages(0)
    assert (one.no, one.direction, one.cried) == (first, "out", False)
    assert [(tag.name, tag.afi) for tag in one.tags] == [("de-men", 0x07), ("the-1", 0x00)]
    assert (two.no, two.direction, two.tags) == (second, "in", ())
    assert [passage.no for passage in world.passages(first)] == [second]
    assert world.people() == (1, 1)
    assert world.tags("pad") == []
    with pytest.raises(ValueError, match="direction"):
        world.walk([], "sideways")


def test_a_siren_is_counted_and_marks_the_passage(world: World) -> None:
    world.walk(["de-men"], "out")
    world.siren(3.0)
    assert world.sirens() == world.counters()["siren_frames"] == 1
    assert world.passages(0)[-1].cried


def test_a_loan_is_counted_once_and_undone_apart_from_returned(world: World) -> None:
    world.lend("BG00012345", READER, DUE)
    world.lend("BG00012345", READER, "2027-01-01T00:00:00.000Z")
    assert [loan.due for loan in world.loans_of(READER)] == ["2027-01-01T00:00:00.000Z"]
    with pytest.raises(ValueError, match="another reader"):
        world.lend("BG00012345", OTHER, DUE)
    assert world.give_back("BG00012345", cancel=True)
    assert not world.give_back("BG00012345")
    assert world.give_back("BG00054321")
    counters = world.counters()
    assert (counters["loans_in_ils"], counters["undone_in_ils"], counters["returns_in_ils"]) == (
        1,
        1,
        1,
    )
    with pytest.raises(KeyError):
        world.lend("no-such-item", READER, DUE)


def test_records_and_patrons_are_as_the_demo_tells(world: World) -> None:
    hold, out = world.record("2935000003649"), world.loan("BG00054321")
    assert hold is not None
    assert out is not None
    assert (hold.on_hold_for, out.card) == (OTHER, OTHER)
    blocked, reader = world.patron("TV2400003"), world.patron(READER)
    assert blocked is not None
    assert reader is not None
    assert (blocked.blocked, reader.blocked, reader.limit) == (True, False, 5)
    assert world.patron("nobody") is None
    assert world.record("nothing") is None
    assert world.loan("nothing") is None
    assert READER not in repr(reader)
    assert reader.name not in repr(reader)


def test_every_fault_goes_on_and_off(world: World) -> None:
    for name in FAULTS:
        value = "0.2" if name == "slow-ils" else "on"
        assert world.fault(name) == ""
        world.set_fault(name, value)
        assert world.fault(name) == value
        assert world.faults() == {name: value}
        world.set_fault(name, "")
        assert world.faults() == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fire", "on"),
        ("slow-ils", "soon"),
        ("slow-ils", "nan"),
        ("slow-ils", "61"),
        ("ils-down", "x" * 33),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(world: World, name: str, value: str) -> None:
    with pytest.raises(ValueError, match=r"fault|slow-ils"):
        world.set_fault(name, value)
    assert world.faults() == {}


def test_reset_brings_the_seed_back_but_never_reuses_a_passage_number(world: World) -> None:
    fresh = world.tags()
    world.lay("de-men")
    world.write_afi(DE_MEN, 0xC2)
    world.lend("BG00012345", READER, DUE)
    world.set_fault("ils-down", "on")
    last, version = world.walk(["lich-su"], "out"), world.version()
    world.reset()
    assert world.tags() == fresh
    assert world.loans_of(READER) == []
    assert world.faults() == {}
    assert set(world.counters().values()) == {0}
    assert world.people() == (0, 0)
    assert world.passages(0) == []
    assert world.version() > version
    assert world.walk([], "in") == last + 1


def test_a_second_view_sees_every_change_by_its_version(world: World) -> None:
    other = World(world.path)
    try:
        before = other.version()
        assert other.version() == before
        world.lay("de-men")
        assert other.version() > before
        assert [tag.name for tag in other.tags("pad")] == ["de-men"]
    finally:
        other.close()


def test_two_processes_write_at_once_and_nothing_is_lost(world: World) -> None:
    script = (
        "import sys\n"
        "from kiosk.emulators.world import World\n"
        "world = World(sys.argv[1])\n"
        "for _ in range(150):\n"
        "    world.walk(['de-men'], sys.argv[2])\n"
        "world.close()\n"
    )
    before = world.version()
    writers = [
        subprocess.Popen([sys.executable, "-c", script, str(world.path), direction])
        for direction in ("in", "out")
    ]
    assert [writer.wait(timeout=30) for writer in writers] == [0, 0]
    assert world.people() == (150, 150)
    assert [passage.no for passage in world.passages(0)] == list(range(1, 301))
    assert world.version() == before + 300
