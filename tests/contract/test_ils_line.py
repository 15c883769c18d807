"""The line to the library system: lost, silent, slow, flooded; and the test system's own defences."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from kiosk.emulators import ils
from kiosk.emulators.ils import Knobs
from kiosk.emulators.world import World
from kiosk.ils.port import IlsSilent, Sent
from kiosk.ils.sip2 import Sip2
from kiosk.settings import IlsSettings
from mocban.clock import SetClock
from mocban.errors import ConfigError
from mocban.web import bind, port_of
from tests.support.library import (
    BOOK,
    CARD,
    DEADLINE,
    FAST,
    GERMAN,
    KEPT,
    LOGIN,
    NOW,
    OUT,
    branch,
    demo_seed,
    play,
    say,
    until,
)
from tests.support.peer import peer

# -- silence --


def test_a_lost_answer_is_asked_for_again_and_lends_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with branch(tmp_path) as b:
            b.knobs.swallow = 1
            assert (await b.client.lend(CARD, BOOK, NOW)).ok
            assert b.loans == 1
            assert list(b.knobs.seen).count("11") == 1

    play(scenario())


def test_silence_after_sending_is_maybe_and_the_line_is_made_anew(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with branch(tmp_path, settings=IlsSettings(timeout=0.1, retries=1)) as b:
            b.world.set_fault("ils-silent", "on")
            began = asyncio.get_running_loop().time()
            with pytest.raises(IlsSilent) as caught:
                await b.client.lend(CARD, BOOK, NOW)
            assert caught.value.sent is Sent.MAYBE
            assert asyncio.get_running_loop().time() - began < 1.0
            assert not b.client.ready
            b.world.set_fault("ils-silent", "")
            await until(lambda: b.told.count("ready") == 2)
            assert (await b.client.lend(CARD, BOOK, NOW)).ok

    play(scenario())


@pytest.mark.parametrize(("knob", "loans"), [("drop_before", 0), ("drop_after", 1)])
def test_a_connection_lost_in_mid_request_leaves_the_outcome_open(
    tmp_path: Path, knob: str, loans: int
) -> None:
    async def scenario() -> None:
        async with branch(tmp_path) as b:
            setattr(b.knobs, knob, "11")
            with pytest.raises(IlsSilent) as caught:
                await b.client.lend(CARD, BOOK, NOW)
            assert caught.value.sent is Sent.MAYBE
            setattr(b.knobs, knob, "")
            await until(lambda: b.client.ready)
            assert b.loans == loans
            item = await b.client.item(BOOK)  # how the outcome is found out
            assert item.status == (4 if loans else 3)
            charged = (await b.client.patron(CARD, charged=True)).charged
            assert charged == ((BOOK,) if loans else ())
            assert b.told == ["ready", "lost", "ready"]

    play(scenario())


def test_without_a_connection_nothing_was_sent(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with branch(tmp_path) as b:
            b.world.set_fault("ils-down", "on")
            await until(lambda: not b.client.ready)  # noticed without asking
            with pytest.raises(IlsSilent) as caught:
                await b.client.lend(CARD, BOOK, NOW)
            assert caught.value.sent is Sent.NEVER
            b.world.set_fault("ils-down", "")
            await until(lambda: b.client.ready)
            assert (await b.client.lend(CARD, BOOK, NOW)).ok
            assert b.told == ["ready", "lost", "ready"]

    play(scenario())


def test_a_slow_library_system_is_waited_for_and_its_second_answer_is_passed_over(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with branch(tmp_path, settings=IlsSettings(timeout=0.2, retries=3)) as b:
            b.world.set_fault("slow-ils", "0.3")
            assert (await b.client.lend(CARD, BOOK, NOW)).ok
            assert (await b.client.lend(CARD, GERMAN, NOW)).title == "Faust"
            b.world.set_fault("slow-ils", "")
            assert (await b.client.item(BOOK)).title == "Dế Mèn phiêu lưu ký"
            assert b.loans == 2
            assert b.told == ["ready"]

    play(scenario())


def test_a_refusal_of_a_repeat_is_doubtful(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with branch(tmp_path) as b:
            b.knobs.swallow = 1  # KEPT is refused, but our client cannot know what came first
            with pytest.raises(IlsSilent) as caught:
                await b.client.lend(CARD, KEPT, NOW)
            assert caught.value.sent is Sent.MAYBE
            assert b.client.ready

    play(scenario())


def test_requests_at_the_same_time_are_put_in_a_row(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with branch(tmp_path) as b:
            jobs = [b.client.item(item) for item in (BOOK, GERMAN, KEPT, OUT) * 5]
            titles = [answer.title for answer in await asyncio.gather(*jobs)]
            assert titles[:4] == titles[4:8]
            assert titles[1] == "Faust"

    play(scenario())


def test_an_abandoned_request_does_not_answer_the_next_one(tmp_path: Path) -> None:
    async def scenario() -> None:
        settings = IlsSettings(timeout=1.0, error_detection=False)
        async with branch(tmp_path, settings=settings) as b:
            b.world.set_fault("slow-ils", "0.2")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await b.client.item(GERMAN)
            b.world.set_fault("slow-ils", "")
            await until(lambda: b.client.ready)
            assert (await b.client.item(BOOK)).title == "Dế Mèn phiêu lưu ký"

    play(scenario())


# -- the line itself --


def test_an_idle_line_is_kept_alive_by_99(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with branch(tmp_path, pace=replace(FAST, idle=0.05)) as b:
            await until(lambda: list(b.knobs.seen).count("99") >= 4)
            assert b.told == ["ready"]
            b.world.set_fault("ils-silent", "on")  # a half-open connection shows by silence
            await until(lambda: "lost" in b.told)

    play(scenario())


def test_a_wrong_login_never_gets_ready_and_asks_seldom(tmp_path: Path) -> None:
    async def scenario() -> None:
        settings = IlsSettings(timeout=0.3, user="stranger")
        pace = replace(FAST, refused=30.0)
        async with branch(tmp_path, settings=settings, pace=pace, ready=False) as b:
            await until(lambda: "93" in b.knobs.seen)
            await until(lambda: b.acs.calls == 0)
            assert list(b.knobs.seen) == ["93"]
            assert not b.client.ready
            with pytest.raises(IlsSilent) as caught:
                await b.client.patron(CARD)
            assert caught.value.sent is Sent.NEVER

    play(scenario())


def test_a_system_that_says_it_is_off_line_is_not_ready(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with branch(tmp_path, knobs=Knobs(offline=True), ready=False) as b:
            await until(lambda: list(b.knobs.seen).count("99") >= 2)
            assert b.told == []
            b.knobs.offline = False
            await until(lambda: b.client.ready)

    play(scenario())


@pytest.mark.parametrize("url", ["tcp://x:1", "sip2://", "sip2://x:port", "nonsense"])
def test_a_wrong_address_is_a_sentence(url: str) -> None:
    with pytest.raises(ConfigError, match="address"):
        Sip2(IlsSettings(url=url), SetClock())


@pytest.mark.parametrize(
    "noise",
    [b"x" * 65536, b"941AY0AZFDFD\r" * 4096, b"\r\n" * 4096, b"free text\r" * 100, b"96AZFEF6\r"],
    ids=["endless", "answers", "empty", "text", "96"],
)
def test_a_peer_that_floods_neither_hangs_nor_fills_the_client(
    tmp_path: Path, noise: bytes
) -> None:
    async def scenario() -> None:
        calls = 0

        async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal calls
            calls += 1
            while True:
                writer.write(noise)
                await writer.drain()
                await asyncio.sleep(0)  # drain alone need not let the others run

        async with peer(flood) as port:
            settings = IlsSettings(url=f"sip2://127.0.0.1:{port}", timeout=0.1, retries=1, user="u")
            client = Sip2(settings, SetClock(), pace=FAST)
            stop = asyncio.Event()
            running = asyncio.create_task(client.run(stop))
            await until(lambda: calls >= 3)  # it gives up and comes again
            stop.set()
            async with asyncio.timeout(1.0):
                await running
        assert not client.ready

    play(scenario())


def test_a_peer_that_talks_unasked_is_left(tmp_path: Path) -> None:
    async def scenario() -> None:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r")
            status = b"98YYYNNN05000320261122    1500002.00AOX|BXYYYYYYYYYYYYYYYY|\r"
            writer.write(status + b"941\r" * 1000)
            await reader.read()

        async with peer(talk) as port:
            settings = IlsSettings(url=f"sip2://127.0.0.1:{port}", error_detection=False)
            told: list[str] = []
            client = Sip2(settings, SetClock(), pace=FAST, on_lost=lambda: told.append("lost"))
            stop = asyncio.Event()
            running = asyncio.create_task(client.run(stop))
            await until(lambda: told.count("lost") >= 2)
            stop.set()
            await running

    play(scenario())


# -- the library system's own defences --


GIVEN = b"9900302.00AY1AZFCA5\r"


def test_it_speaks_as_the_kiosk_does_and_repeats_on_97(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with branch(tmp_path) as b:
            plain = await say(b.acs.port, LOGIN, b"9900302.00\r", b"97\r", b"\r\nzz\r")
            assert plain[0] == b"941"
            assert plain[1].startswith(b"98YYYNNN050003")
            assert plain[1].endswith(b"|")
            assert plain[1:] == [plain[1], plain[1], b"96"]
            checked = await say(
                b.acs.port, LOGIN, GIVEN, b"97AZFEF5\r", GIVEN, b"9900302.00AY1AZ0000\r"
            )
            assert checked[1][-9:-5] == b"AY1A"
            assert checked[1:4] == [checked[1]] * 3
            assert checked[4] == b"96AZFEF6"
            assert list(b.knobs.seen)[-2:] == ["93", "99"]

    play(scenario())


def test_97_before_anything_was_said_is_answered_96(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with branch(tmp_path) as b:
            assert await say(b.acs.port, b"97AZFEF5\r") == [b"96AZFEF6"]

    play(scenario())


def test_three_wrong_logins_or_work_without_one_end_the_connection(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with branch(tmp_path) as b:
            wrong = b"9300CNkiosk|COwrong|\r"
            crypt = b"9311CNkiosk|COdemo|\r"
            assert await say(b.acs.port, wrong, crypt, wrong, LOGIN) == [b"940"] * 3
            assert await say(b.acs.port, b"9900302.00\r") == []

    play(scenario())


def test_an_endless_line_and_a_crowd_are_borne(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with branch(tmp_path) as b:
            assert await say(b.acs.port, b"x" * 100_000 + b"\r", LOGIN) == [b"96AZFEF6", b"941"]
            crowd = [await asyncio.open_connection("127.0.0.1", b.acs.port) for _ in range(80)]
            await until(lambda: b.acs.calls == 64)
            for _, writer in crowd:
                writer.close()
            await until(lambda: b.acs.calls == 1)
            assert (await b.client.item(BOOK)).status == 3

    play(scenario())


def test_its_process_serves_the_world_and_ends_promptly(tmp_path: Path) -> None:
    async def scenario() -> None:
        World.create(tmp_path / "w.db", demo_seed()).close()
        sock = bind("127.0.0.1", 0)
        port = port_of(sock)
        sock.close()
        stop = asyncio.Event()
        serving = asyncio.create_task(ils.main(tmp_path / "w.db", "127.0.0.1", port, stop))
        answers: list[bytes] = []

        async def served() -> None:
            while not answers:
                try:
                    answers.extend(await say(port, LOGIN))
                except OSError:
                    await asyncio.sleep(0.005)

        async with asyncio.timeout(DEADLINE):
            await served()
        assert answers == [b"941"]
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        stop.set()
        async with asyncio.timeout(0.5):
            await serving
        writer.close()

    play(scenario())


def test_a_taken_port_is_a_sentence(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with branch(tmp_path) as b:
            stop = asyncio.Event()
            with pytest.raises(ConfigError, match="cannot be had"):
                await ils.main(b.world.path, "127.0.0.1", b.acs.port, stop)

    play(scenario())
