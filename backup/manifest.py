"""What a backup holds, written beside its files at the moment they were taken: names, sizes, hashes, counts."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_serializer

from mocban.clock import rfc3339
from mocban.errors import StorageError

NAME = "manifest.json"
"""Its name inside a snapshot."""
MAX = 1_000_000
"""Longest manifest, in bytes."""
NAMES = r"^[a-z0-9][a-z0-9_-]{0,31}\.db$"
"""A file of a backup: a plain name, so that nothing leads out of the folder it is brought back to."""


class Part(BaseModel):
    """One database. ``tables``: component to the number of its last migration; ``rows``: table to its rows."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    name: Annotated[str, Field(pattern=NAMES)]
    app: str
    bytes: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    versions: dict[str, int]
    rows: dict[str, int]


class Manifest(BaseModel):
    """``taken``: when the first copy began; nothing newer is inside for sure, nothing older is missing."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    v: Literal[1] = 1
    run: str
    tenant: str
    device: str
    host: str
    release: str
    taken: AwareDatetime
    parts: Annotated[tuple[Part, ...], Field(min_length=1, max_length=64)]

    @field_serializer("taken")
    def _taken(self, taken: datetime) -> str:
        return rfc3339(taken)

    def encode(self) -> bytes:
        """As it lies in the snapshot."""
        return (
            json.dumps(self.model_dump(mode="json"), ensure_ascii=False, indent=1) + "\n"
        ).encode()


def parse(text: bytes) -> Manifest:
    """The manifest ``text`` is. StorageError if it is none, or one of a newer release."""
    try:
        body: Any = json.loads(text)
        if isinstance(body, dict) and isinstance(body.get("v"), int) and body["v"] > 1:
            raise StorageError(
                "this backup was made by a newer release", "bring it back with that release",
                code="newer-release",
            )  # fmt: skip
        found = Manifest.model_validate(body)
    except (ValueError, RecursionError):  # no JSON, no UTF-8, not valid; nested without end
        raise StorageError(
            "the backup's manifest cannot be read", "bring back an earlier one", code="bad-manifest"
        ) from None
    if len({part.name for part in found.parts}) != len(found.parts):
        raise StorageError(
            "the backup's manifest names a file twice", "bring back an earlier one", code="bad-manifest",
        )  # fmt: skip
    return found
