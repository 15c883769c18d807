"""What FEIG pads and gates share: one ISO-Host conversation over one line.

``?frames=advanced`` in the URL asks in advanced frames; answers are understood in either framing, whatever was asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kiosk.devices import urls
from kiosk.devices.exchange import Exchange, Verdict
from kiosk.wire import iso_host
from kiosk.wire.iso_host import Reply, Request, Status
from mocban.errors import DeviceLost, RemoteProtocolError

GAP = 0.005
"""Seconds of silence that a reader wants before a new frame."""
OPTIONS = ("frames",)
"""What an address may say beside its line."""
_FRAMES = ("standard", "advanced")
_UNLOCKED = "Switch the reader's password off with its maker's service program."
_HOST_MODE = "Set the reader to host mode, not scan mode, with its maker's service program, and plug it in again."
_CURES: dict[int, tuple[str, str]] = {
    Status.NOT_AVAILABLE: ("scan-mode", _HOST_MODE),
    Status.LOGIN_WANTED: ("reader-login", _UNLOCKED),
    Status.LOGIN_ERROR: ("reader-login", _UNLOCKED),
    Status.RF_ERROR: (
        "reader-antenna",
        "Check the antenna and its cable; take metal away from it.",
    ),
    Status.HARDWARE: ("reader-hardware", "Unplug the reader and plug it in again."),
}
_REFUSED = ("reader-refused", "Check the reader's configuration and antenna.")


class FeigHost:
    """Asks and gets answers, one at a time. ``noise``: bytes dropped since open, ours to watch."""

    def __init__(self, url: str) -> None:
        self.url = url
        line, self._advanced = _framing(url)
        self._line = Exchange(line, iso_host.framer, GAP)

    @property
    def noise(self) -> int:
        """Bytes dropped since open: no frame, or an answer nobody asked for."""
        return self._line.noise

    async def open(self) -> str:
        """Open the line and ask who is there; the version as text."""
        await self._line.open()
        try:
            reply = await self.ask(iso_host.version())
            if reply.status != Status.OK:
                raise lost(reply)
            return str(iso_host.Version.decode(reply.data))
        except RemoteProtocolError as error:
            await self.close()
            raise DeviceLost(error.say, "Is this a FEIG reader? Choose another driver.") from error
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Release the line; safe to call twice."""
        await self._line.close()

    async def ask(self, request: Request) -> Reply:
        """The reader's answer, whatever its status; unanswered twice: the line is closed, DeviceLost."""
        wanted = request.command

        def judge(frames: Sequence[bytes]) -> Reply | Verdict:
            reply = Reply.decode(frames[-1])
            return reply if reply.command == wanted else Verdict.STRAY

        framed = replace(request, advanced=request.advanced or self._advanced)
        return await self._line.ask(framed.encode(), judge)


def lost(reply: Reply) -> DeviceLost:
    """The error for an answer whose status says that nothing works before a person did something."""
    say = f"The reader refused command {reply.command:02X}: {iso_host.words(reply.status)}."
    code, do = _CURES.get(reply.status, _REFUSED)
    return DeviceLost(say, do, code=code)


def trouble(reply: Reply) -> RemoteProtocolError:
    """The error for an answer whose status leaves nothing to go on with."""
    error = lost(reply)
    return RemoteProtocolError(error.say, error.do, code="reader-refused")


def _framing(url: str) -> tuple[str, bool]:
    """The URL of the line alone, and whether requests go out in advanced frames."""
    line, options = urls.part(url, OPTIONS)
    frames = urls.choice(url, "frames", options.get("frames", _FRAMES[0]), _FRAMES)
    return line, frames == "advanced"
