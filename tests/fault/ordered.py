"""Who orders a device about while its disk fails: the gateway's part, on the bare codec, and where logs are uploaded.

It does as the gateway does: an order is told again until it is received, and once more when the device is born;
feeds told again at each birth; a watermark for each fact. Whatever it hears is held against what it heard before.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from uuid import UUID

import mqtt5

from mocban import commands, feeds, identity
from mocban.events import CHAIN_0, Envelope, chain
from mocban.ids import new_id
from mocban.messages import Ack, Receipt, State
from tests.fault.harness import CLOCK, HOST
from tests.support.gateway_stand import Teller
from tests.support.person import Person

AGAIN = 0.3
"""Seconds an order without a receipt waits before it is told again."""
LIFE = timedelta(hours=1)


class Centre(Teller):
    """The gateway of one device, signing with ``key``; ``wrong`` is what a device must never say."""

    def __init__(self, url: str, device: str, app: str, key: identity.SigningKey) -> None:
        super().__init__(url, device)
        self._app = app
        self._key = key
        self._last = 0
        self._orders: dict[UUID, tuple[str, bytes]] = {}
        self._due: dict[UUID, float] = {}  # told and not received
        self._feeds: dict[feeds.Name, bytes] = {}
        self._rows: dict[tuple[str, int], bytes] = {}
        self._upto: dict[str, tuple[int, bytes]] = {}  # epoch -> watermark and its chain
        self._facts: dict[UUID, tuple[str, dict[str, Any]]] = {}
        self.state: State | None = None
        """What the device said of itself last."""
        self.births = 0
        self.wrong: list[str] = []
        filters = [
            mqtt5.TopicFilter(f"{self.prefix}/{channel}", max_qos=mqtt5.QoS.AT_LEAST_ONCE)
            for channel in ("evt/#", "rsp/#", "state")
        ]
        self._sock.sendall(mqtt5.SubscribePacket(self._id(), filters).write())

    @property
    def epochs(self) -> int:
        """How many outbox epochs it was told of."""
        return len(self._upto)

    @property
    def drained(self) -> bool:
        """Everything the device says it told is here, without a gap."""
        return self.state is not None and self._upto.get(self.state.epoch, (0, b""))[0] >= max(
            self.state.told, *(seq for _, seq in self._rows), 0
        )

    def order(
        self, name: str, by: Iterable[Person] = (), ident: UUID | None = None, **args: Any
    ) -> UUID:
        """Publish a signed order, and again until there is a receipt or an answer; its id."""
        assert self.state is not None
        request = commands.Request(
            id=ident or UUID(new_id()), by="person:boss", tenant="demo", device=self.device, app=self._app,
            name=name, args=args, expires=CLOCK.now() + LIFE,
        )  # fmt: skip
        self._last = max(self._last + 1, int(CLOCK.now().timestamp() * 1000))
        approvals = [one.approves(request) for one in by]
        order = commands.sign(
            self._key,
            request,
            approvals,
            epoch=self.state.epoch,
            seq=self._last,
            issued=CLOCK.now(),
        )
        self._orders[order.id] = (name, order.encode())
        self._due[order.id] = 0.0
        return order.id

    def repeat(self, orders: Iterable[UUID]) -> None:
        """Tell ``orders`` once more, as a gateway that forgot what it was told."""
        for order in orders:
            self._tell(order)

    def feed(self, name: feeds.Name, version: int, uid: str) -> bytes:
        """Publish a signed feed, retained, and again at each birth; what went out."""
        now = CLOCK.now()
        self._feeds[name] = feeds.sign(
            self._key, "demo", self.device, name,
            version=version, issued=now, expires=now + LIFE, entries=[feeds.Entry(uid=uid)],
        )  # fmt: skip
        self.send(f"{self.prefix}/feed/{name}", self._feeds[name], retain=True)
        return self._feeds[name]

    def replay(self, name: feeds.Name, payload: bytes) -> None:
        """Publish an old feed again."""
        self.send(f"{self.prefix}/feed/{name}", payload)

    def hear(self) -> None:
        """Take in what comes in the next 50 ms, and tell again what is due."""
        self._read()
        heard, self.heard = self.heard, []
        for topic, payload in heard:
            channel, _, name = topic.removeprefix(f"{self.prefix}/").partition("/")
            if channel == "evt":
                self._fact(payload)
            elif channel == "rsp":
                self._due.pop(Receipt.parse(payload).order, None)
            elif channel == "state" and (state := State.parse(payload)).online:
                self._born(state)
            assert channel != "rsp" or name, "a receipt names its order"
        now = CLOCK.mono()
        for order in [order for order, due in self._due.items() if now >= due]:
            self._tell(order)
            self._due[order] = now + AGAIN

    def told(self, kind: str, **like: Any) -> list[dict[str, Any]]:
        """Facts of one kind, each once, whose content is ``like`` that."""
        return [
            data
            for which, data in self._facts.values()
            if which == kind and like.items() <= data.items()
        ]

    def answers(self, order: UUID) -> list[dict[str, Any]]:
        """What was said to ``order``."""
        return self.told("command-answered", order=str(order))

    def _tell(self, order: UUID) -> None:
        name, payload = self._orders[order]
        self.send(f"{self.prefix}/cmd/{name}", payload)

    def _born(self, state: State) -> None:
        before, self.state = self.state, state
        self.births += 1
        for name, version in before.feeds.items() if before else ():
            if state.feeds.get(name, -1) < version:
                self.wrong.append(f"feed {name} went from {version} to {state.feeds.get(name)}")
        for each in self._feeds:
            self.send(f"{self.prefix}/feed/{each}", self._feeds[each], retain=True)
        for order in self._orders:
            if order not in self._due and not self.answers(order):
                self._tell(order)
        self._mark(state.epoch)

    def _fact(self, payload: bytes) -> None:
        told = Envelope.model_validate_json(payload)
        place, content = (told.epoch, told.seq), (told.kind, told.data)
        if self._rows.setdefault(place, payload) != payload:
            self.wrong.append(
                f"other bytes at seq {told.seq}: {payload!r} was {self._rows[place]!r}"
            )
        if self._facts.setdefault(told.id, content) != content:
            self.wrong.append(f"other content of {told.id}: {content} was {self._facts[told.id]}")
        if told.kind == "command-answered":
            self._due.pop(UUID(told.data["order"]), None)
        self._mark(told.epoch)

    def _mark(self, epoch: str) -> None:
        """Everything up to the first gap is committed here."""
        upto, value = self._upto.get(epoch, (0, CHAIN_0))
        while (row := self._rows.get((epoch, upto + 1))) is not None:
            upto, value = upto + 1, chain(value, row)
        self._upto[epoch] = (upto, value)
        ack = Ack(epoch=epoch, upto=upto, chain=value.hex())
        self.send(f"{self.prefix}/ack", ack.encode())


class Uploads:
    """Takes what is PUT, each path once; ``taken``: how often it took one, ``tried``: how often it was asked to."""

    def __init__(self) -> None:
        self.taken: Counter[str] = Counter()
        self.tried: Counter[str] = Counter()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert body[:2] == b"\x1f\x8b", "gzip"
                outer.tried[self.path] += 1
                new = not outer.taken[self.path]
                outer.taken[self.path] += new
                self.send_response(HTTPStatus.CREATED if new else HTTPStatus.CONFLICT)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def url(self, order: UUID) -> str:
        """Where the log of ``order`` goes."""
        return f"http://{HOST}:{self._server.server_port}/{order}"

    def count(self, order: UUID) -> int:
        """How often it was taken."""
        return self.taken[f"/{order}"]
