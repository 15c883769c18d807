"""A gate's real process at a real broker: a signed order is received and answered, a signed feed is obeyed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import mqtt5
import pytest

from kiosk.emulators.world import DEMO, World
from mocban import commands, feeds, identity
from mocban.events import Envelope
from mocban.ids import new_id
from mocban.messages import Receipt, State
from tests.support import orders_stand
from tests.support.gateway_stand import CLOCK, Broker, Teller, running_broker, until

MOCBAN = [sys.executable, "-m", "mocban"]


class Centre(Teller):
    """Stands in for the gateway: hears what the gate says, orders it about."""

    def __init__(self, url: str, key: identity.SigningKey) -> None:
        super().__init__(url, device="gate-1")
        self._key = key
        self._seq = 0
        filters = [
            mqtt5.TopicFilter(f"{self.prefix}/{channel}", max_qos=mqtt5.QoS.AT_LEAST_ONCE)
            for channel in ("evt/#", "rsp/#", "state")
        ]
        self._sock.sendall(mqtt5.SubscribePacket(self._id(), filters).write())

    def state(self) -> State | None:
        """The gate's last word about itself; a broker may tell of its death later than it was alive again."""
        said = [payload for topic, payload in self.heard if topic == f"{self.prefix}/state"]
        alive = [state for state in map(State.parse, said) if state.online]
        return alive[-1] if alive else None

    def online(self) -> State:
        """The gate's state once it is there."""
        self.wait(lambda: self.state() is not None, "the gate is there")
        state = self.state()
        assert state is not None
        return state

    def order(self, name: str, **args: Any) -> bytes:
        """Publish a signed order; what went out."""
        self._seq += 1
        request = commands.Request(
            id=UUID(new_id()), by="person:boss", tenant="demo", device="gate-1", app="gate", name=name, args=args,
            expires=CLOCK.now() + timedelta(minutes=5),
        )  # fmt: skip
        payload = commands.sign(
            self._key, request, [], epoch=self.online().epoch, seq=self._seq, issued=CLOCK.now()
        ).encode()
        self.send(f"{self.prefix}/cmd/{name}", payload)
        return payload

    def feed(self, name: feeds.Name, version: int, *uids: str) -> None:
        """Publish a signed feed."""
        payload = feeds.sign(
            self._key, "demo", "gate-1", name, version=version, issued=CLOCK.now(),
            expires=CLOCK.now() + timedelta(hours=1), entries=[feeds.Entry(uid=uid) for uid in uids],
        )  # fmt: skip
        self.send(f"{self.prefix}/feed/{name}", payload, retain=True)

    def told(self, kind: str) -> list[dict[str, Any]]:
        """Facts of one kind, each once."""
        found: dict[UUID, dict[str, Any]] = {}
        for topic, payload in self.heard:
            if topic == f"{self.prefix}/evt/{kind}":
                envelope = Envelope.model_validate_json(payload)
                found[envelope.id] = envelope.data
        return list(found.values())

    def answer(self, count: int) -> dict[str, Any]:
        """The last answer, once there are ``count``."""
        self.wait(lambda: len(self.told("command-answered")) >= count, f"{count} answers")
        return self.told("command-answered")[-1]

    def receipts(self) -> list[Receipt]:
        return [Receipt.parse(payload) for topic, payload in self.heard if "/rsp/" in topic]


class Gate:
    """The gate's process and its reader's."""

    def __init__(self, folder: Path, broker: Broker, public: str) -> None:
        self.folder = folder
        self.world = World.create(
            folder / "world.db", tomllib.loads(DEMO.read_text(encoding="utf-8"))
        )
        link, self.config = folder / "tty", folder / "mocban.toml"
        self.config.write_text(
            f'data_dir = "{folder}/data"\nmqtt = "{broker.url}"\ngateway_keys = ["{public}"]\n'
            f'[gate]\nport = 0\ngate = "serial://{link}?baud=38400&parity=E"\nhold_seconds = 0\n'
            f'log_file = "{folder}/log"\n',
            encoding="utf-8",
        )
        world = ["--world", str(folder / "world.db"), "--link", str(link)]
        self._reader = self._spawn("kiosk", "emulate", "gate", *world)
        until(link.is_symlink, "the reader is there")
        self.start()

    def start(self) -> None:
        self.process = self._spawn("kiosk", "gate", "--config", str(self.config))

    def end(self) -> None:
        for process in (self.process, self._reader):
            process.terminate()
            process.wait(10)
        self.world.close()

    def _spawn(self, *words: str) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [*MOCBAN, *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ}
            )  # fmt: skip


@pytest.fixture
def key(tmp_path: Path) -> identity.SigningKey:
    return identity.signing_key(tmp_path / "gateway.key")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with running_broker("iotcore", tmp_path) as started:
        yield started


@pytest.fixture
def gate(tmp_path: Path, broker: Broker, key: identity.SigningKey) -> Iterator[Gate]:
    started = Gate(tmp_path, broker, key.public)
    yield started
    started.end()


def test_a_gate_receives_signed_orders_and_answers_each_once(
    gate: Gate, broker: Broker, key: identity.SigningKey
) -> None:
    with Centre(broker.url, key) as centre:
        centre.wait(lambda: bool(centre.told("device-changed")), "the gate is open")
        payload = centre.order("self-test")
        centre.send(f"{centre.prefix}/cmd/self-test", payload)  # and once more
        centre.send(f"{centre.prefix}/cmd/self-test", payload.replace(b'"seq":1', b'"seq":2'))
        answer = centre.answer(1)
        assert (answer["outcome"], answer["result"]["gate"]) == ("done", "ok")
        centre.wait(lambda: len(centre.receipts()) == 2, "both deliveries have their receipt")
        assert centre.receipts()[0].order == UUID(answer["order"])
        centre.wait(
            lambda: {"order-self-test", "order-refused"} <= {one["action"] for one in centre.told("audited")},
            "the order and the forged one are told",
        )  # fmt: skip
        centre.order("set-mode", mode="closed", seconds=5)
        assert centre.answer(2)["reason"] == "bad-mode"
        centre.order("restart")
        assert gate.process.wait(10) == 0
        gate.start()
        assert (centre.answer(3)["name"], centre.answer(3)["outcome"]) == ("restart", "done")
        starts = [one for one in centre.told("audited") if one["action"] == "service-started"]
        assert len(starts) == 2


def test_a_gate_obeys_feeds_and_silence_and_cries_again_after(
    gate: Gate, broker: Broker, key: identity.SigningKey
) -> None:
    uid = gate.world.tag("de-men").uid

    def walked() -> int:
        return sum(one["left"] for one in centre.told("people-counted"))

    with Centre(broker.url, key) as centre:
        centre.wait(lambda: bool(centre.told("device-changed")), "counting has begun")
        centre.feed("pending-security", 3, uid)
        centre.wait(
            lambda: (
                (state := centre.state()) is not None and state.feeds == {"pending-security": 3}
            ),
            "the feed is in force",
        )
        gate.world.walk(["de-men"], "out")
        centre.wait(lambda: walked() == 1, "the reader was counted")
        assert (gate.world.sirens(), centre.told("gate-alarmed")) == (0, [])
        gate.process.kill()
        gate.process.wait(10)
        broker_was = centre.online().epoch
        gate.start()
        gate.world.walk(["de-men"], "out")
        centre.wait(lambda: walked() == 2, "the reader was counted after a start")
        assert gate.world.sirens() == 0

        centre.order("set-mode", mode="silent", seconds=3)
        assert centre.answer(1)["outcome"] == "done"
        centre.wait(lambda: centre.online().mode == "silent", "it shows that it is silent")
        gate.world.walk(["lich-su"], "out")
        centre.wait(lambda: walked() == 3, "a silent gate counts")
        assert (gate.world.sirens(), centre.told("gate-alarmed")) == (0, [])
        centre.wait(lambda: centre.online().mode == "open", "it is open again by itself")
        gate.world.walk(["lich-su"], "out")
        centre.wait(lambda: len(centre.told("gate-alarmed")) == 1, "it cries again")
        assert gate.world.sirens() == 1
        assert centre.online().epoch == broker_was
        assert json.dumps(centre.told("gate-alarmed")[0]).count(gate.world.tag("lich-su").uid) == 1


def test_an_order_of_the_real_gateway_is_obeyed_and_its_answer_stands_there(
    tmp_path: Path, broker: Broker
) -> None:
    with orders_stand.Centre(tmp_path / "centre", broker.url) as gateway:
        gate = Gate(tmp_path, broker, gateway.public)
        try:
            until(lambda: "device-changed" in {f["kind"] for f in gateway.facts()}, "it is known")
            asked = orders_stand.request("self-test", device="gate-1", app="gate", by="app:ops")
            status, body = gateway.ask(asked)
            assert status < 300, body
            until(lambda: gateway.order(asked)["state"] == "done", "it is answered")
            assert gateway.order(asked)["result"]["gate"] == "ok"
            logs = orders_stand.request("collect-logs", device="gate-1", app="gate", by="app:ops")
            where = {"url": f"{gateway.url}/api/v1/uploads/{logs.id}", "token": new_id()}
            logs = logs.model_copy(update={"args": where})
            assert gateway.ask(logs)[0] < 300
            until(lambda: gateway.order(logs)["state"] in {"done", "failed"}, "the log is there")
            uploads = gateway.json("/api/v1/uploads")["uploads"]
            assert [(one["order"], one["size"]) for one in uploads] == [
                (str(logs.id), gateway.order(logs)["result"]["bytes"])
            ]
            kinds = [fact["kind"] for fact in gateway.facts()]
            assert kinds.count("command-answered") == 2
        finally:
            gate.end()
