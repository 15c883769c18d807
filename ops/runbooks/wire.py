"""The way out over HTTP: nothing is followed, no proxy asked, and whoever waits can hang up."""

from __future__ import annotations

import http.client
import socket
import ssl
import urllib.request
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from threading import Lock
from typing import Any, Self

from mocban.errors import ConfigError


class Wire:
    """The connection of one call. ``cut`` from any thread: whatever the call waits for ends."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._sock: socket.socket | None = None
        self._cut = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            if self._sock is not None:
                self._sock.close()
                self._sock = None

    def connect(self, *args: Any, **options: Any) -> socket.socket:
        """As ``socket.create_connection``."""
        with self._lock:
            if self._cut:
                raise TimeoutError
        sock = socket.create_connection(*args, **options)
        with self._lock:
            # A second handle: TLS takes the first one for itself.
            self._sock = sock.dup()
        self._late()
        return sock

    def _late(self) -> None:
        """Hang up again if somebody did while we were connecting."""
        if self._cut:
            self.cut()

    def cut(self) -> None:
        """Hang up."""
        with self._lock:
            self._cut = True
            if self._sock is not None:
                with suppress(OSError):  # it is over already
                    self._sock.shutdown(socket.SHUT_RDWR)


class Call(urllib.request.Request):
    """A request and its ``wire``."""

    def __init__(self, url: str, wire: Wire, **parts: Any) -> None:
        super().__init__(url, **parts)
        self.wire = wire


class _Plain(http.client.HTTPConnection):
    def __init__(self, *args: Any, wire: Wire, **options: Any) -> None:
        super().__init__(*args, **options)
        self._create_connection = wire.connect


class _Secret(http.client.HTTPSConnection):
    def __init__(self, *args: Any, wire: Wire, **options: Any) -> None:
        super().__init__(*args, **options)
        self._create_connection = wire.connect


class _Http(urllib.request.HTTPHandler):
    def http_open(self, req: Any) -> Any:
        return self.do_open(partial(_Plain, wire=req.wire), req)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, ca_file: Path | None) -> None:
        super().__init__(context=_verifying(ca_file))  # a bad file is said at once
        self._tls = cache(lambda: _verifying(ca_file, well_known=True))

    def https_open(self, req: Any) -> Any:
        return self.do_open(partial(_Secret, wire=req.wire, context=self._tls()), req)


class _Straight(urllib.request.HTTPRedirectHandler):
    """An answer that names another address is an answer: nothing is followed."""

    def redirect_request(self, *_: Any) -> None:
        return None


def opener(ca_file: Path | None) -> urllib.request.OpenerDirector:
    """Knows http and https, verifies, and follows nothing: neither another address nor a proxy of the environment.

    It opens ``Call``s.
    """
    made = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler({}), _Http(), _Https(ca_file), _Straight(),
        urllib.request.HTTPDefaultErrorHandler(), urllib.request.HTTPErrorProcessor(),
    ):  # fmt: skip
        made.add_handler(handler)
    return made


def _verifying(ca_file: Path | None, *, well_known: bool = False) -> ssl.SSLContext:
    """Believes ``ca_file`` and, if ``well_known``, the machine's authorities, which take long to load."""
    tls = ssl.create_default_context() if well_known else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca_file is not None:
        try:
            tls.load_verify_locations(ca_file)
        except OSError as error:
            raise ConfigError(
                f"{ca_file} cannot be used", "set ca_file to certificates (PEM)"
            ) from error
    return tls
