"""A process whose wall clock is wrong or jumps, by libfaketime; its monotonic clock stays right."""

from __future__ import annotations

from pathlib import Path

from mocban.errors import ConfigError
from tests.fault.harness import tool


def clock_env(file: Path, offset: int) -> dict[str, str]:
    """The environment of a process whose wall clock is ``offset`` seconds off; write ``file`` to make it jump."""
    faketime = Path(tool("faketime")).resolve()
    found = sorted(faketime.parent.parent.glob("lib/**/faketime/libfaketimeMT.so.1"))
    if not found:
        raise ConfigError("libfaketime is missing", "apt install faketime", code="missing-tool")
    jump(file, offset)
    return {
        "LD_PRELOAD": str(found[0]), "FAKETIME_TIMESTAMP_FILE": str(file), "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_RESET": "1",
    }  # fmt: skip


def jump(file: Path, offset: int) -> None:
    """Set the clock that reads ``file`` to ``offset`` seconds off, at once."""
    new = file.with_suffix(".new")
    new.write_text(f"{offset:+d}\n", encoding="utf-8")
    new.replace(file)
