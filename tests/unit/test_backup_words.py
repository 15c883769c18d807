"""Every sentence the backup's commands and probes say to people is in both languages, with the same blanks."""

from __future__ import annotations

import ast
import string
from pathlib import Path

import pytest

import backup
from mocban.i18n import catalog

HOME = Path(backup.__file__).parent


def sentences(file: str) -> set[str]:
    """What ``say`` is given in a room."""
    return {
        str(node.args[0].value)
        for node in ast.walk(ast.parse((HOME / file).read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "say"
        and isinstance(node.args[0], ast.Constant)
    }


def blanks(text: str) -> list[str]:
    return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name)


@pytest.mark.parametrize(("file", "package"), [("cli.py", "backup"), ("checks.py", "mocban")])
def test_every_sentence_is_said_in_both_languages(file: str, package: str) -> None:
    found = sentences(file)
    assert len(found) >= 7
    for text in found:
        vietnamese = catalog(package, "vi").gettext(text)
        assert vietnamese != text, f"not in the Vietnamese catalog: {text}"
        assert blanks(vietnamese) == blanks(text)
        assert catalog(package, "en").gettext(text) == text
