"""Masks of an inventory: they divide all UIDs, and never more than one tag lies under one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kiosk.wire.masks import ALL, BITS, Mask, merged

UIDS = st.sets(st.integers(0, 2**BITS - 1) | st.integers(0, 15), max_size=12)


def under(mask: Mask, uids: set[int]) -> set[int]:
    return {uid for uid in uids if uid & ((1 << mask.bits) - 1) == mask.value}


def searched(mask: Mask, uids: set[int]) -> dict[Mask, bool]:
    """The leaves of a search that starts at ``mask``."""
    if len(under(mask, uids)) < 2:
        return {mask: bool(under(mask, uids))}
    near, far = mask.halves()
    return searched(near, uids) | searched(far, uids)


def size(masks: list[Mask]) -> int:
    """How many UIDs they mean."""
    return sum(1 << (BITS - mask.bits) for mask in masks)


def test_halves_and_wholes() -> None:
    near, far = Mask(0b01, 2).halves()
    assert (near, far) == (Mask(0b001, 3), Mask(0b101, 3))
    assert near.whole == far.whole == Mask(0b01, 2)
    assert (near.twin, far.twin) == (far, near)


def test_an_empty_field_is_one_question_again() -> None:
    leaves = dict.fromkeys(searched(ALL, {1, 2, 3}), False)
    assert merged(leaves) == [ALL]


@given(UIDS, UIDS)
def test_leaves_mean_everybody_and_hold_one_each(before: set[int], now: set[int]) -> None:
    leaves: dict[Mask, bool] = {}
    for mask in merged(searched(ALL, before)):
        leaves |= searched(mask, now)
    kept = merged(leaves)
    assert size(kept) == 1 << BITS
    assert sorted(uid for mask in kept for uid in under(mask, now)) == sorted(now)
    assert all(len(under(mask, now)) < 2 for mask in kept)
    # Nothing could be joined any more: every pair of twins has two tags.
    split = [mask for mask in kept if mask.bits and mask.twin in kept]
    assert all(under(mask, now) for mask in split)
