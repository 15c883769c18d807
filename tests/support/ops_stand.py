"""Around the tests of operations: the whole service in a thread, and deliveries of an Alertmanager."""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from mocban import access
from mocban.config import Config
from ops.app import main
from ops.settings import OpsSettings
from tests.support.gateway_stand import DEADLINE, free_port, until


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


class Ops:
    """The whole service in a thread of this process, with its own loop; ``url`` serves its API."""

    def __init__(
        self, folder: Path, broker_url: str = "mqtt://127.0.0.1:9", gateway_url: str = "http://127.0.0.1:9",
        **settings: Any,
    ) -> None:  # fmt: skip
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.folder = folder
        self.config = Config(
            "ops", "demo", folder, broker_url,
            OpsSettings(port=self.port, gateway_url=gateway_url, **settings),
        )  # fmt: skip
        self.failure: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until it is ready."""
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        until(lambda: bool(self.health()["ready"]) or self.failure is not None, "it is ready")

    def stop(self) -> None:
        """End it in good order."""
        if self._thread is not None:
            if self._loop is not None and self._stop is not None and self.failure is None:
                self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(10)
            assert not self._thread.is_alive()
            self._thread = self._stop = None
        if self.failure is not None:
            raise self.failure

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

    def _run(self) -> None:
        async def body() -> None:
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            await main(self.config, self._stop)

        try:
            asyncio.run(body())
        except BaseException as error:  # noqa: BLE001  told to whoever stops it
            self.failure = error
