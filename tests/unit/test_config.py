"""Configuration: layers, unknown keys, credentials."""

from __future__ import annotations

from pathlib import Path

import pytest

from kiosk.settings import KioskSettings
from mocban import config
from mocban.errors import ConfigError


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.delenv("MOCBAN_CONFIG", raising=False)


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
