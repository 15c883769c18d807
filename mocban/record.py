"""Events of one closed set of dataclasses as rows of a table: the kind, and the rest as JSON without its defaults."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from mocban.errors import StorageError

E = TypeVar("E")


class Record(Generic[E]):
    """How events of ``kinds`` are written and read. A new field of theirs needs a default: old rows stay readable."""

    def __init__(self, kinds: Iterable[type[E]]) -> None:
        self._kinds = {kind.__name__: kind for kind in kinds}
        self._adapters: dict[str, TypeAdapter[E]] = {}

    def write(self, event: E) -> tuple[str, str]:
        """Kind and body of the row."""
        kind = type(event).__name__
        return kind, self._adapter(kind).dump_json(event, exclude_defaults=True).decode()

    def read(self, kind: str, body: str, where: str, do: str) -> E:
        """The event of a row. StorageError, which names ``where`` and quotes nothing: a row may hold a card.

        ``do``: what to do about a row that cannot be read. Nothing is guessed.
        """
        if kind not in self._kinds:
            raise StorageError(
                f"{where} is of the unknown kind {kind[:40]!r}",
                "install the release that wrote it again, let it finish, then upgrade",
            )
        try:
            return self._adapter(kind).validate_json(body)
        except ValidationError as error:
            place = ".".join(map(str, error.errors(include_input=False)[0]["loc"]))[:60]
            raise StorageError(
                f"{where} ({kind}) cannot be read: {place or 'no JSON'}", do
            ) from None

    def _adapter(self, kind: str) -> TypeAdapter[E]:
        if kind not in self._adapters:
            self._adapters[kind] = TypeAdapter(self._kinds[kind])
        return self._adapters[kind]
