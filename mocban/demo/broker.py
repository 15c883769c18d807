"""The demo's MQTT broker: Debian's mosquitto when it is on PATH, else PyPI's iotcore. Bound to loopback."""

from __future__ import annotations

import getpass
import importlib.util
import shutil
import sys
from pathlib import Path

from mocban.errors import ConfigError

_MOSQUITTO = """\
listener {port} 127.0.0.1
allow_anonymous true
user {user}
persistence false
max_inflight_messages 1000
max_queued_messages 10000
log_type warning
log_type error
"""

# Our own TOML: iotcore's keyword arguments mean MQTT 3.1.1 on every interface.
_IOTCORE = """\
id = 0
[router]
id = 0
max_connections = 200
max_outgoing_packet_count = 200
max_segment_size = 10485760
max_segment_count = 10
[v5.1]
name = "v5"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1
[v5.1.connections]
connection_timeout_ms = 5000
max_payload_size = 65536
max_inflight_count = 100
dynamic_filters = true
"""


def command(port: int, folder: Path, kind: str = "auto") -> tuple[str, list[str]]:
    """The broker's name and command line; writes its configuration into ``folder``. ConfigError if there is none."""
    mosquitto = shutil.which("mosquitto") or shutil.which(
        "mosquitto", path="/usr/sbin:/usr/local/sbin"
    )
    if kind == "mosquitto" or (kind == "auto" and mosquitto):
        if not mosquitto:
            raise ConfigError(
                "mosquitto is not installed", "apt install mosquitto, or leave --broker out"
            )
        file = folder / "mosquitto.conf"
        # It keeps its user: changing it, as root's mosquitto would, cuts the tie below.
        user = getpass.getuser()
        file.write_text(_MOSQUITTO.format(port=port, user=user), encoding="utf-8")
        return "mosquitto", tied([mosquitto, "-c", str(file)])
    if importlib.util.find_spec("iotcore") is None:
        raise ConfigError(
            "there is no MQTT broker",
            'apt install mosquitto, or pip install "mocban[demo]"',
            code="missing-package",
        )
    file = folder / "iotcore.toml"
    file.write_text(_IOTCORE.format(port=port), encoding="utf-8")
    return "iotcore", [sys.executable, "-m", "mocban.demo.broker", str(file)]


def tied(argv: list[str]) -> list[str]:
    """The command line of a foreign binary, tied to our life by setpriv, as our own children tie themselves."""
    return [*(["setpriv", "--pdeathsig", "TERM", "--"] if shutil.which("setpriv") else []), *argv]


def _serve(file: str) -> None:
    from iotcore import IotCoreBroker

    from mocban.supervise import lifeline

    lifeline()
    IotCoreBroker(config_path=file).run_forever()


if __name__ == "__main__":
    _serve(sys.argv[1])
