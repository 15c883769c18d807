"""What Prometheus and Alertmanager are told, without them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mocban.errors import ConfigError
from ops.incidents.model import KINDS
from ops.monitor import cases, cli, config
from ops.monitor.config import Pace, Peers
from ops.monitor.rules import Limits, rules

PEERS = Peers("http://127.0.0.1:8000", "http://127.0.0.1:8444", "127.0.0.1:9093", Path("/data/t"))
LIMITS = (Limits(), Limits(scrape=1, hold=2), Limits(scrape=60))


@pytest.mark.parametrize("limits", LIMITS, ids=str)
def test_each_rule_has_a_case_in_which_it_fires_and_one_in_which_it_does_not(
    limits: Limits,
) -> None:
    for rule in rules(limits):
        found = {case.fires is not None for case in cases.cases(limits) if case.rule == rule.name}
        assert found == {True, False}, rule.name


def test_the_rules_speak_both_languages_and_name_the_thing() -> None:
    assert [rule.name for rule in rules(Limits())] == [
        "MocbanKioskOffline", "MocbanReaderLost", "MocbanOutboxOld", "MocbanGateStorm",
    ]  # fmt: skip
    for rule in rules(Limits()):
        said = rule.said({"device": "kiosk-9", "app": "kiosk", "part": "reader"})
        assert set(said) == {"summary_vi", "do_vi", "summary_en", "do_en"}
        assert all("{" not in text for text in said.values())
        assert all("kiosk-9" in said[f"summary_{language}"] for language in ("vi", "en"))
        labels = rule.all_labels()
        assert labels["kind"] in KINDS
        assert labels["severity"] in {"info", "minor", "major", "critical"}


def made(peers: Peers = PEERS, **limits: Any) -> dict[str, Any]:
    texts = config.files(peers, Limits(**limits), Pace())
    return {name: json.loads(text) for name, text in texts.items()}


def test_who_is_looked_at_and_who_is_told() -> None:
    found = made()
    jobs = {job["job_name"]: job for job in found["prometheus.yml"]["scrape_configs"]}
    assert jobs["mocban-gateway"]["static_configs"] == [{"targets": ["127.0.0.1:8000"]}]
    assert jobs["mocban-ops"]["static_configs"] == [{"targets": ["127.0.0.1:8444"]}]
    assert found["prometheus.yml"]["rule_files"] == ["mocban.rules.yml"]
    route = found["alertmanager.yml"]["route"]
    assert route["group_by"] == ["alertname", "device", "app"]
    assert route["routes"] == [{"matchers": ['severity="critical"'], "group_wait": "0s"}]
    (hook,) = found["alertmanager.yml"]["receivers"][0]["webhook_configs"]
    assert hook["url"] == "http://127.0.0.1:8444/api/v1/alerts"
    assert hook["send_resolved"] is True
    assert hook["http_config"]["authorization"]["credentials_file"] == "/data/t"


def test_a_gateway_behind_tls_and_a_path() -> None:
    peers = replace(PEERS, gateway="https://gw.example/mocban/", ca_file=Path("/etc/ca.pem"))
    job = made(peers)["prometheus.yml"]["scrape_configs"][0]
    assert (job["scheme"], job["metrics_path"]) == ("https", "/mocban/metrics")
    assert job["static_configs"] == [{"targets": ["gw.example:443"]}]
    assert job["tls_config"] == {"ca_file": "/etc/ca.pem"}


def test_a_scrape_never_waits_longer_than_its_interval() -> None:
    for scrape in (1, 15, 60):
        told = made(scrape=scrape)["prometheus.yml"]["global"]
        assert int(told["scrape_timeout"][:-1]) <= scrape


def test_files_come_whole_and_old_ones_go(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("old")
    cli.write({"a.yml": "new", "b.yml": "ổ"}, tmp_path)
    assert {file.name: file.read_text(encoding="utf-8") for file in tmp_path.iterdir()} == {
        "a.yml": "new", "b.yml": "ổ",
    }  # fmt: skip


def test_a_folder_that_refuses_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError) as caught:
        cli.write({"a.yml": ""}, tmp_path / "file" / "below")
    assert "cannot be written" in caught.value.say
    assert caught.value.do


@pytest.mark.parametrize(
    ("script", "say"),
    [
        ("echo broken >&2; exit 1", "broken"),
        ("exit 1", "it objects"),
        ("exit 0", ""),
    ],
)
def test_what_a_tool_says(tmp_path: Path, script: str, say: str) -> None:
    assert cli.objection(["sh", "-c", script], tmp_path) == say


def test_a_tool_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("")
    assert "cannot be started" in cli.objection([str(tmp_path / "tool")], tmp_path)
