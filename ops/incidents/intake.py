"""Facts become signals: read by cursor from the gateway, stored, and only then is the cursor moved.

If operations were down, they read on from where they were. A page that is handed out twice changes nothing: signals
are known by the fact's id. The reading waits in a thread of its own, for it sleeps in a socket.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress

from mocban import log
from mocban.errors import MocbanError, PeerUnreachable, RemoteProtocolError, StorageError
from mocban.follow import Follower
from mocban.health import Health
from mocban.ids import jitter
from ops.incidents.signals import of_fact
from ops.incidents.store import Store

PAGE = 500
"""Facts in one transaction."""
NAP = 60.0
"""Longest sleep before the gateway is asked without having woken us, in seconds."""
BLIND = 2.0
"""Longest pause before the next page where nobody wakes us, in seconds."""
BACKOFF = (0.2, 5.0)
"""First and longest pause after a failure, in seconds."""
Check = Callable[[str, bool, str], None]
"""Sets a health check: name, whether it passes, what is wrong."""
_log = log.get("ops.intake")


class Intake:
    """Follows one gateway for one store. ``own``: our device, whose facts are no signals.

    ``on_read`` is called from the thread whenever every fact there is has been read.
    """

    def __init__(
        self, follower: Follower, store: Store, health: Health, own: str,
        on_read: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self._on_read = on_read
        self._follower = follower
        self._store = store
        self._health = health
        self._own = own
        self._gate = threading.Lock()
        self._ended = threading.Event()
        self._failed: BaseException | None = None
        self._said_restart = False

    async def run(self, stop: asyncio.Event) -> None:
        """Read on until ``stop``. Nobody waits for the thread: it touches nothing once we have returned."""
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        self._ended.clear()
        self._failed = None

        def check(name: str, ok: bool, say: str) -> None:
            with suppress(RuntimeError):  # the loop is gone: we are stopping
                loop.call_soon_threadsafe(self._health.check, name, ok, say)

        def body() -> None:
            try:
                self._follow(check)
            except BaseException as error:  # noqa: BLE001  handed to the supervisor
                self._failed = error
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(over.set)

        threading.Thread(target=body, name="intake", daemon=True).start()
        waits = [asyncio.ensure_future(stop.wait()), asyncio.ensure_future(over.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._ended.set()
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
            await asyncio.to_thread(self._gate.acquire)  # a page being stored is stored
            self._gate.release()
        if self._failed is not None:
            raise self._failed

    def _follow(self, check: Check) -> None:
        pause = BACKOFF[0]
        while not self._ended.is_set():
            try:
                if not self._page(check):
                    check("gateway", True, "")
                    self._on_read()
                    self._sleep()
                pause = BACKOFF[0]
                continue
            except (PeerUnreachable, RemoteProtocolError) as error:
                check("gateway", False, error.say)
                said: MocbanError = error
            except StorageError as error:
                check("store", False, error.say)
                said = error
            if pause == BACKOFF[0]:
                _log.warning("intake.waits", code=said.code, say=said.say)
            self._ended.wait(jitter(pause))
            pause = min(pause * 2, BACKOFF[1])

    def _sleep(self) -> None:
        """Until there may be more. Whether the gateway is there says the next page."""
        try:
            self._follower.wait(NAP)
        except (PeerUnreachable, RemoteProtocolError):
            self._ended.wait(jitter(BLIND))

    def _page(self, check: Check) -> int:
        """How many facts there were; they are dealt with."""
        facts = self._follower.page(PAGE)
        if self._follower.restarted and not self._said_restart:
            self._said_restart = True
            _log.warning("intake.restarted")
        signals = []
        for fact in facts:
            try:
                signal = of_fact(fact, self._own)
            except RemoteProtocolError as error:
                _log.error("intake.bad-fact", say=error.say)
                continue
            if signal is not None:
                signals.append(signal)
        with self._gate:
            if self._ended.is_set():
                return 0
            if signals:
                taken = self._store.take(signals)
                _log.info("intake.page", facts=len(facts), new=taken.new, known=taken.known)
                check("store", True, "")
            self._follower.commit()
        return len(facts)
