"""Deadlines of steps: a wall clock that jumps neither hastens nor delays them; a restart takes up what is left."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from mocban import identity
from mocban.asking import Service
from mocban.clock import SetClock
from mocban.config import Config
from mocban.health import Health
from ops.incidents.correlate import Rules
from ops.incidents.store import Store
from ops.runbooks.engine import Engine
from ops.runbooks.library import Library
from ops.runbooks.sign import sign
from ops.settings import OpsSettings, playbooks
from ops.telling import Telling
from tests.support.gateway_stand import until

HAND = "action--11111111-1111-4111-8111-111111111111"
BODY: dict[str, Any] = {
    "type": "playbook", "spec_version": "cacao-2.0", "id": "playbook--11111111-1111-4111-8111-111111111111",
    "name": "By hand", "created_by": "identity--11111111-1111-4111-8111-111111111111",
    "created": "2026-11-25T08:00:00.000Z", "modified": "2026-11-25T08:00:00.000Z",
    "workflow_start": "start--11111111-1111-4111-8111-111111111111",
    "workflow": {
        "start--11111111-1111-4111-8111-111111111111": {"type": "start", "on_completion": HAND},
        HAND: {
            "type": "action", "name": "look", "timeout": 600_000,
            "agent": "group--11111111-1111-4111-8111-111111111111",
            "commands": [{"type": "manual", "command": "look"}],
            "on_success": "end--11111111-1111-4111-8111-111111111111",
            "on_failure": "end--11111111-1111-4111-8111-111111111111",
        },
        "end--11111111-1111-4111-8111-111111111111": {"type": "end"},
    },
    "agent_definitions": {"group--11111111-1111-4111-8111-111111111111": {"type": "group", "name": "staff"}},
}  # fmt: skip


class Jumping(SetClock):
    """A clock whose wall time is set by hand, as by whoever corrects it."""

    def __init__(self) -> None:
        super().__init__()
        self.off = timedelta()

    def now(self) -> datetime:
        return super().now() + self.off


class Stand:
    """An engine without anybody around it."""

    def __init__(self, folder: Path) -> None:
        self.clock = Jumping()
        key = identity.signing_key(folder / "book.key")
        self.config = Config(
            "ops", "demo", folder, "mqtt://127.0.0.1:9", OpsSettings(playbook_keys=(key.public,))
        )
        file = playbooks(folder) / "by-hand.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(sign(BODY, key, "boss", self.clock.now())), encoding="utf-8")

    @contextmanager
    def running(self) -> Iterator[Engine]:
        telling = Telling(self.config, self.clock, Health(self.clock))
        store = Store(self.config.database, self.clock, Rules(), {})
        service = Service("gateway", "http://127.0.0.1:9", lambda: "")
        library = Library(playbooks(self.config.data_dir), self.config.app.playbook_keys)
        engine = Engine(self.config, self.clock, service, store, telling, library)
        loop, stop = asyncio.new_event_loop(), asyncio.Event()
        thread = threading.Thread(target=lambda: loop.run_until_complete(engine.run(stop)))
        thread.start()
        try:
            yield engine
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join(10)
            loop.close()
            for one in (engine, store, telling):
                one.close()


def outcome(engine: Engine, ident: str) -> str:
    found = next(one for one in engine.execution(ident)["steps"] if one["id"] == HAND)
    return str(found["outcome"] or found["state"])


def still(engine: Engine, ident: str) -> None:
    """The engine looked at its times, and nothing came of it."""
    threading.Event().wait(1.5)
    assert outcome(engine, ident) == "waiting"


def test_a_wall_clock_that_jumps_changes_no_deadline(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    with stand.running() as engine:
        ident = engine.begin("by-hand", "person:boss", {})
        until(lambda: outcome(engine, ident) == "waiting", "it waits for a person")
        for off in (timedelta(days=300), timedelta(days=-300)):
            stand.clock.off = off
            still(engine, ident)
        stand.clock.advance(601)
        until(lambda: outcome(engine, ident) == "timeout", "its time is over")


def test_after_a_restart_no_more_is_left_than_there_was(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    with stand.running() as engine:
        ident = engine.begin("by-hand", "person:boss", {})
        until(lambda: outcome(engine, ident) == "waiting", "it waits for a person")
    stand.clock.advance(400)
    with stand.running() as engine:
        still(engine, ident)
        stand.clock.advance(201)
        until(lambda: outcome(engine, ident) == "timeout", "what was left is over")


def test_a_clock_set_back_before_a_start_lets_nobody_wait_for_ever(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    with stand.running() as engine:
        ident = engine.begin("by-hand", "person:boss", {})
        until(lambda: outcome(engine, ident) == "waiting", "it waits for a person")
    stand.clock.off = timedelta(days=-300)
    with stand.running() as engine:
        still(engine, ident)
        stand.clock.advance(601)
        until(lambda: outcome(engine, ident) == "timeout", "the whole time is over")
