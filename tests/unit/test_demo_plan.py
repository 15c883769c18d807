"""What a demo branch consists of, before anything is started."""

from __future__ import annotations

import socket
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from mocban.demo.plan import MONITORED, PACE, Plan, Ports
from mocban.errors import ConfigError


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    made = Plan(tmp_path, Ports.free(), "iotcore")
    made.run.mkdir()
    made.write()
    return made


def test_operations_are_part_of_every_branch_and_stand_at_the_centre(plan: Plan) -> None:
    name, children = plan.services()
    assert name == "iotcore"
    by_name = {child.name: child for child in children}
    assert not MONITORED & set(by_name)
    centre = {child.env.get("MOCBAN_MQTT") for child in (by_name["ops"], by_name["gateway"])}
    assert centre == {f"mqtt://127.0.0.1:{plan.ports.mqtt}"}
    assert "MOCBAN_MQTT" not in by_name["kiosk"].env
    assert [child.wave for child in children] == [2, 1] + [0] * (len(children) - 2)
    told = tomllib.loads(plan.config_file.read_text(encoding="utf-8"))
    assert told["ops"]["port"] == plan.ports.ops
    assert told["ops"]["gateway_url"] == f"http://127.0.0.1:{plan.ports.gateway}"


def test_a_missing_prometheus_is_one_sentence(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConfigError) as caught:
        replace(plan, pace=PACE).services()
    assert "apt install prometheus prometheus-alertmanager" in caught.value.do
    assert "\n" not in caught.value.say
    plan.services()  # without it nothing is missing


def test_the_ports_of_prometheus_matter_only_with_it(plan: Plan) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        ports = replace(plan.ports, prometheus=other.getsockname()[1])
        ports.check(monitored=False)
        with pytest.raises(ConfigError) as caught:
            ports.check(monitored=True)
    assert "prometheus" in caught.value.say
    assert "--free-ports" in caught.value.do
