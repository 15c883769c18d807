"""``mocban runbook lint | list | sign``: playbooks as papers, before anything runs. None of them asks the service."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from mocban import config, identity
from mocban.access import Refusal
from mocban.cli import ConfigOption, JsonOption, emit, user
from mocban.clock import SystemClock
from mocban.config import Config
from mocban.errors import ConfigError, Exit
from mocban.i18n import language
from mocban.ids import new_id
from ops.runbooks import cacao
from ops.runbooks.library import Found, Library, examined
from ops.runbooks.problem import Problem
from ops.runbooks.saying import N_, say
from ops.runbooks.sign import sign as signed
from ops.settings import OpsSettings, playbooks

LangOption = Annotated[str, typer.Option("--lang", help="vi or en: what is said of playbooks.")]


def register(app: typer.Typer) -> None:
    """Add the verbs to ``app``."""
    app.command("lint")(lint)
    app.command("list")(list_playbooks)
    app.command("sign")(sign)


def lint(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="FILE|NAME…", help="Without one, all there are.")
    ] = None,
    path: ConfigOption = None,
    lang: LangOption = "",
    as_json: JsonOption = False,
) -> None:
    """Say what is wrong with playbooks; exit 1 if one has an error."""
    found = [one(name, path) for name in names] if names else _library(path)[1].all()
    wrong = [problem for one in found for problem in one.problems if problem.level == "error"]
    if as_json:
        errors = [
            {name: problem.as_json()[name] for name in ("code", "say", "do")} for problem in wrong
        ]
        emit({"ok": not wrong, "playbooks": [each.as_json() for each in found], "errors": errors})
    else:
        tongue = language(lang)
        typer.echo("\n\n".join(_report(each, tongue) for each in found))
    raise typer.Exit(Exit.NO if wrong else Exit.DONE)


def list_playbooks(
    path: ConfigOption = None, lang: LangOption = "", as_json: JsonOption = False
) -> None:
    """List the playbooks of this house and those mocban ships."""
    found = _library(path)[1].all()
    if as_json:
        emit({"ok": True, "playbooks": [each.as_json() for each in found], "errors": []})
        return
    tongue = language(lang)
    lines = [_line(each, tongue) for each in found] or [say(tongue, N_("There is no playbook."))]
    typer.echo("\n".join(lines))


def sign(
    name: Annotated[str, typer.Argument(metavar="FILE|NAME")],
    path: ConfigOption = None,
    key: Annotated[
        Path | None, typer.Option("--key", dir_okay=False, help="Key file, as mocban makes them.")
    ] = None,
    signee: Annotated[str, typer.Option("--as", help="Who signs it.")] = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="In place of another text, or though it was changed.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Sign a playbook and put it where the service finds it."""
    read, library = _library(path)
    found = _read(name, read.app.playbook_keys) if _file(name) else _named(library, name)
    halting = [one for one in found.halting if not (replace and one.code == "bad-signature")]
    if found.playbook is None or halting:
        _refuse(found, halting, as_json=as_json)
    file = playbooks(read.data_dir) / f"{found.stem}.json"
    _spare(file, found, replace=replace)
    own = _key(read, key)
    body = signed(found.playbook.body, own, signee or user() or "unknown", SystemClock().now())
    _write(file, body)
    pinned = own.public in read.app.playbook_keys
    if as_json:
        emit(
            {
                "ok": True, "file": str(file), "sha256": found.playbook.sha256, "public": own.public, "pinned": pinned,
                "errors": [],
            }
        )  # fmt: skip
        return
    typer.echo(f"signed {file}")
    if not pinned:
        typer.echo(f'pin its key before it can run: [ops] playbook_keys = ["{own.public}"]')


# Where from and where to


def _library(path: Path | None) -> tuple[Config[OpsSettings], Library]:
    read = config.load("ops", OpsSettings, path)
    return read, Library(playbooks(read.data_dir), read.app.playbook_keys)


def _file(name: str) -> bool:
    """``name`` means a file, not one of the library."""
    return name.endswith(".json") or "/" in name


def one(name: str, path: Path | None) -> Found:
    """The playbook in the file ``name``, which no key vouches for, or the one of the library of that name.

    ConfigError if there is none.
    """
    return _read(name, ()) if _file(name) else _named(_library(path)[1], name)


def _read(name: str, keys: tuple[str, ...]) -> Found:
    try:
        with Path(name).open("rb") as stream:
            data = stream.read(cacao.BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(f"{name} cannot be read: {error.strerror}", "name a playbook") from error
    return examined(data, name, keys, shipped=False)


def _named(library: Library, name: str) -> Found:
    try:
        return library.find(name)
    except Refusal as error:
        raise ConfigError(error.say, error.do, code=error.code) from None


def _key(read: Config[OpsSettings], key: Path | None) -> identity.SigningKey:
    if key is not None and not key.exists():
        raise ConfigError(f"there is no key {key}", "leave --key out to have one made")
    return identity.signing_key(key or read.data_dir / "ops" / "keys" / "playbook.key")


def _spare(file: Path, found: Found, *, replace: bool) -> None:
    """ConfigError if another text stands in ``file``: the owner's work is not written over unasked."""
    try:
        if replace or not file.exists() or file.samefile(found.file):
            return
        old = examined(file.read_bytes(), str(file), (), shipped=False)
    except FileNotFoundError:  # a shipped one is no file of the folder
        old = examined(file.read_bytes(), str(file), (), shipped=False)
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}", "check its folder") from error
    if old.playbook is None or found.playbook is None or old.playbook.sha256 != found.playbook.sha256:  # fmt: skip
        raise ConfigError(
            f"{file} is another text", "sign that file, move it away, or say --replace", code="exists"
        )  # fmt: skip


def _write(file: Path, body: dict[str, Any]) -> None:
    """Whole or not at all."""
    new = file.with_name(f".{file.name}.{new_id()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(new, "x", encoding="utf-8") as out:
                out.write(json.dumps(body, ensure_ascii=False, indent=2) + "\n")
                out.flush()
                os.fsync(out.fileno())
            new.replace(file)
        finally:
            new.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be written: {error.strerror}", "run this as the service's user"
        ) from error


# What is said


def _report(one: Found, lang: str) -> str:
    rows = []
    for problem in one.problems:
        told, do = problem.told(lang)
        step = one.playbook.steps.get(problem.step) if one.playbook else None
        where = _words(step.words, step.name, lang) if step else ""
        place = f"[{where}] " if where and where not in told else ""
        rows.append(f"  {problem.level:8} {problem.code:20} {place}{told}: {do}.")
    return "\n".join([_line(one, lang), *(rows or ["  " + say(lang, N_("nothing wrong"))])])


def _line(one: Found, lang: str) -> str:
    title = _words(one.playbook.words, one.playbook.name, lang) if one.playbook else ""
    asks = [v.name for v in one.playbook.variables.values() if v.external] if one.playbook else []
    if one.runnable:
        state = say(lang, N_("runs, signed by {who}"), who=one.signed_by)
    elif one.playbook is None or one.halting:
        state = say(lang, N_("cannot run"))
    else:
        state = say(lang, N_("dry-run only: no pinned key signed it"))
    asked = "  " + say(lang, N_("asks for {names}"), names=", ".join(asks)) if asks else ""
    return f"{one.stem}  {title}  ({state}){asked}"


def _words(words: Any, name: str, lang: str) -> str:
    return str(words.get(lang if lang == "en" else "vi", {}).get("name") or name)


def _refuse(found: Found, halting: list[Problem], *, as_json: bool) -> NoReturn:
    """Exit 1: a playbook that could not run is not signed."""
    first = halting[0]
    if as_json:
        errors = [{k: one.as_json()[k] for k in ("code", "say", "do")} for one in halting]
        emit({"ok": False, "playbook": found.as_json(), "errors": errors})
    else:
        typer.echo(_report(found, language()))
        typer.echo(f"mocban: not signed, {first.say}: {first.do}.", err=True)
    raise typer.Exit(Exit.NO)
