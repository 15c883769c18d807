"""What a probe of ``mocban doctor`` finds, and the ways to look that disturb nobody: ports, answers, databases."""

from __future__ import annotations

import json
import socket
import sqlite3
import ssl
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mocban import web
from mocban.errors import ConfigError

REACH_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What one probe found; ``do`` says what to do if it is not ``ok``."""

    name: str
    ok: bool
    say: str
    do: str = ""

    def as_json(self) -> dict[str, Any]:
        """The shape ``--json`` prints."""
        return asdict(self) | ({"do": ""} if self.ok else {})


Words = Callable[[str], str]


def reach(host: str, port: int, tls: ssl.SSLContext | None = None, hello: bytes = b"") -> bytes:
    """What ``host:port`` answers to ``hello`` (nothing without one). OSError if it cannot be reached in time."""
    with socket.create_connection((host, port), REACH_SECONDS) as plain:
        if tls is not None:
            with tls.wrap_socket(plain, server_hostname=host) as wrapped:
                return _ask(wrapped, hello)
        return _ask(plain, hello)


def _ask(line: socket.socket, hello: bytes) -> bytes:
    if not hello:
        return b""
    line.sendall(hello)
    return line.recv(256)


def port(say: Words, name: str, host: str, number: int) -> tuple[Finding, bool]:
    """The port is free, or a service of ours has it: then also True."""
    where = {"host": host, "port": number}
    try:
        web.bind(host, number).close()
    except ConfigError:
        ours = _is_ours(host, number)
        told = (
            say("our own service has port {port}")
            if ours
            else say("another program has port {port}")
        )
        do = say("stop that program, or set another port")
        return Finding(name, ours, told.format(**where), do), ours
    return Finding(name, True, say("port {port} on {host} is free").format(**where)), False


def _is_ours(host: str, number: int) -> bool:
    """What listens there answers ``/healthz`` the way our services do, with or without TLS."""
    blind = ssl.SSLContext(
        ssl.PROTOCOL_TLS_CLIENT
    )  # we ask who has our port, and believe nothing else it says
    blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE
    for line in (
        HTTPConnection(host, number, timeout=REACH_SECONDS),
        HTTPSConnection(host, number, timeout=REACH_SECONDS, context=blind),
    ):
        try:
            line.request("GET", "/healthz")
            body = json.loads(line.getresponse().read(65536))
            return isinstance(body, dict) and {"ok", "ready", "checks"} <= set(body)
        except (OSError, HTTPException, ValueError):
            continue
        finally:
            line.close()
    return False


def database(say: Words, name: str, path: Path, table: str) -> Finding:
    """The database in ``path`` opens and has ``table``; or there is none yet."""
    if not path.exists():
        return Finding(name, True, say("no database yet: it has never run here"))
    try:
        with closing(read_only(path)) as db:
            db.execute(f"SELECT count(*) FROM {table}").fetchone()
    except sqlite3.Error as error:
        told = say("{path} cannot be read: {why}").format(path=path, why=error)
        return Finding(name, False, told, say("run this as the service's user, or as root"))
    return Finding(name, True, say("{path} opens").format(path=path))


def read_only(path: Path) -> sqlite3.Connection:
    """A connection that writes nothing beside ``path`` either, while its service runs or not."""
    # With no -wal nobody has it open; a reader would leave files of its own user, which the service could not use.
    mode = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "mode=ro&immutable=1"
    return sqlite3.connect(f"file:{quote(str(path.absolute()))}?{mode}", uri=True, timeout=2.0)
