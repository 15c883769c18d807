"""The JSON schemas of CACAO 2.0, as OASIS published them (Apache-2.0, LICENSE beside them), and who checks with them.

Nothing is fetched: a schema is found by the address it is expected at, or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the service starts sooner without them
    from jsonschema import Draft7Validator
    from referencing import Registry

BASE = "https://raw.githubusercontent.com/oasis-open/cacao-json-schemas/main/schemas/"


def validator(name: str) -> Draft7Validator | None:
    """Checks against the schema ``name``, as ``commands/manual``; None if the standard has no such schema."""
    return _validator(name) if BASE + name + ".json" in _schemas() else None


@cache
def _validator(name: str) -> Draft7Validator:
    from jsonschema import Draft7Validator

    # The files say draft-07 and use ``unevaluatedProperties``, which came later. Read as 2019-09 they refuse every
    # playbook there is; so it is draft-07, and types are told apart by whoever asks.
    return Draft7Validator({"$ref": BASE + name + ".json"}, registry=_registry())


@cache
def _registry() -> Registry[Any]:
    from referencing import Registry
    from referencing.jsonschema import DRAFT7

    found = ((uri, DRAFT7.create_resource(schema)) for uri, schema in _schemas().items())
    return Registry().with_resources(found)


@cache
def _schemas() -> dict[str, Any]:
    """Each file by its address at OASIS."""
    root = resources.files(__package__)
    return {BASE + path: json.loads(file.read_bytes()) for path, file in _files(root, "")}


def _files(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    for one in folder.iterdir():
        if one.is_dir():
            yield from _files(one, f"{prefix}{one.name}/")
        elif one.name.endswith(".json"):
            yield prefix + one.name, one
