"""Orders through a real gateway and broker: asked, signed, received, answered; and everything that is none."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mocban import commands
from tests.support.gateway_stand import Broker, running_broker, until
from tests.support.orders_stand import Centre, Device, request
from tests.support.person import Person

NEW_EPOCH = "00000000000000e2"


@dataclass
class Stand:
    """A broker, a gateway, a kiosk that was born."""

    broker: Broker
    gateway: Centre
    device: Device

    def state(self, asked: commands.Request, state: str) -> None:
        until(lambda: self.gateway.order(asked)["state"] == state, f"the order is {state}")


@pytest.fixture
def staff(tmp_path: Path) -> list[Person]:
    return [Person(tmp_path, name) for name in ("minh", "lan")]


@pytest.fixture
def stand(tmp_path: Path, staff: list[Person]) -> Iterator[Stand]:
    with running_broker("iotcore", tmp_path) as broker:
        with Centre(tmp_path, broker.url, *staff) as gateway, Device(broker.url) as device:
            device.say(online=True)
            device.settle()
            until(lambda: gateway.knows("kiosk-1"), "the kiosk is known")
            yield Stand(broker, gateway, device)


def test_an_order_arrives_signed_and_its_answer_is_collected(stand: Stand) -> None:
    asked = request()
    status, body = stand.gateway.ask(asked)
    assert (status, body["state"]) == (201, "queued")
    order = stand.device.wait_order(stand.gateway.public)
    assert (order.id, order.epoch, order.by) == (asked.id, "00000000000000e1", "person:boss")
    assert stand.device.heard[-1][0].endswith("/cmd/self-test")
    stand.device.receive(order)
    stand.state(asked, "received")
    stand.device.answer(order.id, 1, result={"reader": "ok"})
    stand.state(asked, "done")
    found = stand.gateway.order(asked)
    assert found["result"] == {"reader": "ok"}
    assert found["asked"] <= found["sent"] <= found["received"] <= found["answered"]
    said = [("order-asked", "done", ""), ("order-answered", "done", "")]
    until(lambda: stand.gateway.audits() == said, "both are audited")


def test_asking_twice_is_asking_once_and_another_ask_may_not_take_the_id(stand: Stand) -> None:
    asked = request()
    assert stand.gateway.ask(asked)[0] == 201
    assert stand.gateway.ask(asked)[0] == 200
    other = asked.model_copy(update={"name": "restart"})
    status, body = stand.gateway.ask(other)
    assert (status, body["errors"][0]["code"]) == (409, "id-reuse")
    assert len(stand.gateway.json("/api/v1/commands")["orders"]) == 1


def test_only_the_operators_token_asks(stand: Stand) -> None:
    for token in ("", "0" * 64, "nonsense"):
        status, body = stand.gateway.ask(request(), token=token)
        assert (status, body["errors"][0]["code"]) == (401, "no-token")
        assert body["errors"][0]["do"]
    assert stand.gateway.json("/api/v1/commands")["orders"] == []


@pytest.mark.parametrize(
    ("status", "code", "asked"),
    [
        (422, "wrong-tenant", lambda: request(tenant="other")),
        (422, "unknown-command", lambda: request("explode")),
        (422, "bad-args", lambda: request("set-mode", mode="upside-down")),
        (422, "bad-args", lambda: request("self-test", more="1")),
        (422, "wrong-app", lambda: request(app="ops")),
        (422, "expired", lambda: request(seconds=-1)),
        (422, "too-far-ahead", lambda: request(seconds=25 * 3600)),
        (409, "device-unknown", lambda: request(device="kiosk-9")),
        (409, "device-unknown", lambda: request(app="gate")),
        (409, "approvals-missing", lambda: request("wipe")),
    ],
)
def test_what_may_not_be_is_refused_with_its_code_and_audited(
    stand: Stand, status: int, code: str, asked: object
) -> None:
    assert callable(asked)
    told, body = stand.gateway.ask(asked())
    assert (told, body["errors"][0]["code"]) == (status, code)
    until(lambda: stand.gateway.audits() == [("order-asked", "refused", code)], "it is audited")
    assert stand.gateway.json("/api/v1/commands")["orders"] == []


def test_an_order_goes_out_only_with_enough_true_approvals(
    stand: Stand, staff: list[Person], tmp_path: Path
) -> None:
    minh, lan = staff
    stranger = Person(tmp_path, "stranger")
    asked, other = request("wipe"), request("wipe")
    own = request("wipe", by="person:minh")
    for code, what, approvals in (
        ("approvals-missing", asked, [minh.approves(asked)]),
        ("approvals-missing", asked, [minh.approves(asked), minh.approves(asked)]),
        ("bad-approval", asked, [minh.approves(asked), lan.approves(other)]),
        ("unknown-person", asked, [minh.approves(asked), stranger.approves(asked)]),
        ("own-approval", own, [minh.approves(own), lan.approves(own)]),
    ):
        _, body = stand.gateway.ask(what, *approvals)
        assert body["errors"][0]["code"] == code
    assert "1 more" in stand.gateway.ask(asked, minh.approves(asked))[1]["errors"][0]["say"]
    assert stand.gateway.ask(asked, minh.approves(asked), lan.approves(asked))[0] == 201
    order = stand.device.wait_order(stand.gateway.public)
    lines = {one.name: one.line for one in staff}
    assert commands.approved(order, order.approvals, lines) == {"minh", "lan"}
    said = ("order-asked", "done", "person:lan person:minh")
    until(lambda: said in stand.gateway.audits(), "the persons are named")


def test_another_device_can_neither_receive_nor_answer_for_it(stand: Stand) -> None:
    asked = request()
    stand.gateway.ask(asked)
    order = stand.device.wait_order(stand.gateway.public)
    with Device(stand.broker.url, "kiosk-2") as other:
        other.say(online=True)
        other.receive(order)
        other.answer(order.id, 1, outcome="refused", reason="forged")
        other.wait_mark(1)
    assert stand.gateway.order(asked)["state"] == "sent"
    stand.device.answer(order.id, 1)
    stand.state(asked, "done")


def test_the_first_answer_counts(stand: Stand) -> None:
    asked = request()
    stand.gateway.ask(asked)
    stand.device.answer(stand.device.wait_order(stand.gateway.public).id, 1)
    stand.state(asked, "done")
    stand.device.answer(asked.id, 2, outcome="failed")
    stand.device.wait_mark(2)
    assert stand.gateway.order(asked)["state"] == "done"


def test_one_order_is_on_its_way_at_a_time_and_numbers_grow(stand: Stand) -> None:
    first, second = request(), request("restart")
    stand.gateway.ask(first)
    stand.gateway.ask(second)
    order = stand.device.wait_order(stand.gateway.public)
    assert order.id == first.id
    assert stand.gateway.order(second)["state"] == "queued"
    stand.device.receive(order)
    stand.device.wait(
        lambda: stand.device.orders(stand.gateway.public)[-1].id == second.id, "the second comes"
    )
    assert stand.device.orders(stand.gateway.public)[-1].seq > order.seq
    assert stand.gateway.order(first)["state"] == "received"


def test_without_a_receipt_it_comes_again_and_at_once_when_the_device_is_born(stand: Stand) -> None:
    stand.gateway.ask(request())
    first = stand.device.wait_order(stand.gateway.public)
    stand.device.say(online=True)
    assert stand.device.wait_order(stand.gateway.public, 2) == first
    assert stand.device.wait_order(stand.gateway.public, 3) == first  # after a while


def test_a_received_order_without_an_answer_comes_again_to_the_reborn(stand: Stand) -> None:
    asked = request()
    stand.gateway.ask(asked)
    first = stand.device.wait_order(stand.gateway.public)
    stand.device.receive(first)
    stand.state(asked, "received")
    before = len(stand.device.orders(stand.gateway.public))
    stand.device.say(online=True)
    assert stand.device.wait_order(stand.gateway.public, before + 1) == first


def test_a_new_outbox_gets_the_order_it_never_received_signed_anew(stand: Stand) -> None:
    stand.gateway.ask(request())
    first = stand.device.wait_order(stand.gateway.public)
    stand.device.say(online=True, epoch=NEW_EPOCH)
    stand.device.wait(
        lambda: stand.device.orders(stand.gateway.public)[-1].epoch == NEW_EPOCH, "it is renewed"
    )
    again = stand.device.orders(stand.gateway.public)[-1]
    assert again.id == first.id
    assert again.seq > first.seq


def test_a_new_outbox_ends_the_order_that_was_received_but_its_answer_still_counts(
    stand: Stand,
) -> None:
    asked = request()
    stand.gateway.ask(asked)
    stand.device.receive(stand.device.wait_order(stand.gateway.public))
    stand.state(asked, "received")
    stand.device.say(online=True, epoch=NEW_EPOCH)
    stand.state(asked, "failed")
    assert stand.gateway.order(asked)["reason"] == "device-renewed"
    stand.device.answer(asked.id, 1, epoch=NEW_EPOCH)
    stand.state(asked, "done")
    until(
        lambda: (
            [action for action, _, _ in stand.gateway.audits()]
            == ["order-asked", "order-renewed", "order-answered"]
        ),
        "each is audited",
    )


def test_an_order_nobody_receives_expires_and_makes_room(stand: Stand) -> None:
    short, after = request(seconds=1.5), request()
    stand.gateway.ask(short)
    stand.gateway.ask(after)
    stand.state(short, "expired")
    stand.state(after, "sent")
    until(lambda: ("order-expired", "failed", "expired") in stand.gateway.audits(), "it is audited")


def test_an_order_asked_while_there_is_no_broker_goes_out_after_a_restart(
    tmp_path: Path, staff: list[Person]
) -> None:
    with running_broker("iotcore", tmp_path) as broker:
        gateway = Centre(tmp_path, broker.url, *staff)
        with gateway:
            with Device(broker.url) as device:
                device.say(online=True)
                device.settle()
            until(lambda: gateway.knows("kiosk-1"), "the kiosk is known")
            broker.kill()
            until(lambda: not gateway.health()["ok"], "the gateway misses its broker")
            asked = request()
            assert gateway.ask(asked)[0] == 201
        broker.start()
        with gateway, Device(broker.url) as device:
            device.say(online=True)
            order = device.wait_order(gateway.public)
            assert order.id == asked.id
            device.answer(order.id, 1)
            until(lambda: gateway.order(asked)["state"] == "done", "it is done")


def test_a_broker_that_forgot_it_gets_it_again(stand: Stand) -> None:
    asked = request()
    stand.gateway.ask(asked)
    first = stand.device.wait_order(stand.gateway.public)
    stand.broker.kill()
    stand.broker.start()
    with Device(stand.broker.url) as device:
        assert device.wait_order(stand.gateway.public) == first


def test_a_token_among_the_arguments_is_not_shown(stand: Stand) -> None:
    asked = request("collect-logs", url="http://127.0.0.1:1/x", token="ab" * 16)
    stand.gateway.ask(asked)
    assert "ab" * 16 not in stand.gateway.get(f"/api/v1/commands/{asked.id}")
    assert "ab" * 16 not in stand.gateway.get("/api/v1/commands")
    assert stand.device.wait_order(stand.gateway.public).args["token"] == "ab" * 16


def test_many_who_ask_at_once_for_the_same_get_one_order(stand: Stand) -> None:
    asked = request()
    got: list[int] = []
    threads = [
        threading.Thread(target=lambda: got.append(stand.gateway.ask(asked)[0])) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [200] * 7 + [201]
