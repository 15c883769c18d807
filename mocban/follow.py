"""Reading the gateway's committed facts in order, from where one left off, over HTTP. Synchronous.

The cursor is stored only after the reader is done with a page, so every fact is handed out at least once: after a
crash, or after the gateway came back older, some come again. Drop them by their ``id``.
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from mocban.clock import Clock, SystemClock
from mocban.errors import ConfigError, PeerUnreachable, RemoteProtocolError, StorageError

TIMEOUT = 15.0
"""Longest silence of the gateway while it owes an answer, in seconds."""
BODY_MAX = 16 * 1024 * 1024
"""Longest answer taken, in bytes."""
_LINE_MAX = 4096
_START = "0"
_ANEW = frozenset({410, 422})
"""Answers to a cursor the gateway does not know: of another store, or none at all (a damaged file)."""


class Follower:
    """One reader with a durable cursor in ``cursor_file``.

    ``restarted``: the gateway did not know our cursor (or what stands in the file is none), so everything is read
    again from the beginning.
    """

    def __init__(
        self, url: str, cursor_file: Path, *, ca_file: Path | None = None, token: str = "",
        clock: Clock | None = None,
    ) -> None:  # fmt: skip
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigError(f"{url} is no address of a gateway", "it reads https://host:port")
        self.restarted = False
        self._host, self._port, self._base = parts.hostname, parts.port, parts.path.rstrip("/")
        self._tls = ssl.create_default_context(cafile=ca_file) if parts.scheme == "https" else None
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._file = cursor_file
        self._clock = clock or SystemClock()
        self._done = self._next = _stored(cursor_file)

    @property
    def cursor(self) -> str:
        """Where the next page begins; opaque."""
        return self._done

    def page(self, limit: int = 100) -> list[dict[str, Any]]:
        """Up to ``limit`` facts after the stored cursor; the same again until ``commit``.

        PeerUnreachable: no gateway, or it cannot read its store now. RemoteProtocolError: that is none.
        """
        status, body = self._get(f"/api/v1/facts?after={quote(self._done)}&limit={limit}")
        if status in _ANEW and self._done != _START:
            self.restarted, self._done = True, _START
            return self.page(limit)
        if status >= 500:
            raise PeerUnreachable(f"the gateway answers {status}", "look at the gateway")
        try:
            if status != 200:
                raise ValueError
            page = json.loads(body)
            facts, self._next = list(page["facts"]), str(page["next"])
        except (ValueError, KeyError, TypeError):
            raise RemoteProtocolError(f"no page of facts, but status {status}") from None
        return facts

    def commit(self) -> None:
        """The last page is dealt with: never hand it out again. StorageError if that cannot be stored."""
        if self._next == self._done:
            return
        fresh = self._file.with_name(self._file.name + ".new")
        try:
            with fresh.open("w", encoding="ascii") as file:
                file.write(self._next + "\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(fresh, self._file)
            folder = os.open(self._file.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise StorageError(
                f"{self._file} cannot be written: {error.strerror}", "free space on the disk"
            ) from error
        self._done = self._next

    def wait(self, timeout: float) -> bool:
        """True as soon as there is more than what was handed out; False after ``timeout`` seconds."""
        end = self._clock.mono() + timeout
        with self._asked("/api/v1/facts/wake", min(TIMEOUT, timeout)) as (link, answer):
            if answer.status != 200:
                raise PeerUnreachable(f"the gateway answers {answer.status}", "ask again later")
            while (left := end - self._clock.mono()) > 0:
                if link.sock is not None:
                    link.sock.settimeout(left)
                try:
                    line = answer.readline(_LINE_MAX)
                except TimeoutError:
                    return False
                if not line:
                    raise PeerUnreachable("the gateway ended the connection")
                if line.startswith(b"data:") and self._is_news(line[5:]):
                    return True
        return False

    def _is_news(self, data: bytes) -> bool:
        try:
            return bool(json.loads(data)["next"] != self._next)
        except (ValueError, KeyError, TypeError):
            raise RemoteProtocolError("an event that is none") from None

    def _get(self, path: str) -> tuple[int, bytes]:
        with self._asked(path, TIMEOUT) as (_, answer):
            body = answer.read(BODY_MAX + 1)
            if len(body) > BODY_MAX:
                raise RemoteProtocolError(f"an answer of more than {BODY_MAX} bytes")
            return answer.status, body

    @contextmanager
    def _asked(
        self, path: str, timeout: float
    ) -> Iterator[tuple[http.client.HTTPConnection, http.client.HTTPResponse]]:
        """One question on a connection of its own, its answer not yet read."""
        link = (
            http.client.HTTPSConnection(self._host, self._port, timeout=timeout, context=self._tls)
            if self._tls
            else http.client.HTTPConnection(self._host, self._port, timeout=timeout)
        )
        with closing(link):
            try:
                link.request("GET", self._base + path, headers=self._headers)
                with closing(link.getresponse()) as answer:
                    yield link, answer
            except (OSError, http.client.HTTPException) as error:
                why = getattr(error, "strerror", None) or str(error) or type(error).__name__
                raise PeerUnreachable(f"no gateway: {why}", "look whether it runs") from error


def _stored(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii").strip() or _START
    except FileNotFoundError:
        return _START
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(
            f"{file} cannot be read", "look at it; without it all is read again"
        ) from error
