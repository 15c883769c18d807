"""PC/SC without a service: addresses, a missing package, and a sentence for each."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from kiosk.devices.pcsc_pad import PcscReader
from mocban.errors import ConfigError, DeviceLost


@pytest.mark.parametrize("url", ["serial:///dev/ttyUSB0", "pcsc://ACR?baud=9600", "memory://x"])
def test_an_address_that_means_nothing_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="pcsc://"):
        asyncio.run(PcscReader(url).open())


def test_a_missing_package_is_said_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "smartcard", None)
    with pytest.raises(ConfigError, match="not installed") as caught:
        asyncio.run(PcscReader("pcsc://").open())
    assert "apt-get install pcscd" in caught.value.do
    assert caught.value.code == "missing-package"


def test_a_reader_that_is_not_open_is_lost_and_closes_twice() -> None:
    async def scenario() -> None:
        reader = PcscReader("pcsc://")
        await reader.close()
        await reader.close()
        with pytest.raises(DeviceLost, match="not open"):
            await reader.inventory()
        assert reader.noise == 0

    asyncio.run(scenario())


def test_the_driver_loads_no_smart_card_library_before_it_is_opened() -> None:
    code = "import sys, kiosk.devices.pcsc_pad; print([m for m in sys.modules if 'smartcard' in m])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
