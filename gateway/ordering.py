"""``mocban gateway order``: ask, approve, send, look. A person's key never leaves ssh-keygen or the agent."""

from __future__ import annotations

import json
import os
import threading
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
from pydantic import BaseModel, ConfigDict, ValidationError

from gateway.client import Client
from mocban import commands, sshkeygen
from mocban.cli import ConfigOption, JsonOption, emit, new_app, user
from mocban.clock import SystemClock, parse_rfc3339, rfc3339
from mocban.errors import ConfigError, Exit, RemoteProtocolError
from mocban.ids import check_device, new_id

app = new_app("Orders to devices: ask, approve, send, look.")

GRACE = timedelta(seconds=30)
"""How long after an order's end its answer is still waited for."""
POLL = 0.3
"""Seconds between two looks while waiting."""
UrlOption = Annotated[str, typer.Option("--url", help="Address of the gateway's API.")]
WaitOption = Annotated[bool, typer.Option("--wait", help="Wait for the device's answer.")]
DraftFile = Annotated[Path, typer.Argument(dir_okay=False, help="File of a draft.")]


class Draft(BaseModel):
    """An ask on its way between persons."""

    model_config = ConfigDict(extra="forbid")
    request: commands.Request
    approvals: list[commands.Approval] = []

    def body(self) -> dict[str, Any]:
        """As the API takes it."""
        approvals = [one.model_dump() for one in self.approvals]
        return {"request": self.request.body(), "approvals": approvals}


@app.command()
def ask(
    device: str, app_name: Annotated[str, typer.Argument(metavar="APP")], name: str,
    path: ConfigOption = None,
    arg: Annotated[list[str] | None, typer.Option("--arg", help="KEY=VALUE, as often as needed.")] = None,
    seconds: Annotated[int, typer.Option("--seconds-valid", min=1, max=86_400, help="Its life.")] = 600,
    by: Annotated[str, typer.Option("--by", help="Who asks: person:NAME or app:NAME.")] = "",
    approve: Annotated[
        list[str] | None, typer.Option("--approve", help="KEYFILE=NAME: approve with this SSH key.")
    ] = None,
    draft: Annotated[
        Path | None, typer.Option("--draft", dir_okay=False, help="Write it here, send nothing.")
    ] = None,
    wait: WaitOption = False, url: UrlOption = "", as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Ask for an order, or draft it for others to approve."""
    client = Client(path, url)
    request = _request(client, device, app_name, name, arg or [], seconds, by or _me())
    asked = Draft(request=request)
    for one in approve or []:
        key, _, person = one.rpartition("=")
        if not key:
            raise ConfigError("--approve reads KEYFILE=NAME", "name the key and whose it is")
        asked.approvals.append(_approval(request, Path(key), person))
    if draft is None:
        _send(client, asked, wait=wait, as_json=as_json)
        return
    _write(draft, asked)
    _say(as_json, {"id": str(request.id), "draft": str(draft)}, f"drafted {request.id} in {draft}")


@app.command("approve")
def approve_draft(
    file: DraftFile,
    key: Annotated[Path, typer.Option("--key", help="SSH key, or its .pub if an agent holds it.")],
    name: Annotated[str, typer.Option("--as", help="Your name among the staff.")],
    as_json: JsonOption = False,
) -> None:
    """Approve a draft with your SSH key, after it was shown to you."""
    asked = _read(file)
    if not as_json:
        typer.echo(_sentence(asked.request))
    others = [one for one in asked.approvals if one.by != name]
    asked.approvals = [*others, _approval(asked.request, key, name)]
    _write(file, asked)
    names = [one.by for one in asked.approvals]
    _say(
        as_json,
        {"id": str(asked.request.id), "approvals": names},
        f"approved by {', '.join(names)}",
    )


@app.command()
def send(
    file: DraftFile, path: ConfigOption = None, wait: WaitOption = False, url: UrlOption = "",
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Send a draft to the gateway; sending it twice is sending it once."""
    _send(Client(path, url), _read(file), wait=wait, as_json=as_json)


@app.command("list")
def list_orders(
    path: ConfigOption = None,
    state: Annotated[str, typer.Option("--state", help="Only those in this state.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000)] = 50,
    url: UrlOption = "", as_json: JsonOption = False,
) -> None:  # fmt: skip
    """List orders, newest first."""
    query = f"?limit={limit}" + (f"&state={state}" if state else "")
    orders = Client(path, url).get(f"/api/v1/commands{query}")["orders"]
    lines = [
        f"{o['asked']}  {o['state']:9} {o['id']}  {o['device']}/{o['app']} {o['name']} {o['reason']}".rstrip()
        for o in orders
    ]
    _say(as_json, {"orders": orders}, "\n".join(lines) or "no orders")


@app.command()
def show(
    order: UUID, path: ConfigOption = None, url: UrlOption = "", as_json: JsonOption = False
) -> None:
    """Show one order and what became of it."""
    found = Client(path, url).get(f"/api/v1/commands/{order}")
    _say(as_json, {"order": found}, json.dumps(found, ensure_ascii=False, indent=2))


def _request(
    client: Client, device: str, app_name: str, name: str, words: list[str], seconds: int, by: str
) -> commands.Request:  # fmt: skip
    order = UUID(new_id())
    args: dict[str, Any] = {}
    for word in words:
        key, found, value = word.partition("=")
        if not found:
            raise ConfigError(f"--arg {word} reads KEY=VALUE", "write both")
        args[key] = value
    if name == commands.CollectLogs.name:
        args.setdefault("url", f"{client.config.app.address}/api/v1/uploads/{order}")
        args.setdefault("token", new_id())
    try:
        request = commands.Request(
            id=order, by=by, tenant=client.config.tenant, device=check_device(device), app=app_name,
            name=name, args=args, expires=SystemClock().now() + timedelta(seconds=seconds),
        )  # fmt: skip
        # Words of a command line are text; the command knows what they mean.
        typed = request.command().model_dump(mode="json", exclude_unset=True)
    except RemoteProtocolError as error:
        raise ConfigError(error.say, "see docs/contract.md", code=error.code) from error
    except ValidationError as error:
        raise _wrong(error) from None
    except ValueError as error:
        raise ConfigError(str(error), "name an existing device") from error
    return request.model_copy(update={"args": typed})


def _approval(request: commands.Request, key: Path, person: str) -> commands.Approval:
    sig = sshkeygen.sign(key, request.canonical(), commands.NAMESPACE)
    try:
        return commands.Approval(by=person, sig=sig)
    except ValidationError as error:
        raise _wrong(error) from None


def _send(client: Client, asked: Draft, *, wait: bool, as_json: bool) -> None:
    order = client.post("/api/v1/commands", asked.body())
    if not wait:
        _say(as_json, {"order": order}, f"{order['state']} {order['id']}")
        return
    order = _wait(client, order["id"])
    end = _end_of(order)
    say = f"{order['state']} {order['id']} {order['reason']}".rstrip()
    if end == Exit.DONE:
        result = f" {json.dumps(order['result'], ensure_ascii=False)}" if order["result"] else ""
        _say(as_json, {"order": order}, say + result)
        return
    code = order["reason"] or "no-answer"
    error = {"code": code, "say": f"the order ended as {order['state']}", "do": ""}
    if as_json:
        emit({"ok": False, "order": order, "errors": [error]})
    else:
        typer.echo(say)
    raise typer.Exit(end)


def _wait(client: Client, order: str) -> dict[str, Any]:
    """The order when it is over, or when nothing is to be expected any more."""
    clock, pause = SystemClock(), threading.Event()
    while True:
        found = client.get(f"/api/v1/commands/{order}")
        over = found["state"] in {"done", "refused", "failed", "expired"}
        if over or clock.now() > parse_rfc3339(found["expires"]) + GRACE:
            return found
        pause.wait(POLL)


def _end_of(order: dict[str, Any]) -> Exit:
    match order["state"]:
        case "done":
            return Exit.DONE
        case "refused" | "failed":
            return Exit.NO
        case _:
            return Exit.UNREACHABLE


def _read(file: Path) -> Draft:
    try:
        return Draft.model_validate_json(file.read_bytes())
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}", "name a draft") from error
    except ValidationError:
        raise ConfigError(
            f"{file} is no draft", "make one with mocban gateway order ask --draft"
        ) from None


def _write(file: Path, asked: Draft) -> None:
    """Whole or not at all; its owner's only, since a draft may carry a token."""
    new = file.with_name(f"{file.name}.{new_id()}")
    try:
        with open(
            os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
        ) as out:
            out.write(json.dumps(asked.body(), ensure_ascii=False, indent=2) + "\n")
        new.replace(file)
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be written: {error.strerror}", "name another file"
        ) from error


def _sentence(request: commands.Request) -> str:
    args = {k: v for k, v in request.args.items() if k != "token"}
    what = " ".join([request.name, *(f"{k}={v}" for k, v in args.items())])
    return f"{request.by} asks {request.device}/{request.app}: {what}, until {rfc3339(request.expires)}"


def _me() -> str:
    name = user()
    return f"person:{name}" if name else "app:gateway"


def _wrong(error: ValidationError) -> ConfigError:
    first = error.errors(include_input=False, include_url=False)[0]
    return ConfigError(
        f"{'.'.join(map(str, first['loc']))}: {first['msg']}", "see -h", code="usage"
    )


def _say(as_json: bool, body: dict[str, Any], text: str) -> None:
    if as_json:
        emit({"ok": True, **body, "errors": []})
    else:
        typer.echo(text)
