"""``mocban ops incidents`` and ``mocban ops report``: what people see of incidents and do about them."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import typer

from mocban.asking import Told
from mocban.cli import ConfigOption, JsonOption, emit, new_app
from mocban.clock import parse_rfc3339
from mocban.errors import ConfigError
from mocban.i18n import catalog, language
from mocban.ids import check_device, new_id
from ops.client import Client, person
from ops.incidents import words
from ops.incidents.model import KINDS, SEVERITIES
from ops.incidents.words import N_, Say

_TOLD = tuple(kind for kind in KINDS if kind != "alert")
WIDTH = 80
"""Columns of a table: what fits any terminal."""

app = new_app("Incidents: list, show, acknowledge, note, resolve.")
Number = Annotated[int, typer.Argument(min=1, metavar="NO", help="Number of the incident.")]
UrlOption = Annotated[str, typer.Option("--url", help="Address of the operations API.")]
LangOption = Annotated[
    str, typer.Option("--lang", help="vi or en; else that of the shell.", metavar="LANG")
]
ByOption = Annotated[str, typer.Option("--by", help="Your name; else that of the shell's user.")]


@app.command("list")
def list_incidents(
    path: ConfigOption = None,
    state: Annotated[
        str, typer.Option("--state", help="open (not resolved), acked, resolved or all.")
    ] = "open",
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000)] = 50,
    url: UrlOption = "", lang: LangOption = "", as_json: JsonOption = False,
) -> None:  # fmt: skip
    """List incidents: those not resolved worst first, others newest first."""
    say = speech(lang)
    if state not in {"open", "acked", "resolved", "all"}:
        raise ConfigError(
            f"there is no state {state}", "write open, acked, resolved or all", code="usage"
        )
    query = f"?limit={limit}" + (f"&state={state}" if state != "all" else "")
    found = Client(path, url).get(f"/api/v1/incidents{query}", authorized=True)["incidents"]
    if as_json:
        emit({"ok": True, "incidents": found, "errors": []})
    else:
        if state in {"open", "acked"}:
            found.sort(key=lambda one: SEVERITIES.index(one["severity"]), reverse=True)
        typer.echo("\n".join(table(found, say)) if found else _none(state, say))


@app.command()
def show(
    no: Number, path: ConfigOption = None, url: UrlOption = "", lang: LangOption = "", as_json: JsonOption = False
) -> None:  # fmt: skip
    """Show one incident and its timeline."""
    tongue = language(lang)
    with _said(speech(tongue)):
        found = Client(path, url).get(f"/api/v1/incidents/{no}", authorized=True)
    if as_json:
        emit({"ok": True, **found, "errors": []})
    else:
        typer.echo("\n".join(sheet(found["incident"], found["timeline"], tongue)))


@app.command()
def ack(
    no: Number, path: ConfigOption = None, by: ByOption = "", url: UrlOption = "", lang: LangOption = "",
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Say that you see to it."""
    _act(Client(path, url), no, "ack", {"by": person(by)}, speech(lang), as_json=as_json)


@app.command()
def note(
    no: Number, text: Annotated[str, typer.Argument(help="What is worth knowing. No readers' names.")],
    path: ConfigOption = None, by: ByOption = "", url: UrlOption = "", lang: LangOption = "",
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Add a line to its timeline."""
    body = {"id": str(UUID(new_id())), "by": person(by), "text": text}
    _act(Client(path, url), no, "note", body, speech(lang), as_json=as_json)


@app.command()
def resolve(
    no: Number, text: Annotated[str, typer.Argument(help="What it was. No readers' names.")] = "",
    path: ConfigOption = None, by: ByOption = "", url: UrlOption = "", lang: LangOption = "",
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Say that it is dealt with."""
    body = {"by": person(by), "text": text}
    _act(Client(path, url), no, "resolve", body, speech(lang), as_json=as_json)


def report(
    what: Annotated[str, typer.Argument(metavar="WHAT", help="What you saw. No readers' names.")],
    path: ConfigOption = None,
    device: Annotated[str, typer.Option("--device", help="Device it is about.")] = "",
    kind: Annotated[
        str, typer.Option("--kind", help=f"One of {', '.join(_TOLD)}.")
    ] = "reported",
    by: ByOption = "", url: UrlOption = "", lang: LangOption = "", as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Report what you saw: it opens an incident, or joins the one that stands open about it."""
    say = speech(lang)
    _check(device, kind)
    body = {
        "id": str(UUID(new_id())),
        "by": person(by),
        "say": what,
        "device": device,
        "kind": kind,
    }
    found = Client(path, url).post("/api/v1/reports", body)["incident"]
    _show(found, say, as_json=as_json)


def _check(device: str, kind: str) -> None:
    """ConfigError with what may be written instead."""
    if kind not in _TOLD:
        raise ConfigError(
            f"nobody reports {kind}", f"write one of {', '.join(_TOLD)}", code="usage"
        )
    try:
        if device:
            check_device(device)
    except ValueError as error:
        raise ConfigError(f"{device} names no device", str(error), code="usage") from None


def speech(lang: str) -> Say:
    """Our words in ``lang``, or in the shell's language."""
    return catalog("ops", language(lang)).gettext


def table(incidents: list[dict[str, Any]], say: Say) -> list[str]:
    """A table of ``WIDTH`` columns."""
    head = [
        say(N_("No.")),
        say(N_("Since")),
        say(N_("State")),
        say(N_("Severity")),
        say(N_("What")),
    ]
    body = [
        [
            str(one["no"]), _local(one["opened"]), say(words.STATE_WORDS[one["state"]]),
            say(words.SEVERITY_WORDS[one["severity"]]), words.title(one, say),
        ]
        for one in incidents
    ]  # fmt: skip
    widths = [max(len(row[n]) for row in (head, *body)) for n in range(len(head) - 1)]
    lines = []
    for row in (head, *body):
        cells = [row[0].rjust(widths[0]), *(row[n].ljust(widths[n]) for n in range(1, len(widths)))]
        lines.append(_cut("  ".join([*cells, row[-1]])))
    return lines


def sheet(incident: dict[str, Any], timeline: list[dict[str, Any]], lang: str) -> list[str]:
    """One incident for a person."""
    from ops.runbooks.saying import (
        line,
    )  # only here is it needed, and it brings the playbooks with it

    say = speech(lang)
    state = say(words.STATE_WORDS[incident["state"]])
    doer = incident["resolved_by"] or incident["acked_by"]
    facts = [
        (N_("Severity"), say(words.SEVERITY_WORDS[incident["severity"]])),
        (N_("State"), f"{state} ({words.who(doer, say)})" if doer else state),
        (N_("Since"), _local(incident["opened"])),
        (N_("Over"), _local(incident["over"]) if incident["over"] else ""),
        (N_("Device"), " ".join(filter(None, (incident["device"], incident["app"])))),
        (N_("Playbook"), incident.get("execution", "")),
    ]
    told = [(say(name), value) for name, value in facts if value]
    wide = max(len(name) for name, _ in told)
    title = f"{incident['no']}  {words.title(incident, say)}"
    lines = [*textwrap.wrap(title, WIDTH, subsequent_indent="   "), ""]
    lines += [_cut(f"{name.ljust(wide)}  {value}") for name, value in told]
    lines.append("")
    for entry in timeline:
        when = _local(entry["at"])
        text = unicodedata.normalize("NFC", line(entry, lang))
        first, *rest = textwrap.wrap(text, WIDTH - 13) or [""]
        lines += [f"{when}  {first}", *(" " * 13 + part for part in rest)]
        doer = words.who(entry["actor"], say)
        if entry["what"] in {"noted", "resolved"} and entry["actor"].startswith("person:"):
            lines[-1] += f" ({doer})"
    return lines


def _act(
    client: Client, no: int, verb: str, body: dict[str, str], say: Say, *, as_json: bool
) -> None:
    with _said(say):
        found = client.post(f"/api/v1/incidents/{no}/{verb}", body)["incident"]
    _show(found, say, as_json=as_json)


def _show(incident: dict[str, Any], say: Say, *, as_json: bool) -> None:
    if as_json:
        emit({"ok": True, "incident": incident, "errors": []})
    else:
        state = say(words.STATE_WORDS[incident["state"]])
        typer.echo(_cut(f"{incident['no']}  {state}  {words.title(incident, say)}"))


def _none(state: str, say: Say) -> str:
    return say(N_("No open incidents.")) if state == "open" else say(N_("No incidents."))


@contextmanager
def _said(say: Say) -> Iterator[None]:
    """What the service refuses, in the person's language."""
    try:
        yield
    except Told as error:
        if error.code in words.ERRORS:
            what, do = words.ERRORS[error.code]
            raise Told(
                error.status, {"code": error.code, "say": say(what), "do": say(do)}
            ) from None
        raise


def _local(text: str) -> str:
    at: datetime = parse_rfc3339(text).astimezone()
    return at.strftime("%d/%m %H:%M")


def _cut(text: str) -> str:
    text = unicodedata.normalize("NFC", text).rstrip()
    return text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"
