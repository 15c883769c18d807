"""SSHSIG (OpenSSH PROTOCOL.sshsig), Ed25519 only: a person approves with the key in their agent, we only check.

Made by ``ssh-keygen -Y sign -n NAMESPACE -f KEY FILE``. Pure.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from itertools import chain

from mocban.errors import RemoteProtocolError

_MAGIC = b"SSHSIG"
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_ED25519 = b"ssh-ed25519"
_HASHES = {b"sha512": hashlib.sha512, b"sha256": hashlib.sha256}
SIGNATURE_MAX = 2048
"""Longest armoured signature taken, in characters."""


def public_raw(line: str) -> bytes:
    """The 32 bytes of an ``ssh-ed25519 AAAA… [comment]`` line; ValueError if it is none."""
    words = line.split()
    if len(words) < 2 or words[0] != "ssh-ed25519":
        raise ValueError("a staff key reads: ssh-ed25519 AAAA…")
    kind, raw = _strings(base64.b64decode(words[1], validate=True), 2)
    if kind != _ED25519 or len(raw) != 32:
        raise ValueError("a staff key is an Ed25519 key")
    return raw


def check_line(line: str) -> str:
    """``line`` if it is a public key line; ValueError if not."""
    public_raw(line)
    return line


def verify(armoured: str, message: bytes, namespace: str, line: str) -> None:
    """Nothing if the key of ``line`` signed ``message`` in ``namespace``; else RemoteProtocolError ``bad-approval``."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        raw = public_raw(line)
        blob = _dearmour(armoured)
        if blob[:6] != _MAGIC or struct.unpack(">I", blob[6:10])[0] != 1:
            raise ValueError("no SSHSIG version 1")
        key, space, reserved, algorithm, signature = _strings(blob[10:], 5)
        kind, value = _strings(signature, 2)
        if key != _string(_ED25519) + _string(raw) or kind != _ED25519:
            raise ValueError("another key")
        if space != namespace.encode() or algorithm not in _HASHES:
            raise ValueError("another purpose")
        digest = _HASHES[algorithm](message).digest()
        signed = _MAGIC + b"".join(map(_string, (space, reserved, algorithm, digest)))
        Ed25519PublicKey.from_public_bytes(raw).verify(value, signed)
    except (InvalidSignature, ValueError, struct.error) as error:
        raise RemoteProtocolError(
            "an approval's signature is wrong", code="bad-approval"
        ) from error


def armour(blob: bytes) -> str:
    """The text form of a signature blob."""
    text = base64.b64encode(blob).decode()
    lines = (text[at : at + 70] for at in range(0, len(text), 70))
    return "\n".join(chain([_BEGIN], lines, [_END])) + "\n"


def _dearmour(text: str) -> bytes:
    lines = text.strip().splitlines()
    if len(text) > SIGNATURE_MAX or len(lines) < 3 or (lines[0], lines[-1]) != (_BEGIN, _END):
        raise ValueError("no SSH signature")
    try:
        return base64.b64decode("".join(lines[1:-1]), validate=True)
    except binascii.Error as error:
        raise ValueError("no SSH signature") from error


def _string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _strings(data: bytes, count: int) -> list[bytes]:
    """Exactly ``count`` SSH strings; ValueError for more, fewer or torn ones."""
    found, at = [], 0
    for _ in range(count):
        if at + 4 > len(data):
            raise ValueError("too short")
        size = struct.unpack(">I", data[at : at + 4])[0]
        if at + 4 + size > len(data):
            raise ValueError("too short")
        found.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    if at != len(data):
        raise ValueError("too long")
    return found
