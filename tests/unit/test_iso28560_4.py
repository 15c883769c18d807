"""UHF tags: ISO/TS 28560-4, the Chinese university format, numbers written raw; vectors first, then properties."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.wire import epc, gaoxiao, iso28560_4, raw_uii, uhf_tag
from kiosk.wire.content import (
    NOBODY,
    Blank,
    CardTag,
    Damage,
    Damaged,
    Foreign,
    ItemTag,
    Label,
    Model,
    Owner,
    Usage,
    Warn,
)
from kiosk.wire.raw_uii import Form
from mocban.errors import LocalProtocolError

ISO_EXAMPLE = bytes.fromhex("45C2 141C C04F C70B ADB5 C6E2 DA1D ED4D D319")
ISO_USER = bytes.fromhex(
    "06 02 01 D0 14 02 04 B3 46 07 44 1C B6 E2 E3 35 D6 53 08 AB 4D 6C 9D D5 56 CD EB 00"
)
BG = bytes.fromhex("35C2 8BCC 0DB7 C623 308F C079 D3B4")
SCHOOL = bytes.fromhex("3000 0104 5300 1853 0440 0D0B 0000")
LENT = bytes.fromhex("3400 8003 0053 3813 0058 B907 0000")
SORTED = bytes.fromhex("3000 1703 2808 7903 0000 8456 0000")

SHORT_IDS = {
    "ABC01": "054142433031", "ABC012": "06414243303132", "ABC0123*": "A8324911EC010000",
    "ABC01234=": "D933491148130000", "ABC012345~": "EA374911E4C00000", "ABC0123456a": "1B36491100890700",
    "ABC01234567z": "AC3749111C5A4B00", "ABC012345678*": "AD3249113885F102",
    "ABC0123456789?": "FE33491154346F1D", "A00000@": "0741303030303040", "AAA9000000000)": "9E12455102000000",
    "ZZZ80007000000": "0EA3AA2A82B92A00", "99999999999999": "9E932449FE276BEE", "29899999196916": "6E8324422E4166EE",
}  # fmt: skip
LONG_IDS = {
    "A": "0141", "ABC0123456a": "0B4142433031323334353661", "ABC01234567z": "AC77000046410C0201304911",
    "ABC0123456789_": "FE95200746410C0201304911", "ZZZ80007000000": "0E0300000070000000A2AA2A",
    "AAA9000000000)": "9E0200000000000040124511", "ZZZZZZZZZZZZZZ": "AEA5AA2AAAAAAA2AAAAAAA2A",
}  # fmt: skip


def item(text: str, owner: Owner = NOBODY, **more: object) -> ItemTag:
    told = {"parts": 1, "part": 1, "usage": Usage.UNSAID, "model": Model.ISO28560_4, **more}
    return ItemTag(text, owner=owner, **told)  # type: ignore[arg-type]


def test_the_example_of_the_standard() -> None:
    want = item("12345678", Owner("CH", "000134-1"), parts=3, part=1)
    assert iso28560_4.decode(ISO_EXAMPLE) == want


def test_the_example_of_user_memory() -> None:
    said = iso28560_4.elements(ISO_USER)
    assert said is not None
    assert (said.owner.isil, said.parts, said.part) == ("US-InU-Mu", 12, 3)
    assert ("shelf-location", "QA268.L55") in said.fields
    assert iso28560_4.is_user_bank(ISO_USER)


def test_user_memory_completes_the_uii() -> None:
    alone = epc.join(bytes.fromhex("0DB7 C050 CD4B DAC1"), afi=0xC2, umi=True)
    assert iso28560_4.decode(alone) == item("BG00012345")
    found = iso28560_4.decode(alone, ISO_USER)
    assert isinstance(found, ItemTag)
    assert (found.id, found.owner.isil, found.parts, found.part) == (
        "BG00012345",
        "US-InU-Mu",
        12,
        3,
    )
    assert found.warnings == ()


def test_the_uii_is_believed_where_the_banks_differ() -> None:
    found = iso28560_4.decode(ISO_EXAMPLE, ISO_USER)
    assert isinstance(found, ItemTag)
    assert (found.id, found.owner.isil, found.parts) == ("12345678", "CH-000134-1", 3)
    assert Warn.BANKS_DIFFER in found.warnings


def test_user_memory_of_another_kind_does_not_touch_the_id() -> None:
    assert iso28560_4.decode(BG, b"\x0c\x02\x28\x10") == item(
        "BG00012345", Owner("VN", "BG01"), warnings=(Warn.UNREADABLE_USER_BANK,)
    )
    for empty in (bytes(16), b"\xff" * 16):
        assert iso28560_4.decode(BG, empty) == item("BG00012345", Owner("VN", "BG01"))


def test_a_patron_card() -> None:
    card = iso28560_4.decode(BG, bytes.fromhex("06 05 01 80 00"))
    assert isinstance(card, CardTag)
    assert card.id == "BG00012345"
    assert "BG00012345" not in repr(card)


def test_security_is_read_and_changed() -> None:
    assert uhf_tag.afi(BG) == 0xC2
    in_stock = uhf_tag.secured(BG, 0x07)
    assert in_stock == b"\x35\x07" + BG[2:]
    assert uhf_tag.afi(in_stock) == 0x07
    back = uhf_tag.secured(LENT, 0x07)
    assert back == LENT[:2] + b"\x00" + LENT[3:]
    assert (uhf_tag.afi(LENT), uhf_tag.afi(back), uhf_tag.afi(SCHOOL)) == (0xC2, 0x07, 0x07)
    assert uhf_tag.secured(LENT, 0x55) is None
    plain = epc.join(b"3350000123\x00\x00", afi=None)
    assert uhf_tag.secured(plain, 0x07) is None
    assert uhf_tag.afi(plain) is None


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("VN-BG01.BG1", item("BG1", Owner("VN", "BG01"))),
        ("BG01.1234", item("1234", Owner("", "BG01"))),
        ("VN-BG01.1234.12", item("1234.12", Owner("VN", "BG01"))),  # there is no part 2 of 1
        ("VN-BG01.1.2.21", item("1.2", Owner("VN", "BG01"), parts=2, part=1)),
        ("VN-BG01.77.1203", item("77", Owner("VN", "BG01"), parts=12, part=3)),
    ],
)
def test_what_full_stops_divide(text: str, want: ItemTag) -> None:
    from kiosk.wire.urn40 import encode

    assert iso28560_4.decode(epc.join(encode(text), afi=0x07)) == want


def test_other_families_need_an_owner_beside() -> None:
    other = epc.join(BG[2:], afi=0x21)
    assert iso28560_4.decode(other) == item("BG00012345", Owner("VN", "BG01"), warnings=(Warn.AFI,))
    assert iso28560_4.decode(epc.join(bytes.fromhex("0DB7 C050 CD4B DAC1"), afi=0xA1)) is None


def test_what_is_short_is_missing() -> None:
    assert uhf_tag.decode(BG[:-3]) == Damaged(Damage.MISSING, 3, Model.ISO28560_4)
    assert uhf_tag.decode(b"\x35") == Damaged(Damage.MISSING, 3, Model.ISO28560_4)


def test_a_further_control_word_is_stepped_over() -> None:
    on_air = bytes((7 << 3 | 0x07, 0xC2)) + b"\x04\x00" + BG[2:]
    assert iso28560_4.decode(on_air) == item("BG00012345", Owner("VN", "BG01"))


@pytest.mark.parametrize(
    "factory",
    ["3000 E200 0017 2217 0133 1260 9896", "3400 E280 1160 6000 0204 1234 5678", "3000" + "00" * 12, "0000",
     "3000" + "FF" * 12],
)  # fmt: skip
def test_a_tag_from_the_factory_is_blank(factory: str) -> None:
    assert uhf_tag.decode(bytes.fromhex(factory)) == Blank()


@pytest.mark.parametrize(("text", "raw"), SHORT_IDS.items())
def test_short_ids_of_gaoxiao(text: str, raw: str) -> None:
    found = gaoxiao.decode(epc.join(bytes.fromhex("00000000" + raw).ljust(12, b"\x00"), afi=None))
    assert found is not None
    assert found.id == text
    made = gaoxiao.encode(Label(text), on_loan=False)
    assert made[2:6] == bytes(4)
    assert made[6:] == bytes.fromhex(raw).ljust(8, b"\x00")


@pytest.mark.parametrize(("text", "raw"), LONG_IDS.items())
def test_long_ids_of_gaoxiao(text: str, raw: str) -> None:
    found = gaoxiao.decode(epc.join(bytes.fromhex("00400000" + raw).ljust(16, b"\x00"), afi=None))
    assert found is not None
    assert found.id == text


@pytest.mark.parametrize(
    ("tag", "text", "version", "sorting"),
    [(SCHOOL, "01557071", 5, "1"), (LENT, "H0154943", 4, "0"), (SORTED, "000055377", 4, "7")],
)
def test_tags_of_libraries_in_china(tag: bytes, text: str, version: int, sorting: str) -> None:
    found = uhf_tag.decode(tag)
    assert isinstance(found, ItemTag)
    assert (found.id, found.version) == (text, version)
    assert dict(found.fields)["sorting"] == sorting
    assert found.warnings == (Warn.GAOXIAO, Warn.NO_CHECK)


def test_which_elements_gaoxiao_announces() -> None:
    found = gaoxiao.decode(epc.join(bytes.fromhex("0000 00A1 054142433031 0000"), afi=None))
    assert found is not None
    assert dict(found.fields)["user-elements"] == "15 12 3"


def test_an_article_number_of_a_shop_is_foreign() -> None:
    for tag in ("3000 3034 257B F7B5 8300 0000 0001", "3000 3008 33B2 DDD9 0140 0000 0000"):
        assert uhf_tag.decode(bytes.fromhex(tag)) == Foreign()


def test_rewriting_keeps_what_gaoxiao_holds_beside_the_id() -> None:
    made = gaoxiao.encode(Label("H0154944"), on_loan=True, over=LENT)
    assert made[:6] == LENT[:6]
    assert gaoxiao.encode(Label("H0154943"), on_loan=True, over=LENT) == LENT
    with pytest.raises(LocalProtocolError):
        gaoxiao.encode(Label("mười lăm ký tự!"), on_loan=True)


@pytest.mark.parametrize(
    ("uii", "text", "form", "warnings"),
    [
        (b"335000012345", "335000012345", "ascii", (Warn.NO_CHECK,)),
        (b"BG00012345\x00\x00", "BG00012345", "ascii", (Warn.NO_CHECK,)),
        (b"\x00\x00BG00012345", "BG00012345", "ascii", (Warn.NO_CHECK,)),
        (
            bytes.fromhex("0000 0000 0893 4567 8901"),
            "089345678901",
            "bcd",
            (Warn.BCD, Warn.NO_CHECK),
        ),
        (bytes.fromhex("8934 5678 9012 3FFF"), "8934567890123", "bcd", (Warn.BCD, Warn.NO_CHECK)),
    ],
)
def test_a_raw_number(uii: bytes, text: str, form: str, warnings: tuple[Warn, ...]) -> None:
    found = uhf_tag.decode(epc.join(uii, afi=None))
    assert found == ItemTag(
        text, Usage.UNSAID, 1, 1, NOBODY, warnings=warnings, model=Model.ASCII, fields=(("uii", form),)
    )  # fmt: skip


def test_a_raw_number_with_the_family_of_a_library_item() -> None:
    found = uhf_tag.decode(epc.join(b"BG0001234500", afi=0x07))
    assert isinstance(found, ItemTag)
    assert (found.id, found.model) == ("BG0001234500", Model.ASCII)


@pytest.mark.parametrize(
    ("uii", "form", "text"),
    [
        (b"\x01\x02LIB00123\x00\x00", Form("ascii", 2, prefix="LIB"), "00123"),
        (b"\x01\x02XXX00123\x00\x00", Form("ascii", 2, prefix="LIB"), None),
        (bytes.fromhex("AA 00 12 34 56 7F"), Form("bcd", 1), "001234567"),
        (bytes.fromhex("AA 00 12 34 56 7F"), Form("bcd", 1, 4), "0012"),
        (bytes.fromhex("AA 0B 12"), Form("bcd", 1), None),
        (bytes.fromhex("E2 80 11 60"), Form("hex"), "E2801160"),
        (b"", Form("hex"), None),
    ],
)
def test_a_raw_number_by_the_form_of_a_site(uii: bytes, form: Form, text: str | None) -> None:
    assert raw_uii.read(uii, form) == text


ISILS = st.from_regex(r"[A-Z]{2}-[A-Z0-9]{1,9}", fullmatch=True)


@given(
    st.from_regex(r"[A-Z0-9-]{1,16}", fullmatch=True),
    st.one_of(st.just(""), ISILS),
    st.integers(1, 99).flatmap(lambda parts: st.tuples(st.just(parts), st.integers(1, parts))),
    st.sampled_from([0x07, 0xC2]),
)
def test_a_label_comes_back(text: str, isil: str, of: tuple[int, int], afi: int) -> None:
    label = Label(text, Owner.of(isil), parts=of[0], part=of[1])
    if of[0] > 1 and not isil:  # without an owner only user memory has a place for the part
        with pytest.raises(LocalProtocolError):
            iso28560_4.encode(label, afi=afi)
        return
    made = iso28560_4.encode(label, afi=afi)
    found = uhf_tag.decode(made)
    assert isinstance(found, ItemTag)
    assert (found.id, found.owner.isil, found.parts, found.part) == (text, isil, *of)


@pytest.mark.parametrize("owner", [NOBODY, Owner("VN", "BG01")])
def test_a_label_in_both_banks_comes_back(owner: Owner) -> None:
    label = Label("BG1", owner, Usage.REFERENCE, 0, 3, 2, (("title", "Số đỏ"),))
    made = iso28560_4.encode(label, afi=0x07, umi=True)
    user = iso28560_4.encode_user(label, 64)
    assert len(user) == 64
    found = uhf_tag.decode(made, user)
    assert found == item("BG1", owner, parts=3, part=2, usage=Usage.REFERENCE, fields=label.fields)
    other = Label("BG1", owner, Usage.REFERENCE, 0, 3, 2)
    bare = iso28560_4.encode_user(other, 64, over=user)
    assert uhf_tag.decode(made, bare) == item("BG1", owner, parts=3, part=2, usage=Usage.REFERENCE)


@given(st.from_regex(r"[A-Z0-9]{3}[0-9]{4,10}[!-~]", fullmatch=True), st.booleans())
def test_a_gaoxiao_label_comes_back(text: str, lent: bool) -> None:
    made = gaoxiao.encode(Label(text), on_loan=lent)
    found = gaoxiao.decode(made)
    assert found is not None
    assert (found.id, gaoxiao.lent(made)) == (text, lent)
    turned = gaoxiao.lend(made, on_loan=not lent)
    assert gaoxiao.decode(turned) == found
    assert gaoxiao.lent(turned) is not lent


@pytest.mark.parametrize("text", ["A.B", "đ" * 40, ""])
def test_what_would_not_come_back_is_refused(text: str) -> None:
    with pytest.raises(LocalProtocolError):
        iso28560_4.encode(Label(text), afi=0x07)


@given(st.binary(max_size=70), st.binary(max_size=64))
def test_any_bytes_end_in_a_value(tag: bytes, user: bytes) -> None:
    uhf_tag.decode(tag, user)
    uhf_tag.recognise(tag)
    uhf_tag.afi(tag)
    uhf_tag.secured(tag, 0x07)
    iso28560_4.is_user_bank(user)
