"""What one does about incidents."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from mocban.ids import new_id
from ops.console import view
from ops.console.modals import Field, Form
from ops.console.moves import needed

if TYPE_CHECKING:
    from ops.console.app import Console


async def ack(desk: Console) -> None:
    """See to the chosen incident."""
    if (no := chosen(desk)) and await desk.known():
        desk.command = desk.line("ack", no=no)
        say = desk.eye.say
        await desk.send(
            f"/api/v1/incidents/{no}/ack", {"by": f"person:{desk.me}"}, say("acked", no=no)
        )


async def note(desk: Console) -> None:
    """Add a line to the chosen incident."""
    say = desk.eye.say
    if not (no := chosen(desk)) or not await desk.known():
        return
    field = Field("text", "", wrong=needed(say))
    given = await desk.push_screen_wait(Form(say("note-ask", no=no), [field], say("send-keys")))
    if given is None:
        desk.tell(say("dropped"))
        return
    desk.command = desk.line("note", no=no, text=given["text"])
    body = {"id": str(UUID(new_id())), "by": f"person:{desk.me}", "text": given["text"]}
    await desk.send(f"/api/v1/incidents/{no}/note", body, say("noted", no=no))


async def resolve(desk: Console) -> None:
    """The chosen incident is dealt with."""
    say = desk.eye.say
    if not (no := chosen(desk)) or not await desk.known():
        return
    given = await desk.push_screen_wait(
        Form(say("resolve-ask", no=no), [Field("text", "")], say("send-keys"))
    )
    if given is None:
        desk.tell(say("dropped"))
        return
    desk.command = desk.line("resolve", no=no, text=given["text"])
    body = {"by": f"person:{desk.me}", "text": given["text"]}
    await desk.send(f"/api/v1/incidents/{no}/resolve", body, say("resolved", no=no))


async def follow(desk: Console) -> None:
    """Go to the playbook that works on the chosen incident."""
    if not (no := chosen(desk)):
        return
    listed = next((one for one in desk.feed.picture.incidents if str(one["no"]) == no), {})
    of_it = [one["id"] for one in view.runs_of(desk.feed.picture, no)]
    ident = next(iter(of_it), "") or listed.get("execution")
    if not ident:
        desk.tell(desk.eye.say("no-execution"))
        return
    desk.command = desk.line("open", page="runbooks", chosen=str(ident))
    desk.go("runbooks", str(ident))


async def toggle_resolved(desk: Console) -> None:
    """Show resolved incidents too, or no more."""
    desk.resolved = not desk.resolved
    desk.feed.watch_resolved(desk.resolved)
    desk.tell(
        desk.eye.say("incidents-all" if desk.resolved else "incidents-open"), desk.line("resolved")
    )


def chosen(desk: Console) -> str:
    """Number of the incident under the cursor; "" after saying that there is none."""
    no = desk.page.chosen if desk.page.CALLED == "incidents" else ""
    if not no:
        desk.tell(desk.eye.say("no-incident"))
    return no
