"""The app's own log, redacted here, packed, and uploaded to where an order says. Nothing unredacted leaves the box."""

from __future__ import annotations

import asyncio
import gzip
import ipaddress
import json
import re
import ssl
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from mocban import log
from mocban.clock import Clock, parse_rfc3339
from mocban.commands import CollectLogs
from mocban.errors import ConfigError, MocbanError, PeerUnreachable, Permanent, RemoteFault

READ_MAX = 16 * 1024 * 1024
"""Most bytes of the log that are looked at."""
LINES_MAX = 100_000
LINE_MAX = 16_384
PATIENCE = 20.0
"""Seconds one read or write of the upload may take."""

T = TypeVar("T")
_WORDS = re.compile(
    r"(?:TV|BD|SV|HS)\d{4,}"  # cards, also right behind a field's name
    r"|(?<![0-9A-Za-z])\d{10,12}(?![0-9A-Za-z])",  # telephone and citizen numbers
    re.IGNORECASE,
)
_FIELDS = re.compile(r"(A[ADE]|C[NO])[^|\"\n]{1,64}\|")  # a patron's fields of the SIP2 line


class Unwelcome(RemoteFault, Permanent):
    """The other side did not take the upload."""

    code = "upload-refused"


@dataclass(frozen=True, slots=True)
class Logs:
    """Where the log of ``app`` is, and by which certificates the other side must prove itself."""

    app: str
    clock: Clock
    file: Path | None = None
    ca_file: Path | None = None

    async def collect(self, order: CollectLogs) -> dict[str, Any]:
        """Upload; ``{"bytes", "lines"}``, or ``{"already": True}``.

        MocbanError ``insecure-url``, ``no-log``, ``upload-refused``, ``peer-unreachable``.
        """
        check_url(order.url)
        return await _aside(lambda: self._collect(order))

    def _collect(self, order: CollectLogs) -> dict[str, Any]:
        lines = [clean(line[:LINE_MAX]) for line in self._lines(order.minutes)]
        if not lines:
            raise ConfigError("there is no log to send", "set log_file", code="no-log")
        packed, kept = pack(lines, order.max_bytes)
        if not self._put(order, packed):
            return {"already": True}
        return {"bytes": len(packed), "lines": kept}

    def _lines(self, minutes: int) -> list[str]:
        if self.file is not None:
            return self._tail(self.file, minutes)
        argv = ["journalctl", "-q", "-u", f"mocban-{self.app}", "--since", f"-{minutes}min"]
        argv += ["-o", "cat", "--no-pager", "-n", str(LINES_MAX)]
        try:
            done = subprocess.run(argv, capture_output=True, timeout=60, check=True)
        except (OSError, subprocess.SubprocessError):
            return []
        return done.stdout[-READ_MAX:].decode(errors="replace").splitlines()

    def _tail(self, file: Path, minutes: int) -> list[str]:
        """The last ``minutes``; a line without a time belongs to the one before it."""
        try:
            with file.open("rb") as stream:
                stream.seek(max(0, file.stat().st_size - READ_MAX))
                lines = stream.read(READ_MAX).decode(errors="replace").splitlines()[-LINES_MAX:]
        except OSError:
            return []
        since = self.clock.now() - timedelta(minutes=minutes)
        for number, line in enumerate(lines):
            try:
                if parse_rfc3339(json.loads(line)["timestamp"]) >= since:
                    return lines[number:]
            except (ValueError, TypeError, KeyError):
                continue
        timed = any('"timestamp"' in line for line in lines)
        return [] if timed else lines

    def _put(self, order: CollectLogs, packed: bytes) -> bool:
        """False if it stands there already: we uploaded, and died before we said so."""
        request = urllib.request.Request(
            order.url, data=packed, method="PUT",
            headers={"Authorization": f"Bearer {order.token}", "Content-Type": "application/gzip"},
        )  # fmt: skip
        context = ssl.create_default_context(
            cafile=str(self.ca_file) if self.ca_file is not None else None
        )
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPSHandler(context=context),
        )
        try:  # a PUT follows no redirection, so the token goes nowhere else
            with opener.open(request, timeout=PATIENCE):
                return True
        except urllib.error.HTTPError as error:
            with error:
                if error.code == HTTPStatus.CONFLICT:
                    return False
                raise Unwelcome(f"the upload was answered {error.code}") from None
        except (OSError, ValueError) as error:
            raise PeerUnreachable(f"no upload: {type(error).__name__}") from None


def check_url(url: str) -> None:
    """Nothing for https, and for http to this very machine; else MocbanError ``insecure-url``."""
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return
    try:
        here = (
            parts.hostname == "localhost" or ipaddress.ip_address(parts.hostname or "").is_loopback
        )
    except ValueError:
        here = False
    if parts.scheme != "http" or not here:
        raise Unwelcome("logs go over HTTPS only", code="insecure-url")


def clean(line: str) -> str:
    """``line`` with everything blanked that could name a patron."""
    try:
        body = json.loads(line)
    except (ValueError, RecursionError):
        body = None
    if isinstance(body, dict):
        return json.dumps(_blank(log.redact(None, "", body)), ensure_ascii=False)
    return str(_blank(line))


def pack(lines: list[str], most: int) -> tuple[bytes, int]:
    """The newest of ``lines``, gzipped to at most ``most`` bytes, and how many they are."""
    kept = len(lines)
    while True:
        body = "".join(f"{line}\n" for line in lines[len(lines) - kept :])
        packed = gzip.compress(body.encode(), mtime=0)
        if len(packed) <= most or kept == 0:
            return packed, kept
        kept = min(kept - 1, int(kept * most / len(packed) * 0.95))


def _blank(value: Any) -> Any:
    match value:
        case str():
            return _FIELDS.sub(rf"\1{log.REDACTED}|", _WORDS.sub(log.REDACTED, value))
        case dict():
            return {_blank(key): _blank(one) for key, one in value.items()}
        case list() | tuple():
            return [_blank(one) for one in value]
        case int() if not isinstance(value, bool) and _WORDS.fullmatch(str(value)):
            return log.REDACTED
        case _:
            return value


async def _aside(work: Callable[[], T]) -> T:
    """Run ``work`` in a thread that does not hold up the end of the process: a dead line may keep it for long."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: Exception | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]  # it is T where there is no error

    def run() -> None:
        result: T | None = None
        fault: Exception | None = None
        try:
            result = work()
        except MocbanError as error:
            fault = error
        except Exception as error:  # noqa: BLE001  it is raised again where it is awaited
            fault = RuntimeError(type(error).__name__)
        try:
            loop.call_soon_threadsafe(settle, result, fault)
        except RuntimeError:  # the loop is gone: nobody waits
            return

    threading.Thread(target=run, name="logs", daemon=True).start()
    return await done
