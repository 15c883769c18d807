"""Random playbooks that a linter would pass: every branch ends, nothing loops. A tape of bytes writes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ops.runbooks.model import ORDER, Command, Party, Playbook, Step

SILENT = Command(ORDER, "gate set-mode mode=silent seconds=900")
OPEN = Command(ORDER, "gate set-mode mode=open")
TEST = Command(ORDER, "gate self-test")
CALL = Command("http-api", "POST https://service.example/do")
UNCALL = Command("http-api", "POST https://service.example/undo")
HAND = Command("manual", "look at it")
END = "end--1"


@dataclass
class Tape:
    """What will be, byte by byte; when it ends, all is well."""

    bytes: Iterator[int]
    calm: bool = False

    def next(self, below: int = 256) -> int:
        return 0 if self.calm else next(self.bytes, 0) % below


class Author:
    """Writes a random playbook that a linter would pass: every branch ends, nothing loops."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        self.steps: dict[str, Step] = {END: Step(END, "end", "end")}

    def book(self) -> Playbook:
        first = self._chain(2 + self._tape.next(4), depth=0)
        self.steps["start--1"] = Step("start--1", "start", "start", completion=first)
        exception = self._chain(1, depth=2) if self._tape.next(3) == 0 else ""
        return Playbook(
            "playbook--1", "random", "ab" * 32, "start--1", self.steps,
            targets={"t": Party("t", "mocban-device", "gate-1")}, exception=exception,
        )  # fmt: skip

    def _chain(self, length: int, depth: int) -> str:
        after = END
        for _ in range(length):
            after = self._step(after, depth)
        return after

    def _step(self, after: str, depth: int) -> str:
        kind, no = self._tape.next(10), len(self.steps)
        if kind == 8 and depth < 2:
            name = f"parallel--{no}"
            self.steps[name] = Step(name, "parallel", name)  # takes its place
            branches = tuple(
                self._chain(1 + self._tape.next(2), depth + 1)
                for _ in range(2 + self._tape.next(2))
            )
            self.steps[name] = Step(name, "parallel", name, completion=after, branches=branches)
            return name
        if kind == 9 and depth < 2:
            name = f"if-condition--{no}"
            self.steps[name] = Step(name, "if-condition", name)
            yes = self._chain(1, depth + 1)
            no_ = self._chain(1, depth + 1) if self._tape.next(2) else ""
            self.steps[name] = Step(
                name, "if-condition", name, completion=after, condition="__outcome__:value = 'done'",
                on_true=yes, on_false=no_,
            )  # fmt: skip
            return name
        return self._action(f"action--{no}", after, depth)

    def _action(self, name: str, after: str, depth: int) -> str:
        t = self._tape
        shapes: list[tuple[tuple[Command, ...], tuple[Command, ...]]] = [
            ((TEST,), ()), ((SILENT,), (OPEN,)), ((CALL,), (UNCALL,)), ((HAND,), ()), ((SILENT, TEST), (OPEN,)),
            ((CALL, SILENT), (UNCALL, OPEN)), ((HAND, SILENT), (OPEN,)), ((CALL,), ()),
        ]  # fmt: skip
        does, undo = shapes[t.next(len(shapes))]
        self.steps[name] = Step(name, "action", name)
        if undo and t.next(3) == 0:  # the playbook itself undoes it, right after
            after = self._undoer(f"action--{len(self.steps)}", name, undo, after)
        failure = (
            self._action(f"action--{len(self.steps)}", after, 3)
            if depth < 3 and t.next(4) == 0
            else ""
        )
        self.steps[name] = Step(
            name, "action", name, delay=(0.0, 0.0, 30.0)[t.next(3)], timeout=(None, 60.0, 300.0)[t.next(3)],
            success=after, failure=failure, commands=does, targets=("t",), persons=(0, 0, 1, 2)[t.next(4)],
            out_args=("__outcome__",), undo=undo, on_unknown="retry" if t.next(2) else "ask",
        )  # fmt: skip
        return name

    def _undoer(self, name: str, doer: str, does: tuple[Command, ...], after: str) -> str:
        self.steps[name] = Step(
            name, "action", name, timeout=(None, 60.0)[self._tape.next(2)], success=after, commands=does,
            targets=("t",), undoes=doer, on_unknown="retry" if self._tape.next(2) else "ask",
            failure=after if self._tape.next(2) else "",
        )  # fmt: skip
        return name
