"""Orders: judged when somebody asks, signed when they go out, told again until the device has them.

One order at a time is on its way to each (device, app). Nothing here is lost by a kill: what is queued, sent or to be
audited stands in the store, and is taken up from there.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from typing import Protocol

from gateway.post import Post
from gateway.settings import GatewaySettings
from gateway.store.orders import RENEWED, Asked, OrderRow, SqliteOrders
from gateway.store.port import Outcome
from mocban import commands, identity, log
from mocban.access import Refusal
from mocban.clock import Clock, parse_rfc3339, rfc3339
from mocban.config import Config
from mocban.errors import ConfigError, LocalProtocolError, RemoteProtocolError, StorageError
from mocban.events import Audited, Fact
from mocban.ids import new_id

AHEAD = timedelta(hours=24)
"""Longest life of an order."""
WAITING_MAX = 50
"""Most orders a device's app may leave unreceived."""
AGAIN = (5.0, 60.0)
"""First and longest pause before an order without a receipt is published again, in seconds."""
_log = log.get("gateway.orders")


class Teller(Protocol):
    """Where our own facts go."""

    def tell(self, fact: Fact) -> object:
        """Make ``fact`` ours, durably; telling twice is telling once."""
        ...


def gateway_key(config: Config[GatewaySettings]) -> identity.SigningKey:
    """The key orders and feeds are signed with: the credential, else a file of ours, made if missing."""
    given = config.app.signing_key
    if given is None:
        return identity.signing_key(config.data_dir / "gateway" / "keys" / "gateway.key")
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        seed = base64.b64decode(given.get_secret_value(), validate=True)
        private = Ed25519PrivateKey.from_private_bytes(seed)
    except ValueError as error:
        say = "gateway.signing_key holds no key"
        raise ConfigError(say, "give base64 of 32 bytes") from error
    public = base64.b64encode(private.public_key().public_bytes_raw()).decode()
    return identity.SigningKey(private, public)


@dataclass(frozen=True, slots=True)
class House:
    """Whose orders these are: the tenant, who may approve, and the key that signs."""

    tenant: str
    staff: Mapping[str, str]
    key: identity.SigningKey


class Dispatch:
    """Takes orders and sees them through. ``ask`` from any thread; the rest belongs to the loop of ``run``."""

    def __init__(
        self, house: House, orders: SqliteOrders, post: Post, own: Teller, clock: Clock,
        connected: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._house = house
        self._orders = orders
        self._post = post
        self._own = own
        self._clock = clock
        self._connected = connected
        self._asking = Lock()
        self._tries: dict[str, tuple[int, float]] = {}  # order -> (times told, mono of the next)
        self._born: set[tuple[str, str]] = set()
        self._anew = False
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    # Asking

    def ask(
        self, request: commands.Request, approvals: Sequence[commands.Approval]
    ) -> tuple[OrderRow, bool]:
        """The order, and whether it is new. Refusal if it may not be; that is audited too."""
        try:
            row, new = self._ask(request, approvals)
        except Refusal as no:
            what = f"{request.id} {request.name} {request.device}/{request.app}"
            self._own.tell(
                Audited(
                    ref=new_id(), actor=request.by, action="order-asked", object=what,
                    outcome="refused", reason=no.code,
                )
            )  # fmt: skip
            raise
        self._stir()
        return row, new

    def _ask(
        self, request: commands.Request, approvals: Sequence[commands.Approval]
    ) -> tuple[OrderRow, bool]:
        try:
            digest = hashlib.sha256(
                request.canonical() + json.dumps(sorted((a.by, a.sig) for a in approvals)).encode()
            ).digest()
        except LocalProtocolError as error:
            raise Refusal(422, "bad-args", error.say) from error
        with self._asking:
            known = self._orders.get(str(request.id))
            if known is not None:
                if known.digest == digest:
                    return known, False
                raise Refusal(
                    409, "id-reuse", "another order has this id", "ask with an id of its own"
                )
            persons = self._judge(request, approvals)
            self._orders.ask(
                Asked(
                    str(request.id), digest, json.dumps(request.body()),
                    json.dumps([one.model_dump() for one in approvals]),
                    " ".join(f"person:{name}" for name in sorted(persons)), request.by, request.device,
                    request.app, request.name, rfc3339(request.expires), rfc3339(self._clock.now()),
                )
            )  # fmt: skip
            row = self._orders.get(str(request.id))
        assert row is not None
        return row, True

    def _judge(
        self, request: commands.Request, approvals: Iterable[commands.Approval]
    ) -> frozenset[str]:
        """Who approved, if the order may be; else Refusal."""
        if request.tenant != self._house.tenant:
            raise Refusal(422, "wrong-tenant", "this gateway serves another tenant")
        try:
            command = request.command()
        except RemoteProtocolError as error:
            raise Refusal(422, error.code, error.say, "see docs/contract.md") from error
        left = request.expires - self._clock.now()
        if left <= timedelta(0):
            raise Refusal(422, "expired", "the order's time is over already", "ask anew")
        if left > AHEAD:
            raise Refusal(422, "too-far-ahead", "an order lives 24 hours at most", "ask for less")
        try:
            persons = commands.approved(request, approvals, self._house.staff)
        except RemoteProtocolError as error:
            do = "let persons of [staff] approve it, not who asks"
            raise Refusal(403, error.code, error.say, do) from error
        if len(persons) < command.persons:
            missing = command.persons - len(persons)
            say = f"{request.name} has to be approved by {command.persons}, and {missing} more must do so"
            raise Refusal(409, "approvals-missing", say, "mocban gateway order approve")
        if (request.device, request.app) not in self._orders.epochs():
            say = f"{request.device}/{request.app} never said that it is there"
            raise Refusal(409, "device-unknown", say, "see /api/v1/devices")
        if self._orders.waiting(request.device, request.app) >= WAITING_MAX:
            say = f"{WAITING_MAX} orders wait for {request.device}/{request.app} already"
            raise Refusal(409, "too-many", say, "wait until it is back")
        try:
            trial = self._sign(request, approvals, "f" * 16, 2**53 - 1, self._clock.now())
        except ValueError as error:
            raise Refusal(422, "bad-args", "it makes no order") from error
        if len(trial) > commands.ORDER_MAX:
            raise Refusal(422, "too-long", f"an order has at most {commands.ORDER_MAX} bytes")
        return persons

    # Seeing through

    def on_outcome(self, outcome: Outcome) -> None:
        """Devices said something: orders may be received or answered, and the born are told again."""
        self._born |= {(birth.device, birth.app) for birth in outcome.births if birth.online}
        if outcome.births or outcome.orders:
            self._wake.set()

    def on_ready(self) -> None:
        """The broker is there, perhaps another one that knows nothing: everything on its way is told again."""
        self._anew = True
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """See every order through, until ``stop``."""
        self._loop = asyncio.get_running_loop()
        stopping = asyncio.ensure_future(stop.wait())
        try:
            while not stop.is_set():
                self._wake.clear()
                born, self._born = self._born, set()
                anew, self._anew = self._anew, False
                try:
                    await asyncio.to_thread(self._turn, born, anew)
                except StorageError as error:
                    self._born |= born
                    self._anew |= anew
                    _log.error("orders.failed", say=error.say, do=error.do)
                try:
                    await asyncio.to_thread(self._audit)
                except StorageError as error:
                    _log.error("orders.failed", say=error.say, do=error.do)
                waking = asyncio.ensure_future(self._wake.wait())
                await asyncio.wait(
                    {waking, stopping}, timeout=1.0, return_when=asyncio.FIRST_COMPLETED
                )
                waking.cancel()
                await asyncio.gather(waking, return_exceptions=True)
        finally:
            stopping.cancel()
            await asyncio.gather(stopping, return_exceptions=True)
            self._loop = None

    def _stir(self) -> None:
        """Wake ``run`` from whatever thread; if it has just ended, the store keeps what there is to do."""
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._wake.set)

    def _turn(self, born: set[tuple[str, str]], anew: bool) -> None:
        """Everything that is due now; ``anew``: whatever was on its way before is due."""
        now, mono, epochs = self._clock.now(), self._clock.mono(), self._orders.epochs()
        busy: set[tuple[str, str]] = set()
        open_orders = self._orders.open()
        known = {} if anew else self._tries
        self._tries = {row.id: known[row.id] for row in open_orders if row.id in known}
        for row in open_orders:
            place, epoch = (row.device, row.app), epochs.get((row.device, row.app), row.epoch)
            left = int((parse_rfc3339(row.expires) - now).total_seconds())
            if row.state == "received":
                if row.epoch != epoch:
                    self._orders.give_up(row, "failed", RENEWED)
                elif place in born and left > 0:
                    self._put(row, left)
                continue
            if left <= 0:
                self._orders.give_up(row, "expired", "expired")
                continue
            if place in busy:
                continue
            busy.add(place)
            times, due = self._tries.get(row.id, (0, 0.0))
            if (
                self._connected()
                and (mono >= due or place in born)
                and self._send(row, epoch, left)
            ):
                pause = min(AGAIN[0] * 2**times, AGAIN[1])
                self._tries[row.id] = (times + 1, mono + pause)

    def _send(self, row: OrderRow, epoch: str, left: int) -> bool:
        """Sign for the present epoch if that is not done, keep it, publish it."""
        if row.payload is not None and row.epoch == epoch:
            return self._put(row, left)
        now = self._clock.now()
        # Above the clock, so that a gateway restored from yesterday's copy does not use a number twice.
        seq = self._orders.number(row.device, row.app, int(now.timestamp() * 1000))
        request = commands.Request.model_validate_json(row.request)
        approvals = [commands.Approval.model_validate(one) for one in json.loads(row.approvals)]
        payload = self._sign(request, approvals, epoch, seq, now)
        if not self._orders.signed(row.id, epoch, seq, payload, now):
            return False
        _log.info("order.sent", order=row.id, device=row.device, name=row.name)
        return self._post.order(row.device, row.name, payload, left)

    def _put(self, row: OrderRow, left: int) -> bool:
        if row.payload is None or not self._connected():
            return False
        return self._post.order(row.device, row.name, row.payload, left)

    def _sign(
        self, request: commands.Request, approvals: Iterable[commands.Approval], epoch: str, seq: int, at: datetime
    ) -> bytes:  # fmt: skip
        key = self._house.key
        return commands.sign(key, request, approvals, epoch=epoch, seq=seq, issued=at).encode()

    def _audit(self) -> None:
        """Tell what is owed; each goes from the store only when it stands among our own facts."""
        for owed in self._orders.owed():
            row = owed.order
            self._own.tell(
                Audited(
                    ref=row.id, actor=row.asker, action=owed.action,
                    object=f"{row.name} {row.device}/{row.app}", outcome=owed.outcome, reason=owed.reason,
                )
            )  # fmt: skip
            self._orders.audited(owed.no)
