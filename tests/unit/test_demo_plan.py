"""What a demo branch consists of, before anything is started."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from kiosk.devices.auto_pad import KINDS
from kiosk.emulators.things import READERS
from mocban.demo.branch import Branch
from mocban.demo.plan import MONITORED, PACE, PADS, Plan, Ports
from mocban.demo.up import shown, typed
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


def test_demo_panel_and_emulators_mean_the_same_readers() -> None:
    """The demo imports no app, so it has a list of its own."""
    assert PADS == READERS
    assert set(READERS) == {*KINDS, "pcsc", "none"}


@pytest.mark.parametrize("pad", PADS)
def test_the_pad_is_told_to_emulator_and_kiosk(pad: str, plan: Plan) -> None:
    chosen = replace(plan, pad=pad)
    chosen.write()
    _, children = chosen.services()
    argv = next(child.argv for child in children if child.name == "pad")
    assert argv[-4:] == ["--driver", "world", "--begin", pad]
    kiosk = tomllib.loads(chosen.config_file.read_text(encoding="utf-8"))["kiosk"]
    assert kiosk["pad_driver"] == "auto"


def test_a_reader_nobody_has_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no reader called abacus") as caught:
        Branch(tmp_path / "new", Ports.free(), pad="abacus")
    assert "uhf18" in caught.value.do
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("verb", [["up"], ["demo", "--once"]])
def test_both_verbs_refuse_it_with_exit_2(verb: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mocban", *verb, "--pad", "abacus", "--json"],
        capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2
    assert json.loads(done.stdout.splitlines()[-1])["errors"][0]["code"] == "usage"
    assert list(tmp_path.iterdir()) == []


def test_commands_are_told_as_one_types_them_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = Path(sys.executable).with_name("mocban")
    monkeypatch.setenv("PATH", "")
    monkeypatch.chdir(tmp_path)
    assert typed() == str(ours)
    monkeypatch.chdir(ours.parents[2])
    assert typed() == str(ours.relative_to(ours.parents[2]))
    assert shown(Path.cwd() / "demo data" / "x") == "'demo data/x'"
    monkeypatch.setenv("PATH", str(ours.parent))
    assert typed() == "mocban"


def test_what_a_smart_card_service_left_does_not_stop_the_next_start(tmp_path: Path) -> None:
    left = tmp_path / "run" / "pcscd" / "run"
    left.mkdir(parents=True)
    (left / "pcscd.pid").write_text("1", encoding="utf-8")
    (tmp_path / "run" / "pad").symlink_to(left)
    branch = Branch(tmp_path, Ports.free(), "iotcore")
    branch._prepare()
    assert branch._lock is not None
    branch._lock.close()
    assert sorted(file.name for file in (tmp_path / "run").iterdir()) == [
        "iotcore.toml",
        "mocban.toml",
    ]
