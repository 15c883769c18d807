"""Conditions: what holds, what is refused and where, and that no text and no pattern can hang us."""

from __future__ import annotations

import re
from collections.abc import Callable
from time import process_time

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mocban.errors import RemoteProtocolError
from ops.runbooks import condition, pattern
from ops.runbooks.model import Variable


def have(**values: tuple[str, str | None]) -> dict[str, Variable]:
    return {f"__{name}__": Variable(f"__{name}__", kind, value) for name, (kind, value) in values.items()}  # fmt: skip


WORLD = have(
    s=("string", "reader"), empty=("string", ""), n=("integer", "9"), big=("long", "10"), f=("float", "1.50"),
    yes=("bool", "true"), ip=("ipv4-addr", "10.0.0.9"), six=("ipv6-addr", "FE80::1"),
    mac=("mac-addr", "AA-BB-CC-00-11-22"),
    hex=("hexstring", "DEAD"), id=("uuid", "0F9619FF-8B86-D011-B42D-00CF4FC964FF"), d=("dictionary", '{"b":1,"a":2}'),
    u=("uri", "https://host/x"), md5=("md5-hash", "D41D8CD98F00B204E9800998ECF8427E"), odd=("colour", "red"),
    none=("string", None), quote=("string", "it's (a) test"), lost=("string", "gate,reader"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("__s__:value = 'reader'", True),
        ("__s__:value = reader", True),
        ("__s__:value='reader'", True),
        ("__s__:value != 'reader'", False),
        ("__empty__:value = ''", True),
        ("__n__:value = 9", True),
        ("__n__:value = '09'", True),  # numbers, not texts
        ("__n__:value < '10'", True),
        ("__s__:value < 'writer'", True),
        ("__n__:value < __big__:value", True),
        ("__n__:value >= 9 AND __n__:value <= 9", True),
        ("__n__:value > -1", True),
        ("__f__:value = 1.5", True),
        ("__f__:value > '1e-3'", True),
        ("__yes__:value = TRUE", True),
        ("__yes__:value = 1", True),
        ("__yes__:value = 'false'", False),
        ("__ip__:value = '10.0.0.9'", True),
        ("__ip__:value < '10.0.0.10'", True),  # addresses, not texts
        ("__six__:value = 'fe80:0::1'", True),
        ("__mac__:value = 'aa:bb:cc:00:11:22'", True),
        ("__hex__:value = dead", True),
        ("__id__:value = '0f9619ff-8b86-d011-b42d-00cf4fc964ff'", True),
        ('__d__:value = \'{"a": 2, "b": 1}\'', True),
        ("__u__:value = 'https://host/x'", True),
        ("__md5__:value = d41d8cd98f00b204e9800998ecf8427e", True),
        ("__odd__:value = 'red'", True),
        ("__s__:value IN ('gate', 'reader')", True),
        ("__n__:value IN (8, '9')", True),
        ("__s__:value IN ('gate')", False),
        ("__s__:value NOT IN ('gate')", True),
        ("__s__:value LIKE 'rea%'", True),
        ("__s__:value LIKE 'r_ader'", True),
        ("__s__:value LIKE 'rea'", False),
        ("__lost__:value LIKE '%reader%'", True),
        ("__lost__:value NOT LIKE '%kiosk%'", True),
        ("__s__:value MATCHES '^re[a-f]der$'", True),
        ("__s__:value MATCHES 'ead'", True),
        ("__s__:value MATCHES '^ead'", False),
        ("NOT __s__:value = 'gate'", True),
        ("NOT NOT __s__:value = 'gate'", False),
        ("__s__:value = 'x' OR __n__:value = 9 AND __yes__:value = true", True),
        ("(__s__:value = 'x' OR __n__:value = 9) AND __yes__:value = false", False),
        ("__n__:value = 9 OR __none__:value = 'never asked'", True),
        ("  ( ( __n__:value = 9 ) )  ", True),
        (r"__quote__:value = 'it\'s (a) test'", True),
        ("__s__:value = 'AND'", False),
    ],
)
def test_a_condition_holds_or_not(text: str, holds: bool) -> None:
    assert condition.evaluate(text, WORLD) is holds


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "at character 1: a variable as __name__:value is missing"),
        ("   ", "a variable as __name__:value is missing"),
        ("__s__", "at character 1: a variable as __name__:value is expected, not __s__"),
        ("'x' = __s__:value", "at character 1: a variable"),
        ("__s__:value", "at character 12: a comparison is missing"),
        ("__s__:value =", "at character 14: a value is missing"),
        ("__s__:value = AND", "at character 15: a value is expected, not AND"),
        ("__s__:value == 'x'", "at character 13: a comparison is one ="),
        ("__s__:value <> 'x'", "at character 14: a value is expected, not >"),
        ("__s__:value ISSUBSET 'x'", "at character 13: ISSUBSET is no comparison known here"),
        ("__s__:value NOT = 'x'", "at character 17: = is no comparison"),
        ("__s__:value in ('x')", "at character 13: in is no comparison"),
        ("__s__:value IN 'x'", "at character 16: ( is expected, not 'x'"),
        ("__s__:value IN ()", "at character 17: a value is expected, not )"),
        ("__s__:value IN ('x'", "at character 20: ) is missing"),
        ("__s__:value IN ('x',)", "at character 21: a value is expected"),
        ("(__s__:value = 'x'", "at character 19: ) is missing"),
        ("__s__:value = 'x')", "at character 18: AND or OR is expected, not )"),
        ("__s__:value = 'x' __n__:value = 9", "at character 19: AND or OR is expected"),
        ("__s__:value = 'x", "at character 15: a quote is not closed"),
        ("__s__:value = 'x' AND", "at character 22: a variable as __name__:value is missing"),
        ("__s__:value = 'x' ! 'y'", "at character 19: '!' means nothing"),
        ("__nobody__:value = 'x'", "at character 1: __nobody__ is not declared"),
        ("__s__:value = __nobody__:value", "at character 15: __nobody__ is not declared"),
        ("__n__:value = 'nine'", "at character 15: nine is no integer: no whole number"),
        ("__n__:value = 9.0", "no whole number"),
        ("__f__:value = nan", "no number"),
        ("__ip__:value = '300.0.0.1'", "is no ipv4-addr"),
        ("__yes__:value < true", "a bool has no smaller"),
        ("__d__:value > '{}'", "a dictionary has no smaller"),
        ("__s__:value MATCHES '(a)'", "groups are not supported"),
        ("__s__:value MATCHES 'a{9,1}'", "n below m"),
        ("__s__:value MATCHES '['", "it ends too early"),
        ("__s__:value MATCHES 'a{201}'", "more than 200 places"),
        ("__s__:value = '" + "x" * 2000 + "'", "longer than 2000"),
        ("(" * 21 + "__s__:value = 'x'" + ")" * 21, "more than 20 parentheses"),
        ("NOT " * 400 + "__s__:value = 'x'", "more than 20 parentheses"),
        (" OR ".join(["__s__:value = 'x'"] * 21), "at character 421: more than 20 comparisons"),
        ("__import__('os').system('true')", "a variable as __name__:value is expected"),
        ("__s__:value = 'x'; DROP TABLE", "AND or OR is expected"),
    ],
)
def test_a_wrong_condition_says_where(text: str, words: str) -> None:
    with pytest.raises(RemoteProtocolError, match=re.escape(words)) as caught:
        condition.check(text, WORLD)
    assert caught.value.code == "bad-condition" and caught.value.do


def test_a_variable_without_a_value_is_named() -> None:
    with pytest.raises(RemoteProtocolError, match="__none__ has no value") as caught:
        condition.evaluate("__none__:value = 'x'", WORLD)
    assert caught.value.code == "no-value"
    condition.check("__none__:value = 'x'", WORLD)  # nothing is wrong with the condition


@pytest.mark.parametrize(
    ("world", "text", "words"),
    [
        (have(n=("integer", "nine")), "__n__:value = 9", "no whole number"),
        (have(n=("integer", "9"), m=("string", "x")), "__n__:value = __m__:value", "no whole number"),
        (have(s=("string", "x" * 4097)), "__s__:value MATCHES 'x'", "more than 4096 characters"),
        (have(s=("string", "x"), p=("string", "(")), "__s__:value MATCHES __p__:value", "groups"),
        (have(s=("string", "x" * 16_385)), "__s__:value = 'x'", "longer than 16384"),
        (have(a=("ipv4-addr", "10.0.0.1"), b=("ipv6-addr", "::1")), "__a__:value < __b__:value", "cannot be compared"),
    ],
)  # fmt: skip
def test_a_value_that_does_not_fit_is_named(world: dict[str, Variable], text: str, words: str) -> None:  # fmt: skip
    with pytest.raises(RemoteProtocolError, match=words) as caught:
        condition.evaluate(text, world)
    assert caught.value.code == "bad-condition" and "at character 1" in caught.value.say


@settings(max_examples=500, deadline=None)
@given(
    st.text(max_size=60)
    | st.lists(
        st.sampled_from(
            [
                "__s__:value", "__n__:value", "=", "!=", "<", "IN", "(", ")", ",", "'x'", "9", "AND", "OR", "NOT",
                "LIKE", "MATCHES", "'", "\\",
            ]
        ),
        max_size=12,
    ).map(" ".join)
)  # fmt: skip
def test_any_text_holds_or_is_refused(text: str) -> None:
    try:
        condition.evaluate(text, WORLD)
    except RemoteProtocolError as error:
        assert error.code == "bad-condition"


TREES = st.recursive(
    st.booleans().map(lambda one: (one, "__yes__:value = " + str(one).lower())),
    lambda part: st.one_of(
        part.map(lambda one: (not one[0], f"NOT ({one[1]})")),
        st.tuples(part, part).map(lambda two: (two[0][0] and two[1][0], f"({two[0][1]}) AND ({two[1][1]})")),
        st.tuples(part, part).map(lambda two: (two[0][0] or two[1][0], f"({two[0][1]}) OR ({two[1][1]})")),
    ),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(TREES)
def test_joined_conditions_are_what_they_are_in_logic(tree: tuple[bool, str]) -> None:
    assume(len(tree[1]) < condition.LENGTH_MAX)
    assert condition.evaluate(tree[1], WORLD) is tree[0]


def test_and_binds_before_or() -> None:
    for a in (True, False):
        for b in (True, False):
            for c in (True, False):
                text = " ".join((_is(a), "OR", _is(b), "AND", _is(c)))
                assert condition.evaluate(text, WORLD) is (a or (b and c))


def _is(value: bool) -> str:
    return f"__yes__:value = {str(value).lower()}"


# Patterns: the library's own regular expressions are the oracle for the part we know

ATOMS = st.sampled_from([
    "a", "b", "é", ".", "[ab]", "[^a]", "[a-c]", "[-a]", "[a-]", "[]a]", "[^]a]", r"\d", r"\w", r"\s",
    r"\D", r"\W", r"\S", r"\.", r"[\d_]", r"[\]]",
])  # fmt: skip
OFTEN = st.sampled_from(["", "", "*", "+", "?", "{2}", "{1,}", "{0,2}", "{0}"])
WAYS = st.tuples(
    st.sampled_from(["", "^"]),
    st.lists(st.tuples(ATOMS, OFTEN).map("".join), max_size=5).map("".join),
    st.sampled_from(["", "$"]),
).map("".join)


@settings(max_examples=400, deadline=None)
@given(st.lists(WAYS, min_size=1, max_size=3).map("|".join), st.text("abcé.]_- 1", max_size=12))
def test_a_pattern_matches_as_everywhere(text: str, word: str) -> None:
    assert pattern.matches(text, word) is (re.search(text, word, re.DOTALL) is not None)


@settings(max_examples=500, deadline=None)
@given(st.text("ab%_\\", max_size=8), st.text("ab%_\\", max_size=8))
def test_like_is_what_sql_says(text: str, word: str) -> None:
    same, at = "", 0
    while at < len(text):
        if text[at] == "\\" and at + 1 < len(text):
            at += 1
            same += re.escape(text[at])
        else:
            same += {"%": ".*", "_": "."}.get(text[at], re.escape(text[at]))
        at += 1
    assert pattern.like(text, word) is (re.fullmatch(same, word, re.DOTALL) is not None)


@settings(max_examples=500, deadline=None)
@given(st.text("a[]^$|\\{},0129*+?().-d", max_size=12), st.text("ab1", max_size=5))
def test_any_pattern_matches_or_is_refused(text: str, word: str) -> None:
    try:
        pattern.matches(text, word)
    except ValueError as error:
        assert str(error)


@pytest.mark.parametrize(
    "work",
    [
        lambda: pattern.matches("a*" * 100 + "b$", "a" * 4096),
        lambda: pattern.matches("a?" * 100 + "a{100}$", "a" * 4095 + "b"),
        lambda: pattern.matches("[a-z]*" * 90 + "!", "a" * 4096),
        lambda: pattern.like("%a" * 99 + "b", "a" * 4096),
    ],
)
def test_a_hostile_pattern_takes_no_time(work: Callable[[], bool]) -> None:
    began = process_time()
    assert work() is False
    assert process_time() - began < 5.0
