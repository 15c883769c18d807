"""What operations ask of their machine, for ``mocban doctor``."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from mocban.config import Config
from mocban.findings import Finding, Words, database, port, reach
from ops.settings import OpsSettings


def ops(config: Config[OpsSettings], say: Words) -> Iterator[Finding]:
    """Port, database, the gateway, and whose playbooks execute."""
    page, _ = port(say, "ops.port", config.app.host, config.app.port)
    yield page
    yield database(say, "ops.database", config.database, "incident")
    yield gateway(config, say)
    yield keys(config, say)


def gateway(config: Config[OpsSettings], say: Words) -> Finding:
    """The gateway takes a connection: facts come from there."""
    parts = urlsplit(config.app.gateway_url)
    host = parts.hostname or ""
    number = parts.port or (443 if parts.scheme == "https" else 80)
    where = {"host": host, "port": number}
    try:
        reach(host, number)
    except OSError as error:
        told = say("nothing answers at {host}:{port}: {why}")
        do = say("check ops.gateway_url in the configuration, and that the gateway runs")
        return Finding("ops.gateway", False, told.format(**where, why=error.strerror or error), do)
    return Finding("ops.gateway", True, say("{host}:{port} answers").format(**where))


def keys(config: Config[OpsSettings], say: Words) -> Finding:
    """Somebody's playbooks execute; that is a fault only where one is to begin by itself."""
    name, pinned = "ops.playbook_keys", len(config.app.playbook_keys)
    if pinned:
        return Finding(name, True, say("{n} playbook keys are pinned").format(n=pinned))
    told = say("no playbook key is pinned: playbooks only dry-run")
    do = say("write the public keys of those who sign playbooks to ops.playbook_keys")
    return Finding(name, not config.app.autorun, told, do)
