"""``mocban ops monitor``: what Prometheus and Alertmanager are told, made from code and checked by their own tools."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from mocban import access, config
from mocban.cli import ConfigOption, JsonOption, emit, new_app
from mocban.errors import ConfigError, Exit
from ops.monitor.config import ALERTMANAGER, PROMETHEUS, RULES, TESTS, Pace, Peers, files
from ops.monitor.rules import Limits, rule_file, written
from ops.monitor.rules import rules as alert_rules
from ops.settings import OpsSettings

WITHIN = 60.0
"""Seconds one check may take."""
CHECKS = (
    ("promtool", "prometheus", ["check", "rules", "--lint=all", "--lint-fatal", RULES]),
    ("promtool", "prometheus", ["test", "rules", TESTS]),
    ("promtool", "prometheus", ["check", "config", PROMETHEUS]),
    ("amtool", "prometheus-alertmanager", ["check-config", ALERTMANAGER]),
)
"""Tool, its Debian package, and what it is asked."""

_LIMITS, _PACE = Limits(), Pace()

app = new_app("Prometheus and Alertmanager: rules and configuration from code.")

ScrapeOption = Annotated[
    int, typer.Option("--scrape", min=1, max=300, help="Seconds between two looks at the metrics.")
]
HoldOption = Annotated[
    int | None,
    typer.Option(
        "--hold", min=0, max=3600, help="Seconds every condition lasts before it is told."
    ),
]


@app.command()
def rules(
    scrape: ScrapeOption = _LIMITS.scrape, hold: HoldOption = None, conf: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Print the rule file of Prometheus."""
    limits = _limits(config.load("ops", OpsSettings, conf).app, scrape, hold)
    if as_json:
        names = [rule.name for rule in alert_rules(limits)]
        emit({"ok": True, "rules": names, "file": rule_file(limits), "errors": []})
    else:
        typer.echo(written(rule_file(limits)), nl=False)


@app.command("config")
def configuration(
    to: Annotated[
        Path | None, typer.Option("--to", help="Folder to write the files into.", file_okay=False)
    ] = None,
    alertmanager: Annotated[
        str, typer.Option("--alertmanager", help="Where Alertmanager listens, host:port.")
    ] = "127.0.0.1:9093",
    scrape: ScrapeOption = _LIMITS.scrape,
    hold: HoldOption = None,
    wait: Annotated[
        int, typer.Option("--wait", min=0, max=3600, help="Seconds before a new alert is told.")
    ] = _PACE.wait,
    again: Annotated[
        int, typer.Option("--again", min=1, max=3600, help="Seconds before a change is told.")
    ] = _PACE.again,
    conf: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write or print the configuration of Prometheus and Alertmanager, the rules and their tests."""
    made = _files(conf, alertmanager, scrape, hold, Pace(wait, again))
    if to is not None:
        write(made, to)
    if as_json:
        where = {"folder": str(to.absolute())} if to is not None else {"texts": made}
        emit({"ok": True, "files": list(made), **where, "errors": []})
    elif to is None:
        for name, text in made.items():
            typer.echo(f"# {name}\n{text}")
    else:
        for name in made:
            typer.echo(to / name)


@app.command()
def check(conf: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Have promtool and amtool check all of it; exit 1 if they object, 3 if one of them is not installed."""
    bad, missing = [], []
    made = _files(conf, "127.0.0.1:9093", _LIMITS.scrape, None, _PACE)
    with tempfile.TemporaryDirectory(prefix="mocban-monitor-") as folder:
        write(made, Path(folder))
        for tool, package, words in CHECKS:
            name = f"{tool} {' '.join(words)}"
            found = shutil.which(tool)
            if found is None:
                missing.append({"code": "missing-tool", "say": f"{name}: {tool} is not installed",
                                "do": f"apt install {package}"})  # fmt: skip
                continue
            say = objection([found, *words], Path(folder))
            if say:
                do = "send these lines to those who maintain mocban"
                bad.append({"code": "refused", "say": f"{name}: {say}", "do": do})
            elif not as_json:
                typer.echo(f"{name}: good")
    if as_json:
        emit({"ok": not (bad or missing), "errors": bad + missing})
    else:
        for error in bad + missing:
            typer.echo(f"{error['say']}: {error['do']}", err=True)
    raise typer.Exit(Exit.NO if bad else Exit.PARTLY if missing else Exit.DONE)


def objection(argv: list[str], folder: Path) -> str:
    """What a tool has against what lies in ``folder``; empty if nothing."""
    try:
        done = subprocess.run(
            argv, cwd=folder, capture_output=True, text=True, timeout=WITHIN, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"no answer within {WITHIN:.0f} s"
    except OSError as error:
        return f"it cannot be started: {error.strerror}"
    return "" if done.returncode == 0 else (done.stdout + done.stderr).strip() or "it objects"


def write(made: dict[str, str], folder: Path) -> None:
    """Each file whole or not at all: Prometheus may read at any moment. ConfigError if the folder refuses."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in made.items():
            aside = folder / f".{name}.new"
            aside.write_text(text, encoding="utf-8")
            aside.replace(folder / name)
    except OSError as error:
        raise ConfigError(
            f"{folder} cannot be written: {error.strerror}", "choose another folder with --to"
        ) from error


def _files(
    conf: Path | None, alertmanager: str, scrape: int, hold: int | None, pace: Pace
) -> dict[str, str]:
    host, _, port = alertmanager.rpartition(":")
    if not host or "/" in alertmanager or not port.isascii() or not port.isdigit():
        raise ConfigError(
            f"{alertmanager} is no address of Alertmanager", "it reads host:port", code="usage"
        )
    read = config.load("ops", OpsSettings, conf)
    peers = Peers(
        read.app.gateway_url, read.app.own_address, alertmanager,
        access.token_file(read.data_dir, "ops", "webhook").absolute(), read.ca_file,
    )  # fmt: skip
    return dict(files(peers, _limits(read.app, scrape, hold), pace))


def _limits(settings: OpsSettings, scrape: int, hold: int | None) -> Limits:
    return Limits(scrape=scrape, storm=settings.storm, hold=hold)
