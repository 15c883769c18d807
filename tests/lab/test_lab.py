"""From two bare Debian machines to a loan that the center has counted, and what happens when something ends badly.

The tests tell one story in their order: each stands on the state the one before it left.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kiosk.emulators.world import World
from mocban.messages import State
from tests.fault.harness import tool, until
from tests.lab.lab import HUB, Lab, Machine
from tests.lab.site import GATE, KIOSK, ROOT, SIP2, TENANT, Run, Site

pytestmark = pytest.mark.timeout(900)  # the first of them downloads a Debian

CARD, BOOK, ITEM = "the-1", "de-men", "BG00012345"
PATRON = "TV2400001"
OWN = f"mocban/v1/{TENANT}/{GATE}/"
KIOSK_PAGE, GATEWAY = "http://127.0.0.1:8080/", "http://127.0.0.1:8000/"
EXPOSURE = 20  # of 100, as systemd-analyze counts what a unit may do; a bare one has 96
REFUSED = 0x87  # MQTT 5: not authorized


@dataclass
class Place:
    """The lab with its world, and how the first run of the playbook ended."""

    lab: Lab
    site: Site
    world: World
    first: Run

    @property
    def center(self) -> Machine:
        return self.lab.machines["center"]

    @property
    def branch(self) -> Machine:
        return self.lab.machines["branch"]

    def counts(self) -> dict[str, int]:
        """The gateway's counters."""
        told = _json(self.center.ask(f"{GATEWAY}api/v1/counts"))
        return dict(told.get("totals", {}))

    def facts(self, kind: str) -> list[dict[str, Any]]:
        """The facts of ``kind`` that the gateway holds."""
        told = _json(self.center.ask(f"{GATEWAY}api/v1/facts?after=0&limit=200"))
        return [fact for fact in told.get("facts", []) if fact["kind"] == kind]

    def screen(self) -> str:
        """What the kiosk's screen shows."""
        found = re.search(r'data-screen="([a-z-]+)"', self.branch.ask(KIOSK_PAGE))
        return found[1] if found else ""

    def act(self, action: str) -> None:
        """Touch the screen."""
        token = re.search(r'data-token="([0-9a-f]+)"', self.branch.ask(KIOSK_PAGE))
        assert token, "the kiosk shows a page"
        self.branch.ask(f"{KIOSK_PAGE}act", json.dumps({"action": action, "token": token[1]}))

    def well(self) -> bool:
        """Kiosk and gateway are ready, and every check passes."""
        told = [
            _json(self.branch.ask(f"{KIOSK_PAGE}healthz")),
            _json(self.center.ask(f"{GATEWAY}healthz")),
        ]
        return all(one.get("ready") and one.get("ok") for one in told)


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """Two machines, the world beside them, and the playbook run once."""
    with Lab() as lab:
        seed, pad = lab.folder / "world.db", lab.folder / "pad"
        emulate = ("kiosk", "emulate")
        lab.beside("ils", *emulate, "ils", "--world", str(seed), "--host", HUB, "--port", str(SIP2))
        lab.beside("pad", *emulate, "pad", "--world", str(seed), "--link", str(pad))
        until(pad.is_symlink, "the pad has its tty")
        tty = os.path.realpath(pad)
        lab.add("center")
        lab.add("branch", [f"{tty}:/dev/ttyUSB0"])
        # On a machine with hardware udev does this.
        os.chown(
            tty, 0, int(lab.machines["branch"].run("getent", "group", "dialout").split(":")[2])
        )
        os.chmod(tty, 0o660)
        site, world = Site(lab), World(seed)
        try:
            yield Place(lab, site, world, site.converge())
        finally:
            world.close()


def test_a_second_run_changes_nothing(place: Place) -> None:
    assert set(place.first.changed) == {"lab-center", "lab-branch"}
    assert all(number > 10 for number in place.first.changed.values()), place.first.changed
    assert place.site.converge().changed == {"lab-center": 0, "lab-branch": 0}


def test_the_machines_are_as_they_should_be(place: Place) -> None:
    assert place.well()
    for machine, units in (
        (place.center, ("mocban-gateway", "mosquitto")),
        (place.branch, ("mocban-kiosk",)),
    ):
        assert machine.run("systemctl", "--failed", "--plain", "--no-legend") == ""
        for unit in units:
            assert machine.show(f"{unit}.service", "UnitFileState") == "enabled"
            machine.run(
                "systemd-analyze",
                "security",
                f"--threshold={EXPOSURE}",
                "--no-pager",
                f"{unit}.service",
            )
        # Nobody but root reads a credential where it lies, and no secret stands in a configuration.
        machine.run(
            "sh",
            "-c",
            "! setpriv --reuid=mocban --regid=mocban --clear-groups ls /etc/mocban/credentials",
        )
        texts = machine.run("sh", "-c", "cat /etc/mocban/mocban.toml /etc/mocban/conf.d/*")
        assert not any(secret in texts for secret in place.site.password.values())
        assert "dport 22 accept" in machine.run("nft", "list", "ruleset")
    assert place.branch.show("mocban-kiosk.service", "StatusText") == "all is well"
    # A branch on a poor line is sent what it needs, not more.
    packages = place.branch.run("sh", "-c", "ls /opt/mocban/current/lib/python3*/site-packages")
    assert "starlette" in packages.split()
    assert "fastapi" not in packages.split()


def test_a_loan_at_the_bound_tty_is_seen_at_the_gateway(place: Place) -> None:
    world = place.world
    world.show_card(CARD)
    until(lambda: place.screen() == "borrow", "the card is known")
    world.lay(BOOK)
    until(lambda: world.counters()["tags_disarmed"] == 1, "the tag is opened, over the tty")
    place.act("finish")
    until(lambda: place.screen() == "done", "the visit is over")
    world.lift(BOOK)
    world.show_card(None)
    until(lambda: place.counts().get("loans") == 1, "the gateway has counted the loan")
    (loan,) = place.facts("loan-made")
    assert (loan["device"], loan["data"]["item"]) == (KIOSK, ITEM)
    assert [one.item for one in world.loans() if one.item == ITEM] == [ITEM]
    place.act("cancel")
    until(lambda: place.screen() == "welcome", "the next one may come")
    for machine in (place.branch, place.center):
        assert PATRON not in machine.run("journalctl", "--no-pager", "-o", "cat")
        machine.run("sh", "-c", f"! grep -rq {PATRON} /var/lib/mocban /var/log")


def speak(
    place: Place, user: str, password: str, topic: str, payload: str = "{}", await_: str = ""
) -> dict[str, Any]:
    """What the broker says to somebody who connects from beside the machines, wants to hear everything, and speaks."""
    words = {"user": user, "password": password, "topic": topic, "payload": payload, "filter": f"mocban/v1/{TENANT}/#",
             "await": await_}  # fmt: skip
    done = subprocess.run(
        [tool("ip"), "netns", "exec", place.lab.hub, sys.executable, "-m", "tests.lab.speaker",
         place.center.address, "8883", str(place.site.certificate)],
        cwd=ROOT, input=json.dumps(words), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize(
    "user", ["", "stranger", GATE], ids=["nobody", "a stranger", "a wrong password"]
)
def test_the_broker_takes_nobody_in_without_a_credential(place: Place, user: str) -> None:
    assert speak(place, user, "guessed-guessed-guessed", OWN + "state")["connack"] == REFUSED


@pytest.mark.parametrize("tail", ["evt/people-counted", "state", "cmd/gate/set-mode", "ack"])
def test_a_device_cannot_speak_for_another(place: Place, tail: str) -> None:
    told = speak(place, GATE, place.site.password[GATE], f"mocban/v1/{TENANT}/{KIOSK}/{tail}")
    assert (told["connack"], told["puback"]) == (0, REFUSED)


def test_a_device_is_heard_by_the_gateway_and_hears_nothing_of_others(place: Place) -> None:
    """The gateway answers its state; the kiosk's, which the broker keeps for whoever may hear it, does not come."""
    state = (
        State(online=True, app="gate", epoch="00000000000000aa", version="1", upto=0, told=0)
        .encode()
        .decode()
    )
    told = speak(place, GATE, place.site.password[GATE], OWN + "state", state, OWN + "ack")
    assert OWN + "ack" in told["topics"]
    assert all(topic.startswith(OWN) for topic in told["topics"])


def test_who_stands_still_is_killed_and_comes_back(place: Place) -> None:
    still = [(place.center, "mocban-gateway.service"), (place.branch, "mocban-kiosk.service")]
    before = {unit: machine.show(unit, "MainPID") for machine, unit in still}
    for machine, unit in still:
        machine.run("kill", "-STOP", before[unit])
        assert machine.run("sh", "-c", f"cut -d' ' -f3 /proc/{before[unit]}/stat") == "T"
    # Alive for the kernel, and its port takes connections; only the watchdog sees that nothing turns.
    for machine, unit in still:
        until(lambda: _restarts(machine, unit) == 1, f"{unit} is started again", 60)  # noqa: B023  at once
        assert machine.show(unit, "MainPID") != before[unit]
        journal = machine.run("journalctl", "--no-pager", "-o", "cat", "-u", unit)
        assert "Watchdog timeout" in journal
    until(place.well, "both are well again")
    assert place.counts()["loans"] == 1, "what was counted stays, and is not counted again"


def test_a_branch_whose_power_was_cut_comes_back_by_itself(place: Place) -> None:
    place.branch.cut()
    place.branch.on()
    until(place.well, "the kiosk is well again")
    assert place.branch.show("mocban-kiosk.service", "NRestarts") == "0"
    place.act("return")
    place.world.lay(BOOK)
    until(lambda: place.counts().get("returns") == 1, "the gateway has counted the return")
    assert place.counts()["loans"] == 1


def test_a_kiosk_that_does_not_get_ready_says_what_it_waits_for(place: Place) -> None:
    place.world.set_fault("ils-down", "on")
    place.branch.run("systemctl", "restart", "--no-block", "mocban-kiosk.service")
    words = {"kiosk_wait": 2, "kiosk_gateway_keys": [place.site.gateway_key]}
    done = place.site.play(
        "--extra-vars", json.dumps(words), "--tags", "always,kiosk", "--limit", "branches"
    )
    said = " ".join(done.stdout.split())
    assert done.returncode == 2
    assert "the kiosk on lab-branch is not ready after 2 s: ils: " in said, said[-3000:]
    assert "ils: " in place.branch.show("mocban-kiosk.service", "StatusText")
    place.world.set_fault("ils-down", "")
    until(place.well, "it is ready once the library system is there")


def test_who_is_struck_off_is_out_at_once_and_may_come_back(place: Place) -> None:
    device = [{"name": GATE, "password": place.site.password[GATE]}]
    only = ("--tags", "always,mosquitto", "--limit", "center")
    assert (
        place.site.play("--extra-vars", json.dumps({"mosquitto_devices": device}), *only).returncode
        == 0
    )
    until(lambda: "not-authorized" in place.branch.ask(f"{KIOSK_PAGE}healthz"), "the kiosk is out")
    assert place.screen() != "out-of-service", "it lends all the same: what it has to tell waits"
    assert place.site.play(*only).returncode == 0
    place.branch.run(
        "systemctl", "restart", "mocban-kiosk.service"
    )  # by itself it asks once a minute
    until(place.well, "the kiosk is back")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            {"runtime_wheelhouse": "/nowhere.tar"},
            "there is no /nowhere.tar: make it with deploy/wheelhouse",
        ),
        ({"kiosk_ils": {"password": "written"}}, "belongs in kiosk_ils_password, not in kiosk_ils"),
        ({"kiosk_port": "eight"}, "kiosk_port"),
    ],
    ids=["no wheelhouse", "a secret among the settings", "no number"],
)
def test_what_is_wrong_in_the_inventory_is_said(
    place: Place, wrong: dict[str, object], said: str
) -> None:
    tags = "always,kiosk" if "runtime_wheelhouse" not in wrong else "always,runtime"
    done = place.site.play("--extra-vars", json.dumps(wrong), "--tags", tags, "--limit", "branches")
    assert done.returncode == 2
    words = " ".join(done.stdout.split())
    assert said in words, words[-3000:]
    assert place.well(), "and nothing was touched"


def _restarts(machine: Machine, unit: str) -> int:
    return int(machine.show(unit, "NRestarts"))


def _json(text: str) -> dict[str, Any]:
    """The object in ``text``; nothing where nobody answers."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def test_nothing_of_it_is_kept_in_the_tree() -> None:
    """The machines are made of what this machine's apt knows; no address of it is written down."""
    for file in (*(ROOT / "deploy").rglob("*"), *Path(__file__).parent.glob("*.py")):
        if file.is_file() and file.suffix in {".py", ".yml", ".cfg", ".j2", ""}:
            assert not re.search(
                r"https?://(?!127\.0\.0\.1|localhost)\w", file.read_text(encoding="utf-8")
            ), file
