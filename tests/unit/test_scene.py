"""What the panel shows: one drawing for page and live stream, in both languages, reader-free."""

from __future__ import annotations

import gettext
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_file

from kiosk.emulators import scene
from kiosk.emulators.scene import Scene, fragments, page
from kiosk.emulators.things import FAULTS, READERS, read_seed
from kiosk.emulators.world import World
from mocban.i18n import LANGS, catalog

ROOM = Path(scene.__file__).parent


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A demo branch in which something has happened."""
    world = World.create(tmp_path / "world.db", read_seed())
    world.lay("the-1")
    world.lift("de-men")
    world.walk(["lich-su", "the-1"], "out")
    world.siren(3)
    world.walk([], "in")
    world.set_fault("pad-unplugged", "on")
    world.choose("rr9")
    yield world
    world.close()


@pytest.mark.parametrize("lang", LANGS)
def test_the_live_parts_are_what_the_page_already_shows(world: World, lang: str) -> None:
    whole = page(Scene(world, lang), {})
    parts = fragments(Scene(world, lang))
    assert set(parts) == set(scene.FRAGMENTS)
    for name, html in parts.items():
        assert f'id="{name}"' in whole
        assert html in whole


def test_the_trail_shows_the_latest_first_and_which_one_cried(world: World) -> None:
    trail = Scene(world, "en").passages
    assert trail == [("in", "", False), ("out", "Lịch sử Việt Nam, Reader's card", True)]
    assert not Scene(world, "en").cried
    for _ in range(9):
        world.walk([], "out")
    assert len(Scene(world, "en").passages) == 3


def test_security_is_told_in_words_and_by_a_sign_not_by_colour_alone(world: World) -> None:
    shelf = fragments(Scene(world, "en"))["shelf"]
    assert shelf.count("#shut") == shelf.count("Guarded") == 2
    assert shelf.count("#open") == shelf.count("May leave") == 1
    world.write_afi("E00401500A203FA3", 0x00)
    assert "No mark" in fragments(Scene(world, "en"))["shelf"]


def test_every_fault_has_its_switch(world: World) -> None:
    switches = Scene(world, "vi").faults
    assert sorted(switch.name for switch in switches) == sorted(FAULTS)
    assert [switch.name for switch in switches if switch.on] == ["pad-unplugged"]
    for switch in switches:
        world.set_fault(switch.name, switch.value)
    assert all(switch.on for switch in Scene(world, "vi").faults)


@pytest.mark.parametrize("lang", LANGS)
def test_every_reader_has_its_picture_and_the_chosen_one_is_told(world: World, lang: str) -> None:
    html = fragments(Scene(world, lang))["reader"]
    pictures = (ROOM / "static" / "panel.svg").read_text("utf-8")
    shown = [reader.driver for reader in Scene(world, lang).readers]
    assert shown == list(READERS)
    for driver in shown:
        assert f'id="reader-{driver}"' in pictures
        assert f"panel.svg#reader-{driver}" in html
    assert html.count('aria-pressed="true"') == 1
    assert 'data-reader="rr9" aria-pressed="true"' in html


@pytest.mark.parametrize("lang", LANGS)
def test_a_station_without_a_reader_can_have_one(world: World, lang: str) -> None:
    world.choose("none")
    html = fragments(Scene(world, lang))["reader"]
    assert html.count(" disabled ") <= 1  # a smart card service
    assert 'data-reader="none" aria-pressed="true"' in html
    world.choose("")
    assert fragments(Scene(world, lang))["reader"] == ""


def test_what_a_label_says_is_never_markup(tmp_path: Path) -> None:
    seed = read_seed()
    seed["tag"][0]["label"] = {"vi": "<script>x</script>", "en": "<script>x</script>"}
    world = World.create(tmp_path / "world.db", seed)
    try:
        whole = page(Scene(world, "vi"), {"kiosk": 'http://x/"><script>'})
        assert "<script>" not in whole + "".join(fragments(Scene(world, "vi")).values())
        assert "&lt;script&gt;x" in whole
    finally:
        world.close()


def test_every_sentence_is_in_both_catalogs() -> None:
    files = [("python", ROOM / "scene.py"), ("python", ROOM / "panel.py")]
    files += [("jinja2", page) for page in sorted((ROOM / "templates").glob("*.html"))]
    sentences = {found[1] for method, file in files for found in extract_from_file(method, file)}
    assert len(sentences) > 50
    for lang in LANGS:
        words = catalog("kiosk.emulators", lang)
        assert isinstance(words, gettext.GNUTranslations)
        known = {msgid for msgid, text in words._catalog.items() if text}  # type: ignore[attr-defined]
        assert sentences - known == set()
