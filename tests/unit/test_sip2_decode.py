"""``mocban sip2 decode`` as staff or a script meets it."""

from __future__ import annotations

import io
import json
import string
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from kiosk.sip2 import decode as room
from kiosk.sip2 import words
from kiosk.sip2.cli import app
from kiosk.wire.sip2 import Checksum, seal
from kiosk.wire.sip2_tolerance import Tolerance
from mocban.errors import ConfigError, Exit, StorageError
from mocban.i18n import catalog

AT = "20261121    101530"
LOAN = (
    b"11NN20261121    101530                  AOBG|AA12345|AB893001|AC|AD1234|BON|BIN|AY2AZECE1\r"
)
GRANTED = (
    f"121NNY{AT}AOBG|AA12345|AB893001|AJDế Mèn phiêu lưu ký|AH20261205    235900|AY2AZE217\r"
).encode()
CHATTER = b"Problems handling the request: card 12345\r"
SAME = {"PIN", "VISA", "{number}. {code} {name}, {by}, {checksum}"}
"""What is the same in both languages."""


@pytest.fixture(autouse=True)
def _shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOCBAN_LANG", "en")


class Shell:
    def __init__(self, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._patch, self._capsys = patch, capsys

    def __call__(self, *argv: str, stdin: bytes | io.BufferedIOBase) -> tuple[int, str, str]:
        """Exit code, stdout and stderr of ``mocban sip2 decode argv``."""
        stream = io.BytesIO(stdin) if isinstance(stdin, bytes) else stdin
        self._patch.setattr(sys, "stdin", io.TextIOWrapper(stream))  # type: ignore[type-var]
        code = typer.main.get_command(app)(["decode", *argv], standalone_mode=False)
        out, err = self._capsys.readouterr()
        return int(code or 0), out, err

    def told(self, *argv: str, stdin: bytes, code: int = 0) -> dict[str, Any]:
        """The one object of ``--json``."""
        ended, out, err = self("--json", *argv, stdin=stdin)
        assert (ended, err) == (code, ""), out
        body: dict[str, Any] = json.loads(out.splitlines()[-1])
        assert out.count("\n") == 1
        assert set(body) == {"lines", "ok", "errors"}
        return body


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(monkeypatch, capsys)


def test_a_loan_and_its_answer_are_explained_without_the_reader(shell: Shell) -> None:
    code, out, err = shell(stdin=LOAN + GRANTED)
    assert (code, err) == (0, "")
    rows = [" ".join(row.split()) for row in out.splitlines()]
    assert rows[0] == "1. 11 Checkout, from the terminal, checksum right, number 2"
    assert "AB Item number 893001" in rows
    assert "AA Card number … (hidden)" in rows
    assert "AD PIN … (hidden)" in rows
    assert "AH Due date 20261205 235900 (05/12/2026 23:59:00)" in rows
    assert "Open the security mark Y (yes)" in rows
    assert "12345" not in out
    assert "1234 " not in out


def test_it_speaks_vietnamese(shell: Shell) -> None:
    out = shell("--lang", "vi", stdin=LOAN)[1]
    assert "1. 11 Mượn, từ máy tự phục vụ, mã kiểm tra đúng" in out
    assert "Số thẻ" in out


def test_one_object_tells_the_lines_in_their_order(shell: Shell) -> None:
    body = shell.told(stdin=LOAN + b"\r\n" + GRANTED)
    assert (body["ok"], body["errors"]) == (True, [])
    first, second = body["lines"]
    assert (first["n"], first["code"], first["by"], first["seq"]) == (1, "11", "terminal", 2)
    assert first["line"].endswith("AOBG|AA…|AB893001|AC|AD…|BON|BIN|AY2AZ…")
    assert (second["code"], second["by"], second["checksum"]) == ("12", "library-system", "good")
    fixed = {part["name"]: part["value"] for part in second["fixed"]}
    assert fixed == {
        "ok": "1", "renewal_ok": "N", "magnetic": "N", "desensitize": "Y", "date": AT,
    }  # fmt: skip
    card = second["fields"][1]
    assert card == {"id": "AA", "label": "Card number", "value": None, "hidden": True, "means": ""}
    assert "12345" not in json.dumps(body)


def test_what_is_personal_is_shown_to_whoever_asks_for_it(shell: Shell) -> None:
    body = shell.told("--show-personal", stdin=LOAN + CHATTER, code=3)
    values = {part["id"]: part["value"] for part in body["lines"][0]["fields"]}
    assert (values["AA"], values["AD"]) == ("12345", "1234")
    assert body["lines"][1]["line"].endswith("card 12345")
    assert "card 12345" in shell("--show-personal", stdin=CHATTER)[1]


def test_what_is_no_message_stands_among_the_others(shell: Shell) -> None:
    damaged = GRANTED.replace(b"AA12345", b"AB12345")
    body = shell.told(stdin=LOAN + CHATTER + b"55x\r" + damaged + CHATTER, code=3)
    assert [line["ok"] for line in body["lines"]] == [True, False, False, False, False]
    assert body["lines"][1]["error"]["code"] == "sip2-free-text"
    assert [(each["code"], each["count"], each["lines"]) for each in body["errors"]] == [
        ("sip2-free-text", 2, [2, 5]), ("sip2-unknown-message", 1, [3]), ("sip2-checksum", 1, [4]),
    ]  # fmt: skip
    assert "12345" not in json.dumps(body)
    code, out, _ = shell(stdin=LOAN + CHATTER + damaged)
    assert code == 3
    assert "This is no SIP2. A free text instead of a message" in out
    assert "CHECKSUM WRONG" in out


@pytest.mark.parametrize("stdin", [b"", b"\r\n\n", CHATTER])
def test_without_any_message_the_answer_is_no(stdin: bytes, shell: Shell) -> None:
    assert shell.told(stdin=stdin, code=1)["errors"][-1]["code"] == "no-lines"
    assert "There is no SIP2 message" in shell(stdin=stdin)[2]


def test_every_oddity_has_its_sentence(shell: Shell) -> None:
    odd = f"121nXY{AT}AOx|AA1|ABé|AB2|AJ\u0014|AH|ZZ|a b|x|CIy".encode()
    out = shell(stdin=odd)[1]
    for sentence in (
        "It was a renewal is a small letter", "Magnetic medium is not as it should be", "A field stands twice",
        "does not end with |",
    ):  # fmt: skip
        assert sentence in out
    assert "ZZ" not in out, "of a doubtful line no id is told that may be torn"
    sure = f"121NNY{AT}AOx|AA1|AB2|AJ\u0014|AH|ZZ9|".encode()
    out = shell(stdin=sure)[1]
    assert "ZZ does not belong in this message" in out
    assert "AJ holds control characters" in out


def test_another_encoding_is_asked_for(shell: Shell) -> None:
    line = f"18040201{AT}AB1|AJDế Mèn|".encode("utf-16")  # nobody's encoding
    assert shell(stdin=line)[0] == 1
    old = f"18040201{AT}AB1|AJMünchen|".encode("latin-1")
    assert "Some letters are not utf-8" in shell(stdin=old)[1]
    assert "München" in shell("--encoding", "latin-1", stdin=old)[1]
    with pytest.raises(ConfigError):
        shell("--encoding", "ebcdic", stdin=old)
    with pytest.raises(ConfigError):
        shell("--lang", "xx", stdin=old)


class Endless(io.RawIOBase):
    """``times`` copies of a piece, of which none is held."""

    def __init__(self, piece: bytes, times: int, end: bytes) -> None:
        self._piece, self._left, self._end = piece, times, end

    def readable(self) -> bool:
        return True

    def read1(self, _: int = -1) -> bytes:
        if self._left:
            self._left -= 1
            return self._piece
        end, self._end = self._end, b""
        return end


def test_a_line_without_end_is_left_out_and_the_next_is_read(shell: Shell) -> None:
    stream = Endless(b"A" * 4096, 5000, b"\r" + LOAN)  # 20 MB
    seen = list(room.cut(stream))  # type: ignore[arg-type]
    assert seen == [None, LOAN[:-1]]
    body = shell.told(stdin=b"x" * (room.LONGEST + 1) + b"\r" + LOAN, code=3)
    assert [line["n"] for line in body["lines"]] == [1, 2]
    assert body["errors"][0]["code"] == "sip2-line-too-long"
    assert "too long" in shell(stdin=b"x" * (room.LONGEST + 1) + b"\r" + LOAN)[1]


def test_lines_are_told_as_they_come() -> None:
    def pieces() -> Iterator[bytes]:
        yield LOAN[:10]
        yield LOAN[10:] + GRANTED[:5]
        raise AssertionError("the first line was not told yet")

    class Slow(io.RawIOBase):
        source = pieces()

        def read1(self, _: int = -1) -> bytes:
            return next(self.source)

    told = room.explain(Slow(), "utf-8", room.Tally(), personal=False)  # type: ignore[arg-type]
    assert getattr(next(told), "code", "") == "11"


def test_a_mark_before_the_first_line_is_no_part_of_it(shell: Shell) -> None:
    assert shell.told(stdin=b"\xef\xbb\xbf" + LOAN)["ok"] is True
    assert shell.told(stdin=b"\xef\xbb\xbf" + LOAN.rstrip())["ok"] is True


def test_input_that_cannot_be_read_ends_in_a_sentence_on_a_line_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def read1(self, _: int = -1) -> bytes:
            raise OSError(5, "Input/output error")

    shell = Shell(monkeypatch, capsys)
    with pytest.raises(StorageError, match="cannot be read"):
        shell("--json", stdin=Broken())  # type: ignore[arg-type]
    assert capsys.readouterr().out.endswith("\n")


def test_everything_is_said_in_both_languages() -> None:
    for text in words.everything():
        vietnamese = catalog("kiosk.sip2", "vi").gettext(text)
        assert vietnamese != text or text in SAME, f"not in the Vietnamese catalog: {text}"
        assert _blanks(vietnamese) == _blanks(text)
        assert catalog("kiosk.sip2", "en").gettext(text) == text


def _blanks(text: str) -> set[str | None]:
    return {name for _, name, _, _ in string.Formatter().parse(text)} - {None}


def test_there_are_words_for_every_code() -> None:
    assert set(Tolerance) == set(words.SENTENCES)
    assert set(Checksum) == set(words.CHECKSUMS)
    for stdin in (b"\x01\r", CHATTER, b"55x\r", b"12\r", seal(b"12", 1)):
        tally = room.Tally()
        lines = list(room.explain(io.BytesIO(stdin), "utf-8", tally, personal=False))
        assert len(lines) == 1
        assert set(tally.errors) <= set(words.ERRORS)
        assert tally.exit is Exit.NO
