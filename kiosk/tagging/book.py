"""The undo file: what a tag held before it was written, on disk before the first block is.

JSON lines. One that begins a write holds the tag's old and new content; short ones after it say how it ended. So the
file is a write-ahead journal as well: a write that began and has no end is a tag that may be half written.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kiosk.tagging.memory import Held
from mocban.clock import Clock, rfc3339
from mocban.errors import ConfigError, StorageError
from mocban.ids import new_id

_LONGEST = 64 * 1024  # bytes of a line; the largest tag takes half of it
_LARGEST = 256 << 20  # bytes of a file
_END = b'{"end":true}\n'
Byte = Field(default=None, ge=0, le=255)


class Mark(StrEnum):
    """How far a write came. BEGUN and UNDOING: the tag may be half written.

    LEFT: it never ended, and then the tag was written by somebody else; it stays so.
    """

    BEGUN = "begun"
    DONE = "done"
    UNDOING = "undoing"
    UNDONE = "undone"
    LEFT = "left"

    @property
    def open(self) -> bool:
        """Whether it has not ended."""
        return self in (Mark.BEGUN, Mark.UNDOING)


@dataclass(frozen=True, slots=True)
class Entry:
    """One write of one tag. ``meaning``: pairs of AFI values, before and after, that mean the same."""

    id: str
    uid: str
    at: str
    by: str
    verb: str
    block: int
    before: Held = field(repr=False)
    after: Held = field(repr=False)
    meaning: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Written:
    """An entry as a file tells it: where it stands and how far it came."""

    path: Path
    entry: Entry
    mark: Mark


class _Content(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    data: str = Field(pattern=r"^([0-9A-F]{2})*$", max_length=16384)
    afi: int | None = Byte
    dsfid: int | None = Byte
    eas: bool | None = None

    def held(self) -> Held:
        return Held(bytes.fromhex(self.data), self.afi, self.dsfid, self.eas)


class _Begun(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    begun: str = Field(pattern=r"^[0-9a-f]{32}$")
    uid: str = Field(pattern=r"^[0-9A-F]{16}$")
    at: str
    by: str
    verb: str
    block: int = Field(ge=1, le=32)
    before: _Content
    after: _Content
    meaning: list[list[int]] = []
    sum: str


class Book:
    """An undo file open for writing, by one process at a time."""

    def __init__(self, path: Path, clock: Clock, by: str) -> None:
        self.path = path
        self._clock = clock
        self._by = by
        self._file: int | None = None
        self.latest: Entry | None = None
        """The entry that was begun last."""
        self.torn: dict[str, Entry] = {}
        """Writes of this command that have no end, by UID."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            with suppress(OSError):
                if not any(one.mark.open for one in read(self.path)[0]):
                    os.write(self._file, _END)
            os.close(self._file)
            self._file = None

    def begin(
        self, verb: str, uid: str, block: int, before: Held, after: Held,
        meaning: tuple[tuple[int, int], ...] = (),
    ) -> Entry:  # fmt: skip
        """Put down what is to be written; on disk when this returns. StorageError: nothing may be written then."""
        entry = Entry(
            new_id(), uid, rfc3339(self._clock.now()), self._by, verb, block, before, after, meaning
        )
        self._put(_line(entry))
        self.latest = self.torn[uid] = entry
        return entry

    def end(self, entry: Entry, mark: Mark) -> None:
        """Put down how far ``entry`` came."""
        self._put({mark.value: entry.id, "at": rfc3339(self._clock.now())})
        if not mark.open:
            self.torn.pop(entry.uid, None)

    def _put(self, body: dict[str, Any]) -> None:
        line = json.dumps(body, separators=(",", ":")).encode() + b"\n"
        try:
            file = self._open()
            if os.write(file, line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(file)
        except OSError as error:
            if self._file is not None:
                with suppress(OSError):
                    _mend(self._file)
            raise _storage(self.path, error) from error

    def _open(self) -> int:
        if self._file is None:
            _folder(self.path.parent)
            if self.path.exists() and not self.path.is_file():
                raise ConfigError(f"{self.path} cannot be an undo file", "name a file with --undo")
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(file)
                raise ConfigError(
                    f"another program writes to the undo file {self.path}",
                    "wait until it is done, or name another file with --undo",
                ) from None
            self._file = file
            _mend(file)
            folder = os.open(self.path.parent, os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)
        return self._file


def read(path: Path) -> tuple[list[Written], list[int]]:
    """Every entry of a file in its order, and the numbers of lines that cannot be trusted and were left out.

    A last line without an end is no damage: the computer stopped before it was on disk, so nothing was written.
    ConfigError if there is no such file or it is none of ours.
    """
    try:
        if not path.is_file() and path.exists():
            raise ConfigError(f"{path} is no undo file", "name one that mocban tag has written")
        if path.stat().st_size > _LARGEST:
            raise ConfigError(f"{path} is too large for an undo file", "name the right file")
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        told = error.strerror or type(error).__name__
        raise ConfigError(f"the undo file {path} cannot be read: {told}", "name a file") from error
    entries: dict[str, Entry] = {}
    marks: dict[str, Mark] = {}
    damaged: list[int] = []
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        body = _parse(line)
        if body is None:
            if number < len(lines):  # else it has no end
                damaged.append(number)
        elif "begun" in body:
            entry = _entry(body)
            if entry is None:
                damaged.append(number)
            else:
                entries[entry.id], marks[entry.id] = entry, Mark.BEGUN
        else:
            for mark in (Mark.DONE, Mark.UNDOING, Mark.UNDONE, Mark.LEFT):
                if (ident := body.get(mark.value)) in marks:
                    marks[str(ident)] = mark
    if not entries and damaged:
        raise ConfigError(f"{path} is no undo file", "name one that mocban tag has written")
    return [Written(path, one, marks[one.id]) for one in entries.values()], damaged


def unfinished(paths: Iterable[Path]) -> dict[str, Written]:
    """The latest write of each tag that never ended, by UID, over all these files; files of others are passed over."""
    found: dict[str, Written] = {}
    for path in paths:
        with suppress(ConfigError, OSError):
            if _ended(path):
                continue
            for one in read(path)[0]:
                known = found.get(one.entry.uid)
                if one.mark.open and (known is None or known.entry.at <= one.entry.at):
                    found[one.entry.uid] = one
    return found


def remember(folder: Path, path: Path) -> None:
    """Let a file that lies elsewhere be found from ``folder``, by a name there that leads to it; if that can be."""
    if path.resolve().parent == folder.resolve():
        return
    name = sha256(str(path.resolve()).encode()).hexdigest()[:16]
    with suppress(OSError):
        _folder(folder)
        (folder / f"at-{name}.jsonl").symlink_to(path.resolve())


def _ended(path: Path) -> bool:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - len(_END)))
        return file.read() == _END


def _mend(file: int) -> None:
    """Cut off a last line without an end: it never was on disk, so nothing was written on its word."""
    size = os.fstat(file).st_size
    tail = os.pread(file, _LONGEST, max(0, size - _LONGEST))
    if tail and not tail.endswith(b"\n"):
        os.ftruncate(file, size - len(tail) + tail.rfind(b"\n") + 1)


def _folder(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _storage(path, error) from error


def _storage(path: Path, error: OSError) -> StorageError:
    told = error.strerror or type(error).__name__
    return StorageError(
        f"the undo file cannot be written at {path}: {told}",
        "make room or name another file with --undo; no tag was written without it",
    )


def _line(entry: Entry) -> dict[str, Any]:
    body = {
        "begun": entry.id, "uid": entry.uid, "at": entry.at, "by": entry.by, "verb": entry.verb,
        "block": entry.block, "before": _content(entry.before), "after": _content(entry.after),
        "meaning": [list(pair) for pair in entry.meaning],
    }  # fmt: skip
    return {**body, "sum": _sum(body)}


def _content(held: Held) -> dict[str, Any]:
    return {"data": held.data.hex().upper(), "afi": held.afi, "dsfid": held.dsfid, "eas": held.eas}


def _sum(body: dict[str, Any]) -> str:
    """Guards a line: whatever stands in it may be written to a tag one day."""
    plain = {key: value for key, value in body.items() if key != "sum"}
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()[:16]


def _parse(line: bytes) -> dict[str, Any] | None:
    if len(line) > _LONGEST:
        return None
    try:
        body = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _entry(body: dict[str, Any]) -> Entry | None:
    try:
        said = _Begun.model_validate(body)
    except ValidationError:
        return None
    before, after = said.before.held(), said.after.held()
    whole = len(before.data) == len(after.data) and len(before.data) % said.block == 0
    pairs = all(len(pair) == 2 and all(0 <= afi <= 255 for afi in pair) for pair in said.meaning)
    if said.sum != _sum(body) or not whole or not pairs:
        return None
    meaning = tuple((old, new) for old, new in said.meaning)
    return Entry(
        said.begun, said.uid, said.at, said.by, said.verb, said.block, before, after, meaning
    )
