"""The card of a reader stands nowhere on the disk of a kiosk: not after a crash, not in a copy, not in a log."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sqlite3
from pathlib import Path

from tests.support.kiosk_process import Process, holding, peers, until

ITEM, CARD = "BG00012345", "TV2400001"


def sealed(kiosk: Process) -> dict[str, bytes]:
    """The wrapped keys that stand in the database."""
    with contextlib.closing(sqlite3.connect(kiosk.data / "kiosk" / "kiosk.db", timeout=5)) as db:
        return dict(db.execute("SELECT session, wrapped FROM seal"))


def given_up(kiosk: Process) -> list[tuple[str, str, str]]:
    """The visits that were told as abandoned: id, items, reason."""
    told = [data for _, data in kiosk.facts("audited") if data["action"] == "visit-abandoned"]
    return [(data["ref"], data["object"], data["reason"]) for data in told]


def test_a_kiosk_killed_in_a_borrow_leaves_no_card_and_finishes_and_destroys_the_key(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with peers(tmp_path) as (world, sip2):
            kiosk = Process(tmp_path, sip2, tmp_path / "data", idle_seconds=10, thanks_seconds=1)
            try:
                await kiosk.start()
                world.show_card("the-1")
                await until(lambda: "PatronKnown" in kiosk.journal())
                world.lay("de-men")
                await until(lambda: "IlsGranted" in kiosk.journal(), step=0.001)
                await kiosk.kill()
                assert holding(kiosk.data, CARD.encode()) == []
                assert holding(kiosk.data, b"IlsGranted"), "the visit itself does stand there"
                shutil.copytree(kiosk.data, tmp_path / "copy")
                assert holding(tmp_path / "copy", CARD.encode()) == []
                await kiosk.start()
                (wrapped,) = sealed(kiosk).values()
                assert holding(kiosk.data, wrapped)
                await until(
                    lambda: bool(kiosk.facts("loan-made")) and world.tag("de-men").afi == 0xC2
                )
                loan = world.loan(ITEM)
                assert loan is not None
                assert loan.card == CARD
                await until(lambda: kiosk.journal() <= {"Rested", "TagGone", "TagSeen"})
                await until(lambda: not holding(kiosk.data, wrapped))
                assert not sealed(kiosk)
                assert holding(kiosk.data, CARD.encode()) == []
                assert await kiosk.stop() == 0
                assert holding(kiosk.data, CARD.encode()) == []
            finally:
                await kiosk.stop()

    asyncio.run(scenario())


def test_a_restored_copy_without_its_key_runs_and_tells_which_visit_it_gave_up(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with peers(tmp_path) as (world, sip2):
            first = Process(tmp_path, sip2, tmp_path / "data")
            second = Process(tmp_path, sip2, tmp_path / "restored")
            try:
                await first.start()
                world.show_card("the-1")
                await until(lambda: "PatronKnown" in first.journal())
                world.set_fault("slow-ils", "2")
                world.lay("de-men")
                await until(lambda: "TagSeen" in first.journal(), step=0.001)
                await first.kill()
                world.set_fault("slow-ils", "")
                (visit,) = sealed(first)
                shutil.copytree(
                    first.data, second.data, dirs_exist_ok=True,
                    ignore=shutil.ignore_patterns("keys", "kiosk.log"),
                )  # fmt: skip
                await second.start()
                assert given_up(second) == [(visit, ITEM, "seal-broken")]
                log = (second.data / "kiosk.log").read_text(encoding="utf-8")
                assert "settle at the desk" in log
                assert not second.facts("loan-made")
                assert not sealed(second)
                world.lift("de-men")
                world.show_card(None)
                await until(lambda: "TagGone" in second.journal())
                world.show_card("the-1")
                await until(lambda: "PatronKnown" in second.journal())
                assert len(given_up(second)) == 1
                assert holding(second.data, CARD.encode()) == []
                assert await second.stop() == 0
            finally:
                await first.stop()
                await second.stop()

    asyncio.run(scenario())
