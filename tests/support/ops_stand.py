"""Around the tests of operations: the whole service in a thread, and deliveries of an Alertmanager."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Awaitable, Mapping
from pathlib import Path
from typing import Any

from mocban import access
from mocban.config import Config
from ops.app import main
from ops.settings import OpsSettings
from tests.support.gateway_stand import DEADLINE, free_port, until
from tests.support.housed import Housed


def alert(
    name: str = "MocbanKioskOffline", device: str = "kiosk-1", status: str = "firing",
    starts: str = "2026-11-25T08:00:00.5Z", ends: str = "0001-01-01T00:00:00Z", **labels: str,
) -> dict[str, Any]:  # fmt: skip
    """One alert as Alertmanager writes it."""
    named = {"alertname": name, "device": device, "app": "kiosk", "severity": "critical", **labels}
    shown = {key: value for key, value in named.items() if value}
    return {
        "status": status, "labels": shown, "annotations": {"summary": f"{name} on {device}"}, "startsAt": starts,
        "endsAt": ends, "generatorURL": "", "fingerprint": f"{hash_of(shown):016x}",
    }  # fmt: skip


def hash_of(labels: Mapping[str, str]) -> int:
    """FNV-1a over the labels: what matters is that it is stable."""
    value = 0xCBF29CE484222325
    for byte in json.dumps(labels, sort_keys=True).encode():
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def delivery(*alerts: dict[str, Any], truncated: int = 0) -> dict[str, Any]:
    """What Alertmanager posts: version 4."""
    return {
        "version": "4", "groupKey": "{}:{}", "truncatedAlerts": truncated, "status": "firing", "receiver": "mocban",
        "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://127.0.0.1:9093",
        "alerts": list(alerts),
    }  # fmt: skip


class Ops(Housed):
    """The whole service in a thread of this process, with its own loop; ``url`` serves its API."""

    def __init__(
        self, folder: Path, broker_url: str = "mqtt://127.0.0.1:9", gateway_url: str = "http://127.0.0.1:9",
        **settings: Any,
    ) -> None:  # fmt: skip
        super().__init__()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.folder = folder
        self.config = Config(
            "ops", "demo", folder, broker_url,
            OpsSettings(port=self.port, gateway_url=gateway_url, **settings),
        )  # fmt: skip

    def start(self) -> None:
        """Start it and wait until it is ready."""
        super().start()
        until(lambda: bool(self.health()["ready"]) or self.failure is not None, "it is ready")

    def health(self) -> dict[str, Any]:
        """``/healthz``, also while it answers 503 or nothing yet."""
        try:
            _, body = self.ask("GET", "/healthz", token="")
        except OSError:
            return {"ready": False, "ok": False, "checks": {}}
        return dict(json.loads(body))

    def ask(
        self, method: str, path: str, body: Any = None, token: str | None = None
    ) -> tuple[int, bytes]:
        """Status and body; ``body`` as JSON unless it is bytes; the operator's token unless another is given."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        given = access.token(self.folder, "ops") if token is None else token
        headers = {"authorization": f"Bearer {given}"} if given else {}
        request = urllib.request.Request(
            self.url + path, data=data, headers={**headers, "content-type": "application/json"}, method=method
        )  # fmt: skip
        try:
            with urllib.request.urlopen(request, timeout=DEADLINE) as answer:
                return int(answer.status), answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def get(self, path: str) -> Any:
        """The answer to an authorized question; it must be 200."""
        status, body = self.ask("GET", path)
        assert status == 200, body
        return json.loads(body)

    def post(self, path: str, body: Any) -> tuple[int, dict[str, Any]]:
        """Status and answer of an authorized post."""
        status, answer = self.ask("POST", path, body)
        return status, dict(json.loads(answer))

    def deliver(self, *alerts: dict[str, Any], truncated: int = 0) -> dict[str, Any]:
        """A delivery of Alertmanager's, with its own token; it must be taken."""
        token = access.token(self.folder, "ops", "webhook")
        status, body = self.ask(
            "POST", "/api/v1/alerts", delivery(*alerts, truncated=truncated), token
        )
        assert status == 200, body
        return dict(json.loads(body))

    def incidents(self, state: str = "") -> list[dict[str, Any]]:
        """Newest first."""
        found = self.get(f"/api/v1/incidents?limit=1000{f'&state={state}' if state else ''}")
        return list(found["incidents"])

    def timeline(self, no: int) -> list[dict[str, Any]]:
        """The lines of one incident."""
        return list(self.get(f"/api/v1/incidents/{no}")["timeline"])

    def _main(self, stop: asyncio.Event) -> Awaitable[None]:
        return main(self.config, stop)
