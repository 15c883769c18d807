"""Our SIP2 client against the test library system, over real sockets, in all its moods."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from kiosk.emulators import ils_desk
from kiosk.emulators.ils import Knobs
from kiosk.ils.port import Refusal
from kiosk.ils.sip2 import Sip2, patron_reason
from kiosk.settings import IlsSettings
from kiosk.wire.sip2 import decode
from mocban.clock import SetClock
from tests.support.library import (
    BOOK,
    CARD,
    DUE,
    GERMAN,
    HANOI,
    KEPT,
    LOCKED,
    LOGIN,
    NOW,
    OTHER,
    OUT,
    branch,
    play,
    say,
    until,
)
from tests.support.peer import peer

# -- what a kiosk does all day --


def test_a_book_is_lent_for_14_days_and_given_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with branch(tmp_path) as b:
            patron = await b.client.patron(CARD, charged=True)
            assert (patron.allowed, patron.reason, patron.remaining) == (True, "", 5)
            assert patron.charged == ()
            loan = await b.client.lend(CARD, BOOK, NOW)
            assert (loan.ok, loan.title, loan.due) == (True, "Dế Mèn phiêu lưu ký", DUE)
            assert loan.desensitize
            patron = await b.client.patron(CARD, charged=True)
            assert (patron.remaining, patron.charged) == (4, (BOOK,))
            item = await b.client.item(BOOK)
            assert (item.status, item.title, item.due) == (4, "Dế Mèn phiêu lưu ký", DUE)
            back = await b.client.take_back(BOOK, NOW)
            assert (back.ok, back.title, back.bin, back.alert) == (True, loan.title, "1", False)
            assert (await b.client.item(BOOK)).status == 3
            await b.client.end(CARD)
            counters = b.world.counters()
            assert (counters["loans_in_ils"], counters["returns_in_ils"]) == (1, 1)
            assert list(b.knobs.seen)[:2] == ["93", "99"]
            assert b.told == ["ready"]

    play(scenario())


def test_an_undone_loan_is_no_return(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with branch(tmp_path) as b:
            await b.client.lend(CARD, BOOK, NOW)
            assert (await b.client.take_back(BOOK, NOW, cancel=True)).ok
            counters = b.world.counters()
            assert (counters["undone_in_ils"], counters["returns_in_ils"]) == (1, 0)
            assert b.world.loan(BOOK) is None

    play(scenario())


@pytest.mark.parametrize(
    ("card", "item", "reason", "say"),
    [
        (CARD, KEPT, Refusal.ON_HOLD, ils_desk.ON_HOLD),
        (CARD, OUT, Refusal.ON_LOAN, ils_desk.ON_LOAN),
        (OTHER, OUT, Refusal.ON_LOAN, ils_desk.RENEWAL),
        (CARD, "no-such-item", Refusal.ITEM_UNKNOWN, ils_desk.NO_ITEM),
        (LOCKED, BOOK, Refusal.CARD_BLOCKED, ils_desk.BLOCKED),
        ("no-such-card", BOOK, Refusal.CARD_UNKNOWN, ils_desk.NO_PATRON),
    ],
)
def test_a_refusal_has_our_reason_and_the_librarys_words(
    tmp_path: Path, card: str, item: str, reason: Refusal, say: str
) -> None:
    async def scenario() -> None:
        async with branch(tmp_path) as b:
            answer = await b.client.lend(card, item, NOW)
            assert (answer.ok, answer.reason, answer.say) == (False, reason, say)
            assert b.loans == 0

    play(scenario())


def test_a_full_card_is_told_apart_from_a_blocked_one(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with branch(tmp_path) as b:
            card = b.world.patron(CARD)
            assert card is not None
            items = [r for r in (BOOK, GERMAN, "11223344") if b.world.record(r)]
            assert len(items) < card.limit
            for item in items:
                assert (await b.client.lend(CARD, item, NOW)).ok
            assert (await b.client.patron(CARD)).remaining == card.limit - len(items)
            unknown = await b.client.patron("no-such-card")
            assert (unknown.allowed, unknown.reason) == (False, Refusal.CARD_UNKNOWN)
            blocked = await b.client.patron(LOCKED)
            assert (blocked.allowed, blocked.reason) == (False, Refusal.CARD_BLOCKED)

    play(scenario())


def test_a_card_at_its_limit_gets_no_more(tmp_path: Path) -> None:
    def small(seed: dict[str, Any]) -> None:
        next(patron for patron in seed["patron"] if patron["card"] == CARD)["limit"] = 1

    async def scenario() -> None:
        async with branch(tmp_path, change=small) as b:
            assert (await b.client.lend(CARD, BOOK, NOW)).ok
            answer = await b.client.lend(CARD, GERMAN, NOW)
            assert (answer.ok, answer.reason) == (False, Refusal.LOAN_LIMIT)
            patron = await b.client.patron(CARD)
            assert (patron.allowed, patron.reason) == (False, Refusal.LOAN_LIMIT)
            assert patron.remaining == 0

    play(scenario())


def test_a_reference_book_stays_and_a_reading_room_loan_keeps_its_tag_closed(
    tmp_path: Path,
) -> None:
    def chained(seed: dict[str, Any]) -> None:
        next(record for record in seed["record"] if record["item"] == GERMAN)["reference"] = True

    async def scenario() -> None:
        async with branch(tmp_path, desensitize=False, change=chained) as b:
            loan = await b.client.lend(CARD, BOOK, NOW)
            assert (loan.ok, loan.desensitize) == (True, False)
            answer = await b.client.lend(CARD, GERMAN, NOW)
            assert (answer.ok, answer.reason) == (False, Refusal.NOT_FOR_LOAN)

    play(scenario())


def test_a_returned_book_that_somebody_waits_for_raises_the_alert(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with branch(tmp_path) as b:
            back = await b.client.take_back(KEPT, NOW)
            assert (back.ok, back.alert, back.bin, back.say) == (True, True, "2", ils_desk.KEEP)

    play(scenario())


def test_where_returning_what_is_in_is_refused_an_undo_still_succeeds(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with branch(tmp_path, not_out_ok=False) as b:
            back = await b.client.take_back(BOOK, NOW)
            assert (back.ok, back.reason, back.say) == (False, "denied", ils_desk.NOT_OUT)
            assert (await b.client.take_back(BOOK, NOW, cancel=True)).ok
            unknown = await b.client.take_back("no-such-item", NOW, cancel=True)
            assert (unknown.ok, unknown.reason) == (False, Refusal.ITEM_UNKNOWN)

    play(scenario())


def test_ids_that_no_line_can_carry_are_refused_and_not_sent(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with branch(tmp_path) as b:
            before = len(b.knobs.seen)
            for odd in ("", "a|b", "a\rb", "x" * 300):
                answer = await b.client.lend(CARD, odd, NOW)
                assert answer.reason == Refusal.ITEM_UNKNOWN
                assert (await b.client.take_back(odd, NOW)).reason == Refusal.ITEM_UNKNOWN
                assert (await b.client.patron(odd)).reason == Refusal.CARD_UNKNOWN
                assert (await b.client.item(odd)).status == 1
                await b.client.end(odd)
            assert len(b.knobs.seen) == before
            assert b.client.ready

    play(scenario())


# -- every knob --

KNOBS = {
    "plain": Knobs(),
    "crlf": Knobs(end=b"\r\n"),
    "bad-checksum-every-2nd": Knobs(bad_every=2),
    "no-BL": Knobs(omit=frozenset({"BL"})),
    "no-AQ-AO-BX-AM": Knobs(omit=frozenset({"AQ", "AO", "BX", "AM"})),
    "split-at-1": Knobs(split=1),
    "split-at-20": Knobs(split=20),
    "two-AF": Knobs(twice_af=True),
    "free-text": Knobs(chatter=b"Problems handling the request: null"),
    "leading-LF": Knobs(lead=b"\n"),
    "leading-NUL": Knobs(lead=b"\x00"),
    "96-first": Knobs(garbage=2),
}


@pytest.mark.parametrize("name", KNOBS)
@pytest.mark.parametrize("error_detection", [True, False])
def test_a_loan_and_a_refusal_come_through_whatever_the_line_is_like(
    tmp_path: Path, name: str, error_detection: bool
) -> None:
    async def scenario() -> None:
        settings = IlsSettings(timeout=1.0, retries=3, error_detection=error_detection)
        knobs = replace(KNOBS[name])
        async with branch(tmp_path, settings=settings, knobs=knobs) as b:
            assert (await b.client.patron(CARD)).allowed
            assert (await b.client.lend(CARD, BOOK, NOW)).due == DUE
            refused = await b.client.lend(CARD, KEPT, NOW)
            assert (refused.reason, refused.say) == (Refusal.ON_HOLD, ils_desk.ON_HOLD)
            assert (await b.client.take_back(BOOK, NOW)).ok
            assert b.loans == 1
            assert b.told == ["ready"]

    play(scenario())


def test_the_line_speaks_vietnamese_code_page_only_if_both_do(tmp_path: Path) -> None:
    async def scenario() -> None:
        settings = IlsSettings(timeout=0.3, encoding="cp1258")
        async with branch(tmp_path, settings=settings) as b:
            loan = await b.client.lend(CARD, BOOK, NOW)
            assert loan.ok  # ids are ASCII: only the title suffers
            assert loan.title != "Dế Mèn phiêu lưu ký"

    play(scenario())


# -- the test system's own words, written by hand --

TODAY = b"20261122    150000"
GOLDEN = [
    (
        b"17" + TODAY + b"AO|AB2935000003649|\r",
        b"18080001" + TODAY + "AB2935000003649|AJLược sử thời gian|CF1|".encode(),
    ),
    (
        b"11NN" + TODAY + b" " * 18 + b"AOX|AATV2400001|ABBG00012345|AC|\r",
        b"121NNY"
        + TODAY
        + b"AOX|AATV2400001|ABBG00012345|"
        + "AJDế Mèn phiêu lưu ký|AH20261206    235959|".encode(),
    ),
    (
        b"11YN" + TODAY + b" " * 18 + b"AOX|AATV2400001|ABBG00012345|AC|\r",
        b"121YNY"
        + TODAY
        + b"AOX|AATV2400001|ABBG00012345|"
        + "AJDế Mèn phiêu lưu ký|AH20261206    235959|".encode(),
    ),
    (
        b"11NN" + TODAY + b" " * 18 + b"AOX|AATV2400001|AB201123463|AC|\r",
        b"121NNY" + TODAY + b"AOX|AATV2400001|AB201123463|AJFaust|AH20261206    235959|",
    ),
    (
        b"63000" + TODAY + b"  Y       AOX|AATV2400001|BP2|BQ2|\r",
        b"64  Y           000"
        + TODAY
        + b"    00000002            AOX|AATV2400001|"
        + "AEBạn đọc thử một|BLY|CB0005|AUBG00012345|".encode(),
    ),
    (
        b"23000" + TODAY + b"AOX|AATV2400003|AC|AD|\r",
        b"24YYYY          000"
        + TODAY
        + b"AOX|AATV2400003|"
        + "AEBạn đọc thử ba|BLY|AFThẻ đang bị khóa, mời bạn đến quầy thủ thư|".encode(),
    ),
    (
        b"09N" + TODAY * 2 + b"APQ1|AOX|ABBG00012345|AC|\r",
        b"101YNN" + TODAY + "AOX|ABBG00012345|AQVN-BG01|AJDế Mèn phiêu lưu ký|CL1|".encode(),
    ),
    (b"35" + TODAY + b"AOX|AATV2400001|\r", b"36Y" + TODAY + b"AOX|AATV2400001|"),
    (b"65" + TODAY + b"AOX|AATV2400001|\r", b"96"),
]


def test_the_test_system_answers_byte_for_byte_as_written_by_hand(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with branch(tmp_path) as b:
            answers = await say(b.acs.port, LOGIN, *(request for request, _ in GOLDEN))
            assert answers == [b"941", *(answer for _, answer in GOLDEN)]

    play(scenario())


# -- our client's own words, written by hand --

DIALOGUE = [
    (b"9300CNkiosk|COdemo|CPKIOSK1|", b"941"),
    (b"9900802.00", b"98YYYNNN050003" + TODAY + b"2.00AOX|BXYYYYYYYYYYYYYYYY|"),
    (
        b"63000" + TODAY + b"          AOVN-BG01|AATV2400001|AC|",
        b"64" + b" " * 14 + b"000" + TODAY + b" " * 24 + b"AOX|AATV2400001|AEN|BLY|",
    ),
    (
        b"63000" + TODAY + b"  Y       AOVN-BG01|AATV2400001|AC|",
        b"64" + b" " * 14 + b"000" + TODAY + b"0000000000020000    0000"
        b"AOX|AATV2400001|AEN|BLY|CB3|AUx1|AUx2|",
    ),
    (
        b"11NN" + TODAY + b" " * 18 + b"AOVN-BG01|AATV2400001|ABBG00012345|AC|BON|BIN|",
        b"121NUU" + TODAY + b"AOX|AA|AB|AJFaust|AHin two weeks|CIN|ZZnew|",
    ),
    (
        b"09N" + TODAY * 2 + b"APKIOSK1|AOVN-BG01|ABBG00012345|AC|BIY|",
        b"101YUY" + TODAY + b"AOX|ABBG00012345|AQ|CL9|AFone|AFtwo|AFone|CV99|",
    ),
    (b"17" + TODAY + b"AOVN-BG01|ABBG00012345|AC|", b"18110001" + TODAY + b"ABx|AJFaust|"),
    (b"35" + TODAY + b"AOVN-BG01|AATV2400001|", b"36Y" + TODAY + b"AO|AA|"),
]


def test_our_client_says_what_is_written_by_hand_and_never_a_pin(tmp_path: Path) -> None:
    async def scenario() -> None:
        heard: list[bytes] = []

        async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            for _, answer in DIALOGUE:
                heard.append((await reader.readuntil(b"\r"))[:-1])
                writer.write(answer + b"\r\n")
            await reader.read()

        async with peer(listen) as port:
            settings = IlsSettings(
                url=f"sip2://127.0.0.1:{port}",
                user="kiosk",
                password=SecretStr("demo"),
                location="KIOSK1",
                institution="VN-BG01",
                error_detection=False,
            )
            client = Sip2(settings, SetClock(NOW), zone=HANOI)
            stop = asyncio.Event()
            running = asyncio.create_task(client.run(stop))
            await until(lambda: client.ready)
            assert (await client.patron(CARD)).remaining is None
            patron = await client.patron(CARD, charged=True)
            assert (patron.remaining, patron.charged) == (1, ("x1", "x2"))
            loan = await client.lend(CARD, BOOK, NOW)
            assert (loan.ok, loan.desensitize, loan.due) == (True, True, None)
            back = await client.take_back(BOOK, NOW, cancel=True)
            assert (back.bin, back.alert, back.say) == ("9", True, "one\ntwo")
            assert (await client.item(BOOK)).status == 11
            await client.end(CARD)
            stop.set()
            await running
        assert heard == [request for request, _ in DIALOGUE]

    play(scenario())


STATUSES = [
    ("Y" + " " * 13, "AEN|BLY|", Refusal.CARD_BLOCKED),
    (" YYY" + " " * 10, "AEN|BLY|", ""),  # renewal, recall and hold denied do not stop a loan
    ("    Y" + " " * 9, "AEN|BLY|", Refusal.CARD_BLOCKED),
    ("Y    Y" + " " * 8, "AEN|BLY|", Refusal.LOAN_LIMIT),
    ("      Y" + " " * 7, "AEN|BLY|", Refusal.CARD_BLOCKED),
    (" " * 10 + "Y   ", "AEN|BLY|", Refusal.FEE_BLOCK),
    (" " * 13 + "Y", "AEN|BLY|", Refusal.FEE_BLOCK),
    (" " * 14, "AEN|BLN|", Refusal.CARD_BLOCKED),
    (" " * 14, "AE|BLN|", Refusal.CARD_UNKNOWN),
    (" " * 14, "AE|", Refusal.CARD_UNKNOWN),
    (" " * 14, "AEN|", ""),
    (" " * 14, "AE|BLY|", ""),
]


@pytest.mark.parametrize(("flags", "fields", "reason"), STATUSES)
def test_the_14_flags_and_the_valid_mark_say_whether_a_card_may_borrow(
    flags: str, fields: str, reason: str
) -> None:
    line = f"64{flags}000{TODAY.decode()}{' ' * 24}AOX|AA1|{fields}"
    assert (patron_reason(decode(line.encode())) or "") == reason
