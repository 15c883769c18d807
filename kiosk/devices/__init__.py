"""Registry of drivers: a name in the configuration -> a class, imported when it is asked for.

A driver from outside registers in the entry-point group ``mocban.devices`` as ``pad.NAME`` or ``gate.NAME``.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, cast

from kiosk.devices.base import Gate, Pad
from mocban.errors import ConfigError

GROUP = "mocban.devices"

PADS: dict[str, str] = {
    "3m": "kiosk.devices.m3_pad:m3_pad",
    "auto": "kiosk.devices.auto_pad:AutoPad",
    "feig": "kiosk.devices.feig_pad:feig_pad",
    "none": "kiosk.devices.none_pad:NonePad",
    "pcsc": "kiosk.devices.pcsc_pad:pcsc_pad",
    "rr9": "kiosk.devices.rr9_pad:rr9_pad",
    "uhf18": "kiosk.devices.uhf18_pad:uhf18_pad",
}

GATES: dict[str, str] = {
    "feig": "kiosk.devices.feig_gate:feig_gate",
    "uhf288": "kiosk.devices.uhf288_gate:uhf288_gate",
}


def open_pad(driver: str, url: str) -> Pad:
    """A pad of that driver at that URL, not opened yet: ``await pad.open()``. ConfigError: no such driver."""
    return cast(Pad, _load("pad", driver, PADS)(url))


def open_gate(driver: str, url: str, **options: Any) -> Gate:
    """A gate of that driver at that URL, not opened yet; ``options`` are the driver's own."""
    return cast(Gate, _load("gate", driver, GATES)(url, **options))


def _load(kind: str, driver: str, table: dict[str, str]) -> Any:
    if driver in table:
        module, _, name = table[driver].partition(":")
        return getattr(import_module(module), name)
    for point in entry_points(group=GROUP, name=f"{kind}.{driver}"):
        return point.load()
    known = ", ".join(sorted(table))
    raise ConfigError(f"There is no {kind} driver called {driver}.", f"Choose one of: {known}.")
