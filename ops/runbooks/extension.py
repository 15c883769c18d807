"""Our one extension of CACAO: words in two languages, approval, undo, drill. The file stays CACAO 2.0. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

EXTENSION = "extension-definition--f2c75e75-49ba-59ad-b60c-3ae4c75efb47"
"""Under this key in ``step_extensions`` and ``playbook_extensions``."""
DEFINITION: Mapping[str, str] = {
    "type": "extension-definition", "name": "mocban runbook",
    "created_by": "identity--c9277909-67d6-581c-baaa-67ca5a911c57",
    "schema": "words, approval.persons, undo, undoes, on_unknown of a step; words, starts_on, drill of a playbook",
    "version": "1.0.0",
}  # fmt: skip
"""What stands under it in ``extension_definitions``."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Told(_Strict):
    """A step or a playbook in the words of the staff."""

    name: Annotated[str, Field(min_length=1, max_length=120)]
    description: Annotated[str, Field(max_length=2000)] = ""


Words = dict[Literal["vi", "en"], Told]


class Needed(_Strict):
    """How many persons must approve a step, whoever began it not among them."""

    persons: Annotated[int, Field(ge=0, le=3, strict=True)]


class Played(_Strict):
    """What an emulated world answers a step in a drill; ``result`` is that of a self-test, part to state."""

    outcome: Literal["done", "failed", "refused", "expired"]
    reason: str = ""
    result: dict[str, Any] = {}


class Drill(_Strict):
    """A run without a world: ``answers`` by step id, one for each time it is tried; the steps that must be come to."""

    variables: dict[str, str] = {}
    answers: dict[str, list[Played]] = {}
    path: list[str] = []
    ends: Literal["done", "failed", "stopped"] = "done"


class StepExtension(_Strict):
    """What we say about a step beyond the standard. ``undoes``: the step whose ``undo`` this one does."""

    words: Words = {}
    approval: Needed = Needed(persons=0)
    undo: Annotated[list[dict[str, Any]], Field(max_length=10)] = []
    undoes: str = ""
    on_unknown: Literal["retry", "ask"] = "ask"


class PlaybookExtension(_Strict):
    """What we say about a playbook beyond the standard. ``starts_on``: kinds of incident it answers."""

    words: Words = {}
    starts_on: Annotated[
        list[Annotated[str, Field(pattern=r"^[a-z-]{1,40}$")]], Field(max_length=20)
    ] = []
    drill: Drill | None = None
