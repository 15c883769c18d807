"""Which model a tag is of: every vector that was published or computed elsewhere, through the one door."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.wire import (
    epc,
    iso28560_2_write,
    iso28560_3,
    iso28560_3_write,
    iso28560_4,
    plain,
    rfid501,
    tag,
)
from kiosk.wire.content import (
    NOBODY,
    Blank,
    CardTag,
    Content,
    Damage,
    Damaged,
    Foreign,
    ItemTag,
    Label,
    Look,
    Model,
    Owner,
    Usage,
    Warn,
)

BG01 = Owner("VN", "BG01")
V1 = (
    "91 00 05 1C BE 99 1A 14 02 01 D0 14 02 04 B3 46 07 44 1C B6 E2 E3 35 D6"
    "83 02 07 AC C0 9E BA A0 6F 6B 00 00"
)
V2 = "11 01 01 31 31 32 32 33 33 34 34 0000000000000000 51 3E 44 45 37 30 35 000000000000"
V3 = "04 11 00 00 323030393031303130313233 00000000 FF FF FF FF 7F FF FF FF 00 00 00 00"
BLOCKS = "11 01 01 42 47 30 30 30 31 32 33 34 35 00 00 00 00 00 00 03 17 56 4E 42 47 30 31 00 00 00 00 00"
TURNED = "42 01 01 11 30 30 30 47 34 33 32 31 00 00 00 35 03 00 00 00 42 4E 56 17 00 31 30 47 00 00 00 00"
PART = (
    "11 03 02 42 47 30 30 30 35 34 33 32 31 00 00 00 00 00 00 FC 98 56 4E 42 47 30 31"
    "00 00 00 00 00 00 00"
)
CARD = "18 01 01 54 56 32 34 30 30 30 30 31 00 00 00 00 00 00 00 88 08 56 4E 42 47 30 31 00 00 00 00 00"
GATE = (
    "32 01 04 21 32 31 31 30 33 36 34 33 00 00 00 00 F7 00 00 00 44 45 44 49 32 35 2D 45"
    "00 00 00 36 00 00 00 00"
)
RUSSIAN = "81 01 01 32 39 33 35 30 30 30 30 30 33 36 34 39 00 00 00 87 93 52 55 32 39 33 00 00 00 00 00 00"
USER = "06 02 01 D0 14 02 04 B3 46 07 44 1C B6 E2 E3 35 D6 53 08 AB 4D 6C 9D D5 56 CD EB 00"


def item(text: str, owner: Owner = NOBODY, **more: object) -> ItemTag:
    told = {"parts": 1, "part": 1, "usage": Usage.CIRCULATING, **more}
    return ItemTag(text, owner=owner, **told)  # type: ignore[arg-type]


def sets(text: str, owner: Owner = NOBODY, **more: object) -> ItemTag:
    return item(text, owner, model=Model.ISO28560_2, **{"usage": Usage.UNSAID, **more})


def uhf(text: str, owner: Owner = NOBODY, **more: object) -> ItemTag:
    return item(text, owner, model=Model.ISO28560_4, usage=Usage.UNSAID, **more)


VECTORS: list[tuple[str, Content]] = [
    # ISO 28560-2: the worked example of the standard, then single sets
    (V1, sets("123456789012", Owner("US", "InU-Mu"), parts=12, part=3,
              fields=(("shelf-location", "QA268.L55"),))),
    ("91 00 05 1C BE 99 1A 14", sets("123456789012")),
    ("41 08 08 7C 30 C3 1C B3 D3 58 02 01 A4 05 01 10 7F 02 0A 53 E1 BB 91 20 C4 91 E1 BB 8F 00",
     sets("BG00012345", usage=Usage.CIRCULATING, fields=(("title", "Số đỏ"),), warnings=(Warn.INDEX,))),
    ("41 08 08 7C 30 C3 1C B3 D3 58 02 02 20 02 05 01 10 7F 02 0A 53 E1 BB 91 20 C4 91 E1 BB 8F 00",
     sets("BG00012345", usage=Usage.CIRCULATING, fields=(("title", "Số đỏ"),))),
    ("41 08 08 7C 30 C3 1C B3 D3 58 02 02 20 02 65 01 10 FF 02 02 0A 53 E1 BB 91 20 C4 91 E1 BB 8F 00 00 00",
     sets("BG00012345", usage=Usage.CIRCULATING, fields=(("title", "Số đỏ"),))),
    ("41 08 08 7C 30 C3 1C B3 D3 58 02 01 40 14 01 15 00", sets("BG00012345", parts=2, part=1)),
    # ISO 28560-3: of both lengths, backwards, a card, a gate's notification, a version that does not exist
    (V2, item("11223344", Owner("DE", "705"))),
    (BLOCKS, item("BG00012345", BG01)),
    (TURNED, item("BG00012345", BG01, warnings=(Warn.BLOCKS_REVERSED,))),
    (PART, item("BG00054321", BG01, parts=3, part=2)),
    (CARD, CardTag("TV2400001", BG01)),
    (GATE, item("201123463", Owner("DE", "526"), parts=4, part=1, version=2,
                warnings=(Warn.BLOCKS_REVERSED, Warn.OWNER_REPEATS_COUNTRY))),
    (RUSSIAN, item("2935000003649", Owner("RU", "293"), version=8, warnings=(Warn.VERSION,))),
    (BLOCKS + "00 00 05 01 00 05 01 0E 04 00 32 53 E1 BB 91 20 C4 91 E1 BB 8F 0E 03 00 03"
     "56 56 2D 38 39 35 2E 39 32 32 00",
     item("BG00012345", BG01,
          fields=(("media-format", "1"), ("title", "Số đỏ"), ("shelf-location", "VV-895.922")))),
    # ISO/TS 28560-4 and gaoxiao, as bank 01 whole or without its CRC
    ("45C2 141C C04F C70B ADB5 C6E2 DA1D ED4D D319",
     uhf("12345678", Owner("CH", "000134-1"), parts=3, part=1, warnings=(Warn.NO_CHECK,))),
    ("0000 45C2 141C C04F C70B ADB5 C6E2 DA1D ED4D D319",
     uhf("12345678", Owner("CH", "000134-1"), parts=3, part=1, warnings=(Warn.NO_CHECK,))),
    ("1182 35C2 8BCC 0DB7 C623 308F C079 D3B4", uhf("BG00012345", BG01)),
    ("BE3C 3507 8BCC 0DB7 C623 308F C079 D3B4", uhf("BG00012345", BG01)),
    ("811E 25C2 0DB7 C050 CD4B DAC1", uhf("BG00012345")),
    ("16B9 2507 0DB7 C050 CD4B DAC1", uhf("BG00012345")),
    ("24E6 3400 8003 0053 3813 0058 B907 0000",
     uhf("H0154943", version=4, warnings=(Warn.GAOXIAO, Warn.NO_CHECK),
         fields=(("sorting", "0"), ("user-elements", "14 11 4 3")))),
    (USER, Foreign(Look.USER_BANK)),
    # 3M, plain, NDEF
    (V3, item("200901010123", usage=Usage.UNSAID, version=0, model=Model.RFID501, warnings=(Warn.NO_CHECK,),
              fields=(("type", "0"), ("branch", "4095"), ("library", "1048575"), ("custom", "2147483647")))),
    ("33 33 35 30 30 30 30 30 31 32 33 34 35 36 00 00 00 00",
     item("33500000123456", usage=Usage.UNSAID, version=0, model=Model.ASCII, warnings=(Warn.NO_CHECK,))),
    ("E1 40 0E 01 03 11 D1 01 0D 54 02 65 6E 42 47 30 30 30 31 32 33 34 35 FE 00",
     item("BG00012345", usage=Usage.UNSAID, version=0, model=Model.NDEF, warnings=(Warn.NO_CHECK,))),
    # nothing, or nothing of a library's
    ("00" * 32, Blank()),
    ("FF" * 32, Blank()),
    ("55" * 24 + "00" * 8, Blank()),
    ("E1 40 0E 01" + "00" * 28, Foreign(Look.NDEF)),
    ("DE AD BE EF 01 02 03 04", Foreign(Look.UNKNOWN)),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "content"), VECTORS)
def test_every_vector_says_what_it_should(raw: str, content: Content) -> None:
    assert tag.decode(bytes.fromhex(raw)) == content


@pytest.mark.parametrize("dsfid", [None, 0x00, 0x06, 0x3E, 0xFF])
@pytest.mark.parametrize("afi", [None, 0x00, 0x07, 0xC2])
def test_dsfid_and_afi_are_hints(afi: int | None, dsfid: int | None) -> None:
    for raw, content in VECTORS:
        told = tag.decode(bytes.fromhex(raw), afi=afi, dsfid=dsfid)
        if isinstance(content, ItemTag | CardTag | Blank):
            assert told == content, raw


def test_a_uhf_tag_by_its_epc_and_user_memory() -> None:
    bare = bytes.fromhex("25C2 0DB7 C050 CD4B DAC1")
    found = tag.decode(bytes.fromhex(USER), epc=bare)
    assert isinstance(found, ItemTag)
    assert (found.id, found.owner.isil, found.parts, found.part) == (
        "BG00012345",
        "US-InU-Mu",
        12,
        3,
    )
    assert tag.decode(b"", epc=bare) == uhf("BG00012345")


def test_a_factory_fresh_uhf_tag_is_blank() -> None:
    assert tag.decode(b"", epc=bytes.fromhex("3000 E200 0017 2217 0133 1260 9896")) == Blank()


def test_a_bank_with_a_wrong_crc_is_damaged() -> None:
    whole = bytes.fromhex("1182 35C2 8BCC 0DB7 C623 308F C079 D3B5")
    assert tag.decode(whole) == Damaged(Damage.CHECKSUM, model=Model.ISO28560_4)


def test_a_lonely_set_that_may_be_a_wiped_block_is_doubted() -> None:
    for left in ("11 03 02 33 33", "11 01 15 00 00 00 00 00", "11 05 1C BE 99 1A 14 00"):
        for dsfid, doubt in ((None, True), (0x06, False)):
            found = tag.decode(bytes.fromhex(left) + bytes(27), dsfid=dsfid)
            assert isinstance(found, ItemTag)
            assert (Warn.NO_CHECK in found.warnings) is doubt
    listed = tag.decode(bytes.fromhex("11 05 1C BE 99 1A 14 02 01 20 05 01 10 00"))
    assert listed == sets("123456789012", usage=Usage.CIRCULATING)


def test_a_left_over_dsfid_beats_no_check_value() -> None:
    """A tag once of ISO 28560-2, written anew by a desk that left the DSFID, then misread in one bit."""
    right = (
        bytes.fromhex("110101 33564E445558").ljust(19, b"\x00")
        + bytes(2)
        + b"VN".ljust(13, b"\x00")
    )
    right = (right[:19] + iso28560_3.checksum(right).to_bytes(2, "little") + right[21:]).ljust(
        112, b"\x00"
    )
    good = tag.decode(right, dsfid=6)
    assert isinstance(good, ItemTag)
    assert (good.id, good.model) == ("3VNDUX", Model.ISO28560_3)
    for bit in range(19 * 8):
        wrong = bytearray(right)
        wrong[bit // 8] ^= 1 << bit % 8
        found = tag.decode(bytes(wrong), dsfid=6)
        if isinstance(found, ItemTag | CardTag):
            assert found.model is Model.ISO28560_2
            assert Warn.NO_CHECK in found.warnings


@pytest.mark.parametrize("dsfid", [None, 6])
def test_a_short_read_that_may_be_of_two_models_is_doubted(dsfid: int | None) -> None:
    """An integer of three bytes, or part 2 of 3 and an id that begins with 1."""
    found = tag.decode(bytes.fromhex("1103023100000000"), dsfid=dsfid)
    assert isinstance(found, ItemTag)
    assert Warn.NO_CHECK in found.warnings


def test_a_left_over_dsfid_makes_no_letters_of_a_plain_number() -> None:
    """31 32 announces an id of 50 bytes in five-bit letters; no such id is ever written."""
    found = tag.decode(b"12345678901234567890".ljust(112, b"\x00"), dsfid=6)
    assert isinstance(found, ItemTag)
    assert (found.id, found.model) == ("12345678901234567890", Model.ASCII)


def test_a_stored_crc_that_fits_by_chance_makes_no_uhf_tag() -> None:
    """A number on an HF tag whose first two letters are, as it happens, the CRC of what follows."""
    number = b"51" + bytes(14)
    for serial in range(1_000_000):
        body = b"5" + f"{serial:09}".encode() + bytes(4)
        number = epc.checksum(body).to_bytes(2, "big") + body
        if number[:2].isalnum() and number[:2].isascii():
            break
    assert epc.recognise(number) is not None
    found = tag.decode(number + bytes(16))
    assert isinstance(found, ItemTag)
    assert found.id == number.rstrip(b"\x00").decode()


def test_nothing_read_is_missing() -> None:
    assert tag.decode(b"") == Damaged(Damage.MISSING, 32)


def test_swapped_nibbles_only_where_the_site_says_so() -> None:
    plain_block = bytearray(bytes.fromhex(PART))
    plain_block[0] = 0x21
    sealed = _sealed(bytes(plain_block))
    as_told, swapped = tag.decode(sealed), tag.decode(sealed, swapped=True)
    assert isinstance(as_told, ItemTag)
    assert isinstance(swapped, ItemTag)
    assert (as_told.usage, as_told.version) == (Usage.CIRCULATING, 2)
    assert (swapped.usage, swapped.version) == (Usage.REFERENCE, 1)


@pytest.mark.parametrize("raw", [V2, BLOCKS, TURNED, PART, CARD, GATE])
def test_a_flipped_bit_gives_no_other_id(raw: str) -> None:
    data = bytes.fromhex(raw)
    right = tag.decode(data)
    assert isinstance(right, ItemTag | CardTag)
    for bit in range(8 * min(34, len(data))):
        broken = bytearray(data)
        broken[bit // 8] ^= 1 << bit % 8
        found = tag.decode(bytes(broken))
        assert not isinstance(found, ItemTag | CardTag) or found.id == right.id


@pytest.mark.parametrize("raw", [V2, BLOCKS, PART, CARD, "1182 35C2 8BCC 0DB7 C623 308F C079 D3B4"])
def test_what_is_cut_short_gives_no_other_id(raw: str) -> None:
    data = bytes.fromhex(raw)
    right = tag.decode(data)
    assert isinstance(right, ItemTag | CardTag)
    for size in range(len(data)):
        found = tag.decode(data[:size])
        assert not isinstance(found, ItemTag | CardTag) or found.id == right.id


@pytest.mark.parametrize("turned", [False, True])
def test_a_few_bytes_of_one_part_of_several_are_too_few(turned: bool) -> None:
    data = bytes.fromhex("11 03 02") + b"BG00054321"
    data = iso28560_3.turn_blocks(data.ljust(32, b"\x00")) if turned else data.ljust(32, b"\x00")
    for read in range(8, 32, 4):
        assert tag.decode(data[:read]) == Damaged(Damage.MISSING, 32 - read)


def test_32_bytes_of_a_longer_block_are_too_few_not_wrong() -> None:
    long_owner = iso28560_3_write.encode(Label("BG00012345", Owner("VN", "BG01ABCDEFG")), 36)
    assert tag.decode(long_owner[:32]) == Damaged(Damage.MISSING, 2)


LABELS = st.builds(
    Label,
    st.from_regex(r"[A-Z0-9]{4,14}", fullmatch=True),
    st.just(NOBODY),
    st.just(Usage.CIRCULATING),
)


@given(LABELS, st.sampled_from(["2", "3", "3m", "ascii", "ndef", "4"]), st.sampled_from([64, 112]))
def test_what_any_writer_writes_is_found_again(label: Label, model: str, size: int) -> None:
    match model:
        case "2":
            data, want = iso28560_2_write.encode(label, size), Model.ISO28560_2
        case "3":
            owned = Label(label.id, BG01)
            data, want = iso28560_3_write.encode(owned, size), Model.ISO28560_3
        case "3m":
            data, want = rfid501.encode(label, size), Model.RFID501
        case "ascii":
            data, want = plain.encode_ascii(label, size), Model.ASCII
        case "ndef":
            data, want = plain.encode_ndef(label, size), Model.NDEF
        case _:
            data, want = epc.bank(iso28560_4.encode(label, afi=0xC2)), Model.ISO28560_4
    found = tag.decode(data)
    assert isinstance(found, ItemTag)
    assert (found.model, found.id) == (want, label.id)


def _sealed(block: bytes) -> bytes:
    from kiosk.wire.iso28560_3 import checksum

    return block[:19] + checksum(block).to_bytes(2, "little") + block[21:]


@given(
    st.binary(max_size=150),
    st.none() | st.integers(0, 255),
    st.none() | st.just(6) | st.integers(0, 255),
    st.binary(max_size=70),
    st.booleans(),
)
def test_any_bytes_end_in_a_value(
    data: bytes, afi: int | None, dsfid: int | None, bank: bytes, swapped: bool
) -> None:
    found = tag.decode(data, afi=afi, dsfid=dsfid, epc=bank, swapped=swapped)
    assert isinstance(found, ItemTag | CardTag | Blank | Foreign | Damaged)
    if isinstance(found, ItemTag | CardTag):
        assert found.id
        assert found.id.isprintable()


@given(st.sampled_from(VECTORS), st.data())
def test_vectors_with_bytes_changed_end_in_a_value(
    vector: tuple[str, Content], choice: st.DataObject
) -> None:
    data = bytearray(bytes.fromhex(vector[0]))
    for _ in range(choice.draw(st.integers(1, 4))):
        data[choice.draw(st.integers(0, len(data) - 1))] = choice.draw(st.integers(0, 255))
    tag.decode(bytes(data), dsfid=choice.draw(st.sampled_from([None, 6])))
