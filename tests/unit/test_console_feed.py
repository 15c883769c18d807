"""What is known stays known when a service falls silent, and nothing a service says ends the looking."""

from __future__ import annotations

import socket
import threading

import pytest

from mocban.asking import Service
from mocban.clock import SetClock
from ops.console import feed as feeding
from ops.console.feed import Feed
from tests.support.console_stand import EXECUTION, Recorded, asking, device, execution, incident
from tests.support.gateway_stand import CLOCK, until
from tests.support.serving import serving


def looking(stand: Recorded, clock: SetClock | None = None) -> Feed:
    return Feed(stand.service, stand.service, clock or SetClock(), lambda: None)


def test_one_round_knows_everything_that_is_shown() -> None:
    with Recorded() as stand:
        feed = looking(stand)
        feed.look_ops()
        feed.look_gateway()
        known = feed.picture
        assert [one["no"] for one in known.incidents] == [1, 2]
        assert list(known.waiting) == [EXECUTION]
        assert known.detail(EXECUTION) == asking()
        assert len(known.devices) == 3
        assert known.counts is not None
        assert (known.ops.trouble, known.gateway.trouble) == ("", "")


def test_the_last_known_state_stays_with_its_age_and_comes_back_fresh() -> None:
    clock = SetClock()
    with Recorded() as stand:
        feed = looking(stand, clock)
        feed.look_ops()
        stand.stop()
        clock.advance(12)
        feed.look_ops()
        feed.look_gateway()
        assert feed.picture.ops.trouble == "peer-unreachable"
        assert feed.picture.ops.at == 0.0
        assert len(feed.picture.incidents) == 2
        assert (feed.picture.gateway.at, feed.picture.gateway.trouble) == (None, "peer-unreachable")
        stand.incidents.append(incident(3))
        stand.start()
        feed.look_ops()
        fresh = feed.picture
        assert (fresh.ops.at, fresh.ops.trouble) == (12.0, "")
        assert len(fresh.incidents) == 3


@pytest.mark.parametrize(
    "answer",
    [
        b"{}", b"[]", b"null", b'{"incidents": 7}', b'{"incidents": [7], "executions": [7]}', b"\xff\x00", b"",
        b'{"incidents": [], "executions": [{}]}', b'{"incidents": null, "executions": null}',
    ],
)  # fmt: skip
def test_an_answer_nobody_understands_is_said_and_looked_past(answer: bytes) -> None:
    with Recorded() as stand:
        feed = looking(stand)
        feed.look_ops()
        feed.look_gateway()
        stand.raw = answer
        feed.look_ops()
        feed.look_gateway()
        assert feed.picture.ops.trouble
        assert len(feed.picture.incidents) == 2
        stand.raw = None
        feed.look_ops()
        assert not feed.picture.ops.trouble


def test_what_is_looked_at_may_be_gone() -> None:
    with Recorded() as stand:
        feed = looking(stand)
        feed.watch_incident(99)
        feed.watch_execution("11111111-1111-4111-8111-111111111111")
        feed.look_ops()
        assert feed.picture.ops.trouble == ""
        known = feed.picture
        assert (known.incident, known.execution) == (None, None)
        feed.watch_incident(1)
        feed.look_ops()
        assert feed.picture.incident is not None
        assert feed.picture.incident["incident"]["no"] == 1


def test_an_execution_that_ended_is_read_only_while_it_is_looked_at() -> None:
    with Recorded() as stand:
        stand.executions = [execution("done")]
        feed = looking(stand)
        feed.look_ops()
        assert feed.picture.detail(EXECUTION) is None
        feed.watch_execution(EXECUTION)
        feed.look_ops()
        assert feed.picture.detail(EXECUTION) is not None


def test_resolved_incidents_are_asked_for_only_if_wanted() -> None:
    with Recorded() as stand:
        stand.incidents.append(incident(3, state="resolved"))
        feed = looking(stand)
        feed.look_ops()
        assert [one["no"] for one in feed.picture.incidents] == [1, 2]
        feed.watch_resolved(True)
        feed.look_ops()
        assert [one["no"] for one in feed.picture.incidents] == [1, 2, 3]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeding, "DEVICES_MAX", 5)
    with Recorded() as stand:
        stand.devices = [7, "x", {}, *(device(f"kiosk-{n}") for n in range(50))]
        stand.executions = [{**execution("running"), "id": f"id-{n}"} for n in range(50)]
        stand.details = {f"id-{n}": asking() for n in range(50)}
        feed = looking(stand)
        feed.look_ops()
        feed.look_gateway()
        assert len(feed.picture.devices) <= 5
        assert len(feed.picture.waiting) == feeding.ASKS_MAX


def test_a_service_that_never_answers_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeding, "TIMEOUT", 0.3)
    silent = threading.Event()

    def hold(line: socket.socket) -> None:
        silent.wait(10)

    with Recorded() as stand, serving(hold) as port:
        told: list[float] = []
        mute = Service("operations", f"http://127.0.0.1:{port}", lambda: "")
        feed = Feed(mute, stand.service, CLOCK, lambda: told.append(CLOCK.mono()))
        began = CLOCK.mono()
        feed.start()
        try:
            until(lambda: len(feed.picture.devices) == 3, "the gateway is heard", 5)
            assert CLOCK.mono() - began < 2
            until(
                lambda: feed.picture.ops.trouble == "peer-unreachable", "operations are missed", 5
            )
        finally:
            feed.stop()
            silent.set()
    assert told


def test_a_poke_looks_at_once() -> None:
    with Recorded() as stand:
        feed = looking(stand)
        feed.start()
        try:
            until(lambda: len(feed.picture.incidents) == 2, "it looked")
            stand.incidents.append(incident(7))
            began = CLOCK.mono()
            feed.poke()
            until(lambda: len(feed.picture.incidents) == 3, "it looked again")
            assert CLOCK.mono() - began < feeding.EVERY
        finally:
            feed.stop()
