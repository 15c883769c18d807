"""A machine with a gateway's database, a restic repository beside it, and a restic that can be held at any point."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.store.sqlite import COMPONENT, PACKAGE
from mocban import supervise
from mocban.migrate import open_db
from tests.fault.harness import tool, until

PASSWORD = "thư viện 1947"
VERBS = ("version", "cat", "init", "backup", "snapshots", "ls", "dump")
_HOLDING = """\
#!/bin/sh
# restic, held while a file named so lies in {gates}: before-VERB or after-VERB.
for word; do
    case "$word" in {verbs}) verb=$word; break;; esac
done
hold() {{
    [ -e "{gates}/$1" ] || return
    touch "{gates}/$1.reached"
    while [ -e "{gates}/$1" ]; do sleep 0.02; done
}}
hold "before-$verb"
[ -e "{gates}/after-$verb" ] || exec {restic} "$@"
{restic} "$@"
status=$?
hold "after-$verb"
exit $status
"""


@dataclass
class Ended:
    """How a command ended."""

    code: int
    body: dict[str, Any]

    @property
    def error(self) -> str:
        """The code of its first error, empty if there is none."""
        return str(self.body["errors"][0]["code"]) if self.body["errors"] else ""


class Vault:
    """``mocban backup`` on one machine."""

    def __init__(self, folder: Path, data: Path | None = None, mqtt: int = 1) -> None:
        self.folder = folder
        self.data = data or folder / "data"
        self.repository = folder / "repository"
        self.config = folder / "backup.toml"
        self.gates = folder / "gates"
        self.gates.mkdir()
        self._restic = shutil.which("restic") or "restic"
        self.mqtt = mqtt
        self._held: list[subprocess.Popen[bytes]] = []
        password = folder / "password"
        password.write_text(PASSWORD, encoding="utf-8")
        password.chmod(0o600)
        holding = folder / "restic"
        holding.write_text(
            _HOLDING.format(gates=self.gates, verbs="|".join(VERBS), restic=self._restic),
            encoding="utf-8",
        )
        holding.chmod(0o755)
        self.configure()

    def configure(self, **keys: Any) -> None:
        """Write the configuration, with ``keys`` of the table changed."""
        table = {
            "repository": str(self.repository), "password_file": str(self.folder / "password"),
            "restic": str(self.folder / "restic"), **keys,
        }  # fmt: skip
        lines = [
            f"{key} = {json.dumps(value)}" for key, value in table.items() if value is not None
        ]
        self.config.write_text(
            f'tenant = "demo"\ndata_dir = "{self.data}"\nmqtt = "mqtt://127.0.0.1:{self.mqtt}"\n[backup]\n'
            + "\n".join(lines),
            encoding="utf-8",
        )

    @property
    def database(self) -> Path:
        """The gateway's."""
        return self.data / "gateway" / "gateway.db"

    @property
    def staged(self) -> list[Path]:
        """What lies in the staging folder."""
        return list((self.data / "backup" / "staging").glob("*"))

    def fill(self, rows: int = 200, app: str = "gateway") -> None:
        """A database of the gateway's with ``rows`` more rows of 4 kB noise."""
        db = open_db(self.data / app / f"{app}.db", COMPONENT, PACKAGE)
        db.execute("CREATE TABLE IF NOT EXISTS noise (x BLOB)")
        db.execute("BEGIN")
        db.executemany("INSERT INTO noise VALUES (randomblob(4000))", [()] * rows)
        db.execute("COMMIT")
        db.close()

    def argv(self, *words: str) -> list[str]:
        """A command; ConfigError (code ``missing-tool``) without a restic to work with."""
        tool("restic")
        return [sys.executable, "-m", "mocban", "backup", *words, "--config", str(self.config)]

    def __call__(self, *words: str, timeout: float = 60.0) -> Ended:
        """Run a command to its end."""
        done = subprocess.run(
            [*self.argv(*words), "--json"], capture_output=True, text=True, timeout=timeout, check=False,
            env={**os.environ, "MOCBAN_LANG": "en"},
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        assert not done.stderr, done.stderr
        body = json.loads(done.stdout.splitlines()[-1])
        assert set(body) >= {"ok", "errors"}
        assert body["ok"] == (done.returncode == 0) == (not body["errors"])
        for error in body["errors"]:
            assert error["say"]
            assert error["do"]
        return Ended(done.returncode, body)

    def say(self, *words: str, lang: str = "en") -> tuple[int, str, str]:
        """Run a command as a person does: exit code, stdout, stderr."""
        done = subprocess.run(
            self.argv(*words), capture_output=True, text=True, timeout=60, check=False,
            env={**os.environ, "MOCBAN_LANG": lang},
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    def restic(self, *words: str, cwd: Path | None = None, status: int = 0) -> str:
        """The real restic, by hand."""
        done = subprocess.run(
            [self._restic, "-r", str(self.repository), "--no-cache", *words], capture_output=True, text=True,
            cwd=cwd, check=False, env={**os.environ, "RESTIC_PASSWORD": PASSWORD},
        )  # fmt: skip
        assert done.returncode == status, done.stderr
        return done.stdout

    def shelf(self) -> list[dict[str, Any]]:
        """The snapshots."""
        return list(json.loads(self.restic("--no-lock", "--json", "snapshots")) or [])

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Start a command and let it run."""
        child = subprocess.Popen(
            [*self.argv(*words), "--json"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env={**os.environ, supervise.PARENT: str(os.getpid())},
        )  # fmt: skip
        self._held.append(child)
        return child

    def hold(self, gate: str, *words: str) -> subprocess.Popen[bytes]:
        """Start a command, and wait until it stands at ``gate``."""
        (self.gates / gate).touch()
        child = self.start(*words)
        until((self.gates / f"{gate}.reached").exists, f"it stands {gate}")
        return child

    def release(self) -> None:
        """Open all gates."""
        for gate in self.gates.iterdir():
            gate.unlink()

    def lock(self) -> subprocess.Popen[bytes]:
        """A ``prune`` that holds the repository's lock and stands still; killed by whoever asked for it."""
        child = subprocess.Popen(
            [self._restic, "-r", str(self.repository), "--no-cache", "prune"], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env={**os.environ, "RESTIC_PASSWORD": PASSWORD},
        )  # fmt: skip
        locks = self.repository / "locks"
        until(
            lambda: any(re.fullmatch("[0-9a-f]{64}", each.name) for each in locks.iterdir()),
            "it has the lock",
        )
        child.send_signal(signal.SIGSTOP)
        return child

    def close(self) -> None:
        """End what still runs."""
        for child in self._held:
            if child.poll() is None:
                child.kill()
            child.communicate()


def opened(folder: Path) -> Iterator[Vault]:
    """One for a test; nothing of it runs on afterwards."""
    made = Vault(folder)
    try:
        yield made
    finally:
        made.close()
