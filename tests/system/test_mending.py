"""A tag left in the wrong state is put right wherever it is seen next: whole kiosks, emulated pads, a real gateway."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from kiosk.app import Kiosk, assemble
from kiosk.emulators.world import World
from kiosk.session.state import Mode, Phase
from kiosk.settings import Security
from mocban import feeds, identity, supervise
from mocban.clock import SystemClock
from mocban.events import LoanMade, ReturnMade, ref
from tests.support.gateway_stand import running_broker
from tests.support.kiosk_branch import (
    DE_MEN,
    IN_STOCK,
    LICH_SU,
    ON_LOAN,
    configuration,
    peers,
    until,
)
from tests.support.orders_stand import Centre, Device

CLOCK = SystemClock()
R = "0123456789abcdef"


@dataclass
class At:
    """A running kiosk over its world, and the gateway's key."""

    kiosk: Kiosk
    world: World
    key: identity.SigningKey
    version: int = 0

    def feed(
        self, name: str, want: feeds.Want, item: str, *, minutes: int = -5, named: str = R
    ) -> bytes:
        """A debt on the tag ``name``, delivered as the bus would."""
        self.version += 1
        since = CLOCK.now() + timedelta(minutes=minutes)
        entry = feeds.Entry(
            uid=self.world.tag(name).uid, item=item, want=want, since=since, ref=named
        )
        payload = feeds.sign(
            self.key, "demo", "kiosk-1", "pending-security", version=self.version, issued=CLOCK.now(),
            expires=CLOCK.now() + timedelta(hours=1), entries=[entry],
        )  # fmt: skip
        assert self.kiosk.heed.take("pending-security", payload)
        return payload

    def told(self, *kinds: str) -> list[dict[str, Any]]:
        rows = self.kiosk.outbox.rows(0, 200)
        return [json.loads(row.payload)["data"] for row in rows if row.kind in kinds]

    def mended(self) -> list[tuple[str, str]]:
        return [(one["item"], one["security"]) for one in self.told("security-mended")]

    def phases(self) -> dict[str, Phase]:
        return {line.item.id: line.phase for line in self.kiosk.runner.visit.lines}

    async def tap(self, action: str) -> None:
        await self.kiosk.runner.tap(action)

    async def mode(self, mode: Mode) -> None:
        await until(lambda: self.kiosk.runner.visit.mode is mode)

    async def seen(self, *items: str) -> None:
        """These lie on the pad, and the kiosk knows it."""
        await until(
            lambda: {one.item.id for one in self.kiosk.runner.visit.pad if one.item} == set(items)
        )

    async def rounds(self, count: int = 5) -> None:
        """So many more rounds of the pad are made."""
        mending, made = self.kiosk.runner._mending, 0
        look = mending.look

        def counted() -> None:
            nonlocal made
            made += 1
            look()

        mending.look = counted  # type: ignore[method-assign]
        await until(lambda: made >= count)


@contextlib.asynccontextmanager
async def running(
    folder: Path, world: World, sip2: int, key: identity.SigningKey, mqtt: str = "", **changes: Any
) -> AsyncIterator[At]:
    """One kiosk's process; another one on the same folder is the same kiosk started again."""
    stop = asyncio.Event()
    config = replace(configuration(folder, sip2, **changes), gateway_keys=(key.public,))
    config = replace(config, mqtt=mqtt or config.mqtt)
    with assemble(config, stop) as kiosk:
        services = asyncio.create_task(supervise.keep(kiosk.services, stop))
        try:
            await until(lambda: kiosk.runner.status.ready)
            yield At(kiosk, world, key)
        finally:
            stop.set()
            await services


def play(folder: Path, scenario: Callable[[At], Awaitable[None]], **changes: Any) -> None:
    """Run a scenario at one kiosk without any network."""

    async def body() -> None:
        key = identity.signing_key(folder / "gateway.key")
        async with (
            peers(folder) as (world, sip2),
            running(folder, world, sip2, key, **changes) as at,
        ):
            await scenario(at)

    asyncio.run(body())


def uid(at: At, name: str) -> str:
    return at.world.tag(name).uid


def test_a_return_left_open_elsewhere_is_closed_here_and_told(tmp_path: Path) -> None:
    async def scenario(at: At) -> None:
        at.world.write_afi(uid(at, "de-men"), ON_LOAN)
        at.world.lay("de-men")
        at.world.lay("lich-su")
        at.feed("de-men", "on", DE_MEN)
        await until(lambda: at.mended() == [(DE_MEN, "on")])
        assert at.world.tag("de-men").afi == IN_STOCK
        assert at.told("security-mended")[0]["mended"] == R
        at.feed("de-men", "on", DE_MEN)  # the gateway has not heard of it yet
        await at.rounds()
        assert at.mended() == [(DE_MEN, "on")]

    play(tmp_path, scenario)


def test_a_loan_left_closed_is_healed_by_its_own_kiosk_without_any_network(tmp_path: Path) -> None:
    async def body() -> None:
        key = identity.signing_key(tmp_path / "gateway.key")
        async with peers(tmp_path) as (world, sip2):
            async with running(tmp_path, world, sip2, key) as at:
                world.set_fault("slow-ils", "0.5")
                world.show_card("the-1")
                await at.mode(Mode.BORROW)
                world.lay("de-men")
                await until(lambda: at.phases().get(DE_MEN) is Phase.ASKED)
                world.lift("de-men")
                await until(lambda: at.kiosk.runner.visit.lines[0].waiting)
                await at.tap("finish")
                await at.tap("finish")
                await until(lambda: len(at.told("loan-made")) == 1)
                assert at.told("loan-made")[0]["security"] == "pending"
                assert at.mended() == []
                loan = at.told("loan-made")[0]
            assert world.tag("de-men").afi == IN_STOCK
            async with running(tmp_path, world, sip2, key) as at:  # the next day
                world.show_card(None)
                world.lay("de-men")
                await until(lambda: at.mended() == [(DE_MEN, "off")])
                assert world.tag("de-men").afi == ON_LOAN
                fact = LoanMade.model_validate(loan)
                assert at.told("security-mended")[0]["mended"] == ref(fact.id_at("kiosk-1"))
                assert world.loan(DE_MEN) is not None
                await at.rounds()
                assert len(at.mended()) == 1

    asyncio.run(body())


def test_another_item_on_the_same_tag_and_one_that_is_not_meant_are_never_written(
    tmp_path: Path,
) -> None:
    async def scenario(at: At) -> None:
        at.world.lay("de-men")
        at.world.lay("lich-su")
        await at.seen(DE_MEN, LICH_SU)
        at.feed("de-men", "off", LICH_SU)
        await at.rounds()
        assert {at.world.tag(name).afi for name in ("de-men", "lich-su")} == {IN_STOCK}
        assert at.mended() == []

    play(tmp_path, scenario)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_tag_lifted_in_mid_mend_is_told_only_when_it_is_proven(tmp_path: Path, when: str) -> None:
    async def scenario(at: At) -> None:
        at.world.write_afi(uid(at, "de-men"), ON_LOAN)
        at.world.set_fault("tag-leaves", when)
        at.world.lay("de-men")
        at.feed("de-men", "on", DE_MEN)
        await until(lambda: not at.kiosk.runner.visit.pad and at.world.tag("de-men").place != "pad")
        assert at.world.tag("de-men").afi == (IN_STOCK if when == "after" else ON_LOAN)
        assert at.mended() == []
        at.world.lay("de-men")
        await until(lambda: at.mended() == [(DE_MEN, "on")])
        assert at.world.tag("de-men").afi == IN_STOCK

    play(tmp_path, scenario)


def test_what_the_disk_does_not_take_is_told_when_it_does_and_written_once(tmp_path: Path) -> None:
    async def scenario(at: At) -> None:
        disk = at.kiosk.outbox._held._db
        disk.execute(
            "CREATE TEMP TRIGGER full BEFORE INSERT ON outbox BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
        at.world.write_afi(uid(at, "de-men"), ON_LOAN)
        at.world.lay("de-men")
        at.feed("de-men", "on", DE_MEN)
        await until(lambda: at.world.tag("de-men").afi == IN_STOCK)
        await at.rounds()
        assert at.mended() == []
        disk.execute("DROP TRIGGER full")
        await until(lambda: at.mended() == [(DE_MEN, "on")])
        assert at.world.counters()["tags_armed"] == 1

    play(tmp_path, scenario)


def test_who_borrows_it_has_the_tag_and_the_old_word_is_worth_nothing_afterwards(
    tmp_path: Path,
) -> None:
    async def scenario(at: At) -> None:
        at.world.set_fault("slow-ils", "0.5")
        at.world.show_card("the-1")
        await at.mode(Mode.BORROW)
        at.world.lay("de-men")
        await until(lambda: at.phases().get(DE_MEN) is Phase.ASKED)
        at.feed("de-men", "on", DE_MEN)
        await until(lambda: at.phases().get(DE_MEN) is Phase.TOLD)
        assert at.world.tag("de-men").afi == ON_LOAN
        at.feed("de-men", "on", DE_MEN)
        await at.tap("finish")
        await at.tap("finish")
        await at.mode(Mode.IDLE)
        await at.rounds()
        assert at.world.tag("de-men").afi == ON_LOAN
        assert at.mended() == []

    play(tmp_path, scenario)


def test_a_forged_a_foreign_and_an_expired_feed_mend_nothing(tmp_path: Path) -> None:
    async def scenario(at: At) -> None:
        at.world.lay("de-men")
        await at.seen(DE_MEN)
        entry = feeds.Entry(
            uid=uid(at, "de-men"), item=DE_MEN, want="off", since=CLOCK.now(), ref=R
        )
        other = identity.signing_key(tmp_path / "other.key")
        hour = timedelta(hours=1)
        for key, device, issued in (
            (other, "kiosk-1", CLOCK.now()),
            (at.key, "kiosk-2", CLOCK.now()),
            (at.key, "kiosk-1", CLOCK.now() - 2 * hour),
        ):
            payload = feeds.sign(
                key, "demo", device, "pending-security", version=9, issued=issued, expires=issued + hour,
                entries=[entry],
            )  # fmt: skip
            assert not at.kiosk.heed.take("pending-security", payload)
        assert not at.kiosk.heed.take("pending-security", b"\xff")
        await at.rounds()
        assert (at.world.tag("de-men").afi, at.mended()) == (IN_STOCK, [])

    play(tmp_path, scenario)


def test_a_site_of_eas_lends_takes_back_and_mends_by_it(tmp_path: Path) -> None:
    async def scenario(at: At) -> None:
        name = uid(at, "de-men")
        at.world.write_eas(name, armed=True)
        at.world.show_card("the-1")
        await at.mode(Mode.BORROW)
        at.world.lay("de-men")
        await until(lambda: at.phases().get(DE_MEN) is Phase.TOLD)
        assert (at.world.tag("de-men").eas, at.world.tag("de-men").afi) == (False, IN_STOCK)
        assert at.told("loan-made")[0]["security"] == "off"
        await at.tap("finish")
        await at.tap("finish")
        at.world.give_back(DE_MEN)
        at.feed("de-men", "on", DE_MEN, minutes=5)  # returned elsewhere, and left open
        await until(lambda: at.mended() == [(DE_MEN, "on")])
        assert (at.world.tag("de-men").eas, at.world.tag("de-men").afi) == (True, IN_STOCK)

    play(tmp_path, scenario, security=Security(by="eas"))


def test_a_site_of_the_database_touches_no_tag(tmp_path: Path) -> None:
    async def scenario(at: At) -> None:
        at.world.write_afi(uid(at, "de-men"), 0x00)
        at.world.show_card("the-1")
        await at.mode(Mode.BORROW)
        at.world.lay("de-men")
        await until(lambda: at.phases().get(DE_MEN) is Phase.TOLD)
        assert at.world.tag("de-men").afi == 0x00
        [loan] = at.told("loan-made")
        assert (loan["security"], loan["stays"]) == ("none", False)
        assert at.world.counters()["tags_disarmed"] == 0

    play(tmp_path, scenario, security=Security(by="database"))


def test_from_one_station_over_the_gateway_to_another_and_off_the_list(tmp_path: Path) -> None:
    """kiosk-2 could not close a returned book; kiosk-1 sees it, closes it, tells; the gateway forgets it."""

    async def body(broker: str, gateway: Centre, desk: Device) -> None:
        def emptied() -> bool:
            heard = desk.feeds(gateway.public, "pending-security")
            return len(heard) > 1 and not heard[-1].entries

        key = identity.signing_key(tmp_path / "unused.key")
        there = replace(key, public=gateway.public)
        async with peers(tmp_path) as (world, sip2):
            async with running(tmp_path, world, sip2, there, broker) as at:
                world.write_afi(uid(at, "de-men"), ON_LOAN)
                back = ReturnMade(
                    session="s", line=1, item=DE_MEN, uid=uid(at, "de-men"), security="pending"
                )
                await asyncio.to_thread(desk.tell, back, 1)
                await until(lambda: at.kiosk.heed.wanted(uid(at, "de-men")) is not None)
                assert at.kiosk.heed.wanted(uid(at, "de-men")).ref == ref(back.id_at("kiosk-2"))  # type: ignore[union-attr]
                world.lay("de-men")
                await until(lambda: world.tag("de-men").afi == IN_STOCK)
                await until(lambda: at.kiosk.heed.wanted(uid(at, "de-men")) is None)
                await asyncio.to_thread(desk.wait, emptied, "the other station hears it, too")
            facts = await asyncio.to_thread(gateway.facts)
            [mended] = [one for one in facts if one["kind"] == "security-mended"]
            assert (mended["device"], mended["data"]["item"]) == ("kiosk-1", DE_MEN)
            page = await asyncio.to_thread(gateway.get, "/?lang=en")
            assert f"The chip of {DE_MEN} is switched on now" in page

    (tmp_path / "broker").mkdir()
    with running_broker("iotcore", tmp_path / "broker") as broker:
        with (
            Centre(tmp_path / "centre", broker.url) as gateway,
            Device(broker.url, "kiosk-2") as desk,
        ):
            desk.say(online=True, app="kiosk")
            asyncio.run(body(broker.url, gateway, desk))
