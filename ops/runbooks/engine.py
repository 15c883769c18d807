"""Executions of playbooks, seen through to their end.

Whatever happens stands in the journal before anything is done about it; killed at any point, it goes on from there.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

from mocban import log
from mocban.access import Refusal
from mocban.asking import Service
from mocban.clock import Clock
from mocban.config import Config
from mocban.errors import RemoteProtocolError, StorageError
from mocban.ids import new_id
from ops.incidents.port import Chronicle, Teller
from ops.runbooks import asks, rendering, shown, starting
from ops.runbooks.actions import Actions
from ops.runbooks.happenings import (
    Approved,
    Begun,
    Denied,
    Passed,
    Resumed,
    Stopped,
)
from ops.runbooks.journal import Journal
from ops.runbooks.keeping import Keeping, Live
from ops.runbooks.library import Library
from ops.runbooks.news import log as log_of
from ops.runbooks.news import news
from ops.runbooks.plan import begin
from ops.runbooks.state import Run, Terms, Visit
from ops.settings import OpsSettings

RUNNING_MAX = 200
"""Most executions that are not over."""
HEADS_MAX = 1_000
"""Most executions that are over and kept in memory, as a list shows them."""
TEXT_MAX = 500
"""Longest reason a person gives, in characters."""
_PERSON = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
_log = log.get("ops.runbooks")


class Engine:
    """Begins playbooks and sees them through. Everything but ``run`` from any thread.

    Refusal: what was asked cannot be done, and why. StorageError: the disk refused, and nothing has changed.
    """

    def __init__(
        self, config: Config[OpsSettings], clock: Clock, gateway: Service, chronicle: Chronicle, teller: Teller,
        library: Library,
    ) -> None:  # fmt: skip
        self._config = config
        self._clock = clock
        self._library = library
        self._over: dict[str, dict[str, Any]] = {}
        self._pool = ThreadPoolExecutor(16, thread_name_prefix="runbooks")
        # Of its own: what happens is written down however many services hang.
        self._scribes = ThreadPoolExecutor(4, thread_name_prefix="journal")
        self._chronicle = chronicle
        self._journal = Journal(config.database)
        try:
            actions = Actions(gateway, clock, self._pool, config.ca_file)
            self._keeping = Keeping(self._journal, actions, clock, chronicle, teller, self._scribes)
        except BaseException:
            self._pool.shutdown(wait=False)
            self._scribes.shutdown(wait=False)
            self._journal.close()
            raise

    # Beginning

    def begin(
        self, playbook: str, by: str, variables: Mapping[str, str], incident: int | None = None, id: str = "",  # noqa: A002
    ) -> str:  # fmt: skip
        """As ``Starter`` says. Refusal: ``id-reuse``, ``no-playbook``, ``unsigned``, ``bad-playbook``, ``too-many``…"""
        ident = _uuid(id) if id else str(UUID(new_id()))
        asked = json.dumps([playbook, by, dict(variables), incident], sort_keys=True)
        digest = hashlib.sha256(asked.encode()).hexdigest()
        with self._keeping.lock:
            if self._journal.row(ident) is not None:
                return self._same(ident, digest)
            found = starting.runnable(self._library.find(playbook), self._clock.now())
            if incident is not None and not self._chronicle.knows(incident):
                raise Refusal(
                    404,
                    "incident-unknown",
                    f"there is no incident {incident}",
                    "see mocban ops incidents list",
                )
            given = starting.opening(found, by, variables)
            if (
                sum(1 for one in self._keeping.live.values() if one.run.stage != "over")
                >= RUNNING_MAX
            ):
                raise Refusal(
                    503,
                    "too-many",
                    f"{RUNNING_MAX} playbooks run already",
                    "wait, or stop one of them",
                )
            now, settings = self._clock.now(), self._config.app
            terms = Terms(self._config.tenant, settings.approval_minutes * 60.0)
            event = Begun(now, ident, by, terms, incident, given)
            starting.staffed(found, by, given, self._config.staff)
            run, effects = begin(found, event)
            if self._journal.open(found, event, digest) != digest:
                return self._same(ident, digest)
            live = Live(run, 1, [(1, news(None, event, run, 1))])
            self._keeping.live[ident] = live
        _log.info("execution.begun", execution=ident, playbook=found.name, by=by)
        self._keeping.hand(ident, effects, now)
        return ident

    def dry(self, playbook: str, by: str, variables: Mapping[str, str]) -> list[dict[str, Any]]:
        """Each step as it would be done. Nothing is stored, nothing asked of anybody."""
        read = starting.readable(self._library.find(playbook))
        starting.opening(read, by, variables)
        try:
            return [one.as_json() for one in rendering.dry(read, variables)]
        except RemoteProtocolError as error:
            raise starting.refused(error) from error

    def _same(self, ident: str, digest: str) -> str:
        stored = self._journal.digest(ident)
        if stored != digest:
            raise Refusal(
                409, "id-reuse", "another execution has this id", "begin it with an id of its own"
            )
        return ident

    # Looking

    def executions(self, state: str | None = None, limit: int = 100) -> list[dict[str, Any]]:
        """Executions, newest first; ``open`` means not over."""
        with self._keeping.lock:
            return [self._head(row.id) for row in self._journal.rows(state, limit)]

    def execution(self, ident: str) -> dict[str, Any]:
        """One execution, its steps, its log, and what it asks. Refusal ``execution-unknown``."""
        with self._keeping.lock:
            run = self._find(ident)
            entries = log_of(run.playbook, self._journal.events(run.id))
        return {
            "execution": shown.execution(run), "steps": shown.steps(run),
            "log": [one.as_json() for one in entries], "asks": shown.questions(run),
        }  # fmt: skip

    # Persons

    def approve(self, ident: str, key: str, by: str, signatures: Sequence[str]) -> dict[str, Any]:
        """``by`` approves a step. Approving twice is approving once. Refusal as ``asks.verify``."""
        with self._keeping.lock:
            by = _person(by)
            run, visit = self._visit(ident, key)
            now = self._clock.now()
            if visit.phase == "ask" and visit.until is not None and now > visit.until:
                self._keeping.feed(run.id, Passed(now, visit.key, "wait", visit.until))
            yes = asks.verify(run, visit, by, signatures, self._config.staff, now)
            if yes is not None:
                self._keeping.feed(run.id, Approved(now, visit.key, yes))
            return shown.execution(self._find(run.id))

    def deny(self, ident: str, key: str, by: str, reason: str) -> dict[str, Any]:
        """``by`` does not approve: the step fails. Refusal ``already-decided``, ``not-asked``, ``unknown-person``."""
        with self._keeping.lock:
            by = _person(by)
            run, visit = self._visit(ident, key)
            asks.known(by, self._config.staff)
            asks.asked(visit)
            self._keeping.feed(run.id, Denied(self._clock.now(), visit.key, by, reason[:TEXT_MAX]))
            return shown.execution(self._find(run.id))

    def resume(
        self, ident: str, key: str, by: str, outcome: str, reason: str = ""
    ) -> dict[str, Any]:
        """``by`` tells what became of a step that waits for a person. Refusal ``not-waiting``, ``not-now``."""
        with self._keeping.lock:
            run, visit = self._visit(ident, key)
            if outcome not in {"done", "failed", "retry"}:
                raise Refusal(422, "usage", "an outcome is done, failed or retry")
            if shown.waiting(visit) not in {"person", "word"}:
                raise Refusal(
                    409,
                    "not-waiting",
                    "this step waits for nobody's word",
                    "see mocban runbook show",
                )
            event = Resumed(self._clock.now(), visit.key, _person(by), outcome, reason[:TEXT_MAX])  # type: ignore[arg-type]
            if not self._keeping.feed(run.id, event):
                raise Refusal(
                    409,
                    "not-now",
                    "there is nothing to try again here",
                    "say whether it was done or not",
                )
            return shown.execution(self._find(run.id))

    def stop(self, ident: str, by: str, reason: str = "") -> dict[str, Any]:
        """No further step begins; what was done and can be undone is undone. Stopping twice is stopping once."""
        with self._keeping.lock:
            run = self._find(ident)
            if run.stage == "over":
                raise Refusal(
                    409, "already-over", "this execution is over", "see mocban runbook show"
                )
            self._keeping.feed(run.id, Stopped(self._clock.now(), _person(by), reason[:TEXT_MAX]))
            return shown.execution(self._find(run.id))

    # Seeing through

    async def run(self, stop: asyncio.Event) -> None:
        """See every execution through, until ``stop``."""
        await self._keeping.run(stop)

    def close(self) -> None:
        """Give the file back."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._scribes.shutdown(wait=False, cancel_futures=True)
        with self._keeping.lock:
            self._journal.close()

    # Finding

    def _head(self, ident: str) -> dict[str, Any]:
        """One execution as a list shows it; what is over stays as it is."""
        if ident not in self._over:
            try:
                run = self._run(ident)
            except StorageError as error:  # the others are shown all the same
                _log.error("execution.unreadable", execution=ident, say=error.say)
                return shown.unreadable(ident)
            if run.stage != "over":
                return shown.execution(run)
            while len(self._over) >= HEADS_MAX:
                self._over.pop(next(iter(self._over)))
            self._over[ident] = shown.execution(run)
        return self._over[ident]

    def _run(self, ident: str) -> Run:
        live = self._keeping.live.get(ident)
        return live.run if live is not None else self._journal.replay(ident)

    def _find(self, ident: str) -> Run:
        if self._journal.row(ident) is None:
            raise Refusal(
                404, "execution-unknown", "there is no such execution", "see mocban runbook runs"
            )
        return self._run(ident)

    def _visit(self, ident: str, key: str) -> tuple[Run, Visit]:
        run = self._find(ident)
        visit = run.visits.get(key)
        if visit is None:
            raise Refusal(
                404,
                "step-unknown",
                "this execution did not come to such a step",
                "see mocban runbook show",
            )
        if run.stage == "over":
            raise Refusal(409, "already-over", "this execution is over", "see mocban runbook show")
        return run, visit


def _person(by: str) -> str:
    """The name alone, which is what is in the journal."""
    by = by.removeprefix("person:")
    if not _PERSON.fullmatch(by):
        raise Refusal(422, "usage", "a person's name has letters a-z, digits, dots and dashes")
    return by


def _uuid(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise Refusal(422, "usage", "an id is a UUID") from None
