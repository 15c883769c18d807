"""What a command tells of one tag: the same values for a table and for ``--json``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kiosk.wire.content import Model


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of a tag. ``warnings``: codes; ``missing``: bytes that were not read, at least."""

    model: Model
    kind: str
    item: str | None = field(default=None, repr=False)
    owner: str | None = None
    part: int | None = None
    parts: int | None = None
    usage: int | None = None
    fields: dict[str, str] = field(default_factory=dict, repr=False)
    warnings: tuple[str, ...] = ()
    missing: int = 0

    def as_json(self) -> dict[str, Any]:
        """The shape ``--json`` prints."""
        return {
            "model": self.model.value, "kind": self.kind, "item": self.item, "owner": self.owner, "part": self.part,
            "parts": self.parts, "usage": self.usage, "fields": self.fields, "warnings": list(self.warnings),
        }  # fmt: skip
