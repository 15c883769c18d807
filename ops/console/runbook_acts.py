"""What one does about playbooks: begin, rehearse, approve, deny, tell what became of a step, stop."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from mocban.errors import MocbanError
from mocban.ids import new_id
from ops.console import sheet, signing, view
from ops.console.feed import Body
from ops.console.incident_acts import chosen as incident_chosen
from ops.console.modals import Choice, Field, Form, Pick, Read
from ops.console.moves import needed
from ops.runbooks import saying

if TYPE_CHECKING:
    from ops.console.app import Console


async def begin(desk: Console) -> None:
    """Begin a playbook for the chosen incident."""
    if not (no := incident_chosen(desk)) or not await desk.known():
        return
    say = desk.eye.say
    incident = next((one for one in desk.feed.picture.incidents if str(one["no"]) == no), {})
    playbook = await _playbook(desk, str(incident.get("kind", "")))
    if playbook is None:
        return
    title = say("begin-title", playbook=saying.name(playbook, desk.lang))
    runs = [
        one
        for one in view.runs_of(desk.feed.picture, no)
        if one.get("state") in {"running", "waiting"}
    ]
    warning = say("begin-again") if runs else ""
    given = await _variables(
        desk, playbook, title, say("begin-keys"), str(incident.get("device") or ""), warning
    )
    if given is None:
        desk.tell(say("dropped"))
        return
    name = str(playbook["name"])
    desk.command = desk.line("begin", playbook=name, variables=_shell(given), no=no)
    body = {
        "id": str(UUID(new_id())), "playbook": name, "by": f"person:{desk.me}", "variables": given,
        "incident": int(no),
    }  # fmt: skip
    told = say("begun", playbook=saying.name(playbook, desk.lang))
    answer = await desk.send("/api/v1/executions", body, told)
    if answer is not None:
        desk.go("runbooks", str((answer.get("execution") or {}).get("id", "")))


async def dry(desk: Console) -> None:
    """What a playbook would do."""
    say = desk.eye.say
    playbook = await _playbook(desk, "")
    if playbook is None:
        return
    title = say("dry-title", playbook=saying.name(playbook, desk.lang))
    given = await _variables(desk, playbook, title, say("dry-keys"), "")
    if given is None:
        desk.tell(say("dropped"))
        return
    name = str(playbook["name"])
    desk.command = desk.line("dry", playbook=name, variables=_shell(given))
    body = {
        "playbook": name,
        "by": f"person:{desk.me or 'console'}",
        "variables": given,
        "dry": True,
    }
    answer = await desk.send("/api/v1/executions", body, "")
    if answer is not None:
        lines = sheet.rehearsal(list(answer.get("steps") or ()), desk.eye)
        await desk.push_screen_wait(Read(title, lines, say("close")))


async def approve(desk: Console) -> None:
    """Approve a waiting step: shown to the letter, then signed."""
    say = desk.eye.say
    found = await _step(desk, {"approval"}, "no-ask")
    if found is None or not await desk.known():
        return
    detail, step = found
    ask = view.ask_of(detail, str(step["id"]))
    if ask is None:
        desk.tell(say("no-ask"))
        return
    if desk.me == view.initiator(detail):
        desk.tell(say("ask-own"))
        return
    if not signing.right(detail, ask):
        desk.tell(say("bad-ask"))
        return
    if not await _key(desk):
        return
    ident, name = str(detail["execution"]["id"]), str(step["id"])
    desk.command = desk.line("approve", execution=_short(ident), step=_short(name), key=desk.key)
    papers = sheet.papers(detail, step, ask, desk.eye, desk.key)
    if not await desk.push_screen_wait(
        Read(say("approve-title"), papers, say("approve-keys"), yes=True)
    ):
        desk.tell(say("dropped"), desk.command)
        return
    documents = list(ask["documents"])
    try:
        signatures = desk.aside(
            say("signing", n=len(documents), key=desk.key),
            lambda: signing.sign(documents, Path(desk.key)),
        )
    except signing.Interrupted:
        desk.tell(say("not-signed", why=say("interrupted")), desk.command)
        return
    except MocbanError as error:
        why = desk.refusal(error)
        if error.code == "config":  # ssh-keygen's own words stand at the end
            why = say("no-sign", key=desk.key, say=error.say.partition(": ")[2] or error.say)
        desk.tell(say("not-signed", why=why), desk.command)
        desk.key = desk.key if desk.key_given else ""  # another one may be typed
        return
    body = {"step": name, "by": desk.me, "signatures": signatures}
    told = say("approved", step=saying.name(step, desk.lang))
    await desk.send(f"/api/v1/executions/{ident}/approve", body, told)


async def deny(desk: Console) -> None:
    """Deny a waiting step, with a reason."""
    say = desk.eye.say
    found = await _step(desk, {"approval"}, "no-ask")
    if found is None or not await desk.known():
        return
    detail, step = found
    title = saying.name(step, desk.lang)
    field = Field("text", "", wrong=needed(say))
    given = await desk.push_screen_wait(
        Form(say("deny-ask", step=title), [field], say("send-keys"))
    )
    if given is None:
        desk.tell(say("dropped"))
        return
    ident, name = str(detail["execution"]["id"]), str(step["id"])
    desk.command = desk.line("deny", execution=_short(ident), step=_short(name), text=given["text"])
    body = {"step": name, "by": desk.me, "reason": given["text"][:500]}
    await desk.send(f"/api/v1/executions/{ident}/deny", body, say("denied", step=title))


async def manual(desk: Console) -> None:
    """Tell what became of a step that waits for a person's word."""
    say = desk.eye.say
    found = await _step(desk, {"person", "word"}, "no-manual")
    if found is None or not await desk.known():
        return
    detail, step = found
    title = saying.name(step, desk.lang)
    outcomes = ["done", "failed", *(["retry"] if step["waits"] == "word" else [])]
    choices = [Choice(one, say(f"manual-{one}")) for one in outcomes]
    outcome = await desk.push_screen_wait(Pick(title, choices, say))
    if not outcome:
        desk.tell(say("dropped"))
        return
    words = say(f"manual-{outcome}")
    given = await desk.push_screen_wait(
        Form(f"{title}: {words}", [Field("text", say("manual-why"))], say("send-keys"))
    )
    if given is None:
        desk.tell(say("dropped"))
        return
    ident, name = str(detail["execution"]["id"]), str(step["id"])
    desk.command = desk.line(
        "manual", execution=_short(ident), step=_short(name), outcome=_OUTCOMES[outcome]
    )
    body = {"step": name, "by": desk.me, "outcome": outcome, "reason": given["text"][:500]}
    told = say("manual-said", step=title, outcome=words.lower())
    await desk.send(f"/api/v1/executions/{ident}/resume", body, told)


async def stop(desk: Console) -> None:
    """Stop an execution."""
    say = desk.eye.say
    ident = chosen(desk)
    if not ident or not await desk.known():
        return
    field = Field("text", "", wrong=needed(say))
    given = await desk.push_screen_wait(Form(say("stop-ask"), [field], say("send-keys")))
    if given is None:
        desk.tell(say("dropped"))
        return
    desk.command = desk.line("stop", execution=_short(ident), text=given["text"])
    body = {"by": desk.me, "reason": given["text"][:500]}
    await desk.send(f"/api/v1/executions/{ident}/stop", body, say("stopped"))


def chosen(desk: Console) -> str:
    """Id of the execution under the cursor; "" after saying that there is none."""
    ident = desk.page.chosen if desk.page.CALLED == "runbooks" else ""
    if not ident:
        desk.tell(desk.eye.say("no-execution"))
    return ident


async def _step(desk: Console, needs: set[str], none: str) -> tuple[Body, Body] | None:
    """The execution and its step that waits for one of ``needs``; the person chooses if there are several."""
    if not (ident := chosen(desk)):
        return None
    detail = desk.feed.picture.detail(ident)
    steps = [step for step, need in view.needed(detail) if need in needs] if detail else []
    if detail is None or not steps:
        desk.tell(desk.eye.say(none))
        return None
    if len(steps) == 1:
        return detail, steps[0]
    choices = [Choice(str(one["id"]), saying.name(one, desk.lang)) for one in steps]
    name = await desk.push_screen_wait(Pick(desk.eye.say("pick-step"), choices, desk.eye.say))
    return next(((detail, one) for one in steps if one["id"] == name), None)


async def _playbook(desk: Console, kind: str) -> Body | None:
    """A playbook the person chooses; those for incidents of ``kind`` stand first."""
    say = desk.eye.say
    answer = await desk.look("/api/v1/playbooks")
    if answer is None:
        return None
    found = [one for one in answer.get("playbooks") or () if one.get("id")]
    if not found:
        desk.tell(say("no-playbooks"))
        return None
    found.sort(key=lambda one: (kind not in (one.get("starts_on") or ()), str(one["name"])))
    choices = [
        Choice(str(one["name"]), saying.name(one, desk.lang), _signed(one, desk), str(one["name"])) for one in found
    ]  # fmt: skip
    name = await desk.push_screen_wait(Pick(say("pick-playbook"), choices, say))
    return next((one for one in found if one["name"] == name), None)


def _signed(playbook: Body, desk: Console) -> str:
    by = str(playbook.get("signed_by") or "")
    return (
        desk.eye.say("signed", by=by) if playbook.get("runnable", by) else desk.eye.say("unsigned")
    )


async def _variables(
    desk: Console, playbook: Body, title: str, keys: str, device: str, warning: str = ""
) -> dict[str, str] | None:
    """The values whoever begins it gives; asked for even if there are none, so that enter is meant."""
    fields = []
    for one in playbook.get("variables") or ():
        if one.get("external"):
            guess = device if "device" in str(one["name"]) else ""
            label = (
                f"{one['name']}: {one['description']}"
                if one.get("description")
                else str(one["name"])
            )
            fields.append(
                Field(str(one["name"]), label, str(one.get("value") or guess), needed(desk.eye.say))
            )
    lines = [(warning, "bold yellow"), (saying.name(playbook, desk.lang, "description"), "")]
    told = [(text, colour) for text, colour in lines if text]
    if not fields:
        return {} if await desk.push_screen_wait(Read(title, told, keys, yes=True)) else None
    return await desk.push_screen_wait(Form(title, fields, keys, told))


async def _key(desk: Console) -> bool:
    """Know which key to sign with; False if the person does not say."""
    if desk.key:
        return True
    say = desk.eye.say

    def wrong(text: str) -> str:
        return "" if text and Path(text).expanduser().is_file() else say("key-none", key=text)

    field = Field("key", "", signing.usual(), wrong)
    given = await desk.push_screen_wait(Form(say("key-ask"), [field], say("send-keys")))
    if given is None:
        desk.tell(say("dropped"))
        return False
    desk.key = str(Path(given["key"]).expanduser())
    return True


_OUTCOMES = {"done": "--as-done", "failed": "--failed", "retry": "--retry"}


def _short(ident: str) -> str:
    """As much of an id as the commands of the shell need."""
    kind, gap, rest = ident.rpartition("--")
    return kind + gap + rest[:8]


def _shell(variables: dict[str, str]) -> str:
    return " ".join(f"--var {shlex.quote(f'{name}={value}')}" for name, value in variables.items())
