"""A million mutated tags and frames: wrong item ids that nobody was warned of, exceptions, and the time each took.

Tags of every model and golden frames of every reader, with bits flipped, bytes replaced, cut, inserted, spliced,
swapped, blocks turned; up to three of these at once. What is thrown stands in ``tests/fuzz/targets.py``.

*Wrong* is an id that neither the tag before the change had nor a tag it was spliced with, told without a warning that
casts doubt on it (one that only says "nothing to do" is none), where all that went into the mutant had a check value:
ISO 28560-3 and a whole bank 01. By chance, once in 65,536, a change leaves a check value that fits. Such a mutant *is*
a valid tag of another id; no reader could tell. They are found by a CRC that is not ours, left out of the wrong ones,
and counted in a case of their own, which may not be more than chance explains. The reference is the same count over
mutants of models without a check value, or spliced with one: it must not be 0, or the mutants prove nothing. Times are
the processor's, so that a neighbour's work on the same machine is not ours.
"""

from __future__ import annotations

import multiprocessing
import os
from array import array

from mocban.benches import Case
from tests.fuzz.mutants import Tally, throw

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
    counts = tally.counts
    assert counts["mutants"] >= total - workers
    assert counts["unguarded wrong"] > 0, "no id changed anywhere: these mutants prove nothing"
    for line in tally.examples[:20]:
        print(line)
    p99 = {kind: _quantile(micros, 0.99) for kind, micros in tally.micros.items()}
    slowest = max(p99, key=lambda kind: p99[kind])
    halves = {kind: _quantile(micros, 0.5) for kind, micros in tally.micros.items()}
    # Two orders of the bytes are tried, with and without two virtual ones.
    chance = 4 * counts["guarded"] / 65536
    guarded, mutants = counts["guarded"], counts["mutants"]
    return [
        _case("wrong ids without a warning, models with a check value", counts["wrong"], "tags", 0,
              counts["unguarded wrong"], f"models without one, {counts['unguarded']} mutants", guarded),
        _case("exceptions other than RemoteProtocolError", counts["raised"], "mutants", 0, mutants, "mutants", mutants),
        _case(f"p99 of the slowest kind ({slowest})", round(p99[slowest], 1), "µs", SLOWEST,
              round(halves[slowest], 1), "its median", len(tally.micros[slowest])),
        _case("valid tags of another id, by chance", counts["chance"], "tags", round(3 * chance + 10),
              round(chance, 1), "what chance allows", guarded),
    ]  # fmt: skip


def _case(
    name: str, ours: float, unit: str, goal: float, reference: float, what: str, rounds: int
) -> Case:
    return Case(name, ours, reference, unit, goal, what, ours, ours, rounds)


def _quantile(micros: array[float], share: float) -> float:
    return sorted(micros)[min(len(micros) - 1, int(share * len(micros)))]
