"""The playbooks of this house: the owner's signed ones in a folder, and those we ship, which only dry-run."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from mocban.access import Refusal
from mocban.errors import RemoteProtocolError
from ops.runbooks import cacao
from ops.runbooks.lint import lint
from ops.runbooks.model import Playbook
from ops.runbooks.problem import Problem, error
from ops.runbooks.shape import moment
from ops.runbooks.sign import signed_by

FILES_MAX = 200
"""Most files of the folder that are looked at."""
_Stamp = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Found:
    """One file. ``playbook`` is None if it cannot be read; ``signed_by`` is empty if no pinned key signed it.

    It executes if it is ``runnable``; otherwise it dry-runs, or ``problems`` say why not even that.
    """

    playbook: Playbook | None
    file: str
    signed_by: str
    problems: tuple[Problem, ...]
    shipped: bool

    @property
    def runnable(self) -> bool:
        """Read, signed, and without a problem that forbids it. Whether today is its day says ``cacao.valid``."""
        return bool(self.playbook and self.signed_by) and not self.halting

    @property
    def halting(self) -> tuple[Problem, ...]:
        """Those problems that forbid to execute it."""
        return tuple(one for one in self.problems if one.halts)

    @property
    def stem(self) -> str:
        """The file's name without its ending: what people call it by."""
        return Path(self.file).name.removesuffix(".json")

    def as_json(self) -> dict[str, Any]:
        """As the API tells it."""
        known, variables = self.playbook, self.playbook.variables if self.playbook else {}
        return {
            "id": known.id if known else "", "name": self.stem, "title": known.name if known else "",
            "words": {lang: dict(told) for lang, told in known.words.items()} if known else {},
            "sha256": known.sha256 if known else "", "signed_by": self.signed_by,
            "runnable": self.runnable, "shipped": self.shipped, "file": self.file,
            "starts_on": list(known.starts_on) if known else [],
            "problems": [one.as_json() for one in self.problems],
            "variables": [
                {
                    "name": one.name, "type": one.type, "description": one.description,
                    "value": one.value, "external": one.external, "constant": one.constant,
                }
                for one in variables.values()
            ],
        }  # fmt: skip


class Library:
    """Reads a file anew when it changed. From any thread."""

    def __init__(self, folder: Path, keys: tuple[str, ...]) -> None:
        self._folder, self._keys = folder, keys
        self._lock = threading.Lock()
        self._read: dict[str, tuple[_Stamp, Found]] = {}
        self._shipped: tuple[Found, ...] | None = None

    def all(self) -> list[Found]:
        """Each playbook: the owner's by file name, then the shipped ones that no file of the owner's replaces.

        A damaged file is among them and says what is wrong.
        """
        with self._lock:
            own = self._own()
            if self._shipped is None:
                self._shipped = tuple(
                    examined(file.read_bytes(), file.name, (), shipped=True)
                    for file in sorted(_shipped(), key=lambda file: file.name)
                )
            names = {one.stem for one in own} | {one.playbook.id for one in own if one.playbook}
            return own + [
                one
                for one in self._shipped
                if one.stem not in names and not (one.playbook and one.playbook.id in names)
            ]

    def find(self, name: str) -> Found:
        """The one whose file (without ``.json``), id or name this is; of several versions the newest.

        Refusal 404 ``no-playbook``.
        """
        found = self.all()
        for one in found:
            if one.stem == name:
                return one
        named = [
            one for one in found if one.playbook and name in {one.playbook.id, one.playbook.name}
        ]
        if named:
            return max(named, key=_modified)
        raise Refusal(404, "no-playbook", "there is no such playbook", "see mocban runbook list")

    def _own(self) -> list[Found]:
        try:
            with os.scandir(self._folder) as entries:
                paths = sorted(entry.path for entry in entries if entry.name.endswith(".json"))
        except FileNotFoundError:
            paths = []
        except OSError as lost:
            return [_damaged(str(self._folder), "unreadable", lost.strerror or "")]
        found, read = list[Found](), dict[str, tuple[_Stamp, Found]]()
        for path in paths[:FILES_MAX]:
            stamp, one = self._look(path)
            found.append(one)
            if stamp is not None:
                read[path] = stamp, one
        self._read = read
        if len(paths) > FILES_MAX:
            found.append(_damaged(str(self._folder), "too-many", str(len(paths))))
        return found

    def _look(self, path: str) -> tuple[_Stamp | None, Found]:
        try:
            # Not waited for: whoever opens a pipe would wait for ever.
            file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            try:
                now = os.fstat(file)
                if not stat.S_ISREG(now.st_mode):
                    return None, _damaged(path, "unreadable", "it is no file")
                stamp = (now.st_mtime_ns, now.st_ctime_ns, now.st_size, now.st_ino)
                if path in self._read and self._read[path][0] == stamp:
                    return self._read[path]
                with open(file, "rb", closefd=False) as stream:
                    data = stream.read(cacao.BYTES_MAX + 1)
            finally:
                os.close(file)
        except OSError as lost:
            return None, _damaged(path, "unreadable", lost.strerror or "")
        return stamp, examined(data, path, self._keys, shipped=False)


def examined(data: bytes, file: str, keys: tuple[str, ...], *, shipped: bool) -> Found:
    """What stands in ``data``, and what is wrong with it. Never raises for what it holds."""
    try:
        body = cacao.load(data)
    except RemoteProtocolError as wrong:
        return _damaged(file, wrong.code, wrong.say, shipped=shipped)
    problems, signee = lint(body), ""
    try:
        signee = signed_by(body, keys)
    except RemoteProtocolError as wrong:
        problems = (error(wrong.code), *problems)
    formed = not any(one.code == "form" for one in problems)
    return Found(cacao.read(body) if formed else None, file, signee, problems, shipped)


def _damaged(file: str, code: str, what: str, *, shipped: bool = False) -> Found:
    return Found(None, file, "", (error(code, "", what),), shipped)


def _modified(one: Found) -> datetime:
    said = moment(one.playbook.body.get("modified")) if one.playbook else None
    return said or datetime.min.replace(tzinfo=UTC)


def _shipped() -> Iterator[Traversable]:
    return (one for one in (resources.files("ops") / "playbooks").iterdir() if one.name.endswith(".json"))  # fmt: skip
