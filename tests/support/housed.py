"""A service of ours as tests house it: whole, in a thread of this process, with a loop of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable
from contextlib import suppress
from typing import Self

SECONDS = 15.0
"""How long one may take to end."""


class Housed:
    """``_main`` in a thread, from ``start`` to ``stop``, as often as wanted. ``failure``: what it died of."""

    def __init__(self) -> None:
        self.failure: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._begun = threading.Event()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it; a stand waits here until it is of use."""
        self._begun.clear()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        """End it in good order; raise what it died of."""
        if self._thread is not None:
            assert self._begun.wait(SECONDS)
            if self._loop is not None and self._stop is not None:
                with suppress(RuntimeError):  # it has ended by itself
                    self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(SECONDS)
            assert not self._thread.is_alive()
            self._thread = self._loop = self._stop = None
        if self.failure is not None:
            raise self.failure

    def _main(self, stop: asyncio.Event) -> Awaitable[None]:
        """The service."""
        raise NotImplementedError

    def _run(self) -> None:
        async def body() -> None:
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            self._begun.set()
            await self._main(self._stop)

        try:
            asyncio.run(body())
        except BaseException as error:  # noqa: BLE001  told to whoever stops it
            self.failure = error
        finally:
            self._begun.set()
