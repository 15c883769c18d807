"""The pad of the demo world becomes another reader: by the panel's click, by the world's choice."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kiosk.cli import _world
from kiosk.devices.auto_pad import AutoPad
from kiosk.emulators import switchable
from kiosk.emulators.things import read_seed
from kiosk.emulators.world import World
from mocban.errors import ConfigError, DeviceLost
from tests.support.emulated import until
from tests.support.panel import Open, play


def test_the_pad_becomes_another_reader_by_a_click(tmp_path: Path) -> None:
    """A pad in use is lost, and the next reader is found at the same link."""

    async def scene(branch: Open) -> None:
        link, stop = tmp_path / "pad", asyncio.Event()
        reader = asyncio.ensure_future(
            switchable.main(branch.world.path, link, stop, switchable.WORLD, "feig")
        )
        pad = AutoPad(f"serial://{link}")
        try:
            await until(link.is_symlink)
            assert (await branch.told())["pad"]["driver"] == "feig"
            assert (await pad.open()).startswith("FEIG")
            assert (await branch.post("pad", {"driver": "3m"})).json() == {"ok": True}
            async with asyncio.timeout(5):
                with pytest.raises(DeviceLost):
                    while True:
                        await pad.tags()
            await until(link.is_symlink)
            assert (await pad.open()).startswith("3M")
            await branch.post("reset", {})
            assert (await branch.told())["pad"]["driver"] == "3m"
            page = (await branch.web.get("/?lang=en")).text
            assert 'data-reader="3m" aria-pressed="true"' in page
        finally:
            await pad.close()
            stop.set()
            await reader

    play(tmp_path, scene)


def test_only_a_reader_that_can_be_there_is_chosen(tmp_path: Path) -> None:
    async def scene(branch: Open) -> None:
        assert (await branch.told())["pad"] == {"driver": "", "choices": {}}
        assert "data-reader" not in (await branch.web.get("/")).text
        branch.world.choose("feig")
        told = (await branch.told())["pad"]
        assert list(told["choices"]) == ["feig", "3m", "rr9", "uhf18", "pcsc", "none"]
        assert not any(told["choices"][driver] for driver in ("feig", "3m", "rr9", "uhf18", "none"))
        lacks = switchable.missing("pcsc")
        assert bool(told["choices"]["pcsc"]) == (lacks is not None)
        refused = ["abacus", "FEIG", *(["pcsc"] if lacks else [])]
        for driver in refused:
            answer = await branch.post("pad", {"driver": driver})
            assert (answer.status_code, answer.json()["errors"][0]["code"]) == (
                422,
                "no-such-reader",
            )
        assert (await branch.post("pad", {"driver": "none"})).status_code == 200
        for lang, words in (("vi", "không có đầu đọc"), ("en", "without a reader")):
            assert words in (await branch.web.get(f"/?lang={lang}")).text
        assert branch.world.reader() == "none"

    play(tmp_path, scene)


def test_a_reader_without_an_emulator_is_refused_in_a_sentence(tmp_path: Path) -> None:
    async def emulated(*words: str) -> None:
        await switchable.main(tmp_path / "none.db", tmp_path / "pad", asyncio.Event(), *words)

    for words in (("abacus",), (switchable.WORLD, "abacus")):
        with pytest.raises(ConfigError, match="no emulator of a reader called abacus"):
            asyncio.run(emulated(*words))


def test_a_world_of_an_earlier_day_is_grown_by_whoever_opens_it(tmp_path: Path) -> None:
    """Its folder is kept by people who started the demo before pads could be chosen."""
    path = tmp_path / "world.db"
    World.create(path, read_seed()).close()
    with contextlib.closing(sqlite3.connect(path)) as old:
        old.executescript("DROP TABLE reader; ALTER TABLE tag DROP COLUMN locks")
    with ThreadPoolExecutor(4) as peers:
        assert set(peers.map(_world, [path] * 4)) == {path}
    world = World(path)
    try:
        world.choose("uhf18")
        assert world.reader() == "uhf18"
        assert not world.tag("de-men").locks
    finally:
        world.close()


def test_what_a_machine_lacks_for_pcsc_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    lacks = switchable.missing("pcsc")
    assert lacks is not None
    assert lacks.code in {"missing-package", "missing-tool"}
    assert "apt-get install" in lacks.do or "root" in lacks.do
    with pytest.raises(ConfigError):
        switchable.emulator("pcsc")
    assert switchable.missing("feig") is None
