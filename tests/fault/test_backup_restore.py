"""What comes back is what was taken, or nothing comes back: damaged repositories, false snapshots, full disks."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mocban.clock import SystemClock
from tests.fault.disk import small_disk
from tests.fault.harness import until
from tests.fault.vault import Ended, Vault, opened

CLOCK = SystemClock()


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    yield from opened(tmp_path)


def spoil(folder: Path, at: int = 100) -> None:
    """Change four bytes in every file of ``folder``, and as many in its middle."""
    for file in folder.rglob("*"):
        if file.is_file():
            file.chmod(0o600)
            with file.open("r+b") as out:
                for place in (at, file.stat().st_size // 2):
                    out.seek(place)
                    out.write(b"XXXX")


@pytest.mark.parametrize("what", ["config", "keys", "index", "packs", "packs-gone", "packs-cut"])
def test_a_damaged_repository_is_never_given_a_backup_in_vain(vault: Vault, what: str) -> None:
    """What has not changed since is not stored again: only reading it back finds that the packs are bad."""
    vault.fill()
    assert vault("run", "--init").code == 0
    match what:
        case "config":
            (vault.repository / "config").unlink()
        case "keys":
            shutil.rmtree(vault.repository / "keys")
            (vault.repository / "keys").mkdir()
        case "index":
            spoil(vault.repository / "index", 40)
        case "packs":
            spoil(vault.repository / "data")
        case "packs-gone":
            shutil.rmtree(vault.repository / "data")
            (vault.repository / "data").mkdir()
        case _:
            for file in (vault.repository / "data").rglob("*"):
                if file.is_file():
                    file.chmod(0o600)
                    os.truncate(file, 100)
    back = vault.folder / "back"
    for ended in (vault("run"), vault("run", "--init"), vault("restore", "--to", str(back))):
        assert (ended.error, ended.code) == ("repository-damaged", 70)
    assert not back.exists()
    assert vault.staged == []


def test_a_damaged_older_snapshot_keeps_no_new_one_from_being_taken(vault: Vault) -> None:
    vault.fill()
    assert vault("run", "--init").code == 0
    spoil(vault.repository / "snapshots", 40)
    ended = vault("status")
    assert ended.code == 1
    assert [error["code"] for error in ended.body["errors"]] == [
        "no-good-backup",
        "damaged-snapshots",
    ]
    assert vault("run").code == 0
    ended = vault("status")
    assert (ended.error, ended.code) == ("damaged-snapshots", 3)
    assert vault("restore", "--to", str(vault.folder / "back")).code == 0


def test_a_folder_in_use_an_unknown_snapshot_and_a_flag_bring_nothing_back(vault: Vault) -> None:
    vault.fill()
    taken = vault("run", "--init")
    back = vault.folder / "back"

    def restore(*words: str) -> Ended:
        return vault("restore", *words, "--to", str(back))

    back.mkdir()
    (back / "gateway.db").write_text("a person's", encoding="utf-8")
    assert restore().error == "not-empty"
    assert (back / "gateway.db").read_text(encoding="utf-8") == "a person's"
    (back / "gateway.db").unlink()
    for wanted in ("dead", "xyz", "../..", "latest;"):
        assert restore(wanted).error == "no-snapshot"
    assert restore("--target").error == "usage"
    assert vault("restore", "--to", "/dev/null").code == 2
    assert vault("restore", "--to", "/proc/mocban").error == "refused"
    assert list(back.iterdir()) == []
    assert restore(taken.body["snapshot"]).body["files"] == taken.body["files"]
    assert sorted(each.name for each in back.iterdir()) == ["gateway.db", "manifest.json"]


def test_a_restore_that_was_killed_is_done_anew(vault: Vault) -> None:
    vault.fill()
    assert vault("run", "--init").code == 0
    back = vault.folder / "back"
    for gate in ("before-dump", "after-dump"):
        killed = vault.hold(gate, "restore", "--to", str(back))
        if gate == "after-dump":
            until(lambda: any((back / ".mocban-restoring").glob("manifest.json")), "all came back")
        killed.kill()
        killed.wait()
        vault.release()
        assert [each.name for each in back.iterdir()] == [".mocban-restoring"], "nothing unproved"
    stopped = vault.hold("before-dump", "restore", "--to", str(back))
    stopped.terminate()
    stopped.communicate(timeout=20)
    vault.release()
    assert stopped.returncode == 1
    assert vault("restore", "--to", str(back)).code == 0
    assert sorted(each.name for each in back.iterdir()) == ["gateway.db", "manifest.json"]


@pytest.mark.parametrize("how", ["other", "more", "less", "no-manifest", "link", "deep"])
def test_a_snapshot_that_is_not_what_its_manifest_says_stays_out(vault: Vault, how: str) -> None:
    vault.fill()
    assert vault("run", "--init").code == 0
    made = vault.folder / "made"
    assert vault("restore", "--to", str(made)).code == 0
    match how:
        case "other":
            with (made / "gateway.db").open("r+b") as file:
                file.seek(5000)
                file.write(b"X")
        case "more":
            (made / "ops.db").write_bytes(b"more")
        case "less":
            (made / "gateway.db").unlink()
        case "no-manifest":
            (made / "manifest.json").unlink()
        case "link":
            (made / "gateway.db").unlink()
            (made / "gateway.db").symlink_to("/etc/passwd")
        case _:
            (made / "deep").mkdir()
            (made / "deep" / "gateway.db").write_bytes(b"")
    vault.restic("backup", "--host", "backup", "--tag", "mocban", ".", cwd=made)
    back = vault.folder / "back"
    ended = vault("restore", "--to", str(back))
    assert ended.error == {
        "other": "not-as-taken",
        "more": "not-as-taken",
        "less": "not-as-taken",
    }.get(how, "bad-manifest")
    assert ended.code == 70
    assert not back.exists()
    assert vault("status").body["last"], "what was not read back does not count"


def test_a_restore_onto_a_full_disk_leaves_it_as_it_was(vault: Vault) -> None:
    vault.fill(rows=1000)
    assert vault("run", "--init").code == 0
    with small_disk(vault.folder / "small", "3m") as disk:
        for to in (disk, disk / "new" / "folder"):
            ended = vault("restore", "--to", str(to))
            assert (ended.error, ended.code) == ("folder-full", 70)
            assert list(disk.iterdir()) == []
