"""Logs that devices upload because an order said so: each once, within bounds, read by nobody but the operator."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from gateway.store.orders import SqliteOrders
from mocban import commands
from mocban.access import Refusal, same
from mocban.errors import ConfigError, StorageError
from mocban.ids import new_id

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SUFFIX, _PART = ".jsonl.gz", ".part"


@dataclass(frozen=True, slots=True)
class Upload:
    """One collection of logs."""

    order: str
    size: int
    at: datetime


class Uploads:
    """The folder of uploads; what is too much goes, oldest first."""

    def __init__(self, folder: Path, orders: SqliteOrders, limit: int) -> None:
        self._folder = folder
        self._orders = orders
        self._limit = limit
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for torn in folder.glob(f"*{_PART}"):
                torn.unlink()
        except OSError as error:
            raise ConfigError(
                f"{folder} cannot be written", "set data_dir to a folder this user may write"
            ) from error

    def intake(self, order: str, token: str, announced: int | None) -> Intake:
        """Take in the upload of ``order``; Refusal 401, 409 or 413. ``announced``: its length, if it was said."""
        row = self._orders.get(order) if _ID.fullmatch(order) else None
        args = json.loads(row.request)["args"] if row is not None else {}
        # The same answer whether the order is unknown, of another kind or not sent: nobody learns which orders are.
        if (
            row is None
            or row.name != "collect-logs"
            or not row.sent
            or not same(args["token"], token)
        ):
            raise Refusal(401, "no-token", "this needs the token of the order")
        path = self._folder / f"{order}{_SUFFIX}"
        if path.exists():
            raise _twice()
        most = commands.CollectLogs.model_validate(args).max_bytes
        if announced is not None and announced > most:
            raise _too_long(most)
        return Intake(path, most, self._prune)

    def all(self) -> list[Upload]:
        """Every upload, newest first."""
        found = []
        for path in self._folder.glob(f"*{_SUFFIX}"):
            stat = path.stat()
            at = datetime.fromtimestamp(stat.st_mtime, UTC)
            found.append(Upload(path.name.removesuffix(_SUFFIX), stat.st_size, at))
        return sorted(found, key=lambda one: (one.at, one.order), reverse=True)

    def path(self, order: str) -> Path | None:
        """The file of one upload."""
        path = self._folder / f"{order}{_SUFFIX}"
        return path if _ID.fullmatch(order) and path.exists() else None

    def _prune(self) -> None:
        """The newest stays, however large."""
        total = 0
        for no, one in enumerate(self.all()):
            total += one.size
            if no and total > self._limit:
                (self._folder / f"{one.order}{_SUFFIX}").unlink(missing_ok=True)


class Intake:
    """One upload on its way in; what is not ``kept`` leaves nothing."""

    def __init__(self, path: Path, most: int, prune: Callable[[], None]) -> None:
        self._path = path
        self._most = most
        self._prune = prune
        self._part = path.with_name(f"{path.stem}.{new_id()}{_PART}")
        self._size = 0
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        try:
            number = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise _refused(error) from error
        self._file = open(number, "wb")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:  # fmt: skip
        if self._file is not None:
            self._file.close()
        self._part.unlink(missing_ok=True)

    def write(self, chunk: bytes) -> None:
        """The next bytes; Refusal 413 as soon as they are too many."""
        assert self._file is not None
        self._size += len(chunk)
        if self._size > self._most:
            raise _too_long(self._most)
        try:
            self._file.write(chunk)
        except OSError as error:
            raise _refused(error) from error

    def keep(self) -> int:
        """All of it is here: make it the upload, durably; its size. Refusal 409 if another was quicker."""
        assert self._file is not None
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._path.hardlink_to(self._part)
        except FileExistsError:
            raise _twice() from None
        except OSError as error:
            raise _refused(error) from error
        self._prune()
        return self._size


def _twice() -> Refusal:
    return Refusal(409, "uploaded", "this order's logs are here already")


def _too_long(most: int) -> Refusal:
    return Refusal(413, "too-long", f"this order's logs have at most {most} bytes")


def _refused(error: OSError) -> StorageError:
    return StorageError(
        f"logs cannot be stored: {error.strerror}", "free space on the gateway's disk"
    )
