"""Finding words as people type them in a hurry: without diacritics, with letters left out. Pure."""

from __future__ import annotations

import unicodedata

_STROKED = str.maketrans("đĐ", "dd")


def fold(text: str) -> str:
    """``text`` in small letters without diacritics: "Sự cố" becomes "su co"."""
    parts = unicodedata.normalize("NFD", text.translate(_STROKED))
    return "".join(c for c in parts if not unicodedata.combining(c)).lower()


def score(query: str, text: str) -> int:
    """How well ``query`` finds ``text``; 0: not at all. Both are folded here.

    Whole at the beginning of a word, then whole anywhere, then its letters in order.
    """
    wanted, there = fold(query).strip(), fold(text)
    if not wanted:
        return 1
    if (at := there.find(wanted)) >= 0:
        return 300 - min(at, 99) if at == 0 or not there[at - 1].isalnum() else 200 - min(at, 99)
    return 100 - min(_spread(wanted.replace(" ", ""), there), 99) if _within(wanted, there) else 0


def holds(query: str, text: str) -> bool:
    """Every word of ``query`` stands in ``text``."""
    there = fold(text)
    return all(word in there for word in fold(query).split())


def _within(wanted: str, there: str) -> bool:
    letters = iter(there)
    return all(letter in letters for letter in wanted if letter != " ")


def _spread(wanted: str, there: str) -> int:
    """How far apart the letters lie that were found."""
    first = at = there.find(wanted[0])
    for letter in wanted[1:]:
        at = there.find(letter, at + 1)
    return at - first
