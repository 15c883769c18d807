"""One incident or one execution in full, in lines; what a person is asked to sign, word for word. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from mocban import identity
from mocban.i18n import catalog
from ops.console import view
from ops.console.feed import Body
from ops.console.view import Eye
from ops.incidents import words as incident_words
from ops.runbooks import saying
from ops.runbooks.signing import calls

Lines = list[tuple[str, str]]
"""Text and its colour."""
_LINES: dict[str, str] = dict(saying.LINES.items())
_QUIET = frozenset({"start", "end"})


def incident(detail: Body, eye: Eye, runs: Iterable[Body] = ()) -> Lines:
    """What it is, whose it is, which playbooks work on it (``runs``), and its timeline, newest last."""
    one = detail["incident"]
    whose = one.get("resolved_by") or one.get("acked_by")
    head = [
        view.severity(one, eye), view.state(one, eye) + (f" ({view.by(whose, eye)})" if whose else ""),
        " ".join(filter(None, (one.get("device"), one.get("app")))), saying.moment(one.get("opened", "")),
    ]  # fmt: skip
    lines: Lines = [
        (f"{one['no']}  {view.title(one, eye)}", "bold"),
        (" · ".join(filter(None, head)), view.COLOURS.get(str(one.get("severity")), "")),
    ]
    for one in runs:
        state, playbook = str(one.get("state")), saying.name(one.get("playbook") or {}, eye.lang)
        told = eye.say(
            "incident-run", playbook=playbook, state=view.execution_state(state, eye.say)
        )
        lines.append((f"{view.MARKS.get(state, ' ')} {told}", view.COLOURS.get(state, "")))
    lines.append(("", ""))
    lines += [(entry(each, eye), "") for each in detail.get("timeline") or ()]
    return lines


def entry(body: Body, eye: Eye) -> str:
    """One entry of a timeline or a log: when, what, and who if a person wrote it."""
    at = view.when(body.get("at"))
    try:
        known = saying.known(body, eye.lang)
        text = incident_words.line(known, catalog("ops", eye.lang).gettext, _LINES)
    except (KeyError, TypeError, AttributeError, ValueError):
        text = str(body.get("what", "?"))
    if body.get("what") in {"noted", "resolved"} and str(body.get("actor")).startswith("person:"):
        text += f" ({view.by(body['actor'], eye)})"
    return f"{at.astimezone().strftime('%d/%m %H:%M') if at else '':11}  {text}"


def execution(detail: Body, eye: Eye) -> Lines:
    """What waits for a person first, then the steps, then the log."""
    say, one = eye.say, detail["execution"]
    head = [
        view.marked(str(one.get("state")), view.execution_state(str(one.get("state")), say)),
        f"{say('begun-by').lower()} {view.by(one.get('by'), eye)}", saying.moment(one.get("began", "")),
        say("incident-of", no=one["incident"]) if one.get("incident") else "",
        saying.reason(str(one.get("reason") or ""), eye.lang),
    ]  # fmt: skip
    lines: Lines = [
        (saying.name(one.get("playbook") or {}, eye.lang), "bold"),
        (" · ".join(filter(None, head)), view.COLOURS.get(str(one.get("state")), "")),
    ]
    for step, need in view.needed(detail):
        lines += [("", ""), *_needs(detail, step, need, eye)]
    lines += [("", ""), (say("steps"), "bold")]
    lines += list(steps(detail, eye))
    if detail.get("log"):
        lines += [("", ""), (say("log"), "bold")]
        lines += [(entry(each, eye), "") for each in detail["log"]]
    return lines


def steps(detail: Body, eye: Eye) -> Iterator[tuple[str, str]]:
    """The tree of steps with the state of each."""
    found = {str(one["id"]): one for one in detail.get("steps") or ()}
    for one in found.values():
        name = str(one.get("state"))
        if one.get("type") in _QUIET:
            continue
        waits = str(one.get("waits") or "")
        word = (
            eye.say(f"waiting-{waits}")
            if waits in {"approval", "person", "word", "time"}
            else view.execution_state(name, eye.say)
        )
        told = [word]
        if one.get("outcome"):
            told.append(saying.reason(str(one["outcome"]), eye.lang))
        if one.get("undone"):
            told.append(eye.say("undone"))
        label = saying.name(one, eye.lang)
        if one.get("kind") == "undo":
            label = f"{eye.say('undo')}: {label}"
        indent = "  " * _depth(found, one)
        colour = view.COLOURS.get("waiting" if waits and waits != "time" else name, "")
        yield f"{indent}{view.MARKS.get(name, ' ')} {label}: {', '.join(told)}", colour


def _depth(found: dict[str, Body], one: Body) -> int:
    deep, at = 0, one.get("parent")
    while at in found and deep < 8:
        deep, at = deep + 1, found[str(at)].get("parent")
    return deep


def _needs(detail: Body, step: Body, need: str, eye: Eye) -> Lines:
    say, name = eye.say, saying.name(step, eye.lang)
    heading = {"approval": "ask-head", "person": "manual-head", "word": "word-head"}[need]
    lines: Lines = [(f"? {say(heading)}: {name}", "bold yellow")]
    if need != "approval" and step.get("deadline"):
        lines.append((say("do-before", at=saying.moment(str(step["deadline"]))), "bold"))
    if told := saying.name(step, eye.lang, "description"):
        lines += [(part, "") for part in told.splitlines()]
    if need != "approval":
        lines += [
            (f"> {job.get('say', '')}", "")
            for job in step.get("jobs") or ()
            if job.get("state") != "done"
        ]
        lines.append((say("manual-keys" if need == "person" else "word-keys"), "bold"))
        return lines
    ask = view.ask_of(detail, str(step["id"]))
    return lines + (question(detail, step, ask, eye) if ask else [])


def question(detail: Body, step: Body, ask: Body, eye: Eye) -> Lines:
    """What approving it does, by whom it may be approved, and until when."""
    say = eye.say
    have = list(ask.get("have") or ())
    lines: Lines = [(text, "") for text in _done_by(step, ask, eye)]
    lines.append((f"{say('until')}: {saying.moment(ask.get('expires', ''))}", ""))
    lines.append((f"{say('begun-by')}: {view.by(detail['execution'].get('by'), eye)}", ""))
    names = (
        say("ask-have", names=", ".join(have), persons=ask.get("persons"))
        if have
        else say("ask-have-none", persons=ask.get("persons"))
    )
    lines.append((names, ""))
    if eye.me and eye.me == view.initiator(detail):
        lines.append((say("ask-own"), "bold"))
    elif eye.me in have:
        lines.append((say("ask-mine-done"), "bold"))
    else:
        lines.append((say("ask-yours"), "bold"))
    return lines


def _done_by(step: Body, ask: Body, eye: Eye) -> Iterator[str]:
    """The commands as they will be done, and what undoes them: read from what is signed, as far as it stands there."""
    own = {str(job.get("id")) for job in step.get("jobs") or ()}
    orders = [
        one["body"] for one in ask.get("documents") or () if one.get("namespace") == "mocban-order"
    ]
    for body in orders:
        if str(body.get("id")) in own:
            yield f"{eye.say('order')}: {order(body)}"
    for job in step.get("jobs") or ():
        if job.get("type") != "mocban-order":
            yield f"{_label(job, eye)}: {job.get('say', '')}"
    for body in orders:
        if str(body.get("id")) not in own:
            yield f"{eye.say('undo')}: {order(body)}"


def _label(job: Body, eye: Eye) -> str:
    return eye.say({"manual": "hand", "http-api": "call"}.get(str(job.get("type")), "order"))


def order(body: Body) -> str:
    """Device, app, command and arguments of an order."""
    args = body.get("args") or {}
    words = " ".join(f"{name}={_plain(args[name])}" for name in sorted(args))
    return f"{body.get('device')}/{body.get('app')}: {body.get('name')} {words}".rstrip()


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def papers(detail: Body, step: Body, ask: Body, eye: Eye, key: str) -> Lines:
    """Everything ``eye.me`` is about to sign: in words, then each text as it is signed, to the letter."""
    say, documents = eye.say, list(ask.get("documents") or ())
    lines: Lines = [(saying.name(step, eye.lang), "bold")]
    if told := saying.name(step, eye.lang, "description"):
        lines += [(part, "") for part in told.splitlines()]
    lines += [(text, "bold") for text in _done_by(step, ask, eye)]
    lines.append((f"{say('until')}: {saying.moment(ask.get('expires', ''))}", ""))
    lines.append((f"{say('begun-by')}: {view.by(detail['execution'].get('by'), eye)}", ""))
    lines += [(part, "") for part in calls(ask)]
    lines += [("", ""), (say("sign-texts", n=len(documents), key=key, me=eye.me), "bold")]
    for number, one in enumerate(documents, 1):
        lines += [
            ("", ""),
            (say("sign-text", n=number, namespace=one["namespace"]), "bold"),
            (identity.canonical(one["body"]).decode(), ""),
        ]
    return lines


def rehearsal(steps_of: list[Body], eye: Eye) -> Lines:
    """A dry run: each step as it would be done."""
    lines: Lines = []
    for one in steps_of:
        if one.get("type") in _QUIET:
            continue
        told = [eye.say("needs-persons", n=one["persons"])] if one.get("persons") else []
        lines.append(
            (f"· {saying.name(one, eye.lang)}" + (f" ({', '.join(told)})" if told else ""), "bold")
        )
        if one.get("condition"):
            lines.append((f"    {eye.say('condition', text=one['condition'])}", ""))
        where = ", ".join(one.get("targets") or ())
        for command in one.get("commands") or ():
            text = f"{where}: {command['command']}" if where else str(command["command"])
            lines.append((f"    {_label(command, eye)}: {text}", ""))
        for command in one.get("undo") or ():
            lines.append((f"    {eye.say('undo')}: {command['command']}", ""))
    return lines or [(eye.say("dry-none"), "")]
