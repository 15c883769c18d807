"""The manifest says what a backup holds; a bad one is refused with a sentence."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from backup import manifest
from backup.manifest import Manifest, Part
from mocban.errors import StorageError

PART = Part(
    name="gateway.db", app="gateway", bytes=5, sha256="ab" * 32, versions={"facts": 3}, rows={"facts": 7}
)  # fmt: skip
HELD = Manifest(
    run="5e" * 16, tenant="demo", device="backup", host="branch", release="0.1.0",
    taken=datetime(2026, 11, 25, 8, 0, tzinfo=UTC), parts=(PART,),
)  # fmt: skip


def body(**changes: Any) -> bytes:
    """The manifest with something changed."""
    return json.dumps({**json.loads(HELD.encode()), **changes}).encode()


def part(**changes: Any) -> dict[str, Any]:
    """Its one part with something changed."""
    return {**PART.model_dump(), **changes}


def test_it_comes_back_as_it_was_written() -> None:
    assert manifest.parse(HELD.encode()) == HELD
    assert json.loads(HELD.encode())["taken"] == "2026-11-25T08:00:00.000Z"


def test_what_a_later_release_adds_is_passed_over() -> None:
    assert manifest.parse(body(parts=[part(compressed=True)], drill="L2")) == HELD


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"", "bad-manifest"),
        (b"\xff\xfe", "bad-manifest"),
        (b"[]", "bad-manifest"),
        (b"[" * 100_000, "bad-manifest"),
        (body(parts=[]), "bad-manifest"),
        (body(taken="2026-11-25T08:00:00"), "bad-manifest"),
        (body(parts=[part(name="../../etc/passwd")]), "bad-manifest"),
        (body(parts=[part(name="manifest.json")]), "bad-manifest"),
        (body(parts=[part(name="-r.db")]), "bad-manifest"),
        (body(parts=[part(name="a.db\n")]), "bad-manifest"),
        (body(parts=[part(sha256="ab")]), "bad-manifest"),
        (body(parts=[part(bytes=-1)]), "bad-manifest"),
        (body(parts=[part(), part()]), "bad-manifest"),
        (body(v=0), "bad-manifest"),
        (body(v=2, parts="otherwise"), "newer-release"),
    ],
)
def test_a_bad_one_is_refused(text: bytes, code: str) -> None:
    with pytest.raises(StorageError) as told:
        manifest.parse(text)
    assert told.value.code == code
    assert told.value.do
