"""The air-time model against the figures of the RFID notes, which were worked out by other hands from the standard."""

from __future__ import annotations

import hashlib

import pytest

from kiosk.emulators import air


def uids(count: int, seed: int) -> list[bytes]:
    serials = (hashlib.sha256(f"{seed} {number}".encode()).digest() for number in range(count))
    return [b"\xe0\x04\x01" + serial[:5] for serial in serials]


@pytest.mark.parametrize(
    ("seconds", "milliseconds"),
    [
        (air.one_slot(True), 6.2),
        (air.inventory([]), 9.8),
        (air.read(1), 7.1),
        (air.read(8), 15.8),
        (air.read(9), 17.1),
        (air.read(28), 40.0),
        (air.write_byte() - air.PROGRAM, 5.9),
        (air.write() - air.PROGRAM, 7.1),
        (air.info(), 9.8),
        (air.quiet(), 4.0),
    ],
)
def test_an_operation_takes_what_the_standard_gives(seconds: float, milliseconds: float) -> None:
    assert round(seconds * 1e3, 1) == milliseconds


@pytest.mark.parametrize(
    ("books", "mean", "late"),
    [(1, 14, 14), (5, 37, 44), (10, 82, 107), (20, 183, 205), (50, 467, 513)],
)
def test_an_inventory_takes_what_a_monte_carlo_of_others_says(
    books: int, mean: float, late: float
) -> None:
    spent = sorted(1e3 * air.inventory(uids(books, seed)) for seed in range(300))
    assert sum(spent) / 300 == pytest.approx(mean, rel=0.06)
    # Theirs was another draw: the 95th percentile of five books has steps of a whole round.
    assert spent[285] == pytest.approx(late, rel=0.35)


def test_an_inventory_depends_on_its_tags_and_not_on_their_order() -> None:
    stack = uids(30, 1)
    assert air.inventory(stack) == pytest.approx(air.inventory(stack[::-1]))
    assert air.inventory(stack) > air.inventory(stack[:29])


def test_twins_answer_as_one_and_end() -> None:
    (uid,) = uids(1, 2)
    assert air.inventory([uid, uid]) == air.inventory([uid])


def test_two_uids_that_differ_in_their_first_bits_alone_are_told_apart_in_bounded_time() -> None:
    low, high = bytes.fromhex("E004010000000000"), bytes.fromhex("F004010000000000")
    assert 0.2 < air.inventory([low, high]) < 0.5  # 16 rounds, each with a longer mask


def test_a_family_asked_for_costs_its_byte() -> None:
    assert air.inventory([], afi=0x07) - air.inventory([]) == pytest.approx(air.BYTE)


def test_silence_is_cheaper_than_an_answer_and_lock_bytes_cost_their_time() -> None:
    assert air.eas(armed=False) < air.eas(armed=True)
    assert air.silence() < air.info()
    assert air.read(9, locks=True) - air.read(9) == pytest.approx(9 * air.BYTE)
