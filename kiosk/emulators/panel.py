"""The demo world's control panel: a page for a person with a mouse and an HTTP API for tests."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from kiosk.emulators.scene import Scene, fragments, page, security
from kiosk.emulators.things import WorldTag
from kiosk.emulators.world import World
from mocban.i18n import LANGS, catalog
from mocban.web import SecurityHeaders, bind, fonts, serve

_BODY = 64 * 1024  # bytes of a request
_POLL = 0.1  # seconds between looks at the world's version
_BEAT = 50  # looks between signs of life, so that a lost browser is noticed
_STREAMS = 32  # live pages at a time

_HERE = Path(__file__).parent

TagName = Annotated[str, Field(min_length=1, max_length=64)]


class Nothing(BaseModel):
    """An order without words."""

    model_config = ConfigDict(extra="forbid")


class OneTag(Nothing):
    """An order about one tag, by UID or name."""

    tag: TagName


class OneCard(Nothing):
    """Lay this card on the pad; null lifts whatever card lies there."""

    tag: TagName | None


class Walk(Nothing):
    """Walk through the gate carrying these."""

    tags: Annotated[list[TagName], Field(max_length=32)]
    direction: Literal["in", "out"]


class Fault(Nothing):
    """Switch a fault on, or off with ""."""

    name: Annotated[str, Field(max_length=32)]
    value: Annotated[str, Field(max_length=32)]


class OneReader(Nothing):
    """Make the pad this reader."""

    driver: Annotated[str, Field(min_length=1, max_length=16)]


class Refusal(NamedTuple):
    """What goes back with a 4xx or 503: a code, what happened and what to do, to be translated."""

    status: int
    code: str
    say: str
    do: str


def N_(text: str) -> str:  # noqa: N802  gettext's own name for "translate this later"
    """Mark a sentence for the catalog."""
    return text


Endpoint = Callable[[Request], Awaitable[Response]]
Order = TypeVar("Order", bound=Nothing)

_NO_TAG = Refusal(
    404, "no-such-tag", N_("No tag is called that."), N_("GET /world lists the tags.")
)
_NO_CARD = Refusal(422, "not-a-card", N_("That is a book."), N_("Name a card, or null to lift it."))
_NO_FAULT = Refusal(
    422, "no-such-fault", N_("No fault has that name and value."), N_("Use a switch of the panel.")
)
_NO_READER = Refusal(
    422,
    "no-such-reader",
    N_("The pad cannot be that reader here."),
    N_("GET /world lists those that it can be, and why not the others."),
)
_NO_JSON = Refusal(400, "not-json", N_("The request is not JSON."), N_("Send one JSON object."))
_NO_SENSE = Refusal(
    422, "bad-request", N_("The request does not have the right form."), N_("Mend the named field.")
)
_TOO_LONG = Refusal(
    413, "too-long", N_("The request is longer than 64 KiB."), N_("Send a shorter one.")
)
_TOO_MANY = Refusal(
    503, "too-many-pages", N_("Too many panels are open."), N_("Close one and reload this one.")
)
_BUSY = Refusal(503, "world-busy", N_("The branch is busy."), N_("Try again in a moment."))
_NOWHERE = Refusal(404, "not-found", N_("There is nothing here."), N_("Go to the panel's page."))


async def main(
    world_path: Path | str, host: str, port: int, stop: asyncio.Event, links: dict[str, str]
) -> None:
    """Serve the panel until ``stop``. ``links``: addresses of ``kiosk`` and ``gateway``, if any.

    ConfigError if the port cannot be had.
    """
    world = World(world_path)
    try:
        await serve(SecurityHeaders(app(world, stop, links)), bind(host, port), stop)
    finally:
        world.close()


def app(world: World, stop: asyncio.Event, links: dict[str, str]) -> Starlette:
    """The ASGI application over an open world."""
    panel = Panel(world, stop, links)
    orders = {
        "lay": _order(OneTag, lambda order: world.lay(order.tag)),
        "lift": _order(OneTag, lambda order: world.lift(order.tag)),
        "shelve": _order(OneTag, lambda order: world.put(order.tag, "shelf")),
        "card": _order(OneCard, lambda order: world.show_card(order.tag), _NO_CARD),
        "walk": _order(Walk, lambda order: world.walk(order.tags, order.direction)),
        "fault": _order(Fault, lambda order: world.set_fault(order.name, order.value), _NO_FAULT),
        "pad": _order(OneReader, lambda order: panel.choose(order.driver), _NO_READER),
        "reset": _order(Nothing, lambda _: world.reset()),
    }
    return Starlette(
        routes=[
            Route("/", panel.page),
            Route("/live", panel.live),
            Route("/world", panel.told),
            *(Route(f"/world/{verb}", do, methods=["POST"]) for verb, do in orders.items()),
            Mount("/static", StaticFiles(directory=_HERE / "static")),
            fonts(),
        ],
        exception_handlers={
            HTTPException: _http,
            sqlite3.OperationalError: _busy,
        },
    )


class Panel:
    """The panel's answers over one world."""

    def __init__(self, world: World, stop: asyncio.Event, links: dict[str, str]) -> None:
        self._world = world
        self._stop = stop
        self._links = {name: url for name, url in links.items() if url.startswith("http")}
        self._streams = 0

    async def page(self, request: Request) -> Response:
        """The control panel."""
        return HTMLResponse(page(Scene(self._world, _lang(request)), self._links))

    async def told(self, request: Request) -> Response:
        """The world as JSON, without any patron. ``pad``: what it is, and what it could be or why not."""
        world = self._world
        version, people = world.version(), world.people()
        return JSONResponse(
            {
                "tags": [_tag(tag) for tag in world.tags()],
                "pad": _pad(Scene(world, _lang(request))),
                "people": {"entered": people[0], "left": people[1]},
                "loans": [{"item": loan.item, "due": loan.due} for loan in world.loans()],
                "counters": world.counters(),
                "faults": world.faults(),
                "version": version,
            }
        )

    def choose(self, driver: str) -> None:
        """Make the pad another reader. ValueError: it cannot be that one."""
        offered = [one.driver for one in Scene(self._world, LANGS[0]).readers if not one.why]
        if driver not in offered:
            raise ValueError("no such reader, or not here")
        self._world.choose(driver)

    async def live(self, request: Request) -> Response:
        """Server-sent events: the live parts, at once and whenever the world changes."""
        if self._streams >= _STREAMS:
            return _answer(request, _TOO_MANY)
        return StreamingResponse(self._stream(_lang(request)), media_type="text/event-stream")

    async def _stream(self, lang: str) -> AsyncIterator[str]:
        self._streams += 1
        try:
            seen, quiet = -1, 0
            while not self._stop.is_set():
                if (version := self._world.version()) != seen:
                    seen, quiet = version, 0
                    told = {"version": version, "parts": fragments(Scene(self._world, lang))}
                    yield f"data: {json.dumps(told, ensure_ascii=False)}\n\n"
                elif (quiet := quiet + 1) >= _BEAT:
                    quiet = 0
                    yield ":\n\n"
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), _POLL)
        finally:
            self._streams -= 1


def _order(
    model: type[Order], do: Callable[[Order], object], wrong: Refusal = _NO_SENSE
) -> Endpoint:
    """An endpoint that reads a ``model`` and does it; ``wrong``: what a ValueError answers."""

    async def endpoint(request: Request) -> Response:
        body = await _body(request)
        if body is None:
            return _answer(request, _TOO_LONG)
        try:
            order = model.model_validate_json(body)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            if first["type"] == "json_invalid":
                return _answer(request, _NO_JSON)
            where = ".".join(map(str, first["loc"]))[:64]
            return _answer(request, _NO_SENSE, where)
        try:
            done = do(order)
        except KeyError:
            return _answer(request, _NO_TAG)
        except ValueError:
            return _answer(request, wrong)
        return JSONResponse(
            {"ok": True, "passage": done} if isinstance(done, int) else {"ok": True}
        )

    return endpoint


async def _body(request: Request) -> bytes | None:
    """The request's body; None, and no further reading, if it is longer than the bound."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _BODY:
            return None
    return bytes(body)


def _answer(request: Request, refusal: Refusal, where: str = "") -> Response:
    words = catalog("kiosk.emulators", _lang(request))
    say = words.gettext(refusal.say) + (f" ({where})" if where else "")
    error = {"code": refusal.code, "say": say, "do": words.gettext(refusal.do)}
    # What was not read of a refused body must not be taken for the next request.
    headers = {"connection": "close"} if refusal is _TOO_LONG else None
    return JSONResponse({"ok": False, "errors": [error]}, refusal.status, headers)


async def _busy(request: Request, error: Exception) -> Response:
    del error
    return _answer(request, _BUSY)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    answer = _answer(request, _NOWHERE)
    answer.status_code = error.status_code
    return answer


def _lang(request: Request) -> str:
    asked = request.query_params.get("lang", "")
    return asked if asked in LANGS else LANGS[0]


def _pad(scene: Scene) -> dict[str, object]:
    return {
        "driver": scene.world.reader(),
        "choices": {reader.driver: reader.why for reader in scene.readers},
    }


def _tag(tag: WorldTag) -> dict[str, object]:
    return {
        "uid": tag.uid,
        "name": tag.name,
        "label": tag.label,
        "kind": tag.kind,
        "afi": tag.afi,
        "place": tag.place,
        "security": security(tag),
    }
