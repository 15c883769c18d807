"""Configuration: layers, unknown keys, credentials."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from kiosk.settings import KioskSettings
from mocban import cli, config
from mocban.config import Shared
from mocban.errors import ConfigError
from mocban.schema import schema
from mocban.settings import models, survey


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.delenv("MOCBAN_CONFIG", raising=False)


def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *argv: str
) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of ``mocban config argv``."""
    monkeypatch.setattr(sys, "argv", ["mocban", "config", *argv])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def write(folder: Path, text: str, name: str = "mocban.toml") -> Path:
    file = folder / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def test_defaults_stand_where_nothing_is_said(tmp_path: Path) -> None:
    read = config.load("kiosk", KioskSettings, write(tmp_path, ""))
    assert read.app.port == 8080
    assert read.identity.client_id == "kiosk-1.kiosk"
    assert read.database == Path("/var/lib/mocban/kiosk/kiosk.db")


def test_environment_over_credentials_over_confd_over_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(
        tmp_path, '[kiosk]\nport = 1\nidle_seconds = 30\n[kiosk.ils]\nuser = "a"\npassword = "a"\n'
    )
    write(tmp_path, '[kiosk]\nport = 2\n[kiosk.ils]\nuser = "b"\n', "conf.d/10-site.toml")
    write(tmp_path, "geheim\n", "credentials/mocban_kiosk__ils__password")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    monkeypatch.setenv("MOCBAN_KIOSK__DEVICE", "from-env")
    read = config.load("kiosk", KioskSettings, file)
    assert (read.app.port, read.app.idle_seconds, read.app.ils.user) == (2, 30, "b")
    assert read.app.ils.password.get_secret_value() == "geheim"
    assert "geheim" not in repr(read)
    assert read.app.device == "from-env"


@pytest.mark.parametrize(
    ("text", "say"),
    [
        ("[kiosk]\nprot = 1\n", "unknown key kiosk.prot"),
        ("colour = 1\n", "unknown key colour"),
        ("[kiosk]\nport = 70000\n", "kiosk.port"),
        ('[kiosk]\ndevice = "K 1"\n', "kiosk.device"),
        ('mqtt = "http://x"\n', "mqtt"),
        ("[kiosk\n", "not valid TOML"),
    ],
)
def test_a_wrong_key_is_one_sentence_and_exit_2(tmp_path: Path, text: str, say: str) -> None:
    with pytest.raises(ConfigError, match=say) as caught:
        config.load("kiosk", KioskSettings, write(tmp_path, text))
    assert caught.value.exit == 2
    assert caught.value.do


def test_a_neighbours_table_is_left_to_it(tmp_path: Path) -> None:
    read = config.load("kiosk", KioskSettings, write(tmp_path, "[gateway]\nanything = 1\n"))
    assert read.name == "kiosk"


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no configuration file"):
        config.load("kiosk", KioskSettings, tmp_path / "none.toml")


WRONG = """\
colour = 1
[kiosk]
prot = 1
port = 70000

[kiosk.ils]
pasword = "geheim"
timeout = 0
[gatewy]
[ops]
strange = 1
"""


def test_check_names_every_fault_with_its_place_and_what_was_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path, WRONG)
    site = write(tmp_path, "[gate\n", "conf.d/10-site.toml")
    credential = write(tmp_path, "x", "credentials/mocban_kiosk__ils__usr")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credential.parent))
    monkeypatch.setenv("MOCBAN_KIOSK__HOSST", "x")
    monkeypatch.setenv("MOCBAN_KIOSK__LIBRARY", "no json")
    monkeypatch.setenv("MOCBAN_GATEWAY__BATCH", "0")
    monkeypatch.setenv("MOCBAN_TENNANT", "x")
    code, out, _ = command(monkeypatch, capsys, "check", "--json", "--config", str(file))
    body = json.loads(out.splitlines()[-1])
    assert (code, body["ok"]) == (2, False)
    found = {(e["key"], e["where"].replace(str(tmp_path), ""), e["meant"]) for e in body["errors"]}
    assert found == {
        ("", f"{str(site).replace(str(tmp_path), '')}:1", ""),
        ("colour", "/mocban.toml:1", ""),
        ("kiosk.prot", "/mocban.toml:3", "kiosk.port"),
        ("kiosk.port", "/mocban.toml:4", ""),
        ("kiosk.ils.pasword", "/mocban.toml:7", "kiosk.ils.password"),
        ("kiosk.ils.timeout", "/mocban.toml:8", ""),
        ("gatewy", "/mocban.toml:9", "gateway"),
        ("ops.strange", "/mocban.toml:11", ""),
        ("kiosk.ils.usr", "credential /credentials/mocban_kiosk__ils__usr", "kiosk.ils.user"),
        ("kiosk.hosst", "env MOCBAN_KIOSK__HOSST", "kiosk.host"),
        ("kiosk.library", "env MOCBAN_KIOSK__LIBRARY", ""),
        ("gateway.batch", "env MOCBAN_GATEWAY__BATCH", ""),
        ("tennant", "env MOCBAN_TENNANT", "MOCBAN_TENANT"),
    }
    assert "geheim" not in out
    code, out, err = command(monkeypatch, capsys, "check", "--config", str(file))
    assert (code, out) == (2, "")
    assert f"{file}:3: kiosk.prot: unknown key (did you mean kiosk.port?)" in err.splitlines()


def test_check_agrees_with_what_a_service_would_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path, '[kiosk]\nport = 1\nlibrary = { vi = "A" }\n[kiosk.ils]\nuser = "a"\n')
    write(tmp_path, '[kiosk.library]\nen = "B"\n[kiosk.ils]\nuser = "b"\n', "conf.d/10-site.toml")
    write(tmp_path, "geheim\n", "credentials/mocban_kiosk__ils__password")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    monkeypatch.setenv("MOCBAN_KIOSK__DEVICE", "from-env")
    monkeypatch.setenv("MOCBAN_GATEWAY_KEYS", "[]")
    assert survey(file).config("kiosk") == config.load("kiosk", KioskSettings, file)


def test_show_says_where_each_value_comes_from_and_keeps_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = '[kiosk]\nport = 1\n[kiosk.ils]\nurl = "sip2://u:geheim@host:1"\nuser = "a"\n'
    file = write(tmp_path, text)
    site = write(tmp_path, '[kiosk.ils]\nuser = "b"\n', "conf.d/10-site.toml")
    credential = write(tmp_path, "geheim\n", "credentials/mocban_kiosk__ils__password")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    monkeypatch.setenv("MOCBAN_KIOSK__DEVICE", "from-env")
    argv = ("show", "--origin", "--json", "--config", str(file))
    code, out, _ = command(monkeypatch, capsys, *argv)
    values = {v["key"]: (v["value"], v["origin"]) for v in json.loads(out)["values"]}
    assert code == 0
    assert values["kiosk.port"] == (1, f"{file}:2")
    assert values["kiosk.ils.user"] == ("b", f"{site}:2")
    assert values["kiosk.ils.password"] == ("********", f"credential {credential}")
    assert values["kiosk.device"] == ("from-env", "env MOCBAN_KIOSK__DEVICE")
    assert values["gateway.batch"] == (200, "default")
    assert values["tenant"] == ("demo", "default")
    assert "geheim" not in out
    _, out, _ = command(monkeypatch, capsys, "show", "--config", str(file))
    assert "kiosk.port = 1" in out.splitlines()
    assert "geheim" not in out


def test_every_key_of_the_schema_has_its_docstring() -> None:
    body = schema()
    everything = [body, *body["$defs"].values()]
    for each in everything:
        for name, key in each["properties"].items():
            table = body["$defs"].get(key.get("$ref", "").rpartition("/")[2], {})
            assert {**table, **key}.get("description"), f"{each['title']}.{name} says nothing"
    assert body["additionalProperties"] is False
    assert set(body["properties"]) == {*Shared.model_fields, *models()}
    kiosk = body["$defs"]["KioskSettings"]["properties"]
    assert kiosk["port"]["description"] == "Port the screen is served on."
    assert (kiosk["port"]["default"], kiosk["port"]["maximum"]) == (8080, 65535)
    assert body["properties"]["outbox_mib"]["minimum"] == 1


def test_an_environment_that_is_no_json_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOCBAN_KIOSK__LIBRARY", "no json")
    with pytest.raises(ConfigError, match="no JSON"):
        config.load("kiosk", KioskSettings, write(tmp_path, ""))
