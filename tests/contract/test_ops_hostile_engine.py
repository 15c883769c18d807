"""Executions among enemies: services and gateways that answer anything, clocks that jump, playbooks without measure."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import UUID

import pytest

from mocban import commands
from mocban.asking import Service, Told
from mocban.clock import SetClock, SystemClock
from mocban.errors import RemoteProtocolError
from ops.runbooks import actions, rendering
from ops.runbooks.actions import Actions
from ops.runbooks.happenings import Answered, Http, Order
from ops.runbooks.model import Command
from ops.runbooks.sign import sign
from ops.runbooks.state import Call
from tests.support import hostile_books as books
from tests.support.engine_stand import Ops
from tests.support.gateway_stand import CLOCK, until
from tests.support.person import Person


@pytest.fixture
def ops(tmp_path: Path) -> Iterator[Ops]:
    staff = [Person(tmp_path, name) for name in ("boss", "minh")]
    with Ops(tmp_path, "http://127.0.0.1:9", "mqtt://127.0.0.1:9", *staff) as running:
        yield running


def begin(ops: Ops, **more: Any) -> str:
    return ops.begin("hostile", variables={}, **more)


# Answers

LONE = '{"lone": "\\ud800", "\\udfff": "x", "fine": "yes"}'
LONG = json.dumps({f"word{n}": "😀" * 4_000 for n in range(40)})


@pytest.mark.parametrize(
    "text", [LONE, "[" * 60_000, '{"a": 1e999}', "\x00\x1b", "", '{"a": ' + "9" * 5_000 + "}"]
)
def test_no_answer_of_a_service_leaves_a_step_hanging(ops: Ops, text: str) -> None:
    with books.serving(books.json_of(text)) as url:
        ops.write("hostile", books.chain(books.call(f"POST {url}/do")))
        assert ops.wait(begin(ops), "done", "failed", "waiting")["execution"]["state"] == "done"


def asked(
    url: str, clock: SetClock | SystemClock, meanwhile: Any = lambda: None, end: float = 10.0
) -> Answered | None:
    """What becomes of an order to the gateway at ``url``; None if nothing does."""

    async def body() -> Answered | None:
        with ThreadPoolExecutor(4) as pool:
            made = Actions(Service("gateway", url, lambda: "token"), clock, pool)
            request = commands.Request(
                id=UUID(int=7, version=4), by="person:boss", tenant="demo", device="gate-1", app="gate",
                name="self-test", args={}, expires=clock.now() + timedelta(seconds=60),
            )  # fmt: skip
            stop = asyncio.Event()
            task = asyncio.create_task(made.order("e", Order("k", request, ()), stop))
            await asyncio.sleep(0)
            await asyncio.get_running_loop().run_in_executor(None, meanwhile)
            done, _ = await asyncio.wait({task}, timeout=end)
            stop.set()
            await asyncio.wait({task}, timeout=10)
            return task.result() if done else None

    return asyncio.run(body())


def order_of(number: int, state: str = "done", **more: Any) -> str:
    ident = str(UUID(int=number, version=4))
    return json.dumps({"id": ident, "state": state, "reason": "", "sent": "", "result": {}, **more})


def test_the_answer_to_another_order_is_none_to_this_one() -> None:
    with books.serving(books.json_of(order_of(8))) as url:
        assert asked(url, SystemClock(), end=2.0) is None, "it goes on asking"
    with books.serving(books.json_of(order_of(7))) as url:
        answer = asked(url, SystemClock())
        assert answer is not None
        assert answer.outcome == "done"


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "null",
        '{"id": 1}',
        '{"state": ["done"]}',
        "<html>",
        '{"id": null, "state": "done"}',
        "9" * 5_000,
    ],
)
def test_garbage_of_the_gateway_is_no_answer(text: str) -> None:
    with books.serving(books.json_of(text)) as url:
        assert asked(url, SystemClock(), end=1.0) is None


def test_a_gateway_that_was_restored_older_is_asked_anew_for_the_same_order() -> None:
    asked_for: list[str] = []

    def answer(request: Any) -> None:
        known = asked_for.count("POST")
        asked_for.append(request.command)
        if request.command == "POST":
            books.json_of(order_of(7, "queued" if known == 0 else "done"))(request)
            return
        request.send_response(404)
        request.send_header("Content-Length", "0")
        request.end_headers()

    with books.serving(answer) as url:
        found = asked(url, SystemClock())
    assert found is not None
    assert (found.outcome, asked_for[:3]) == ("done", ["POST", "GET", "POST"])


def test_results_longer_than_the_journal_takes_are_cut() -> None:
    with books.serving(books.json_of(order_of(7, result=json.loads(LONG)))) as url:
        answer = asked(url, SystemClock())
        assert answer is not None
        assert sum(len(v.encode()) for v in answer.results.values()) < 300_000


class Jumping(SetClock):
    """A clock whose wall time somebody sets."""

    off = timedelta()

    def now(self) -> datetime:
        return super().now() + self.off


@pytest.mark.parametrize(
    "off", [timedelta(hours=-1), timedelta(days=-20_000), timedelta(days=27_000)]
)
def test_an_order_is_given_up_in_time_wherever_the_clock_jumps(off: timedelta) -> None:
    clock = Jumping()

    def later() -> None:
        threading.Event().wait(0.5)
        clock.off = off
        clock.advance(100)

    with books.serving(books.json_of(order_of(7, "queued"))) as url:
        answer = asked(url, clock, later, end=12.0)
        assert answer is not None, "it waits for a clock"
        assert (answer.outcome, answer.maybe) == ("unknown", True)


# Slow ones


def drip(request: Any) -> None:
    """A head that never ends, a line at a time."""
    request.wfile.write(b"HTTP/1.1 200 OK\r\n")
    for n in range(600):
        request.wfile.write(f"X-{n}: y\r\n".encode()[:3])
        request.wfile.flush()
        threading.Event().wait(0.1)


def test_drops_hold_no_thread_for_longer_than_a_call_may_take(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(actions, "CALL_SECONDS", 0.5)
    with books.serving(drip) as url, ThreadPoolExecutor(2) as pool:
        made = Actions(Service("gateway", url, lambda: ""), SystemClock(), pool)

        async def both() -> list[Answered]:
            one = Http("step", "key", 1, Call("POST", url))
            return list(await asyncio.gather(made.http(one), made.http(one)))

        assert [one.outcome for one in asyncio.run(both())] == ["unknown"] * 2
        assert pool.submit(lambda: 17).result(3) == 17, "the threads are free again"


def test_a_service_that_hangs_holds_up_no_other_execution(ops: Ops) -> None:
    def hang(_: Any) -> None:
        threading.Event().wait(20)

    with books.serving(hang) as url:
        ops.write("slow", books.side_by_side(*[books.call(f"POST {url}/do")] * 24))
        ops.begin("slow", variables={})
        ops.write("hostile", books.chain(books.manual("look", timeout=1000)))
        ident = begin(ops)
        ops.wait(ident, "failed", deadline=8.0)


# Values


@pytest.mark.parametrize(
    "value",
    [
        "../../admin",
        "..%2fadmin",
        "1?all=yes",
        "1#x",
        "1&force=1",
        "//evil.example/x",
        "https://evil.example",
        "ộ",
    ],
)
def test_a_value_stays_the_one_word_of_the_address_it_stands_in(value: str) -> None:
    one = Command("http-api", "DELETE https://web.example/notes/__id__:value/copy?of=__id__:value")
    parts = urlsplit(rendering.request(one, {"__id__": value}).url)
    assert (parts.hostname, parts.fragment, parts.path.count("/")) == ("web.example", "", 3)
    assert unquote(parts.path) == f"/notes/{value}/copy"
    assert parse_qs(parts.query) == {"of": [value]}
    assert parts.path.isascii()


def test_a_whole_address_or_host_may_stand_in_a_value() -> None:
    values = {"__url__": "https://gw.example:8443/base", "__host__": "gw.example:8443"}
    for text in ("GET __url__:value/x", "GET https://__host__:value/base/x"):
        found = rendering.request(Command("http-api", text), values)
        assert found.url == "https://gw.example:8443/base/x"
    evil = Command("http-api", "GET https://__host__:value/x")
    for value in (".", ".."):
        with pytest.raises(RemoteProtocolError):
            rendering.request(Command("http-api", "GET /a/__v__:value/b"), {"__v__": value})
    for host in ("evil.example/", "evil.example?", "evil.example#", "a@evil.example", "evil\\x"):
        with pytest.raises(RemoteProtocolError) as no:
            rendering.request(evil, {"__host__": host})
        assert no.value.code == "bad-request"


# Playbooks without measure


def test_a_time_beyond_all_calendars_is_refused_before_anything_begins(ops: Ops) -> None:
    for name in ("delay", "timeout"):
        ops.write("hostile", books.chain(books.manual("a"), books.manual("b", **{name: 2**53 - 1})))
        with pytest.raises(Told) as no:
            begin(ops)
        assert (no.value.status, no.value.code) == (422, "bad-playbook")


def test_ninety_branches_and_two_thousand_steps(ops: Ops) -> None:
    ops.write("hostile", books.side_by_side(*[books.manual("look")] * 90))
    ident = begin(ops)
    assert sum(1 for row in ops.show(ident)["steps"] if row["waits"] == "person") == 90
    ops.post(ident, "stop", by="boss")
    assert ops.state(ident) == "stopped"
    ops.write("hostile", books.chain(*[books.manual("look")] * 2_000))
    with pytest.raises(Told) as no:
        begin(ops)
    assert (no.value.status, no.value.code) == (422, "bad-playbook")


def test_an_execution_for_an_incident_that_is_not_there_does_not_begin(ops: Ops) -> None:
    ops.write("hostile", books.chain(books.manual("look")))
    with pytest.raises(Told) as no:
        begin(ops, incident=4711)
    assert (no.value.status, no.value.code) == (404, "incident-unknown")
    assert ops.api.get("/api/v1/executions", authorized=True)["executions"] == []


# Signatures of playbooks


def tampered(ops: Ops, **change: Any) -> str:
    """What is said of a signed playbook whose signature object was changed."""
    book = sign(books.chain(books.manual("look")), ops.key, "boss", CLOCK.now())
    (signature,) = book["signatures"]
    ops.write("hostile", {**book, "signatures": [{**signature, **change}]}, signed=False)
    with pytest.raises(Told) as no:
        begin(ops)
    return no.value.code


def test_a_signature_that_was_touched_is_none(ops: Ops, tmp_path: Path) -> None:
    for change in (
        {"related_version": "2026-11-25T08:00:00.001Z"}, {"signee": "root"}, {"value": "AAAA"}, {"revoked": False},
        {"algorithm": "none"}, {"valid_until": "2999-01-01T00:00:00.000Z"},
    ):  # fmt: skip
        assert tampered(ops, **change) == "bad-playbook", change
    assert tampered(ops, revoked=True) == "unsigned"
    assert tampered(ops, public_key="MCowBQYDK2VwAyEA" + "A" * 43 + "=") == "unsigned"


def test_a_signature_counts_only_in_its_time(ops: Ops, monkeypatch: pytest.MonkeyPatch) -> None:
    from ops.runbooks import sign as room

    real = room.digest

    def with_time(**times: str) -> None:
        """As another tool signs, which writes down until when it holds."""
        book = sign(books.chain(books.manual("look")), ops.key, "boss", CLOCK.now())
        unsigned = {k: v for k, v in book["signatures"][0].items() if k != "value"} | times
        import base64

        value = ops.key.private.sign(real(book, unsigned).encode())
        text = base64.urlsafe_b64encode(value).decode().rstrip("=")
        ops.write("hostile", {**book, "signatures": [{**unsigned, "value": text}]}, signed=False)

    for times in ({"valid_until": "2020-01-01T00:00:00.000Z"}, {"valid_from": "2999-01-01T00:00:00.000Z"}):  # fmt: skip
        with_time(**times)
        with pytest.raises(Told) as no:
            begin(ops)
        assert no.value.code == "not-valid", times
    with_time(valid_until="2999-01-01T00:00:00.000Z")
    assert ops.state(begin(ops)) == "waiting"


def test_two_hundred_at_once_and_the_next_one_waits_its_turn(ops: Ops) -> None:
    ops.write("hostile", books.chain(books.manual("look")))
    every = [begin(ops) for _ in range(200)]
    with pytest.raises(Told) as no:
        begin(ops)
    assert (no.value.status, no.value.code) == (503, "too-many")
    ops.post(every[0], "stop", by="boss")
    begin(ops)
    ops.stop()
    ops.start()
    until(lambda: ops.state(every[1]) == "waiting", "they are taken up again")
