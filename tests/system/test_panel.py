"""The demo's control panel over a real socket: verbs, refusals, the live stream, the end."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from kiosk.emulators import panel
from kiosk.emulators.things import FAULTS, read_seed
from kiosk.emulators.world import World
from mocban.errors import ConfigError
from mocban.web import bind, port_of
from tests.support.panel import LINKS, Open, play


def test_the_world_is_told_whole(tmp_path: Path) -> None:
    async def scene(branch: Open) -> None:
        told = await branch.told()
        names = ["lich-su", "de-men", "thoi-gian", "dat-rung", "sach-duc", "the-1"]
        assert [tag["name"] for tag in told["tags"]] == names
        assert told["tags"][3] == {
            "uid": "E0040100AA55AA55",
            "name": "dat-rung",
            "label": {"vi": "Đất rừng phương Nam (2/3)", "en": "Đất rừng phương Nam (2/3)"},
            "kind": "item",
            "afi": 0xC2,
            "place": "shelf",
            "security": "on-loan",
        }
        assert told["tags"][0]["security"] == "in-stock"
        assert told["tags"][5]["security"] == "other"
        assert told["loans"] == [{"item": "BG00054321", "due": "2026-12-12T16:59:59.000Z"}]
        assert told["people"] == {"entered": 0, "left": 0}
        assert (told["faults"], set(told["counters"].values())) == ({}, {0})
        assert told["version"] == branch.world.version()

    play(tmp_path, scene)


def test_things_are_laid_lifted_and_put_back(tmp_path: Path) -> None:
    async def scene(branch: Open) -> None:
        uid = "E004010012345678"
        steps = [("lay", "de-men", "pad"), ("lift", uid, "hand"), ("shelve", uid, "shelf")]
        for verb, tag, place in steps:
            answer = await branch.post(verb, {"tag": tag})
            assert (answer.status_code, answer.json()) == (200, {"ok": True})
            assert await branch.place("de-men") == place

    play(tmp_path, scene)


def test_a_card_is_laid_and_null_lifts_it(tmp_path: Path) -> None:
    async def scene(branch: Open) -> None:
        assert (await branch.post("card", {"tag": "the-1"})).status_code == 200
        assert await branch.place("the-1") == "pad"
        assert (await branch.post("card", {"tag": None})).status_code == 200
        assert await branch.place("the-1") == "hand"
        refused = await branch.post("card", {"tag": "de-men"})
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "not-a-card")

    play(tmp_path, scene)


def test_a_walk_is_counted_and_carries_the_tags(tmp_path: Path) -> None:
    async def scene(branch: Open) -> None:
        out = await branch.post("walk", {"tags": ["de-men", "the-1"], "direction": "out"})
        assert out.json() == {"ok": True, "passage": 1}
        assert (await branch.post("walk", {"tags": [], "direction": "in"})).json()["passage"] == 2
        assert (await branch.told())["people"] == {"entered": 1, "left": 1}
        assert [tag.name for tag in branch.world.passages(0)[0].tags] == ["de-men", "the-1"]

    play(tmp_path, scene)


def test_every_fault_is_switched_on_and_off(tmp_path: Path) -> None:
    async def scene(branch: Open) -> None:
        for name in FAULTS:
            value = "2" if name == "slow-ils" else "on"
            await branch.post("fault", {"name": name, "value": value})
            assert (await branch.told())["faults"] == {name: value}
            await branch.post("fault", {"name": name, "value": ""})
        assert (await branch.told())["faults"] == {}

    play(tmp_path, scene)


def test_reset_restores_the_seed(tmp_path: Path) -> None:
    async def scene(branch: Open) -> None:
        before = await branch.told()
        await branch.post("lay", {"tag": "de-men"})
        await branch.post("fault", {"name": "ils-down", "value": "on"})
        assert (await branch.post("reset", {})).json() == {"ok": True}
        after = await branch.told()
        assert after.pop("version") > before.pop("version")
        assert after == before

    play(tmp_path, scene)


BAD = [
    ("lay", b'{"tag":"no-such-book"}', 404, "no-such-tag"),
    ("lift", b'{"tag":""}', 422, "bad-request"),
    ("lay", b'{"tag":"de-men","then":"run"}', 422, "bad-request"),
    ("lay", b'{"tag":7}', 422, "bad-request"),
    ("lay", b"{}", 422, "bad-request"),
    ("lay", b"[]", 422, "bad-request"),
    ("lay", b"", 400, "not-json"),
    ("lay", b"{tag:", 400, "not-json"),
    ("lay", b"\xff\xfe{}", 400, "not-json"),
    ("lay", b"[" * 60_000, 400, "not-json"),
    ("walk", b'{"tags":[],"direction":"sideways"}', 422, "bad-request"),
    ("walk", b'{"tags":["nobody"],"direction":"out"}', 404, "no-such-tag"),
    ("walk", b'{"tags":["de-men",null],"direction":"out"}', 422, "bad-request"),
    ("walk", json.dumps({"tags": ["de-men"] * 33, "direction": "in"}).encode(), 422, "bad-request"),
    ("fault", b'{"name":"fire","value":"on"}', 422, "no-such-fault"),
    ("fault", b'{"name":"slow-ils","value":"soon"}', 422, "no-such-fault"),
    ("pad", b'{"driver":"abacus"}', 422, "no-such-reader"),
    ("pad", b'{"driver":""}', 422, "bad-request"),
    ("pad", b'{"driver":"feig","power":30}', 422, "bad-request"),
    ("reset", b'{"really":true}', 422, "bad-request"),
    ("lay", b'{"tag":"' + b"x" * 70_000 + b'"}', 413, "too-long"),
    ("no-such-verb", b"{}", 404, "not-found"),
]


def test_what_makes_no_sense_is_refused_with_words_and_changes_nothing(tmp_path: Path) -> None:
    async def scene(branch: Open) -> None:
        before = await branch.told()
        for verb, body, status, code in BAD:
            answer = await branch.web.post(f"/world/{verb}", content=body)
            assert (answer.status_code, answer.json()["ok"]) == (status, False), (verb, body[:40])
            (error,) = answer.json()["errors"]
            assert error["code"] == code, (verb, body[:40])
            assert error["say"]
            assert error["do"]
        assert (await branch.web.get("/world/lay")).status_code == 405
        assert await branch.told() == before

    play(tmp_path, scene)


def test_a_refusal_speaks_the_language_of_the_page(tmp_path: Path) -> None:
    async def scene(branch: Open) -> None:
        said = {
            lang: (await branch.web.post(f"/world/lay?lang={lang}", json={"tag": "x"})).json()
            for lang in ("vi", "en", "xx")
        }
        assert said["en"]["errors"][0]["say"] == "No tag is called that."
        assert said["vi"] == said["xx"]
        assert said["vi"] != said["en"]

    play(tmp_path, scene)


def test_a_foreign_page_cannot_move_the_branch(tmp_path: Path) -> None:
    async def scene(branch: Open) -> None:
        for headers in ({"origin": "http://evil.example"}, {"host": "evil.example"}):
            answer = await branch.web.post("/world/lay", json={"tag": "de-men"}, headers=headers)
            assert answer.status_code == 403
        assert await branch.place("de-men") == "shelf"

    play(tmp_path, scene)


def test_the_panel_speaks_both_languages_under_a_strict_policy(tmp_path: Path) -> None:
    async def scene(branch: Open) -> None:
        for lang, words in (("vi", "Thư viện thu nhỏ"), ("en", "The branch in miniature")):
            answer = await branch.web.get(f"/?lang={lang}")
            assert answer.status_code == 200
            assert f'<html lang="{lang}">' in answer.text
            assert words in answer.text
            assert all(link in answer.text for link in LINKS.values())
            assert "style=" not in answer.text
            assert "<style" not in answer.text
            assert "onclick" not in answer.text
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
        assert (await branch.web.get("/")).text == (await branch.web.get("/?lang=vi")).text
        for name in ("panel.css", "panel.js", "panel.svg", "mark.svg"):
            assert (await branch.web.get(f"/static/{name}")).status_code == 200
        font = await branch.web.get("/fonts/be-vietnam-pro-vietnamese-700-normal.woff2")
        assert (font.status_code, font.content[:4]) == (200, b"wOF2")
        assert (await branch.web.get("/static/../panel.py")).status_code == 404
        assert (await branch.web.get("/static/%2e%2e/panel.py")).status_code == 404

    play(tmp_path, scene)


async def events(answer: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    """The data of each event."""
    async for line in answer.aiter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


def test_the_live_stream_tells_every_change(tmp_path: Path) -> None:
    async def scene(branch: Open) -> None:
        async with branch.web.stream("GET", "/live?lang=en") as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            stream = events(answer)
            first = await anext(stream)
            assert 'id="tag-de-men"' in first["parts"]["shelf"]
            assert "Nobody has walked" in first["parts"]["passages"]
            branch.world.lay("de-men")
            async with asyncio.timeout(1):
                second = await anext(stream)
            assert 'id="tag-de-men"' in second["parts"]["pad"]
            assert 'id="tag-de-men"' not in second["parts"]["shelf"]
            assert "Guarded" in second["parts"]["pad"]
            branch.world.walk(["lich-su"], "out")
            branch.world.siren(3)
            async with asyncio.timeout(2):
                async for told in stream:
                    if "Siren cried!" in told["parts"]["gate"]:
                        break
            assert "Lịch sử Việt Nam" in told["parts"]["passages"]

    play(tmp_path, scene)


def test_stop_ends_open_streams_at_once(tmp_path: Path) -> None:
    async def scene(branch: Open) -> None:
        async with branch.web.stream("GET", "/live") as answer:
            stream = events(answer)
            await anext(stream)
            branch.stop.set()
            async with asyncio.timeout(1):
                assert [told async for told in stream] == []
                await branch.running

    play(tmp_path, scene)


def test_no_more_streams_are_held_than_32(tmp_path: Path) -> None:
    async def scene(branch: Open) -> None:
        async with contextlib.AsyncExitStack() as held:
            streams = []
            for _ in range(32):
                answer = await held.enter_async_context(branch.web.stream("GET", "/live"))
                streams.append(events(answer))
                await anext(streams[-1])
            full = await branch.web.get("/live")
            assert (full.status_code, full.json()["errors"][0]["code"]) == (503, "too-many-pages")
        async with asyncio.timeout(10):  # places come free as the browsers are noticed gone
            while await refused(branch.web):
                await asyncio.sleep(0.05)

    play(tmp_path, scene)


async def refused(web: httpx.AsyncClient) -> bool:
    """Whether a live page is turned away."""
    async with web.stream("GET", "/live") as answer:
        return answer.status_code == 503


def test_no_reader_is_named_anywhere(tmp_path: Path) -> None:
    async def scene(branch: Open) -> None:
        branch.world.lend("BG00012345", "TV2400001", "2026-12-12T16:59:59.000Z")
        await branch.post("card", {"tag": "the-1"})
        await branch.post("walk", {"tags": ["the-1"], "direction": "out"})
        seen = [(await branch.web.get(path)).text for path in ("/", "/?lang=en", "/world")]
        seen.append((await branch.post("card", {"tag": "TV2400001"})).text)
        async with branch.web.stream("GET", "/live") as answer:
            seen.append(json.dumps(await anext(events(answer)), ensure_ascii=False))
        seed = read_seed()
        secrets = [patron[key] for patron in seed["patron"] for key in ("card", "name")]
        secrets += [b"TV24".hex(), "54 56 32 34"]
        for text in seen:
            for secret in secrets:
                assert secret.lower() not in text.lower()
        assert "BG00012345" in seen[2]

    play(tmp_path, scene)


def test_a_port_in_use_is_said(tmp_path: Path) -> None:
    async def scenario() -> None:
        World.create(tmp_path / "world.db", read_seed()).close()
        with bind("127.0.0.1", 0) as taken, pytest.raises(ConfigError, match="cannot be had"):
            await panel.main(
                tmp_path / "world.db", "127.0.0.1", port_of(taken), asyncio.Event(), {}
            )

    asyncio.run(scenario())
