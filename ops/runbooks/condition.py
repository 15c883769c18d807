"""Conditions: the part of STIX comparisons a playbook needs, typed by the variable. Pure; nothing is ever executed.

``__name__:value OP literal`` with ``= != < <= > >= IN LIKE MATCHES``, joined by ``AND``, ``OR``, ``NOT`` and
parentheses. A literal is ``'text'`` (``\\'`` within), a word without blanks, or another reference.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias, assert_never

from mocban.errors import RemoteProtocolError
from ops.runbooks import pattern
from ops.runbooks.model import Variable
from ops.runbooks.variables import ORDERED, REFERENCE, typed

LENGTH_MAX = 2_000
"""Longest condition, in characters."""
DEPTH_MAX = 20
"""Most parentheses and NOTs within each other."""
COMPARISONS_MAX = 20
"""Most comparisons of one condition."""

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^'\\]|\\.)*')|(?P<sign>!=|<=|>=|[=<>(),])|(?P<word>[^\s'=<>!(),]+))", re.DOTALL
)  # fmt: skip
_WORDS = frozenset({"AND", "OR", "NOT"})
_SIGNS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_NAMED = frozenset({"IN", "LIKE", "MATCHES"})


@dataclass(frozen=True, slots=True)
class Literal:
    """What is compared with. ``name`` if it is another variable."""

    text: str
    name: str
    at: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """One comparison. ``at``: its first character, from 1."""

    name: str
    sign: str
    literals: tuple[Literal, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite."""

    one: Node


@dataclass(frozen=True, slots=True)
class Joined:
    """``AND`` or ``OR`` of several."""

    word: str
    all: tuple[Node, ...]


Node: TypeAlias = Comparison | Not | Joined


def evaluate(text: str, variables: Mapping[str, Variable]) -> bool:
    """Whether the condition holds. RemoteProtocolError ``bad-condition`` or ``no-value`` names the place."""
    return _holds(check(text, variables), variables)


def check(text: str, variables: Mapping[str, Variable]) -> Node:
    """The condition, read and its types looked at, without values.

    RemoteProtocolError ``bad-condition`` names the place.
    """
    node = read(text)
    for one in comparisons(node):
        variable = variables.get(one.name)
        if variable is None:
            _wrong(one.at, f"{one.name} is not declared")
        if one.sign in {"<", "<=", ">", ">="} and variable.type not in ORDERED:
            _wrong(one.at, f"a {variable.type} has no smaller and no greater")
        for literal in one.literals:
            if literal.name and literal.name not in variables:
                _wrong(literal.at, f"{literal.name} is not declared")
            if not literal.name:
                _fits(one, literal.text, variable.type, literal.at)
    return node


def read(text: str) -> Node:
    """The condition in ``text``; RemoteProtocolError ``bad-condition`` names the place."""
    if len(text) > LENGTH_MAX:
        _wrong(LENGTH_MAX, f"it is longer than {LENGTH_MAX} characters")
    node = _Reader(text).whole()
    for number, one in enumerate(comparisons(node), 1):
        if number > COMPARISONS_MAX:
            _wrong(one.at, f"more than {COMPARISONS_MAX} comparisons")
    return node


def comparisons(node: Node) -> Iterator[Comparison]:
    """Every comparison in ``node``, from left to right."""
    match node:
        case Comparison():
            yield node
        case Not():
            yield from comparisons(node.one)
        case Joined():
            for one in node.all:
                yield from comparisons(one)
        case _:
            assert_never(node)


# Reading


class _Reader:
    def __init__(self, text: str) -> None:
        self._tokens = list(_cut(text))
        self._at = 0
        self._deep = 0
        self._end = len(text) + 1

    def whole(self) -> Node:
        node = self._or()
        if self._at < len(self._tokens):
            kind, text, at = self._tokens[self._at]
            _wrong(at, f"AND or OR is expected, not {_short(text)}" if kind else "it goes on")
        return node

    def _or(self) -> Node:
        return self._join("OR", self._and)

    def _and(self) -> Node:
        return self._join("AND", self._not)

    def _join(self, word: str, part: Callable[[], Node]) -> Node:
        found = [part()]
        while self._next("word", word):
            found.append(part())
        return found[0] if len(found) == 1 else Joined(word, tuple(found))

    def _not(self) -> Node:
        self._deep += 1
        if self._deep > DEPTH_MAX:
            _wrong(self._here(), f"more than {DEPTH_MAX} parentheses within each other")
        try:
            if self._next("word", "NOT"):
                return Not(self._not())
            if self._next("sign", "("):
                node = self._or()
                self._expect("sign", ")")
                return node
            return self._comparison()
        finally:
            self._deep -= 1

    def _comparison(self) -> Node:
        kind, text, at = self._take("a variable as __name__:value")
        found = REFERENCE.fullmatch(text) if kind == "word" else None
        if found is None:
            _wrong(at, f"a variable as __name__:value is expected, not {_short(text)}")
        opposite = self._next("word", "NOT")
        kind, sign, place = self._take("a comparison")
        if sign == "=" and self._next("sign", "="):
            _wrong(place, "a comparison is one =")
        if sign in _NAMED and kind == "word":
            literals = self._several() if sign == "IN" else (self._literal(),)
        elif sign in _SIGNS and kind == "sign" and not opposite:
            literals = (self._literal(),)
        else:
            known = ", ".join((*_SIGNS, *sorted(_NAMED)))
            _wrong(place, f"{_short(sign)} is no comparison known here ({known})")
        node = Comparison(found[1], sign, literals, at)
        return Not(node) if opposite else node

    def _several(self) -> tuple[Literal, ...]:
        self._expect("sign", "(")
        found = [self._literal()]
        while self._next("sign", ","):
            found.append(self._literal())
        self._expect("sign", ")")
        return tuple(found)

    def _literal(self) -> Literal:
        kind, text, at = self._take("a value")
        if kind == "text":
            return Literal(re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL), "", at)
        if kind == "sign" or text in _WORDS:
            _wrong(at, f"a value is expected, not {_short(text)}")
        found = REFERENCE.fullmatch(text)
        return Literal(text, found[1] if found else "", at)

    def _take(self, wanted: str) -> tuple[str, str, int]:
        if self._at >= len(self._tokens):
            _wrong(self._end, f"{wanted} is missing")
        self._at += 1
        return self._tokens[self._at - 1]

    def _expect(self, kind: str, text: str) -> None:
        found = self._take(text)
        if found[:2] != (kind, text):
            _wrong(found[2], f"{text} is expected, not {_short(found[1])}")

    def _next(self, kind: str, text: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at][:2] == (kind, text):
            self._at += 1
            return True
        return False

    def _here(self) -> int:
        return self._tokens[self._at][2] if self._at < len(self._tokens) else self._end


def _cut(text: str) -> Iterator[tuple[str, str, int]]:
    """Kind, text and place of each token."""
    at, end = 0, len(text.rstrip())
    while at < end:
        found = _TOKEN.match(text, at)
        if found is None:
            start = at + len(text[at:]) - len(text[at:].lstrip())
            why = (
                "a quote is not closed" if text[start] == "'" else f"{text[start]!r} means nothing"
            )
            _wrong(start + 1, why)
        kind = found.lastgroup or ""
        yield kind, found[kind], found.start(kind) + 1
        at = found.end()


# Deciding


def _holds(node: Node, variables: Mapping[str, Variable]) -> bool:
    match node:
        case Not():
            return not _holds(node.one, variables)
        case Joined("AND"):
            return all(_holds(one, variables) for one in node.all)
        case Joined():
            return any(_holds(one, variables) for one in node.all)
        case Comparison():
            return _compared(node, variables)
        case _:
            assert_never(node)


def _compared(one: Comparison, variables: Mapping[str, Variable]) -> bool:
    kind = variables[one.name].type
    left = _value(one.name, one.at, variables)
    rights = [
        _value(right.name, right.at, variables) if right.name else right.text
        for right in one.literals
    ]
    try:
        match one.sign:
            case "LIKE":
                return pattern.like(rights[0], left)
            case "MATCHES":
                return pattern.matches(rights[0], left)
            case "IN":
                return typed(kind, left) in [typed(kind, right) for right in rights]
            case _:
                return _SIGNS[one.sign](typed(kind, left), typed(kind, rights[0]))
    except (ValueError, TypeError) as error:
        _wrong(one.at, f"{one.name} cannot be compared: {str(error)[:80]}")


def _value(name: str, at: int, variables: Mapping[str, Variable]) -> str:
    value = variables[name].value
    if value is None:
        raise RemoteProtocolError(
            f"at character {at}: {name} has no value", "let a step before set it", code="no-value"
        )  # fmt: skip
    return value


def _fits(one: Comparison, text: str, kind: str, at: int) -> None:
    try:
        match one.sign:
            case "MATCHES":
                pattern.ways(text)
            case "LIKE":
                pattern.like(text, "")
            case _:
                typed(kind, text)
    except ValueError as error:
        what = "pattern" if one.sign in {"MATCHES", "LIKE"} else kind
        _wrong(at, f"{_short(text)} is no {what}: {str(error)[:80]}")


def _wrong(at: int, say: str) -> NoReturn:
    raise RemoteProtocolError(
        f"at character {at}: {say}", "write it as: __name__:value = 'text'", code="bad-condition"
    )  # fmt: skip


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:40]}…"
