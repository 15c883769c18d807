"""Logs leave the box redacted, packed, and only to where the order says."""

from __future__ import annotations

import asyncio
import gzip
import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from kiosk.remote.logs import Logs, check_url, clean, pack
from mocban import log
from mocban.clock import SetClock, rfc3339
from mocban.commands import CollectLogs
from mocban.errors import MocbanError
from tests.support.certificates import certificate

CARD = "TV2400001"
TOKEN = "0123456789abcdef" * 2
CLOCK = SetClock()


class Upload(http.server.BaseHTTPRequestHandler):
    """The gateway's side of an upload."""

    taken: list[tuple[str, str, bytes]]
    answer = 204

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.taken.append((self.path, self.headers["Authorization"], body))
        self.send_response(self.answer)
        if self.answer == 307:
            self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture
def upload() -> Iterator[tuple[str, type[Upload]]]:
    class Handler(Upload):
        taken: list[tuple[str, str, bytes]] = []  # noqa: RUF012  one list a test

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", Handler
    server.shutdown()
    server.server_close()
    thread.join()


def line(minutes_ago: float = 0, **words: Any) -> str:
    at = rfc3339(CLOCK.now() - timedelta(minutes=minutes_ago))
    return json.dumps({**words, "timestamp": at})


def collect(file: Path | None, url: str, **more: Any) -> dict[str, Any]:
    order = CollectLogs(url=url, token=TOKEN, **more)
    return asyncio.run(Logs("kiosk", CLOCK, file).collect(order))


def refused(code: str, file: Path | None, url: str) -> None:
    with pytest.raises(MocbanError) as error:
        collect(file, url)
    assert error.value.code == code


PLANTED = [
    line(event=f"seen {CARD} twice"),
    line(event="x", card=CARD),
    line(event="x", patron="Le Thi B", deep={"password": "hunter2"}),
    line(event="x", deep={"patron": {"id": CARD}, "list": [f"({CARD})"]}),
    line(event=f"sent 23|AA{CARD}|AC|", n=1),
    line(event="sent", raw=f"AE Nguyen Van A|AA{CARD}|"),
    json.dumps({CARD: "as a key", "timestamp": rfc3339(CLOCK.now())}),
    line(event="call 0912345678", citizen=24001234567),
    f"Traceback: KeyError('{CARD}')",
    f'["{CARD}"]',
    f"{{broken json {CARD.lower()}",
]


def test_no_upload_holds_a_planted_card(tmp_path: Path, upload: tuple[str, type[Upload]]) -> None:
    url, handler = upload
    file = tmp_path / "kiosk.log"
    file.write_text("\n".join(PLANTED) + "\n", encoding="utf-8")
    result = collect(file, f"{url}/api/v1/uploads/1")
    path, who, body = handler.taken[0]
    text = gzip.decompress(body).decode()
    assert (path, who) == ("/api/v1/uploads/1", f"Bearer {TOKEN}")
    assert result == {"bytes": len(body), "lines": len(PLANTED)}
    for secret in (
        CARD,
        CARD.lower(),
        "Nguyen Van A",
        "Le Thi B",
        "hunter2",
        "0912345678",
        "24001234567",
    ):
        assert secret not in text
    assert text.count(log.REDACTED) >= len(PLANTED)
    assert "seen" in text
    assert "twice" in text


def test_what_names_nobody_is_left_as_it_is() -> None:
    plain = line(event="tag.seen", uid="E004010012345678", item="BG00012345", n=12, ok=True)
    assert json.loads(clean(plain)) == json.loads(plain)
    assert clean("Started the kiosk.") == "Started the kiosk."


def test_only_the_last_minutes_are_sent_and_a_trace_goes_with_its_line(
    tmp_path: Path, upload: tuple[str, type[Upload]]
) -> None:
    url, handler = upload
    file = tmp_path / "kiosk.log"
    lines = [line(90, event="old"), "trace of old", line(10, event="new"), "trace of new"]
    file.write_text("\n".join(lines), encoding="utf-8")
    assert collect(file, url, minutes=60)["lines"] == 2
    text = gzip.decompress(handler.taken[0][2]).decode()
    assert "old" not in text
    assert "trace of new" in text


def test_the_newest_lines_are_kept_within_the_limit() -> None:
    lines = [clean(line(event=f"{n:032x}"[::-1] * 3, n=n * 7919 % 100_003)) for n in range(3000)]
    packed, kept = pack(lines, 4096)
    assert len(packed) <= 4096
    assert 10 < kept < 3000
    assert gzip.decompress(packed).decode().splitlines() == lines[-kept:]
    assert pack(["x" * 10], 5)[1] == 0


def test_without_a_log_there_is_nothing_to_send(
    tmp_path: Path, upload: tuple[str, type[Upload]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, handler = upload
    refused("no-log", tmp_path / "missing.log", url)
    (tmp_path / "old.log").write_text(line(90, event="old"), encoding="utf-8")
    refused("no-log", tmp_path / "old.log", url)
    monkeypatch.setenv("PATH", str(tmp_path))  # a box without systemd
    refused("no-log", None, url)
    assert handler.taken == []


def test_systemds_journal_is_asked_for_the_unit_of_the_app(
    tmp_path: Path, upload: tuple[str, type[Upload]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, handler = upload
    fake = tmp_path / "journalctl"  # a peer that says how it was asked
    fake.write_text(f'#!/bin/sh\necho "$@"\necho {CARD}\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert collect(None, url, minutes=7)["lines"] == 2
    text = gzip.decompress(handler.taken[0][2]).decode()
    assert "-u mocban-kiosk --since -7min" in text
    assert CARD not in text


@pytest.mark.parametrize(
    "url",
    ["http://gateway.example/up", "http://10.0.0.1/", "http://127.0.0.1.example/", "http:///x"],
)
def test_logs_go_in_the_clear_to_nobody_else(tmp_path: Path, url: str) -> None:
    refused("insecure-url", tmp_path / "x.log", url)


def test_https_and_this_very_machine_will_do() -> None:
    for url in (
        "https://gateway.example/x",
        "http://127.0.0.1:8000/",
        "http://[::1]/",
        "http://localhost/",
    ):
        check_url(url)


def test_the_other_side_must_prove_itself(tmp_path: Path) -> None:
    cert, private = certificate(tmp_path)

    class Handler(Upload):
        taken: list[tuple[str, str, bytes]] = []  # noqa: RUF012  one list a test

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, private)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that hung up
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    file = tmp_path / "kiosk.log"
    file.write_text(line(event="x"), encoding="utf-8")
    url = f"https://127.0.0.1:{server.server_address[1]}/up"
    order = CollectLogs(url=url, token=TOKEN)
    try:
        with pytest.raises(MocbanError) as error:
            asyncio.run(Logs("kiosk", CLOCK, file).collect(order))
        assert (error.value.code, Handler.taken) == ("peer-unreachable", [])
        result = asyncio.run(Logs("kiosk", CLOCK, file, cert).collect(order))
        assert (result["lines"], len(Handler.taken)) == (1, 1)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_token_follows_no_redirection_and_a_refusal_is_told(
    tmp_path: Path, upload: tuple[str, type[Upload]]
) -> None:
    url, handler = upload
    file = tmp_path / "kiosk.log"
    file.write_text(line(event="x"), encoding="utf-8")
    for handler.answer in (307, 403, 500):
        refused("upload-refused", file, url)
    assert len(handler.taken) == 3
    assert not any(path == "/elsewhere" for path, _, _ in handler.taken)


def test_an_upload_that_stands_there_already_is_done(
    tmp_path: Path, upload: tuple[str, type[Upload]]
) -> None:
    url, handler = upload
    handler.answer = 409
    file = tmp_path / "kiosk.log"
    file.write_text(line(event="x"), encoding="utf-8")
    assert collect(file, url) == {"already": True}


def test_a_gateway_that_is_not_there_is_told(tmp_path: Path) -> None:
    file = tmp_path / "kiosk.log"
    file.write_text(line(event="x"), encoding="utf-8")
    refused("peer-unreachable", file, "http://127.0.0.1:9/")
