"""The gateway's MQTT 5 without I/O: pieces, refusals, bounds."""

from __future__ import annotations

import mqtt5
import pytest

from gateway.mqtt import PACKET_MAX, Came, Connected, Happening, Refused, Subscribed, Wire
from mocban.errors import PeerUnreachable, RemoteProtocolError
from mocban.reasons import Course

# Written from MQTT 5.0: CONNACK 3.2 with Receive Maximum (0x21) 2; SUBACK 3.9 granting 1, 1;
# PUBLISH 3.3 QoS 1, topic "a/b", packet 7, user properties epoch=e1 and seq=2, payload "hi"; PINGRESP 3.13.
CONNACK = bytes.fromhex("20 06 00 00 03 21 00 02")
SUBACK = bytes.fromhex("90 05 00 01 00 01 01")
PUBLISH = bytes.fromhex(
    "32 1f 0003 61 2f 62 0007 15 26 0005 65706f6368 0002 6531 26 0003 736571 0001 32 6869"
)
PINGRESP = bytes.fromhex("d0 00")


def wire() -> Wire:
    return Wire(
        "gateway.gateway", ("mocban/v1/+/+/evt/#", "mocban/v1/+/+/state"), keep_alive=20, window=100
    )


def packets(data: bytes) -> list[mqtt5.Packet]:
    found = []
    while data:
        packet, size = mqtt5.read(memoryview(data))
        found.append(packet)
        data = data[size:]
    return found


@pytest.mark.parametrize("step", [1, 3, 1000])
def test_bytes_in_any_pieces_give_the_same_happenings(step: int) -> None:
    line, found = wire(), list[Happening]()
    data = CONNACK + SUBACK + PUBLISH + PINGRESP
    for at in range(0, len(data), step):
        found += line.feed(data[at : at + step])
    connected, subscribed, came = found
    assert connected == Connected(resumed=False)
    assert subscribed == Subscribed()
    assert isinstance(came, Came)
    assert (came.packet_id, came.message.topic, came.message.payload) == (7, "a/b", b"hi")
    assert (came.message.epoch, came.message.seq) == ("e1", "2")


def test_connect_says_everything_the_codec_would_guess() -> None:
    (packet,) = packets(wire().connect(clean=False))
    assert isinstance(packet, mqtt5.ConnectPacket)
    assert (packet.clean_start, packet.keep_alive, packet.receive_max) == (False, 20, 100)
    assert packet.max_packet_size == PACKET_MAX
    (packet,) = packets(wire().subscribe())
    assert isinstance(packet, mqtt5.SubscribePacket)
    assert [(f.pattern, f.max_qos, f.retain_as_published) for f in packet.topic_filters] == [
        ("mocban/v1/+/+/evt/#", mqtt5.QoS.AT_LEAST_ONCE, False),
        ("mocban/v1/+/+/state", mqtt5.QoS.AT_LEAST_ONCE, False),
    ]


def test_no_more_is_published_than_the_broker_takes() -> None:
    line = wire()
    line.feed(CONNACK)
    ids = []
    while line.room > 0:
        (packet,) = packets(line.publish("a", b"x"))
        assert isinstance(packet, mqtt5.PublishPacket)
        ids.append(packet.packet_id)
    assert len(ids) == 2
    line.feed(mqtt5.PubAckPacket(ids[0] or 0).write())
    assert line.room == 1
    line.feed(mqtt5.PubAckPacket(ids[0] or 0).write())  # twice is once
    assert line.room == 1


def test_acknowledgements_are_ours_to_send() -> None:
    acks = packets(wire().acknowledge([7, 0, 9]))
    assert [ack.packet_id for ack in acks if isinstance(ack, mqtt5.PubAckPacket)] == [7, 9]


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x00",
        bytes.fromhex("32 ff ff ff ff 01"),
        bytes.fromhex("36 05 0001 61 0001"),
        mqtt5.SubscribePacket(1, [mqtt5.TopicFilter("a")]).write(),
        mqtt5.PublishPacket("a", b"", qos=mqtt5.QoS.EXACTLY_ONCE, packet_id=1).write(),
    ],
)
def test_what_no_broker_may_send_ends_the_connection(data: bytes) -> None:
    line = wire()
    line.feed(CONNACK + SUBACK)
    with pytest.raises(RemoteProtocolError):
        for _ in range(8):
            line.feed(data)


def test_a_packet_without_end_is_not_waited_for() -> None:
    line = wire()
    head = bytes.fromhex("32 ff ff ff 7f 0003 61 2f 62 0007 00")
    with pytest.raises(RemoteProtocolError):
        for _ in range(PACKET_MAX // 65536 + 2):
            line.feed(head + bytes(65536))


@pytest.mark.parametrize(
    ("data", "course"),
    [
        (
            mqtt5.ConnAckPacket(reason_code=mqtt5.ConnAckReasonCode.NOT_AUTHORIZED).write(),
            Course.PARK,
        ),
        (mqtt5.ConnAckPacket(max_qos=mqtt5.QoS.AT_MOST_ONCE).write(), Course.PARK),
        (mqtt5.ConnAckPacket(wildcard_subscription_available=False).write(), Course.PARK),
        (
            CONNACK + mqtt5.SubAckPacket(1, [mqtt5.SubAckReasonCode.NOT_AUTHORIZED] * 2).write(),
            Course.PARK,
        ),
        (
            CONNACK
            + mqtt5.SubAckPacket(1, [mqtt5.SubAckReasonCode.GRANTED_QOS_AT_MOST_ONCE] * 2).write(),
            Course.PARK,
        ),
        (
            CONNACK
            + mqtt5.DisconnectPacket(
                reason_code=mqtt5.DisconnectReasonCode.SESSION_TAKEN_OVER
            ).write(),
            Course.TAKEN_OVER,
        ),
    ],
)
def test_a_refusal_says_when_to_come_again(data: bytes, course: Course) -> None:
    with pytest.raises(PeerUnreachable) as refused:
        wire().feed(data)
    assert isinstance(refused.value, Refused)
    assert refused.value.verdict.course is course


@pytest.mark.parametrize(
    "data",
    [SUBACK, PUBLISH, PINGRESP, CONNACK + CONNACK, CONNACK + bytes.fromhex("9004 0001 00 01")],
)
def test_what_comes_before_its_time_ends_the_connection(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        wire().feed(data)


def test_what_is_longer_than_the_broker_takes_is_not_sent_but_told() -> None:
    line = wire()
    line.feed(mqtt5.ConnAckPacket(max_packet_size=60).write())
    sent = [line.publish("a/b", bytes(size), expiry=9) for size in range(40, 60)]
    assert [len(data) for data in sent if data] == list(range(55, 61)), "to the byte"
    assert {one.verdict.name for one in line.unsent()} == {"packet-too-large"}
    assert line.room == 100 - 6
    assert not line.unsent(), "told once"


def test_a_broker_that_cannot_retain_is_not_asked_to() -> None:
    line = wire()
    line.feed(mqtt5.ConnAckPacket(retain_available=False).write())
    (packet,) = packets(line.publish("a", b"x", retain=True))
    assert isinstance(packet, mqtt5.PublishPacket)
    assert not packet.retain


def test_the_brokers_keep_alive_is_kept_and_none_is_not_believed() -> None:
    line = wire()
    line.feed(mqtt5.ConnAckPacket(server_keep_alive=7).write())
    assert line.keep_alive == 7
    line = wire()
    line.feed(mqtt5.ConnAckPacket(server_keep_alive=0).write())
    assert line.keep_alive == 20
