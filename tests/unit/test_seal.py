"""What is sealed opens with its session's key alone, and with no key once that is destroyed."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mocban.errors import ConfigError
from mocban.migrate import open_db
from mocban.seal import CREDENTIAL, SealBroken, Seals, seal_key

KEK, CARD = bytes(range(32)), "TV2400001"


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_db(tmp_path / "x.db", "journal", "kiosk")) as opened:
        yield opened


def test_what_was_sealed_opens_again_after_a_restart(db: sqlite3.Connection) -> None:
    token = Seals(db, KEK).seal("v1", CARD)
    assert CARD not in token
    assert Seals(db, KEK).open("v1", token) == CARD


def test_one_card_sealed_twice_looks_different_so_that_visits_cannot_be_linked(
    db: sqlite3.Connection,
) -> None:
    seals = Seals(db, KEK)
    assert len({seals.seal(session, CARD) for session in ("v1", "v1", "v2")}) == 3


@pytest.mark.parametrize("change", ["", "AAAA", "täg", "=", "A" * 80])
def test_a_token_that_is_not_ours_is_refused(db: sqlite3.Connection, change: str) -> None:
    seals = Seals(db, KEK)
    seals.seal("v1", CARD)
    with pytest.raises(SealBroken) as caught:
        seals.open("v1", change)
    assert caught.value.code == "seal-broken"
    assert caught.value.do


def test_one_flipped_bit_is_refused(db: sqlite3.Connection) -> None:
    seals = Seals(db, KEK)
    raw = bytearray(base64.urlsafe_b64decode(seals.seal("v1", CARD)))
    for at in (0, 12, len(raw) - 1):
        bent = bytearray(raw)
        bent[at] ^= 1
        with pytest.raises(SealBroken):
            seals.open("v1", base64.urlsafe_b64encode(bent).decode())


def test_a_token_opens_for_no_other_session_purpose_or_key_file(db: sqlite3.Connection) -> None:
    seals = Seals(db, KEK)
    token = seals.seal("v1", CARD)
    seals.seal("v2", "another")
    # Not even if somebody moves the wrapped key under another name.
    db.execute("INSERT INTO seal SELECT 'v3', wrapped FROM seal WHERE session = 'v1'")
    for other, session in (
        (seals, "v2"), (seals, "v3"), (Seals(db, KEK, "mail"), "v1"), (Seals(db, bytes(32)), "v1"),
    ):  # fmt: skip
        with pytest.raises(SealBroken):
            other.open(session, token)


def test_only_the_keys_that_are_kept_open_anything(db: sqlite3.Connection) -> None:
    seals = Seals(db, KEK)
    tokens = {session: seals.seal(session, CARD) for session in ("v1", "v2", "v3")}
    seals.keep({"v2"})
    assert seals.open("v2", tokens["v2"]) == CARD
    for session in ("v1", "v3"):
        with pytest.raises(SealBroken):
            seals.open(session, tokens[session])
    assert seals.seal("v1", CARD)  # a new key: the old token stays dead
    with pytest.raises(SealBroken):
        seals.open("v1", tokens["v1"])
    seals.destroy_all()
    with pytest.raises(SealBroken):
        seals.open("v2", tokens["v2"])


def test_a_key_whose_transaction_was_rolled_back_is_not_used_again(db: sqlite3.Connection) -> None:
    seals = Seals(db, KEK)
    db.execute("BEGIN")
    seals.seal("v1", CARD)
    db.execute("ROLLBACK")
    assert Seals(db, KEK).open("v1", seals.seal("v1", CARD)) == CARD


def test_a_key_that_another_key_file_wrapped_is_replaced_and_not_used(
    db: sqlite3.Connection,
) -> None:
    lost = Seals(db, bytes(32)).seal("v1", CARD)
    seals = Seals(db, KEK)
    assert seals.open("v1", seals.seal("v1", "new")) == "new"
    with pytest.raises(SealBroken):
        seals.open("v1", lost)


def test_the_key_file_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "seal.key"
    assert seal_key(path) == seal_key(path)
    assert len(seal_key(path)) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="others"):
        seal_key(path)


@pytest.mark.parametrize("text", ["", "AAAA", "no base64 at all", "ä"])
def test_a_file_that_holds_no_key_is_said_so_without_quoting_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "seal.key"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match=r"seal\.key holds no key"):
        seal_key(path)


def test_the_systemd_credential_stands_in_for_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    path = tmp_path / "keys" / "seal.key"
    seal_key(path)
    assert path.exists(), "a unit without this credential uses the file"
    (tmp_path / CREDENTIAL).write_bytes(base64.b64encode(KEK) + b"\n")
    assert seal_key(path) == KEK
