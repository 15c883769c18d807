"""One list of actions: keys, palette, help and commands of the shell are the same list."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest
from textual.binding import Binding
from typer.main import get_command

import ops.cli
import ops.runbooks.cli
from ops.console.actions import ACTIONS, PAGES, bindings, on_page
from ops.console.app import Console
from ops.console.helping import OPEN, command, lines, shell, table
from ops.console.pages.page import Page

ROOTS: dict[str, Any] = {"ops": ops.cli.app, "runbook": ops.runbooks.cli.app}


def test_names_are_unique_and_no_key_has_two_meanings_on_a_page() -> None:
    assert len({one.id for one in ACTIONS}) == len(ACTIONS)
    for page in PAGES:
        twice = [
            key
            for key, n in Counter(key for one in on_page(page) for key in one.keys).items()
            if n > 1
        ]
        assert twice == []


@pytest.mark.parametrize("page", PAGES)
def test_a_page_hears_exactly_the_keys_of_the_list(page: str) -> None:
    made = Console.MODES[page]
    assert isinstance(made, type)
    assert issubclass(made, Page)
    own = {(one.key, one.action) for one in made.BINDINGS if isinstance(one, Binding)}
    assert own == {(",".join(one.keys), f"app.act('{one.id}')") for one in on_page(page)}
    assert len(bindings(page)) == len(on_page(page))


def test_help_and_the_programs_table_name_every_action() -> None:
    for lang in ("vi", "en"):
        text = "\n".join(line for line, _ in lines(lang))
        for one in ACTIONS:
            assert one.sentence(lang) in text
            assert all(each in text for each in shell(one))
    assert [row["id"] for row in table()] == [one.id for one in ACTIONS]


def test_everything_that_asks_or_changes_something_has_a_command() -> None:
    assert {one.id for one in ACTIONS if not shell(one)} == {"back", "quit"}


TEMPLATES = sorted(
    {one.cli for one in ACTIONS if one.cli and one.cli != "{open}"} | set(OPEN.values())
)


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_command_exists_with_each_of_its_options(template: str) -> None:
    name, root, *words = re.sub(
        r"\{variables\}", "--var a=b", re.sub(r"\{outcome\}", "--failed", template)
    ).split()
    assert name == "mocban"
    node: Any = get_command(ROOTS[root])
    while words and hasattr(node, "commands"):
        assert words[0] in node.commands, template
        node = node.commands[words.pop(0)]
    assert not hasattr(node, "commands"), template
    known = {flag for param in node.params for flag in param.opts}
    assert {word for word in words if word.startswith("--")} <= known
    places = [param for param in node.params if type(param).__name__.endswith("Argument")]
    given = [
        word
        for word, before in zip(words, ["", *words], strict=False)
        if not word.startswith("--") and not before.startswith("--")
    ]
    flags = {"--once", "--dry-run", "--help-actions", "--failed"}
    given += [
        word
        for word, before in zip(words, ["", *words], strict=False)
        if not word.startswith("--") and before in flags
    ]
    assert len(given) <= len(places)


def test_values_stand_in_the_command_as_the_shell_reads_them() -> None:
    assert command("mocban x {text} --by {me}", {"text": "it's $HOME; rm", "me": "lan"}) == (
        "mocban x 'it'\"'\"'s $HOME; rm' --by lan"
    )
    assert (
        command("mocban x {no} {variables} --by {me}", {"variables": ""}) == "mocban x NO --by ME"
    )
