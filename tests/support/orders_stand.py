"""Around the tests of orders: a gateway with staff, persons with SSH keys, a device that receives and answers."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from gateway.commands import gateway_key
from mocban import access, commands, feeds
from mocban.events import CommandAnswered
from mocban.ids import new_id
from mocban.messages import Receipt
from tests.support.gateway_stand import CLOCK, EPOCH, Gateway, Teller
from tests.support.person import Person


class Centre(Gateway):
    """A gateway that knows persons and takes orders."""

    def __init__(self, folder: Path, url: str, *staff: Person, **settings: Any) -> None:
        super().__init__(folder, url, **settings)
        self._config = replace(self._config, staff={one.name: one.line for one in staff})
        self.folder = folder

    @property
    def public(self) -> str:
        """The key its orders are signed with."""
        return gateway_key(self._config).public

    def ask(
        self, request: commands.Request, *approvals: commands.Approval, token: str | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Status and body of the answer."""
        token = access.token(self.folder, "gateway") if token is None else token
        body = {"request": request.body(), "approvals": [one.model_dump() for one in approvals]}
        headers = {"authorization": f"Bearer {token}"}
        return self.send("POST", "/api/v1/commands", json.dumps(body).encode(), headers)

    def send(
        self, method: str, path: str, data: bytes, headers: Mapping[str, str]
    ) -> tuple[int, dict[str, Any]]:
        """Status and body of an answer, also of a refusal."""
        request = urllib.request.Request(
            self.url + path, data=data, headers=dict(headers), method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=15) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def knows(self, device: str) -> bool:
        """``device`` said that it is there."""
        return any(row["device"] == device and row["app"] for row in self.json("/api/v1/devices"))

    def order(self, asked: commands.Request) -> dict[str, Any]:
        """The order as the API shows it."""
        return dict(self.json(f"/api/v1/commands/{asked.id}"))

    def audits(self) -> list[tuple[str, str, str]]:
        """Action, outcome and reason of everything audited about orders."""
        data = [fact["data"] for fact in self.own() if fact["kind"] == "audited"]
        return [
            (one["action"], one["outcome"], one["reason"])
            for one in data
            if one["action"].startswith("order-")
        ]


class Device(Teller):
    """A device that obeys."""

    def orders(self, public: str) -> list[commands.Order]:
        """Orders that came and are signed by ``public``, in order of arrival."""
        return [
            commands.parse(payload, [public]) for topic, payload in self.heard if "/cmd/" in topic
        ]

    def feeds(self, public: str, name: str) -> list[feeds.Feed]:
        """Feeds ``name`` that came and are signed by ``public``."""
        return [
            feeds.parse(payload, [public])
            for topic, payload in self.heard
            if topic.endswith(f"/feed/{name}")
        ]

    def wait_order(self, public: str, count: int = 1) -> commands.Order:
        """The last order, when there are ``count``."""
        self.wait(lambda: len(self.orders(public)) >= count, f"{count} orders came")
        return self.orders(public)[-1]

    def receive(self, order: commands.Order) -> None:
        """Say that ``order`` is journaled."""
        receipt = Receipt(order=order.id, app=order.app, epoch=order.epoch, seq=order.seq)
        self.send(f"{self.prefix}/rsp/{order.name}", receipt.encode())
        self.settle()

    def answer(
        self, order: UUID, seq: int, name: str = "self-test", epoch: str = EPOCH, **more: Any
    ) -> None:
        """Tell what became of it."""
        fields: dict[str, Any] = {"outcome": "done", "app": "kiosk"} | more
        self.tell(CommandAnswered(order=order, name=name, **fields), seq, epoch)
        self.settle()


def request(
    name: str = "self-test", *, device: str = "kiosk-1", app: str = "kiosk", by: str = "person:boss",
    seconds: float = 300, tenant: str = "demo", **args: Any,
) -> commands.Request:  # fmt: skip
    """Something to ask for."""
    return commands.Request(
        id=UUID(new_id()), by=by, tenant=tenant, device=device, app=app, name=name, args=args,
        expires=CLOCK.now() + timedelta(seconds=seconds),
    )  # fmt: skip
