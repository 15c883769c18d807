"""Whether an order that the gateway signed is obeyed here and now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from mocban import commands, sshsig
from mocban.commands import Command, Order, SetMode
from mocban.errors import RemoteProtocolError
from mocban.identity import Identity


@dataclass(frozen=True, slots=True)
class Here:
    """What an order is measured by. ``last``: seq of the last order taken; ``now``: the latest time believed."""

    epoch: str
    last: int
    now: datetime
    staff: Mapping[str, str]
    modes: frozenset[str]
    wiped: bool = False


def addressed(order: Order, identity: Identity, name: str) -> None:
    """Nothing if it came to whom it was sent and on its own topic; RemoteProtocolError if it was carried elsewhere."""
    if (order.tenant, order.device) != (identity.tenant, identity.device):
        raise RemoteProtocolError("it is for another device", code="wrong-device")
    if order.name != name:
        raise RemoteProtocolError("it came on another order's topic", code="wrong-topic")


def judge(order: Order, here: Here) -> tuple[Command, frozenset[str]]:
    """The command and the persons who approved it.

    RemoteProtocolError ``wrong-epoch``, ``replayed``, ``expired``, ``unknown-command``, ``bad-args``, ``wrong-app``,
    ``bad-mode``, ``wiped``, ``unknown-person``, ``own-approval``, ``bad-approval``, ``approvals-missing``.
    """
    if order.epoch != here.epoch:
        raise RemoteProtocolError("it is for another outbox epoch", code="wrong-epoch")
    if order.seq <= here.last:
        raise RemoteProtocolError("it is older than one taken already", code="replayed")
    if order.expires <= max(here.now, order.issued):
        raise RemoteProtocolError("it is too late for it", code="expired")
    command = order.command()
    if isinstance(command, SetMode):
        if command.mode not in here.modes:
            raise RemoteProtocolError(f"{order.app} has no mode {command.mode}", code="bad-mode")
        if here.wiped:
            raise RemoteProtocolError("it was wiped and serves nobody", code="wiped")
    persons = commands.approved(order, order.approvals, here.staff)
    asker = here.staff.get(order.by.removeprefix("person:"))
    if asker is not None and order.by.startswith("person:"):
        own = sshsig.public_raw(asker)  # whoever asks may stand in the list under a second name
        if any(sshsig.public_raw(here.staff[one]) == own for one in persons):
            raise RemoteProtocolError("nobody approves what they ask for", code="own-approval")
    if len(persons) < command.persons:
        raise RemoteProtocolError(
            f"{command.persons} must approve it, {len(persons)} did", code="approvals-missing"
        )
    return command, persons
