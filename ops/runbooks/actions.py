"""One effect, carried out, and the one event it comes to: orders through the gateway, calls over HTTP."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from mocban import log
from mocban.asking import Service, Told
from mocban.clock import Clock
from mocban.errors import ConfigError, MocbanError, PeerUnreachable
from ops.runbooks import wire as wires
from ops.runbooks.happenings import Answered, Http, Order
from ops.runbooks.plan import HANDED_ON
from ops.runbooks.state import Call
from ops.runbooks.wire import Wire, opener

T = TypeVar("T")

GRACE = timedelta(seconds=30)
"""How long after an order's end its answer is still waited for."""
POLL = (0.1, 5.0)
"""First and longest pause between two looks at an order, in seconds."""
CALL_SECONDS = 30.0
"""Longest time one call may take."""
BODY_MAX = 65_536
"""Most bytes of an answer that are read."""
VALUE_MAX = 4_000
"""Longest result passed on, in characters."""
RESULTS_MAX = 40
"""Most results passed on."""
RESULTS_BYTES = 128 * 1024
"""Most bytes of results passed on: the journal takes them all in one event."""
LIFE_MAX = timedelta(hours=24)
"""Longest life of an order; a clock that says more stands wrong."""
ENDED = frozenset({"done", "refused", "failed", "expired"})
_FOR_GOOD = range(400, 500)
_log = log.get("ops.runbooks")


class Actions:
    """Carries effects out. ``pool`` is where blocking calls run; ``stop`` ends every wait without an event."""

    def __init__(
        self, gateway: Service, clock: Clock, pool: Executor, ca_file: Path | None = None
    ) -> None:
        self._gateway = gateway
        self._clock = clock
        self._pool = pool
        self._opener = opener(ca_file)

    async def order(self, execution: str, effect: Order, stop: asyncio.Event) -> Answered | None:
        """Ask the gateway for the order, which asked again is the same order, and follow it to its end.

        Without a gateway it is tried on until the order's end. None: the process ends first.
        """
        request, pause, asked, silent = effect.request, POLL[0], False, False
        ident = str(request.id)
        body = {
            "request": request.body(), "approvals": [one.model_dump() for one in effect.approvals],
        }  # fmt: skip

        # By both clocks: one that is set back must not make us wait for it.
        left = min(max(request.expires - self._clock.now(), timedelta()), LIFE_MAX) + GRACE
        end = self._clock.mono() + left.total_seconds()

        def answered(outcome: Any, reason: str = "", **more: Any) -> Answered:
            return Answered(self._clock.now(), effect.key, ident, outcome, reason[:200], **more)

        while not stop.is_set():
            late = self._clock.now() > request.expires + GRACE or self._clock.mono() > end
            try:
                if not asked and not late:
                    found = await self._blocking(
                        lambda: self._gateway.post("/api/v1/commands", body)
                    )
                    asked = True
                else:
                    found = await self._blocking(
                        lambda: self._gateway.get(
                            f"/api/v1/commands/{quote(ident)}", authorized=True
                        )
                    )
                if found["id"] != ident:
                    raise ValueError("the answer to another order")
                if silent:
                    _log.info("order.gateway-back", execution=execution, order=ident)
                    silent = False
                if found["state"] in ENDED:
                    return answered(
                        "done" if found["state"] == "done" else "failed",
                        ""
                        if found["state"] == "done"
                        else _whole(str(found["reason"] or found["state"])),
                        # The device may have taken it and could not say so.
                        maybe=found["state"] == "expired" and bool(found["sent"]),
                        results=of_order(found),
                    )
            except Told as no:
                if no.status == 404 and asked:
                    asked = (
                        False  # a gateway restored from an older copy: the same order, asked again
                    )
                elif no.status == 404 and late:
                    return answered(
                        "failed", "expired", results={"outcome": "expired", "reason": "expired"}
                    )
                elif (
                    no.status in _FOR_GOOD
                    and no.status not in {401, 404, 408, 429}
                    and no.code != "too-many"
                ):
                    code = _whole(str(no.code))
                    return answered("failed", code, results={"outcome": "refused", "reason": code})
                else:
                    silent = self._away(execution, ident, no, silent)
            except (PeerUnreachable, ConfigError) as error:
                silent = self._away(execution, ident, error, silent)
            except (KeyError, TypeError, ValueError) as error:
                silent = self._away(execution, ident, error, silent)
            if late:
                return answered("unknown", HANDED_ON, maybe=True, results={"outcome": "unknown"})
            await self._pause(stop, pause)
            pause = min(pause * 1.5, POLL[1])
        return None

    async def http(self, effect: Http) -> Answered:
        """One call. Whatever is not clearly done or clearly not sent is unknown."""
        wire = Wire()
        try:
            outcome, reason, maybe, results = await asyncio.wait_for(
                self._blocking(lambda: self._call(effect.call, effect.job, wire)),
                CALL_SECONDS * 1.5,
            )
        except TimeoutError:  # it comes in drops
            wire.cut()
            outcome, reason, maybe, results = "unknown", "no-answer", True, {}
        return Answered(
            self._clock.now(), effect.key, effect.job, outcome, reason, maybe, effect.tries, results
        )  # fmt: skip

    def _call(self, call: Call, ident: str, wire: Wire) -> tuple[Any, str, bool, Mapping[str, str]]:
        if not call.url.startswith(("http://", "https://")):
            return "failed", "bad-request", False, {"outcome": "failed", "reason": "bad-request"}
        request = wires.Call(
            call.url, wire, data=call.content.encode() or None, method=call.method,
            headers={"User-Agent": "mocban-ops", **dict(call.headers), "Idempotency-Key": ident},
        )  # fmt: skip
        try:
            with wire, self._opener.open(request, timeout=CALL_SECONDS) as answer:
                status, data = answer.status, _read(answer, self._clock)
        except urllib.error.HTTPError as error:
            with error:
                status, data = error.code, b""
                try:
                    data = _read(error, self._clock)
                except (OSError, http.client.HTTPException, ValueError):
                    pass  # its status is known
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, ConnectionRefusedError | socket.gaierror):
                return (
                    "failed",
                    "unreachable",
                    False,
                    {"outcome": "failed", "reason": "unreachable"},
                )
            if isinstance(reason, ssl.SSLError):
                return "failed", "tls", False, {"outcome": "failed", "reason": "tls"}
            return "unknown", "no-answer", True, {"outcome": "unknown", "reason": "no-answer"}
        if 200 <= status < 300:
            outcome, reason = "done", ""
        else:  # after 5xx it may have been done before something went wrong
            outcome = "unknown" if status in {408, 429} or status >= 500 else "failed"
            reason = f"http-{status}"
        results = {**_of_body(data), "status": str(status), "outcome": outcome, "reason": reason}
        return outcome, reason, outcome == "unknown", results

    def _away(self, execution: str, order: str, error: Exception, silent: bool) -> bool:
        if not silent:
            say = error.say if isinstance(error, MocbanError) else type(error).__name__
            _log.warning("order.gateway-away", execution=execution, order=order, say=say)
        return True

    async def _blocking(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    async def _pause(self, stop: asyncio.Event, seconds: float) -> None:
        try:
            await asyncio.wait_for(stop.wait(), seconds)
        except TimeoutError:
            pass


def of_order(found: Mapping[str, Any]) -> dict[str, str]:
    """What an order's answer says, by name; a self-test names in ``lost`` the parts that fail."""
    result = found.get("result")
    said = _texts(result if isinstance(result, dict) else {})
    return {**said, "outcome": str(found["state"]), "reason": _whole(str(found.get("reason", "")))}


def _of_body(data: bytes) -> dict[str, str]:
    text = data.decode("utf-8", "replace")
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        body = {}
    return {**_texts(body if isinstance(body, dict) else {}), "body": text[:VALUE_MAX]}


def _texts(body: Mapping[str, Any]) -> dict[str, str]:
    """What a JSON object says with one word each."""
    found, left = dict[str, str](), RESULTS_BYTES
    for name, value in list(body.items())[:RESULTS_MAX]:
        if isinstance(value, bool):
            text = "true" if value else "false"
        elif isinstance(value, str | int | float):
            text = _whole(str(value)[:VALUE_MAX])
        else:
            continue
        left -= len(text.encode())
        if left < 0:
            break
        found[_whole(str(name)[:60])] = text
    return found


def _whole(text: str) -> str:
    """``text`` without half characters, which nobody can write down."""
    return text.encode("utf-8", "replace").decode()


def _read(answer: Any, clock: Clock) -> bytes:
    """The body, as far as it comes in time and is not too long."""
    end, data = clock.mono() + CALL_SECONDS, b""
    while len(data) < BODY_MAX and clock.mono() < end:
        more = answer.read1(BODY_MAX - len(data))
        if not more:
            break
        data += more
    return data
