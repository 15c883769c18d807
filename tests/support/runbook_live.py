"""Small playbooks, and an execution of one that is talked to event by event."""

from __future__ import annotations

from typing import Any

from mocban.clock import SetClock
from ops.runbooks import asks
from ops.runbooks.happenings import (
    Answered,
    Approved,
    Begun,
    Effect,
    Http,
    Order,
    Passed,
    Sent,
    Wait,
)
from ops.runbooks.model import Command, Party, Playbook, Step
from ops.runbooks.plan import begin, step
from ops.runbooks.state import Terms, Yes
from tests.support.runbook_world import ID

START = Step("start--1", "start", "start", completion="action--1")
END = Step("end--1", "end", "end")
NOW = SetClock().now()


def action(no: int, *commands: Command, success: str = "end--1", **more: Any) -> Step:
    return Step(
        f"action--{no}",
        "action",
        f"step {no}",
        success=success,
        commands=commands,
        targets=("t",),
        **more,
    )


def book(*steps: Step, **more: Any) -> Playbook:
    every = {one.id: one for one in (START, END, *steps)}
    return Playbook(
        "playbook--1", "a book", "ab" * 32, "start--1", every,
        targets={"t": Party("t", "mocban-device", "gate-1")}, **more,
    )  # fmt: skip


class Live:
    """An execution that is talked to."""

    def __init__(self, playbook: Playbook, **variables: str) -> None:
        self.now = NOW
        given = {f"__{name}__": value for name, value in variables.items()}
        event = Begun(NOW, ID, "person:boss", Terms("demo", 3600.0), None, given)
        self.run, self.effects = begin(playbook, event)

    def feed(self, event: Any) -> tuple[Effect, ...]:
        self.run, self.effects = step(self.run, event)
        return self.effects

    def of(self, kind: type) -> list[Any]:
        return [one for one in self.effects if isinstance(one, kind)]

    def answer(self, outcome: Any = "done", reason: str = "", **more: Any) -> None:
        """To the order or call that went out last."""
        effect = next(one for one in self.effects if isinstance(one, Order | Http))
        if isinstance(effect, Http):
            self.feed(Sent(self.now, effect.key, effect.job, effect.tries))
            self.feed(
                Answered(
                    self.now, effect.key, effect.job, outcome, reason, tries=effect.tries, **more
                )
            )
        else:
            self.feed(
                Answered(self.now, effect.key, str(effect.request.id), outcome, reason, **more)
            )

    def yes(self, key: str, name: str = "an") -> None:
        count = len(asks.documents(self.run, self.run.visits[key]))
        self.feed(
            Approved(self.now, key, Yes(name, name * 2, tuple(f"{name}{n}" for n in range(count))))
        )

    def passed(self, wait: Wait) -> None:
        self.now = wait.until
        self.feed(Passed(self.now, wait.key, wait.what, wait.until))

    def end(self, key: str) -> tuple[str, str]:
        visit = self.run.visits[key]
        return visit.end, visit.reason
