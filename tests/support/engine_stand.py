"""Around the tests of runbooks: operations as a whole in a thread, a gate that obeys, signed playbooks."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from mocban import access, commands, identity
from mocban.asking import Service, Told
from mocban.config import Config
from mocban.events import CommandAnswered
from mocban.messages import Receipt
from ops.app import main
from ops.runbooks.sign import sign
from ops.settings import OpsSettings, playbooks
from tests.support.gateway_stand import (
    CLOCK,
    EPOCH,
    Broker,
    Teller,
    free_port,
    running_broker,
    until,
)
from tests.support.housed import Housed
from tests.support.orders_stand import Centre
from tests.support.person import Person

SHIPPED = Path(__file__).parents[2] / "ops" / "playbooks"


class Obeying(Teller):
    """A gate that receives each order, does it once and answers; in a thread of its own.

    ``deaf``: it hears nothing; ``outcome``: what it answers, by the order's name. ``done``: ids in the order of doing.
    """

    def __init__(self, url: str, public: str, device: str = "gate-1") -> None:
        super().__init__(url, device)
        self.done: list[tuple[str, str]] = []
        self.orders: dict[str, commands.Order] = {}
        self.deaf = False
        self.outcome: dict[str, tuple[Any, str]] = {}
        self.results: dict[str, dict[str, Any]] = {
            "self-test": {"gate": "ok", "disk": "9 MiB free", "lost": ""}
        }
        self.came: Counter[str] = Counter()
        self._public = public
        self._seq = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._obey)

    def __enter__(self) -> Self:
        self.say(online=True, app="gate")
        self.settle()
        self._thread.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._end.set()
        self._thread.join(10)
        super().__exit__(*args)

    def modes(self) -> list[str]:
        """The modes it was set to, one after the other."""
        return [self.orders[i].args["mode"] for i, name in self.done if name == "set-mode"]

    def _obey(self) -> None:
        while not self._end.is_set():
            self._read()
            if self.deaf:
                continue
            heard, self.heard = self.heard, []
            for topic, payload in heard:
                if "/cmd/" in topic:
                    self._do(commands.parse(payload, [self._public]))

    def _do(self, order: commands.Order) -> None:
        ident = str(order.id)
        self.came[ident] += 1
        receipt = Receipt(order=order.id, app=order.app, epoch=order.epoch, seq=order.seq)
        self.send(f"{self.prefix}/rsp/{order.name}", receipt.encode())
        if ident in self.orders:
            return
        self.orders[ident] = order
        self.done.append((ident, order.name))
        outcome, reason = self.outcome.get(order.name, ("done", ""))
        result = self.results.get(order.name, {})
        self._seq += 1
        fact = CommandAnswered(
            order=order.id,
            name=order.name,
            app=order.app,
            outcome=outcome,
            reason=reason,
            result=result,
        )
        self.tell(fact, self._seq, EPOCH)


class Ops(Housed):
    """The whole of operations in a thread of this process."""

    def __init__(
        self, folder: Path, gateway_url: str, broker_url: str, *staff: Person, **settings: Any
    ) -> None:
        super().__init__()
        self.folder = folder
        self.port = free_port()
        self.key = identity.signing_key(folder / "playbook.key")
        known = {"playbook_keys": (self.key.public,), **settings}
        self.config = Config(
            "ops", "demo", folder, broker_url, OpsSettings(port=self.port, gateway_url=gateway_url, **known),
            staff={one.name: one.line for one in staff},
        )  # fmt: skip
        self.api = Service(
            "operations",
            f"http://127.0.0.1:{self.port}",
            lambda: access.token(folder, "ops"),
            private=True,
        )

    def start(self) -> None:
        super().start()
        until(self._answers, "operations answer")

    def put(
        self,
        name: str,
        change: Callable[[dict[str, Any]], None] = lambda _: None,
        *,
        signed: bool = True,
    ) -> Path:
        """A shipped playbook, changed by ``change``, among the owner's."""
        body = json.loads((SHIPPED / f"{name}.json").read_text(encoding="utf-8"))
        change(body)
        return self.write(name, body, signed=signed)

    def write(self, name: str, body: dict[str, Any], *, signed: bool = True) -> Path:
        file = playbooks(self.folder) / f"{name}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        body = sign(body, self.key, "boss", CLOCK.now()) if signed else body
        file.write_text(json.dumps(body), encoding="utf-8")
        return file

    # The API

    def begin(self, playbook: str = "gate-storm", by: str = "person:boss", **more: Any) -> str:
        body = {"playbook": playbook, "by": by, "variables": {"__device__": "gate-1"}, **more}
        return str(self.api.post("/api/v1/executions", body)["execution"]["id"])

    def show(self, ident: str) -> dict[str, Any]:
        return self.api.get(f"/api/v1/executions/{quote(ident)}", authorized=True)

    def state(self, ident: str) -> str:
        return str(self.show(ident)["execution"]["state"])

    def wait(self, ident: str, *states: str, deadline: float = 20.0) -> dict[str, Any]:
        """The execution once it is in one of ``states``."""
        until(lambda: self.state(ident) in states, f"it is {' or '.join(states)}", deadline)
        return self.show(ident)

    def waiting(self, ident: str, what: str, deadline: float = 20.0) -> dict[str, Any]:
        """The first step that waits for ``what``."""

        def found() -> list[dict[str, Any]]:
            return [row for row in self.show(ident)["steps"] if row["waits"] == what]

        until(lambda: bool(found()), f"something waits for {what}", deadline)
        return found()[0]

    def ask(self, ident: str) -> dict[str, Any]:
        """The open question."""
        self.waiting(ident, "approval")
        return dict(self.show(ident)["asks"][0])

    def sign(self, ask: Mapping[str, Any], person: Person) -> list[str]:
        return [
            person.sign(identity.canonical(one["body"]), one["namespace"])
            for one in ask["documents"]
        ]

    def approve(self, ident: str, person: Person, **more: Any) -> dict[str, Any]:
        ask = self.ask(ident)
        body = {
            "step": ask["step"],
            "by": person.name,
            "signatures": self.sign(ask, person),
            **more,
        }
        return self.post(ident, "approve", **body)

    def post(self, ident: str, verb: str, **body: Any) -> dict[str, Any]:
        return self.api.post(f"/api/v1/executions/{ident}/{verb}", body)

    def refused(self, ident: str, verb: str, **body: Any) -> tuple[int, str]:
        """Status and code of a refusal."""
        try:
            self.post(ident, verb, **body)
        except Told as no:
            assert no.say
            return no.status, no.code
        raise AssertionError("it was not refused")

    def _answers(self) -> bool:
        if self.failure is not None:
            raise self.failure
        try:
            self.api.get("/api/v1/executions", authorized=True)
        except Exception:  # noqa: BLE001  not yet
            return False
        return True

    def _main(self, stop: asyncio.Event) -> Awaitable[None]:
        return main(self.config, stop)


@dataclass
class Centres:
    """A broker, a gateway, a gate: the same for every test of this file."""

    broker: Broker
    gateway: Centre
    gate: Obeying
    staff: list[Person]


@dataclass
class Stand(Centres):
    """And operations of its own for each."""

    ops: Ops

    @property
    def orders(self) -> list[dict[str, Any]]:
        """Orders of set-mode asked for since this test began, oldest first."""
        every = self.gateway.json("/api/v1/commands?limit=1000")["orders"]
        return [one for one in reversed(every) if one["name"] == "set-mode"][self.before :]

    before: int = 0


@contextmanager
def running_centres(folder: Path) -> Iterator[Centres]:
    """All that operations speak to, in ``folder``."""
    staff = [Person(folder, name) for name in ("boss", "minh", "lan")]
    with (
        running_broker("iotcore", folder) as broker,
        Centre(folder, broker.url, *staff) as gateway,
        Obeying(broker.url, gateway.public) as gate,
    ):
        until(lambda: gateway.knows("gate-1"), "the gate is known")
        yield Centres(broker, gateway, gate, staff)
