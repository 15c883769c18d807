"""A gate's whole service in each of its modes: what cries, what is told, what is let go."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from kiosk.devices.feig import FeigHost
from kiosk.emulators import feig_gate as feig
from kiosk.emulators import feig_notify, uhf288_gate
from kiosk.emulators.feig import converse
from kiosk.emulators.tty import TtyLine
from kiosk.emulators.uhf_field import UhfField
from kiosk.gate import judging
from kiosk.wire.iso_host_gate import buffer_info
from mocban.clock import SystemClock
from mocban.events import LoanMade
from mocban.feeds import Entry
from mocban.outbox import Outbox
from tests.support.gate_house import House, play, seed, sightings, until

ARMED, LENT, OTHER = "de-men", "dat-rung", "lich-su"  # in stock; on loan; in stock, of DE-705


def test_an_armed_eas_bit_cries_at_once_and_the_item_is_named_afterwards(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        async with house.gate(detect="eas"):
            house.world.walk([LENT], "out")
            await house.settled(1)
            assert house.world.sirens() == 0
            house.world.walk([LENT, ARMED], "out")
            await until(lambda: len(house.alarms()) == 1)
            (alarm,) = house.alarms()
            assert (alarm["item"], alarm["reason"], alarm["by"]) == ("BG00012345", "eas", "tag")
            assert alarm["uid"] == house.world.tag(ARMED).uid
            await house.settled(2)
            assert house.world.sirens() == 1

    play(tmp_path, scenario, seed(de_men={"eas": True}), afi=None)


def test_a_second_armed_item_is_told_by_name_while_the_bit_is_held(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        async with house.gate(detect="eas"):
            house.world.walk([ARMED], "out")
            await until(lambda: len(house.alarms()) == 1)
            house.world.walk([OTHER], "out")
            await until(lambda: len(house.alarms()) == 2)
            assert [alarm["item"] for alarm in house.alarms()] == ["BG00012345", "11223344"]
            assert house.world.sirens() == 2

    raw = seed(de_men={"eas": True}, lich_su={"eas": True})
    play(tmp_path, scenario, raw, afi=None)


def test_who_is_lent_and_armed_by_eas_is_cried_for_and_made_work_of(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        house.feed("recent-loans", Entry(uid=house.world.tag(ARMED).uid))
        async with house.gate(detect="eas"):
            house.world.walk([ARMED], "out")
            await until(lambda: len(house.facts("gate-alarmed", "still-armed")) == 2)
            kinds = {
                kind: data["item"] for kind, data in house.facts("gate-alarmed", "still-armed")
            }
            assert kinds == {"gate-alarmed": "BG00012345", "still-armed": "BG00012345"}

    play(tmp_path, scenario, seed(de_men={"eas": True}), afi=None)


def test_a_hybrid_site_cries_for_either_mark(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        async with house.gate(security={"by": "afi+eas"}):
            house.world.walk([ARMED], "out")
            await until(lambda: len(house.alarms()) == 1)
            house.world.walk([LENT], "out")  # on loan by its AFI, but its EAS bit was never cleared
            await until(lambda: len(house.alarms()) == 2)
            assert [(one["item"], one["reason"]) for one in house.alarms()] == [
                ("BG00012345", "armed"),
                ("BG00054321", "eas"),
            ]

    play(tmp_path, scenario, seed(dat_rung={"eas": True}))


def test_a_database_decides_while_its_list_of_loans_is_in_force(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        house.feed("recent-loans", Entry(uid=house.world.tag(ARMED).uid))
        excused = sightings("excused")
        async with house.gate(security={"by": "database"}):
            house.world.walk([ARMED], "out")  # armed by its AFI, which counts for nothing here
            await until(lambda: sightings("excused") > excused)
            house.world.walk([LENT], "out")
            await until(lambda: len(house.alarms()) == 1)
            assert [(one["item"], one["by"]) for one in house.alarms()] == [
                ("BG00054321", "database")
            ]
            assert (house.world.sirens(), house.facts("still-armed")) == (1, [])
            assert house.parts("gate-feeds") == ["ok"] or house.parts("gate-feeds") == []

    play(tmp_path, scenario, afi=None)


def test_without_a_list_of_loans_a_database_says_so_and_goes_by_the_tag_alone(
    tmp_path: Path,
) -> None:
    async def scenario(house: House) -> None:
        strange = sightings("strange")
        async with house.gate(security={"by": "database"}):
            house.world.walk([ARMED], "out")
            await until(lambda: sightings("strange") > strange)
            assert (house.world.sirens(), house.alarms()) == (0, [])
            assert house.parts("gate-feeds") == ["degraded"]

    play(tmp_path, scenario, afi=None)


def test_lent_but_still_armed_is_no_siren_but_work_once_in_the_hold_time(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        house.feed("recent-loans", Entry(uid=house.world.tag(ARMED).uid))
        lent = sightings("lent")
        async with house.gate():
            house.world.walk([ARMED], "out")
            await until(lambda: sightings("lent") == lent + 1)
            house.world.walk([ARMED], "out")
            await until(lambda: sightings("lent") == lent + 2)
            await until(lambda: len(house.facts("still-armed")) == 1)
            await house.settled(2)
        ((_, told),) = house.facts("still-armed")
        assert (told["item"], told["feed"], told["direction"]) == (
            "BG00012345", "recent-loans", "out",
        )  # fmt: skip
        assert (house.world.sirens(), house.alarms()) == (0, [])

    play(tmp_path, scenario)


def test_a_loan_of_the_kiosk_beside_it_counts_at_once_and_without_the_network(
    tmp_path: Path,
) -> None:
    async def scenario(house: House) -> None:
        kiosk = tmp_path / "kiosk.db"
        outbox = Outbox(kiosk, "kiosk-1", SystemClock())
        async with house.gate(kiosk_database=str(kiosk)):
            uid = house.world.tag(ARMED).uid
            outbox.put(LoanMade(session="a", line=1, item="BG00012345", uid=uid))
            await asyncio.sleep(1.0)  # on the way from the kiosk to the gate
            house.world.walk([ARMED], "out")
            await until(lambda: len(house.facts("still-armed")) == 1)
            assert house.facts("still-armed")[0][1]["feed"] == "own-kiosk"
            assert house.world.sirens() == 0
        outbox.close()

    play(tmp_path, scenario)


def test_who_comes_in_is_not_cried_for(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        inbound = sightings("inbound")
        async with house.gate():
            house.world.walk([ARMED], "in")
            await until(lambda: sightings("inbound") > inbound)
            assert house.world.sirens() == 0
            house.world.walk([ARMED], "out")
            await until(lambda: len(house.alarms()) == 1)

    play(tmp_path, scenario)


def test_an_item_of_another_house_is_let_go(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        foreign = sightings("foreign")
        async with house.gate(owners=["VN-BG01"]):
            house.world.walk([OTHER], "out")
            await until(lambda: sightings("foreign") > foreign)
            house.world.walk([ARMED], "out")
            await until(lambda: len(house.alarms()) == 1)
            assert house.alarms()[0]["item"] == "BG00012345"
            assert house.world.sirens() == 1

    play(tmp_path, scenario)


def test_an_item_that_lies_near_the_gate_falls_silent_and_is_told_until_it_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "GONE", 2.5)

    async def scenario(house: House) -> None:
        async with house.gate(parked_seconds=2.0, hold_seconds=0.5):
            await until(lambda: house.parts("gate-parked") == ["degraded"])
            cries = house.world.sirens()
            assert 1 <= cries <= 4
            parked = sightings("parked")
            await until(lambda: sightings("parked") > parked + 1)
            house.world.walk([OTHER], "out")  # another one is heard all the same
            await until(lambda: house.world.sirens() == cries + 1)
            house.world.put(ARMED, "hand")
            await until(lambda: house.parts("gate-parked") == ["degraded", "ok"])

    play(tmp_path, scenario, seed(de_men={"place": "gate"}))


@pytest.mark.parametrize("detect", ["afi", "eas"])
def test_a_test_tag_is_a_heartbeat_and_its_loss_a_blind_antenna(
    tmp_path: Path, detect: str
) -> None:
    async def scenario(house: House) -> None:
        uid = house.world.tag(ARMED).uid
        async with house.gate(test_tags=[uid], test_seconds=2.0, detect=detect):
            await until(lambda: house.parts("gate-field") == ["ok"])
            house.world.put(ARMED, "hand")
            await until(lambda: house.parts("gate-field") == ["ok", "lost"])
            house.world.put(ARMED, "gate")
            await until(lambda: house.parts("gate-field") == ["ok", "lost", "ok"])
            assert (house.world.sirens(), house.alarms()) == (0, [])

    afi = None if detect == "eas" else 0x07
    play(tmp_path, scenario, seed(de_men={"place": "gate"}), afi=afi)


def test_an_overflow_is_told_once_as_events_lost(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        for _ in range(feig.ROOM + 40):
            house.world.walk([ARMED], "out")
        await _full(house)
        async with house.gate():
            await until(lambda: len(house.facts("events-lost")) == 1)
            await until(lambda: len(house.alarms()) == 1)
            house.world.walk([], "out")
            await house.settled(1)
        async with house.gate():
            pass
        assert len(house.facts("events-lost")) == 1

    play(tmp_path, scenario)


async def _full(house: House) -> None:
    """Until the reader says that its buffer is."""
    host = FeigHost(house.url)
    await host.open()
    async with asyncio.timeout(10):
        while (await host.ask(buffer_info())).data[-2:] != feig.ROOM.to_bytes(2, "big"):
            await asyncio.sleep(0.02)
    await host.close()


def test_a_siren_that_does_not_sound_is_told_and_the_alarm_with_it(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        async with house.gate(gate=f"{house.url}&output=0x9F"):
            house.world.walk([ARMED], "out")
            await until(lambda: house.parts("gate-siren") == ["lost"])
            await until(lambda: len(house.alarms()) == 1)
        async with house.gate(hold_seconds=0):
            house.world.walk([ARMED], "out")
            await until(lambda: house.world.sirens() >= 1)

    play(tmp_path, scenario)


def test_a_uhf_gate_without_a_feed_goes_by_the_family_in_the_control_word(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        silent = sightings("silent")
        house.settings = {"gate_driver": "uhf288", "security": {"by": "database"}}
        async with house.gate():
            house.world.walk([LENT], "out")
            await until(lambda: sightings("silent") > silent)
            assert house.world.sirens() == 0
            house.world.walk([ARMED], "out")
            await until(lambda: len(house.alarms()) == 1)
            (alarm,) = house.alarms()
            uii = UhfField(house.world)._of(house.world.tag(ARMED)).uii.hex().upper()
            assert (alarm["item"], alarm["by"]) == ("BG00012345", "tag")
            assert alarm["uid"] == (uii if len(uii) <= 32 else "")
            assert house.world.sirens() == 1

    _uhf(tmp_path, scenario)


def test_a_uhf_gate_knows_a_loan_by_its_item_in_either_mode(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        # The kiosk knows the tag by its TID, the gate by its UII.
        house.feed("recent-loans", Entry(uid="E2801300E004010000000001", item="BG00012345"))
        excused = sightings("excused")
        house.settings = {"gate_driver": "uhf288", "security": {"by": "database"}}
        async with house.gate():
            house.world.walk([ARMED], "out")
            await until(lambda: sightings("excused") > excused)
            house.world.walk([LENT], "out")
            await until(lambda: len(house.alarms()) == 1)
            assert house.alarms()[0]["item"] == "BG00054321"
            assert house.alarms()[0]["by"] == "database"

    _uhf(tmp_path / "poll", scenario)
    _uhf(tmp_path / "push", scenario, real_time=True)


def _uhf(
    folder: Path, scenario: Callable[[House], Awaitable[None]], *, real_time: bool = False
) -> None:
    folder.mkdir(exist_ok=True)

    async def at(house: House) -> None:
        mode = "&mode=push" if real_time else ""
        house.url = f"serial://{house.link}?baud=57600&beams=1,2{mode}"
        await scenario(house)

    play(folder, at, emulator=partial(uhf288_gate.be, real_time=real_time))


def test_a_gate_that_tells_by_itself_cries_within_the_same_time(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
        stop = asyncio.Event()
        teller = asyncio.create_task(
            feig_notify.main(house.world.path, "127.0.0.1", port, stop, ack=True, deaf=True)
        )
        url = f"tcp-listen://127.0.0.1:{port}?mode=notify&ack=1"
        try:
            async with house.gate(gate=url, siren=house.url, poll_seconds=1.0):
                house.world.walk([ARMED], "out")
                loop = asyncio.get_running_loop()
                start = loop.time()
                await until(lambda: house.world.sirens() == 1)
                assert loop.time() - start < 0.8, "it does not wait for its next turn"
                await until(lambda: len(house.alarms()) == 1)
                await house.settled(1)
        finally:
            stop.set()
            await teller

    play(tmp_path, scenario)


def test_the_siren_ends_by_itself_though_the_gate_was_killed_while_it_cried(tmp_path: Path) -> None:
    async def body() -> None:
        house = House(tmp_path, seed())
        line = TtyLine(house.link)
        reader = feig.EmulatedGate(house.world)
        line.plug()
        peer = asyncio.create_task(converse(line, reader.answer, lambda: False))
        config = tmp_path / "gate.toml"
        config.write_text(
            f'data_dir = "{tmp_path}"\nmqtt = "mqtt://127.0.0.1:9"\n[gate]\nport = 0\nsiren_seconds = 1.5\n'
            f'gate = "{house.url}"\n',
            encoding="utf-8",
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "mocban", "kiosk", "gate", "--config", str(config),
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            await until(lambda: house.parts("gate") == ["ok"])
            house.world.walk([ARMED], "out")
            await until(lambda: reader.sounding)
            os.kill(process.pid, signal.SIGKILL)
            await process.wait()
            assert reader.sounding
            await until(lambda: not reader.sounding, 3.0)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            peer.cancel()
            await asyncio.gather(peer, return_exceptions=True)
            line.unplug()
            house.world.close()

    asyncio.run(body())
