"""What a kiosk and a gate ask of their machine, for ``mocban doctor``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from kiosk.settings import GateSettings, KioskSettings
from mocban.config import Config
from mocban.findings import Finding, Words, port, reach

SERVICE = "/run/pcscd/pcscd.comm"
"""Where the smart card service is, if the address does not say so."""


def kiosk(config: Config[KioskSettings], say: Words) -> Iterator[Finding]:
    """Screen port, pad and library system."""
    screen, ours = port(say, "kiosk.port", config.app.host, config.app.port)
    yield screen
    if config.app.pad_driver == "none":
        yield Finding("kiosk.pad", True, say("this station has no reader"))
    else:
        yield reader(say, "kiosk.pad", config.app.pad, ours=ours)
    yield library(say, config.app.ils.url)


def gate(config: Config[GateSettings], say: Words) -> Iterator[Finding]:
    """Port of the health page, and reader."""
    page, ours = port(say, "gate.port", config.app.host, config.app.port)
    yield page
    yield reader(say, "gate.reader", config.app.gate, ours=ours)


def reader(say: Words, name: str, url: str, *, ours: bool) -> Finding:
    """The reader is there. A serial line is only looked at: opening it would disturb a service that uses it."""
    parts = urlsplit(url)
    do = say("check the cable and power of the reader, and its address in the configuration")
    if parts.scheme == "serial":
        path = Path(parts.path)
        if not path.exists():
            return Finding(name, False, say("there is no {path}").format(path=path), do)
        if not os.access(path, os.R_OK | os.W_OK):
            told = say("{path} may not be opened").format(path=path)
            return Finding(name, False, told, say("add the service's user to the group dialout"))
        return Finding(name, True, say("{path} is there").format(path=path))
    if parts.scheme == "pcsc":
        return _cards(say, name, dict(parse_qsl(parts.query)).get("socket", SERVICE))
    if (
        parts.scheme == "tcp" and not ours
    ):  # a reader takes one connection: the running service has it
        return _answers(say, name, parts.hostname or "", parts.port or 0, do)
    return Finding(name, True, say("{url} belongs to the running service").format(url=url))


def _cards(say: Words, name: str, socket: str) -> Finding:
    """The smart card service waits at its socket; which readers it has is not asked: that could start it."""
    if find_spec("smartcard") is None:
        told = say("the Python package pyscard is missing")
        return Finding(name, False, told, say('pip install "mocban[pcsc]"'))
    if not Path(socket).is_socket():
        told = say("there is no {path}").format(path=socket)
        do = say("start the smart card service: systemctl start pcscd.socket")
        return Finding(name, False, told, do)
    return Finding(name, True, say("{path} is there").format(path=socket))


def library(say: Words, url: str) -> Finding:
    """The library system takes a connection."""
    parts = urlsplit(url)
    do = say("check kiosk.ils.url, the line and the library system")
    return _answers(say, "kiosk.library", parts.hostname or "", parts.port or 0, do)


def _answers(say: Words, name: str, host: str, number: int, do: str) -> Finding:
    where = {"host": host, "port": number}
    try:
        reach(host, number)
    except OSError as error:
        told = say("nothing answers at {host}:{port}: {why}")
        return Finding(name, False, told.format(**where, why=error.strerror or error), do)
    return Finding(name, True, say("{host}:{port} answers").format(**where))
