"""Around the gateway's tests: a broker process, a telling device on the raw codec, and facts to tell."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import mqtt5

from gateway.app import main
from gateway.settings import GatewaySettings
from mocban.clock import SystemClock
from mocban.config import Config
from mocban.demo import broker
from mocban.events import (
    Envelope,
    Fact,
    GateAlarmed,
    ItemRefused,
    LoanMade,
    PeopleCounted,
    ReturnMade,
)
from tests.support.housed import Housed

EPOCH = "00000000000000e1"
DEADLINE = 15.0
CLOCK = SystemClock()


def until(true: Callable[[], bool], what: str, deadline: float = DEADLINE) -> None:
    """Wait for a condition; fails with ``what`` after ``deadline`` seconds."""
    end = CLOCK.mono() + deadline
    while not true():
        assert CLOCK.mono() < end, f"waited {deadline} s in vain until {what}"
        threading.Event().wait(0.02)


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def envelope(
    fact: Fact, seq: int, *, device: str = "kiosk-1", epoch: str = EPOCH, **other: Any
) -> bytes:
    """``fact`` as ``device`` puts it on the wire."""
    fields: dict[str, Any] = {
        "id": fact.id_at(device), "epoch": epoch, "seq": seq, "ts": CLOCK.now(), "mono": 1.0, "boot": "b0" * 16,
        "kind": fact.kind, "kv": fact.kv, "data": fact.model_dump(mode="json"),
    }  # fmt: skip
    return Envelope(**{**fields, **other}).encode()


def loan(line: int, item: str = "BG00012345", session: str = "s1") -> LoanMade:
    """One loan; ``line`` makes it a different one."""
    return LoanMade(session=session, line=line, item=item)


def some_facts(n: int) -> list[Fact]:
    """``n`` different facts of all counted kinds."""
    makers: list[Callable[[int], Fact]] = [
        lambda i: loan(i),
        lambda i: ReturnMade(session="s2", line=i, item="11223344"),
        lambda i: ItemRefused(
            session="s3", line=i, item="2935000003649", action="borrow", reason="on-hold"
        ),
        lambda i: GateAlarmed(passage=i, item="BG00054321", direction="out"),
        lambda i: PeopleCounted(passage=i, entered=2, left=1),
    ]
    return [makers[i % len(makers)](i) for i in range(n)]


class Broker:
    """A broker in a process of its own on one port; ``kill`` is kill -9, ``start`` starts it again."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self.port = free_port()
        _, self._argv = broker.command(self.port, folder, kind)
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(self._listens, f"{self.kind} listens")

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(10)
            self._process = None
            until(lambda: not self._listens(), f"{self.kind} is gone")

    def _listens(self) -> bool:
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.port)) == 0


@contextmanager
def running_broker(kind: str, folder: Path) -> Iterator[Broker]:
    """A broker for one test."""
    started = Broker(kind, folder)
    try:
        yield started
    finally:
        started.stop()


class Teller:
    """A device on the bare codec: publishes what it is told to, and remembers acknowledgements and watermarks."""

    def __init__(self, url: str, device: str = "kiosk-1", tenant: str = "demo") -> None:
        self.device = device
        self.prefix = f"mocban/v1/{tenant}/{device}"
        self.marks: dict[str, list[int]] = {}
        self.chains: dict[str, str | None] = {}  # epoch -> chain of the last watermark
        self.heard: list[tuple[str, bytes]] = []  # everything else, as (topic, payload)
        self._buffer = b""
        self._next = 1
        self._open: set[int] = set()
        self._sock = socket.create_connection(
            ("127.0.0.1", int(url.rsplit(":", 1)[1])), timeout=DEADLINE
        )
        self._sock.sendall(
            mqtt5.ConnectPacket(f"{device}.test", clean_start=True, keep_alive=60).write()
        )
        self._expect(mqtt5.ConnAckPacket)
        filters = [
            mqtt5.TopicFilter(
                f"{self.prefix}/{channel}",
                max_qos=mqtt5.QoS.AT_LEAST_ONCE,
                retain_as_published=True,
            )
            for channel in ("ack", "cmd/#", "feed/#")
        ]
        self._sock.sendall(mqtt5.SubscribePacket(self._id(), filters).write())
        self._expect(mqtt5.SubAckPacket)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    def tell(self, fact: Fact, seq: int, epoch: str = EPOCH, **other: Any) -> None:
        """Publish ``fact`` as this device's outbox would."""
        payload = envelope(fact, seq, device=self.device, epoch=epoch, **other)
        self.send(f"{self.prefix}/evt/{fact.kind}", payload, {"epoch": epoch, "seq": str(seq)})

    def send(
        self,
        topic: str,
        payload: bytes,
        properties: Mapping[str, str] | None = None,
        retain: bool = False,
    ) -> None:
        """Publish anything with QoS 1."""
        packet_id = self._id()
        self._open.add(packet_id)
        packet = mqtt5.PublishPacket(
            topic, payload, qos=mqtt5.QoS.AT_LEAST_ONCE, retain=retain, packet_id=packet_id,
            user_properties=list((properties or {}).items()),
        )  # fmt: skip
        self._sock.sendall(packet.write())

    def say(self, online: bool, app: str = "kiosk", epoch: str = EPOCH) -> None:
        """Publish the retained state."""
        body = {"v": 1, "online": online, "epoch": epoch, "app": app, "version": "0.1.0"}
        self.send(f"{self.prefix}/state", json.dumps(body).encode(), retain=True)

    def settle(self) -> None:
        """Until the broker has acknowledged everything sent."""
        self._until(lambda: not self._open, "everything is acknowledged by the broker")

    def wait_mark(self, upto: int, epoch: str = EPOCH) -> None:
        """Until the gateway's watermark of ``epoch`` reaches ``upto``."""
        self._until(
            lambda: max(self.marks.get(epoch, [0])) >= upto, f"the watermark reaches {upto}"
        )

    def wait(self, true: Callable[[], bool], what: str) -> None:
        """Listen until a condition holds."""
        self._until(true, what)

    def _until(self, true: Callable[[], bool], what: str) -> None:
        end = CLOCK.mono() + DEADLINE
        while not true():
            assert CLOCK.mono() < end, f"waited in vain until {what}: {self.marks}"
            self._read()

    def _id(self) -> int:
        self._next += 1
        return self._next - 1

    def _expect(self, kind: type) -> None:
        end = CLOCK.mono() + DEADLINE
        while kind not in self._read():
            assert CLOCK.mono() < end, f"no {kind.__name__}"

    def _read(self) -> list[type]:
        """Wait up to 50 ms for bytes; the kinds of packets that came."""
        self._sock.settimeout(0.05)
        try:
            data = self._sock.recv(65536)
        except TimeoutError:
            return []
        finally:
            self._sock.settimeout(DEADLINE)
        if not data:
            raise ConnectionError("the broker closed the teller's connection")
        self._buffer += data
        kinds: list[type] = []
        while True:
            try:
                packet, size = mqtt5.read(memoryview(self._buffer))
            except IndexError:
                return kinds
            self._buffer = self._buffer[size:]
            kinds.append(type(packet))
            self._take(packet)

    def _take(self, packet: mqtt5.Packet) -> None:
        match packet:
            case mqtt5.PubAckPacket():
                self._open.discard(packet.packet_id)
            case mqtt5.PublishPacket():
                if packet.topic == f"{self.prefix}/ack":
                    body = json.loads(packet.payload)
                    self.marks.setdefault(body["epoch"], []).append(body["upto"])
                    self.chains[body["epoch"]] = body.get("chain")
                else:
                    self.heard.append((packet.topic, bytes(packet.payload)))
                if packet.packet_id is not None:
                    self._sock.sendall(mqtt5.PubAckPacket(packet.packet_id).write())
            case _:
                pass


class Gateway(Housed):
    """The whole gateway in a thread of this process, with its own loop; ``url`` serves HTTP."""

    def __init__(self, folder: Path, broker_url: str, **settings: Any) -> None:
        super().__init__()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._config = Config(
            "gateway", "demo", folder, broker_url, GatewaySettings(port=self.port, **settings)
        )
        self.database = self._config.database

    def start(self, ready: bool = True) -> None:
        """Start it; with ``ready``, wait until its canary came back."""
        super().start()
        if ready:
            until(lambda: bool(self.health()["ready"]), "the gateway is ready")

    def copy(self, to: Path) -> None:
        """Its database as a file of its own; only while it is stopped."""
        shutil.copy(self.database, to)

    def put_back(self, copy: Path) -> None:
        """An older database in place of its own, as a person would; only while it is stopped."""
        for tail in ("-wal", "-shm"):
            self.database.with_name(self.database.name + tail).unlink(missing_ok=True)
        shutil.copy(copy, self.database)

    def health(self) -> dict[str, Any]:
        """``/healthz``, also while it answers 503 or nothing yet."""
        try:
            return dict(json.loads(self.get("/healthz")))
        except urllib.error.HTTPError as error:
            with error:
                return dict(json.loads(error.read()))
        except OSError:
            return {"ready": False, "ok": False, "checks": {}}

    def get(self, path: str) -> str:
        """The body of a page."""
        with urllib.request.urlopen(self.url + path, timeout=DEADLINE) as answer:
            return str(answer.read().decode())

    def json(self, path: str) -> Any:
        """The body of an answer of the API."""
        return json.loads(self.get(path))

    def facts(self) -> list[dict[str, Any]]:
        """Everything of devices committed; the gateway's own facts are ``own``."""
        facts = self.json("/api/v1/facts?limit=1000")["facts"]
        return [fact for fact in facts if fact["device"] != "gateway"]

    def own(self) -> list[dict[str, Any]]:
        """What the gateway told itself."""
        facts = self.json("/api/v1/facts?limit=1000")["facts"]
        return [fact for fact in facts if fact["device"] == "gateway"]

    def _main(self, stop: asyncio.Event) -> Awaitable[None]:
        return main(self._config, stop)
