"""What must be right before a playbook begins; each Refusal says what is not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from mocban import sshsig
from mocban.access import Refusal
from mocban.errors import RemoteProtocolError
from ops.runbooks import cacao, rendering, sign, variables
from ops.runbooks.library import Found
from ops.runbooks.model import OBEYED, ORDER, RUN, Playbook
from ops.runbooks.news import SELF

GIVEN_MAX = 32_768
"""Most characters of variables an execution is begun with."""
ORDERS_MAX = 100
"""Most orders of a step and its undo: each takes a signature of its own of whoever approves."""
_BY = re.compile(r"(person|app):[a-z0-9][a-z0-9._-]{0,31}")


def runnable(found: Found, now: datetime) -> Playbook:
    """The playbook, if it executes. Refusal ``bad-playbook``, ``unsigned``, ``not-valid``, ``unsupported``…"""
    read = readable(found)
    if found.halting:
        first = found.halting[0]
        raise Refusal(422, "bad-playbook", f"{found.stem}: {first.say}", first.do)
    if not found.signed_by:
        raise Refusal(
            403, "unsigned", "this playbook is not signed by a key that counts here",
            "try it with --dry-run; to execute it, sign it with mocban runbook sign",
        )  # fmt: skip
    if not cacao.valid(read, now) or not sign.in_time(read.body, found.signed_by, now):
        raise Refusal(
            409,
            "not-valid",
            "this playbook is revoked, or its time or its signature's is over or still to come",
        )
    for each in read.steps.values():
        kinds = {command.type for command in (*each.commands, *each.undo)}
        if each.type not in RUN or kinds - OBEYED:
            what = each.type if each.type not in RUN else min(kinds - OBEYED)
            raise Refusal(
                422, "unsupported", f"{each.name or each.id}: this release does not execute {what[:40]}",
                "see mocban runbook lint",
            )  # fmt: skip
        devices = sum(1 for one in each.targets if one in read.targets)
        orders = devices * sum(1 for one in (*each.commands, *each.undo) if one.type == ORDER)
        if orders > ORDERS_MAX:
            raise Refusal(
                422, "too-many-orders",
                f"{each.name or each.id}: it gives and takes back {orders} orders, a step at most {ORDERS_MAX}",
                "make several steps of it",
            )  # fmt: skip
    return read


def readable(found: Found) -> Playbook:
    """The playbook, if it can be read. Refusal ``bad-playbook``."""
    if found.playbook is None:
        first = found.halting[0]
        raise Refusal(422, "bad-playbook", f"{found.stem}: {first.say}", first.do)
    return found.playbook


def opening(playbook: Playbook, by: str, given: Mapping[str, str]) -> dict[str, str]:
    """The variables it begins with. Refusal ``usage``, ``too-long``, or as ``variables.opening``."""
    if not _BY.fullmatch(by):
        raise Refusal(422, "usage", "who begins it reads person:NAME or app:NAME")
    if sum(len(name) + len(value) for name, value in given.items()) > GIVEN_MAX:
        raise Refusal(413, "too-long", f"variables have at most {GIVEN_MAX} characters in all")
    try:
        return variables.opening(playbook, given)
    except RemoteProtocolError as error:
        raise refused(error) from error


def staffed(
    playbook: Playbook, by: str, values: Mapping[str, str], staff: Mapping[str, str]
) -> None:
    """Refusal ``nobody-approves`` if a step could never be approved by enough persons who did not begin it."""
    kind, _, name = by.partition(":")
    if kind == "app" and name in staff and by != SELF:
        raise Refusal(
            422, "usage", f"{name} is a person of [staff] and no app", f"say --by person:{name}"
        )
    keys = {sshsig.public_raw(line) for line in staff.values()}
    keys -= {sshsig.public_raw(line) for who, line in staff.items() if by == f"person:{who}"}
    for each in playbook.steps.values():
        try:
            needed = rendering.persons(each, values)
        except RemoteProtocolError as error:
            if error.code == "no-value":  # known only later
                continue
            raise refused(error) from error
        if needed > len(keys):
            raise Refusal(
                409, "nobody-approves",
                f"{each.name or each.id} must be approved by {needed}, and there are {len(keys)} who may",
                "add persons with keys of their own to [staff]",
            )  # fmt: skip


def refused(error: RemoteProtocolError) -> Refusal:
    """What is wrong with a playbook or its variables, as the API says it."""
    return Refusal(422, error.code, error.say, error.do)
