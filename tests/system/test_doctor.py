"""``mocban doctor``: what is well is said to be well, what is not is named with what to do, and nothing is touched."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import socket
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from babel.messages.extract import extract_from_file
from babel.messages.mofile import read_mo

from mocban import cli, doctor, identity
from mocban.clock import SetClock, SystemClock
from mocban.events import PeopleCounted
from mocban.findings import Finding, read_only
from mocban.messages import Ack
from mocban.migrate import open_db
from mocban.outbox import Outbox
from tests.support.certificates import certificate
from tests.support.gateway_stand import Broker, free_port
from tests.support.serving import serving

ROOT = Path(__file__).resolve().parents[2]
STAFF = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + "A" * 43


def english(text: str) -> str:
    """The sentences as they stand in the source."""
    return text


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    running = Broker("auto", tmp_path_factory.mktemp("broker"))
    yield running
    running.stop()


@pytest.fixture
def pad(tmp_path: Path) -> Iterator[str]:
    """A tty somebody could open."""
    ours, theirs = pty.openpty()
    link = tmp_path / "pad"
    link.symlink_to(os.ttyname(theirs))
    yield str(link)
    os.close(ours)
    os.close(theirs)


@pytest.fixture
def site(tmp_path: Path, broker: Broker, pad: str) -> Iterator[dict[str, Any]]:
    """A machine on which all is well, as the parts of its configuration."""
    key = identity.signing_key(tmp_path / "data" / "gateway" / "keys" / "gateway.key")
    with serving(lambda line: None) as ils:
        yield {
            "data_dir": str(tmp_path / "data"), "mqtt": broker.url, "gateway_keys": [key.public],
            "staff": {"lan": STAFF},
            "kiosk": {"port": free_port(), "pad": f"serial://{pad}", "ils": {"url": f"sip2://127.0.0.1:{ils}"}},
            "gateway": {"port": free_port()},
        }  # fmt: skip


def write(folder: Path, parts: dict[str, Any]) -> Path:
    """``parts`` as a configuration file: every value inline, which TOML shares with JSON but for ``:``."""

    def inline(value: Any) -> str:
        if isinstance(value, dict):
            return "{" + ", ".join(f"{json.dumps(k)} = {inline(v)}" for k, v in value.items()) + "}"
        return json.dumps(value)

    file = folder / "mocban.toml"
    file.write_text("".join(f"{key} = {inline(value)}\n" for key, value in parts.items()))
    return file


def examined(file: Path, *, everything: bool = False) -> dict[str, Finding]:
    found = list(doctor.examine(file, english, everything=everything))
    return {finding.name: finding for finding in found}


def told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *argv: str
) -> tuple[int, str]:
    """Exit code and stdout of ``mocban doctor argv``."""
    monkeypatch.setattr(sys, "argv", ["mocban", "doctor", *argv])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0), capsys.readouterr().out


def files_of(folder: Path) -> list[tuple[str, int]]:
    return sorted((str(f), f.stat().st_mtime_ns) for f in folder.rglob("*"))


def test_a_well_machine_is_well_and_is_left_as_it_was(
    tmp_path: Path, site: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    file = write(tmp_path, site)
    before = files_of(tmp_path)
    code, out = told(monkeypatch, capsys, "--config", str(file), "--json", "--lang", "en")
    body = json.loads(out.splitlines()[-1])
    assert body["errors"] == []
    assert (code, body["ok"]) == (0, True)
    assert {"name", "ok", "say", "do"} == set(body["checks"][0])
    names = {check["name"] for check in body["checks"]}
    assert names == {
        "python", "packages", "clock", "machine-id", "configuration", "data-folder", "disk", "gateway-keys",
        "staff-keys", "secrets", "broker", "kiosk.outbox", "kiosk.port", "kiosk.pad", "kiosk.library",
        "gateway.outbox", "gateway.port", "gateway.database", "gateway.key",
    }  # fmt: skip
    assert files_of(tmp_path) == before


def spoil(site: dict[str, Any], key: str, value: Any) -> None:
    *tables, last = key.split(".")
    for table in tables:
        site = site[table]
    site[last] = value


@pytest.mark.parametrize(
    ("key", "value", "name", "say"),
    [
        ("gateway_keys", [], "gateway-keys", "no gateway key"),
        ("staff", {}, "staff-keys", "nobody"),
        ("mqtt", "mqtt://127.0.0.1:1", "broker", "127.0.0.1:1: Connection refused"),
        ("kiosk.pad", "serial:///dev/never", "kiosk.pad", "there is no /dev/never"),
        ("kiosk.ils.url", "sip2://127.0.0.1:1", "kiosk.library", "127.0.0.1:1: Connection refused"),
        ("data_dir", "/dev/null/x", "data-folder", "cannot be written"),
    ],
)
def test_what_is_not_well_is_named_with_what_to_do(
    tmp_path: Path, site: dict[str, Any], key: str, value: Any, name: str, say: str
) -> None:
    spoil(site, key, value)
    bad = {n: f for n, f in examined(write(tmp_path, site)).items() if not f.ok}
    assert set(bad) == {name}
    assert say in bad[name].say
    assert bad[name].do


def test_a_faulty_configuration_is_exit_2_and_names_every_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path, {"kiosk": {"prot": 1, "port": 70000}})
    code, out = told(monkeypatch, capsys, "--config", str(file), "--lang", "en")
    assert code == 2
    assert out.count("✗ configuration") == 2
    assert "did you mean kiosk.port?" in out
    code, out = told(monkeypatch, capsys, "--config", str(tmp_path / "none.toml"), "--json")
    assert code == 2
    assert json.loads(out.splitlines()[-1])["ok"] is False


def test_only_configured_apps_are_looked_at_unless_all_are(
    tmp_path: Path, site: dict[str, Any]
) -> None:
    del site["gateway"], site["kiosk"]["ils"]
    file = write(tmp_path, site)
    assert not [name for name in examined(file) if name.startswith("g") and "." in name]
    assert {"gate.reader", "gateway.database"} <= set(examined(file, everything=True))


def test_a_port_is_free_or_ours_or_somebody_elses(tmp_path: Path, site: dict[str, Any]) -> None:
    def answering(body: bytes) -> Callable[[socket.socket], None]:
        def answer(line: socket.socket) -> None:
            line.recv(4096)
            line.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + body)

        return answer

    with serving(answering(b"<html>")) as foreign:
        site["kiosk"]["port"] = foreign
        finding = examined(write(tmp_path, site))["kiosk.port"]
        assert not finding.ok
        assert "another program" in finding.say
    with serving(answering(b'{"ok": true, "ready": true, "checks": {}}')) as ours:
        site["kiosk"]["port"] = ours
        assert "our own service" in examined(write(tmp_path, site))["kiosk.port"].say


def test_the_gateways_certificate_is_looked_at(tmp_path: Path, site: dict[str, Any]) -> None:
    cert, key = certificate(tmp_path, "web")
    site["gateway"] |= {"tls_cert": str(cert), "tls_key": str(key)}
    file = write(tmp_path, site)
    assert examined(file)["gateway.tls"].ok
    key.chmod(0o644)
    assert "others may read" in examined(file)["gateway.tls"].say
    _, foreign = certificate(tmp_path, "foreign")
    site["gateway"]["tls_key"] = str(foreign)
    assert not examined(write(tmp_path, site))["gateway.tls"].ok


def test_a_secret_that_others_may_read_is_named(
    tmp_path: Path, site: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    credential = tmp_path / "credentials" / "mocban_kiosk__ils__user"
    credential.parent.mkdir()
    credential.write_text("a")
    credential.chmod(0o600)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credential.parent))
    site["kiosk"]["ils"]["password"] = "geheim"
    file = write(tmp_path, site)
    file.chmod(0o640)  # root's, for the group of the service
    key = tmp_path / "data" / "gateway" / "keys" / "gateway.key"
    assert examined(file)["secrets"].ok
    for secret, mode in ((file, 0o644), (credential, 0o640), (key, 0o640)):
        before = secret.stat().st_mode
        secret.chmod(mode)
        finding = examined(file)["secrets"]
        assert not finding.ok
        assert str(secret) in finding.say
        assert finding.do == f"chmod 600 {secret}"
        secret.chmod(before)


def test_waiting_facts_are_counted_while_the_service_runs_and_after(
    tmp_path: Path, site: dict[str, Any]
) -> None:
    file = write(tmp_path, site)
    database = tmp_path / "data" / "kiosk" / "kiosk.db"
    now = SystemClock().now()
    clock = SetClock(now - timedelta(minutes=90))
    box = Outbox(database, "kiosk-1", clock)
    for minute in range(3):
        box.put(PeopleCounted(passage=minute, entered=1, left=0))
    box.rows(0, 1)
    assert box.acked(Ack(epoch=box.epoch, upto=1)) == 1
    before = files_of(tmp_path)
    running = examined(file)["kiosk.outbox"]
    assert files_of(tmp_path) == before
    box.close()
    before = files_of(tmp_path)
    ended = examined(file)["kiosk.outbox"]
    assert files_of(tmp_path) == before
    for finding in (running, ended):
        assert finding.ok
        assert re.fullmatch(r"2 facts wait \(1 KiB\), the oldest for (90|91) min", finding.say)


def test_a_fact_that_waits_for_days_is_a_fault(tmp_path: Path, site: dict[str, Any]) -> None:
    old = SystemClock().now() - timedelta(days=3)
    box = Outbox(tmp_path / "data" / "kiosk" / "kiosk.db", "kiosk-1", SetClock(old))
    box.put(PeopleCounted(passage=1, entered=1, left=0))
    box.close()
    assert not examined(write(tmp_path, site))["kiosk.outbox"].ok


def test_a_damaged_database_and_a_lost_key_are_named(tmp_path: Path, site: dict[str, Any]) -> None:
    file = write(tmp_path, site)
    database = tmp_path / "data" / "gateway" / "gateway.db"
    open_db(database, "outbox", "mocban").close()
    (tmp_path / "data" / "gateway" / "keys" / "gateway.key").unlink()
    found = examined(file)
    assert found["gateway.database"].ok
    assert "no signing key" in found["gateway.key"].say
    assert not found["gateway.key"].ok
    database.write_bytes(b"no database" * 1000)
    found = examined(file)
    assert not found["gateway.database"].ok
    assert not found["gateway.outbox"].ok


def test_a_reader_of_the_database_cannot_write(tmp_path: Path) -> None:
    open_db(tmp_path / "a.db", "outbox", "mocban").close()
    db = read_only(tmp_path / "a.db")
    with pytest.raises(Exception, match="readonly"):
        db.execute("DELETE FROM outbox")
    db.close()


@pytest.mark.parametrize(
    ("now", "say"),
    [
        (datetime(1970, 1, 1, 0, 5, tzinfo=UTC), "lost the time"),
        (datetime(2001, 1, 1, tzinfo=UTC), "cannot be right"),
        (datetime(2106, 2, 7, tzinfo=UTC), "cannot be right"),
    ],
)
def test_a_clock_that_cannot_be_right_is_named(now: datetime, say: str) -> None:
    finding = doctor.clock(english, now)
    assert not finding.ok
    assert say in finding.say
    assert doctor.clock(english, SystemClock().now()).ok


@pytest.mark.parametrize("text", ["", "uninitialized\n", "short"])
def test_a_machine_without_an_id_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "id").write_text(text)
    assert not doctor.machine(english, tmp_path / "id").ok
    assert not doctor.machine(english, tmp_path / "none").ok


def test_it_speaks_vietnamese_unless_the_shell_is_english(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("MOCBAN_LANG", "LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "C.UTF-8")
    file = str(write(tmp_path, {"mqtt": "mqtt://127.0.0.1:1", "data_dir": str(tmp_path)}))
    assert "không có máy chủ MQTT" in told(monkeypatch, capsys, "--config", file)[1]
    assert "no broker" in told(monkeypatch, capsys, "--config", file, "--lang", "en")[1]
    monkeypatch.setenv("LANG", "en_US.UTF-8")
    code, out = told(monkeypatch, capsys, "--config", file)
    assert code == 1
    assert "✗ broker: no broker" in out
    assert all(len(line) <= 80 for line in out.splitlines())
    monkeypatch.setenv("MOCBAN_LANG", "vi")
    assert "không có máy chủ MQTT" in told(monkeypatch, capsys, "--config", file)[1]
    assert told(monkeypatch, capsys, "--lang", "fr")[0] == 2


def test_every_sentence_is_in_the_catalog_and_no_other() -> None:
    rooms = [ROOT / "mocban/doctor.py", ROOT / "mocban/findings.py"]
    rooms += [ROOT / app / "checks.py" for app in ("kiosk", "gateway", "ops", "backup")]
    said = {
        str(message)
        for room in rooms
        for _, message, _, _ in extract_from_file("python", room, keywords={"say": None})
    }
    compiled = ROOT / "mocban/locale/vi/LC_MESSAGES/mocban.mo"
    catalog = {m.id: m.string for m in read_mo(io.BytesIO(compiled.read_bytes())) if m.id}
    assert set(catalog) == said
    for english, vietnamese in catalog.items():
        holes = [sorted(re.findall(r"{\w+}", str(text))) for text in (english, vietnamese)]
        assert holes[0] == holes[1], english
