"""What every page of ours promises: its own sockets, an orderly end, no entry for strangers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from mocban import web
from mocban.errors import ConfigError


async def app(scope: web.Scope, _: web.Receive, send: web.Send) -> None:
    """Answers every request; /hang never ends its answer."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if scope["path"] == "/hang":
        await send({"type": "http.response.body", "body": b"data: x\n\n", "more_body": True})
        await asyncio.Event().wait()
    await send({"type": "http.response.body", "body": b"hello"})


@asynccontextmanager
async def served() -> AsyncIterator[tuple[str, asyncio.Event, asyncio.Task[None]]]:
    sock = web.bind("127.0.0.1", 0)
    stop = asyncio.Event()
    port = web.port_of(sock)
    task = asyncio.create_task(web.serve(web.SecurityHeaders(app), sock, stop))
    try:
        yield f"http://127.0.0.1:{port}", stop, task
    finally:
        stop.set()
        await task


def test_a_port_in_use_is_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(ConfigError, match="cannot be had") as caught:
            web.bind("127.0.0.1", taken.getsockname()[1])
        assert caught.value.code == "port-in-use"


def test_pages_carry_the_strict_policy_and_are_not_stored() -> None:
    async def scenario() -> None:
        async with served() as (url, _, _), httpx.AsyncClient(base_url=url) as client:
            answer = await client.get("/")
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            assert "unsafe" not in answer.headers["content-security-policy"]
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["x-content-type-options"] == "nosniff"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {"host": "evil.example"}, 403),
        ("POST", {"origin": "http://evil.example"}, 403),
        ("POST", {"origin": "null"}, 403),
        ("GET", {"origin": "http://evil.example"}, 200),
        ("POST", {}, 200),
        ("GET", {"host": "localhost"}, 200),
    ],
)
def test_strangers_may_not_post(method: str, headers: dict[str, str], status: int) -> None:
    async def scenario() -> None:
        async with served() as (url, _, _), httpx.AsyncClient(base_url=url) as client:
            assert (await client.request(method, "/", headers=headers)).status_code == status

    asyncio.run(scenario())


def test_the_end_does_not_wait_for_a_stream_that_never_ends() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        async with served() as (url, stop, task), httpx.AsyncClient(base_url=url) as client:
            async with client.stream("GET", "/hang") as answer:
                assert await anext(answer.aiter_bytes()) == b"data: x\n\n"
                began = loop.time()
                stop.set()
                await task
                assert loop.time() - began < 2.5

    asyncio.run(scenario())


def test_fonts_are_there_with_their_licence_and_nothing_else() -> None:
    from starlette.applications import Starlette

    async def scenario() -> None:
        transport = httpx.ASGITransport(Starlette(routes=[web.fonts()]))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            styles = await client.get("/fonts/fonts.css")
            assert styles.status_code == 200
            assert styles.headers["cache-control"] == "max-age=86400"
            assert "OFL" in (await client.get("/fonts/LICENSE")).text.upper()
            assert (await client.get("/fonts/../web.py")).status_code == 404

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "said",
    [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET /"],
    ids=["nothing", "half a head", "half of the next head"],
)
def test_who_does_not_finish_asking_is_hung_up_on(
    said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "HEAD_SECONDS", 0.2)

    async def scenario() -> None:
        async with served() as (url, _, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rsplit(":", 1)[1]))
            writer.write(said)
            async with asyncio.timeout(8):
                rest = await reader.read()  # its end is what we wait for
            assert (b"hello" in rest) == (b"\r\n\r\n" in said)
            writer.close()

    asyncio.run(scenario())


def test_who_listens_to_a_long_answer_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "HEAD_SECONDS", 0.05)

    async def scenario() -> None:
        async with served() as (url, _, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rsplit(":", 1)[1]))
            writer.write(b"GET /hang HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await reader.readuntil(b"data: x\n\n")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):  # many times the patience
                    await reader.readuntil(b"never")
            writer.close()

    asyncio.run(scenario())
