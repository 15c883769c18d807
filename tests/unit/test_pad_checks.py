"""What the doctor says of a kiosk's reader that is no serial line."""

from __future__ import annotations

import socket
from importlib.util import find_spec
from pathlib import Path

from kiosk.checks import kiosk, reader
from kiosk.settings import IlsSettings, KioskSettings
from mocban.config import Config

NAME = "kiosk.pad"


def said(text: str) -> str:
    return text


def test_a_station_without_a_reader_lacks_nothing(tmp_path: Path) -> None:
    settings = KioskSettings(
        port=0, pad_driver="none", pad="serial:///dev/never", ils=IlsSettings(url="sip2://127.0.0.1:1")
    )  # fmt: skip
    config = Config("kiosk", "demo", tmp_path, "mqtt://127.0.0.1:9", settings)
    (found,) = [one for one in kiosk(config, said) if one.name == NAME]
    assert (found.ok, found.say) == (True, "this station has no reader")


def test_a_card_reader_needs_its_package_and_its_service(tmp_path: Path) -> None:
    comm = tmp_path / "pcscd.comm"
    url = f"pcsc://ACR1552?socket={comm}"
    found = reader(said, NAME, url, ours=False)
    assert not found.ok
    if find_spec("smartcard") is None:
        assert "mocban[pcsc]" in found.do
        return
    assert str(comm) in found.say
    assert "systemctl start pcscd.socket" in found.do
    with socket.socket(socket.AF_UNIX) as service:
        service.bind(str(comm))
        assert reader(said, NAME, url, ours=False).ok
