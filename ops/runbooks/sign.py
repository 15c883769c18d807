"""Signatures of playbooks: CACAO ``jss`` with Ed25519. Pure.

What is signed are the 64 characters of the lower-case hex SHA-256 of the playbook in RFC 8785 form with this one
signature in it, its ``value`` left out: neither the canonical bytes nor the raw digest. That is how the example of the
standard was made.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from mocban import identity
from mocban.errors import LocalProtocolError, RemoteProtocolError
from ops.runbooks.shape import items, mapping, moment, text

SIGNATURES_MAX = 8
"""Most signatures of one playbook that are looked at."""
_DER = bytes.fromhex("302a300506032b6570032100")  # RFC 8410: an Ed25519 key begins so
_IDS = uuid.UUID("f2c75e75-49ba-59ad-b60c-3ae4c75efb47")


def sign(
    body: Mapping[str, Any], key: identity.SigningKey, signee: str, now: datetime
) -> dict[str, Any]:  # fmt: skip
    """``body`` with one signature, by ``key``; those it had are gone, since the standard signs without them."""
    at = now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03d}Z"
    natural = "\x1f".join((str(body["id"]), str(body["modified"]), key.public))
    unsigned = {
        "type": "jss", "id": f"jss--{uuid.uuid5(_IDS, natural)}", "created": at, "modified": at,
        "signee": signee, "related_to": body["id"], "related_version": body["modified"],
        "hash_algorithm": "sha-256", "algorithm": "Ed25519",
        "public_key": base64.b64encode(_DER + base64.b64decode(key.public)).decode(),
    }  # fmt: skip
    value = key.private.sign(digest(body, unsigned).encode())
    signature = {**unsigned, "value": base64.urlsafe_b64encode(value).decode().rstrip("=")}
    return {**body, "signatures": [signature]}


def digest(body: Mapping[str, Any], signature: Mapping[str, Any]) -> str:
    """The text that is signed: lower-case hex. LocalProtocolError if ``body`` has no canonical form."""
    own = {name: part for name, part in signature.items() if name not in {"value", "signature"}}
    return hashlib.sha256(identity.canonical({**body, "signatures": [own]})).hexdigest()


def signed_by(body: Mapping[str, Any], pinned: Iterable[str]) -> str:
    """Who signed ``body`` with one of the ``pinned`` keys, as the signature names them; "" if nobody did.

    RemoteProtocolError ``bad-signature`` if a signature names a pinned key and is wrong or of another version.
    """
    keys = [base64.b64encode(_DER + base64.b64decode(public)).decode() for public in pinned]
    for one in map(mapping, items(body.get("signatures"))[:SIGNATURES_MAX]):
        if one.get("public_key") not in keys or one.get("revoked"):
            continue
        if not _true(body, one):
            raise RemoteProtocolError(
                "its signature is wrong: it was changed after it was signed", "sign it anew",
                code="bad-signature",
            )  # fmt: skip
        return text(one.get("signee")) or "unnamed"
    return ""


def in_time(body: Mapping[str, Any], signee: str, now: datetime) -> bool:
    """Whether every signature of ``signee`` holds at ``now``, by its ``valid_from`` and ``valid_until``."""
    for one in map(mapping, items(body.get("signatures"))[:SIGNATURES_MAX]):
        if (text(one.get("signee")) or "unnamed") != signee:
            continue
        for name in ("valid_from", "valid_until"):
            at = moment(one.get(name))
            if name in one and (at is None or (now < at) is (name == "valid_from")):
                return False
    return True


def _true(body: Mapping[str, Any], signature: Mapping[str, Any]) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    said = {name: signature.get(name) for name in ("algorithm", "hash_algorithm")}
    if said != {"algorithm": "Ed25519", "hash_algorithm": "sha-256"}:
        return False
    about = (signature.get("related_to"), signature.get("related_version"))
    value = signature.get("value")
    if about != (body.get("id"), body.get("modified")) or not isinstance(value, str):
        return False
    try:
        raw = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)
        public = base64.b64decode(signature["public_key"])[len(_DER) :]
        Ed25519PublicKey.from_public_bytes(public).verify(raw, digest(body, signature).encode())
    except (InvalidSignature, ValueError, binascii.Error, LocalProtocolError):
        return False
    return True
