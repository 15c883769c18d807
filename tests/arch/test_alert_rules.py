"""The alert rules by Prometheus' own tools: each fires when it should and only then, and the files are valid."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from ops.monitor import cli, config
from ops.monitor.config import Pace, Peers
from ops.monitor.rules import Limits

PEERS = Peers("http://127.0.0.1:8000", "http://127.0.0.1:8444", "127.0.0.1:9093", Path("/data/t"))
LIMITS = (
    Limits(), Limits(scrape=30), Limits(scrape=60), Limits(storm=3, outbox=300), Limits(scrape=1, hold=2),
)  # fmt: skip


@pytest.mark.parametrize("limits", LIMITS, ids=str)
@pytest.mark.parametrize(
    ("tool", "package", "words"), cli.CHECKS, ids=[" ".join([c[0], *c[2]]) for c in cli.CHECKS]
)
def test_the_tools_have_no_objection(
    tmp_path: Path, limits: Limits, tool: str, package: str, words: list[str]
) -> None:
    found = shutil.which(tool)
    if found is None:
        assert not os.environ.get("MOCBAN_ALL"), f"{tool} is missing: ./system-packages"
        pytest.skip(f"NOT TESTED: the alert rules, {tool} is not installed: apt install {package}")
    cli.write(dict(config.files(PEERS, limits, Pace())), tmp_path)
    assert cli.objection([found, *words], tmp_path) == ""


def test_a_rule_that_never_fires_is_noticed(tmp_path: Path) -> None:
    """The tests of the rules can fail."""
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("NOT TESTED: promtool is not installed: apt install prometheus")
    made = dict(config.files(PEERS, Limits(), Pace()))
    made[config.RULES] = made[config.RULES].replace("== 0", "== 2")
    cli.write(made, tmp_path)
    say = cli.objection([found, "test", "rules", config.TESTS], tmp_path)
    assert "MocbanKioskOffline" in say
    assert "MocbanReaderLost" in say
