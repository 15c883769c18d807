"""The gate-storm playbook on real processes (broker, gateway, gate, operations), operations killed at random points."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote
from uuid import UUID

from kiosk.emulators.world import DEMO, World
from mocban import access, identity
from mocban.asking import Service, Told
from mocban.demo.branch import get_json
from mocban.errors import ConfigError, PeerUnreachable
from mocban.ids import new_id
from ops.runbooks.sign import sign
from ops.settings import playbooks
from tests.fault.harness import CLOCK, HOST, Broker, Process, free_port, pause, seeded, until
from tests.support.person import Person

SHIPPED = Path(__file__).parents[2] / "ops" / "playbooks" / "gate-storm.json"
OVER = frozenset({"done", "failed", "stopped"})
STUCK = 90.0
"""Seconds without a kill after which an execution that is not over counts as stuck."""
LATE = frozenset(
    {"already-decided", "not-waiting", "not-asked", "expired", "already-over", "step-unknown"}
)
"""How a person is told that it was done already, before a kill."""
LIFE = 0.6
"""Longest life of a process that is killed, in seconds."""


class Operations:
    """The process of operations. It never outlives ours."""

    def __init__(self, config: Path, log: Path) -> None:
        argv = [sys.executable, "-m", "tests.fault.nursery", str(config), str(log)]
        self._nurse = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        self.kills = 0
        self.alive = False

    def start(self) -> None:
        self._say("start")
        self.alive = True

    def kill(self) -> None:
        """kill -9."""
        self._say("kill")
        self.alive = False
        self.kills += 1

    def close(self) -> None:
        if self.alive:
            self._say("kill")
        assert self._nurse.stdin is not None
        assert self._nurse.stdout is not None
        self._nurse.stdin.close()
        self._nurse.stdout.close()
        self._nurse.wait(15)

    def _say(self, word: str) -> str:
        assert self._nurse.stdin is not None
        assert self._nurse.stdout is not None
        self._nurse.stdin.write(word + "\n")
        self._nurse.stdin.flush()
        return self._nurse.stdout.readline().strip()


@dataclass
class Figures:
    """What the executions of one stand came to."""

    kills: int = 0
    executions: int = 0
    stuck: int = 0
    doubled: int = 0
    skipped: int = 0
    strange: int = 0
    """Orders at the gateway that no execution knows of."""
    after: list[float] = field(default_factory=list)
    """Seconds from the last kill to the end, for each execution that was killed."""
    whole: list[float] = field(default_factory=list)
    """Seconds of each execution that was not disturbed."""
    ends: Counter[str] = field(default_factory=Counter)


class Stand:
    """Everything, in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.opened = ExitStack()
        self.staff = [Person(folder, "minh")]

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.opened.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.opened.close()

    def _start(self) -> None:
        folder = self.folder
        broker = self.opened.enter_context(Broker("iotcore", folder))
        broker.start()
        self._gateway, self._ops = free_port(), free_port()
        link, config = folder / "tty", folder / "mocban.toml"
        key = identity.signing_key(folder / "gateway" / "keys" / "gateway.key")
        book = identity.signing_key(folder / "book.key")
        staff = "".join(f"{one.name} = {json.dumps(one.line.strip())}\n" for one in self.staff)
        config.write_text(
            f'tenant = "demo"\ndata_dir = "{folder}"\nmqtt = "mqtt://{HOST}:{broker.port}"\n'
            f'gateway_keys = ["{key.public}"]\n[staff]\n{staff}'
            f'[gateway]\nport = {self._gateway}\n'
            f'[gate]\ndevice = "gate-1"\nport = 0\ngate = "serial://{link}?baud=38400&parity=E"\nhold_seconds = 0\n'
            'parked_seconds = 3600\n'
            f'[ops]\nport = {self._ops}\ngateway_url = "http://{HOST}:{self._gateway}"\n'
            f'playbook_keys = ["{book.public}"]\n',
            encoding="utf-8",
        )  # fmt: skip
        World.create(folder / "world.db", tomllib.loads(DEMO.read_text(encoding="utf-8"))).close()
        file = playbooks(folder) / "gate-storm.json"
        file.parent.mkdir(parents=True)
        body = sign(json.loads(SHIPPED.read_text(encoding="utf-8")), book, "boss", CLOCK.now())
        file.write_text(json.dumps(body), encoding="utf-8")
        mocban = [sys.executable, "-m", "mocban"]
        world = ["--world", str(folder / "world.db"), "--link", str(link)]
        for name, words in (
            ("gateway", ["gateway", "run", "--config", str(config)]),
            ("reader", ["kiosk", "emulate", "gate", *world]),
        ):
            self.opened.enter_context(Process(name, [*mocban, *words], folder)).start()
        until(link.is_symlink, "the reader is there", 60)
        self.gateway = Service(
            "gateway",
            f"http://{HOST}:{self._gateway}",
            lambda: access.token(folder, "gateway", make=False),
        )
        gate = self.opened.enter_context(
            Process("gate", [*mocban, "kiosk", "gate", "--config", str(config)], folder)
        )
        gate.start()
        until(self._known, "the gate is known to the gateway", 90)
        self.api = Service(
            "operations",
            f"http://{HOST}:{self._ops}",
            lambda: access.token(folder, "ops"),
            private=True,
        )
        self.ops = Operations(config, folder / "ops.log")
        self.opened.callback(self.ops.close)

    def _known(self) -> bool:
        try:
            devices = get_json(f"http://{HOST}:{self._gateway}/api/v1/devices")["value"]
        except (PeerUnreachable, KeyError):
            return False
        return any(one["device"] == "gate-1" and one.get("app") for one in devices)

    # Persons, who try again

    def show(self, ident: str) -> dict[str, Any] | None:
        """The execution; None while operations do not answer or do not know it."""
        try:
            return self.api.get(f"/api/v1/executions/{quote(ident)}", authorized=True)
        except (PeerUnreachable, ConfigError, Told):
            return None

    def persons(self, ident: str, *, begin: bool, approve: bool = True, stop: bool = False) -> str:
        """Everybody does what waits for them, once; the execution's state, or "" if nobody answers."""
        try:
            if begin:
                body = {
                    "id": ident, "playbook": "gate-storm", "by": "person:boss", "variables": {"__device__": "gate-1"},
                }  # fmt: skip
                self.api.post("/api/v1/executions", body)
            found = self.show(ident)
            if found is None:
                return ""
            for ask in found["asks"] if approve else ():
                one = self.staff[0]
                signatures = [
                    one.sign(identity.canonical(d["body"]), d["namespace"])
                    for d in ask["documents"]
                ]
                self._post(ident, "approve", step=ask["step"], by=one.name, signatures=signatures)
            for row in found["steps"]:
                if row["waits"] in {"person", "word"}:
                    if stop and row["kind"] == "do":
                        self._post(ident, "stop", by="boss", reason="a drill")
                    else:
                        self._post(ident, "resume", step=row["id"], by="boss", outcome="done")
            return str(found["execution"]["state"])
        except (PeerUnreachable, ConfigError, OSError):
            return ""
        except Told as no:
            assert no.status in {401, 404, 409, 410, 503}, f"{no.status} {no.code} {no.say}"
            return ""

    def _post(self, ident: str, verb: str, **body: Any) -> None:
        try:
            self.api.post(f"/api/v1/executions/{ident}/{verb}", body)
        except Told as no:
            assert no.code in LATE, no.code

    def once(
        self,
        numbers: Any,
        kills: int,
        figures: Figures,
        *,
        approve: bool = True,
        stop: bool = False,
    ) -> None:
        """One execution during which operations are killed up to ``kills`` times, then left alone to its end."""
        ident, state, killed = str(UUID(new_id())), "", 0
        if not self.ops.alive:
            self.ops.start()
        if not kills:
            until(self._up, "operations answer", 60)
        began = CLOCK.mono()
        while killed < kills and state not in OVER:
            end = CLOCK.mono() + numbers.random() * LIFE
            while CLOCK.mono() < end and state not in OVER:
                state = self.persons(ident, begin=not state, approve=approve, stop=stop) or state
                pause(0.01)
            if state not in OVER:  # a kill after its end would prove nothing
                self.ops.kill()
                self.ops.start()
                killed += 1
                began = CLOCK.mono()
        figures.kills += killed
        figures.executions += 1
        late = CLOCK.mono() + (STUCK if approve else 5.0)
        while state not in OVER and CLOCK.mono() < late:
            state = self.persons(ident, begin=not state, approve=approve, stop=stop) or state
            pause(0.01)
        seconds = CLOCK.mono() - began
        if not approve:
            self._unordered(ident, figures)
            return
        if state not in OVER:
            figures.stuck += 1
            return
        figures.ends[state] += 1
        if killed or not kills:
            (figures.after if killed else figures.whole).append(seconds)
        self._judge(ident, figures)

    def _up(self) -> bool:
        try:
            self.api.get("/api/v1/executions", authorized=True)
        except (PeerUnreachable, ConfigError, Told):
            return False
        return True

    # What really happened

    def _judge(self, ident: str, figures: Figures) -> None:
        """Orders of one execution, as the gateway has them: each step's once, each approved."""
        found = self._found(ident)
        ids = {
            entry["args"]["order"]: entry["args"]["key"]
            for entry in found["log"]
            if entry["what"] == "order-asked"
        }
        kinds: Counter[str] = Counter()
        for order in ids:
            try:
                row = self.gateway.get(f"/api/v1/commands/{order}")
            except Told as no:
                assert no.status == 404
                continue  # journaled, and never asked for
            assert row["state"] == "done", row
            kinds[row["args"].get("mode", row["name"])] += 1
            if row["name"] == "set-mode" and row["approved"] != ["person:minh"]:
                figures.skipped += 1
        figures.doubled += sum(times - 1 for times in kinds.values())
        assert set(kinds) == {"self-test", "silent", "open"}, kinds

    def _unordered(self, ident: str, figures: Figures) -> None:
        """Without approval nothing but the self-test is ordered."""
        found = self._found(ident)
        names = [
            self.gateway.get(f"/api/v1/commands/{entry['args']['order']}")["name"]
            for entry in found["log"] if entry["what"] == "order-asked"
        ]  # fmt: skip
        figures.skipped += sum(1 for name in names if name != "self-test")
        assert found["execution"]["state"] == "waiting", found["execution"]["state"]
        self._post(ident, "stop", by="boss")

    def whole(self, figures: Figures) -> None:
        """All executions together: no order without one, no order answered twice."""
        orders = self.gateway.get("/api/v1/commands?limit=1000")["orders"]
        known: set[str] = set()
        for one in self.api.get("/api/v1/executions?limit=1000", authorized=True)["executions"]:
            found = self._found(one["id"])
            known |= {
                entry["args"]["order"] for entry in found["log"] if entry["what"] == "order-asked"
            }
        figures.strange = sum(1 for order in orders if order["id"] not in known)
        answers = Counter(
            fact["data"]["order"] for fact in self._facts() if fact["kind"] == "command-answered"
        )
        figures.doubled += sum(times - 1 for times in answers.values())

    def _found(self, ident: str) -> dict[str, Any]:
        """The execution, from a process that is left alone."""
        found: list[dict[str, Any]] = []

        def there() -> bool:
            if (one := self.show(ident)) is not None:
                found.append(one)
            return bool(found)

        until(there, "operations show it", 60)
        return found[0]

    def _facts(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        after = ""
        while True:
            page = self.gateway.get(f"/api/v1/facts?limit=1000{after}")
            if not page["facts"]:
                return found
            found += page["facts"]
            after = f"&after={quote(page['next'])}"


def storm(folder: Path, kills: int, each: int, *, whole: int = 2, withheld: int = 1) -> Figures:
    """At least ``kills`` kills, at most ``each`` in one execution; ``whole`` undisturbed ones; ``withheld`` unapproved.

    Every third is stopped halfway, so that it undoes what it did.
    """
    _, numbers = seeded("runbooks")
    figures = Figures()
    with Stand(folder) as stand:
        for _ in range(whole):
            stand.once(numbers, 0, figures)
        number = 0
        while figures.kills < kills:
            stand.once(numbers, each, figures, stop=number % 3 == 2)
            number += 1
        for _ in range(withheld):
            stand.once(numbers, min(each, 5), figures, approve=False)
        stand.whole(figures)
    return figures
