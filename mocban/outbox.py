"""Durable store-and-forward: facts wait in SQLite until the gateway says they are committed there.

One outbox per process, each with its own random epoch. ``seq`` is given inside the transaction and is gapless.
A row stops waiting only by the gateway's contiguous watermark, never by a broker's PUBACK, and only if the watermark's
chain is ours. Rows held are contiguous: first those kept (delivered once, for a gateway that comes back older), then
those that wait.

- A watermark with another chain, or past what we told: we are a copy or a restored image. A new epoch tells anew all
  that is held; the gateway knows facts by id, so that none is counted twice.
- A watermark that goes back: the kept rows above it wait again, with the same bytes. If the first of them is kept no
  more, the old epoch could never close its gap: a new epoch tells all that is held, and its audit fact says what may
  be missing. A watermark that was merely late on the way costs a second telling, no more.
- A row that was handed out keeps its bytes; only others are shed. A crash may forget the last hand-out: then the chain
  differs, and a new epoch tells anew.
"""

from __future__ import annotations

import fcntl
import os
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import RLock

from prometheus_client import Counter, Gauge

from mocban import fingerprint as places
from mocban.aside import Aside
from mocban.clock import Clock
from mocban.errors import ConfigError, LocalProtocolError, StorageError
from mocban.events import CHAIN_0, ENVELOPE_MAX, Audited, Envelope, Fact
from mocban.held import Held, Marks, Row, named
from mocban.messages import Ack
from mocban.migrate import open_db

CAP = 64 * 1024 * 1024
"""Bytes of facts that may wait; a quarter more is the reserve for facts that are never shed."""

_depth = Gauge("mocban_outbox_facts", "Facts waiting for the gateway's watermark", ["device"])
_told = Gauge("mocban_outbox_told", "Facts put into this outbox under its epoch", ["device"])
_bytes = Gauge("mocban_outbox_bytes", "Bytes of facts waiting", ["device"])
_shed = Counter("mocban_outbox_shed_total", "Facts given up for lack of space", ["device"])
_renewed = Counter("mocban_outbox_renewed_total", "New epochs of the outbox", ["reason"])

FULL = "full: the gateway has not taken its facts"
"""What a health check says of a full outbox."""


class Outbox:
    """The outbox in ``path`` (a database it may share with its app). Thread-safe, for one process at a time.

    Callbacks come after the change, from the changing thread, without the lock.
    ConfigError (code ``outbox-in-use``) if another one is open on ``path``.
    """

    def __init__(
        self, path: Path, device: str, clock: Clock,
        *, cap: int = CAP, fingerprint: str | None = None, patience: float = 5.0,
    ) -> None:  # fmt: skip
        self._lock = RLock()
        self._device = device
        self._clock = clock
        self._cap = cap
        self.on_put: Callable[[], None] = lambda: None
        self.on_full: Callable[[bool], None] = lambda _: None
        self.on_epoch: Callable[[str], None] = lambda _: None
        self._db = open_db(path, "outbox", "mocban", patience)
        self._let_go: Callable[[], object] = lambda: None
        try:
            # The lock also goes when this object goes without ``close``, as at the death of a process.
            self._let_go = weakref.finalize(self, os.close, _lock(path))
            with named(f"{path} cannot be used"):
                where = fingerprint or places.fingerprint(path)
                self._held = Held(self._db, device, cap, where)
                self._begin(where)
        except BaseException:
            self._db.close()
            self._let_go()
            raise
        self._full = self._held.marks.waiting >= cap
        self._gauges = [gauge.labels(device) for gauge in (_depth, _told, _bytes)]
        self._given_up = 0
        self._aside = Aside(path)
        self._aside.take()
        self._show()

    def _begin(self, where: str) -> None:
        """A new epoch if the file moved, or comes from the release that knew no chain."""
        marks = self._held.marks
        if marks.base is None and marks.next > 1:
            self._renew("upgrade", where=where)
        elif marks.base is None:
            with self._held.change("the outbox cannot be stored") as marks:
                marks.base, marks.mark, marks.fingerprint = CHAIN_0, CHAIN_0, where
        elif marks.fingerprint != where:
            self._renew("moved", where=where)

    @property
    def epoch(self) -> str:
        """The generation of this outbox, 16 hex digits."""
        return self._held.marks.epoch

    @property
    def upto(self) -> int:
        """The gateway's watermark."""
        marks = self._held.marks
        return marks.upto - marks.shift

    @property
    def told(self) -> int:
        """How many facts were put under this epoch."""
        marks = self._held.marks
        return marks.next - 1 - marks.shift

    @property
    def depth(self) -> int:
        """How many facts wait."""
        marks = self._held.marks
        return marks.next - 1 - marks.upto

    @property
    def full(self) -> bool:
        """True from 100 % of the cap until it is below 90 %: begin nothing new that must be told."""
        return self._full

    def put(self, fact: Fact) -> bool:
        """Store ``fact`` durably; False if its id was put before. StorageError if the disk refuses.

        StorageError (code ``outbox-full``) if even the reserve above the cap is used up.
        """
        what = "a fact cannot be stored"
        with self._lock:
            with named(what):
                if self._held.knows(str(fact.id_at(self._device))):
                    return False
            with self._held.change(what) as marks:
                self._put(marks, fact)
                if marks.waiting > self._cap + self._cap // 4:
                    raise StorageError(
                        f"{self.depth} facts wait, and there is no room for more",
                        "look why the gateway does not take them",
                        code="outbox-full",
                    )
        self._settle()
        self.on_put()
        return True

    def rows(self, after: int, limit: int) -> list[Row]:
        """Up to ``limit`` waiting facts with seq > ``after``, in order. Their bytes stay as they are from now on."""
        with self._lock, named("facts cannot be read"):
            return self._held.waiting(after, limit)

    def acked(self, ack: Ack) -> int:
        """The gateway has everything up to ``ack.upto``. Returns how many facts wait no more.

        A watermark of another epoch is ignored; what the others mean stands at the top of this page.
        """
        with self._lock:
            before = self._held.marks.upto
            try:
                reason = self._obey(ack)
            except StorageError:
                if not self._aside.give():
                    raise
                reason = self._obey(ack)
            moved = 0 if reason else self._held.marks.upto - before
        if not reason and not moved:
            return 0
        if moved > 0:
            self._aside.take()
        self._settle()
        if reason:
            self.on_epoch(reason)
        if reason or moved < 0:
            self.on_put()
        return max(0, moved)

    def _obey(self, ack: Ack) -> str:
        """Why ``ack`` made a new epoch begin, or nothing."""
        reason, why = self._judge(ack)
        if reason:
            self._renew(reason, why)
        return reason

    def renew(self, reason: str) -> None:
        """Begin a new epoch, and tell anew all that is held."""
        with self._lock:
            self._renew(reason)
        self._settle()
        self.on_epoch(reason)
        self.on_put()

    def close(self) -> None:
        """Close the file and let another process have it. Without it only the last hand-out is forgotten."""
        with self._lock:
            with suppress(StorageError), self._held.change("the outbox cannot be stored"):
                pass
            self._db.close()
        self._let_go()

    def _put(self, marks: Marks, fact: Fact) -> None:
        ident = fact.id_at(self._device)
        payload = Envelope(
            id=ident, epoch=marks.epoch, seq=marks.next - marks.shift, ts=self._clock.now(), mono=self._clock.mono(),
            boot=self._clock.boot, kind=fact.kind, kv=fact.kv, data=fact.model_dump(mode="json"),
        ).encode()  # fmt: skip
        if len(payload) > ENVELOPE_MAX:
            raise LocalProtocolError(f"a {fact.kind} of {len(payload)} bytes")
        self._held.make_room(marks, len(payload), fact.shed)
        self._held.add(marks, str(ident), fact.kind, fact.shed, payload)

    def _judge(self, ack: Ack) -> tuple[str, str]:
        """Move the watermark, or say why a new epoch must begin: in a word, and in words for the audit."""
        marks = self._held.marks
        seq = ack.upto + marks.shift
        if ack.epoch != marks.epoch:
            return "", ""
        if seq >= marks.next:
            return "clone", "clone"
        if seq < marks.floor - 1:
            lost = f"{ack.upto + 1} to {marks.floor - 1 - marks.shift}"
            return "older", f"older: the gateway has {ack.upto}, {lost} are kept no more"
        with named("facts cannot be read"):
            after = self._held.after(seq)
        if ack.chain is not None and after.hex() != ack.chain:
            return "clone", "clone"
        if seq != marks.upto:
            with self._held.change("the watermark cannot be stored") as marks:
                self._held.move(marks, seq, after)
        return "", ""

    def _renew(self, reason: str, why: str = "", where: str = "") -> None:
        """One transaction; the audit fact is stored whatever the cap says."""
        with self._held.change("a new epoch cannot begin") as marks:
            was = marks.epoch
            marks.renew()
            marks.fingerprint = where or marks.fingerprint
            audit = Audited(
                ref=marks.epoch, actor=f"device:{self._device}", action="outbox-renewed", object=was,
                reason=why or reason,
            )  # fmt: skip
            self._put(marks, audit)
        _renewed.labels(reason).inc()

    def _settle(self) -> None:
        """Say whether the outbox is full, if that changed."""
        with self._lock:
            was, waiting = self._full, self._held.marks.waiting
            self._full = waiting >= self._cap or (was and waiting * 10 >= self._cap * 9)
            changed = was != self._full
            self._show()
        if changed:
            self.on_full(not was)

    def _show(self) -> None:
        marks = self._held.marks
        for gauge, value in zip(self._gauges, (self.depth, self.told, marks.waiting), strict=True):
            gauge.set(value)
        if marks.given_up != self._given_up:
            _shed.labels(self._device).inc(marks.given_up - self._given_up)
            self._given_up = marks.given_up


def _lock(path: Path) -> int:
    """The lock beside ``path``, held as long as the descriptor is open."""
    try:
        held = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigError(
            f"{path.parent} cannot be written", "set data_dir to a folder this user may write"
        ) from error
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(held)
        raise ConfigError(
            f"another process works with {path}",
            "stop it first, or give this one a data_dir of its own",
            code="outbox-in-use",
        ) from error
    return held
