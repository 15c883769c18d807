"""What an incident leaves to do: done at least once, begun once, said once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from mocban.access import Refusal
from mocban.clock import SetClock
from mocban.errors import StorageError
from mocban.events import Audited
from mocban.health import Health
from ops.incidents.errands import FRESH, Errands
from ops.incidents.model import Signal, execution_id
from ops.incidents.store import Store
from tests.support.incident_room import RULES, START, signal


class World:
    """Where facts are told and playbooks begin, each in its own way of failing; ``dies`` fails after it has begun."""

    def __init__(self) -> None:
        self.facts: list[tuple[str, str]] = []
        self.begun: dict[str, tuple[str, dict[str, str], int | None]] = {}
        self.asked = 0
        self.mute: Callable[[], None] = lambda: None
        self.refuses: Callable[[], None] = lambda: None
        self.dies: Callable[[], None] = lambda: None

    def tell(self, fact: Audited) -> None:
        self.mute()
        self.facts.append((fact.action, fact.ref))

    def begin(
        self, playbook: str, by: str, variables: Mapping[str, str], incident: int | None = None, id: str = "",  # noqa: A002
    ) -> str:  # fmt: skip
        self.asked += 1
        self.refuses()
        again = (playbook, dict(variables), incident)
        if self.begun.setdefault(id, again) != again:
            raise Refusal(409, "id-reuse", "another execution has this id")
        self.dies()
        return id


class Stand:
    def __init__(self, folder: Path) -> None:
        self.path, self.clock, self.world = folder / "ops.db", SetClock(START), World()
        self.again()

    def again(self) -> None:
        """As after a kill -9."""
        autorun = {"gate-storm": "silence", "reader-lost": "look"}
        self.store = Store(self.path, self.clock, RULES, autorun)
        wanted = {"silence": ["__device__", "__app__", "__other__"], "look": ["__incident__"]}
        self.errands = Errands(
            self.store, self.world, self.world, lambda name: wanted[name], Health(self.clock), self.clock
        )  # fmt: skip

    def take(self, *signals: Signal) -> None:
        self.store.take(signals)

    def whats(self, no: int = 1) -> list[str]:
        return [entry.what for entry in self.store.incident(no)[1]]


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    return Stand(tmp_path)


LOST = signal("a", kind="reader-lost", device="kiosk-1")


def refuse(status: int, code: str) -> Callable[[], None]:
    def body() -> None:
        raise Refusal(status, code, "it is so")

    return body


def full() -> None:
    raise StorageError("the disk is full")


def test_a_playbook_gets_what_it_declares_and_no_more(stand: Stand) -> None:
    stand.take(*(signal(str(n), n / 60) for n in range(4)), LOST)
    stand.errands.once()
    one, other = stand.store.incident(1)[0], stand.store.incident(2)[0]
    assert stand.world.begun == {
        execution_id(one.id, "gate-storm"): ("silence", {"__device__": "gate-1", "__app__": ""}, 1),
        execution_id(other.id, "reader-lost"): ("look", {"__incident__": "2"}, 2),
    }
    assert one.execution == execution_id(one.id, "gate-storm")
    assert sorted(action for action, _ in stand.world.facts) == ["incident-opened"] * 2


def test_killed_after_it_began_it_begins_once(stand: Stand) -> None:
    stand.take(LOST)
    stand.world.dies = full
    for _ in range(3):
        with pytest.raises(StorageError):
            stand.errands.once()
        stand.again()
    stand.world.dies = lambda: None
    stand.errands.once()
    assert len(stand.world.begun) == 1
    assert stand.whats() == ["opened", "playbook-begun"]


def test_what_began_before_a_crash_is_known_though_the_incident_learned_more(stand: Stand) -> None:
    stand.take(*(signal(str(n), n / 60) for n in range(4)))
    stand.world.dies = full
    with pytest.raises(StorageError):
        stand.errands.once()
    stand.again()
    stand.take(Signal("s", "alert", "gate-storm", "gate-1", START, app="gate"))
    stand.errands.once()
    assert stand.whats()[-1] == "playbook-begun"
    assert stand.store.due() == []


def test_a_refusal_is_said_once_and_ends_it(stand: Stand) -> None:
    stand.take(LOST)
    stand.world.refuses = refuse(403, "unsigned")
    for _ in range(2):
        stand.errands.once()
        stand.again()
    assert stand.world.asked == 1
    assert stand.whats() == ["opened", "playbook-refused"]


def test_what_cannot_begin_now_is_said_once_and_tried_again(stand: Stand) -> None:
    stand.take(LOST)
    stand.world.refuses = refuse(503, "too-many")
    for _ in range(3):
        stand.errands.once()
    assert stand.whats() == ["opened", "playbook-refused"]
    stand.world.refuses = lambda: None
    stand.errands.once()
    assert stand.whats() == ["opened", "playbook-refused", "playbook-begun"]


@pytest.mark.parametrize("how", ["late", "over", "resolved"])
def test_a_playbook_is_for_what_is_so_now(stand: Stand, how: str) -> None:
    stand.take(LOST)
    match how:
        case "late":
            stand.clock.advance(FRESH.total_seconds() + 1)
        case "over":
            stand.take(signal("e", 1, "reader-lost", "kiosk-1", over=True))
        case _:
            stand.store.resolve(1, "person:lan")
    stand.errands.once()
    assert stand.world.begun == {}
    assert stand.whats()[-1] == "playbook-refused"
    assert stand.store.due() == []


def test_facts_wait_for_the_disk_and_are_told_at_least_once(stand: Stand) -> None:
    stand.take(*(signal(f"g{n}", device=f"gate-{n}") for n in range(3)))
    stand.world.mute = full
    with pytest.raises(StorageError):
        stand.errands.once()
    assert len(stand.store.untold()) == 3
    stand.again()
    stand.world.mute = lambda: None
    stand.errands.once()
    assert [action for action, _ in stand.world.facts] == ["incident-opened"] * 3
    assert len({ref for _, ref in stand.world.facts}) == 3
    assert stand.store.untold() == []


def test_what_resolves_itself_is_told_too(stand: Stand) -> None:
    stand.take(signal("a", kind="alert", source="alert"))
    stand.take(signal("e", 1, kind="alert", source="alert", over=True))
    stand.clock.advance(timedelta(minutes=6).total_seconds())
    stand.errands.once()
    stand.errands.once()
    assert [action for action, _ in stand.world.facts] == ["incident-opened", "incident-resolved"]
