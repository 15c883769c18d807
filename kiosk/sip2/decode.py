"""``mocban sip2 decode``: lines of SIP2 from standard input -> what each says, for people or as one JSON object.

What could name a patron or open an account is hidden unless it is asked for; of a line that is damaged, everything.
Lines are told as they come, also inside the one object, so that no log is too long: what is held is one line.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import typer

from kiosk.sip2 import words
from kiosk.sip2.told import Line, Nothing, told
from kiosk.wire.sip2 import Checksum, decode
from kiosk.wire.sip2_exchange import LineFramer
from mocban.errors import ConfigError, Exit, MocbanError, RemoteProtocolError, StorageError
from mocban.i18n import catalog, language

LONGEST = 256 * 1024
"""Bytes of the longest line that is explained: an account of ten thousand loans."""
ENCODINGS = ("utf-8", "cp850", "latin-1", "cp1258")
_CHUNK = 4096
_EXAMPLES = 10  # numbers of lines that an error names
_MARK = b"\xef\xbb\xbf"  # what some editors write before the first line

TOO_LONG = RemoteProtocolError(
    f"a line is longer than {LONGEST} bytes", "cut the file into lines", code="sip2-line-too-long"
)
CHECKSUM = RemoteProtocolError(
    "the checksum of a line is wrong", "believe none of its bytes", code="sip2-checksum"
)
NO_LINES = ConfigError(
    "standard input holds no SIP2 message",
    "give lines as they went over the wire, one a line",
    code="no-lines",
)


@dataclass(slots=True)
class Tally:
    """How many lines were messages, and which errors there were, in which lines."""

    messages: int = 0
    errors: dict[str, tuple[MocbanError, int, list[int]]] = field(default_factory=dict)

    def add(self, number: int, line: Line | Nothing) -> None:
        """Count one line."""
        self.messages += isinstance(line, Line)
        if isinstance(line, Line):
            error: MocbanError | None = CHECKSUM if line.checksum is Checksum.BAD else None
        else:
            error = line.error
        if error is not None:
            first, count, where = self.errors.get(error.code, (error, 0, []))
            self.errors[error.code] = (first, count + 1, [*where, number][:_EXAMPLES])

    @property
    def exit(self) -> Exit:
        """How the command ends."""
        if not self.messages:
            return Exit.NO
        return Exit.PARTLY if self.errors else Exit.DONE

    def as_json(self) -> list[dict[str, Any]]:
        """The errors, one a code, with how often and in which lines first."""
        found = [
            {**error.as_json(), "count": count, "lines": where}
            for error, count, where in self.errors.values()
        ]
        return found if self.messages else [*found, NO_LINES.as_json()]


def run(encoding: str, *, personal: bool, lang: str, as_json: bool) -> Exit:
    """Explain what stands on standard input."""
    if encoding not in ENCODINGS:
        raise ConfigError(
            f"we know no encoding {encoding[:20]!r} of SIP2",
            f"write one of {', '.join(ENCODINGS)}",
            code="usage",
        )
    texts = catalog("kiosk.sip2", language(lang))
    tally = Tally()
    lines = enumerate(explain(sys.stdin.buffer, encoding, tally, personal=personal), 1)
    if as_json:
        _objects(lines, texts, tally)
    else:
        for number, line in lines:
            for row in words.rows(number, line, texts):
                _out(f"{row}\n")
        if not tally.messages:
            typer.echo(texts.gettext(words.NO_LINES), err=True)
    return tally.exit


def explain(
    stream: BinaryIO, encoding: str, tally: Tally, *, personal: bool
) -> Iterator[Line | Nothing]:
    """What each line of ``stream`` says, in its order."""
    for number, data in enumerate(cut(stream), 1):
        line: Line | Nothing
        if data is None:
            line = Nothing(TOO_LONG)
        else:
            try:
                line = told(decode(data, encoding), encoding, personal=personal)
            except RemoteProtocolError as error:
                line = Nothing(error, data.decode(encoding, "replace") if personal else "")
        tally.add(number, line)
        yield line


def cut(stream: BinaryIO) -> Iterator[bytes | None]:
    """The lines of ``stream`` that are not empty; None in the place of one that is too long."""
    framer = LineFramer(LONGEST)
    dropped, first = 0, True
    while chunk := _read(stream):
        for part in re.split(rb"(?<=[\r\n])", chunk):
            for line in framer.feed(part):
                yield line.removeprefix(_MARK) if first else line
                first = False
            if framer.dropped > dropped:
                dropped, first = framer.dropped, False
                yield None
    for line in framer.feed(b"\r"):
        yield line.removeprefix(_MARK) if first else line


def _objects(lines: Iterator[tuple[int, Line | Nothing]], texts: words.Texts, tally: Tally) -> None:
    """One object on one line, written piece by piece."""
    _out('{"lines": [')
    try:
        for number, line in lines:
            body = json.dumps(words.as_json(number, line, texts), ensure_ascii=False)
            _out(f"{', ' if number > 1 else ''}{body}")
    except BaseException:
        _out("\n")  # what is said of the error must have a line of its own
        raise
    ok = json.dumps(tally.exit is Exit.DONE)
    _out(f'], "ok": {ok}, "errors": {json.dumps(tally.as_json(), ensure_ascii=False)}}}\n')


def _read(stream: BinaryIO) -> bytes:
    try:
        chunk: bytes = getattr(stream, "read1", stream.read)(_CHUNK)
    except OSError as error:
        say = f"standard input cannot be read: {error.strerror or error}"
        raise StorageError(say, "give the lines from a file") from error
    return chunk


def _out(text: str) -> None:
    try:
        typer.echo(text, nl=False)
    except OSError as error:
        say = f"the answer cannot be written: {error.strerror or error}"
        raise StorageError(say, "write it somewhere else") from error
