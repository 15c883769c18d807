"""Orders and feeds: who signed them, who approved them, and that nothing else is believed."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from mocban import commands, feeds, identity
from mocban.clock import SetClock
from mocban.errors import ConfigError, RemoteProtocolError
from mocban.sshsig import check_line
from tests.support.person import Person

NOW = SetClock().now()
EPOCH = "a" * 16


def request(name: str = "set-mode", by: str = "person:boss", **args: Any) -> commands.Request:
    return commands.Request(
        id=UUID(int=7), by=by, tenant="demo", device="kiosk-1", app="kiosk", name=name, args=args,
        expires=NOW + timedelta(minutes=5),
    )  # fmt: skip


@pytest.fixture
def key(tmp_path: Path) -> identity.SigningKey:
    return identity.signing_key(tmp_path / "keys" / "gateway.key")


def order(key: identity.SigningKey, asked: commands.Request, *by: Person) -> commands.Order:
    approvals = [person.approves(asked) for person in by]
    return commands.sign(key, asked, approvals, epoch=EPOCH, seq=1, issued=NOW)


def refused(code: str, what: Any) -> None:
    with pytest.raises(RemoteProtocolError) as error:
        what()
    assert error.value.code == code


def test_an_order_survives_the_wire_and_its_persons_are_known(
    tmp_path: Path, key: identity.SigningKey
) -> None:
    minh, lan = Person(tmp_path, "minh"), Person(tmp_path, "lan")
    sent = order(key, request(mode="closed"), minh, lan)
    came = commands.parse(sent.encode(), [key.public])
    assert came == sent
    assert came.command() == commands.SetMode(mode="closed")
    staff = {"minh": minh.line, "lan": lan.line}
    assert commands.approved(came, came.approvals, staff) == {"minh", "lan"}


def test_one_key_under_two_names_is_one_person(tmp_path: Path, key: identity.SigningKey) -> None:
    minh = Person(tmp_path, "minh")
    asked = request("wipe")
    approvals = [
        commands.Approval(by=name, sig=minh.sign(asked.canonical())) for name in ("minh", "twin")
    ]
    assert len(commands.approved(asked, approvals, {"minh": minh.line, "twin": minh.line})) == 1


@pytest.mark.parametrize(
    ("code", "by", "staff"),
    [
        ("own-approval", "person:minh", {"minh"}),
        ("unknown-person", "person:boss", set()),
    ],
)
def test_not_everybody_may_approve(tmp_path: Path, code: str, by: str, staff: set[str]) -> None:
    minh = Person(tmp_path, "minh")
    asked = request(by=by, mode="closed")
    known = dict.fromkeys(staff, minh.line)
    refused(code, lambda: commands.approved(asked, [minh.approves(asked)], known))


def test_an_approval_of_something_else_is_none(tmp_path: Path) -> None:
    minh, lan = Person(tmp_path, "minh"), Person(tmp_path, "lan")
    asked, other = request(mode="closed"), request(mode="silent")
    for bad in (
        commands.Approval(by="minh", sig=minh.sign(other.canonical())),
        commands.Approval(by="minh", sig=minh.sign(asked.canonical(), "file")),
        commands.Approval(by="minh", sig=lan.sign(asked.canonical())),
        commands.Approval(by="minh", sig="-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n"),
        commands.Approval(by="minh", sig="nonsense"),
    ):  # fmt: skip
        refused(
            "bad-approval", lambda bad=bad: commands.approved(asked, [bad], {"minh": minh.line})
        )


def test_whatever_is_changed_in_an_order_is_noticed(key: identity.SigningKey) -> None:
    document = json.loads(order(key, request(mode="closed")).encode())
    for name, value in document.items():
        if name == "sig":
            continue
        changed: Any = value + 1 if isinstance(value, int) else "other"
        forged = json.dumps({**document, name: changed}).encode()
        with pytest.raises(RemoteProtocolError) as error:
            commands.parse(forged, [key.public])
        assert error.value.code in {"bad-signature", "unknown-key"}, name


def test_other_keys_and_no_signature_are_refused(tmp_path: Path, key: identity.SigningKey) -> None:
    payload = order(key, request(mode="closed")).encode()
    other = identity.signing_key(tmp_path / "other.key")
    refused("unknown-key", lambda: commands.parse(payload, [other.public]))
    refused("unknown-key", lambda: commands.parse(payload, []))
    refused("unsigned", lambda: commands.parse(b"{}", [key.public]))
    refused("bad-order", lambda: commands.parse(b"\xff\x00", [key.public]))
    refused("bad-order", lambda: commands.parse(b"[" * 9000, [key.public]))
    refused("too-long", lambda: commands.parse(b" " * 20_000, [key.public]))


def test_the_risk_says_how_many_must_approve() -> None:
    assert commands.SelfTest().persons == 0
    assert commands.Restart().persons == 0
    assert commands.SetMode(mode="closed").persons == 1
    assert commands.SetMode(mode="closed", seconds=60).persons == 0
    assert commands.Wipe().persons == 2


def test_an_unknown_command_or_wrong_arguments_are_named() -> None:
    refused("unknown-command", request("dance").command)
    refused("bad-args", request(mode="sideways").command)
    refused("bad-args", request(mode="open", more=1).command)


def test_a_feed_is_believed_only_signed(key: identity.SigningKey, tmp_path: Path) -> None:
    entries = [feeds.Entry(uid=f"E004{n:012X}", item="BG00012345", until=NOW) for n in range(500)]
    payload = feeds.sign(
        key, "demo", "gate-1", "pending-security", version=1, issued=NOW,
        expires=NOW + timedelta(days=1), entries=entries,
    )  # fmt: skip
    assert len(payload) <= feeds.FEED_MAX
    feed = feeds.parse(payload, [key.public])
    assert len(feed.entries) == feeds.ENTRIES_MAX
    refused(
        "bad-signature",
        lambda: feeds.parse(payload.replace(b'"version":1', b'"version":2'), [key.public]),
    )


def test_a_key_that_others_may_read_is_not_used(tmp_path: Path, key: identity.SigningKey) -> None:
    file = tmp_path / "keys" / "gateway.key"
    assert file.stat().st_mode & 0o777 == 0o600
    assert identity.signing_key(file).public == key.public
    file.chmod(0o644)
    with pytest.raises(ConfigError):
        identity.signing_key(file)


def test_a_staff_key_is_an_ed25519_line() -> None:
    for line in ("", "ssh-rsa AAAA", "ssh-ed25519 AAAA", "ssh-ed25519 !!"):
        with pytest.raises(ValueError):
            check_line(line)
