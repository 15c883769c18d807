"""A gateway whose database came back older, or not at all: the devices tell again what it has not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.fault.harness import BROKERS, Stand, until


@pytest.mark.parametrize("kind", BROKERS)
def test_devices_tell_an_older_gateway_what_it_lost(kind: str, tmp_path: Path) -> None:
    with Stand(tmp_path, kind, total=40) as stand:
        stand.start()
        stand.settle()
        assert stand.device.end() == 0
        assert stand.gateway.end() == 0
        backup = tmp_path / "backup"
        shutil.copytree(stand.gateway.data, backup)
        stand.gateway.start()
        with stand.other("later", data=stand.device.data, session="s2", total=60) as later:
            later.start()
            until(stand.gateway.ready, "the gateway is ready")
            stand.settle(later)
            stand.told_once(stand.device, later)
            assert stand.gateway.end() == 0
            shutil.rmtree(stand.gateway.data)
            shutil.copytree(backup, stand.gateway.data)
            stand.gateway.start()
            _told_again(stand, 100)
            stand.told_once(stand.device, later)
            stand.settle(later)


def test_devices_tell_a_new_gateway_everything_they_keep(tmp_path: Path) -> None:
    with Stand(tmp_path, "mosquitto", total=80) as stand:
        stand.start()
        stand.settle()
        assert stand.gateway.end() == 0
        shutil.rmtree(stand.gateway.data)
        stand.gateway.start()
        _told_again(stand, 80)
        stand.told_once()
        stand.settle()


def _told_again(stand: Stand, loans: int) -> None:
    until(stand.gateway.ready, "the gateway is ready")
    until(lambda: len(stand.gateway.loans()) >= loans, "the device has told again what was lost")
