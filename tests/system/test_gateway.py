"""The gateway whole: its own process and command, a broker, a device, a reader of pages."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mocban.clock import SystemClock
from mocban.events import ItemRefused
from tests.support.gateway_stand import (
    EPOCH,
    Broker,
    Teller,
    envelope,
    free_port,
    loan,
    running_broker,
    some_facts,
    until,
)

CLOCK = SystemClock()


@dataclass
class Process:
    """``mocban gateway run`` and where it answers."""

    child: subprocess.Popen[str]
    url: str
    config: Path

    def get(self, path: str, **headers: str) -> str:
        request = urllib.request.Request(self.url + path, headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(answer.read().decode())

    def json(self, path: str) -> Any:
        return json.loads(self.get(path))

    def facts(self) -> list[dict[str, Any]]:
        """Everything of devices committed."""
        facts = self.json("/api/v1/facts?limit=1000")["facts"]
        return [fact for fact in facts if fact["device"] != "gateway"]

    def metric(self, name: str) -> float:
        found = re.search(rf"^{re.escape(name)} (\S+)$", self.get("/metrics"), re.MULTILINE)
        return float(found[1]) if found else 0.0

    def shown(self, measure: str, page: str | None = None) -> int:
        found = re.search(rf'data-measure="{measure}"[^>]*>\s*(\d+)', page or self.get("/"))
        assert found, measure
        return int(found[1])

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "mocban", "gateway", *words, "--config", str(self.config)]
        return subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)

    def end(self) -> tuple[float, str]:
        """SIGTERM; seconds until it was gone, and what it wrote to stderr."""
        began = CLOCK.mono()
        self.child.send_signal(signal.SIGTERM)
        out, err = self.child.communicate(timeout=10)
        assert not out
        return CLOCK.mono() - began, err


def start(folder: Path, broker_url: str) -> Process:
    port = free_port()
    config = folder / "mocban.toml"
    config.write_text(
        f'tenant = "demo"\ndata_dir = "{folder}"\nmqtt = "{broker_url}"\n[gateway]\nport = {port}\n'
    )
    child = subprocess.Popen(
        [sys.executable, "-m", "mocban", "gateway", "run", "--config", str(config)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    return Process(child, f"http://127.0.0.1:{port}", config)


def is_ready(process: Process) -> bool:
    assert process.child.poll() is None, process.child.communicate()[1]
    try:
        return bool(process.json("/healthz")["ready"])
    except OSError:
        return False


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with running_broker("iotcore", tmp_path) as started:
        yield started


@pytest.fixture
def gateway(tmp_path: Path, broker: Broker) -> Iterator[Process]:
    process = start(tmp_path, broker.url)
    try:
        until(lambda: is_ready(process), "the gateway is ready")
        yield process
    finally:
        if process.child.poll() is None:
            process.end()


def tell_everything(device: Teller) -> None:
    """Facts, and one of each thing that is none: 23 places, 20 facts."""
    for i, fact in enumerate(some_facts(20)):
        device.tell(fact, i + 1)
    here = f"{device.prefix}/evt/loan-made"
    place = {"epoch": EPOCH}
    device.send(here, b'{"v":1,"id"', {**place, "seq": "21"})
    body = json.loads(envelope(loan(90), 22))
    device.send(here, json.dumps(body | {"v": 2}).encode(), {**place, "seq": "22"})
    long = ItemRefused(session="s", line=1, item="a", action="borrow", reason="denied")
    body = json.loads(envelope(long, 23))
    body["data"]["more"] = "x" * 5000
    device.send(
        f"{device.prefix}/evt/item-refused", json.dumps(body).encode(), {**place, "seq": "23"}
    )
    device.send("mocban/v1/elsewhere/kiosk-1/evt/loan-made", envelope(loan(91), 1), place)
    device.send(here, envelope(loan(0), 1), {**place, "seq": "1"})  # told twice
    device.send(here, envelope(loan(92), 1), {**place, "seq": "1"})  # a clone
    device.settle()
    device.wait_mark(23)


def test_page_api_and_metrics_tell_the_same_story(gateway: Process, broker: Broker) -> None:
    with Teller(broker.url) as device:
        device.say(online=True)
        tell_everything(device)
        until(lambda: gateway.json("/api/v1/dead")["count"] == 5, "the dead letters are there")
    facts = gateway.facts()
    counts = gateway.json("/api/v1/counts")
    page = gateway.get("/")
    assert [fact["seq"] for fact in facts] == list(range(1, 21))
    assert {fact["device"] for fact in facts} == {"kiosk-1"}
    for measure, amount in {
        "loans": 4,
        "returns": 4,
        "refused": 4,
        "alarms": 4,
        "people_in": 8,
    }.items():
        assert counts["today"]["counts"][measure] == counts["totals"][measure] == amount
        assert gateway.shown(measure, page) == amount
        assert gateway.metric(f"mocban_{measure}_total") == amount
    dead = gateway.json("/api/v1/dead")
    assert dead["by_reason"] == {
        "bad-envelope": 2,
        "foreign-topic": 1,
        "seq-reuse": 1,
        "too-long": 1,
    }
    assert 'data-dead="5"' in page
    assert gateway.metric('mocban_gateway_dead_total{reason="too-long"}') == 1
    assert gateway.metric("mocban_gateway_facts_total") == 20 + 2  # started, and the clone
    assert gateway.metric("mocban_gateway_duplicates_total") == 1
    assert gateway.metric("mocban_gateway_watermark_lag") == 0
    own, row = gateway.json("/api/v1/devices")
    assert (own["device"], own["last_kind"]) == ("gateway", "audited")
    assert (row["device"], row["app"], row["online"], row["facts"]) == (
        "kiosk-1",
        "kiosk",
        True,
        20,
    )


def test_the_cursor_reads_every_fact_once(gateway: Process, broker: Broker) -> None:
    with Teller(broker.url) as device:
        for i, fact in enumerate(some_facts(25)):
            device.tell(fact, i + 1)
        device.wait_mark(25)
    after, seqs = "0", []
    while (page := gateway.json(f"/api/v1/facts?after={after}&limit=7"))["facts"]:
        seqs += [fact["seq"] for fact in page["facts"] if fact["device"] != "gateway"]
        after = page["next"]
    assert seqs == list(range(1, 26))
    assert gateway.json(f"/api/v1/facts?after={after}") == {"facts": [], "next": after}
    number = after.split(".")[1]
    assert gateway.json(f"/api/v1/facts?after={number}")["next"] == after


def test_an_open_page_changes_by_itself_and_does_not_hold_up_the_end(
    gateway: Process, broker: Broker
) -> None:
    stream = urllib.request.urlopen(f"{gateway.url}/live?lang=en", timeout=10)
    try:
        shown = ""
        while "tiles" not in shown:
            shown = stream.readline().decode()
        assert gateway.shown("loans", json.loads(shown.removeprefix("data: "))["tiles"]) == 0
        with Teller(broker.url) as device:
            device.tell(loan(1), 1)
            device.wait_mark(1)
        shown = ""
        while "tiles" not in shown:
            shown = stream.readline().decode()
        news = json.loads(shown.removeprefix("data: "))
        assert gateway.shown("loans", news["tiles"]) == 1
        assert "Lent BG00012345" in news["facts"]
        assert "dead" not in news  # only what changed travels
        seconds, err = gateway.end()
        assert seconds < 1.0
        assert stream.read() in {b"", b"\n"}
    finally:
        stream.close()
    assert gateway.child.returncode == 0
    assert {json.loads(line)["level"] for line in err.splitlines()} == {"info"}


def test_the_dead_letters_can_be_listed_from_the_shell(gateway: Process, broker: Broker) -> None:
    empty = gateway.command("dead", "list", "--json")
    assert (empty.returncode, json.loads(empty.stdout)["letters"]) == (0, [])
    with Teller(broker.url) as device:
        tell_everything(device)
        until(lambda: gateway.json("/api/v1/dead")["count"] == 5, "the dead letters are there")
    listed = gateway.command("dead", "list", "--json")
    body = json.loads(listed.stdout.splitlines()[-1])
    assert (listed.returncode, body["ok"], len(body["letters"])) == (1, False, 5)
    assert "seq-reuse" in gateway.command("dead", "list").stdout


def test_everything_counted_is_there_after_kill_9(
    gateway: Process, broker: Broker, tmp_path: Path
) -> None:
    with Teller(broker.url) as device:
        tell_everything(device)
        cursor = gateway.json("/api/v1/facts?limit=1000")["next"]
        gateway.child.kill()
        gateway.child.communicate(timeout=10)
        again = start(tmp_path, broker.url)
        try:
            until(lambda: is_ready(again), "the gateway is ready again")
            own = again.json(f"/api/v1/facts?after={cursor}")  # the cursor stands
            assert {fact["device"] for fact in own["facts"]} <= {"gateway"}
            assert own["next"].split(".")[0] == cursor.split(".")[0]
            device.tell(loan(0), 1)
            device.tell(loan(500), 24)
            device.wait_mark(24)
            assert again.shown("loans") == again.metric("mocban_loans_total") == 5
        finally:
            again.end()


@pytest.mark.parametrize("lang", ["vi", "en"])
def test_the_page_speaks_its_language_under_a_strict_policy(gateway: Process, lang: str) -> None:
    with urllib.request.urlopen(f"{gateway.url}/?lang={lang}", timeout=10) as answer:
        page, policy = answer.read().decode(), answer.headers["content-security-policy"]
    assert ("Lượt mượn" if lang == "vi" else "Loans") in page
    assert f'<html lang="{lang}">' in page
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"\son\w+=|\sstyle=|<style|<script(?![^>]*\ssrc=)|https?://", page)
    for path in set(re.findall(r'(?:href|src)="(/static/[^"]+)"', page)):
        with urllib.request.urlopen(gateway.url + path, timeout=10) as answer:
            assert answer.read()


def test_odd_requests_get_an_answer_in_our_shape(gateway: Process) -> None:
    for path in (
        "/api/v1/facts?limit=0",
        "/api/v1/facts?after=-1",
        f"/api/v1/facts?after={2**80}",
        "/api/v1/dead?limit=x",
    ):
        with pytest.raises(urllib.error.HTTPError) as refused:
            gateway.get(path)
        with refused.value as error:
            assert error.code == 422
            assert json.loads(error.read())["errors"][0]["code"] == "usage"
    with pytest.raises(urllib.error.HTTPError) as foreign:
        gateway.get("/", Host="evil.example")
    foreign.value.close()
    assert foreign.value.code == 403
    assert "/api/v1/facts" in gateway.json("/openapi.json")["paths"]


def test_a_taken_port_is_one_sentence_and_exit_2(tmp_path: Path) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        config = tmp_path / "mocban.toml"
        config.write_text(f'data_dir = "{tmp_path}"\n[gateway]\nport = {sock.getsockname()[1]}\n')
        argv = [sys.executable, "-m", "mocban", "gateway", "run", "--config", str(config)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert "port" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
