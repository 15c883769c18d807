"""Orders against a whole kiosk: screen barred and opened, ended at rest, wiped clean."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from kiosk.app import Kiosk, assemble
from kiosk.emulators.world import World
from kiosk.session.state import Mode, Visit
from mocban import commands, identity, supervise
from mocban.clock import SystemClock
from mocban.errors import ConfigError
from mocban.events import LoanMade
from mocban.ids import new_id
from tests.support.kiosk_branch import CARD, configuration, peers, until
from tests.support.person import Person

CLOCK = SystemClock()


@dataclass
class At:
    """A running kiosk, and the gateway's key to order it about."""

    kiosk: Kiosk
    world: World
    key: identity.SigningKey
    seq: int = 0

    def order(self, name: str, *by: Person, **args: Any) -> None:
        """Signed, and delivered as the bus would."""
        self.seq += 1
        request = commands.Request(
            id=UUID(new_id()), by="person:boss", tenant="demo", device="kiosk-1", app="kiosk", name=name, args=args,
            expires=CLOCK.now() + timedelta(minutes=5),
        )  # fmt: skip
        order = commands.sign(
            self.key, request, [one.approves(request) for one in by],
            epoch=self.kiosk.outbox.epoch, seq=int(CLOCK.now().timestamp() * 1000) + self.seq, issued=CLOCK.now(),
        )  # fmt: skip
        self.kiosk.remote.order(name, order.encode())

    async def answer(self, count: int = 1) -> dict[str, Any]:
        """The last answer, once there are ``count``."""
        await until(lambda: len(self.told("command-answered")) >= count)
        return self.told("command-answered")[-1]

    def told(self, kind: str) -> list[dict[str, Any]]:
        rows = self.kiosk.outbox.rows(0, 200)
        return [json.loads(row.payload)["data"] for row in rows if row.kind == kind]

    @property
    def barred(self) -> str:
        return self.kiosk.runner.visit.barred


@dataclass
class Box:
    """The folder of one kiosk, its peers, its staff."""

    folder: Path
    world: World
    sip2: int
    key: identity.SigningKey
    staff: dict[str, str]

    @contextlib.asynccontextmanager
    async def running(self, ends: bool = False) -> AsyncIterator[At]:
        """The kiosk's process; with ``ends`` it must have ended by itself."""
        stop = asyncio.Event()
        config = replace(
            configuration(self.folder, self.sip2), gateway_keys=(self.key.public,), staff=self.staff
        )
        with assemble(config, stop) as kiosk:
            services = asyncio.create_task(supervise.keep(kiosk.services, stop))
            try:
                await until(lambda: kiosk.runner.status.ready)
                yield At(kiosk, self.world, self.key)
                if ends:
                    async with asyncio.timeout(5):
                        await services
            finally:
                stop.set()
                await services


def play(folder: Path, scenario: Callable[[Box], Awaitable[None]], *staff: Person) -> None:
    """Run a scenario over a box and its peers."""

    async def body() -> None:
        async with peers(folder) as (world, sip2):
            key = identity.signing_key(folder / "gateway.key")
            await scenario(Box(folder, world, sip2, key, {one.name: one.line for one in staff}))

    asyncio.run(body())


def test_a_self_test_names_every_part_of_a_kiosk(tmp_path: Path) -> None:
    async def scenario(box: Box) -> None:
        async with box.running() as at:
            at.order("self-test")
            result = (await at.answer())["result"]
            assert set(result) == {
                "reader", "ils", "journal", "outbox", "disk", "clock", "feeds", "lost"
            }  # fmt: skip
            assert result["lost"] == ""
            assert {result["reader"], result["ils"], result["journal"]} == {"ok"}
            box.world.set_fault("ils-silent", "1")
            at.order("self-test")  # nobody noticed before
            result = (await at.answer(2))["result"]
            assert (result["ils"], result["lost"]) == ("it does not answer", "ils")

    play(tmp_path, scenario)


def test_a_closed_kiosk_takes_nobody_and_opens_by_itself(tmp_path: Path) -> None:
    async def scenario(box: Box) -> None:
        async with box.running() as at:
            at.order("set-mode", mode="closed", seconds=2)
            assert (await at.answer())["outcome"] == "done"
            assert at.barred == "closed"
            await at.kiosk.runner.tap("borrow")
            assert at.kiosk.runner.visit.mode is Mode.IDLE
            await until(lambda: at.barred == "")
            assert "mode-undone" in [one["action"] for one in at.told("audited")]

    play(tmp_path, scenario)


def test_a_restart_waits_for_who_is_there_and_is_answered_by_the_next_process(
    tmp_path: Path,
) -> None:
    async def scenario(box: Box) -> None:
        async with box.running(ends=True) as at:
            box.world.show_card("the-1")
            await until(lambda: at.kiosk.runner.visit.mode is Mode.BORROW)
            at.order("restart", patience=0)
            answer = await at.answer()
            assert (answer["outcome"], answer["reason"]) == ("failed", "busy")
            at.order("restart", patience=60)
            await asyncio.sleep(0.2)
            assert len(at.told("command-answered")) == 1
            await at.kiosk.runner.tap("finish")
        async with box.running() as at:
            answer = await at.answer(2)
            assert (answer["name"], answer["outcome"]) == ("restart", "done")

    play(tmp_path, scenario)


def test_a_wiped_kiosk_holds_no_card_and_serves_nobody_ever_again(tmp_path: Path) -> None:
    minh, lan = Person(tmp_path, "minh"), Person(tmp_path, "lan")

    async def scenario(box: Box) -> None:
        async with box.running() as at:
            box.world.show_card("the-1")
            await until(lambda: at.kiosk.runner.visit.mode is Mode.BORROW)
            keys = tmp_path / "kiosk" / "keys"
            assert list(keys.iterdir())
            loan = LoanMade(session="s", line=1, item="BG1", uid="E0", security="pending")
            at.kiosk.pending.heard(loan)
            at.order("wipe", minh, lan)
            assert (await at.answer())["outcome"] == "done"
            assert at.barred == "wiped"
            assert at.kiosk.pending.wanted("E0") is None
            assert at.kiosk.runner.visit.patron is None
            assert list(keys.iterdir()) == []
        for file in (tmp_path / "kiosk").rglob("*"):
            assert not file.is_file() or CARD.encode() not in file.read_bytes()
        async with box.running() as at:
            assert (at.barred, at.kiosk.runner.visit.lines) == ("wiped", Visit().lines)
            at.order("set-mode", minh, mode="open")
            assert (await at.answer(2))["reason"] == "wiped"
            await at.kiosk.runner.tap("borrow")
            assert at.kiosk.runner.visit.mode is Mode.IDLE

    play(tmp_path, scenario, minh, lan)


def test_a_wipe_in_the_middle_of_a_loan_leaves_nothing_of_the_visit(tmp_path: Path) -> None:
    minh, lan = Person(tmp_path, "minh"), Person(tmp_path, "lan")

    async def scenario(box: Box) -> None:
        async with box.running() as at:
            box.world.show_card("the-1")
            await until(lambda: at.kiosk.runner.visit.mode is Mode.BORROW)
            box.world.set_fault("ils-silent", "1")
            box.world.lay("de-men")
            await until(lambda: bool(at.kiosk.runner.visit.lines))
            visit = at.kiosk.runner.visit.id
            at.order("wipe", minh, lan)
            assert (await at.answer())["outcome"] == "done"
            box.world.set_fault("ils-silent", "")
            at.order("self-test")
            assert (await at.answer(2))["result"]["ils"] in {"ok", "it does not answer"}
            assert (at.kiosk.runner.visit.lines, at.barred) == ((), "wiped")
        async with box.running() as at:
            assert (at.kiosk.runner.visit.lines, at.kiosk.runner.visit.old) == ((), ())
        for file in (tmp_path / "kiosk").rglob("*"):
            held = file.read_bytes() if file.is_file() else b""
            assert CARD.encode() not in held
            assert visit.encode() not in held

    play(tmp_path, scenario, minh, lan)


def test_a_full_outbox_bars_the_kiosk_until_it_drains(tmp_path: Path) -> None:
    async def scenario(box: Box) -> None:
        async with box.running() as at:
            for full, barred in ((True, "outbox-full"), (False, "")):
                # The outbox says so from whatever thread changed it.
                threading.Thread(target=at.kiosk.outbox.on_full, args=(full,)).start()
                await until(lambda barred=barred: at.barred == barred)  # type: ignore[misc]

    play(tmp_path, scenario)


def test_a_second_process_on_the_same_folder_is_refused_with_a_sentence(tmp_path: Path) -> None:
    async def scenario(box: Box) -> None:
        async with box.running():
            with pytest.raises(ConfigError) as error:
                with assemble(configuration(tmp_path, box.sip2), asyncio.Event()):
                    pass
            assert error.value.code == "outbox-in-use"
            assert error.value.do

    play(tmp_path, scenario)
