"""Approvals: what exactly a person signs, and whether it was signed by whom it must be. Pure.

A step's approval is an SSHSIG over each document of its ask: first the step itself, then every order of the step and of
its undo. The orders' signatures travel on with the orders, so the gateway and the device check them again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from mocban import commands, identity, sshsig
from mocban.access import Refusal
from mocban.clock import rfc3339
from mocban.errors import RemoteProtocolError
from ops.runbooks import work
from ops.runbooks.state import Job, Run, Visit, Yes

NAMESPACE = "mocban-step"
"""SSHSIG namespace of the approval of a step."""


@dataclass(frozen=True, slots=True)
class Document:
    """What one signature covers: the canonical form of ``body``, in ``namespace``."""

    namespace: str
    body: Mapping[str, Any]

    @property
    def message(self) -> bytes:
        """The bytes that are signed."""
        return identity.canonical(self.body)

    def as_json(self) -> dict[str, Any]:
        """As the API tells it."""
        return {"namespace": self.namespace, "body": dict(self.body)}


def documents(run: Run, visit: Visit) -> tuple[Document, ...]:
    """What a person signs who approves ``visit``, in order."""
    assert visit.until is not None
    body = {
        "v": 1, "tenant": run.terms.tenant, "execution": run.id, "step": visit.key,
        "playbook": run.playbook.sha256, "by": run.by,
        "commands": [work.digest(job) for job in (*visit.jobs, *visit.undo)], "expires": rfc3339(visit.until),
    }  # fmt: skip
    orders = (Document(commands.NAMESPACE, one.body()) for one in _requests(visit))
    return (Document(NAMESPACE, body), *orders)


def verify(
    run: Run, visit: Visit, by: str, signatures: Sequence[str], staff: Mapping[str, str], at: datetime
) -> Yes | None:  # fmt: skip
    """The approval of ``by``; None if they approved this already.

    Refusal: ``already-decided``, ``expired``, ``unknown-person``, ``own-approval``, ``same-key``, ``signatures``,
    ``bad-approval``.
    """
    asked(visit)
    assert visit.until is not None
    if at > visit.until:
        raise Refusal(
            410, "expired", "the time to approve this is over", "look again: it is asked anew"
        )
    key = known(by, staff)
    if run.by == f"person:{by}" or _key_of(run.by.removeprefix("person:"), staff) == key:
        raise Refusal(
            403, "own-approval", "nobody approves what they began", "let another person of [staff] approve it"
        )  # fmt: skip
    if any(one.by == by for one in visit.yes):
        return None
    if any(one.key == key for one in visit.yes):
        raise Refusal(
            409, "same-key", "this key approved it already, under another name",
            "let a person with a key of their own approve it",
        )  # fmt: skip
    needed = documents(run, visit)
    if len(signatures) != len(needed):
        raise Refusal(
            422, "signatures", f"it needs {len(needed)} signatures, one for each document, and got {len(signatures)}",
            "approve it with mocban runbook approve",
        )  # fmt: skip
    try:
        for document, signature in zip(needed, signatures, strict=True):
            sshsig.verify(signature, document.message, document.namespace, staff[by])
        for request, signature in zip(_requests(visit), signatures[1:], strict=True):
            commands.approved(request, [commands.Approval(by=by, sig=signature)], staff)
    except (RemoteProtocolError, ValidationError) as error:
        raise Refusal(
            403, "bad-approval", "a signature is not of this person over this step",
            "approve it with mocban runbook approve, with the key that stands in [staff]",
        ) from error  # fmt: skip
    return Yes(by, key, tuple(signatures))


def asked(visit: Visit) -> None:
    """Refusal unless ``visit`` waits for approval."""
    if visit.phase == "ask":
        return
    if visit.persons:
        raise Refusal(
            409, "already-decided", "this step is decided already", "see mocban runbook show"
        )
    raise Refusal(409, "not-asked", "this step needs nobody's approval", "see mocban runbook show")


def known(by: str, staff: Mapping[str, str]) -> str:
    """The key of ``by`` in hex; Refusal ``unknown-person``."""
    if (key := _key_of(by, staff)) is None:
        raise Refusal(
            403, "unknown-person", "nobody of this name may approve here", "add them to [staff]"
        )
    return key


def enough(visit: Visit) -> bool:
    """As many persons approved as must."""
    return len({one.key for one in visit.yes}) >= visit.persons


def granted(visit: Visit) -> Visit:
    """``visit`` with each order carrying its approvals."""
    place = {str(request.id): number for number, request in enumerate(_requests(visit), 1)}

    def given(job: Job) -> Job:
        if job.request is None or job.state == "done":
            return job
        at = place[str(job.request.id)]
        return replace(
            job, approvals=tuple(commands.Approval(by=yes.by, sig=yes.signatures[at]) for yes in visit.yes)
        )  # fmt: skip

    return replace(visit, jobs=tuple(map(given, visit.jobs)), undo=tuple(map(given, visit.undo)))


def _requests(visit: Visit) -> list[commands.Request]:
    """The orders a person approves with the step: those still to be given, and what undoes them."""
    return [
        job.request
        for job in (*visit.jobs, *visit.undo)
        if job.request is not None and job.state != "done"
    ]


def _key_of(name: str, staff: Mapping[str, str]) -> str | None:
    return sshsig.public_raw(staff[name]).hex() if name in staff else None
