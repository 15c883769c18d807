"""Calls over HTTP: one key each, bounded in time and size, never led elsewhere; what is not known is not guessed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from mocban.asking import Service
from mocban.clock import SystemClock
from ops.runbooks import actions
from ops.runbooks.actions import Actions
from ops.runbooks.happenings import Answered, Http
from ops.runbooks.state import Call

BODIES = {
    "/ok": (200, b'{"ticket": 17, "open": true, "more": {"deep": 1}}', {}),
    "/text": (201, "được \xff".encode("latin-1", "replace"), {}),
    "/moved": (302, b"", {"Location": "/ok"}),
    "/no": (404, b"{}", {}),
    "/broken": (500, b"", {}),
    "/busy": (429, b"", {}),
    "/long": (200, b"x" * 300_000, {}),
}


class Shop(ThreadingHTTPServer):
    """A service that answers by path, and remembers who asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str, bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                key = self.headers.get("Idempotency-Key") or ""
                outer.asked.append((self.path, key, self.headers.get("X-Kind") or "", body))
                if self.path == "/silent":
                    outer.hold.wait(20)
                    return
                status, body, headers = BODIES[self.path]
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self) -> None:
                self.do_POST()

            def log_message(self, *_: object) -> None:
                pass

        self.hold = threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: object) -> None:
        """A caller that went away is no news."""


@contextmanager
def running() -> Iterator[Shop]:
    shop = Shop()
    thread = threading.Thread(target=shop.serve_forever)
    thread.start()
    try:
        yield shop
    finally:
        shop.hold.set()
        shop.shutdown()
        thread.join(10)
        shop.server_close()


@pytest.fixture
def shop() -> Iterator[Shop]:
    with running() as shop:
        yield shop


def call(url: str, **more: Any) -> Answered:
    with ThreadPoolExecutor(2) as pool:
        service = Service("gateway", "http://127.0.0.1:9", lambda: "")
        made = Actions(service, SystemClock(), pool)
        return asyncio.run(made.http(Http("step", "the-key", 1, Call("POST", url, **more))))


@pytest.mark.parametrize(
    ("path", "outcome", "reason"),
    [
        ("/ok", "done", ""), ("/text", "done", ""), ("/moved", "failed", "http-302"), ("/no", "failed", "http-404"),
        ("/broken", "unknown", "http-500"), ("/busy", "unknown", "http-429"), ("/long", "done", ""),
    ],
)  # fmt: skip
def test_an_answer_is_done_not_done_or_not_known(
    shop: Shop, path: str, outcome: str, reason: str
) -> None:
    answer = call(shop.url + path)
    assert (answer.outcome, answer.reason, answer.maybe) == (outcome, reason, outcome == "unknown")
    assert [one[0] for one in shop.asked] == [path], "nothing is followed"
    assert len(answer.results["body"]) <= actions.VALUE_MAX


def test_key_headers_and_content_arrive_and_single_words_come_back(shop: Shop) -> None:
    answer = call(shop.url + "/ok", headers=(("X-Kind", "storm"),), content="cổng")
    assert shop.asked == [("/ok", "the-key", "storm", "cổng".encode())]
    assert answer.results["ticket"] == "17"
    assert answer.results["open"] == "true"
    assert answer.results["status"] == "200"
    assert "more" not in answer.results


def test_nobody_there_is_not_done_and_no_answer_is_not_known(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = call("http://127.0.0.1:9/")
    assert (answer.outcome, answer.reason, answer.maybe) == ("failed", "unreachable", False)
    monkeypatch.setattr(actions, "CALL_SECONDS", 0.3)
    answer = call(shop.url + "/silent")
    assert (answer.outcome, answer.reason, answer.maybe) == ("unknown", "no-answer", True)


def test_a_proxy_of_the_environment_is_not_asked(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert call(shop.url + "/ok").outcome == "done"


def test_other_addresses_than_http_are_not_opened() -> None:
    assert call("file:///etc/hostname").reason == "bad-request"


def test_a_devices_answer_is_handed_on_by_name() -> None:
    result = {"gate": "no answer", "disk": "9 MiB free", "lost": "gate", "deep": {"a": 1}}
    said = actions.of_order({"name": "self-test", "state": "done", "reason": "", "result": result})
    assert said == {
        "gate": "no answer",
        "disk": "9 MiB free",
        "lost": "gate",
        "outcome": "done",
        "reason": "",
    }
    assert (
        actions.of_order({"name": "restart", "state": "failed", "reason": "busy", "result": None})[
            "reason"
        ]
        == "busy"
    )
