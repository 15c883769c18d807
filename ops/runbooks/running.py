"""``mocban runbook run | show | runs | approve | deny | resume | stop``: executions from the shell.

A person's key never leaves ssh-keygen or the agent; what is signed is shown before, in words made of it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

import typer

from mocban import identity, sshkeygen
from mocban.asking import Told
from mocban.cli import ConfigOption, JsonOption, emit
from mocban.errors import ConfigError, Exit
from mocban.i18n import language
from ops.client import Client, person
from ops.runbooks import signing, tree, trying
from ops.runbooks.saying import ERRORS, N_, STATES, line, moment, name, say

POLL = 0.5
"""Seconds between two looks while watching."""
OVER = frozenset({"done", "failed", "stopped"})
UrlOption = Annotated[str, typer.Option("--url", help="Address of the operations service.")]
LangOption = Annotated[str, typer.Option("--lang", help="vi or en.")]
IdArgument = Annotated[
    str, typer.Argument(metavar="ID", help="The execution, or how its id begins.")
]
StepArgument = Annotated[str, typer.Argument(metavar="STEP", help="Needed only if several wait.")]
ByOption = Annotated[str, typer.Option("--by", help="Your name.")]


def register(app: typer.Typer) -> None:
    """Add the verbs to ``app``."""
    for verb in (run, show, runs, approve, deny, resume, stop):
        app.command(verb.__name__)(_spoken(verb))


def run(
    playbook: Annotated[str, typer.Argument(metavar="NAME")],
    path: ConfigOption = None,
    var: Annotated[list[str] | None, typer.Option("--var", help="NAME=VALUE, as often as needed.")] = None,
    incident: Annotated[int | None, typer.Option("--incident", min=1, help="Its incident.")] = None,
    by: Annotated[str, typer.Option("--by", help="Who begins it: person:NAME or app:NAME.")] = "",
    ident: Annotated[str, typer.Option("--id", help="A UUID: the same again is the same execution.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")] = False,
    drill: Annotated[bool, typer.Option("--drill", help="Play its drill: its own answers, no device.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Follow it to its end.")] = False,
    url: UrlOption = "", lang: LangOption = "", as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Begin a playbook."""
    tongue, given = language(lang), trying.variables(var or [])
    if drill and (dry_run or given):
        raise ConfigError("a drill brings its own values", "say --drill alone", code="usage")
    if drill:
        trying.drill(playbook, path, tongue, plain=_plain(), as_json=as_json)
        return
    if dry_run:
        trying.dry(playbook, path, given, tongue, plain=_plain(), as_json=as_json)
        return
    client = Client(path, url)
    body: dict[str, Any] = {
        "playbook": playbook,
        "by": by or person(),
        "variables": given,
        "id": ident,
    }
    if incident is not None:
        body["incident"] = incident
    begun = client.post("/api/v1/executions", body)["execution"]
    _shown(client, begun["id"], tongue, watch=watch, as_json=as_json)


def show(
    ident: IdArgument, path: ConfigOption = None,
    watch: Annotated[bool, typer.Option("--watch", help="Follow it to its end.")] = False,
    log: Annotated[bool, typer.Option("--log", help="Everything that happened, line by line.")] = False,
    url: UrlOption = "", lang: LangOption = "", as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Show an execution: what was done, who is waited for, and what they type."""
    client, tongue = Client(path, url), language(lang)
    found = _find(client, ident)
    if log and not as_json:
        for entry in found["log"]:
            typer.echo(f"{moment(entry['at'])}  {line(entry, tongue)}")
        return
    _shown(client, found["execution"]["id"], tongue, watch=watch, as_json=as_json, ends=False)


def runs(
    path: ConfigOption = None,
    state: Annotated[str, typer.Option("--state", help="open, running, waiting, done, failed, stopped.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000)] = 50,
    url: UrlOption = "", lang: LangOption = "", as_json: JsonOption = False,
) -> None:  # fmt: skip
    """List executions, newest first."""
    tongue = language(lang)
    query = f"?limit={limit}" + (f"&state={quote(state)}" if state else "")
    found = Client(path, url).get(f"/api/v1/executions{query}", authorized=True)["executions"]
    if as_json:
        emit({"ok": True, "executions": found, "errors": []})
        return
    plain = _plain()
    for one in found:
        about = f"  #{one['incident']}" if one["incident"] else ""
        typer.echo(
            f"{tree.MARKS[one['state']][plain]} {one['id']}  {moment(one['began'])}  "
            f"{name(one['playbook'], tongue)}{about}  {say(tongue, STATES[one['state']])}"
        )
    if not found:
        typer.echo(say(tongue, N_("No playbook was begun yet.")))


def approve(
    ident: IdArgument, step: StepArgument = "", path: ConfigOption = None,
    key: Annotated[
        Path, typer.Option("--key", help="Your SSH key, or its .pub if an agent holds it.")
    ] = Path("~/.ssh/id_ed25519"),
    person: Annotated[str, typer.Option("--as", help="Your name among the staff.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask back.")] = False,
    url: UrlOption = "", lang: LangOption = "", as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Approve a step with your SSH key, after what you sign was shown to you."""
    if not person:
        raise ConfigError("it is not known who approves", "say --as NAME, your name in [staff]")
    client, tongue = Client(path, url), language(lang)
    found = _find(client, ident)
    ask = _ask(found, step)
    signing.check(found, ask)
    if not as_json:
        typer.echo("\n".join(signing.words(found, ask, tongue)))
    if not yes:
        if as_json or not sys.stdin.isatty():
            raise ConfigError("nobody is there to confirm it", "read what it signs, then say --yes")
        if not typer.confirm(say(tongue, N_("Do you approve this?")), default=False):
            raise typer.Exit(Exit.NO)
    file = key.expanduser()
    signatures = [
        sshkeygen.sign(file, identity.canonical(one["body"]), one["namespace"]) for one in ask["documents"]
    ]  # fmt: skip
    body = {"step": ask["step"], "by": person, "signatures": signatures}
    _did(client, found, "approve", body, tongue, as_json=as_json)


def deny(
    ident: IdArgument, step: StepArgument = "", path: ConfigOption = None,
    person: Annotated[str, typer.Option("--as", help="Your name among the staff.")] = "",
    reason: Annotated[str, typer.Option("--reason", help="Why not.")] = "",
    url: UrlOption = "", lang: LangOption = "", as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Do not approve a step: it fails."""
    if not person:
        raise ConfigError("it is not known who denies", "say --as NAME, your name in [staff]")
    client, tongue = Client(path, url), language(lang)
    found = _find(client, ident)
    ask = _ask(found, step)
    body = {"step": ask["step"], "by": person, "reason": reason}
    _did(client, found, "deny", body, tongue, as_json=as_json)


def resume(
    ident: IdArgument, step: StepArgument = "", path: ConfigOption = None,
    done: Annotated[bool, typer.Option("--as-done", help="It was done.")] = False,
    failed: Annotated[bool, typer.Option("--failed", help="It was not done.")] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Try it again.")] = False,
    by: ByOption = "",
    reason: Annotated[str, typer.Option("--reason", help="What you saw.")] = "",
    url: UrlOption = "", lang: LangOption = "", as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Say what became of a step that waits for a person."""
    if done + failed + retry != 1:
        raise ConfigError(
            "say one of --as-done, --failed, --retry", "see mocban runbook show", code="usage"
        )
    outcome: Literal["done", "failed", "retry"] = (
        "done" if done else "failed" if failed else "retry"
    )
    client, tongue = Client(path, url), language(lang)
    found = _find(client, ident)
    row = _waiting(found, step, {"person", "word"})
    body = {"step": row["id"], "by": _name(by), "outcome": outcome, "reason": reason}
    _did(client, found, "resume", body, tongue, as_json=as_json)


def stop(
    ident: IdArgument, path: ConfigOption = None, by: ByOption = "",
    reason: Annotated[str, typer.Option("--reason", help="Why.")] = "",
    url: UrlOption = "", lang: LangOption = "", as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Begin no further step, and undo what was done."""
    client, tongue = Client(path, url), language(lang)
    found = _find(client, ident)
    body = {"by": _name(by), "reason": reason}
    _did(client, found, "stop", body, tongue, as_json=as_json)


# Asking the service


def _find(client: Client, ident: str) -> dict[str, Any]:
    """The execution with this id, or the only one whose id begins so."""
    if len(ident) < 36:
        every = client.get("/api/v1/executions?limit=1000", authorized=True)["executions"]
        found = [one["id"] for one in every if one["id"].startswith(ident)]
        if len(found) != 1:
            what = "several executions begin" if found else "no execution begins"
            raise ConfigError(
                f"{what} with {ident[:40]}", "see mocban runbook runs", code="execution-unknown"
            )
        ident = found[0]
    return client.get(f"/api/v1/executions/{quote(ident, safe='')}", authorized=True)


def _shown(
    client: Client, ident: str, lang: str, *, watch: bool, as_json: bool, ends: bool = True
) -> None:  # fmt: skip
    """Print an execution; with ``watch``, what changes, to its end. Exit 1 if it ended otherwise than done."""
    found = client.get(f"/api/v1/executions/{ident}", authorized=True)
    if watch:
        found = _watched(client, found, lang, as_json=as_json)
    state = found["execution"]["state"]
    bad = (watch or ends) and state in {"failed", "stopped"}
    if as_json:
        error = {
            "code": state,
            "say": f"it ended as {state}",
            "do": f"see mocban runbook show {ident}",
        }
        emit({"ok": not bad, **found, "errors": [error] if bad else []})
    else:
        typer.echo("\n".join(tree.draw(found, lang, plain=_plain())))
    if bad:
        raise typer.Exit(Exit.NO)


def _watched(client: Client, found: dict[str, Any], lang: str, *, as_json: bool) -> dict[str, Any]:
    told, pause, waited = 0, threading.Event(), ""
    while True:
        if not as_json:
            for entry in found["log"][told:]:
                typer.echo(f"{moment(entry['at'])}  {line(entry, lang)}")
            told = len(found["log"])
            now = "\n".join(tree.following(found, lang))
            if now and now != waited:
                typer.echo(now)
            waited = now
        if found["execution"]["state"] in OVER:
            return found
        pause.wait(POLL)
        found = client.get(f"/api/v1/executions/{found['execution']['id']}", authorized=True)


def _did(
    client: Client, found: dict[str, Any], verb: str, body: dict[str, Any], lang: str, *, as_json: bool
) -> None:  # fmt: skip
    """Say it to the service, and show how the execution stands then."""
    ident = found["execution"]["id"]
    client.post(f"/api/v1/executions/{ident}/{verb}", body)
    _shown(client, ident, lang, watch=False, as_json=as_json, ends=False)


# What waits


def _ask(found: dict[str, Any], step: str) -> dict[str, Any]:
    asks = [ask for ask in found["asks"] if _is(found, ask["step"], step)]
    return _only(asks, found, N_("approval"), [ask["step"] for ask in found["asks"]])


def _waiting(found: dict[str, Any], step: str, kinds: set[str]) -> dict[str, Any]:
    every = [row for row in found["steps"] if row["waits"] in kinds]
    rows = [row for row in every if _is(found, row["id"], step)]
    return _only(rows, found, N_("a person"), [row["id"] for row in every])


def _is(found: dict[str, Any], key: str, step: str) -> bool:
    """``step`` names the step ``key``: by its id, by how that begins, or by its name in any language."""
    row = next((row for row in found["steps"] if row["id"] == key), None)
    names = (
        {str(told.get("name")) for told in row["words"].values()} | {row["name"]} if row else set()
    )
    return not step or key == step or key.startswith(step) or step in names


def _only(
    rows: list[dict[str, Any]], found: dict[str, Any], what: str, every: list[str]
) -> dict[str, Any]:
    if len(rows) == 1:
        return rows[0]
    ident = found["execution"]["id"]
    if not rows:
        no = {
            "code": "not-waiting",
            "say": f"nothing here waits for {what}",
            "do": f"see mocban runbook show {ident}",
        }
        raise Told(409, no)
    raise ConfigError("several steps wait", f"name one of {', '.join(every)}", code="usage")


# Words


def _spoken(verb: Callable[..., None]) -> Callable[..., None]:
    """``verb``, telling what the service refuses in the person's language."""

    @wraps(verb)
    def spoken(*args: Any, **options: Any) -> None:
        try:
            verb(*args, **options)
        except Told as no:
            if no.code not in ERRORS:
                raise
            tongue = language(options.get("lang", ""))
            what, do = (say(tongue, text) for text in ERRORS[no.code])
            raise Told(no.status, {"code": no.code, "say": what, "do": do}) from None

    return spoken


def _plain() -> bool:
    """Whether the terminal cannot show marks."""
    try:
        "".join(mark for mark, _ in tree.MARKS.values()).encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return True
    return False


def _name(by: str) -> str:
    return person(by).removeprefix("person:")
