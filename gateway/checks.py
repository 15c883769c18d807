"""What the gateway asks of its machine, for ``mocban doctor``."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

from cryptography.x509 import load_pem_x509_certificate

from gateway.settings import GatewaySettings
from mocban.clock import SystemClock
from mocban.config import Config
from mocban.findings import Finding, Words, database, port

RENEW_DAYS = 14
"""A certificate with fewer days left is a fault already: nobody renews on the last one."""


def gateway(config: Config[GatewaySettings], say: Words) -> Iterator[Finding]:
    """Port, database and the key its orders are signed with."""
    page, _ = port(say, "gateway.port", config.app.host, config.app.port)
    yield page
    yield database(say, "gateway.database", config.database, "migration")
    yield key(config, say)
    if config.app.tls_cert is not None and config.app.tls_key is not None:
        yield tls(config.app.tls_cert, config.app.tls_key, say)


def key(config: Config[GatewaySettings], say: Words) -> Finding:
    """The signing key is there, once the gateway has run."""
    path = config.database.parent / "keys" / "gateway.key"
    if config.app.signing_key is not None or path.is_file():
        return Finding("gateway.key", True, say("the signing key is there"))
    if not config.database.exists():
        return Finding("gateway.key", True, say("no signing key yet: the first start makes it"))
    told = say("there is no signing key {path}").format(path=path)
    do = say("restore it from the vault: devices believe no other key")
    return Finding("gateway.key", False, told, do)


def tls(cert: Path, private: Path, say: Words) -> Finding:
    """Certificate and key are there, belong together and are in date for a while; the key is its owner's alone."""
    name, do = "gateway.tls", say("check tls_cert and tls_key in the configuration")
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
            cert, private, _no_passphrase
        )
        open_ = private.stat().st_mode & 0o077
        last = load_pem_x509_certificate(cert.read_bytes()).not_valid_after_utc
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        told = say("the certificate {path} cannot be used: {why}").format(path=cert, why=why)
        return Finding(name, False, told, do)
    if open_:
        told = say("others may read {files}").format(files=private)
        return Finding(name, False, told, f"chmod 600 {private}")
    days = (last - SystemClock().now()).days
    told = say("the certificate is valid for {days} days").format(days=days)
    return Finding(name, days >= RENEW_DAYS, told, say("renew the certificate"))


def _no_passphrase() -> str:
    raise ValueError("its key has a passphrase")
