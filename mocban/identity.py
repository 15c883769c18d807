"""Who this process is on the bus, and whose word it believes: Ed25519 over canonical JSON (RFC 8785).

A signed document is a JSON object with ``kid`` and ``sig``: the signature covers the canonical form of everything but
``sig``. Keys are files of mode 0600; a public key is written as base64 of its 32 raw bytes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mocban.errors import ConfigError, LocalProtocolError, RemoteProtocolError
from mocban.ids import check_device
from mocban.topics import Channel, Topic

if TYPE_CHECKING:  # cryptography is loaded when something is signed or checked, not at every start
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


@dataclass(frozen=True, slots=True)
class Identity:
    """A device of a tenant, and the app of ours that speaks for it."""

    tenant: str
    device: str
    app: str

    def __post_init__(self) -> None:
        check_device(self.device)

    @property
    def client_id(self) -> str:
        """MQTT client id ``device.app``: several processes of one device never throw each other out."""
        return f"{self.device}.{self.app}"

    def topic(self, channel: Channel, name: str = "") -> str:
        """This device's topic on ``channel``."""
        return str(Topic(self.tenant, self.device, channel, name))


def canonical(body: Mapping[str, Any]) -> bytes:
    """``body`` in the one form that is signed (RFC 8785); LocalProtocolError if it has none (NaN, big integers)."""
    import rfc8785

    try:
        return rfc8785.dumps(dict(body))
    except rfc8785.CanonicalizationError as error:
        raise LocalProtocolError(f"it has no canonical form: {error}") from error


def kid_of(public: str) -> str:
    """The short name of a public key: 16 hex digits of the SHA-256 of its bytes. ValueError if it is no key."""
    raw = base64.b64decode(public, validate=True)
    if len(raw) != 32:
        raise ValueError("a public key is base64 of 32 bytes")
    return hashlib.sha256(raw).hexdigest()[:16]


def check_public(public: str) -> str:
    """``public`` if it is a public key; ValueError if not."""
    kid_of(public)
    return public


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key of ours."""

    private: Ed25519PrivateKey
    public: str

    def __repr__(self) -> str:  # never in a log
        return f"SigningKey({self.kid})"

    @property
    def kid(self) -> str:
        """The short name of its public half."""
        return kid_of(self.public)

    def sign(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """``body`` with ``kid`` and ``sig``."""
        signed = {**body, "kid": self.kid}
        signed.pop("sig", None)
        signature = self.private.sign(canonical(signed))
        return {**signed, "sig": base64.b64encode(signature).decode()}


def signing_key(path: Path) -> SigningKey:
    """The key in ``path`` (32 raw bytes in base64), made with mode 0600 if there is none.

    ConfigError if it cannot be read or written, is no key, or others may read it.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    seed = base64.b64decode(secret_file(path, lambda: base64.b64encode(os.urandom(32))) or b"")
    if len(seed) != 32:
        raise ConfigError(
            f"{path} holds no key", "restore it from the vault, or remove it and enrol anew"
        )
    private = Ed25519PrivateKey.from_private_bytes(seed)
    return SigningKey(private, base64.b64encode(private.public_key().public_bytes_raw()).decode())


def secret_file(path: Path, make: Any) -> bytes:
    """The content of a secret file, made by ``make()`` with mode 0600 if it is missing; whoever is first wins.

    ConfigError if it cannot be had or if others than its owner may read it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            new = path.with_name(f"{path.name}.{os.getpid()}")
            new.unlink(missing_ok=True)  # of a process that had our number, and a full disk
            try:
                with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                    file.write(make())
                    file.flush()
                    os.fsync(file.fileno())
                with suppress(
                    FileExistsError
                ):  # another process was quicker: its secret is the one
                    path.hardlink_to(new)
            finally:
                new.unlink(missing_ok=True)
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        if path.stat().st_mode & 0o077:
            raise ConfigError(f"{path} may be read by others", f"chmod 600 {path}")
        return path.read_bytes().strip()
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be used: {error.strerror}",
            "give the service's user its folder, mode 0700",
        ) from error


def verify(document: Mapping[str, Any], pinned: Iterable[str]) -> None:
    """Nothing if one of the ``pinned`` public keys signed ``document``.

    Else RemoteProtocolError, code ``unsigned``, ``unknown-key`` or ``bad-signature``.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    kid, sig = document.get("kid"), document.get("sig")
    if not isinstance(kid, str) or not isinstance(sig, str):
        raise RemoteProtocolError("it is not signed", code="unsigned")
    public = next((key for key in pinned if kid_of(key) == kid), None)
    if public is None:
        raise RemoteProtocolError(
            "it is signed by a key that is not pinned here", code="unknown-key"
        )
    body = {name: value for name, value in document.items() if name != "sig"}
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public))
        key.verify(base64.b64decode(sig, validate=True), canonical(body))
    except (InvalidSignature, ValueError, LocalProtocolError) as error:
        raise RemoteProtocolError("its signature is wrong", code="bad-signature") from error


def signed(payload: bytes, most: int, pinned: Iterable[str], what: str) -> dict[str, Any]:
    """The JSON object in ``payload``, of at most ``most`` bytes and signed by one of the ``pinned`` keys.

    RemoteProtocolError: ``too-long``, ``bad-<what>``, or as ``verify``.
    """
    if len(payload) > most:
        raise RemoteProtocolError(
            f"{len(payload)} bytes are too many for one {what}", code="too-long"
        )
    try:
        document = json.loads(payload)
        if not isinstance(document, dict):
            raise TypeError
    except (ValueError, TypeError, RecursionError):
        raise RemoteProtocolError(f"it is no {what}", code=f"bad-{what}") from None
    verify(document, pinned)
    return document
