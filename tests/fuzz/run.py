"""Fuzz every room that reads foreign bytes: ``python -m tests.fuzz.run SECONDS [TARGET...]``, so long for each target.

Each target runs in a process of its own, with golden frames and tags to begin with. Needs atheris (extra ``fuzz``).
What breaks a target is shown as hex, ready to become a test.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from mocban.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 512
"""Bytes of one input: longer than any frame of a pad, so that framers see several."""
_SPARE = 60  # seconds a process may take to start and to end


@dataclass(frozen=True, slots=True)
class Outcome:
    """``runs``: inputs tried, 0 if that was not told. ``broke``: the input that broke the target, b"" if none did."""

    name: str
    ok: bool
    runs: int
    broke: bytes
    log: str


def fuzz(name: str, seconds: int) -> Outcome:
    """Run one target in a process of its own; ConfigError if atheris is not there."""
    if importlib.util.find_spec("atheris") is None:
        raise ConfigError(
            "atheris is missing", 'install it with pip install "mocban[fuzz]"', code="missing-tool"
        )
    with tempfile.TemporaryDirectory(prefix="mocban-fuzz-") as folder:
        crash = Path(folder) / "crash"
        argv = [sys.executable, "-m", "tests.fuzz.run", "--one", name, str(seconds), folder]
        done = subprocess.run(
            argv, cwd=ROOT, capture_output=True, text=True, errors="replace", check=False, timeout=seconds + _SPARE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )  # fmt: skip
        broke = crash.read_bytes() if crash.exists() else b""
    log = done.stdout + done.stderr
    tried = [line for line in log.splitlines() if line.startswith("stat::number_of_executed_units")]
    runs = int(tried[-1].split(":")[-1]) if tried else 0
    return Outcome(name, done.returncode == 0, runs, broke, log)


def _one(name: str, seconds: str, folder: str) -> None:
    """In the target's own process: never returns."""
    import atheris

    with atheris.instrument_imports(include=["kiosk.wire", "tests.fuzz.targets"]):
        from tests.fuzz import targets

    target = next(each for each in targets.every() if each.name == name)
    corpus = Path(folder) / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    atheris.Setup(
        [
            "fuzz", f"-max_total_time={seconds}", f"-max_len={LONGEST}", "-print_final_stats=1", "-timeout=5",
            "-rss_limit_mb=1024", f"-exact_artifact_path={folder}/crash", str(corpus),
        ],
        lambda data: target.run(bytes(data)),
    )  # fmt: skip
    atheris.Fuzz()


def main(argv: list[str]) -> int:
    """0: nothing broke; 1: something did; 2: wrong usage."""
    if argv[:1] == ["--one"]:
        _one(*argv[1:])
    if not argv or not argv[0].isdecimal():
        print(__doc__, file=sys.stderr)  # noqa: T201
        return 2
    from tests.fuzz import targets

    names = argv[1:] or [target.name for target in targets.every()]
    worst = 0
    for name in names:
        found = fuzz(name, int(argv[0]))
        told = "ok" if found.ok else f"BROKE on {found.broke.hex() or 'nothing written down'}"
        print(f"{name:8} {found.runs:>10} inputs  {told}")  # noqa: T201
        if not found.ok:
            print(found.log[-4000:], file=sys.stderr)  # noqa: T201
            worst = 1
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
