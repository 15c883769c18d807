"""How a process proves itself to the broker: by its device's name and a password that is a credential."""

from __future__ import annotations

import asyncio
from pathlib import Path
from zoneinfo import ZoneInfo

import mqtt5
import pytest

from gateway.beats import Beats
from gateway.ingest import Ingest, Orders
from gateway.letters import Desk
from gateway.meters import Meters
from gateway.post import Post
from gateway.projections import apply
from gateway.store.readings import SqliteReadings
from gateway.store.sqlite import SqliteStore
from kiosk.settings import KioskSettings
from mocban import config, settings
from mocban.clock import SetClock, SystemClock
from mocban.health import Health
from mocban.identity import Identity
from mocban.outbox import Outbox
from tests.support.bus_stand import ME, running
from tests.support.scripted_broker import ScriptedBroker

SECRET = "a1b2c3d4e5f6a7b8c9d0"
Login = tuple[str | None, bytes | None]


def login(packet: mqtt5.ConnectPacket) -> Login:
    password = packet.password
    return packet.username, None if password is None else bytes(password)


@pytest.mark.parametrize(
    ("password", "said"),
    [("", (None, None)), (SECRET, ("kiosk-1", SECRET.encode())), ("mật khẩu", ("kiosk-1", "mật khẩu".encode()))],
)  # fmt: skip
def test_a_device_names_itself_if_it_has_a_password(
    tmp_path: Path, password: str, said: Login
) -> None:
    async def scenario() -> None:
        outbox = Outbox(tmp_path / "x.db", ME.device, SetClock())
        async with ScriptedBroker() as broker, running(broker.port, outbox, password=password):
            await connected(broker)
            assert login(broker.connects[0]) == said
        outbox.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("password", "said"), [("", (None, None)), (SECRET, ("gateway", SECRET.encode()))]
)
def test_so_does_the_gateway(tmp_path: Path, password: str, said: Login) -> None:
    async def scenario() -> None:
        clock, stop, me = SystemClock(), asyncio.Event(), Identity("demo", "gateway", "gateway")
        store, readings = SqliteStore(tmp_path / "g.db", apply), SqliteReadings(tmp_path / "g.db")
        async with ScriptedBroker() as broker:
            ingest = Ingest(
                Orders(f"mqtt://127.0.0.1:{broker.port}", me, password=password), store, Desk("demo", ZoneInfo("UTC")),
                clock, Health(clock), Meters(readings, Beats("demo", clock)), Post(me),
            )  # fmt: skip
            task = asyncio.create_task(ingest.run(stop))
            await connected(broker)
            assert login(broker.connects[0]) == said
            stop.set()
            await asyncio.wait_for(task, 5)
        store.close()
        readings.close()

    asyncio.run(scenario())


def test_the_password_is_a_credential_and_is_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mocban.toml"
    file.write_text('tenant = "bg"\n', encoding="utf-8")
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "mocban_mqtt_password").write_text(f"{SECRET}\n", encoding="utf-8")
    (folder / "mocban_seal.key").write_text(
        "none of the configuration's business", encoding="utf-8"
    )
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    read = config.load("kiosk", KioskSettings, file)
    assert read.broker_password == SECRET
    assert SECRET not in repr(read)
    found = settings.survey(file)
    assert found.faults == []
    assert found.config("kiosk") == read, "what a person is shown is what a service reads"
    (shown,) = [value for value in found.values() if value.key == "mqtt_password"]
    assert (shown.value, shown.origin) == ("********", f"credential {folder}/mocban_mqtt_password")


async def connected(broker: ScriptedBroker) -> None:
    """Until somebody came."""
    async with asyncio.timeout(10):
        while not broker.connects:
            await asyncio.sleep(0.01)
