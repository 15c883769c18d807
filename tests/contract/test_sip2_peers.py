"""Strangers' SIP2: our client against pysip2's server, and the Sip2 package's client against ours.

Both are independent of our codec. If one cannot be imported, these tests fail: they never skip.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pysip2
import pytest
import Sip2.sip2 as stranger
from anyio.abc import SocketAttribute
from pydantic import SecretStr
from pysip2 import models, routes

from kiosk.emulators import ils_desk
from kiosk.emulators.ils import Acs
from kiosk.emulators.world import World
from kiosk.ils.port import IlsSilent, Refusal, Sent
from kiosk.ils.sip2 import Sip2
from kiosk.settings import IlsSettings
from mocban.clock import SetClock
from tests.support.library import BOOK, CARD, FAST, HANOI, KEPT, NOW, demo_seed, until

DATE = "20261122    150000"
TITLE = "Dế Mèn phiêu lưu ký"


# -- our client, pysip2's server --


class Foreign:
    """A small library on pysip2's server: one card, one book, one book that is kept."""

    def __init__(self) -> None:
        self.loans: dict[str, str] = {}
        self.logins: list[tuple[str, str]] = []
        self.server = pysip2.SIP2Server(encoding="utf-8", institution_id="X", login_required=True)
        answers = {
            routes.LOGIN: self.login,
            routes.CHECKOUT: self.checkout,
            routes.CHECKIN: self.checkin,
            routes.PATRON_INFORMATION: self.patron,
            routes.ITEM_INFORMATION: self.item,
            routes.END_PATRON_SESSION: self.end,
        }
        for route, answer in answers.items():
            self.server.route(route)(answer)  # type: ignore[arg-type]

    async def login(self, ask: Any, _: Any) -> models.LoginResponse:
        self.logins.append((ask.login_user_id, ask.location_code))
        return models.LoginResponse(ok="1" if ask.login_password == "pw" else "0")

    async def checkout(self, ask: Any, _: Any) -> models.CheckoutResponse:
        granted = ask.item_identifier == BOOK and ask.item_identifier not in self.loans
        if granted:
            self.loans[ask.item_identifier] = ask.patron_identifier
        return models.CheckoutResponse(
            ok="1" if granted else "0",
            renewal_ok="N",
            magnetic_media="U",
            desensitize="Y" if granted else "N",
            transaction_date=DATE,
            institution_id="X",
            patron_identifier=ask.patron_identifier,
            item_identifier=ask.item_identifier,
            title_identifier=TITLE,
            due_date="2026-12-06 23:59:59" if granted else "",
            screen_message=() if granted else ("Không được", "Hỏi thủ thư"),
        )

    async def checkin(self, ask: Any, _: Any) -> models.CheckinResponse:
        known = self.loans.pop(ask.item_identifier, None) is not None
        return models.CheckinResponse(
            ok="1" if known else "0",
            resensitize="Y",
            magnetic_media="U",
            alert="N" if known else "Y",
            transaction_date=DATE,
            institution_id="X",
            item_identifier=ask.item_identifier,
            permanent_location="Kho A",
            title_identifier=TITLE,
            sort_bin="7",
        )

    async def patron(self, ask: Any, _: Any) -> models.PatronInformationResponse:
        known = ask.patron_identifier == CARD
        charged = tuple(self.loans) if ask.summary[2] == "Y" else ()
        return models.PatronInformationResponse(
            patron_status="  Y" + " " * 11,
            language="000",
            transaction_date=DATE,
            hold_items_count="    ",
            overdue_items_count="0000",
            charged_items_count=f"{len(self.loans):04d}",
            fine_items_count="    ",
            recall_items_count="    ",
            unavailable_holds_count="    ",
            institution_id="X",
            patron_identifier=ask.patron_identifier,
            personal_name="Nguyễn Thị Ánh" if known else "",
            charged_items_limit="0003",
            valid_patron="Y" if known else "N",
            charged_items=charged,
        )

    async def item(self, ask: Any, _: Any) -> models.ItemInformationResponse:
        status = "04" if ask.item_identifier in self.loans else "08"
        return models.ItemInformationResponse(
            circulation_status="03" if status == "08" and ask.item_identifier == BOOK else status,
            security_marker="00",
            fee_type="01",
            transaction_date=DATE,
            item_identifier=ask.item_identifier,
            title_identifier=TITLE,
        )

    async def end(self, ask: Any, _: Any) -> models.EndSessionResponse:
        return models.EndSessionResponse(
            end_session="Y",
            transaction_date=DATE,
            institution_id="X",
            patron_identifier=ask.patron_identifier,
        )


@asynccontextmanager
async def our_client(**settings: Any) -> AsyncIterator[tuple[Sip2, Foreign]]:
    foreign = Foreign()
    stop = asyncio.Event()
    # server.start() never closes its listener, so we own it; serving is the package's own code
    listener = await foreign.server.listen("127.0.0.1", 0)
    async with listener, anyio.create_task_group() as serving:
        serving.start_soon(listener.serve, foreign.server._handle_connection)
        port = listener.extra(SocketAttribute.local_port)
        base = {"user": "kiosk", "password": SecretStr("pw"), "location": "Q1", "timeout": 2.0}
        chosen = IlsSettings(url=f"sip2://127.0.0.1:{port}", **(base | settings))
        client = Sip2(chosen, SetClock(NOW), zone=HANOI, pace=FAST)
        running = asyncio.create_task(client.run(stop))
        try:
            await until(lambda: client.ready)
            yield client, foreign
        finally:
            stop.set()
            await running
            serving.cancel_scope.cancel()


@pytest.mark.parametrize("error_detection", [True, False])
def test_our_client_does_its_day_on_a_foreign_server(error_detection: bool) -> None:
    async def scenario() -> None:
        async with our_client(nb_due_filled=True, error_detection=error_detection) as (
            client,
            foreign,
        ):
            assert foreign.logins == [("kiosk", "Q1")]
            patron = await client.patron(CARD)
            assert (patron.allowed, patron.remaining) == (True, 3)
            assert (await client.patron("nobody")).reason == Refusal.CARD_UNKNOWN
            loan = await client.lend(CARD, BOOK, NOW)
            assert (loan.ok, loan.title, loan.desensitize) == (True, TITLE, True)
            assert loan.due == datetime(2026, 12, 6, 16, 59, 59, tzinfo=UTC)
            assert (await client.patron(CARD, charged=True)).charged == (BOOK,)
            assert (await client.item(BOOK)).status == 4
            refused = await client.lend(CARD, KEPT, NOW)
            assert (refused.reason, refused.say) == (Refusal.ON_HOLD, "Không được\nHỏi thủ thư")
            back = await client.take_back(BOOK, NOW)
            assert (back.ok, back.bin, back.alert) == (True, "7", False)
            assert not (await client.take_back(BOOK, NOW)).ok
            assert (await client.take_back(BOOK, NOW, cancel=True)).ok  # nothing left to undo
            await client.end(CARD)

    asyncio.run(scenario())


def test_a_server_that_refuses_blank_due_dates_needs_the_setting() -> None:
    async def scenario() -> None:
        async with our_client() as (client, foreign):
            with pytest.raises(IlsSilent) as caught:
                await client.lend(CARD, BOOK, NOW)
            assert caught.value.sent is Sent.MAYBE
            assert foreign.loans == {}
            await until(lambda: client.ready)

    asyncio.run(scenario())


# -- the stranger's client, our library system --


@contextmanager
def strange_client(port: int, folder: Path, *, checked: bool) -> Iterator[Any]:
    client = stranger.Sip2()
    client.hostName, client.hostPort, client.tlsEnable = "127.0.0.1", port, False
    client.logfile_path, client.loglevel = str(folder), "CRITICAL"
    client.withCrc = client.withSeq = checked
    client.institutionId, client.scLocation, client.patron = "VN-BG01", "Q1", CARD
    try:
        yield client
    finally:
        client.disconnect()
        for handler in list(logging.getLogger("Sip2").handlers):
            logging.getLogger("Sip2").removeHandler(handler)
            handler.close()


def day(port: int, folder: Path, checked: bool) -> dict[str, Any]:
    """A day's work in the stranger's words; runs in a thread, its socket blocks."""
    seen: dict[str, Any] = {}
    with strange_client(port, folder, checked=checked) as sip:
        assert sip.connect()

        def ask(request: str, parse: Callable[[str], Any]) -> Any:
            return parse(sip.get_response(request))

        seen["login"] = ask(sip.sip_login_request("kiosk", "demo"), sip.sip_login_response)
        seen["status"] = ask(sip.sip_sc_status_request(), sip.sip_sc_status_response)
        seen["patron"] = ask(
            sip.sip_patron_information_request("charged"), sip.sip_patron_information_response
        )
        seen["lent"] = ask(sip.sip_checkout_request(BOOK), sip.sip_checkout_response)
        seen["kept"] = ask(sip.sip_checkout_request(KEPT), sip.sip_checkout_response)
        seen["charged"] = ask(
            sip.sip_patron_information_request("charged"), sip.sip_patron_information_response
        )
        seen["item"] = ask(
            sip.sip_item_information_request(BOOK), sip.sip_item_information_response
        )
        seen["back"] = ask(sip.sip_checkin_request(BOOK), sip.sip_checkin_response)
        seen["end"] = ask(sip.sip_end_patron_session_request(), sip.sip_end_patron_session_response)
    return seen


@pytest.mark.parametrize("checked", [True, False])
def test_a_foreign_client_does_its_day_on_our_library_system(tmp_path: Path, checked: bool) -> None:
    async def scenario() -> None:
        world = World.create(tmp_path / "w.db", demo_seed())
        acs = Acs(world, SetClock(NOW), zone=HANOI)
        port = await acs.open()
        try:
            seen = await asyncio.to_thread(day, port, tmp_path, checked)
        finally:
            await acs.close()
        counters = world.counters()
        world.close()
        assert (counters["loans_in_ils"], counters["returns_in_ils"]) == (1, 1)
        assert seen["login"]["fixed"]["Ok"] == "1"
        assert seen["status"]["fixed"]["OnlineStatus"] == "Y"
        assert seen["status"]["variable"]["BX"] == [ils_desk.SUPPORTED]
        assert seen["patron"]["fixed"]["ChargedItemsCount"] == "0000"
        assert seen["lent"]["fixed"]["Ok"] == "1"
        assert seen["lent"]["fixed"]["Desensitize"] == "Y"
        assert seen["lent"]["variable"]["AJ"] == [TITLE]
        assert seen["lent"]["variable"]["AH"] == ["20261206    235959"]
        assert seen["kept"]["fixed"]["Ok"] == "0"
        assert seen["kept"]["variable"]["AF"] == [ils_desk.ON_HOLD]
        assert seen["charged"]["variable"]["AU"] == [BOOK]
        assert seen["item"]["fixed"]["CirculationStatus"] == "04"
        assert seen["back"]["fixed"]["Ok"] == "1"
        assert seen["end"]["fixed"]["EndSession"] == "Y"

    asyncio.run(scenario())
