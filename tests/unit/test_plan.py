"""Playbooks as a reducer: what each step leads to; and whatever is killed whenever, all ends and nothing is doubled."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from ops.runbooks.course import VISITS_MAX
from ops.runbooks.happenings import (
    Answered,
    Ask,
    Denied,
    Http,
    Order,
    Passed,
    Person,
    Resumed,
    Sent,
    Stopped,
    Wait,
    Woke,
)
from ops.runbooks.model import Command, Step, Variable
from tests.support.runbook_author import CALL, HAND, OPEN, SILENT, TEST
from tests.support.runbook_live import NOW, START, Live, action, book


def test_a_step_with_an_order_follows_its_answer() -> None:
    live = Live(book(action(1, TEST)))
    (order,) = live.of(Order)
    assert (order.request.device, order.request.name, order.request.by) == (
        "gate-1",
        "self-test",
        "person:boss",
    )
    live.answer()
    assert live.run.outcome == "done"


def test_success_and_failure_lead_on_differently() -> None:
    steps = (
        action(1, TEST, success="action--2", failure="action--3"),
        action(2, HAND),
        action(3, HAND),
    )
    live = Live(book(*steps))
    live.answer("failed", "busy")
    assert [one.key for one in live.of(Person)] == ["action--3"]
    live.feed(Resumed(live.now, "action--3", "an", "done"))
    assert live.run.outcome == "done"
    assert "action--2" not in live.run.visits


def test_branches_run_side_by_side_and_the_join_waits_for_all() -> None:
    parallel = Step(
        "parallel--1", "parallel", "p", completion="action--4", branches=("action--2", "action--3")
    )
    start = replace(START, completion="parallel--1")
    live = Live(book(start, parallel, *(action(n, TEST) for n in (2, 3, 4))))
    first, second = live.of(Order)
    live.feed(Answered(live.now, second.key, str(second.request.id), "done"))
    assert "action--4" not in live.run.visits
    live.feed(Answered(live.now, first.key, str(first.request.id), "done"))
    assert [one.key for one in live.of(Order)] == ["action--4"]


@pytest.mark.parametrize(("value", "taken"), [("yes", "action--2"), ("no", "action--3")])
def test_a_condition_chooses_the_branch(value: str, taken: str) -> None:
    fork = Step(
        "if-condition--1", "if-condition", "f", condition="__x__:value = 'yes'", on_true="action--2",
        on_false="action--3", completion="action--4",
    )  # fmt: skip
    playbook = book(
        replace(START, completion=fork.id), fork, action(2, TEST), action(3, TEST), action(4, TEST),
        variables={"__x__": Variable("__x__", "string", external=True)},
    )  # fmt: skip
    live = Live(playbook, x=value)
    assert [one.key for one in live.of(Order)] == [taken]
    live.answer()
    assert [one.key for one in live.of(Order)] == ["action--4"]


def test_a_condition_without_a_value_fails_and_says_so() -> None:
    fork = Step(
        "if-condition--1", "if-condition", "f", condition="__x__:value = 'yes'", on_true="action--2"
    )
    live = Live(book(replace(START, completion=fork.id), fork, action(2, TEST)))
    assert (live.run.outcome, live.end(fork.id)[0]) == ("failed", "failed")


def test_what_a_device_answers_goes_on_by_out_args() -> None:
    playbook = book(
        action(1, TEST, success="action--2", out_args=("__lost__", "__fixed__")),
        action(2, Command("manual", "see __lost__:value")),
        variables={"__fixed__": Variable("__fixed__", "string", "a", constant=True)},
    )  # fmt: skip
    live = Live(playbook)
    live.answer(results={"lost": "pad", "fixed": "b", "other": "c"})
    assert live.run.variables == {"__lost__": "pad"}
    assert live.run.visits["action--2"].jobs[0].say == "see pad"


def test_a_value_never_becomes_another_argument_of_an_order() -> None:
    mode = Command("mocban-order", "gate set-mode mode=silent seconds=__s__:value")
    playbook = book(
        action(1, mode), variables={"__s__": Variable("__s__", "string", external=True)}
    )
    live = Live(playbook, s="9 mode=open")
    assert live.end("action--1") == ("failed", "bad-args")


def test_an_order_waits_for_as_many_as_its_risk_says_whatever_the_playbook_says() -> None:
    live = Live(book(action(1, Command("mocban-order", "gate wipe"))))
    assert live.of(Order) == []
    assert live.run.visits["action--1"].persons == 2
    live.yes("action--1", "an")
    live.yes("action--1", "an")  # once more: once
    assert live.of(Order) == []
    live.yes("action--1", "binh")
    (order,) = live.of(Order)
    assert [one.by for one in order.approvals] == ["an", "binh"]


def test_a_question_nobody_answers_is_asked_anew_under_other_ids() -> None:
    live = Live(book(action(1, SILENT, persons=1)))
    before = live.run.visits["action--1"]
    live.passed(live.of(Wait)[0])
    after = live.run.visits["action--1"]
    assert (after.phase, after.attempt) == ("ask", 2)
    assert before.jobs[0].id != after.jobs[0].id
    assert before.until is not None
    live.feed(
        Passed(live.now, "action--1", "wait", before.until)
    )  # too late: another one is waited for
    assert live.run.visits["action--1"] == after


def test_an_approval_after_its_time_counts_for_nothing() -> None:
    live = Live(book(action(1, SILENT, persons=1)))
    live.now += timedelta(hours=2)
    live.yes("action--1")
    assert live.of(Order) == []


def test_a_denied_step_fails() -> None:
    live = Live(book(action(1, SILENT, persons=1, failure="action--2"), action(2, HAND)))
    live.feed(Denied(live.now, "action--1", "an", "no need"))
    assert live.end("action--1") == ("failed", "denied")
    assert [one.key for one in live.of(Person)] == ["action--2"]


def test_a_delay_comes_first_and_a_timeout_ends_a_step() -> None:
    live = Live(
        book(action(1, HAND, delay=30.0, timeout=60.0, failure="action--2"), action(2, TEST))
    )
    (wait,) = live.of(Wait)
    assert (wait.what, wait.until - NOW) == ("wait", timedelta(seconds=30))
    live.passed(wait)
    (deadline,) = live.of(Wait)
    assert (deadline.what, deadline.until - NOW) == ("deadline", timedelta(seconds=90))
    live.passed(deadline)
    assert live.end("action--1") == ("failed", "timeout")
    assert [one.key for one in live.of(Order)] == ["action--2"]


def test_time_never_goes_back_within_an_execution() -> None:
    live = Live(book(action(1, TEST, success="action--2"), action(2, HAND)))
    effect = live.of(Order)[0]
    live.feed(Answered(NOW - timedelta(days=300), effect.key, str(effect.request.id), "done"))
    assert live.run.visits["action--2"].began == NOW


def test_what_was_done_is_undone_in_reverse_order_when_a_step_fails() -> None:
    steps = [action(n, SILENT, success=f"action--{n + 1}", undo=(OPEN,)) for n in (1, 2)]
    live = Live(book(*steps, action(3, TEST)))
    for key in ("action--1", "action--2"):
        live.yes(key)
        live.answer()
    live.answer("failed", "busy")
    assert [one.key for one in live.of(Order)] == ["action--2/undo"]
    live.answer()
    assert [one.key for one in live.of(Order)] == ["action--1/undo"]
    assert live.of(Order)[0].approvals, "it was approved with what it undoes"
    live.answer()
    assert (live.run.outcome, live.run.reason) == ("failed", "busy")


def test_a_stop_waits_for_what_is_under_way_and_begins_nothing() -> None:
    live = Live(book(action(1, SILENT, TEST, success="action--2", undo=(OPEN,)), action(2, TEST)))
    live.yes("action--1")
    order = live.of(Order)[0]
    live.feed(Stopped(live.now, "an"))
    assert live.effects == ()
    live.feed(Answered(live.now, order.key, str(order.request.id), "done"))
    assert live.end("action--1") == ("failed", "stopped")
    assert [one.key for one in live.of(Order)] == ["action--1/undo"]
    live.answer()
    assert live.run.outcome == "stopped"
    assert "action--2" not in live.run.visits


def test_a_step_that_undoes_another_goes_by_its_approval_and_spares_the_undo() -> None:
    steps = (
        action(1, SILENT, success="action--2", undo=(OPEN,)), action(2, OPEN, success="action--3", undoes="action--1"),
        action(3, TEST),
    )  # fmt: skip
    live = Live(book(*steps))
    live.yes("action--1")
    live.answer()
    (order,) = live.of(Order)
    assert (order.key, [one.by for one in order.approvals]) == ("action--2", ["an"])
    live.answer()
    live.answer("failed", "busy")
    assert live.run.outcome == "failed"
    assert [v.key for v in live.run.visits.values() if v.kind == "undo"] == []


def test_nothing_to_undo_needs_nobody() -> None:
    steps = (
        action(1, SILENT, failure="action--2", undo=(OPEN,)),
        action(2, OPEN, undoes="action--1"),
    )
    live = Live(book(*steps))
    live.feed(Denied(live.now, "action--1", "an"))
    assert live.end("action--2") == ("done", "nothing-to-undo")


def test_an_order_that_may_still_come_is_undone_too() -> None:
    live = Live(book(action(1, SILENT, timeout=60.0, undo=(OPEN,))))
    live.yes("action--1")
    live.passed(next(one for one in live.of(Wait) if one.what == "deadline"))
    assert [one.key for one in live.of(Order)] == ["action--1/undo"]


def test_an_undo_that_fails_waits_for_a_person() -> None:
    live = Live(book(action(1, SILENT, success="action--2", undo=(OPEN,)), action(2, TEST)))
    live.yes("action--1")
    live.answer()
    live.answer("failed", "busy")
    first = live.of(Order)[0]
    live.answer("failed", "bad-mode")
    assert live.run.word == "waiting"
    live.feed(Resumed(live.now, "action--1/undo", "an", "retry"))
    assert [one.key for one in live.of(Ask)] == ["action--1/undo"], (
        "another order needs an approval of its own"
    )
    live.yes("action--1/undo")
    assert live.of(Order)[0].request.id != first.request.id
    live.answer()
    assert (live.run.outcome, live.run.visits["action--1"].undone) == ("failed", True)


def test_a_person_who_says_done_does_not_approve_what_comes_after() -> None:
    live = Live(book(action(1, SILENT, success="action--2", undo=(CALL, OPEN)), action(2, HAND)))
    live.yes("action--1")
    live.answer()
    live.feed(Stopped(live.now, "an"))
    live.answer("unknown", "no-answer")
    live.feed(Resumed(live.now, "action--1/undo", "an", "retry"))
    live.answer("failed", "http-404")
    live.feed(Resumed(live.now, "action--1/undo", "an", "done"))
    assert all(one.approvals for one in live.of(Order))


def test_the_exception_comes_after_the_undo_and_only_for_a_failure() -> None:
    steps = (action(1, SILENT, success="action--2", undo=(OPEN,)), action(2, TEST), action(3, HAND))
    live = Live(book(*steps, exception="action--3"))
    live.yes("action--1")
    live.answer()
    live.answer("failed", "busy")
    live.answer()
    assert [one.key for one in live.of(Person)] == ["action--3"]
    live.feed(Resumed(live.now, "action--3", "an", "done"))
    assert (live.run.outcome, live.run.reason) == ("failed", "busy")
    live = Live(book(*steps, exception="action--3"))
    live.feed(Stopped(live.now, "an"))
    assert live.run.outcome == "stopped"
    assert "action--3" not in live.run.visits


def test_a_call_without_a_known_answer_waits_for_a_word_or_is_tried_as_the_playbook_says() -> None:
    live = Live(book(action(1, CALL)))
    live.answer("unknown", "no-answer")
    assert (live.run.word, live.run.visits["action--1"].phase) == ("waiting", "unknown")
    live = Live(book(action(1, CALL, on_unknown="retry")))
    first = live.of(Http)[0]
    for _ in range(4):
        live.answer("unknown", "no-answer")
        live.passed(live.of(Wait)[0])
    again = live.of(Http)[0]
    assert (again.job, again.tries) == (first.job, 5), "the same call, by its key"
    live.answer("unknown", "no-answer")
    assert live.run.visits["action--1"].phase == "unknown"


def test_a_call_that_was_under_way_at_a_crash_is_unknown() -> None:
    live = Live(book(action(1, CALL)))
    effect = live.of(Http)[0]
    live.feed(Sent(live.now, effect.key, effect.job, effect.tries))
    live.feed(Woke(live.now))
    assert (live.run.visits["action--1"].phase, live.of(Http)) == ("unknown", [])


def test_an_order_that_grew_old_while_a_person_worked_is_made_anew() -> None:
    live = Live(book(action(1, HAND, TEST)))
    old = live.run.visits["action--1"].jobs[1]
    live.now += timedelta(hours=3)
    live.feed(Resumed(live.now, "action--1", "an", "done"))
    (order,) = live.of(Order)
    assert str(order.request.id) != old.id
    assert order.request.expires > live.now


def test_the_first_failure_is_the_reason_whatever_the_exception_comes_to() -> None:
    live = Live(book(action(1, TEST), action(3, HAND), exception="action--3"))
    live.answer("failed", "busy")
    live.feed(Resumed(live.now, "action--3", "an", "failed"))
    assert (live.run.outcome, live.run.reason) == ("failed", "busy")


def test_a_loop_ends() -> None:
    fork = Step(
        "if-condition--1", "if-condition", "f", condition="__x__:value = 'a'", on_true="end--1",
        completion="if-condition--1",
    )  # fmt: skip
    playbook = book(
        replace(START, completion=fork.id),
        fork,
        variables={"__x__": Variable("__x__", "string", "a")},
    )
    live = Live(playbook)
    assert (live.run.outcome, live.run.reason) == ("failed", "too-many-steps")
    assert len(live.run.visits) <= VISITS_MAX
