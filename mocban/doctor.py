"""``mocban doctor``: what this machine needs to serve, looked at one by one. It looks and writes nothing.

Every app adds its own probes by entry point ``mocban.checks``: ``(config, words) -> findings``.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import ssl
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mocban.clock import SystemClock, parse_rfc3339
from mocban.config import Config
from mocban.errors import ConfigError, MocbanError
from mocban.findings import Finding, Words, reach, read_only
from mocban.i18n import catalog
from mocban.ids import new_epoch
from mocban.settings import Survey, survey

SPACE_MB = 200
OLDEST = timedelta(days=1)
"""A fact that waits longer than this says that the line to the gateway is broken."""
DEVICES = frozenset({"kiosk", "gate"})
PACKAGES = ("mocban", "kiosk", "gateway", "ops", "backup")


Probe = Callable[[Config[Any], Words], Iterable[Finding]]


def words(lang: str) -> Words:
    """The doctor's sentences in ``lang``."""
    return catalog("mocban", lang).gettext


def examine(path: Path | None, say: Words, *, everything: bool = False) -> Iterator[Finding]:
    """All findings, each as soon as it is known. Without ``everything`` only the configured apps are looked at."""
    yield python(say)
    yield packages(say)
    yield clock(say, SystemClock().now())
    yield machine(say, Path("/etc/machine-id"))
    try:
        found = survey(path)
    except ConfigError as error:
        yield Finding("configuration", False, error.say, error.do)
        return
    yield from configuration(say, found)
    if found.whole is None:
        return
    apps = [app for app in found.models if everything or found.has(app)]
    yield from folder(say, found.whole.data_dir)
    if DEVICES & set(apps):
        yield from trust(say, found)
    yield secrets(say, found)
    yield broker(say, found.whole.mqtt, found.whole.ca_file)
    probes = {entry.name: entry for entry in entry_points(group="mocban.checks")}
    for app in apps:
        config = found.config(app)
        yield outbox(say, config)
        if app in probes:
            yield from _probe(say, app, probes[app].load, config)


def _probe(
    say: Words, app: str, load: Callable[[], Probe], config: Config[Any]
) -> Iterator[Finding]:
    try:
        yield from load()(config, say)
    except MocbanError as error:
        yield Finding(app, False, error.say, error.do)
    except ModuleNotFoundError as error:
        missing = say("the package {name} is missing").format(name=error.name)
        yield Finding(app, False, missing, say("install this role, or run ./up"))


def python(say: Words) -> Finding:
    """The interpreter is one we know."""
    version = ".".join(map(str, sys.version_info[:3]))
    ok = sys.version_info >= (3, 11)
    return Finding(
        "python",
        ok,
        say("Python {version}").format(version=version),
        say("install Python 3.11 or later"),
    )


def packages(say: Words) -> Finding:
    """The names of our packages are ours: a foreign one would shadow ours without a word."""
    home = Path(__file__).resolve().parent.parent
    foreign = [
        name
        for name in PACKAGES
        if (spec := find_spec(name)) is not None
        and (not spec.origin or Path(spec.origin).resolve().parent.parent != home)
    ]
    if foreign:
        told = say("these packages are not ours: {names}").format(names=", ".join(foreign))
        return Finding("packages", False, told, say("use an environment for mocban alone"))
    return Finding("packages", True, say("all packages are of one installation"))


def clock(say: Words, now: datetime) -> Finding:
    """The clock is after our newest file and within this century."""
    files = Path(__file__).resolve().parent.rglob("*.py")
    newest = datetime.fromtimestamp(max(file.stat().st_mtime for file in files), UTC)
    shown = now.strftime("%Y-%m-%d %H:%M UTC")
    do = say("set the clock: timedatectl set-ntp true, and check the clock's battery")
    if now.year == 1970:
        told = say("the clock has lost the time: it says {now}")
        return Finding("clock", False, told.format(now=shown), do)
    ok = newest - timedelta(days=1) <= now < datetime(2100, 1, 1, tzinfo=UTC)
    told = say("the clock says {now}") if ok else say("the clock cannot be right: it says {now}")
    return Finding("clock", ok, told.format(now=shown), do)


def machine(say: Words, file: Path) -> Finding:
    """This machine has a name of its own, which a cloned disk is known by."""
    try:
        ok = len(file.read_text(encoding="ascii").strip()) == 32
    except (OSError, UnicodeDecodeError):
        ok = False
    told = say("this machine has its id") if ok else say("{file} holds no machine id")
    return Finding("machine-id", ok, told.format(file=file), say("run systemd-machine-id-setup"))


def configuration(say: Words, found: Survey) -> Iterator[Finding]:
    """No fault in any table; else each of them."""
    for fault in found.faults:
        told = fault.as_json()
        what = say("{fault} ({where})").format(fault=told["say"], where=fault.where)
        do = (
            say("did you mean {key}?").format(key=fault.meant) if fault.meant else say("correct it")
        )
        yield Finding("configuration", False, what, do)
    if not found.faults:
        yield Finding("configuration", True, say("the configuration is valid"))


def folder(say: Words, data_dir: Path) -> Iterator[Finding]:
    """The data folder, or the nearest that exists above it, can be written and has room."""
    near = next(
        each for each in (data_dir.absolute(), *data_dir.absolute().parents) if each.exists()
    )
    ok = near.is_dir() and os.access(near, os.W_OK | os.X_OK)
    told = say("{path} can be written") if ok else say("{path} cannot be written")
    do = say("give the service's user this folder: data_dir in the configuration")
    yield Finding("data-folder", ok, told.format(path=data_dir), do)
    if not near.is_dir():
        return
    free = shutil.disk_usage(near).free // 1_000_000
    told = say("{free} MB are free").format(free=free)
    do = say("free space on the disk: {least} MB at least").format(least=SPACE_MB)
    yield Finding("disk", free >= SPACE_MB, told, do)


def trust(say: Words, found: Survey) -> Iterator[Finding]:
    """Whose word a device believes is pinned."""
    assert found.whole is not None
    keys, staff = len(found.whole.gateway_keys), len(found.whole.staff)
    told = (
        say("{n} gateway keys are pinned").format(n=keys)
        if keys
        else say("no gateway key is pinned: orders and feeds are not believed")
    )
    yield Finding("gateway-keys", bool(keys), told, say("write the gateway's key to gateway_keys"))
    told = (
        say("{n} people may approve orders").format(n=staff)
        if staff
        else say("nobody may approve orders")
    )
    yield Finding("staff-keys", bool(staff), told, say("write the staff's keys to [staff]"))


def secrets(say: Words, found: Survey) -> Finding:
    """No secret of ours may be read by others: keys, credentials, files with a password."""
    assert found.whole is not None
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    held = {Path(file) for file in found.secret_files()}
    if credentials:
        held |= set(Path(credentials).glob("mocban_*"))
    if os.access(found.whole.data_dir, os.R_OK | os.X_OK):
        held |= set(found.whole.data_dir.glob("*/*.key"))
        held |= set(found.whole.data_dir.glob("*/keys/*"))
    # A root that gives a service group its configuration (0640) is the packaged way; keys are their owner's alone.
    open_ = sorted(
        str(file)
        for file in held
        if file.is_file()
        and stat.S_IMODE(file.stat().st_mode) & (0o007 if file.suffix == ".toml" else 0o077)
    )
    if open_:
        told = say("others may read {files}").format(files=", ".join(open_))
        return Finding("secrets", False, told, f"chmod 600 {' '.join(open_)}")
    return Finding("secrets", True, say("no secret may be read by others"))


def _hello() -> bytes:
    """An MQTT 5 CONNECT with a clean start under a name nobody has, then DISCONNECT (MQTT 5, 3.1 and 3.14)."""
    name = f"doctor-{new_epoch()}".encode()
    body = b"\x00\x04MQTT\x05\x02\x00\x0a\x00" + len(name).to_bytes(2, "big") + name
    return bytes((0x10, len(body))) + body + b"\xe0\x00"


def broker(say: Words, url: str, ca_file: Path | None) -> Finding:
    """The broker speaks MQTT 5; over TLS it proves who it is."""
    parts = urlsplit(url)
    secure = parts.scheme == "mqtts"
    host, port = parts.hostname or "", parts.port or (8883 if secure else 1883)
    where = {"host": host, "port": port}
    do = say("check mqtt in the configuration, the cable and the broker")
    try:
        tls = ssl.create_default_context(cafile=ca_file) if secure else None
        answer = reach(host, port, tls, _hello())
    except ssl.SSLCertVerificationError as error:
        told = say("the broker does not prove who it is: {why}").format(why=error.verify_message)
        return Finding("broker", False, told, say("check ca_file and the name in mqtt"))
    except OSError as error:
        told = say("no broker at {host}:{port}: {why}")
        return Finding("broker", False, told.format(**where, why=error.strerror or error), do)
    if len(answer) < 4 or answer[0] != 0x20 or answer[1] < 3:  # CONNACK; that of MQTT 3 has 2 bytes
        told = say("what answers at {host}:{port} is no MQTT 5 broker")
        return Finding("broker", False, told.format(**where), do)
    if answer[3] in {0x86, 0x87, 0x8C}:  # bad user name or password, not authorised, bad method
        told = say("the broker at {host}:{port} answers, and asks who we are")
        return Finding("broker", True, told.format(**where))
    if answer[3] >= 0x80:
        told = say("the broker at {host}:{port} refuses: reason {reason}")
        return Finding("broker", False, told.format(**where, reason=f"0x{answer[3]:02x}"), do)
    return Finding("broker", True, say("the broker at {host}:{port} answers").format(**where))


def outbox(say: Words, config: Config[Any]) -> Finding:
    """Few facts wait, and none for long."""
    name = f"{config.name}.outbox"
    if not config.database.exists():
        return Finding(name, True, say("no outbox yet: it has never run here"))
    try:
        db = read_only(config.database)
        try:
            if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'outbox'").fetchone():
                return Finding(name, True, say("it has no outbox"))
            # Delivered facts stay a while: what waits is above the watermark.
            waiting = "FROM outbox WHERE seq > (SELECT upto FROM outbox_self)"
            depth, size = db.execute(
                f"SELECT count(*), coalesce(sum(length(payload)), 0) {waiting}"
            ).fetchone()
            first = db.execute(f"SELECT payload {waiting} ORDER BY seq LIMIT 1").fetchone()
        finally:
            db.close()
    except sqlite3.Error as error:
        told = say("{path} cannot be read: {why}").format(path=config.database, why=error)
        return Finding(name, False, told, say("run this as the service's user, or as root"))
    if not depth:
        return Finding(name, True, say("no fact waits"))
    age = _age(first[0])
    told = say("{n} facts wait ({kib} KiB), the oldest for {minutes} min").format(
        n=depth, kib=-(-size // 1024), minutes=max(0, int(age.total_seconds() // 60))
    )
    ok = age < OLDEST and size < config.outbox_mib * 1024 * 1024 * 0.8
    return Finding(name, ok, told, say("check the line to the broker and that the gateway runs"))


def _age(payload: bytes) -> timedelta:
    try:
        return SystemClock().now() - parse_rfc3339(json.loads(payload)["ts"])
    except (ValueError, KeyError, TypeError):
        return timedelta()
