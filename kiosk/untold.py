"""Facts that a full disk refused: they wait in memory until it takes them, the oldest first."""

from __future__ import annotations

from collections import deque

from kiosk.perform import Facts
from mocban import log
from mocban.errors import StorageError
from mocban.events import Fact

MOST = 100
"""Facts that wait; of more the oldest go."""

_log = log.get("kiosk.untold")


class Untold:
    """On the way into ``facts``."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._waiting: deque[Fact] = deque(maxlen=MOST)

    def tell(self, *facts: Fact) -> bool:
        """Store ``facts`` and whatever waits; False if the disk refuses."""
        self._waiting.extend(facts)
        try:
            while self._waiting:
                self._facts.put(self._waiting[0])
                self._waiting.popleft()
        except StorageError as error:
            _log.error("tell.failed", say=error.say)
            return False
        return True
