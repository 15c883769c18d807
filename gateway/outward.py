"""What goes out to devices besides watermarks: orders and feeds, and the logs that orders bring back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from datetime import timedelta

from gateway.commands import Dispatch, House, Teller, gateway_key
from gateway.feeds import Feeds, Spans
from gateway.post import Post
from gateway.settings import GatewaySettings
from gateway.store.lending import SqliteLending
from gateway.store.orders import SqliteOrders
from gateway.store.port import Outcome
from gateway.uploads import Uploads
from mocban.clock import Clock
from mocban.config import Config


class Outward:
    """All of it for one gateway. ConfigError if a key or a folder cannot be had."""

    def __init__(
        self, config: Config[GatewaySettings], post: Post, own: Teller, clock: Clock, connected: Callable[[], bool]
    ) -> None:  # fmt: skip
        settings, key = config.app, gateway_key(config)
        spans = Spans(
            timedelta(hours=settings.feed_hours), timedelta(hours=settings.recent_hours),
            timedelta(days=settings.pending_days), tuple(settings.allow_list),
        )  # fmt: skip
        with ExitStack() as opened:
            self.orders = SqliteOrders(config.database)
            opened.callback(self.orders.close)
            lending = SqliteLending(config.database)
            opened.callback(lending.close)
            folder = config.data_dir / "gateway" / "uploads"
            self.uploads = Uploads(folder, self.orders, settings.uploads_mib * 1024 * 1024)
            house = House(config.tenant, config.staff, key)
            self.dispatch = Dispatch(house, self.orders, post, own, clock, connected)
            self._feeds = Feeds(config.tenant, key, lending, post, clock, spans, connected)
            self._opened = opened.pop_all()

    def services(self) -> dict[str, Callable[[asyncio.Event], Awaitable[None]]]:
        """What is to be kept running."""
        return {"orders": self.dispatch.run, "feeds": self._feeds.run}

    def on_outcome(self, outcome: Outcome) -> None:
        """Something was committed."""
        self.dispatch.on_outcome(outcome)
        self._feeds.on_outcome(outcome)

    def on_ready(self) -> None:
        """The broker is there."""
        self.dispatch.on_ready()
        self._feeds.on_ready()

    def close(self) -> None:
        """Give the files back."""
        self._opened.close()
