"""restic on one repository: asked in its language, its answers read, no secret among its arguments."""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from backup import faults, restic
from backup.child import Child, Stream, Stuck
from backup.settings import BackupSettings
from mocban.clock import Clock
from mocban.errors import ConfigError, MocbanError, StorageError

STDOUT_MAX = 64 * 1024 * 1024
"""Longest answer that is kept: some 100,000 snapshots."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file as it was read back from the repository."""

    name: str
    size: int
    sha256: str


@dataclass(slots=True)
class Done:
    """A call that ended. ``rest``: what of stdout nobody took."""

    status: int
    rest: bytes
    words: str


@dataclass(slots=True)
class Engine:
    """restic on one repository. Methods raise what ``restic.fault`` says, or Busy (code ``cancelled``)."""

    repository: Path
    program: str
    secret: dict[str, str] = field(repr=False)
    clock: Clock
    stopped: Callable[[], bool]
    deadline: float
    stall: float
    scratch: Path | None = None
    """Where restic may put its own temporary files."""

    def ready(self) -> str:
        """Open the repository; its id. ConfigError (``no-repository``, ``wrong-password``, ``missing-restic``)."""
        told = self._call(restic.version()).rest.decode(errors="replace")
        release = restic.read_version(told)
        if release is None or release[:2] < restic.OLDEST:
            raise ConfigError(
                f"{self.program} is not restic {'.'.join(map(str, restic.OLDEST))} or later",
                "install the package restic, or correct restic in the configuration",
                code="restic-unsuitable",
            )
        try:
            opened = self._good(restic.opened())
        except ConfigError as error:
            # Without a key there is no right password either; restic says the same of both.
            if error.code == "wrong-password" and not _any(self.repository / "keys"):
                raise restic.damaged(self.repository, "its keys are gone") from None
            if error.code == "no-repository" and _any(self.repository / "keys"):
                raise restic.damaged(self.repository, "its file config is gone") from None
            raise
        return restic.read_config(opened)

    def make(self) -> None:
        """Make the repository in a folder that is missing or empty. ConfigError (``not-empty``) if it is neither."""
        if _any(self.repository):
            raise ConfigError(
                f"{self.repository} holds other things than a repository",
                "name an empty or a new folder as repository",
                code="not-empty",
            )
        self._good(restic.init())

    def store(
        self, folder: Path, names: list[str], host: str, run: str, show: Callable[[restic.Progress], None]
    ) -> restic.Summary:  # fmt: skip
        """Take the files ``names`` of ``folder``, each of them and whole."""
        last: list[object] = [None]
        summary: list[restic.Summary] = []

        def line(text: bytes) -> None:
            match restic.read_backup(text):
                case restic.Progress() as progress:
                    last[0] = progress
                    show(progress)
                case restic.Summary() as found:
                    summary.append(found)
                case None:
                    pass

        done = self._call(
            restic.backup(host, run, names), cwd=folder, line=line, watch=lambda: last[0]
        )
        if done.status:
            raise self._fault(done.status, done.words)
        expected = sum((folder / name).stat().st_size for name in names)
        if not summary or (summary[0].files, summary[0].bytes) != (len(names), expected):
            raise StorageError(
                "restic did not take all it was given",
                "run it again; if it happens again, look at the repository and its disk",
                code="not-all-taken",
            )
        return summary[0]

    def snapshots(self) -> tuple[list[restic.Snapshot], int]:
        """The snapshots of ours, oldest first, and how many cannot be read."""
        done = self._checked(restic.snapshots())
        found = restic.read_snapshots(done.rest)
        if found is None:
            raise restic.damaged(self.repository, "its list of snapshots cannot be read")
        return found, restic.broken_snapshots(done.words)

    def ls(self, snapshot: str) -> list[restic.Node]:
        """The files of ``snapshot``."""
        found = restic.read_ls(self._good(restic.ls(snapshot)))
        if found is None:
            raise restic.damaged(self.repository, f"the files of {snapshot} cannot be listed")
        return found

    def fetch(
        self, snapshot: str, to: Callable[[str, int], BinaryIO | None],
        show: Callable[[int], None] = lambda _: None,
    ) -> list[Entry]:  # fmt: skip
        """Read all files of ``snapshot`` back, into what ``to`` opens for a name and a size; nowhere if None."""
        found, told = [], 0
        argv = restic.dump(snapshot)
        with self._running(argv, None) as child:
            try:
                with tarfile.open(fileobj=Stream(child), mode="r|", bufsize=1 << 18) as tar:
                    for member in tar:
                        source = tar.extractfile(member) if member.isreg() else None
                        if source is None:
                            raise restic.damaged(
                                self.repository, f"{snapshot} holds something else than files"
                            )
                        digest, size = sha256(), 0
                        sink = to(member.name, member.size)
                        try:
                            while chunk := source.read(1 << 18):
                                digest.update(chunk)
                                size += len(chunk)
                                show(told + size)
                                if sink is not None:
                                    sink.write(chunk)
                            if sink is not None:
                                sink.flush()
                                os.fsync(sink.fileno())
                        finally:
                            if sink is not None:
                                sink.close()
                        told += size
                        found.append(Entry(member.name, size, digest.hexdigest()))
                while child.read():  # the tar's padding
                    pass
                failed = False
            except tarfile.TarError:
                while child.read():
                    pass
                failed = True
            status = child.status()
            if status or failed:
                raise self._fault(status, str(child.words) or "unexpected EOF" * failed)
        return found

    def _good(self, argv: list[str]) -> bytes:
        return self._checked(argv).rest

    def _checked(self, argv: list[str]) -> Done:
        done = self._call(argv)
        if done.status:
            raise self._fault(done.status, done.words)
        return done

    def _call(
        self, argv: list[str], *, cwd: Path | None = None, line: Callable[[bytes], None] | None = None,
        watch: Callable[[], object] | None = None,
    ) -> Done:  # fmt: skip
        rest = bytearray()
        with self._running(argv, cwd) as child:
            child.watch = watch
            while more := child.read():
                rest += more
                if line is not None:
                    *lines, rest = rest.split(b"\n")
                    for one in lines:
                        line(bytes(one))
                if len(rest) > STDOUT_MAX:
                    raise restic.damaged(self.repository, "restic does not stop talking")
            return Done(child.status(), bytes(rest), str(child.words))

    @contextmanager
    def _running(self, argv: list[str], cwd: Path | None) -> Iterator[Child]:
        program = shutil.which(self.program)
        if program is None:
            raise ConfigError(
                f"{self.program} is not installed",
                "install the package restic, or correct restic in the configuration",
                code="missing-restic",
            )
        whole = [program, *argv]
        if argv != restic.version():
            whole = [*restic.base(program, self.repository), *argv]
        env = {
            **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
            "RESTIC_PROGRESS_FPS": "2", **self.secret,
        }  # fmt: skip
        if self.scratch is not None:
            env["TMPDIR"] = str(self.scratch)
        try:
            child = Child(whole, env, cwd, self.clock, self.deadline, self.stall, self.stopped)
        except OSError as error:
            raise ConfigError(
                f"{program} does not start: {error.strerror}",
                "install the package restic, or correct restic in the configuration",
                code="missing-restic",
            ) from error
        child.hopeless = restic.hopeless
        with child:
            try:
                yield child
            except Stuck as why:
                raise self._stuck(str(why), str(child.words)) from None

    def _fault(self, status: int, words: str) -> MocbanError:
        found = restic.fault(status, words, self.repository)
        if found.code == "repository-full" and self.scratch and str(self.scratch) in words:
            return faults.staging_full(self.scratch, "restic's own files did not fit")
        return found

    def _stuck(self, why: str, words: str) -> MocbanError:
        if words.strip():
            known = self._fault(0, words)
            if known.code != "restic-failed":
                return known
        return StorageError(
            f"restic was stopped: {why}",
            f"see whether the disk of {self.repository} answers",
            code="restic-stuck",
        )


def engine(
    settings: BackupSettings, clock: Clock, stopped: Callable[[], bool], *, deadline: float | None = None
) -> Engine:  # fmt: skip
    """The engine the configuration describes. ConfigError if repository or password are not told."""
    if settings.repository is None:
        raise ConfigError(
            "no repository is configured",
            "name its folder as repository in the table [backup]",
            code="no-repository-told",
        )
    return Engine(
        settings.repository, settings.restic, secret(settings), clock, stopped,
        deadline or settings.deadline_minutes * 60.0, float(settings.stall_seconds),
    )  # fmt: skip


def secret(settings: BackupSettings) -> dict[str, str]:
    """How restic is told the password: by file or environment, which others cannot look into.

    ConfigError (``no-password``, ``bad-password-file``) if there is none, or if others may read its file.
    """
    if settings.password is not None:
        return {"RESTIC_PASSWORD": settings.password.get_secret_value()}
    file = settings.password_file
    if file is None:
        raise ConfigError(
            "no password of the repository is configured",
            "write one into a file only its owner may read, name it as password_file in [backup],"
            " and keep a copy of it away from this machine",
            code="no-password",
        )
    try:
        mode, text = file.stat().st_mode, file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise ConfigError(
            f"the password file {file} cannot be read: {why}", "correct password_file", code="bad-password-file",
        ) from error  # fmt: skip
    if stat.S_IMODE(mode) & 0o077:
        raise ConfigError(
            f"others may read the password file {file}",
            f"chmod 600 {file}",
            code="bad-password-file",
        )
    if not text.strip():
        raise ConfigError(
            f"the password file {file} is empty", "write the password into it", code="bad-password-file",
        )  # fmt: skip
    return {"RESTIC_PASSWORD_FILE": str(file)}


def _any(folder: Path) -> bool:
    """Whether anything lies in ``folder``; also if it cannot be looked into."""
    try:
        return any(folder.iterdir())
    except FileNotFoundError:
        return False
    except OSError:
        return True
