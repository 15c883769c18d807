"""A site for the playbook: its inventory and secrets, and what a run of it said."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from mocban.ids import new_id
from tests.fault.harness import tool
from tests.lab.lab import HUB, Lab

ROOT = Path(__file__).resolve().parents[2]
PLAYBOOKS = ROOT / "deploy" / "ansible"
TENANT, KIOSK, GATE = "lab", "kiosk-lab-1", "gate-lab-1"
SIP2 = 6001


@dataclass(frozen=True, slots=True)
class Run:
    """How a run ended: tasks that changed something, by machine, and the whole of what it said."""

    changed: dict[str, int]
    said: str


class Site:
    """The inventory of the lab, with passwords and a certificate made for it."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._folder = lab.folder
        center = lab.machines["center"].address
        self.certificate, key = self._certificate(center)
        self.password = {name: str(new_id()) for name in ("gateway", KIOSK, GATE)}
        self.password["ils"] = "demo"  # that of the emulated library system
        ssh = f"-o UserKnownHostsFile={lab.known_hosts()} -o StrictHostKeyChecking=yes"
        everywhere = {
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(lab.key),
            "ansible_ssh_common_args": ssh,
            "base_ssh_keys_only": True,
            "base_ssh_sources": [f"{HUB}/32"],
            "runtime_wheelhouse": str(wheelhouse(lab.folder / "wheelhouse")),
            "runtime_tenant": TENANT,
            "runtime_mqtt": f"mqtts://{center}:8883",
            "runtime_ca_certificate": str(self.certificate),
        }
        at_center = {
            "runtime_extras": ["gateway"],
            "mosquitto_tenant": TENANT,
            "mosquitto_certificate": str(self.certificate),
            "mosquitto_private_key": key.read_text(encoding="ascii"),
            "mosquitto_sources": ["10.77.0.0/24"],
            "mosquitto_gateway_password": self.password["gateway"],
            "mosquitto_devices": [
                {"name": name, "password": self.password[name]} for name in (KIOSK, GATE)
            ],
            "gateway_mqtt_password": self.password["gateway"],
            "gateway_title": {"vi": "Thư viện thử “một”", "en": "Library of the lab"},
        }
        at_branch = {
            "runtime_extras": ["kiosk"],
            "kiosk_device": KIOSK,
            "kiosk_mqtt_password": self.password[KIOSK],
            "kiosk_pad": "serial:///dev/ttyUSB0?baud=38400&parity=E",
            "kiosk_ils": {
                "url": f"sip2://{HUB}:{SIP2}",
                "user": "kiosk",
                "location": "BG01",
                "timeout": 2.0,
            },
            "kiosk_ils_password": self.password["ils"],
        }
        self._inventory = {
            "all": {
                "vars": everywhere,
                "children": {
                    "center": {
                        "hosts": {"lab-center": {"ansible_host": center}},
                        "vars": at_center,
                    },
                    "branches": {
                        "hosts": {"lab-branch": {"ansible_host": lab.machines["branch"].address}},
                        "vars": at_branch,
                    },
                },
            }
        }

    @property
    def gateway_key(self) -> str:
        """What the branches believe, as the center tells it."""
        told = self._lab.machines["center"].run("/usr/local/bin/mocban", "gateway", "key")
        return told.splitlines()[-1]

    def converge(self, *more: str) -> Run:
        """Run the playbook over all machines. AssertionError with its last words if it fails."""
        done = self.play(*more)
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
        recap = done.stdout.partition("PLAY RECAP")[2]
        found = re.findall(r"^(\S+)\s*:.*\bchanged=(\d+)", recap, re.MULTILINE)
        return Run({name: int(number) for name, number in found}, done.stdout)

    def play(self, *more: str) -> subprocess.CompletedProcess[str]:
        """Run the playbook, whatever comes of it."""
        file = self._folder / "hosts.json"
        file.touch(mode=0o600)
        file.write_text(json.dumps(self._inventory), encoding="utf-8")
        env = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        env |= {
            "ANSIBLE_CONFIG": str(PLAYBOOKS / "ansible.cfg"), "ANSIBLE_HOME": str(self._folder / "ansible"),
            "ANSIBLE_LOCAL_TEMP": str(self._folder / "ansible" / "tmp"), "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self._folder / "cp"), "LC_ALL": "C.UTF-8",
        }  # fmt: skip
        done = subprocess.run(
            [tool("ip"), "netns", "exec", self._lab.hub, tool("ansible-playbook"), "-i", str(file), "site.yml", *more],
            cwd=PLAYBOOKS, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        with (self._folder / "ansible.log").open("a", encoding="utf-8") as log:
            log.write(done.stdout + done.stderr)
        return done

    def _certificate(self, address: str) -> tuple[Path, Path]:
        """A certificate for the broker, and its key."""
        certificate, key = self._folder / "broker.crt", self._folder / "broker.key"
        argv = [
            tool("openssl"), "req", "-x509", "-nodes", "-days", "20", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:P-256", "-subj", "/CN=center", "-addext", f"subjectAltName=IP:{address}",
            "-keyout", str(key), "-out", str(certificate),
        ]  # fmt: skip
        subprocess.run(argv, capture_output=True, check=True)
        return certificate, key


def wheelhouse(folder: Path) -> Path:
    """Pack this checkout for the machines."""
    done = subprocess.run(
        [str(ROOT / "deploy" / "wheelhouse"), str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip().splitlines()[-1])
