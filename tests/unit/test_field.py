"""The emulated antenna and the tags behind it, also as they answer raw frames."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kiosk.emulators import air
from kiosk.emulators.chip import Chip
from kiosk.emulators.field import Field
from kiosk.emulators.things import read_seed
from kiosk.emulators.world import World
from kiosk.wire import iso15693
from kiosk.wire.iso15693 import EAS_PATTERN, Uid, unsealed

UID = Uid.parse("E004010012345678")  # de-men
NAMES = ("lich-su", "de-men", "thoi-gian")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A demo branch with three books on the pad, one of them lent."""
    world = World.create(tmp_path / "world.db", read_seed())
    for name in NAMES:
        world.lay(name)
    world.write_afi("thoi-gian", 0xC2)
    yield world
    world.close()


@pytest.fixture
def field(world: World) -> Field:
    """The antenna of that pad."""
    return Field(world)


def names(field: Field, afi: int | None = None) -> set[str]:
    return {tag.name for tag in field.inventory(afi)[0]}


def test_an_inventory_sees_what_lies_there_and_takes_its_time(field: Field) -> None:
    found, spent = field.inventory()
    assert {tag.name for tag in found} == set(NAMES)
    assert spent == air.inventory([bytes.fromhex(tag.uid) for tag in found])


@pytest.mark.parametrize(
    ("afi", "expected"),
    [
        (0x00, set(NAMES)),
        (0x07, {"lich-su", "de-men"}),
        (0xC2, {"thoi-gian"}),
        (0xC0, {"thoi-gian"}),  # the whole family
        (0xC1, set()),
        (0x27, set()),
    ],
)
def test_only_tags_of_the_family_answer(field: Field, afi: int, expected: set[str]) -> None:
    assert names(field, afi) == expected


def test_a_quieted_tag_answers_by_its_uid_alone_until_the_field_was_off(field: Field) -> None:
    tag = field.get(str(UID))
    assert tag is not None
    field.quiet(tag)
    assert names(field) == {"lich-su", "thoi-gian"}
    assert field.get(str(UID)) is not None
    assert field.reset() == air.OFF
    assert names(field) == set(NAMES)


def test_twins_are_told_twice(world: World, field: Field) -> None:
    world.set_fault("twins", "on")
    found, _ = field.inventory()
    assert len(found) == 4
    assert names(field) == set(NAMES)


def test_a_muttering_tag_leaves_every_third_question_unanswered(world: World, field: Field) -> None:
    world.set_fault("tag-mutters", "on")
    first, other = (world.tag(name).uid for name in ("lich-su", "de-men"))
    assert [field.get(first) is not None for _ in range(6)] == [True, True, False] * 2
    assert all(field.get(other) is not None for _ in range(6))


@pytest.mark.parametrize(("when", "afi"), [("before", 0x07), ("after", 0xC2)])
def test_a_tag_leaves_at_one_write_and_only_one(
    world: World, field: Field, when: str, afi: int
) -> None:
    world.set_fault("tag-leaves", when)
    done, _ = field.write_afi(world.tag("de-men"), 0xC2)
    assert (done, world.tag("de-men").afi, world.tag("de-men").place) == (afi == 0xC2, afi, "hand")
    assert field.get(str(UID)) is None
    assert field.write_afi(world.tag("lich-su"), 0xC2)[0]
    assert world.tag("lich-su").place == "pad"


def test_a_write_stops_at_the_block_that_fails_and_keeps_those_before(
    world: World, field: Field
) -> None:
    world.lock("de-men", "21")
    done, spent = field.write(world.tag("de-men"), 20, b"ABCDEFGHIJKL")
    assert not done
    assert world.tag("de-men").data[80:92] == b"ABCD" + bytes(8)
    assert spent > air.write()
    assert not field.write(world.tag("de-men"), 28, b"ABCD")[0]
    assert not field.write(world.tag("de-men"), 0, b"ABC")[0]


def test_a_lock_is_once_and_for_ever(world: World, field: Field) -> None:
    assert field.lock(world.tag("de-men"), "blocks", 4, 2)[0]
    assert not field.lock(world.tag("de-men"), "blocks", 5, 1)[0]
    assert not field.lock(world.tag("de-men"), "blocks", 27, 2)[0]
    assert field.locks(world.tag("de-men"), 3, 4) == bytes((0, 1, 1, 0))
    assert field.lock(world.tag("de-men"), "afi")[0]
    assert not field.write_afi(world.tag("de-men"), 0xC2)[0]
    world.reset()
    assert not world.tag("de-men").locks


def hear(chip: Chip, frame: bytes) -> bytes | None:
    """What a raw frame gets back, checked as a reader checks it."""
    said, spent = chip.hear(frame[:-2])
    assert spent > 0
    return None if said is None else unsealed(iso15693.sealed(said))


def test_tags_answer_the_frames_of_the_standard(world: World, field: Field) -> None:
    chip = Chip(field)
    info = iso15693.decode_system_info(hear(chip, iso15693.system_info(UID)) or b"")
    assert (info.uid, info.afi, info.blocks, info.block_size) == (UID, 0x07, 28, 4)
    assert hear(chip, iso15693.read_blocks(UID, 0, 9)) == world.tag("de-men").data[:36]
    assert hear(chip, iso15693.write_block(UID, 20, b"ABCD")) == b""
    assert world.tag("de-men").data[80:84] == b"ABCD"
    assert hear(chip, iso15693.write_afi(UID, 0xC2)) == b""
    assert world.tag("de-men").afi == 0xC2
    with pytest.raises(iso15693.TagError, match="10"):
        hear(chip, iso15693.read_blocks(UID, 27, 2))
    assert hear(chip, iso15693.system_info(Uid.parse("E004010000000009"))) is None


def test_one_slot_with_a_mask_hears_one_and_a_collision_is_no_answer(field: Field) -> None:
    chip = Chip(field)
    everybody = bytes((0x26, 0x01, 0x00))
    assert chip.hear(everybody)[0] is None
    assert chip.collides(everybody)
    masked = bytes((0x26, 0x01, 8, 0x78))  # the last byte of de-men's UID
    assert not chip.collides(masked)
    said, _ = chip.hear(masked)
    assert said == b"\x00\x00" + UID.on_air
    lent = bytes((0x36, 0x01, 0xC2, 0x00))
    assert chip.hear(lent)[0] == b"\x00\x00" + Uid.parse("E00401009ABCDEF0").on_air


def test_the_eas_alarm_is_the_pattern_or_silence(world: World, field: Field) -> None:
    chip = Chip(field)
    assert hear(chip, iso15693.eas_alarm(UID)) is None
    assert hear(chip, iso15693.set_eas(UID, armed=True)) == b""
    assert hear(chip, iso15693.eas_alarm(UID)) == EAS_PATTERN
    assert chip.hear(bytes((0x02, 0xA5, 0x04)))[0] == b"\x00" + EAS_PATTERN  # to anybody
    assert world.counters()["tags_armed"] == 1


def test_a_password_must_be_masked_by_the_tags_number_and_a_wrong_one_mutes(field: Field) -> None:
    chip = Chip(field)
    number = hear(chip, iso15693.get_random(UID)) or b""
    assert hear(chip, iso15693.set_password(UID, number, b"\x00\x00\x00\x01")) is None
    assert hear(chip, iso15693.system_info(UID)) is None
    chip.reset()
    with pytest.raises(iso15693.TagError):
        hear(chip, iso15693.protect_eas(UID))
    number = hear(chip, iso15693.get_random(UID)) or b""
    assert hear(chip, iso15693.set_password(UID, number)) == b""
    assert hear(chip, iso15693.protect_eas(UID)) == b""
    with pytest.raises(iso15693.TagError):
        hear(chip, iso15693.set_eas(UID, armed=True))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(frame=st.binary(max_size=40))
def test_any_frame_gets_an_answer_or_silence(field: Field, frame: bytes) -> None:
    chip = Chip(field)
    said, spent = chip.hear(frame)
    assert said is None or said[0] in (0, 1)
    assert 0 < spent < 1
    chip.collides(frame)
