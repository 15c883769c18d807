"""What we do about each MQTT 5 reason code. Pure; one table a packet, both clients of ours obey it.

A code outside the tables is answered like ``unspecified-error``: nothing is deleted, we try again later.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

Packet = Literal["connack", "suback", "puback", "disconnect"]


class Course(Enum):
    """What follows from a broker's answer; in none of them is a row deleted."""

    GO = "go"
    """It was taken; the watermark decides."""
    SKIP = "skip"
    """This message alone is refused: count it, go on with the next, try it again at the resend time."""
    SLOW = "slow"
    """Too much for the broker: the connection stays, nothing is sent for a while."""
    BACK_OFF = "back-off"
    """Connect again after the usual growing pause."""
    OURS = "ours"
    """The same, and we broke the protocol: an error in the log."""
    PARK = "park"
    """Only a person can cure it: alarm, and try rarely."""
    TAKEN_OVER = "taken-over"
    """Somebody else uses our identity: alarm, and stay away long, or both throw each other out for ever."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One reason code of one packet: its name, what we do, what a person can do."""

    code: int
    name: str
    course: Course
    do: str = ""

    @property
    def alarm(self) -> bool:
        """Somebody has to look at it."""
        return self.course in {Course.PARK, Course.TAKEN_OVER}


_G, _S, _W, _B, _O, _P, _T = Course
_ACCESS = "check the certificate and the broker's access list"
_REFERENCE = "set the broker's new address: we do not follow references"

_NAMES: dict[int, str] = {
    0x00: "success", 0x01: "granted-qos-1", 0x02: "granted-qos-2", 0x04: "disconnect-with-will",
    0x10: "no-matching-subscribers", 0x80: "unspecified-error", 0x81: "malformed-packet", 0x82: "protocol-error",
    0x83: "implementation-specific-error", 0x84: "unsupported-protocol-version", 0x85: "client-id-not-valid",
    0x86: "bad-user-name-or-password", 0x87: "not-authorized", 0x88: "server-unavailable", 0x89: "server-busy",
    0x8A: "banned", 0x8B: "server-shutting-down", 0x8C: "bad-authentication-method", 0x8D: "keep-alive-timeout",
    0x8E: "session-taken-over", 0x8F: "topic-filter-invalid", 0x90: "topic-name-invalid", 0x91: "packet-id-in-use",
    0x93: "receive-maximum-exceeded", 0x94: "topic-alias-invalid", 0x95: "packet-too-large",
    0x96: "message-rate-too-high", 0x97: "quota-exceeded", 0x98: "administrative-action",
    0x99: "payload-format-invalid", 0x9A: "retain-not-supported", 0x9B: "qos-not-supported",
    0x9C: "use-another-server", 0x9D: "server-moved", 0x9E: "shared-subscriptions-not-supported",
    0x9F: "connection-rate-exceeded", 0xA0: "maximum-connect-time", 0xA1: "subscription-ids-not-supported",
    0xA2: "wildcard-subscriptions-not-supported",
}  # fmt: skip

# MQTT 5.0 section 3.2.2.2, 3.9.3, 3.4.2.1, 3.14.2.1.
_COURSES: dict[Packet, dict[int, Course]] = {
    "connack": {
        0x00: _G, 0x80: _B, 0x81: _O, 0x82: _O, 0x83: _B, 0x84: _P, 0x85: _P, 0x86: _P, 0x87: _P, 0x88: _B, 0x89: _B,
        0x8A: _P, 0x8C: _P, 0x90: _P, 0x95: _O, 0x97: _B, 0x99: _O, 0x9A: _B, 0x9B: _P, 0x9C: _B, 0x9D: _B, 0x9F: _B,
    },
    "suback": {
        0x00: _G, 0x01: _G, 0x02: _G, 0x80: _B, 0x83: _B, 0x87: _P, 0x8F: _P, 0x91: _O, 0x97: _B, 0x9E: _O, 0xA1: _O,
        0xA2: _P,
    },
    "puback": {
        0x00: _G, 0x10: _G, 0x80: _S, 0x83: _S, 0x87: _P, 0x90: _S, 0x91: _S, 0x97: _W, 0x99: _S,
    },
    "disconnect": {
        0x00: _B, 0x04: _B, 0x80: _B, 0x81: _O, 0x82: _O, 0x83: _B, 0x87: _P, 0x89: _B, 0x8B: _B, 0x8C: _P, 0x8D: _B,
        0x8E: _T, 0x8F: _O, 0x90: _O, 0x93: _O, 0x94: _O, 0x95: _O, 0x96: _B, 0x97: _B, 0x98: _B, 0x99: _O, 0x9A: _B,
        0x9B: _P, 0x9C: _B, 0x9D: _B, 0x9E: _O, 0x9F: _B, 0xA0: _B, 0xA1: _O, 0xA2: _P,
    },
}  # fmt: skip

_DO: dict[int, str] = {
    0x84: "the broker has to speak MQTT 5",
    0x85: "the broker has to take the client id device.app",
    0x86: _ACCESS, 0x87: _ACCESS, 0x8A: _ACCESS, 0x8C: _ACCESS,
    0x8E: "another machine uses this identity: enrol one of them anew",
    0x8F: _ACCESS, 0x90: _ACCESS,
    0x9B: "the broker has to take QoS 1",
    0x9C: _REFERENCE, 0x9D: _REFERENCE,
    0xA2: "the broker has to take filters with #",
}  # fmt: skip


def judge(packet: Packet, code: int) -> Verdict:
    """What we do about ``code`` in ``packet``."""
    table = _COURSES[packet]
    return Verdict(
        code, _NAMES.get(code, f"0x{code:02x}"), table.get(code, table[0x80]), _DO.get(code, "")
    )
