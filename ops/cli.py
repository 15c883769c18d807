"""``mocban ops``: run operations; incidents, reports, monitoring, the console."""

from __future__ import annotations

from mocban.cli import ConfigOption, JsonOption, new_app, run_app
from ops import desk
from ops.console import cli as console
from ops.monitor import cli as monitor
from ops.settings import OpsSettings

app = new_app("Operations: alerts and facts become incidents, playbooks, orders.")
app.add_typer(desk.app, name="incidents")
app.add_typer(monitor.app, name="monitor")
app.command("report")(desk.report)
console.register(app)


@app.command()
def run(path: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Run operations until SIGTERM or Ctrl-C."""
    from ops.app import main

    run_app("ops", OpsSettings, main, path, as_json=as_json)
