"""The contract's page and schemas are those of the code, and nothing committed before is broken."""

from __future__ import annotations

import copy
import importlib.util
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _contract() -> ModuleType:
    spec = importlib.util.spec_from_file_location("contract", ROOT / "docs" / "contract.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


contract = _contract()
AGAIN = "run .venv/bin/python docs/contract.py"


def _git(*words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False
    )
    return done.stdout if done.returncode == 0 else ""


def test_the_page_is_the_codes() -> None:
    assert contract.PAGE.read_text(encoding="utf-8") == contract.page(), AGAIN


def test_the_schemas_are_the_codes() -> None:
    stand = {
        str(file.relative_to(contract.SCHEMAS))[:-5]: file.read_text(encoding="utf-8")
        for file in contract.SCHEMAS.rglob("*.json")
    }
    assert stand == contract.schemas(), AGAIN


@pytest.mark.parametrize("revision", ["HEAD", "HEAD~1"])
def test_nothing_committed_is_broken(revision: str) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("NOT TESTED: the contract against what is committed, this is no git checkout")
    now = {name: json.loads(text) for name, text in contract.schemas().items()}
    broken = []
    for path in _git("ls-tree", "-r", "--name-only", revision, "docs/schemas").splitlines():
        name = path.removeprefix("docs/schemas/").removesuffix(".json")
        old = json.loads(_git("show", f"{revision}:{path}"))
        why = contract.breaks(old, now[name]) if name in now else ["it is gone"]
        broken += [f"{name}: {each}" for each in why]
    assert not broken, "raise kv or nv instead, and keep the old version"


def _changed(change: Callable[[dict[str, Any]], object]) -> list[str]:
    old = json.loads(contract.schemas()["facts/loan-made.1"])
    new = copy.deepcopy(old)
    change(new)
    return list(contract.breaks(old, new))


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s["properties"].pop("due"),
        lambda s: s["required"].append("due"),
        lambda s: s["required"].remove("item"),
        lambda s: s["properties"]["security"]["enum"].append("maybe"),
        lambda s: s["properties"]["item"].update(maxLength=32),
        lambda s: s["properties"]["line"].update(type="string"),
    ],
)
def test_what_breaks_a_reader_is_noticed(change: Callable[[dict[str, Any]], object]) -> None:
    assert _changed(change)


def test_a_new_optional_field_and_better_words_break_nothing() -> None:
    assert not _changed(lambda s: s["properties"].update(branch={"type": "string", "default": ""}))
    assert not _changed(lambda s: s.update(description="better words"))


def test_the_vectors_on_the_page_hold() -> None:
    envelope = contract.example()
    assert envelope.encode().decode() in contract.page()
    assert str(envelope.fact().id_at("door-1")) in contract.page()
