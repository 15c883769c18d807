"""``mocban tag`` in this process, opposite an emulated reader on a real pty in a thread; and a person's hands."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import serial
import structlog

from kiosk.emulators import feig_pad as feig
from kiosk.emulators.world import World
from mocban import cli
from mocban.clock import SystemClock
from tests.support.emulated import Emulator

CLOCK = SystemClock()
V3 = "04110000" + b"200901010123".hex() + "00000000" + "FFFFFFFF7FFFFFFF00000000"
"""A published dump of the 3M model: number 200901010123, 1 of 1."""
V2 = "11010131313232333334340000000000000000513E4445373035000000000000"
"""A published dump of ISO 28560-3: number 11223344, DE-705."""


Hands = Iterable[str | Callable[[], object]]


def tag(
    name: str, data: str = "", *, afi: int = 0, blocks: int = 28, place: str = "pad", **more: Any
) -> dict[str, Any]:
    """A tag of a seed. Its UID is made of its name, NXP unless ``uid`` says otherwise."""
    uid = "E00401" + name.encode().hex().upper().ljust(10, "0")[:10]
    seed = {
        "name": name,
        "uid": uid,
        "kind": "item",
        "afi": afi,
        "dsfid": 0,
        "blocks": blocks,
        "data": data,
    }
    return seed | {"place": place, "label": {"vi": name, "en": name}} | more


@dataclass
class Stdin:
    """What a person types; before each line the hands may do something."""

    lines: Iterator[str | Callable[[], object]]

    def readline(self, _limit: int = -1) -> str:
        for line in self.lines:
            if isinstance(line, str):
                return line + "\n"
            line()
        return ""

    def isatty(self) -> bool:
        return False


@dataclass
class Shell:
    """The command, its reader at ``link`` and the world that the reader sees."""

    world: World
    link: Path
    folder: Path
    patch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]
    query: str = "baud=38400&parity=E"
    driver: str = "feig"
    since: int = 0

    def __call__(self, *argv: str, hands: Hands = ()) -> tuple[int, str, str]:
        """Exit code, stdout and stderr of ``mocban tag argv``."""
        words = ["mocban", "tag", *argv]
        driver = [] if "--driver" in argv else ["--driver", self.driver]
        self.patch.setattr(sys, "argv", [*words, "--pad", self.url, *driver])
        self.patch.setattr(sys, "stdin", Stdin(iter(hands)))
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = self.capsys.readouterr()
        return int(ended.value.code or 0), out, err

    def start(self, *argv: str, room: int = 0) -> subprocess.Popen[str]:
        """The command as a process of its own; what the tag is now is where changes are counted from.

        ``room``: no file may grow beyond so many bytes.
        """
        self.mark()
        full = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room})); "
        run = "import runpy; runpy.run_module('mocban', run_name='__main__', alter_sys=True)"
        start = ["-c", full + run] if room else ["-m", "mocban"]
        words = [sys.executable, *start, "tag", *argv, "--pad", self.url, "--driver", "feig"]
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def told(self, *argv: str, code: int = 0, hands: Hands = ()) -> dict[str, Any]:
        """The one object of ``--json``."""
        ended, out, err = self(*argv, "--json", hands=hands)
        assert ended == code, out + err
        body: dict[str, Any] = json.loads(out.splitlines()[-1])
        assert body["ok"] is (code == 0), body
        return body

    def refused(self, *argv: str, code: int = 1) -> str:
        """The code of the one error."""
        (error,) = self.told(*argv, code=code)["errors"]
        assert error["say"]
        assert error["do"]
        return str(error["code"])

    @property
    def url(self) -> str:
        return f"serial://{self.link}?{self.query}"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Another program has the reader, as the kiosk has it."""
        port = serial.Serial(str(self.link), 38400, exclusive=True)
        try:
            yield
        finally:
            port.close()

    def gone(self) -> None:
        """Wait until the reader is unplugged."""
        wait(lambda: not self.link.is_symlink())

    def back(self) -> None:
        """Wait until the reader is plugged in."""
        wait(self.link.is_symlink)

    def mark(self) -> None:
        """Changes of the world are counted from now on, in ``since``."""
        self.since = self.world.version()

    def data(self, name: str) -> bytes:
        """All bytes of a tag."""
        return self.world.tag(name).data

    def uid(self, name: str) -> str:
        return self.world.tag(name).uid

    def books(self) -> list[Path]:
        """Undo files that commands made by themselves."""
        return sorted((self.folder / "state" / "mocban" / "tag").glob("undo-*.jsonl"))


@contextmanager
def shell(
    folder: Path, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *tags: dict[str, Any],
    reader: Emulator = feig.main,
) -> Iterator[Shell]:  # fmt: skip
    """A shell whose reader sees ``tags``; nothing of the machine's configuration, language or home is used."""
    for name in ("MOCBAN_CONFIG", "MOCBAN_KIOSK__SECURITY"):
        patch.delenv(name, raising=False)
    patch.setenv("MOCBAN_LANG", "en")
    patch.setenv("XDG_STATE_HOME", str(folder / "state"))
    patch.chdir(folder)
    path, link = folder / "world.db", folder / "pad"
    world = World.create(path, {"tag": list(tags)})
    with emulator(reader, path, link):
        yield Shell(world, link, folder, patch, capsys)
    world.close()


@contextmanager
def emulator(reader: Emulator, path: Path, link: Path) -> Iterator[None]:
    """The reader in a thread with a loop of its own, plugged in."""
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    failed: list[BaseException] = []

    def live() -> None:
        try:
            loop.run_until_complete(reader(path, link, stop))
        except BaseException as error:  # noqa: BLE001  the test says it
            failed.append(error)
        finally:
            loop.close()

    thread = threading.Thread(target=live, daemon=True)
    thread.start()
    try:
        wait(link.is_symlink)
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(5)
        structlog.reset_defaults()  # the command speaks up for errors alone; other tests want to hear more
    assert not failed, failed
    assert not thread.is_alive()


def wait(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for ``condition``, with a deadline."""
    end = CLOCK.mono() + seconds
    while not condition():
        assert CLOCK.mono() < end, "waited in vain"
        threading.Event().wait(0.001)
