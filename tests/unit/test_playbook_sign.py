"""Signatures of playbooks: the known answer, who signed, and every way a signature can be wrong."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from mocban.errors import RemoteProtocolError
from mocban.identity import SigningKey
from ops.runbooks import cacao, form
from ops.runbooks.sign import digest, sign, signed_by
from tests.support.papers import SHIPPED, Body, key, right

NOW = datetime(2026, 11, 25, 9, 0, 0, 123_456, tzinfo=UTC)


def holder(seed: bytes) -> SigningKey:
    private = Ed25519PrivateKey.from_private_bytes(seed)
    return SigningKey(private, base64.b64encode(private.public_key().public_bytes_raw()).decode())


OURS, THEIRS = holder(bytes(range(32))), holder(bytes(32))

# Made with plain json, hashlib and cryptography by the text of the standard, not with the code under test.
KNOWN: Body = {
    "type": "playbook", "spec_version": "cacao-2.0", "id": "playbook--6b2d3d6b-2c3f-4a55-9f4e-0d0d8d9a7c11",
    "name": "Cổng", "modified": "2026-11-25T08:00:00.000Z",
    "signatures": [
        {
            "type": "jss", "id": "jss--11111111-1111-4111-8111-111111111111",
            "created": "2026-11-25T09:00:00.123Z", "modified": "2026-11-25T09:00:00.123Z", "signee": "Thư viện",
            "related_to": "playbook--6b2d3d6b-2c3f-4a55-9f4e-0d0d8d9a7c11",
            "related_version": "2026-11-25T08:00:00.000Z", "hash_algorithm": "sha-256", "algorithm": "Ed25519",
            "public_key": "MCowBQYDK2VwAyEAA6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=",
            "value": "grgq-6TdYDglLSNiMH6Wc5tD8Qllqfkoo8KpMRO55UuBgcyGgEcBw4PBby1pht5SUOaPK06VWfWqKX2H2UmJDA",
        }
    ],
}  # fmt: skip
KNOWN_DIGEST = "853b77302c52dda50ddc755cdd3dbd5a1baddf0a25daa14b52d3b1773ed10adc"


def test_the_known_answer() -> None:
    assert digest(KNOWN, KNOWN["signatures"][0]) == KNOWN_DIGEST
    assert signed_by(KNOWN, [OURS.public]) == "Thư viện"
    assert signed_by(KNOWN, [THEIRS.public]) == ""


def test_what_is_signed_is_the_hex_of_the_hash_as_with_rsa() -> None:
    """RS256 as in the standard's example: over the 64 hex characters, not over the digest, not over the document."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    unsigned = {
        "type": "jss", "id": key("jss"), "signee": "x", "algorithm": "RS256", "hash_algorithm": "sha-256",
    }  # fmt: skip
    body = {**right(), "signatures": [unsigned]}
    plain = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    text = hashlib.sha256(plain.encode()).hexdigest()
    value = private.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
    signed = {**unsigned, "value": base64.urlsafe_b64encode(value).decode().rstrip("=")}
    private.public_key().verify(
        value, digest({**right(), "signatures": [signed]}, signed).encode(), padding.PKCS1v15(), hashes.SHA256()
    )  # fmt: skip


@pytest.mark.parametrize("name", ["gate-storm", "reader-lost"])
def test_a_signed_playbook_is_cacao_and_the_same_text(name: str) -> None:
    body = cacao.load((SHIPPED / f"{name}.json").read_bytes())
    signed = sign(body, OURS, "Thư viện Hoa Lư", NOW)
    assert signed_by(signed, [THEIRS.public, OURS.public]) == "Thư viện Hoa Lư"
    assert form.faults(signed) == ()
    assert cacao.sha256(signed) == cacao.sha256(body)
    assert "signatures" not in body
    (one,) = signed["signatures"]
    assert (one["created"], one["related_version"]) == ("2026-11-25T09:00:00.123Z", body["modified"])  # fmt: skip
    assert signed_by(json.loads(json.dumps(dict(reversed(signed.items())))), [OURS.public])


def test_signing_anew_takes_the_place_of_what_was_there() -> None:
    once = sign(right(), THEIRS, "they", NOW)
    again = sign(once, OURS, "we", NOW)
    assert [one["signee"] for one in again["signatures"]] == ["we"]
    assert sign(once, THEIRS, "they", NOW)["signatures"] == once["signatures"]


def test_the_signature_of_somebody_else_beside_ours_takes_nothing_away() -> None:
    ours, theirs = (sign(right(), one, name, NOW) for one, name in ((OURS, "we"), (THEIRS, "they")))
    both = {**right(), "signatures": theirs["signatures"] + ours["signatures"]}
    assert signed_by(both, [OURS.public]) == "we"
    assert signed_by(both, [OURS.public, THEIRS.public]) == "they"


@pytest.mark.parametrize(
    "change",
    [
        lambda b: b.update(name="Other"),
        lambda b: b["workflow"].popitem(),
        lambda b: b.update(modified="2026-11-26T08:00:00.000Z"),
        lambda b: b.update(id=key("playbook", "other")),
        lambda b: b["signatures"][0].update(signee="somebody"),
        lambda b: b["signatures"][0].update(created="2027-01-01T00:00:00.000Z"),
        lambda b: b["signatures"][0].update(value="AAAA"),
        lambda b: b["signatures"][0].update(value="§"),
        lambda b: b["signatures"][0].update(value=7),
        lambda b: b["signatures"][0].update(value=b["signatures"][0]["value"] + "\n"),
        lambda b: b["signatures"][0].pop("value"),
        lambda b: b["signatures"][0].update(algorithm="ES256"),
        lambda b: b["signatures"][0].update(hash_algorithm="sha-512"),
        lambda b: b["signatures"][0].update(related_to=key("playbook", "other")),
        lambda b: b["signatures"][0].update(more="x"),
    ],
)
def test_a_changed_playbook_is_not_signed(change: Callable[[Body], object]) -> None:
    signed = sign(right(), OURS, "we", NOW)
    change(signed)
    with pytest.raises(RemoteProtocolError) as caught:
        signed_by(signed, [OURS.public])
    assert caught.value.code == "bad-signature" and caught.value.do


@pytest.mark.parametrize(
    "signatures",
    [None, [], {}, "x", [None], ["x"], [{}], [{"public_key": 7}], [{"public_key": ["x"]}], [{"type": "jss"}] * 900],
)  # fmt: skip
def test_what_is_no_signature_of_ours_signs_nothing(signatures: Any) -> None:
    assert signed_by({**right(), "signatures": signatures}, [OURS.public]) == ""
    assert signed_by(right(), [OURS.public]) == ""
    assert signed_by(sign(right(), OURS, "we", NOW), []) == ""


def test_a_revoked_signature_signs_nothing() -> None:
    signed = sign(right(), OURS, "we", NOW)
    signed["signatures"][0]["revoked"] = True
    assert signed_by(signed, [OURS.public]) == ""


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_change_at_all_stays_signed(draw: st.DataObject) -> None:
    """Whatever single value is changed: nobody is told it was signed."""
    signed = copy.deepcopy(sign(right(), OURS, "we", NOW))
    at: Any = signed
    while True:
        name = draw.draw(st.sampled_from(sorted(at) if isinstance(at, dict) else list(range(len(at)))))  # fmt: skip
        if isinstance(at[name], (dict, list)) and at[name]:
            at = at[name]
            continue
        new = draw.draw(st.none() | st.integers(0, 9) | st.text(max_size=3))
        if new == at[name] or (at is signed["signatures"][0] and name == "signature"):
            return
        at[name] = new
        break
    try:
        assert signed_by(signed, [OURS.public]) == ""
    except RemoteProtocolError as error:
        assert error.code == "bad-signature"
