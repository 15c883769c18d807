"""Every write of a kiosk and of a gate that are ordered about is made to fail in turn: no order is lost or done twice.

Signed orders come over a real broker, and a gate's signed feeds; the fault comes while they are received, done and
answered, and, in a second run, while an ordered restart ends the process and starts it again. Some of the writes fail,
each in one of four ways, as a printed seed says ($MOCBAN_SEED); with MOCBAN_EVERY each write fails in one of the ways,
and four seeds in a row make each fail in all four.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import tomllib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from kiosk.emulators import feig_gate as emulator
from kiosk.emulators.world import DEMO, World
from mocban import feeds, identity
from mocban.ids import new_id
from tests.fault.day import Gate, Kiosk, peers
from tests.fault.disk import BROKEN, FULL, FailingDisk, Report, build
from tests.fault.harness import CLOCK, Broker, seeded, tool
from tests.fault.ordered import Centre, Uploads
from tests.support.person import Person

SIDE_BY_SIDE = 6
AT_WORK, RESTARTING = 7, 13
"""One write in so many is made to fail, unless each of them is; a start takes its time."""
PATIENT = 45.0
ENDLESS, HEALED = 1 << 40, 1.0
"""A disk that stays full, and after how many seconds it is well again."""
Fault = tuple[int, int, int, bool]
NONE: Fault = (0, 1, FULL, False)
WAYS = ((1, FULL, False), (2, BROKEN, False), (1, BROKEN, True), (ENDLESS, FULL, False))
"""Alone for want of room; with the next, broken; alone, and then the power goes; all of them until room is made."""
MODES = {"kiosk": "closed", "gate": "silent"}


def _faults(writes: int, seed: int, stride: int) -> Iterator[Fault]:
    every = bool(os.environ.get("MOCBAN_EVERY"))
    for at in range(1, writes + 1):
        if every or (at + seed // len(WAYS)) % stride == 0:
            turn = at + seed if every else at // stride + seed
            yield (at, *WAYS[turn % len(WAYS)])


class Rounds:
    """A device under orders; each round has a fault of its own. In one thread from first to last."""

    def __init__(
        self, device: Kiosk | Gate, disk: FailingDisk, centre: Centre, uploads: Uploads, boss: Person, report: Report,
    ) -> None:  # fmt: skip
        self.device = device
        self.disk = disk
        self.centre = centre
        self.uploads = uploads
        self.boss = boss
        self.report = report
        self.number = 0
        self.mode = "open"
        """What was ordered and answered last."""
        self.feeds: dict[feeds.Name, int] = {}
        self._fault = NONE
        self._failed: float | None = None
        self._ended = 0  # in good order

    def up(self) -> None:
        """Start it; until it says that it is there."""
        self.device.start()
        self._until(lambda: self.centre.state is not None, "it is there")
        self._until(self.device.ready, "it is ready")

    def play(self, restart: bool, fault: Fault) -> int:
        """One round with ``fault``; how many writes it had."""
        self.number += 1
        self._fault, self._failed, self._ended = fault, None, 0
        self.disk.arm(*fault[:3])
        orders = self._restarted() if restart else self._worked()
        self.centre.repeat(orders)
        orders.append(self._obey("self-test"))
        self._feed()
        with contextlib.suppress(AssertionError):
            self._until(self._agree, "all is told while the disk fails", 2.0)
        writes = self.disk.writes
        self.report.failed += self.disk.failed > 0
        self.disk.heal()
        self._until(self._agree, "all is told")
        if fault[1] == ENDLESS:
            self._cut()
            self._until(self._agree, "it is what it was before the power went")
        self._judge(orders, restart)
        return writes

    def _worked(self) -> list[UUID]:
        """Orders at work: barred by a person's approval, its log sent, opened or barred for a time."""
        barred = MODES[self._app]
        orders = [self._set(barred)]
        old = self._feed()
        logs = UUID(new_id())
        orders.append(
            self._obey(
                "collect-logs", logs, url=self.uploads.url(logs), token=new_id().replace("-", "")
            )
        )
        orders.append(self._set("open") if self.number % 2 else self._set(barred, seconds=3600))
        for name, payload in old.items():
            self._feed()
            self.centre.replay(name, payload)
        return orders

    def _restarted(self) -> list[UUID]:
        """Barred or opened, then ended and started again."""
        orders = [self._set(MODES[self._app] if self.number % 2 else "open")]
        old = self._feed()
        orders.append(self._obey("restart"))
        for name, payload in old.items():
            self.centre.replay(name, payload)
        return orders

    def _set(self, mode: str, **more: Any) -> UUID:
        by = () if more else (self.boss,)
        order = self._obey("set-mode", by=by, mode=mode, **more)
        assert self._rows("SELECT mode FROM remote_self") == [(mode,)], "what is answered is stored"
        self.mode = mode
        self._until(
            lambda: self.centre.state is not None and self.centre.state.mode == mode,
            f"it is {mode}",
        )
        return order

    def _obey(
        self, name: str, ident: UUID | None = None, by: tuple[Person, ...] = (), **args: Any
    ) -> UUID:
        """Order it; until it is answered."""
        order = self.centre.order(name, by, ident, **args)
        self._until(lambda: bool(self.centre.answers(order)), f"{name} is answered")
        return order

    def _feed(self) -> dict[feeds.Name, bytes]:
        """New feeds for a gate; what went out."""
        if self._app != "gate":
            return {}
        sent = {}
        for name in feeds.NAMES:
            self.feeds[name] = version = self.feeds.get(name, 0) + 1
            sent[name] = self.centre.feed(name, version, f"E00401{version:010X}")
        return sent

    @property
    def _app(self) -> str:
        return self.device.name

    def _agree(self) -> bool:
        return not self._disagree()

    def _disagree(self) -> str:
        """What does not stand at the centre yet, or is not what was ordered last; empty if all is well."""
        state = self.centre.state
        amiss = {
            "not ready": not self.device.ready(),
            "a gap": not self.centre.drained,
            "facts wait": self._waiting(),
            "mode": state is None or state.mode != self.mode,
            "feeds": state is None or state.feeds != self.feeds,
            "screen": not self._shows(),
            "unanswered": bool(self._rows("SELECT 1 FROM remote_order WHERE state != 'answered'")),
        }
        return ", ".join(what for what, wrong in amiss.items() if wrong)

    def _shows(self) -> bool:
        """Whether a patron is kept away if, and only if, the mode says so."""
        if not isinstance(self.device, Kiosk):
            return True
        return self.device.screen() == ("welcome" if self.mode == "open" else "out-of-service")

    def _waiting(self) -> bool:
        """Whether facts wait for the centre's watermark."""
        return bool(self._rows("SELECT 1 FROM outbox_self WHERE upto < next - 1"))

    def _judge(self, orders: list[UUID], restart: bool) -> None:
        centre = self.centre
        for order in orders:
            answers = centre.answers(order)
            assert len(answers) == 1, answers
            assert (answers[0]["outcome"], answers[0]["reason"]) == ("done", ""), answers
            name = answers[0]["name"]
            audits = centre.told("audited", ref=str(order), action=f"order-{name}")
            assert [one["outcome"] for one in audits] == ["done"], audits
            if name == "collect-logs":
                assert self.uploads.count(order) == 1, "the log stands there once"
            if name == "set-mode":
                assert answers[0]["result"]["mode"] in {"open", MODES[self._app]}, answers
        assert self._ended <= restart, f"it ended {self._ended} times"
        assert self._ended or not restart or self.disk.failed, "it was started again"
        assert not centre.told("audited", action="order-refused")
        assert centre.wrong == []
        assert centre.epochs == 1, "one epoch holds them all"
        log = self.device.log.read_text(encoding="utf-8")
        assert not [word for word in ("Traceback", "order.broke", "bus.fault") if word in log], log[
            -1500:
        ]
        assert self._rows("PRAGMA integrity_check") == [("ok",)]
        assert self._rows("SELECT mode FROM remote_self") == [(self.mode,)]
        if self._app == "gate":
            stored = self._rows("SELECT name, version, payload FROM heed_feed")
            assert {name: version for name, version, _ in stored} == self.feeds
            assert all(
                f'"version":{version},'.encode() in payload for _, version, payload in stored
            )

    def _rows(self, sql: str) -> list[tuple[Any, ...]]:
        file = self.device.data / self._app / f"{self._app}.db"
        with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=5)) as db:
            return db.execute(sql).fetchall()

    def _tend(self) -> None:
        """What the world does to it: the power goes, room is made, its service starts it again."""
        _, row, _, cut = self._fault
        if self._failed is None and self.disk.failed:
            self._failed = CLOCK.mono()
            if cut:
                self._cut()
        if row == ENDLESS and self._failed is not None and CLOCK.mono() - self._failed > HEALED:
            self.disk.heal()
        if self.device.code == 0:
            self._ended += 1
        if self.device.code is not None:
            if self.device.code:
                self.report.ended(self.device)
            self.device.start()

    def _cut(self) -> None:
        if self.device.code is None:
            self.device.kill()
            self.device.start()

    def _until(self, true: Callable[[], bool], what: str, seconds: float = PATIENT) -> None:
        end = CLOCK.mono() + seconds
        while True:
            self.centre.hear()
            self._tend()
            if true():
                return
            if CLOCK.mono() > end:
                log = self.device.log.read_text(encoding="utf-8")[-2500:]
                raise AssertionError(
                    f"in vain until {what}: {self._disagree()}: {self.centre.state},"
                    f" wanted {self.mode} {self.feeds}: {log}"
                )


@pytest.mark.timeout(2400)
@pytest.mark.parametrize("app", ["kiosk", "gate"])
@pytest.mark.parametrize("restart", [False, True], ids=["at work", "through a restart"])
def test_whichever_write_fails_each_order_is_done_once_and_answered_once_and_no_feed_goes_back(
    app: str, restart: bool, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tool("ssh-keygen")
    library, boss, report = build(tmp_path), Person(tmp_path, "lan"), Report()
    seed, _ = seeded(app)

    async def scenario() -> None:
        found: list[int] = []
        good = iter([NONE] * 3)
        await _rounds(tmp_path / "count", library, app, boss, restart, good, report, found)
        assert report.wrong == [], report.wrong
        report.writes = max(found)
        assert report.writes > 20, "an order is written down"
        report.rounds = 0
        faults = _faults(report.writes, seed, RESTARTING if restart else AT_WORK)
        async with asyncio.TaskGroup() as lanes:
            for each in range(SIDE_BY_SIDE):
                lane = tmp_path / str(each)
                lanes.create_task(_rounds(lane, library, app, boss, restart, faults, report, []))

    began = CLOCK.mono()
    asyncio.run(scenario())
    with capfd.disabled():
        what = f"orders of a {app} {'through a restart' if restart else 'at work'}, seed {seed}"
        print(report.line(what), f"in {CLOCK.mono() - began:.0f} s")  # noqa: T201  to be quoted
    assert report.wrong == [], "\n".join(report.wrong)
    assert report.failed >= report.rounds * 0.8, "the faults came"


async def _rounds(
    folder: Path, library: Path, app: str, boss: Person, restart: bool, faults: Iterator[Fault], report: Report,
    writes: list[int],
) -> None:  # fmt: skip
    """Rounds with the next faults, on a device of its own below ``folder``."""
    data = folder / "data"
    data.mkdir(parents=True)
    key = identity.signing_key(folder / "gateway.key")
    async with _device(app, folder, data) as device:
        with (
            device,
            Uploads() as uploads,
            Broker("iotcore", folder) as broker,
            FailingDisk(library, folder / "control", data) as disk,
        ):
            device.env = disk.env | {
                "MOCBAN_MQTT": f"mqtt://127.0.0.1:{broker.port}",
                "MOCBAN_GATEWAY_KEYS": f'["{key.public}"]',
                "MOCBAN_STAFF": f'{{"{boss.name}": "{boss.line.strip()}"}}',
                f"MOCBAN_{app.upper()}__LOG_FILE": str(device.log),
            }

            def play() -> None:
                broker.start()
                with Centre(f"mqtt://127.0.0.1:{broker.port}", f"{app}-1", app, key) as centre:
                    rounds = Rounds(device, disk, centre, uploads, boss, report)
                    rounds.up()
                    for fault in faults:
                        try:
                            writes.append(rounds.play(restart, fault))
                        except (AssertionError, OSError) as error:
                            report.wrong.append(f"fault {fault}: {error}")
                            return
                        report.rounds += 1

            await asyncio.to_thread(play)


@contextlib.asynccontextmanager
async def _device(app: str, folder: Path, data: Path) -> AsyncIterator[Kiosk | Gate]:
    """The device's process, not started, and the peers it needs."""
    if app == "kiosk":
        async with peers(folder) as (_, sip2, pad):
            yield Kiosk(folder, data, sip2, pad)
        return
    world = World.create(folder / "world.db", tomllib.loads(DEMO.read_text(encoding="utf-8")))
    stop = asyncio.Event()
    reader = asyncio.create_task(emulator.main(folder / "world.db", folder / "tty", stop))
    try:
        yield Gate(folder, data)
    finally:
        stop.set()
        await reader
        world.close()
