"""What a box says about itself: its parts for a self-test, and that it started."""

from __future__ import annotations

import shutil
from importlib.metadata import version
from pathlib import Path

from mocban import log
from mocban.clock import Clock, rfc3339
from mocban.errors import StorageError
from mocban.events import Audited
from mocban.health import Health
from mocban.ids import new_id
from mocban.outbox import Outbox

_log = log.get("kiosk.remote")


def parts(health: Health, outbox: Outbox, folder: Path, clock: Clock) -> dict[str, str]:
    """Every check of the process, which tries its devices all the time, then outbox, disk and clock.

    ``lost``: names of the checks that fail, with commas.
    """
    checks = health.as_json()["checks"]
    found = {name: "ok" if one["ok"] else one["say"] or "lost" for name, one in checks.items()}
    try:
        found["disk"] = f"{shutil.disk_usage(folder).free // 2**20} MiB free"
    except OSError as error:
        found["disk"] = error.strerror or "unreadable"
    found["outbox"] = f"{outbox.depth} waiting" + (", full" if outbox.full else "")
    found["clock"] = rfc3339(clock.now())
    found["lost"] = ",".join(sorted(name for name, one in checks.items() if not one["ok"]))
    return found


def fail(found: dict[str, str], part: str, say: str) -> None:
    """A trial found that ``part`` fails, whatever its check says."""
    found[part] = say
    found["lost"] = ",".join(sorted({*filter(None, found["lost"].split(",")), part}))


def started(outbox: Outbox, app: str) -> None:
    """Tell that the process of ``app`` started; a full disk does not keep it from starting."""
    try:
        outbox.put(
            Audited(
                ref=new_id(),
                actor=f"app:{app}",
                action="service-started",
                object=version("mocban"),
            )
        )
    except StorageError as error:
        _log.error("tell.failed", say=error.say)
