"""What Prometheus and Alertmanager are told: look at gateway and operations, judge by our rules, tell operations.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ops.monitor import cases
from ops.monitor.rules import Limits, rule_file, written

PROMETHEUS, ALERTMANAGER, RULES, TESTS = (
    "prometheus.yml",
    "alertmanager.yml",
    "mocban.rules.yml",
    "mocban.rules.test.yml",
)
"""Names of the files."""
WEBHOOK = "/api/v1/alerts"


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds: how long Alertmanager waits before it tells of a new group, of a change in it, and of the same again.

    What is critical is told at once.
    """

    wait: int = 5
    again: int = 10
    repeat: int = 4 * 3600


@dataclass(frozen=True, slots=True)
class Peers:
    """Addresses of gateway and operations (``http://host:port``) and Alertmanager (``host:port``).

    ``token_file``: what Alertmanager shows operations; it must be able to read it. ``ca_file``: what the gateway's
    certificate must be proven by, None for the system's.
    """

    gateway: str
    ops: str
    alertmanager: str
    token_file: Path
    ca_file: Path | None = None


def prometheus(peers: Peers, limits: Limits) -> dict[str, Any]:
    """Prometheus' configuration; the rules lie beside it."""
    jobs = {"mocban-gateway": peers.gateway, "mocban-ops": peers.ops}
    return {
        "global": {
            "scrape_interval": f"{limits.scrape}s",
            "scrape_timeout": f"{min(10, limits.scrape)}s",
            "evaluation_interval": f"{limits.scrape}s",
        },
        "rule_files": [RULES],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [peers.alertmanager]}]}]},
        "scrape_configs": [_scraped(name, url, peers.ca_file) for name, url in jobs.items()],
    }


def _scraped(name: str, url: str, ca_file: Path | None) -> dict[str, Any]:
    parts = urlsplit(url)
    default = 443 if parts.scheme == "https" else 80
    job: dict[str, Any] = {
        "job_name": name,
        "scheme": parts.scheme,
        "metrics_path": f"{parts.path.rstrip('/')}/metrics",
        "static_configs": [
            {"targets": [parts.netloc if parts.port else f"{parts.netloc}:{default}"]}
        ],
    }
    if parts.scheme == "https" and ca_file is not None:
        job["tls_config"] = {"ca_file": str(ca_file)}
    return job


def alertmanager(peers: Peers, pace: Pace) -> dict[str, Any]:
    """Alertmanager's configuration. One group an app of a device: a group that several share loses news of one."""
    webhook = {
        "url": peers.ops.rstrip("/") + WEBHOOK,
        "send_resolved": True,
        "http_config": {
            "authorization": {"type": "Bearer", "credentials_file": str(peers.token_file)}
        },
    }
    return {
        "route": {
            "receiver": "ops",
            "group_by": ["alertname", "device", "app"],
            "group_wait": f"{pace.wait}s",
            "group_interval": f"{pace.again}s",
            "repeat_interval": f"{pace.repeat}s",
            "routes": [{"matchers": ['severity="critical"'], "group_wait": "0s"}],
        },
        "receivers": [{"name": "ops", "webhook_configs": [webhook]}],
    }


def files(peers: Peers, limits: Limits, pace: Pace) -> Mapping[str, str]:
    """Every file by its name; the rules' tests among them, for ``promtool test rules``."""
    return {
        PROMETHEUS: written(prometheus(peers, limits)),
        ALERTMANAGER: written(alertmanager(peers, pace)),
        RULES: written(rule_file(limits)),
        TESTS: written(cases.as_file(limits, RULES)),
    }
