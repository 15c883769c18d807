"""From a closed item in a gate's field to the frame that switches the siren on, with the broker there and with it dead.

The gate's service is a process of its own, as it is installed; the emulated FEIG reader is another one behind a pty. It
reads each tag once a passage by itself (buffered read), so one reading is enough: 1 of 1. Who walks through is drawn by
``SEED`` so that no passage keeps step with the polling.

Of each passage the emulator notes when its field held the tag, when it was asked, when its answer ended and when it
heard the siren's frame. What is ours: from the answer's end to that frame, less the 5 ms of silence that the reader
wants before it, and whatever the question came later than one poll period after the one before, as far as the tag was
waiting then. All else is the tag's time on air, the line's, the reader's thinking, and the wait for the next question,
which ``poll_seconds`` has chosen.

Both processes run before others (``nice``) where this user may have that: other programs of this machine are not what
is measured. A gate on a computer with other work wants the same, ``Nice=-10`` in its unit.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
import sys
import tempfile
import time
import tomllib
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from statistics import quantiles
from typing import NamedTuple

from kiosk.devices.feig import GAP
from kiosk.emulators import air
from kiosk.emulators import feig_gate as emulator
from kiosk.emulators.feig import Answer, converse
from kiosk.emulators.feig_gate import EmulatedGate, watch
from kiosk.emulators.talk import until as play
from kiosk.emulators.things import IN_STOCK
from kiosk.emulators.tty import TtyLine
from kiosk.emulators.world import DEMO, World
from kiosk.wire.iso_host import Command, Request, Status
from mocban.benches import Case, case
from tests.support.emulated import until
from tests.support.gateway_stand import running_broker

POLL = 0.1
"""Seconds from one reading to the next, as the setting comes."""
TOTAL, ADDED = 250.0, 5.0
"""Milliseconds: of the whole for 95 of 100 passages, of ours for 99 of 100."""
SEED = 28560
BOOK, UID = "de-men", "E004010012345678"
FIRST = ("nice", "-n", "-15")
DEAD = "mqtt://127.0.0.1:9"


class Cry(NamedTuple):
    """Milliseconds from tag to siren, and how many of them are ours."""

    total: float
    ours: float


class Run(NamedTuple):
    """All cries of a run, and by how many milliseconds the emulator's own answers ended late: this machine's noise."""

    cries: list[Cry]
    noise: list[float]


def run(quick: bool) -> list[Case]:
    """500 passages with a broker and 500 without, or 50."""
    count = 50 if quick else 500
    cases: list[Case] = []
    with tempfile.TemporaryDirectory(prefix="mocban-bench-") as name:
        folder = Path(name)
        (folder / "broker").mkdir()
        with running_broker("iotcore", folder / "broker") as broker:
            cases += _cases(
                "the broker there", asyncio.run(_run(folder / "there", broker.url, count))
            )
        cases += _cases("the broker dead", asyncio.run(_run(folder / "dead", DEAD, count)))
    return cases


def _cases(how: str, run: Run) -> list[Case]:
    cries = run.cries
    total, ours = [cry.total for cry in cries], [cry.ours for cry in cries]
    rest = [cry.total - cry.ours for cry in cries]
    noise = f"how late the emulator itself was, of {len(run.noise)} answers"
    return [
        _case(
            f"tag to siren, {how}, p95", total, 95, rest, TOTAL, "air, line and poll period alone"
        ),
        _case(f"what we add, {how}, p99", ours, 99, run.noise, ADDED, noise),
    ]


def _case(
    name: str, ours: list[float], part: int, reference: list[float], goal: float, what: str
) -> Case:
    spread = ", ".join(f"p{n} {percentile(ours, n):.1f}" for n in (50, 95, 99))
    beside = f"{what} (1 of 1 readings; {len(ours)} passages: {spread}, worst {max(ours):.1f} ms)"
    return case(
        name,
        [percentile(ours, part)],
        [percentile(reference, part)],
        unit="ms",
        goal=goal,
        what=beside,
    )


def percentile(values: list[float], part: int) -> float:
    """The value that ``part`` of 100 do not exceed."""
    return quantiles(values, n=100, method="inclusive")[part - 1]


async def _run(folder: Path, broker: str, count: int) -> Run:
    folder.mkdir()
    world = World.create(folder / "world.db", tomllib.loads(DEMO.read_text(encoding="utf-8")))
    chance = random.Random(SEED)
    try:
        async with _reader(world, folder), _service(folder, broker, world):
            for number in range(count):
                await asyncio.sleep(chance.uniform(0.02, 0.02 + 2 * POLL))
                world.walk([BOOK], "out")
                await until(partial(_cried, world, number))
    finally:
        world.close()
    log = json.loads((folder / "log.json").read_text())
    cries = _read(log)
    assert len(cries) == count, f"{len(cries)} cries for {count} passages"
    return Run(cries, [1e3 * at for what, at in log if what == "late"])


def _cried(world: World, before: int) -> bool:
    return world.sirens() > before


def _read(log: list[tuple[str, float]]) -> list[Cry]:
    """The reader's notes -> one cry each."""
    cries: list[Cry] = []
    held = asked = before = ended = 0.0
    late = 0.0
    uid = bytes.fromhex(UID)
    air_time = air.inventory([uid], IN_STOCK) + air.read(9)
    for what, at in log:
        match what:
            case "held":
                held = held or at
            case "asked":
                before, asked = asked, at
            case "told":
                ended = at
                late = max(0.0, asked - max(before + POLL, held + air_time))
            case "cried":
                cries.append(Cry(1e3 * (at - held), 1e3 * (late + max(0.0, at - ended - GAP))))
                held = 0.0
            case _:
                pass
    return cries


@contextlib.asynccontextmanager
async def _reader(world: World, folder: Path) -> AsyncIterator[None]:
    child = await asyncio.create_subprocess_exec(
        *FIRST,
        sys.executable,
        "-P",
        __file__,
        str(world.path),
        str(folder / "gate"),
        str(folder / "log.json"),
    )
    try:
        await until((folder / "gate").is_symlink)
        yield
    finally:
        child.send_signal(signal.SIGTERM)
        await child.wait()


@contextlib.asynccontextmanager
async def _service(folder: Path, broker: str, world: World) -> AsyncIterator[None]:
    """The gate as it is installed, once it cries."""
    config = folder / "mocban.toml"
    config.write_text(
        f'data_dir = "{folder}/data"\nmqtt = "{broker}"\n[gate]\nport = 0\nhold_seconds = 0\n'
        f"poll_seconds = {POLL}\nparked_seconds = 3600\n"
        f'gate = "serial://{folder}/gate?baud=38400&parity=E"\n',
        encoding="utf-8",
    )
    with (folder / "log").open("ab") as log:
        child = await asyncio.create_subprocess_exec(
            *FIRST,
            sys.executable,
            "-m",
            "mocban",
            "kiosk",
            "gate",
            "--config",
            str(config),
            stdout=log,
            stderr=log,
        )
    try:
        world.walk([BOOK], "out")  # the first is not counted: it waits for the start
        await until(lambda: world.sirens() == 1, 20)
        world.reset()
        yield
    finally:
        child.send_signal(signal.SIGTERM)
        await child.wait()


class _Noting(EmulatedGate):
    """A reader that notes when its field held a tag, and when it was asked and told."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.log: list[tuple[str, float]] = []
        self.telling = False

    def answer(self, request: Request) -> Answer:
        now = time.monotonic()
        said = super().answer(request)
        match request.command:
            case Command.READ_BUFFER:
                self.log.append(("asked", now))
                self.telling = said.reply.status == Status.OK
            case Command.SET_OUTPUT:
                self.log.append(("cried", now))
            case _:
                pass
        return said

    def noticed(self, at: float) -> None:
        """Somebody is in the field."""
        self.log.append(("held", at))


class _NotingLine(TtyLine):
    """A line that notes when an answer with records ended."""

    gate: _Noting

    async def send(self, data: bytes, start: float) -> None:
        await super().send(data, start)
        if self.gate.telling:
            self.gate.telling = False
            self.gate.log.append(("told", time.monotonic()))


async def _be(path: str, link: str, told: str) -> None:
    """The emulated reader's process."""
    world, line, stop = World(path), _NotingLine(Path(link)), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    gate = line.gate = _Noting(world)
    gate._reading._passing.on_pass = lambda one: gate.noticed(one.at)
    line.plug()
    try:
        await play(stop, converse(line, gate.answer, lambda: False), watch(world, gate.look))
    finally:
        line.unplug()
        world.close()
        first = next((at for at, one in enumerate(gate.log) if one[0] == "cried"), -1)
        late = [("late", each) for each in line.lateness]
        Path(told).write_text(json.dumps(gate.log[first + 1 :] + late))


if __name__ == "__main__":
    emulator.LOOK = 0.004  # a field notices at once; a demo need not
    asyncio.run(_be(*sys.argv[1:]))
