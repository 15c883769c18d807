"""However the branch is ended, nothing stays behind but its data folder."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

WITHIN = 2.0  # seconds
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL]


def children(pid: int) -> set[int]:
    """All descendants of ``pid`` now."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue
        parents[int(stat.parent.name)] = int(text.rpartition(")")[2].split()[1])
    found: set[int] = set()
    while more := {child for child, parent in parents.items() if parent in found | {pid}} - found:
        found |= more
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def browser(url: str, path: str) -> Iterator[None]:
    """An open live stream, as a browser holds one."""
    port = int(url.rsplit(":", 1)[1].strip("/"))
    with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        seen = b""
        while b"event:" not in seen and b"data:" not in seen:
            data = sock.recv(65536)
            assert data, f"{path} ended: {seen[:300]!r}"
            seen += data
        assert b" 200 " in seen
        yield


def left(true: Callable[[], bool], deadline: float) -> bool:
    """Whether ``true`` still holds when the time is up."""
    while true() and time.monotonic() < deadline:
        time.sleep(0.02)
    return true()


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_the_end_leaves_nothing_behind(number: signal.Signals, tmp_path: Path) -> None:
    end(number, tmp_path, "iotcore")


def test_a_foreign_broker_is_no_exception(tmp_path: Path) -> None:
    if not shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin"):
        pytest.skip("mosquitto is not installed here: this tier installs no system package")
    end(signal.SIGKILL, tmp_path, "mosquitto")


def test_prometheus_is_no_exception(tmp_path: Path) -> None:
    if not (shutil.which("prometheus") and shutil.which("prometheus-alertmanager")):
        pytest.skip("Prometheus is not installed here: this tier installs no system package")
    end(signal.SIGKILL, tmp_path, "iotcore", "--with", "prometheus")


def end(number: signal.Signals, tmp_path: Path, broker: str, *more: str) -> None:
    folder = tmp_path / "data"
    with subprocess.Popen(
        [sys.executable, "-m", "mocban", "up", "--free-ports", "--data", str(folder), "--broker", broker, *more],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, start_new_session=True,
    ) as branch:  # fmt: skip
        assert branch.stdout is not None
        assert branch.stderr is not None
        urls: list[str] = []
        while len(urls) < 3:
            line = branch.stdout.readline()
            assert line, branch.stderr.read()
            urls += re.findall(r"http://127\.0\.0\.1:\d+/", line)
        kiosk, gateway, world = urls
        pids = children(branch.pid)
        assert len(pids) >= 10, "one process a service"
        ptys = [Path(os.readlink(folder / "run" / name)) for name in ("pad", "gate")]
        assert all(pty.exists() for pty in ptys)
        ports = [int(url.rsplit(":", 1)[1].strip("/")) for url in urls]
        with ExitStack() as browsers:
            browsers.enter_context(browser(kiosk, "/events"))
            browsers.enter_context(browser(gateway, "/live"))
            browsers.enter_context(browser(world, "/live"))
            began = time.monotonic()
            branch.send_signal(number)
            deadline = began + WITHIN
            assert not left(lambda: any(map(alive, pids)), deadline), {
                pid: Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
                for pid in pids
                if alive(pid)
            }
            assert branch.wait(max(0.1, deadline - time.monotonic())) == (
                -9 if number == signal.SIGKILL else 0
            )
        assert not any(map(listens, ports))
        assert not any((folder / "run" / name).is_symlink() for name in ("pad", "gate"))
        assert branch.stderr.read() == ""
        assert {entry.name for entry in tmp_path.iterdir()} == {"data"}
        for log in (folder / "log").glob("*.log"):
            assert "Traceback" not in log.read_text(), log
