"""What a broker refuses until a person does something about it: said once, and once more when it is over."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import Gauge

from mocban.reasons import Packet, Verdict

_parked = Gauge("mocban_bus_parked", "1 while a refusal waits for a person", ["device"])


class Alarm:
    """The alarm of one way to a broker. ``heard`` gets what a person has to do, and "" once it is over."""

    def __init__(self, device: str, heard: Callable[[str], None]) -> None:
        self._heard = heard
        self._parked = _parked.labels(device)
        self._parked.set(0)
        self._why: tuple[Packet, Verdict] | None = None
        self._seq = 0  # the fact that an alarm of a PUBACK is about

    @property
    def say(self) -> str:
        """What a person has to do before anything flows again; empty if nothing."""
        if self._why is None:
            return ""
        packet, verdict = self._why
        return f"{packet} {verdict.name}: {verdict.do or 'look at the broker'}"

    def block(self, seq: int) -> None:
        """The fact ``seq`` was refused; until the watermark has passed it, the alarm about it stands."""
        self._seq = seq

    def ring(self, packet: Packet, verdict: Verdict) -> None:
        """The broker refused ``packet``."""
        self._turn((packet, verdict))

    def granted(self) -> None:
        """The broker lets us in: every alarm is over but one about a fact."""
        if self._why and self._why[0] != "puback":
            self._turn(None)

    def passed(self, upto: int, *, renewed: bool) -> None:
        """The watermark is ``upto``, or (``renewed``) of another epoch than the refused fact's."""
        if self._why and self._why[0] == "puback" and (renewed or upto >= self._seq):
            self._turn(None)

    def _turn(self, why: tuple[Packet, Verdict] | None) -> None:
        if why != self._why:
            self._why = why
            self._parked.set(why is not None)
            self._heard(self.say)
