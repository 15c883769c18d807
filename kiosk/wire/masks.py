"""Where tags were found under which mask: what the next inventory asks first.

A mask is the lowest ``bits`` bits of a UID. The leaves of a search divide all UIDs among them: under each lies one tag
or none. Asking the leaves again finds the same tags with half the questions, and whoever is new collides with one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

BITS = 64


class Mask(NamedTuple):
    """The lowest ``bits`` bits of the UIDs that are meant."""

    value: int = 0
    bits: int = 0

    def halves(self) -> tuple[Mask, Mask]:
        """One bit more: with a 0 before it, and with a 1."""
        return Mask(self.value, self.bits + 1), Mask(self.value | 1 << self.bits, self.bits + 1)

    @property
    def whole(self) -> Mask:
        """One bit less."""
        return Mask(self.value & ~(1 << (self.bits - 1)), self.bits - 1)

    @property
    def twin(self) -> Mask:
        """The other half of the same whole."""
        return Mask(self.value ^ 1 << (self.bits - 1), self.bits)


ALL = Mask()
"""Every UID."""


def merged(leaves: Mapping[Mask, bool]) -> list[Mask]:
    """As few leaves as possible with at most one tag under each; ``leaves``: whether there is one."""
    left = dict(leaves)
    for bits in range(BITS, 0, -1):
        for mask in [one for one in left if one.bits == bits]:
            if mask in left and mask.twin in left and not (left[mask] and left[mask.twin]):
                left[mask.whole] = left.pop(mask) | left.pop(mask.twin)
    return list(left)
