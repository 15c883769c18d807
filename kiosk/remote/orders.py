"""Orders from the centre: believed only if signed, on disk before anything is done, done one at a time, answered once.

A crash anywhere: what was taken goes on after the start. Self-test, log collection, mode and wipe are done again, which
changes nothing; a restart that had begun has happened.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Protocol

from prometheus_client import Counter
from pydantic import ValidationError

from kiosk.remote.check import Here, addressed, judge
from kiosk.remote.ledger import Entry, Ledger, Outcome
from kiosk.remote.modes import WIPED, Modes
from mocban import commands, log
from mocban.clock import Clock, rfc3339
from mocban.commands import CollectLogs, Command, Order, Restart, SelfTest, SetMode, Wipe
from mocban.errors import LocalProtocolError, MocbanError, RemoteProtocolError, StorageError
from mocban.events import Audited, CommandAnswered, Fact
from mocban.identity import Identity
from mocban.messages import Receipt
from mocban.supervise import unless

FORGED_EVERY = 60.0
"""Seconds between two audit facts about orders that cannot be answered; the rest is only counted."""
DEADLINES: Mapping[str, float] = {
    SelfTest.name: 30.0, CollectLogs.name: 180.0, SetMode.name: 10.0, Wipe.name: 60.0,
}  # fmt: skip
"""Seconds an act may take; a restart has its own patience."""
RESULT_MAX = 3000
"""Most bytes of an answer's result: a fact has 4096 for all."""

_log = log.get("kiosk.remote")
_orders = Counter("mocban_orders_total", "Orders that came, by what became of them", ["outcome"])


class Hands(Protocol):
    """What an order can do to its app. Methods raise MocbanError for what cannot be done."""

    @property
    def modes(self) -> frozenset[str]:
        """The modes the app can be ordered into."""
        ...

    async def self_test(self) -> dict[str, str]:
        """Each part and its state."""
        ...

    async def restart(self, patience: float) -> bool:
        """End the process in good order once nobody is at it; False if somebody still is after ``patience`` s."""
        ...

    def set_mode(self, mode: str) -> None:
        """Put a mode in force: one of ``modes``, or ``wiped``."""
        ...

    async def wipe(self) -> None:
        """Destroy every key that patron data is sealed with, and what they sealed."""
        ...


class Facts(Protocol):
    """Where answers are told; ``mocban.outbox.Outbox`` is one."""

    @property
    def epoch(self) -> str:
        """The generation that orders are addressed to."""
        ...

    def put(self, fact: Fact) -> bool:
        """Store it durably; False if it was told before."""
        ...


class Remote:
    """One app's orders. ``collect`` uploads logs; ``receipt`` is handed a name and bytes; ``shown`` learns the mode."""

    def __init__(
        self,
        identity: Identity,
        pinned: Iterable[str],
        staff: Mapping[str, str],
        ledger: Ledger,
        outbox: Facts,
        clock: Clock,
        hands: Hands,
        receipt: Callable[[str, bytes], None],
        *,
        collect: Callable[[CollectLogs], Awaitable[dict[str, Any]]],
        shown: Callable[[str], None],
    ) -> None:
        self._identity = identity
        self._pinned = tuple(pinned)
        self._staff = staff
        self._ledger = ledger
        self._outbox = outbox
        self._clock = clock
        self._hands = hands
        self._receipt = receipt
        self._collect = collect
        self._shown = shown
        self._wake = asyncio.Event()
        self._forged: float | None = None  # when one was last told
        self.modes = Modes(ledger, clock, self._in_force, self._undone)

    def order(self, name: str, payload: bytes) -> None:
        """An order came on ``cmd/{name}``. Raises nothing: what cannot be stored gets no receipt and comes again."""
        try:
            self._come(name, payload)
        except StorageError as error:
            _log.error("order.untaken", say=error.say)
            _orders.labels("untaken").inc()

    async def run(self, stop: asyncio.Event) -> None:
        """Do what was taken, one after the other, until ``stop``."""
        while not stop.is_set():
            self._wake.clear()
            if (entry := self._ledger.due()) is None:
                await unless(stop, self._wake.wait())
            elif not await self._finish(entry, stop):
                return
            await asyncio.sleep(0)  # refusals in numbers are answered without holding up the gate

    # Taking

    def _come(self, name: str, payload: bytes) -> None:
        try:
            order = commands.parse(payload, self._pinned)
            if (order.tenant, order.device) == self._self and order.app != self._identity.app:
                _orders.labels("ignored").inc()
                return
            addressed(order, self._identity, name)
        except RemoteProtocolError as error:
            _orders.labels("forged").inc()
            self._tell_forged(payload, error.code)
            return
        if (known := self._ledger.known(str(order.id))) is not None:
            _orders.labels("again").inc()
            if known != "refused":
                self._confirm(order)
            return
        self._judge(order)
        self._wake.set()

    def _judge(self, order: Order) -> None:
        here = Here(
            epoch=self._outbox.epoch, last=self._ledger.last(self._outbox.epoch), now=self._now(),
            staff=self._staff, modes=self._hands.modes, wiped=self.modes.mode == WIPED,
        )  # fmt: skip
        try:
            _, persons = judge(order, here)
        except RemoteProtocolError as error:
            # The order may be right and our clock wrong: let them see it.
            clock = {"clock": rfc3339(self._clock.now())} if error.code == "expired" else {}
            self._ledger.refuse(order, error.code, clock, here.now)
            _orders.labels("refused").inc()
            _log.warning("order.refused", order=str(order.id), kind=order.name, code=error.code)
            return
        self._ledger.take(order, persons, max(here.now, order.issued))
        _orders.labels("taken").inc()
        _log.info("order.taken", order=str(order.id), kind=order.name, seq=order.seq)
        self._confirm(order)

    def _confirm(self, order: Order) -> None:
        receipt = Receipt(
            order=order.id, app=self._identity.app, epoch=order.epoch, seq=order.seq
        ).encode()
        self._receipt(order.name, receipt)

    def _tell_forged(self, payload: bytes, code: str) -> None:
        """Who sends such orders in numbers must not fill the outbox."""
        now = self._clock.mono()
        if self._forged is not None and now - self._forged < FORGED_EVERY:
            return
        self._forged = now
        _log.warning("order.forged", code=code)
        self._outbox.put(
            Audited(
                ref=hashlib.sha256(payload).hexdigest()[:16], actor=self._actor, action="order-refused",
                outcome="refused", reason=code,
            )
        )  # fmt: skip

    # Acting

    async def _finish(self, entry: Entry, stop: asyncio.Event) -> bool:
        """Act if it is due, then answer; False if the process is ending first."""
        if entry.outcome is None:
            end = self._over(entry) or await self._act(entry, stop)
            if end is None:
                return False
            outcome, reason, result = end
            self._ledger.end(entry.id, outcome, reason, _short(result))
            if (told := self._ledger.due()) is None or told.id != entry.id:
                raise StorageError("the ledger of orders forgot one", "check the disk")
            entry = told
        self._answer(entry)
        return True

    def _over(self, entry: Entry) -> tuple[Outcome, str, dict[str, Any]] | None:
        """What is to be said of an order without acting."""
        if entry.begun:
            return ("done", "", {}) if entry.name == Restart.name else None
        if entry.epoch != self._outbox.epoch:
            return "failed", "wrong-epoch", {}
        if entry.expires <= self._now():
            return "failed", "expired", {"clock": rfc3339(self._clock.now())}
        return None

    async def _act(
        self, entry: Entry, stop: asyncio.Event
    ) -> tuple[Outcome, str, dict[str, Any]] | None:
        try:
            command = commands.COMMANDS[entry.name, entry.nv].model_validate(entry.args)
        except (KeyError, ValidationError):  # taken by another release
            return "failed", "unknown-command", {}
        if not entry.begun:
            self._ledger.begin(entry.id)
        patience = DEADLINES.get(entry.name, 0.0)
        if isinstance(command, Restart):
            patience = command.patience + 30.0
        try:
            async with asyncio.timeout(patience):
                result = await unless(stop, self._do(command, entry))
        except TimeoutError:
            return "failed", "deadline", {}
        except StorageError:
            raise  # the disk: again, when it works
        except MocbanError as error:
            return "failed", error.code[:64], {}
        except Exception as error:  # noqa: BLE001  a bug of ours must not leave an order without an answer
            _log.error("order.broke", kind=entry.name, why=type(error).__name__)
            return "failed", "fault", {}
        if result is None or (isinstance(command, Restart) and result["ends"]):
            return None
        return ("failed", "busy", {}) if isinstance(command, Restart) else ("done", "", result)

    async def _do(self, command: Command, entry: Entry) -> dict[str, Any]:
        match command:
            case SelfTest():
                return dict(await self._hands.self_test())
            case CollectLogs():
                return await self._collect(command)
            case Restart():
                return {"ends": await self._hands.restart(command.patience)}
            case SetMode():
                self.modes.set(command.mode, command.seconds, entry.id)
                return {"mode": self.modes.mode}
            case Wipe():
                self.modes.set(WIPED, None, entry.id)
                await self._hands.wipe()
                return {}
            case _:
                raise LocalProtocolError(f"nobody here does {command.name}")

    def _answer(self, entry: Entry) -> None:
        outcome = entry.outcome or "failed"
        by = f"approved by {', '.join(entry.persons.split())}" if entry.persons else ""
        answer = CommandAnswered.model_validate(
            {
                "order": entry.id, "name": entry.name, "app": self._identity.app, "outcome": outcome,
                "reason": entry.reason, "result": entry.result,
            }
        )  # fmt: skip
        self._outbox.put(answer)
        self._outbox.put(
            Audited(
                ref=entry.id, actor=entry.asker, action=f"order-{entry.name}", object=self._identity.device,
                outcome=outcome, reason="; ".join(filter(None, (entry.reason, by)))[:255],
            )
        )  # fmt: skip
        self._ledger.answered(entry.id)
        if outcome != "refused":
            _orders.labels(outcome).inc()
        _log.info("order.answered", order=entry.id, kind=entry.name, outcome=outcome)

    # Modes

    def _in_force(self, mode: str) -> None:
        self._hands.set_mode(mode)
        self._shown(mode)

    def _undone(self, order: str) -> None:
        _log.info("mode.undone", order=order)
        with contextlib.suppress(StorageError):  # it is open again, told or not
            self._outbox.put(
                Audited(ref=order, actor=self._actor, action="mode-undone", object="open")
            )

    # Self

    def _now(self) -> datetime:
        return max(self._clock.now(), self._ledger.believed)

    @property
    def _self(self) -> tuple[str, str]:
        return self._identity.tenant, self._identity.device

    @property
    def _actor(self) -> str:
        return f"device:{self._identity.device}"


def _short(result: dict[str, Any]) -> dict[str, Any]:
    """``result``, with long words cut where it would not go into a fact."""
    for most in (None, 80, 20):
        cut = {
            key: one[:most] if isinstance(one, str) else one for key, one in sorted(result.items())
        }
        if len(json.dumps(cut, ensure_ascii=False).encode()) <= RESULT_MAX:
            return cut
    return {"parts": len(result)}
