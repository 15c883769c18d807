"""SIP2 lines changed by chance, and what becomes of them: the work of ``bench/sip2_mutants.py``."""

from __future__ import annotations

import random  # noqa: TID251  its seed is fixed: every run throws the same
import time
from array import array
from collections import Counter
from dataclasses import dataclass, field

from kiosk.wire.sip2 import Checksum, Message, decode, seal
from kiosk.wire.sip2_exchange import Done, Exchange
from mocban.errors import RemoteProtocolError
from tests.fuzz.mutants import mutate

AT = b"20261121    101530"
_LINES = (
    b"9300CNscclient|COclientpwd|CPUWOLS|", b"9900302.00", b"941",
    b"11NN" + AT + b"                  AOBG|AA12345|AB893001|AC|AD1234|BON|BIN|",
    b"121NNY" + AT + "AOBG|AA12345|AB893001|AJDế Mèn phiêu lưu ký|AH20261205    235900|".encode(),
    b"120NUN" + AT + b"AOBG|AA12345|AB893001|AJ|AH|BT04|BHVND|BV5000|AFNo|",
    b"09N" + AT + AT + b"APKIOSK1|AOBG|AB893001|AC|BIN|",
    b"101YNN" + AT + b"AOBG|AB893001|AQBG|AJFaust|CL2|CV01|CTX|DAReader|",
    b"63000" + AT + b"  Y       AOBG|AA12345|AC|ADpin|BP1|BQ9|",
    b"64  Y           000" + AT + b"000000020001            AOBG|AA12345|AENguyen|BLY|CQY|CB0010|AU1|AU2|AFHi|",
    b"3520261121    101530AOBG|AA12345|", b"36Y" + AT + b"AOBG|AA12345|",
    b"17" + AT + b"AOBG|AB893001|AC|", b"18040201" + AT + b"AB893001|AJFaust|AH05/12/2026|CF0|CSPB LP   EAU|",
    b"98YYYYYN600003" + AT + b"2.00AOBG|AMThu vien|BXYYYYYYYYYYYYYYYY|",
    b"29NN" + AT + b"                  AOBG|AA1|AB2|BON|", b"301YNN" + AT + b"AOBG|AA1|AB2|AJx|AH|",
    b"65" + AT + b"AOBG|AA1|", b"66100010000" + AT + b"AOBG|BM1|BM2|BN3|", b"15+" + AT + b"AOBG|AA1|AB2|BY2|",
    b"161Y" + AT + b"AOBG|AA1|BR1|", b"19" + AT + b"AOBG|AB2|CHnew|", b"201" + AT + b"AB2|",
    b"25" + AT + b"AOBG|AA1|", b"26              000" + AT + b"AOBG|AA1|AEx|BLY|",
    b"37" + AT + b"0400VNDBV5000|AOBG|AA1|", b"38Y" + AT + b"AOBG|AA1|", b"01Y" + AT + b"AOBG|ALlost|AA1|AC|",
)  # fmt: skip
SEEDS = (
    *(seal(line, 0 if line[:2] == b"12" else at % 10) for at, line in enumerate(_LINES)),
    b"97AZFEF5\r",
    b"96AZFEF6\r",
)
LOAN = Message(
    "11",
    {"sc_renewal": "N", "no_block": "N", "date": AT.decode(), "nb_due": " " * 18},
    (("AO", "BG"), ("AA", "12345"), ("AB", "893001"), ("AC", "")),
)


@dataclass(slots=True)
class Tally:
    """What one process counted. ``micros``: the processor's time for each line."""

    counts: Counter[str] = field(default_factory=Counter)
    micros: array[float] = field(default_factory=lambda: array("f"))
    examples: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Take in what another process counted."""
        self.counts += other.counts
        self.micros.extend(other.micros)
        self.examples += other.examples


def throw(number: int, share: int) -> Tally:
    """One process's mutants of every message."""
    dice = random.Random(20261126 + number)
    tally = Tally()
    for _ in range(share):
        line, used = mutate(SEEDS, dice)
        tally.counts["mutants"] += 1
        _judge(line, [SEEDS[at] for at in used], tally)
    return tally


def _judge(line: bytes, before: list[bytes], tally: Tally) -> None:
    counts = tally.counts
    began = time.thread_time_ns()
    try:
        read: Message | None = decode(line)
    except RemoteProtocolError:
        read = None
    except Exception as error:  # noqa: BLE001  this is what is counted
        counts["raised"] += 1
        tally.examples.append(f"RAISED {type(error).__name__} {line.hex()}")
        read = None
    tally.micros.append((time.thread_time_ns() - began) / 1000)
    if read is None:
        counts["refused"] += 1
        return
    counts[read.checksum.value] += 1
    right = fits(line)
    if right is False and (read.checksum is not Checksum.BAD or _taken(line)):
        counts["wrong"] += 1
        tally.examples.append(f"WRONG {line.hex()} was {before[0].hex()}")
    elif right and read.checksum is Checksum.GOOD and line not in before:
        counts["chance"] += 1  # the sum does not know the order of bytes
    elif read.checksum is not Checksum.GOOD and _same(read, before):
        counts["same"] += 1  # only the trailer was hit
    elif right is False:
        counts["caught"] += 1


def _taken(line: bytes) -> bool:
    """Whether a kiosk that asked for a loan, with error detection, takes ``line`` for its answer."""
    exchange = Exchange("utf-8", error_detection=True, retries=3)
    exchange.begin(LOAN)
    return isinstance(exchange.received(line), Done)


def _same(read: Message, before: list[bytes]) -> bool:
    was = decode(before[0])
    return (read.code, read.fixed, read.fields) == (was.code, was.fixed, was.fields)


def fits(line: bytes) -> bool | None:
    """Whether the checksum at the end of ``line`` fits; None where there is none. Written anew, not by our codec.

    Bytes that terminals put around a line are no part of it.
    """
    while line and (line[-1] < 0x20 or line[-1] in (0x7F, 0xFB)):
        line = line[:-1]
    while line and (line[0] < 0x20 or line[0] in (0x7F, 0xFB)):
        line = line[1:]
    mark = line.rfind(b"AZ")
    number = line[mark - 3 : mark]
    whole = mark >= 3 and number[:2] == b"AY" and number[2:].isdigit()
    digits = line[mark + 2 :]
    if not whole or not 1 <= len(digits) <= 4 or digits.strip(b"0123456789ABCDEFabcdef"):
        return None
    low = 0
    for byte in line[: mark + 2]:
        low = (low + byte) & 0xFFFF
    return (0x10000 - low) & 0xFFFF == int(digits, 16)
