"""One page as plain text, once: for pipes, scripts and screen readers."""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Sequence
from typing import Any

from mocban.asking import Service
from mocban.clock import Clock
from ops.console import fleet, view
from ops.console.feed import Feed, Picture
from ops.console.view import Eye, Row

_COLUMNS = {
    "overview": ("mark", "what", "state", "since"),
    "devices": fleet.COLUMNS,
    "incidents": ("no", "mark", "what", "state", "since"),
    "runbooks": ("state", "playbook", "by", "incident", "since"),
}


def look(ops: Service, gateway: Service, clock: Clock) -> Picture:
    """Ask both once, at the same time."""
    feed = Feed(ops, gateway, clock, lambda: None)
    other = threading.Thread(target=feed.look_gateway, daemon=True)
    other.start()
    feed.look_ops()
    other.join()
    return feed.picture


def text(page: str, picture: Picture, eye: Eye) -> list[str]:
    """The page in lines, nothing cut."""
    lines: list[str] = []
    rows = _rows(page, picture, eye)
    if page == "overview":
        say = eye.say
        lines = [
            f"{say('open-incidents')}: {view.severities(picture, eye)}", f"{say('waits')}: {view.waits(picture, eye)}",
            f"{say('devices')}: {fleet.presence(picture, eye)}",
            f"{say('col-waiting')}: {fleet.outboxes(picture, eye)}",
            f"{say('today')}: {view.today(picture.counts, eye)}",
            say("todo" if rows else "todo-none"),
        ]  # fmt: skip
    if rows:
        lines += _table([eye.say(f"col-{name}") for name in _COLUMNS[page]], rows)
    elif page != "overview":
        lines.append(eye.say(f"{page}-none"))
    return [unicodedata.normalize("NFC", line).rstrip() for line in lines]


def body(picture: Picture) -> dict[str, Any]:
    """The same for programs: everything the pages are made of."""
    return {
        "incidents": list(picture.incidents), "executions": list(picture.executions), "waiting": dict(picture.waiting),
        "devices": list(picture.devices), "counts": picture.counts,
    }  # fmt: skip


def _rows(page: str, picture: Picture, eye: Eye) -> list[Row]:
    match page:
        case "devices":
            return fleet.rows(picture, eye)
        case "incidents":
            return view.incidents(picture, eye)
        case "runbooks":
            return view.executions(picture, eye)
        case _:
            return view.todo(picture, eye)


def _table(headings: Sequence[str], rows: Sequence[Row]) -> list[str]:
    all_cells = [tuple(headings), *(row.cells for row in rows)]
    widths = [max(len(cells[n]) for cells in all_cells) for n in range(len(headings))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        for cells in all_cells
    ]
