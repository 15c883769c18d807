"""A program in restic's place that says recorded words, hangs or dies: every wait ends, with one sentence."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from backup import engine as room
from backup import restic
from backup.engine import Engine
from backup.faults import Busy
from backup.settings import BackupSettings
from mocban.clock import SystemClock
from mocban.errors import ConfigError, Exit, MocbanError, StorageError

DATA = Path(__file__).parents[1] / "data" / "restic"
CLOCK = SystemClock()
VERSION = 'case " $* " in *" version "*) echo "restic 0.14.0 compiled"; exit 0;; esac\n'


@pytest.fixture
def stand(tmp_path: Path) -> Callable[..., Engine]:
    """An engine whose program is a shell script."""

    def made(script: str, **other: Any) -> Engine:
        program = tmp_path / "restic"
        program.write_text(f"#!/bin/sh\n{VERSION}{script}\n", encoding="utf-8")
        program.chmod(0o755)
        whole = Engine(
            tmp_path / "repository", str(program), {"RESTIC_PASSWORD": "very secret"}, CLOCK, lambda: False,
            20.0, 20.0,
        )  # fmt: skip
        return replace(whole, **other)

    return made


def replay(name: str) -> str:
    """A script that ends as the recorded call did."""
    status = (DATA / f"{name}.rc").read_text().strip().removeprefix("rc=")
    return f"cat {DATA}/{name}.stdout; cat {DATA}/{name}.stderr >&2; exit {status}"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("no-repository", "no-repository"), ("config-damaged", "repository-damaged"),
        ("unknown-flag", "restic-unsuitable"),
    ],
)  # fmt: skip
def test_a_repository_that_does_not_open_says_why(
    stand: Callable[..., Engine], name: str, code: str
) -> None:
    with pytest.raises(MocbanError) as told:
        stand(replay(name)).ready()
    assert told.value.code == code


def test_a_wrong_password_is_told_from_keys_that_are_gone(stand: Callable[..., Engine]) -> None:
    restic_ = stand(replay("wrong-password"))
    with pytest.raises(MocbanError) as told:
        restic_.ready()
    assert told.value.code == "repository-damaged"
    (restic_.repository / "keys").mkdir(parents=True)
    (restic_.repository / "keys" / "ab12").touch()
    with pytest.raises(MocbanError) as told:
        restic_.ready()
    assert told.value.code == "wrong-password"
    assert told.value.exit == Exit.USAGE


def test_a_repository_without_its_config_is_damaged_and_no_reason_to_make_one(
    stand: Callable[..., Engine],
) -> None:
    restic_ = stand(replay("no-repository"))
    (restic_.repository / "keys").mkdir(parents=True)
    (restic_.repository / "keys" / "ab12").touch()
    with pytest.raises(MocbanError) as told:
        restic_.ready()
    assert told.value.code == "repository-damaged"
    with pytest.raises(ConfigError) as refused:
        restic_.make()
    assert refused.value.code == "not-empty"


def test_without_restic_or_with_something_else_it_says_what_to_install(
    stand: Callable[..., Engine], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as told:
        stand("", program="no-such-restic").ready()
    assert told.value.code == "missing-restic"
    assert "install the package restic" in told.value.do
    for other in ("/bin/true", "/bin/false"):
        with pytest.raises(ConfigError) as told:
            stand("", program=other).ready()
        assert told.value.code == "restic-unsuitable"
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF, not really")
    broken.chmod(0o755)
    with pytest.raises(ConfigError) as told:
        stand("", program=str(broken)).ready()
    assert told.value.code == "missing-restic"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two files to store, 11 bytes together."""
    made = tmp_path / "staged"
    made.mkdir()
    (made / "gateway.db").write_bytes(b"12345678")
    (made / "manifest.json").write_bytes(b"{}\n")
    return made


NAMES = ["gateway.db", "manifest.json"]


def summary(files: int, size: int) -> str:
    return (
        f'echo \'{{"message_type":"summary","total_files_processed":{files},"total_bytes_processed":{size},'
        f'"data_added":7,"snapshot_id":"06a80032"}}\''
    )


def test_a_backup_shows_its_progress_and_ends_with_a_summary(
    stand: Callable[..., Engine], folder: Path
) -> None:
    shown: list[restic.Progress] = []
    script = 'echo \'{"message_type":"status","bytes_done":5,"total_bytes":11,"total_files":2}\'\n'
    done = stand(script + summary(2, 11)).store(folder, NAMES, "backup", "5e", shown.append)
    assert done == restic.Summary("06a80032", 2, 11, 7)
    assert shown == [restic.Progress(0, 2, 5, 11)]


@pytest.mark.parametrize(
    ("script", "code"),
    [
        (summary(1, 8), "not-all-taken"),
        (summary(2, 10), "not-all-taken"),
        ("exit 0", "not-all-taken"),
        (summary(2, 11) + "; exit 3", "restic-failed"),
        (replay("one-path-missing"), "not-all-taken"),
        (replay("unreadable"), "restic-failed"),
        (replay("locked"), "repository-locked"),
        ("kill -9 $$", "restic-failed"),
        ("echo 'Fatal: write /r/data: no space left on device' >&2; exit 1", "repository-full"),
    ],
)
def test_only_a_whole_backup_is_one(
    stand: Callable[..., Engine], folder: Path, script: str, code: str
) -> None:
    with pytest.raises(MocbanError) as told:
        stand(script).store(folder, NAMES, "backup", "5e", lambda _: None)
    assert told.value.code == code


def test_when_its_own_files_do_not_fit_the_staging_folder_is_named(
    stand: Callable[..., Engine], folder: Path
) -> None:
    script = 'echo "Fatal: write $TMPDIR/restic-temp-pack-1: no space left on device" >&2; exit 1'
    with pytest.raises(StorageError) as told:
        stand(script, scratch=folder).store(folder, NAMES, "backup", "5e", lambda _: None)
    assert told.value.code == "staging-full"


def test_secrets_are_no_arguments_and_nothing_of_ours_leaks_in(
    stand: Callable[..., Engine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESTIC_REPOSITORY", "/somewhere/else")
    monkeypatch.setenv("RESTIC_PASSWORD_COMMAND", "false")
    script = f'echo "$@" >>{tmp_path}/argv; env >{tmp_path}/env; cat >{tmp_path}/stdin; echo \'{{"id": "ab"}}\''
    restic_ = stand(script)
    assert restic_.ready() == "ab"
    assert "very secret" not in (tmp_path / "argv").read_text()
    env = (tmp_path / "env").read_text().splitlines()
    assert "RESTIC_PASSWORD=very secret" in env
    assert not [line for line in env if line.startswith(("RESTIC_REPOSITORY", "RESTIC_PASSWORD_C"))]
    assert (tmp_path / "stdin").read_bytes() == b""
    assert "very secret" not in repr(restic_)


@pytest.mark.parametrize(
    ("script", "limits"),
    [
        ("exec tail -f /dev/null", {"deadline": 0.5}),
        ("exec tail -f /dev/null", {"stall": 0.5}),
        ("exec >/dev/null 2>&1; exec tail -f /dev/null", {"deadline": 0.5}),
        # It says something all the time, and nothing moves.
        ('yes \'{"message_type":"status","bytes_done":5}\'', {"stall": 0.5}),
        ("yes 'retrying' >&2", {"stall": 0.5}),
        ("trap '' INT; while :; do tail -f /dev/null; done", {"deadline": 0.5}),
    ],
)
def test_what_never_ends_is_ended(
    stand: Callable[..., Engine], folder: Path, script: str, limits: dict[str, float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("backup.child.GRACE", 0.5)
    began = CLOCK.mono()
    with pytest.raises(StorageError) as told:
        stand(f"echo $$ >{folder}/pid\n{script}", **limits).store(
            folder, NAMES, "backup", "5e", lambda _: None
        )
    assert told.value.code == "restic-stuck"
    assert CLOCK.mono() - began < 10
    with pytest.raises(ProcessLookupError):
        os.kill(int((folder / "pid").read_text()), 0)


def test_a_backup_that_moves_slowly_is_not_stuck(
    stand: Callable[..., Engine], folder: Path
) -> None:
    script = (
        'for n in 1 2 3 4 5 6; do echo "{\\"message_type\\":\\"status\\",\\"bytes_done\\":$n}";'
        f" sleep 0.3; done; {summary(2, 11)}"
    )
    done = stand(script, stall=1.2).store(folder, NAMES, "backup", "5e", lambda _: None)
    assert done.files == 2


def test_asked_to_stop_it_stops_restic_with_sigint(
    stand: Callable[..., Engine], tmp_path: Path
) -> None:
    script = f"trap 'touch {tmp_path}/cleaned; exit 130' INT; touch {tmp_path}/began; while :; do sleep 0.05; done"
    restic_ = stand(script, stopped=(tmp_path / "began").exists)
    with pytest.raises(Busy) as told:
        restic_.snapshots()
    assert told.value.code == "cancelled"
    assert told.value.exit == Exit.NO
    assert (tmp_path / "cleaned").exists()


def test_restic_does_not_outlive_us_when_we_are_killed(
    stand: Callable[..., Engine], tmp_path: Path
) -> None:
    program = stand(f"echo $$ >{tmp_path}/pid; exec tail -f /dev/null").program
    code = (
        "import sys; from pathlib import Path; from backup.engine import Engine;"
        "from mocban.clock import SystemClock;"
        "Engine(Path('/r'), sys.argv[1], {}, SystemClock(), lambda: False, 60, 60).snapshots()"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, program])
    end = CLOCK.mono() + 20
    while not (pid := (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip()):
        assert CLOCK.mono() < end
        threading.Event().wait(0.02)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    while Path(f"/proc/{pid}").exists() and "Z" not in _state(int(pid)):
        assert CLOCK.mono() < end, "it lives on"
        threading.Event().wait(0.02)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def tar(files: dict[str, bytes]) -> bytes:
    """What a dump of ``files`` prints."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as out:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            out.addfile(info, io.BytesIO(text))
    return whole.getvalue()


def test_what_is_read_back_is_hashed_as_it_comes(
    stand: Callable[..., Engine], tmp_path: Path
) -> None:
    files = {"gateway.db": os.urandom(700_001), "manifest.json": b"{}"}
    (tmp_path / "tar").write_bytes(tar(files))
    shown: list[int] = []
    back = stand(f"cat {tmp_path}/tar").fetch("abcd", lambda _name, _size: None, shown.append)
    assert [(one.name, one.size) for one in back] == [("gateway.db", 700_001), ("manifest.json", 2)]
    assert {one.name: one.sha256 for one in back} == {
        name: sha256(text).hexdigest() for name, text in files.items()
    }
    assert shown[-1] == 700_003
    assert shown == sorted(shown)


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("head -c 300000 {tar}", "repository-damaged"),
        ("head -c 300000 {tar}; echo 'Load(<data/1>) x: no such file or directory' >&2; exit 2", "repository-damaged"),
        ("head -c 300000 {tar}; cat {data}/pack-missing.stderr >&2; exec tail -f /dev/null", "repository-damaged"),
        ("cat {tar}; exit 1", "restic-failed"),
        ("true", "repository-damaged"),
        ("head -c 100000 /dev/zero | tr '\\0' x", "repository-damaged"),
        ("head -c 300000 {tar}; exec tail -f /dev/null", "restic-stuck"),
    ],
)  # fmt: skip
def test_what_does_not_come_back_whole_is_no_backup(
    stand: Callable[..., Engine], tmp_path: Path, script: str, code: str
) -> None:
    (tmp_path / "tar").write_bytes(tar({"gateway.db": os.urandom(700_001)}))
    restic_ = stand(script.format(tar=tmp_path / "tar", data=DATA), stall=1.0)
    began = CLOCK.mono()
    with pytest.raises(MocbanError) as told:
        restic_.fetch("abcd", lambda _name, _size: None)
    assert told.value.code == code
    assert CLOCK.mono() - began < 15


def test_a_password_lies_in_a_file_only_its_owner_reads(tmp_path: Path) -> None:
    file = tmp_path / "password"

    def code(**told: Any) -> str:
        with pytest.raises(ConfigError) as refused:
            room.secret(BackupSettings(repository=tmp_path, **told))
        assert refused.value.do
        return refused.value.code

    assert code() == "no-password"
    assert code(password_file=file) == "bad-password-file"
    file.write_text("correct horse\n", encoding="utf-8")
    file.chmod(0o640)
    assert code(password_file=file) == "bad-password-file"
    file.chmod(0o600)
    assert room.secret(BackupSettings(password_file=file)) == {"RESTIC_PASSWORD_FILE": str(file)}
    file.write_text(" \n", encoding="utf-8")
    assert code(password_file=file) == "bad-password-file"
    file.write_bytes(b"\xff\xfe")
    assert code(password_file=file) == "bad-password-file"
    told = BackupSettings.model_validate({"password": "battery"})
    assert room.secret(told) == {"RESTIC_PASSWORD": "battery"}
    assert "battery" not in repr(told)
    with pytest.raises(ConfigError) as refused:
        room.engine(told, CLOCK, lambda: False)
    assert refused.value.code == "no-repository-told"


@pytest.mark.parametrize(
    "told",
    [
        {"repository": "repo"}, {"repository": "sftp:host:/srv"}, {"sources": []}, {"sources": ["../etc"]},
        {"password": "a", "password_file": "/b"}, {"password": "  "}, {"max_age_hours": 0}, {"restic": ""},
        {"keys": True},
    ],
)  # fmt: skip
def test_settings_that_cannot_be_meant_are_refused(told: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        BackupSettings.model_validate(told)
