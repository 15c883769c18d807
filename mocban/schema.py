"""The JSON Schema of the whole configuration; what a key means is read from the docstring under it.

pydantic could keep these docstrings itself, but would read the sources at every start: here they are read when asked.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from mocban.settings import models, whole


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of every table that an installed app reads."""
    body = whole(models()).model_json_schema(schema_generator=_Documented)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **body}


class _Documented(GenerateJsonSchema):
    def model_schema(self, schema: Any) -> JsonSchemaValue:
        body = super().model_schema(schema)
        docs = words(schema["cls"])
        for name, each in body.get("properties", {}).items():
            if name in docs:
                each.setdefault("description", docs[name])
        return body


def words(model: type[BaseModel]) -> dict[str, str]:
    """What each key of ``model`` means: the string under its attribute, in it or in what it inherits from."""
    found: dict[str, str] = {}
    for each in reversed(model.__mro__):
        if not issubclass(each, BaseModel) or each.__module__.startswith("pydantic"):
            continue
        try:
            source = textwrap.dedent(inspect.getsource(each))
        except (OSError, TypeError):
            continue  # made at run time: it has no source and nothing of its own to say
        body = ast.parse(source).body[0]
        if isinstance(body, ast.ClassDef) and body.name == each.__name__:
            found |= _under(body)
    return found


def _under(body: ast.ClassDef) -> dict[str, str]:
    found: dict[str, str] = {}
    for node, below in zip(body.body, body.body[1:], strict=False):
        match node, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                found[name] = inspect.cleandoc(text)
            case _:
                pass
    return found
