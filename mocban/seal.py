"""Patron data at rest: sealed with a key per session, which is destroyed as soon as the session is reconciled.

The session keys stand wrapped in table ``seal`` of the database they serve (see ``kiosk/migrations/002``). The key
that wraps them is a file beside it which no backup holds, so a copy of the database alone opens nothing. The caller
sets ``secure_delete`` on the connection and cuts its write-ahead log: then a destroyed key is gone from the disk.
"""

from __future__ import annotations

import base64
import binascii
import os
import sqlite3
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from mocban.errors import ConfigError, LocalFault, Permanent
from mocban.identity import secret_file

if TYPE_CHECKING:  # cryptography is loaded when something is sealed or opened, not at every start
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

CREDENTIAL = "mocban_seal_key"
"""Name of the systemd credential that stands in for the key file."""
_NONCE = 12


class SealBroken(LocalFault, Permanent):
    """What is sealed cannot be opened: its key is gone, or it is not ours."""

    code = "seal-broken"


def seal_key(path: Path) -> bytes:
    """The 32 bytes that wrap the session keys: the systemd credential, else the file ``path``, made if missing.

    ConfigError if it cannot be read, holds no key, or others may read the file.
    """
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    given = Path(folder, CREDENTIAL) if folder else None
    if given is not None and given.is_file():
        path = given
        try:
            text = given.read_bytes()
        except OSError as error:
            raise ConfigError(f"{path} cannot be read", "check the unit's credentials") from error
    else:
        text = secret_file(path, lambda: base64.b64encode(os.urandom(32)))
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except binascii.Error:
        key = b""
    if len(key) != 32:
        raise ConfigError(
            f"{path} holds no key of 32 bytes in base64",
            "remove it: a new one is made, and visits under way are settled at the desk",
        )
    return key


class Seals:
    """Seals over table ``seal`` of ``db``, inside the caller's transactions. sqlite3.Error if the disk refuses.

    No session key is kept in memory: one whose transaction was rolled back must not be used again.
    """

    def __init__(self, db: sqlite3.Connection, kek: bytes, purpose: str = "patron") -> None:
        self._db = db
        self._kek = kek
        self._purpose = purpose

    def seal(self, session: str, text: str) -> str:
        """``text`` under the key of ``session``, made with its first use, and anew if the one that stands is lost."""
        try:
            aead = self._session(session)
        except SealBroken:
            aead = None
        if aead is None:
            raw = os.urandom(32)
            wrapped = _encrypt(_aead(self._kek), raw, self._aad(session, "key"))
            self._db.execute(
                "INSERT OR REPLACE INTO seal (session, wrapped) VALUES (?, ?)", (session, wrapped)
            )
            aead = _aead(raw)
        token = _encrypt(aead, text.encode(), self._aad(session, "text"))
        return base64.urlsafe_b64encode(token).decode()

    def open(self, session: str, token: str) -> str:
        """What was sealed. SealBroken if the key of ``session`` is gone, or the token is not one of its own."""
        aead = self._session(session)
        if aead is None:
            raise SealBroken("the key of a visit is gone", "settle that visit at the desk")
        try:
            sealed = base64.b64decode(token, altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            sealed = b""
        return _decrypt(aead, sealed, self._aad(session, "text")).decode()

    def keep(self, sessions: Collection[str]) -> None:
        """Destroy the keys of all other sessions."""
        held = [one for (one,) in self._db.execute("SELECT session FROM seal").fetchall()]
        wanted = set(sessions)
        self._db.executemany(
            "DELETE FROM seal WHERE session = ?", [(one,) for one in held if one not in wanted]
        )

    def destroy_all(self) -> None:
        """Destroy every key: nothing sealed here can ever be opened again."""
        self._db.execute("DELETE FROM seal")

    def _session(self, session: str) -> ChaCha20Poly1305 | None:
        row = self._db.execute("SELECT wrapped FROM seal WHERE session = ?", (session,)).fetchone()
        if row is None:
            return None
        return _aead(_decrypt(_aead(self._kek), row[0], self._aad(session, "key")))

    def _aad(self, session: str, what: str) -> bytes:
        """Binds a sealed value to its session and purpose: it opens in no other place."""
        return "\x1f".join(("mocban seal 1", what, self._purpose, session)).encode()


def _aead(key: bytes) -> ChaCha20Poly1305:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    return ChaCha20Poly1305(key)


def _encrypt(aead: ChaCha20Poly1305, data: bytes, aad: bytes) -> bytes:
    nonce = os.urandom(_NONCE)
    return nonce + aead.encrypt(nonce, data, aad)


def _decrypt(aead: ChaCha20Poly1305, sealed: bytes, aad: bytes) -> bytes:
    from cryptography.exceptions import InvalidTag

    try:
        return aead.decrypt(sealed[:_NONCE], sealed[_NONCE:], aad)
    except (InvalidTag, ValueError) as error:
        raise SealBroken(
            "a visit on this disk was sealed with another key", "settle that visit at the desk"
        ) from error
