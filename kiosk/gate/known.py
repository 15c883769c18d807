"""Which tags may leave by what the centre and this computer's kiosk say, asked without a wait."""

from __future__ import annotations

from kiosk.gate.loans import Loans
from kiosk.heed.feeds import Heed

LOANS = "recent-loans"
"""The feed without which nothing is known of loans."""


class Known:
    """Feeds and the kiosk's own loans as one."""

    def __init__(self, heed: Heed, loans: Loans) -> None:
        self._heed = heed
        self._loans = loans

    def excused(self, uid: str, item: str) -> str:
        """The name of what lets this tag go; empty if nothing does. ``item``: looked up where the UID is not known."""
        return self._heed.excused(uid, item) or self._loans.excused(uid)

    @property
    def loans(self) -> bool:
        """Whether a feed of loans is in force."""
        return LOANS in self._heed.versions
