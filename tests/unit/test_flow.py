"""The flow of one connection: the window, pauses, and when to begin again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import mqtt5
import pytest

from mocban.flow import Flow, publish_size


@dataclass(frozen=True)
class Row:
    seq: int


def outbox(*seqs: int) -> Callable[[int, int], Sequence[Row]]:
    return lambda after, limit: [Row(seq) for seq in seqs if seq > after][:limit]


def sent(flow: Flow, *seqs: int) -> list[int]:
    """What it lets go; packet id 100 + seq."""
    found = []
    for row in flow.turns(outbox(*seqs)):
        flow.sent(100 + row.seq, row.seq)
        found.append(row.seq)
    return found


def test_no_more_than_the_window_and_each_once() -> None:
    flow = Flow(50, (2.0, 60.0), 0.0, 1)
    flow.narrow(3)
    flow.narrow(65_535)
    assert sent(flow, 1, 2, 3, 4, 5) == [1, 2, 3]
    assert sent(flow, 1, 2, 3, 4, 5) == []
    assert flow.confirmed(102) == 2
    assert flow.confirmed(102) == 0, "twice is once"
    assert sent(flow, 1, 2, 3, 4, 5) == [4]


def test_what_was_confirmed_and_never_covered_is_sent_again_later_and_later() -> None:
    flow = Flow(50, (2.0, 5.0), 0.0, 1)
    assert sent(flow, 1, 2) == [1, 2]
    flow.confirmed(101)
    flow.confirmed(102)
    assert not flow.due(1.9)
    assert sent(flow, 1, 2) == []
    assert flow.due(2.0)
    assert flow.tick(2.0, 1)
    assert sent(flow, 1, 2) == [1, 2]
    assert flow.until(2.0) == 6.0
    flow.confirmed(101)
    assert flow.tick(6.0, 1)
    assert sent(flow, 1, 2, 3) == [1, 3], "2 is still under way"
    assert flow.until(6.0) == 11.0, "never more than the longest"
    assert flow.tick(11.0, 3), "the watermark moves"
    assert flow.until(11.0) == 13.0


def test_a_mute_broker_is_given_up_after_the_longest_wait() -> None:
    flow = Flow(50, (2.0, 4.0), 0.0, 1)
    sent(flow, 1)
    assert flow.tick(2.0, 1)
    assert not flow.tick(6.0, 1)


def test_an_idle_line_is_never_mute() -> None:
    flow = Flow(50, (2.0, 2.0), 0.0, None)
    for second in range(0, 100, 2):
        assert flow.tick(float(second), None)


def test_too_much_pauses_longer_each_time_until_it_is_taken() -> None:
    flow = Flow(2, (2.0, 5.0), 0.0, 1)
    pauses = []
    for _ in range(3):
        assert sent(flow, 1) == [1]
        flow.hold(0.0, flow.confirmed(101))
        pauses.append(next(at for at in (2.0, 4.0, 5.0) if not flow.held(at)))
    assert pauses == [2.0, 4.0, 5.0]
    assert flow.until(1.0) == 2.0, "the resend time comes first"
    flow.eased()
    flow.hold(10.0, 0)
    assert flow.held(11.9)
    assert not flow.held(12.0)


@pytest.mark.parametrize("size", [0, 1, 80, 81, 100, 127, 128, 4096, 16_300, 16_400, 61_440])
@pytest.mark.parametrize("user", [[], [("epoch", "0" * 16), ("seq", "9" * 12)], [("é", "x" * 120)]])
def test_the_size_is_that_of_the_bytes(size: int, user: list[tuple[str, str]]) -> None:
    topic = "mocban/v1/demo/kiosk-1/evt/loan-made"
    packet = mqtt5.PublishPacket(
        topic, bytes(size), qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=7, user_properties=user
    )
    assert publish_size(topic, bytes(size), user) == len(packet.write())
