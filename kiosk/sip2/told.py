"""What is told of one line of SIP2: the same values for people and for ``--json``."""

from __future__ import annotations

from dataclasses import dataclass, field

from kiosk.wire.sip2 import Checksum, Message
from kiosk.wire.sip2_fields import MESSAGES
from kiosk.wire.sip2_redaction import named, open_, shown, trusted
from kiosk.wire.sip2_tables import FIXED
from kiosk.wire.sip2_tolerance import Tolerance
from mocban.errors import MocbanError


@dataclass(frozen=True, slots=True)
class Part:
    """One fixed part by its name, or one field by its id. ``value`` None: hidden."""

    key: str
    value: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Line:
    """One message. ``line``: as it may be shown; ``personal`` if nothing is hidden."""

    code: str
    seq: int | None
    checksum: Checksum
    fixed: tuple[Part, ...]
    fields: tuple[Part, ...]
    warnings: tuple[str, ...]
    line: str = field(repr=False)

    @property
    def request(self) -> bool:
        """True if the terminal says this, False if the library system does."""
        return bool(MESSAGES[self.code].answer) or self.code == "97"


@dataclass(frozen=True, slots=True)
class Nothing:
    """A line that is no SIP2; ``line`` only where it may be shown."""

    error: MocbanError
    line: str = field(default="", repr=False)


def told(message: Message, encoding: str = "utf-8", *, personal: bool) -> Line:
    """What may be told of ``message``; everything, if ``personal``."""
    spec = MESSAGES[message.code]
    sure = trusted(message)
    fixed = (
        Part(part.name, message.fixed[part.name] if sure or personal else None)
        for part in spec.fixed
    )
    fields = (
        Part(
            key if personal or named(key, spec, sure=sure) else "??",
            value if personal or not value or (sure and open_(key, value)) else None,
        )
        for key, value in message.fields
    )
    line = message.raw.decode(encoding, "replace") if personal else shown(message)
    # Of a doubtful line no warning may name an id: it may be two letters out of a value.
    warnings = tuple(w for w in message.warnings if sure or personal or _nameless(w))
    return Line(
        message.code, message.seq, message.checksum, tuple(fixed), tuple(fields), warnings, line
    )


def _nameless(warning: str) -> bool:
    tolerance = Tolerance.of(warning)
    return warning == tolerance or warning.removeprefix(f"{tolerance} ") in FIXED
