"""The kiosk's screen over a real socket: page, live stream, taps, and what it never shows."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace

import pytest

from kiosk.ui.server import BODY_MAX, STREAMS_MAX
from mocban.i18n import LANGS
from tests.support.screen import CARD, WITHIN, Markup, Stand, events, run, until, visits


@pytest.mark.parametrize("lang", LANGS)
@pytest.mark.parametrize("name", visits())
def test_every_screen_is_whole_and_shows_nobody(name: str, lang: str) -> None:
    async def scenario(here: Stand) -> None:
        visit, status = visits()[name]
        here.desk.show(replace(visit, lang=lang), status)
        reply = await here.web.get("/")
        assert reply.status_code == 200
        page = Markup(reply.text)
        assert not page.open
        assert page.scripts == ["/static/kiosk.js"]
        assert not {a for a in page.attributes if a == "style" or a.startswith("on")}
        assert len(page.ids) == len(set(page.ids))
        assert f'lang="{lang}" data-screen="{name}"' in reply.text
        assert 'data-action="lang" data-value="vi"' in reply.text
        for secret in (CARD, "NGUYEN", "Patron("):
            assert secret not in reply.text
        if name in {"checking", "borrow"}:
            assert "•••• 0001" in reply.text
        if name == "borrow":
            assert "Sách &lt;b&gt;số&lt;/b&gt; 1" in reply.text, "titles are text, never markup"

    run(scenario)


def test_the_policy_is_strict_and_nothing_is_stored() -> None:
    async def scenario(here: Stand) -> None:
        reply = await here.web.get("/")
        policy = reply.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers["x-content-type-options"] == "nosniff"
        strange = await here.web.get("/", headers={"Host": "kiosk.example"})
        assert strange.status_code == 403

    run(scenario)


def test_everything_a_page_names_is_there() -> None:
    async def scenario(here: Stand) -> None:
        page = (await here.web.get("/")).text
        fonts = (await here.web.get("/fonts/fonts.css")).text
        named = set(re.findall(r'(?:href|src)="(/(?:static|fonts)/[^"#]+)', page))
        named |= {f"/fonts/{path}" for path in re.findall(r"url\(([^)]+)\)", fonts)}
        assert len(named) == 18
        for path in sorted(named):
            assert (await here.web.get(path)).status_code == 200, path

    run(scenario)


def test_the_stream_tells_the_screen_at_once_and_after_every_change() -> None:
    async def scenario(here: Stand) -> None:
        async with here.web.stream("GET", "/events") as reply:
            assert reply.headers["content-type"].startswith("text/event-stream")
            told = events(reply)
            name, hello = await anext(told)
            assert (name, set(hello)) == ("hello", {"boot"})
            name, first = await anext(told)
            assert (name, first["name"], first["left"]) == ("screen", "welcome", None)
            here.desk.show(visits()["borrow"][0])
            name, second = await anext(told)
            assert (name, second["name"], second["lang"]) == ("screen", "borrow", "vi")
            assert "<main" in str(second["html"])
            assert "<footer" in str(second["html"])
            assert CARD not in json.dumps(second)

    run(scenario)


def test_the_deadline_is_told_by_the_kiosks_clock() -> None:
    async def scenario(here: Stand) -> None:
        here.clock.advance(5.5)
        async with here.web.stream("GET", "/events") as reply:
            told = events(reply)
            here.desk.show(visits()["done"][0])
            seen = [await anext(told) for _ in range(2)]
            while seen[-1][1].get("name") != "done":
                seen.append(await anext(told))
            assert seen[-1][1]["left"] == 2.5

    run(scenario)


def test_stop_ends_the_stream_at_once() -> None:
    async def scenario(here: Stand) -> None:
        loop = asyncio.get_running_loop()
        async with here.web.stream("GET", "/events") as reply:
            told = events(reply)
            await anext(told)
            await anext(told)
            began = loop.time()
            here.stop.set()
            assert [name async for name, _ in told] == []
            await asyncio.wait_for(here.serving, WITHIN)
            assert loop.time() - began < 0.5
        assert here.desk.watchers == 0

    run(scenario)


def test_a_browser_that_goes_away_leaves_nothing_behind() -> None:
    async def scenario(here: Stand) -> None:
        for _ in range(STREAMS_MAX + 2):
            async with here.web.stream("GET", "/events") as reply:
                assert reply.status_code == 200
                await anext(events(reply))
            await until(lambda: here.desk.watchers == 0)

    run(scenario)


def test_too_many_streams_are_refused_and_do_no_harm() -> None:
    async def scenario(here: Stand) -> None:
        async def hold(opened: asyncio.Semaphore) -> None:
            async with here.web.stream("GET", "/events") as reply:
                assert reply.status_code == 200
                async for _ in events(reply):
                    opened.release()

        opened = asyncio.Semaphore(0)
        holding = [asyncio.create_task(hold(opened)) for _ in range(STREAMS_MAX)]
        for _ in range(2 * STREAMS_MAX):
            await opened.acquire()
        assert (await here.web.get("/events")).status_code == 503
        assert (await here.web.get("/")).status_code == 200
        for task in holding:
            task.cancel()
        await asyncio.gather(*holding, return_exceptions=True)

    run(scenario)


def test_a_tap_reaches_the_desk_as_form_or_json() -> None:
    async def scenario(here: Stand) -> None:
        token = await here.token()
        form = await here.web.post("/act", data={"action": "borrow", "token": token})
        body = await here.web.post("/act", json={"action": "lang", "value": "en", "token": token})
        assert (form.status_code, body.status_code) == (204, 204)
        assert here.desk.taps == [("borrow", ""), ("lang", "en")]
        assert "What would you like to do?" in (await here.web.get("/")).text

    run(scenario)


def test_a_tap_needs_the_token_of_this_start_and_of_this_page() -> None:
    async def scenario(here: Stand) -> None:
        token = await here.token()
        for wrong in ("", "0" * 32, "không"):
            reply = await here.web.post("/act", json={"action": "borrow", "token": wrong})
            assert reply.status_code == 403
            assert reply.json()["errors"][0]["code"] == "bad-token"
        origin = {"Origin": "http://evil.example"}
        reply = await here.web.post(
            "/act", json={"action": "borrow", "token": token}, headers=origin
        )
        assert reply.status_code == 403
        assert here.desk.taps == []

    run(scenario)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[1]", b'{"action": 1}', b"[" * 2000, b"\xff\xfe", b"a=b&" * 200, b"x" * (BODY_MAX + 1),
    ],
)  # fmt: skip
def test_nonsense_is_refused_in_words(body: bytes) -> None:
    async def scenario(here: Stand) -> None:
        for kind in ("application/json", "application/x-www-form-urlencoded", ""):
            reply = await here.web.post("/act", content=body, headers={"Content-Type": kind})
            assert reply.status_code in {400, 403}
            assert reply.json()["errors"][0]["say"]
        assert here.desk.taps == []

    run(scenario)


@pytest.mark.parametrize(
    "tap", [("format-disk", ""), ("lang", "xx"), ("lang", ""), ("borrow", "vi"), ("", "")]
)
def test_an_unknown_action_is_refused(tap: tuple[str, str]) -> None:
    async def scenario(here: Stand) -> None:
        body = {"action": tap[0], "value": tap[1], "token": await here.token()}
        assert (await here.web.post("/act", json=body)).status_code == 400
        assert here.desk.taps == []

    run(scenario)


def test_routes_of_the_app_stand_beside_the_screen() -> None:
    async def scenario(here: Stand) -> None:
        assert (await here.web.get("/healthz")).text == "well"
        assert (await here.web.get("/static/../server.py")).status_code == 404

    run(scenario)
