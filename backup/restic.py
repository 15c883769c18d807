"""restic's language, without running it: argument lists, lines of JSON, and what its last words mean.

Spoken with 0.14 and later. Older releases say with exit status 1 and a sentence what newer ones say with 10, 11 and
12; messages and fields we do not know are passed over, an exit status we do not know is a failure.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from backup.faults import Busy
from mocban.clock import parse_rfc3339
from mocban.errors import ConfigError, MocbanError, StorageError

OLDEST = (0, 14)
"""First release that is good enough."""
TAG = "mocban"
"""Every snapshot of ours carries it."""
ID = re.compile(r"[0-9a-f]{4,64}")
"""A snapshot's id, whole or its beginning."""

_VERSION = re.compile(r"^restic (\d+)\.(\d+)\.(\d+)")
_LOCKED = re.compile(r"by PID (\d+) on (\S+)")
_VAIN = re.compile(
    r"^Load\(.*(no such file or directory|EOF|invalid data|input/output error)", re.MULTILINE
)
_FRACTION = re.compile(r"(\.\d{1,6})\d*")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a backup is, in files and bytes; the totals grow while restic still looks around."""

    files: int
    files_total: int
    bytes: int
    bytes_total: int


@dataclass(frozen=True, slots=True)
class Summary:
    """What a backup ended with. ``added``: bytes new in the repository; ``snapshot``: id, 8 digits before 0.15."""

    snapshot: str
    files: int
    bytes: int
    added: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One snapshot of the repository."""

    id: str
    taken: datetime
    host: str
    tags: tuple[str, ...]

    @property
    def short(self) -> str:
        """The id as people write it."""
        return self.id[:8]


@dataclass(frozen=True, slots=True)
class Node:
    """One file or folder of a snapshot, ``path`` from its root on."""

    path: str
    kind: str
    size: int


def base(program: str, repository: Path) -> list[str]:
    """How every call begins. No cache: the repository is a folder of this machine."""
    return [program, "--repo", str(repository), "--no-cache"]


def version() -> list[str]:
    """Ask for the release."""
    return ["version"]


def opened() -> list[str]:
    """Open the repository and print what it is."""
    return ["--no-lock", "--json", "cat", "config"]


def init() -> list[str]:
    """Make the repository."""
    return ["init"]


def backup(host: str, run: str, names: list[str]) -> list[str]:
    """Take the files ``names`` of the current folder, so that they lie at the snapshot's root.

    ``--force``: the files are copies made this minute, and a damaged older snapshot is no reason to take none.
    """
    tags = ["--tag", TAG, "--tag", f"run-{run}"]
    return ["--json", "backup", "--force", "--host", host, *tags, "--", *names]


def snapshots() -> list[str]:
    """List the snapshots of ours, of any host."""
    return ["--no-lock", "--json", "snapshots", "--tag", TAG]


def ls(snapshot: str) -> list[str]:
    """List the files of ``snapshot``."""
    return ["--no-lock", "--json", "ls", _id(snapshot)]


def dump(snapshot: str) -> list[str]:
    """All files of ``snapshot`` as one tar on stdout."""
    return ["--no-lock", "dump", "--archive", "tar", _id(snapshot), "/"]


def _id(snapshot: str) -> str:
    if not ID.fullmatch(snapshot):
        raise ValueError("a snapshot's id is 4 to 64 hex digits")
    return snapshot


def read_version(text: str) -> tuple[int, int, int] | None:
    """The release that ``version`` printed; None if it is no restic."""
    found = _VERSION.match(text)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def read_config(text: bytes) -> str:
    """The repository's id in what ``opened`` printed; empty if it is not there."""
    return str(_object(text).get("id", ""))


def read_backup(line: bytes) -> Progress | Summary | None:
    """One line of a backup's stdout; None if it tells nothing we know."""
    body = _object(line)
    try:
        match body.get("message_type"):
            case "status":
                names = ("files_done", "total_files", "bytes_done", "total_bytes")
                return Progress(*(int(body.get(name, 0)) for name in names))
            case "summary" if ID.fullmatch(str(body.get("snapshot_id", ""))):
                return Summary(
                    str(body["snapshot_id"]), int(body["total_files_processed"]),
                    int(body["total_bytes_processed"]), int(body["data_added"]),
                )  # fmt: skip
            case _:
                return None
    except (KeyError, TypeError, ValueError):
        return None


def read_snapshots(text: bytes) -> list[Snapshot] | None:
    """The snapshots of ``snapshots``, oldest first; None if that is no list of them."""
    try:
        rows = json.loads(text)
        found = [
            Snapshot(
                str(row["id"]), _moment(row["time"]), str(row["hostname"]),
                tuple(map(str, row.get("tags") or ())),
            )
            for row in rows or ()
        ]  # fmt: skip
    except (KeyError, TypeError, ValueError):
        return None
    return sorted(found, key=lambda one: (one.taken, one.id))


def read_ls(text: bytes) -> list[Node] | None:
    """The files and folders of ``ls``; None if a line is none of its."""
    found = []
    for line in text.splitlines():
        body = _object(line)
        kind = body.get("struct_type") or body.get("message_type")
        if kind == "snapshot":
            continue
        try:
            found.append(Node(str(body["path"]), str(body["type"]), int(body.get("size", 0))))
        except (KeyError, TypeError, ValueError):
            return None
    return found


def broken_snapshots(stderr: str) -> int:
    """How many snapshots ``snapshots`` could not read; it ends with 0 all the same."""
    return sum("could not load snapshot" in line for line in stderr.splitlines())


def hopeless(stderr: str) -> bool:
    """Whether it tries again and again to read what is not there: 0.14 does so for 44 s a file."""
    return _VAIN.search(stderr) is not None


def fault(status: int, stderr: str, repository: Path) -> MocbanError:
    """What a call that ended with ``status`` and these last words met, and what to do about it."""
    low = stderr.lower()

    def says(*words: str) -> bool:
        return any(word in low for word in words)

    if "unknown flag" in low or "unknown command" in low:
        return ConfigError(
            f"this restic does not know what is asked of it ({_sentence(stderr)})",
            f"install restic {'.'.join(map(str, OLDEST))} or later", code="restic-unsuitable",
        )  # fmt: skip
    if status == 10 or says("unable to open config file", "is there a repository at"):
        return no_repository(repository)
    if status == 12 or says("wrong password or no key found"):
        return ConfigError(
            f"the password does not open the repository {repository}",
            "correct password_file or the credential", code="wrong-password",
        )  # fmt: skip
    if status == 11 or says("already locked"):
        who = _LOCKED.search(stderr)
        by = f" by process {who[1]} on {who[2]}" if who else ""
        return Busy(
            f"the repository {repository} is locked{by}",
            f"wait for it to end; if nobody is at work there, restic -r {repository} unlock",
            code="repository-locked",
        )
    if says("no space left on device", "disk quota exceeded"):
        return StorageError(
            f"the disk of the repository {repository} is full",
            "free space on it, or use a larger one", code="repository-full",
        )  # fmt: skip
    if says("permission denied", "read-only file system", "operation not permitted"):
        return ConfigError(
            f"the repository {repository} refuses ({_sentence(stderr)})",
            "give the backup's user the right to read and write it", code="repository-refused",
        )  # fmt: skip
    if says(*_DAMAGE):
        return damaged(repository, _sentence(stderr))
    return StorageError(
        f"restic ended with status {status} ({_sentence(stderr) or 'without a word'})",
        "look at the repository and its disk", code="restic-failed",
    )  # fmt: skip


_DAMAGE = (
    "is damaged", "invalid repository", "unmarshal", "invalid data returned", "ciphertext verification failed",
    "not found in repository", "not found in index", "unexpected eof", "load(<", "no such file or directory",
    "invalid character", "input/output error", "could not load snapshot", "pack file cannot be", "wrong checksum",
)  # fmt: skip


def no_repository(repository: Path) -> ConfigError:
    """There is none where the configuration says."""
    return ConfigError(
        f"there is no repository in {repository}",
        "is its disk mounted? Correct repository, or make a new one with mocban backup run --init",
        code="no-repository",
    )


def damaged(repository: Path, why: str) -> StorageError:
    """Something in it is missing or not what it was."""
    return StorageError(
        f"the repository {repository} is damaged ({why})",
        f"keep it as it is, look at its disk, run restic -r {repository} check --read-data,"
        " and back up into a new one meanwhile",
        code="repository-damaged",
    )


def _sentence(stderr: str) -> str:
    """The line of ``stderr`` that says most, cut short: restic's trace and its retries say little."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    # From 0.18 on the last word of a call with --json is an object, too.
    last = [str(_object(line.encode()).get("message", "")) for line in lines if line[0] == "{"]
    fatal = [line for line in [*lines, *last] if line.startswith("Fatal:")]
    plain = [line for line in lines if not line.startswith(("Load(", "{", "Warning:"))]
    best = (fatal or plain or lines or [""])[0].removeprefix("Fatal:").strip()
    return best if len(best) <= 160 else f"{best[:159]}…"


def _object(line: bytes) -> dict[str, Any]:
    try:
        body = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _moment(text: str) -> datetime:
    """restic writes nanoseconds."""
    return parse_rfc3339(_FRACTION.sub(r"\1", text))
