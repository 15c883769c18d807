"""The frame of the benches: ours and a reference measured in the same run, medians with their spread."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import typer

from mocban.cli import emit
from mocban.errors import ConfigError, Exit

FOLDER = Path(__file__).resolve().parent.parent / "bench"


@dataclass(frozen=True, slots=True)
class Case:
    """One comparison. ``ours`` and ``reference`` are medians in ``unit``; ``goal`` bounds ours from above."""

    case: str
    ours: float
    reference: float
    unit: str
    goal: float
    what: str  # what the reference is
    low: float  # spread of ours
    high: float
    rounds: int

    @property
    def ratio(self) -> float:
        """Ours over the reference."""
        return round(self.ours / self.reference, 3) if self.reference else 0.0

    @property
    def met(self) -> bool:
        """Ours is within the goal."""
        return self.ours <= self.goal

    def as_json(self) -> dict[str, Any]:
        """The shape ``--json`` prints."""
        return {**asdict(self), "ratio": self.ratio, "met": self.met}


def case(
    name: str, ours: list[float], reference: list[float], *, unit: str, goal: float, what: str
) -> Case:
    """A case from the single measurements."""
    return Case(
        name, round(median(ours), 3), round(median(reference), 3), unit, goal, what,
        round(min(ours), 3), round(max(ours), 3), len(ours),
    )  # fmt: skip


def names() -> dict[str, str]:
    """The benches of this checkout with the first line of their docstring; _ in a file is - in a name."""
    if not FOLDER.is_dir():
        raise ConfigError("benches run from a checkout", "clone the project and run ./up --setup")
    found = {}
    for file in sorted(FOLDER.glob("*.py")):
        found[file.stem.replace("_", "-")] = (
            file.read_text(encoding="utf-8").split('"""')[1].splitlines()[0]
        )
    return found


def run(name: str, *, quick: bool, as_json: bool) -> int:
    """Run bench ``name`` (``list`` prints them, ``all`` runs all); 1 if a goal was missed."""
    known = names()
    if name == "list":
        if as_json:
            emit({"ok": True, "benches": known, "errors": []})
        else:
            for each, what in known.items():
                typer.echo(f"{each:12} {what}")
        return Exit.DONE
    wanted = list(known) if name == "all" else [name]
    if unknown := set(wanted) - set(known):
        raise ConfigError(f"there is no bench {unknown.pop()}", "see mocban bench list")
    results = [(each, _load(each)(quick)) for each in wanted]
    met = all(c.met for _, cases in results for c in cases)
    if as_json:
        found = [{"bench": each, "cases": [c.as_json() for c in cases]} for each, cases in results]
        emit({"ok": met, "benches": found, "errors": []})
    else:
        for each, cases in results:
            _print(each, cases)
    return Exit.DONE if met else Exit.NO


def _load(name: str) -> Callable[[bool], list[Case]]:
    stem = name.replace("-", "_")
    spec = importlib.util.spec_from_file_location(f"bench_{stem}", FOLDER / f"{stem}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    run_bench: Callable[[bool], list[Case]] = module.run
    return run_bench


def _print(name: str, cases: list[Case]) -> None:
    for c in cases:
        mark = "met" if c.met else "MISSED"
        typer.echo(
            f"{name}: {c.case}: {c.ours} {c.unit} ({c.low} to {c.high}, {c.rounds} rounds), goal {c.goal}: {mark};"
            f" {c.ratio} x {c.what} ({c.reference} {c.unit})"
        )
