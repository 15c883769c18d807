"""Processes of operations, forked from one that has loaded everything: a start costs no import, a kill is a kill.

Speaks on stdin and stdout: ``start`` answers a pid, ``kill`` ends that process with -9 and answers ``gone``.
"""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from pathlib import Path

from mocban import config, supervise
from mocban.cli import run_service
from ops.app import main
from ops.settings import OpsSettings


def nurse(path: Path, log: Path) -> None:
    """Serve one parent, until it closes our stdin."""
    child = 0
    os.environ[supervise.PARENT] = str(os.getpid())
    for line in sys.stdin:
        if line.strip() == "start":
            child = os.fork()
            if child == 0:
                out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
                os.dup2(out, 1)
                os.dup2(out, 2)
                os.close(0)
                run_service(partial(main, config.load("ops", OpsSettings, path)))
            print(child, flush=True)  # noqa: T201
        else:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            print("gone", flush=True)  # noqa: T201


if __name__ == "__main__":
    import cryptography.hazmat.primitives.asymmetric.ed25519
    import uvicorn

    del cryptography, uvicorn
    nurse(Path(sys.argv[1]), Path(sys.argv[2]))
