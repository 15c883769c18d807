"""An execution in plain words: its states, its log, what a person is asked. Pure but for the catalog."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mocban import i18n
from mocban.clock import parse_rfc3339, rfc3339
from ops.incidents.words import line as line_of
from ops.incidents.words import plain
from ops.runbooks.news import What
from ops.runbooks.state import Run, Visit


def N_(text: str) -> str:  # noqa: N802  gettext's own name for "translate later"
    """Mark ``text`` for the catalog."""
    return text


STATES: Mapping[str, str] = {
    "todo": N_("to do"), "running": N_("under way"), "waiting": N_("waits"), "done": N_("done"),
    "failed": N_("failed"), "skipped": N_("left out"), "unknown": N_("not known"), "stopped": N_("stopped"),
}  # fmt: skip

LINES: Mapping[What, str] = {
    "execution-begun": N_("Playbook {playbook} begun by {actor_words}"),
    "execution-done": N_("Playbook {playbook} is done"),
    "execution-failed": N_("Playbook {playbook} failed: {reason_words}"),
    "execution-stopped": N_("Playbook {playbook} is stopped"),
    "execution-stop": N_("{actor_words} stops the playbook"),
    "step-asked": N_("{step_words}: {persons} must approve, until {until_words}"),
    "step-approved": N_("{step_words}: approved by {actor_words}"),
    "step-denied": N_("{step_words}: denied by {actor_words}"),
    "step-resumed": N_("{step_words}: {actor_words} says {outcome_words}"),
    "step-manual": N_("{step_words}: a person is to do this"),
    "step-unknown": N_("{step_words}: nobody knows whether it was done ({reason_words})"),
    "step-done": N_("{step_words}: done"),
    "step-failed": N_("{step_words}: failed ({reason_words})"),
    "step-skipped": N_("{step_words}: left out"),
    "order-asked": N_("{step_words}: order {say}"),
    "call-sent": N_("{step_words}: call {say}"),
    "undo-begun": N_("{step_words}: is being undone"),
    "undo-done": N_("{step_words}: undone"),
    "undo-given-up": N_("{step_words}: not undone ({reason_words})"),
}
"""By an entry's ``what``."""

OUTCOMES: Mapping[str, str] = {
    "done": N_("it was done"), "failed": N_("it was not done"), "retry": N_("try again"),
}  # fmt: skip

REASONS: Mapping[str, str] = {
    "denied": N_("denied"),
    "timeout": N_("not in time"),
    "no-answer": N_("no answer"),
    "interrupted": N_("interrupted by a restart"),
    "expired": N_("its time was over"),
    "stopped": N_("stopped"),
    "failed": N_("it failed"),
    "unreachable": N_("nobody answers there"),
    "device-unknown": N_("the device never said that it is there"),
    "too-many-steps": N_("too many steps"),
    "no-value": N_("a variable has no value"),
    "busy": N_("somebody was at it"),
}
"""By code; a code without words is shown as it is."""

ERRORS: Mapping[str, tuple[str, str]] = {
    "unsigned": (
        N_("this playbook is not signed by a key that counts here"),
        N_("try it with --dry-run; to execute it, sign it with mocban runbook sign"),
    ),
    "own-approval": (
        N_("nobody approves what they began"), N_("let another person of [staff] approve it"),
    ),
    "bad-approval": (
        N_("a signature is not of this person over this step"),
        N_("approve it with mocban runbook approve, with the key that stands in [staff]"),
    ),
    "already-decided": (N_("this step is decided already"), N_("see mocban runbook show")),
    "expired": (N_("the time to approve this is over"), N_("look again: it is asked anew")),
    "unknown-person": (N_("nobody of this name may approve here"), N_("add them to [staff]")),
    "already-over": (N_("this execution is over"), N_("see mocban runbook show")),
    "not-waiting": (N_("this step waits for nobody's word"), N_("see mocban runbook show")),
    "not-now": (
        N_("there is nothing to try again here"),
        N_("say whether it was done or not"),
    ),
    "nobody-approves": (
        N_("a step must be approved by more persons than there are"),
        N_("add persons with keys of their own to [staff]"),
    ),
    "same-key": (
        N_("this key approved it already, under another name"),
        N_("let a person with a key of their own approve it"),
    ),
}  # fmt: skip
"""By code: what is wrong, and what to do."""


def say(lang: str, text: str, **values: object) -> str:
    """``text`` in ``lang``, with ``values``."""
    found = i18n.catalog("ops", lang).gettext(text)
    return found.format_map(values) if values else found


def reason(code: str, lang: str) -> str:
    """A code in words."""
    return say(lang, REASONS[code]) if code in REASONS else plain(code)


def name(body: Mapping[str, Any], lang: str, what: str = "name") -> str:
    """The name (or ``description``) of a step or playbook as the API shows it."""
    told = body.get("words") or {}
    for each in (lang, "vi", "en"):
        if found := (told.get(each) or {}).get(what):
            return plain(str(found)) if what == "name" else str(found)
    return plain(str(body.get("name") or body.get("id") or "")) if what == "name" else ""


def line(entry: Mapping[str, Any], lang: str) -> str:
    """One entry of the log in a line."""
    return line_of(known(entry, lang), i18n.catalog("ops", lang).gettext, dict(LINES.items()))


def known(entry: Mapping[str, Any], lang: str) -> dict[str, Any]:
    """``entry`` with its codes in words, for ``ops.incidents.words.line`` with ``LINES``."""
    args = dict(entry.get("args") or {})
    args["playbook"] = args.get(f"playbook_{lang}") or args.get("playbook", "")
    args["step_words"] = args.get(f"step_{lang}") or args.get("step", "")
    args["reason_words"] = reason(args.get("reason", ""), lang)
    args["until_words"] = moment(args.get("until", ""))
    args["outcome_words"] = (
        say(lang, OUTCOMES[o]) if (o := args.get("outcome", "")) in OUTCOMES else o
    )
    return {**entry, "args": args, "text": entry.get("text") or args.get("why", "")}


def moment(text: str) -> str:
    """A time of the API as people here read it: local, to the minute."""
    if not text:
        return ""
    return parse_rfc3339(text).astimezone().strftime("%H:%M %d/%m/%Y")


def ask(run: Run, visit: Visit, lang: str) -> str:
    """What a person is asked to approve, in a few lines."""
    found = run.step(visit)
    words = found.words.get(lang) or {}
    until = moment(rfc3339(visit.until)) if visit.until else ""
    lines = [
        say(lang, N_("Step: {step}"), step=words.get("name") or found.name or found.id),
        *([str(words["description"])] if words.get("description") else []),
        *(
            say(lang, N_("It does: {what}"), what=job.say)
            for job in visit.jobs
            if job.state != "done"
        ),
        *(say(lang, N_("It is undone by: {what}"), what=job.say) for job in visit.undo),
        say(lang, N_("Begun by: {by}"), by=run.by.partition(":")[2] or run.by),
        say(lang, N_("To be approved until: {until}"), until=until),
    ]
    return "\n".join(map(plain, lines))
