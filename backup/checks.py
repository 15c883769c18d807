"""What a backup asks of its machine, for ``mocban doctor``."""

from __future__ import annotations

from collections.abc import Iterator

from backup import standing
from backup.settings import BackupSettings
from mocban.clock import SystemClock
from mocban.config import Config
from mocban.errors import MocbanError
from mocban.findings import Finding, Words

SECONDS = 30.0
"""Longest wait for restic."""


def backup(config: Config[BackupSettings], say: Words) -> Iterator[Finding]:
    """restic is there, opens the repository, and the last good backup is not too old."""
    if config.app.repository is None and config.app.password_file is None:
        yield Finding("backup.repository", True, say("no backup is configured"))
        return
    try:
        found = standing.look(config, SystemClock(), deadline=SECONDS, measure=False)
    except MocbanError as error:
        yield Finding("backup.repository", False, error.say, error.do)
        return
    told = say("the repository {path} opens").format(path=config.app.repository)
    yield Finding("backup.repository", True, told)
    if found.damaged:
        told = say("{n} backups in the repository cannot be read").format(n=found.damaged)
        yield Finding("backup.snapshots", False, told, say("run restic check --read-data"))
    if found.age is None:
        told = say("there is no good backup of this machine")
    else:
        hours = int(found.age.total_seconds() // 3600)
        told = say("the last good backup is {hours} h old").format(hours=hours)
    do = say("run mocban backup run, and see that its timer is on")
    yield Finding("backup.age", found.fresh, told, do)
