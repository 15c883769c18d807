"""A million mutated SIP2 lines: values taken although the checksum is wrong, exceptions, and the time each took.

Lines of every message, with bits flipped, bytes replaced, cut, inserted, spliced, swapped; up to three of these at
once. What is thrown stands in ``tests/fuzz/sip2_mutants.py``.

*Wrong* is a line whose checksum does not fit, by a sum that is not ours, and that is read as if it did, or as if it had
none, or that a kiosk waiting for the answer to a loan takes for it. The reference is how many such lines there were:
they must not be none, or the mutants prove nothing. SIP2's checksum is a sum, so that it cannot notice two bytes that
change their places; such lines are counted by themselves, and have no goal. Times are the processor's, so that a
neighbour's work on the same machine is not ours.
"""

from __future__ import annotations

import multiprocessing
import os
from array import array

from mocban.benches import Case
from tests.fuzz.sip2_mutants import Tally, throw

ALL, QUICK = 1_000_000, 50_000
SLOWEST = 1000.0  # µs


def run(quick: bool) -> list[Case]:
    """A million mutants, or 50,000, shared by the processors."""
    total, workers = QUICK if quick else ALL, max(1, min(2, os.cpu_count() or 1))
    shares = [(number, total // workers) for number in range(workers)]
    tally = Tally()
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        for part in pool.starmap(throw, shares):
            tally.add(part)
    counts, mutants = tally.counts, tally.counts["mutants"]
    assert mutants >= total - workers
    assert counts["caught"] > 0, "no checksum was ever wrong: these mutants prove nothing"
    for line in tally.examples[:20]:
        print(line)
    p99, half = _quantile(tally.micros, 0.99), _quantile(tally.micros, 0.5)
    return [
        _case("values taken although the checksum is wrong", counts["wrong"], "lines", 0,
              counts["caught"], f"caught; {counts['chance']} fit by the order of bytes alone", mutants),
        _case("exceptions other than RemoteProtocolError", counts["raised"], "lines", 0,
              counts["refused"], "refused", mutants),
        _case("p99 of one line", round(p99, 1), "µs", SLOWEST, round(half, 1), "its median", mutants),
    ]  # fmt: skip


def _case(
    name: str, ours: float, unit: str, goal: float, reference: float, what: str, rounds: int
) -> Case:
    return Case(name, ours, reference, unit, goal, what, ours, ours, rounds)


def _quantile(micros: array[float], share: float) -> float:
    return sorted(micros)[min(len(micros) - 1, int(share * len(micros)))]
