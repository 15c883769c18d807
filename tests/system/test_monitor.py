"""``mocban ops monitor`` as a person types it, and what ``up`` makes of words it does not know."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def mocban(*words: str, **env: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "mocban", *words], capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, **env},
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def last(out: str) -> dict[str, Any]:
    return dict(json.loads(out.strip().splitlines()[-1]))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "mocban.toml"
    file.write_text(f'data_dir = "{tmp_path}/data"\n[ops]\nport = 9444\nstorm = 25\n')
    return file


def test_the_files_are_written_for_this_machine(config: Path, tmp_path: Path) -> None:
    to = tmp_path / "made"
    code, out, err = mocban(
        "ops", "monitor", "config", "--config", str(config), "--to", str(to), "--json",
        "--alertmanager", "127.0.0.1:19093", "--scrape", "5",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert last(out)["ok"] is True
    assert sorted(file.name for file in to.iterdir()) == sorted(last(out)["files"])
    prometheus = json.loads((to / "prometheus.yml").read_text())
    assert prometheus["global"]["scrape_interval"] == "5s"
    assert "127.0.0.1:19093" in json.dumps(prometheus["alerting"])
    hook = (to / "alertmanager.yml").read_text()
    assert "http://127.0.0.1:9444/api/v1/alerts" in hook
    assert f"{tmp_path}/data/ops/keys/webhook.token" in hook
    assert not (tmp_path / "data").exists(), "only the service makes its secrets"
    assert ">= 25" in (to / "mocban.rules.yml").read_text()


def test_the_rules_alone(config: Path) -> None:
    code, out, _ = mocban("ops", "monitor", "rules", "--config", str(config))
    assert code == 0
    names = [rule["alert"] for rule in json.loads(out)["groups"][0]["rules"]]
    code, out, _ = mocban("ops", "monitor", "rules", "--config", str(config), "--json")
    assert last(out)["rules"] == names
    assert len(names) == 4


def test_without_the_tools_it_says_what_was_not_checked(config: Path) -> None:
    code, out, _ = mocban("ops", "monitor", "check", "--config", str(config), "--json", PATH="")
    assert code == 3
    assert {error["code"] for error in last(out)["errors"]} == {"missing-tool"}
    assert all("apt install prometheus" in error["do"] for error in last(out)["errors"])


def test_with_the_tools_all_is_good(config: Path) -> None:
    if not (shutil.which("promtool") and shutil.which("amtool")):
        pytest.skip("NOT TESTED: promtool and amtool are not installed")
    code, out, err = mocban("ops", "monitor", "check", "--config", str(config))
    assert (code, err) == (0, "")
    assert out.count(": good") == 4


@pytest.mark.parametrize(
    ("words", "say"),
    [
        (["ops", "monitor", "config", "--alertmanager", "here"], "host:port"),
        (["ops", "monitor", "config", "--alertmanager", "http://here:1"], "host:port"),
        (["ops", "monitor", "config", "--scrape", "0"], "--scrape"),
        (["up", "--with", "grafana"], "--with prometheus"),
    ],
)
def test_what_cannot_be_is_one_sentence(config: Path, words: list[str], say: str) -> None:
    code, _, err = mocban(*words, MOCBAN_CONFIG=str(config))
    assert code == 2
    assert say in err
    assert len(err.strip().splitlines()) == 1
