"""What the house promises about itself, held by machines."""

from __future__ import annotations

import importlib.util
import io
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("mocban", "kiosk", "gateway", "ops", "backup")
SOURCES = sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
CATALOGS = sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.po"))


def test_the_packages_stand_beside_each_other() -> None:
    """A foreign `kiosk` or `gateway` in the environment would shadow ours without a word."""
    origins = {package: importlib.util.find_spec(package) for package in PACKAGES}
    folders = {Path(spec.origin).parent.parent for spec in origins.values() if spec and spec.origin}
    assert folders == {ROOT}


@pytest.mark.parametrize(
    ("module", "banned"),
    [
        ("kiosk.app", {"fastapi", "httpx", "iotcore", "mqtt5", "gateway"}),
        ("kiosk.gates", {"fastapi", "httpx", "iotcore", "mqtt5", "gateway", "jinja2"}),
        ("gateway.app", {"serial", "httpx", "iotcore", "kiosk", "ops"}),
        (
            "ops.app",
            {"serial", "httpx", "iotcore", "mqtt5", "jinja2", "textual", "kiosk", "gateway"},
        ),
        (
            "backup.cli",
            {"fastapi", "starlette", "uvicorn", "serial", "textual", "kiosk", "gateway", "ops"},
        ),
        ("mocban.cli", {"fastapi", "starlette", "uvicorn", "serial", "jinja2", "paho", "httpx"}),
    ],
)
def test_a_process_loads_only_what_it_needs(module: str, banned: set[str]) -> None:
    code = f"import {module}, sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not banned & set(loaded.stdout.split())


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_files_are_rooms(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 380
    assert "/shared/" not in text
    if file.name != "__init__.py":
        assert text.lstrip().startswith('"""'), "a room says what it is"


def test_every_dependency_is_locked_with_hashes_and_without_addresses() -> None:
    project = PYPROJECT["project"]
    extras = project["optional-dependencies"]
    wanted = {
        "run.txt": project["dependencies"] + extras["kiosk"] + extras["gateway"] + extras["demo"],
        "dev.txt": extras["dev"],
        "contract.txt": extras["contract"],
        "system.txt": extras["pcsc"],
        "build.txt": PYPROJECT["build-system"]["requires"] + ["editables"],
    }
    assert {lock.name for lock in LOCKS} == set(wanted)
    for lock in LOCKS:
        text = lock.read_text(encoding="utf-8")
        assert not re.search(r"https?:|--(extra-)?index|--find-links|file:", text)
        pins = {line.split("==")[0].lower() for line in text.splitlines() if "==" in line}
        for need in wanted[lock.name]:
            name = re.split(r"[<>=\[ ]", need)[0].lower().replace("_", "-")
            assert name in {pin.replace("_", "-") for pin in pins}, f"{need} is not in {lock.name}"
        blocks = re.split(r"\n(?=\S)", text.strip())
        assert all("--hash=sha256:" in block for block in blocks)


@pytest.mark.parametrize("file", CATALOGS, ids=lambda file: str(file.relative_to(ROOT)))
def test_catalogs_are_complete_and_compiled(file: Path) -> None:
    with file.open("rb") as stream:
        catalog = read_po(stream, abort_invalid=True)
    assert not [m.id for m in catalog if m.fuzzy and m.id]
    missing = [m.id for m in catalog if m.id and not m.string]
    if "/vi/" in str(file):
        assert not missing
    compiled = io.BytesIO()
    write_mo(compiled, catalog)
    assert file.with_suffix(".mo").read_bytes() == compiled.getvalue(), (
        "compile the catalog again (CONTRIBUTING.md)"
    )


def test_both_languages_speak_of_the_same_things() -> None:
    assert CATALOGS
    by_home: dict[Path, dict[str, set[object]]] = {}
    for file in CATALOGS:
        with file.open("rb") as stream:
            ids: set[object] = {str(m.id) for m in read_po(stream) if m.id}
        by_home.setdefault(file.parents[2], {})[file.parents[1].name] = ids
    for home, languages in by_home.items():
        assert set(languages) == {"vi", "en"}, home
        assert languages["vi"] == languages["en"], home
