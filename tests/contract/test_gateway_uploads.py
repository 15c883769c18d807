"""Logs come up once, with the token of their order, within its bounds; nobody else's bytes stay."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.store.lending import SqliteLending
from gateway.store.orders import SqliteOrders
from gateway.uploads import Intake, Uploads
from mocban.access import Refusal
from tests.support.gateway_stand import running_broker, until
from tests.support.orders_stand import Centre, Device, request

TOKEN = "ab" * 16


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Centre]:
    with running_broker("iotcore", tmp_path) as broker, Centre(tmp_path, broker.url) as centre:
        with Device(broker.url) as device:
            device.say(online=True)
            device.settle()
            until(lambda: centre.knows("kiosk-1"), "the kiosk is known")
            yield centre


def ordered(gateway: Centre, **args: Any) -> str:
    """The path of an upload that was ordered."""
    url = f"{gateway.url}/api/v1/uploads/x"
    asked = request("collect-logs", url=url, token=TOKEN, **args)
    assert gateway.ask(asked)[0] == 201
    until(lambda: bool(gateway.order(asked)["sent"]), "it is sent")
    return f"/api/v1/uploads/{asked.id}"


def put(gateway: Centre, path: str, data: bytes, token: str = TOKEN) -> tuple[int, str]:
    """Status, and code of a refusal."""
    status, body = gateway.send("PUT", path, data, {"authorization": f"Bearer {token}"})
    return status, body["errors"][0]["code"] if "errors" in body else ""


def listed(gateway: Centre) -> list[tuple[str, int]]:
    return [(one["order"], one["size"]) for one in gateway.json("/api/v1/uploads")["uploads"]]


def test_logs_come_once_and_only_the_operator_reads_them(gateway: Centre, tmp_path: Path) -> None:
    path = ordered(gateway)
    order = path.rsplit("/", 1)[1]
    assert put(gateway, path, b"\x1f\x8bzipped") == (201, "")
    assert listed(gateway) == [(order, 8)]
    assert put(gateway, path, b"other") == (409, "uploaded")
    file = tmp_path / "gateway" / "uploads" / f"{order}.jsonl.gz"
    assert file.read_bytes() == b"\x1f\x8bzipped"
    assert file.stat().st_mode & 0o777 == 0o600
    assert gateway.send("GET", path, b"", {"authorization": f"Bearer {TOKEN}"})[0] == 401
    assert [one.name for one in file.parent.iterdir()] == [file.name]


def test_a_wrong_token_an_unknown_order_and_another_kind_look_alike(gateway: Centre) -> None:
    path = ordered(gateway)
    other = request()
    gateway.ask(other)
    said = [
        put(gateway, path, b"x", "cd" * 16),
        put(gateway, path, b"x", ""),
        put(gateway, f"/api/v1/uploads/{other.id}", b"x"),
        put(gateway, "/api/v1/uploads/00000000-0000-0000-0000-000000000000", b"x"),
        put(gateway, "/api/v1/uploads/nonsense", b"x"),
    ]
    assert said == [(401, "no-token")] * 5
    assert listed(gateway) == []


def test_too_much_is_refused_before_it_is_sent(gateway: Centre) -> None:
    path = ordered(gateway, max_bytes=1024)
    assert put(gateway, path, bytes(1025)) == (413, "too-long")
    assert put(gateway, path, bytes(1024)) == (201, "")


def test_too_much_that_was_not_announced_is_refused_on_the_way(
    gateway: Centre, tmp_path: Path
) -> None:
    path = ordered(gateway, max_bytes=4096)
    link = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
    try:
        link.putrequest("PUT", path)
        link.putheader("authorization", f"Bearer {TOKEN}")
        link.putheader("transfer-encoding", "chunked")
        link.endheaders()
        for _ in range(2):
            link.send(b"c00\r\n" + bytes(0xC00) + b"\r\n")
        answer = link.getresponse()  # the end of the body never comes
        assert answer.status == 413
        answer.read()
    finally:
        link.close()
    until(lambda: not list((tmp_path / "gateway" / "uploads").iterdir()), "nothing of it stays")


def test_a_caller_that_hangs_up_leaves_nothing_and_may_come_again(
    gateway: Centre, tmp_path: Path
) -> None:
    path = ordered(gateway)
    folder = tmp_path / "gateway" / "uploads"
    link = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
    link.putrequest("PUT", path)
    link.putheader("authorization", f"Bearer {TOKEN}")
    link.putheader("content-length", "1000")
    link.endheaders()
    link.send(bytes(100))
    until(lambda: bool(list(folder.iterdir())), "it comes in")
    link.close()
    until(lambda: not list(folder.iterdir()), "nothing of it stays")
    assert put(gateway, path, bytes(1000)) == (201, "")


def test_the_oldest_go_and_torn_ones_are_swept(tmp_path: Path) -> None:
    folder = tmp_path / "uploads"
    folder.mkdir()
    (folder / "x.part").write_bytes(b"torn")
    SqliteLending(tmp_path / "g.db").close()
    orders = SqliteOrders(tmp_path / "g.db")
    try:
        uploads = Uploads(folder, orders, 250)
        assert not list(folder.iterdir())
        for no in range(4):
            path = folder / f"00000000-0000-0000-0000-00000000000{no}.jsonl.gz"
            with Intake(path, 100, uploads._prune) as taking:
                taking.write(bytes(100))
                taking.keep()
            assert path.exists()
        assert sum(one.size for one in uploads.all()) == 200
        with pytest.raises(Refusal):
            uploads.intake("nonsense", TOKEN, None)
    finally:
        orders.close()
