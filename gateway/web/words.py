"""A committed fact as a sentence for a librarian. Facts name items and devices, never readers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from gettext import NullTranslations
from typing import Literal, assert_never, cast

from gateway.store.port import StoredFact
from mocban.errors import RemoteProtocolError
from mocban.events import (
    AnyFact,
    Audited,
    CommandAnswered,
    DeviceChanged,
    Envelope,
    EventsLost,
    FactShed,
    GateAlarmed,
    ItemRefused,
    LoanMade,
    PeopleCounted,
    ReturnMade,
    SecurityMended,
    StillArmed,
)

Tone = Literal["loan", "return", "refused", "alarm", "people", "device"]


@dataclass(frozen=True, slots=True)
class Said:
    """One line of the list; ``note`` is what a person should know or do."""

    tone: Tone
    text: str
    note: str = ""


def N_(text: str) -> str:  # noqa: N802  gettext's own name for "translate later"
    """Mark ``text`` for the catalog."""
    return text


REASONS = {
    "on-hold": N_("on hold for another reader"),
    "on-loan": N_("on loan to another reader"),
    "loan-limit": N_("loan limit reached"),
    "not-for-loan": N_("for use in the library only"),
    "card-unknown": N_("card not found"),
    "card-blocked": N_("card blocked"),
    "item-unknown": N_("not in the catalogue"),
    "fee-block": N_("open fees"),
    "denied": N_("refused by the library system"),
    "set-incomplete": N_("a part of the set is missing"),
    "twice": N_("two books carry this number"),
    "blank": N_("the chip is empty"),
    "foreign": N_("belongs to another library"),
    "damaged": N_("the chip cannot be read"),
    "tag-failed": N_("the chip could not be written"),
    "ils-silent": N_("the library system did not answer"),
}
"""Refusal codes of the kiosk."""

PARTS = {
    "reader": N_("Reader pad"),
    "pad": N_("Reader pad"),
    "gate": N_("Gate reader"),
    "ils": N_("Library system"),
    "bus": N_("Connection to the gateway"),
}
"""Parts a device may report on."""

ACTS = {
    "service-started": N_("Program started, release {object}"),
    "clone-suspected": N_("Two tell as {object}: perhaps a copied memory card"),
    "dead-replayed": N_("Dead letters judged anew: {object}"),
    "outbox-renewed": N_("Facts are told anew"),
    "order-asked": N_("An order was asked for"),
    "order-refused": N_("The device refused an order"),
    "mode-undone": N_("A mode for a time ended by itself"),
    "visit-abandoned": N_("A visit was abandoned"),
    "execution-failed": N_("A playbook did not succeed: {object}"),
    "step-denied": N_("A step of a playbook was not approved: {object}"),
    "undo-given-up": N_("A step of a playbook could not be undone: {object}"),
    "backup-run": N_("Backup {object}"),
}
"""Acts an audit fact may tell of that is shown; any other is named by its name. See ``routine``."""

DEAD = {
    "bad-envelope": N_("Not a fact of ours: unreadable, or made by other software."),
    "bad-data": N_("A fact with wrong content: bring the device's software to this release."),
    "unknown-kind": N_("A kind or version this gateway does not know: update the gateway."),
    "too-long": N_("Longer than a fact may be: look at the device's software."),
    "seq-reuse": N_(
        "Two different facts with one number: perhaps a copied memory card. Look at this device."
    ),
    "id-reuse": N_("One happening told in two ways: look at the device's software."),
    "foreign-topic": N_("Sent to an address that is not ours: check the device's tenant and name."),
    "bad-state": N_("An unreadable report of a device about itself: look at its software."),
    "bad-receipt": N_("An unreadable receipt of an order: look at the device's software."),
}
"""What a person should do about each reason of a dead letter."""


def sentence(stored: StoredFact, texts: NullTranslations) -> Said:
    """The fact in plain words; a kind this release does not know is named by its kind."""
    try:
        fact = Envelope.model_validate_json(stored.payload).fact()
    except (RemoteProtocolError, ValueError):  # stored by a newer release
        return Said("device", stored.kind)
    return _say(cast(AnyFact, fact), texts)


def routine(stored: StoredFact) -> bool:
    """An audit fact about what went well, or about an order, whose answer is a line of its own."""
    if stored.kind != "audited":
        return False
    data = json.loads(stored.payload)["data"]
    return data.get("outcome", "done") == "done" or str(data.get("action", "")).startswith("order-")


def last_words(kind: str, texts: NullTranslations) -> str:
    """A device's last fact in two words."""
    names = {
        "loan-made": texts.gettext("loan"),
        "return-made": texts.gettext("return"),
        "item-refused": texts.gettext("refusal"),
        "security-mended": texts.gettext("chip mended"),
        "gate-alarmed": texts.gettext("alarm"),
        "still-armed": texts.gettext("chip still on"),
        "events-lost": texts.gettext("passages lost"),
        "people-counted": texts.gettext("people counted"),
        "device-changed": texts.gettext("device report"),
        "audited": texts.gettext("audit"),
        "command-answered": texts.gettext("answer to an order"),
        "fact-shed": texts.gettext("report given up"),
    }
    return names.get(kind, kind)


def _say(fact: AnyFact, texts: NullTranslations) -> Said:
    _ = texts.gettext
    match fact:
        case LoanMade():
            note = _("its chip still has to be switched off") if fact.security == "pending" else ""
            return Said("loan", _("Lent {item}").format(item=fact.item), note)
        case ReturnMade():
            note = _("its chip still has to be switched on") if fact.security == "pending" else ""
            return Said("return", _("Took back {item}").format(item=fact.item), note)
        case ItemRefused():
            text = (
                _("Did not lend {item}")
                if fact.action == "borrow"
                else _("Did not take back {item}")
            )
            return Said("refused", text.format(item=fact.item), _reason(fact.reason, texts))
        case SecurityMended():
            text = {
                "on": _("The chip of {item} is switched on now"),
                "off": _("The chip of {item} is switched off now"),
            }[fact.security]
            return Said("device", text.format(item=fact.item or fact.uid))
        case GateAlarmed() | StillArmed() | EventsLost() | PeopleCounted():
            return _passed(fact, texts)
        case DeviceChanged():
            part = _(PARTS[fact.part]) if fact.part in PARTS else fact.part
            states = {
                "ok": _("works again"),
                "degraded": _("works with faults"),
                "lost": _("does not answer"),
            }
            return Said("device", f"{part}: {states[fact.state]}")
        case Audited():
            if fact.action in ACTS:
                text = _(ACTS[fact.action]).format(object=fact.object)
            else:
                text = _("Audit: {action} {object}").format(action=fact.action, object=fact.object)
            if fact.action == "clone-suspected":
                return Said("alarm", text)
            return Said("device", text.strip(), _outcome(fact.outcome, fact.reason, texts))
        case CommandAnswered():
            text = _("Order {name}").format(name=fact.name)
            return Said("device", text, _outcome(fact.outcome, fact.reason, texts))
        case FactShed():
            text = {
                "full": _("A report was given up for lack of space"),
                "delivered": _("A report was delivered once, and the gateway has lost it"),
            }[fact.why]
            return Said("device", text, fact.what)
        case _:
            assert_never(fact)


def _outcome(outcome: str, reason: str, texts: NullTranslations) -> str:
    _ = texts.gettext
    words = {"done": _("done"), "refused": _("refused"), "failed": _("failed")}[outcome]
    return f"{words} ({reason})" if reason else words


def _passed(
    fact: GateAlarmed | StillArmed | EventsLost | PeopleCounted, texts: NullTranslations
) -> Said:
    _ = texts.gettext
    match fact:
        case GateAlarmed():
            return Said("alarm", *_alarm(fact, texts))
        case StillArmed():
            text = _("{item} went out on loan with its chip still on")
            note = _("lay it on any station: its chip is switched off there")
            return Said("device", text.format(item=fact.item or fact.uid), note)
        case EventsLost():
            text = _("The gate could not keep up: passages were lost")
            return Said("device", text, _("look for a book left near the gate"))
        case PeopleCounted():
            text = _("{entered} came in, {left} went out")
            return Said("people", text.format(entered=fact.entered, left=fact.left))
        case _:
            assert_never(fact)


def _alarm(fact: GateAlarmed, texts: NullTranslations) -> tuple[str, str]:
    _ = texts.gettext
    what = fact.item or (_("chip {uid}").format(uid=fact.uid) if fact.uid else _("an unknown item"))
    way = {"in": _("carried in"), "out": _("carried out"), "unknown": ""}[fact.direction]
    return _("Gate alarm: {what}").format(what=what), way


def _reason(code: str, texts: NullTranslations) -> str:
    return texts.gettext(REASONS[code]) if code in REASONS else code
