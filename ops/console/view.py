"""Lists and counts as a person reads them: state by mark and word, worst first. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mocban.clock import parse_rfc3339
from mocban.i18n import catalog
from ops.console.feed import Body, Picture
from ops.console.words import Say, ago, speech
from ops.incidents import words as incident_words
from ops.runbooks import saying

SEVERITIES = ("critical", "major", "minor", "info")
"""Worst first."""
MARKS: Mapping[str, str] = {
    "critical": "!!", "major": "!", "minor": "-", "info": "·",
    "todo": "·", "running": "►", "waiting": "?", "done": "✓", "failed": "✗", "skipped": "–", "unknown": "?",
    "stopped": "■", "online": "✓", "gone": "✗",
}  # fmt: skip
COLOURS: Mapping[str, str] = {
    "critical": "bold red", "major": "bold yellow", "failed": "bold red", "gone": "bold red", "waiting": "bold yellow",
    "unknown": "bold yellow", "done": "green", "online": "green",
}  # fmt: skip
"""Only as an addition: the word beside the mark says the same."""
TODO_MAX = 300
"""Most things to do that are listed; how many there are stands above them."""
_BARS = "▁▂▃▄▅▆▇█"
_NEEDS: Mapping[str, str] = {
    "approval": "approve-any",
    "person": "do-by-hand",
    "word": "tell-outcome",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table. ``key`` names the thing; ``colour`` is of the first cell."""

    key: str
    cells: tuple[str, ...]
    colour: str = ""


@dataclass(frozen=True, slots=True)
class Eye:
    """Who looks, when, and in which language. ``me`` is empty while nobody said who they are."""

    lang: str
    now: datetime
    me: str = ""

    @property
    def say(self) -> Say:
        """The console's words."""
        return speech(self.lang)

    def text(self, msgid: str) -> str:
        """A word of operations' own catalog."""
        return catalog("ops", self.lang).gettext(msgid)

    def since(self, moment: Any) -> str:
        """How long ago a time of the API is."""
        at = when(moment)
        return ago((self.now - at).total_seconds(), self.say) if at else ""


def when(moment: Any) -> datetime | None:
    """A time of the API; None if it is none."""
    try:
        return parse_rfc3339(str(moment)) if moment else None
    except ValueError:
        return None


def marked(name: str, word: str) -> str:
    """Mark and word of one state."""
    return f"{MARKS.get(name, ' ')} {word}"


def severity(incident: Body, eye: Eye) -> str:
    """Mark and word of how bad it is."""
    name = str(incident.get("severity"))
    return marked(name, eye.text(incident_words.SEVERITY_WORDS.get(name, name)))


def state(incident: Body, eye: Eye) -> str:
    """Its state."""
    name = str(incident.get("state"))
    return eye.text(incident_words.STATE_WORDS.get(name, name))


def title(incident: Body, eye: Eye) -> str:
    """One line that says what it is."""
    try:
        return incident_words.title(incident, eye.text)
    except (
        KeyError,
        TypeError,
        AttributeError,
    ):  # of a newer release: better its kind than no console
        return str(incident.get("kind", "?"))


def worst_first(incidents: Iterable[Body]) -> list[Body]:
    """Unresolved before resolved, then by severity, then the newest."""
    found = sorted(incidents, key=lambda one: str(one.get("opened")), reverse=True)
    return sorted(found, key=lambda one: (one.get("state") == "resolved", _rank(one)))


def _rank(incident: Body) -> int:
    name = str(incident.get("severity"))
    return SEVERITIES.index(name) if name in SEVERITIES else len(SEVERITIES)


def incidents(picture: Picture, eye: Eye, *, resolved: bool = False) -> list[Row]:
    """The table of incidents: number, severity, what, state, since."""
    return [
        Row(
            str(one["no"]),
            (str(one["no"]), severity(one, eye), title(one, eye), state(one, eye), eye.since(one.get("opened"))),
            COLOURS.get(str(one.get("severity")), "") if one.get("state") != "resolved" else "",
        )
        for one in worst_first(picture.incidents)
        if resolved or one.get("state") != "resolved"
    ]  # fmt: skip


# Executions


def execution_state(name: str, say: Say) -> str:
    """A state of an execution or a step in a word."""
    own = {
        "todo": "todo-state",
        "failed": "failed-state",
        "unknown": "unknown-state",
        "stopped": "stopped-state",
    }
    return say(own.get(name, name)) if own.get(name, name) in _STATES else name


_STATES = frozenset(
    {
        "todo-state",
        "running",
        "waiting",
        "done",
        "failed-state",
        "skipped",
        "unknown-state",
        "stopped-state",
    }
)


def by(actor: Any, eye: Eye) -> str:
    """An actor's name."""
    return incident_words.who(str(actor), eye.text)


def executions(picture: Picture, eye: Eye) -> list[Row]:
    """The table of executions: state, playbook, begun by, incident, since."""
    rows = []
    for one in picture.executions:
        name = str(one.get("state"))
        needs = list(needed(picture.waiting[one["id"]])) if one["id"] in picture.waiting else []
        word = eye.say(_NEEDS[needs[0][1]]) if needs else execution_state(name, eye.say)
        shown = "waiting" if needs else name
        rows.append(
            Row(
                str(one["id"]),
                (
                    marked(shown, word), saying.name(one.get("playbook") or {}, eye.lang), by(one.get("by"), eye),
                    str(one.get("incident") or ""), eye.since(one.get("began")),
                ),
                COLOURS.get(shown, ""),
            )
        )  # fmt: skip
    return rows


def runs_of(picture: Picture, no: str) -> list[Body]:
    """The executions that work on that incident, newest first."""
    return [one for one in picture.executions if str(one.get("incident")) == no]


def needed(detail: Body) -> Iterator[tuple[Body, str]]:
    """Each step that waits for a person, and what for: ``approval``, ``person``, ``word``."""
    for step in detail.get("steps") or ():
        if step.get("waits") in _NEEDS:
            yield step, str(step["waits"])


def ask_of(detail: Body, step: str) -> Body | None:
    """The question about that step."""
    return next((one for one in detail.get("asks") or () if one.get("step") == step), None)


def initiator(detail: Body) -> str:
    """Name of the person who began it; empty if none did."""
    kind, _, name = str((detail.get("execution") or {}).get("by", "")).partition(":")
    return name if kind == "person" else ""


# The overview


def todo(picture: Picture, eye: Eye) -> list[Row]:
    """What a person is needed for, most pressing first: level, what, state, since."""
    rows = []
    for ident, detail in picture.waiting.items():
        for step, need in needed(detail):
            rows.append(_waiting(ident, detail, step, need, eye))
    for one in worst_first(picture.incidents):
        if one.get("state") != "resolved":
            cells = (
                severity(one, eye),
                title(one, eye),
                state(one, eye),
                eye.since(one.get("opened")),
            )
            rows.append(
                Row(f"incident:{one['no']}", cells, COLOURS.get(str(one.get("severity")), ""))
            )
    for one in picture.devices:
        if one.get("online") is False:
            cells = (
                marked("gone", eye.say("col-device").lower()),
                f"{one['device']} ({one['app']})",
                eye.say("gone"),
                eye.since(one.get("seen") or one.get("since")),
            )
            rows.append(Row(f"device:{one['device']}/{one['app']}", cells, COLOURS["gone"]))
    return rows[:TODO_MAX]


def _waiting(ident: str, detail: Body, step: Body, need: str, eye: Eye) -> Row:
    say, word = eye.say, eye.say(_NEEDS[need])
    if need == "approval" and eye.me:
        have = (ask_of(detail, step["id"]) or {}).get("have") or ()
        mine = eye.me == initiator(detail) or eye.me in have
        word = say("approve-other" if mine else "approve-you")
    playbook = saying.name(detail["execution"].get("playbook") or {}, eye.lang)
    what = f"{saying.name(step, eye.lang)} ({playbook})"
    cells = (marked("waiting", say("runbooks")), what, word, eye.since(step.get("began")))
    return Row(f"execution:{ident}#{step['id']}", cells, COLOURS["waiting"])


def severities(picture: Picture, eye: Eye) -> str:
    """How many are open, by severity."""
    still = [one for one in picture.incidents if one.get("state") != "resolved"]
    parts = [str(len(still))]
    for name in SEVERITIES:
        count = sum(one.get("severity") == name for one in still)
        if count:
            parts.append(f"{marked(name, eye.text(incident_words.SEVERITY_WORDS[name]))} {count}")
    return "   ".join(parts)


def waits(picture: Picture, eye: Eye) -> str:
    """How much waits for people."""
    needs = [need for detail in picture.waiting.values() for _, need in needed(detail)]
    going = sum(one.get("state") == "running" for one in picture.executions)
    approve = needs.count("approval")
    say = eye.say
    return " · ".join(
        (
            say("to-approve", n=approve),
            say("by-hand", n=len(needs) - approve),
            say("under-way", n=going),
        )
    )


def today(counts: Body | None, eye: Eye) -> str:
    """The counters of today."""
    if not counts:
        return eye.say("age-none")
    found = counts["today"]["counts"]
    return " · ".join(
        f"{eye.say(name).lower()} {found[name]}"
        for name in ("loans", "returns", "refused", "alarms", "people_in")
        if name in found
    )


def bars(counts: Body | None, measure: str, eye: Eye) -> str:
    """The latest two weeks as a row of bars, and the most of one day."""
    days = sorted((counts or {}).get("days") or (), key=lambda one: str(one["day"]))[-14:]
    values = [int(one["counts"].get(measure, 0)) for one in days]
    if len(values) < 2:
        return ""
    return eye.say(
        "bars", what=eye.say(measure), n=len(values), bars=spark(values), most=max(values)
    )


def spark(values: Iterable[int]) -> str:
    """One block for each value; nothing is a space below the lowest block."""
    numbers = list(values)
    most = max(numbers, default=0)
    return "".join(_BARS[-(-value * 8 // most) - 1] if value > 0 else "·" for value in numbers)
