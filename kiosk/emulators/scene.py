"""What the panel shows of the world, in one language. Loans go by title: no patron appears."""

from __future__ import annotations

import gettext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from kiosk.emulators.switchable import missing
from kiosk.emulators.things import IN_STOCK, ON_LOAN, WorldTag
from kiosk.emulators.world import World
from mocban.clock import parse_rfc3339
from mocban.i18n import catalog, day

FRAGMENTS = ("shelf", "reader", "pad", "hand", "gate", "passages", "faults", "numbers", "loans")
"""Ids of the parts of the page that are sent anew when the world changes."""

_LOOKS = 6
_TRAIL = 3  # passages shown
_SLOW = "2"  # seconds an answer of the slow library system takes


class Thing(NamedTuple):
    """A book or card as drawn."""

    name: str
    title: str
    kind: str
    place: str
    security: str
    look: str


class Walk(NamedTuple):
    """A line of the gate's trail."""

    direction: str
    carrying: str
    cried: bool


class Switch(NamedTuple):
    """A fault as a switch; ``value`` is what it is set to when switched on."""

    name: str
    title: str
    what: str
    value: str
    on: bool


class Reader(NamedTuple):
    """A kind of reader the pad can be. ``why``: why it cannot be chosen here; "" if it can."""

    driver: str
    title: str
    what: str
    on: bool
    why: str


class Number(NamedTuple):
    """A counter with its words."""

    title: str
    value: int


class Due(NamedTuple):
    """A loan without its reader."""

    title: str
    due: str


def security(tag: WorldTag) -> str:
    """in-stock, on-loan or other, by the tag's AFI."""
    return {IN_STOCK: "in-stock", ON_LOAN: "on-loan"}.get(tag.afi, "other")


@dataclass(frozen=True)
class Scene:
    """The world at one moment; reads as it is drawn."""

    world: World
    lang: str

    @cached_property
    def words(self) -> gettext.NullTranslations:
        """The catalog of this language."""
        return catalog("kiosk.emulators", self.lang)

    @cached_property
    def things(self) -> list[Thing]:
        """Every book and card, in the seed's order."""
        return [
            Thing(
                tag.name,
                self._label(tag),
                tag.kind,
                tag.place,
                security(tag),
                f"k{number % _LOOKS}",
            )
            for number, tag in enumerate(self.world.tags())
        ]

    def at(self, place: str) -> list[Thing]:
        """What lies at one place."""
        return [thing for thing in self.things if thing.place == place]

    @property
    def books_in_hand(self) -> bool:
        """Whether there is a book to put back."""
        return any(thing.kind == "item" for thing in self.at("hand"))

    @cached_property
    def passages(self) -> list[Walk]:
        """The latest passages, newest first."""
        latest = self.world.passages(max(0, self.world.last_passage() - _TRAIL))
        return [
            Walk(one.direction, ", ".join(map(self._label, one.tags)), one.cried)
            for one in reversed(latest)
        ]

    @property
    def cried(self) -> bool:
        """Whether the latest passage made the gate cry."""
        return bool(self.passages) and self.passages[0].cried

    @property
    def sirens(self) -> int:
        """How often it has cried."""
        return self.world.sirens()

    @property
    def entered(self) -> int:
        """People who came in."""
        return self.world.people()[0]

    @property
    def left(self) -> int:
        """People who went out."""
        return self.world.people()[1]

    @cached_property
    def readers(self) -> list[Reader]:
        """What the pad can be; none where nobody can choose."""
        _, chosen = self.words.gettext, self.world.reader()
        told = {
            "feig": ("FEIG", _("HF pad, ISO-Host")),
            "3m": ("3M", _("HF pad 210 or 810")),
            "rr9": ("RR9", _("HF pad, unbranded")),
            "uhf18": ("UHF", _("UHFReader18: reads UHF tags")),
            "pcsc": ("PC/SC", _("Card reader on USB")),
            "none": (_("None"), _("A station without a reader")),
        }
        return [
            Reader(driver, title, what, driver == chosen, self._why_not(driver))
            for driver, (title, what) in told.items()
            if chosen
        ]

    @property
    def reader(self) -> Reader | None:
        """What the pad is, if somebody chose."""
        return next((reader for reader in self.readers if reader.on), None)

    @property
    def why_not(self) -> list[str]:
        """Sentences about readers that cannot be chosen, each once."""
        return list(dict.fromkeys(reader.why for reader in self.readers if reader.why))

    def _why_not(self, driver: str) -> str:
        _ = self.words.gettext
        if missing(driver) is None:
            return ""
        return _(
            "PC/SC is not played here: it needs root, and apt-get install pcscd vsmartcard-vpcd iproute2."
        )

    @property
    def unplugged(self) -> bool:
        """Whether the pad is unplugged."""
        return bool(self.world.fault("pad-unplugged"))

    @property
    def faults(self) -> list[Switch]:
        """Every fault with plain words for what it does."""
        _, on = self.words.gettext, self.world.faults()
        told = [
            ("network-down", _("Cut the network"), _("Nothing gets out of the branch or into it.")),
            ("ils-down", _("Stop the library system"), _("It hangs up and takes no calls.")),
            ("ils-silent", _("Silence the library system"), _("It listens but never answers.")),
            ("slow-ils", _("Slow library system"), _("Each answer takes two seconds.")),
            ("pad-unplugged", _("Unplug the pad"), _("The kiosk loses its reader.")),
            ("pad-noise", _("Noise on the pad's cable"), _("Stray bytes between the answers.")),
            ("write-fails", _("Chips refuse writing"), _("The security mark cannot be changed.")),
            (
                "tag-leaves",
                _("A tag leaves while it is written"),
                _("At the next write it is lifted from the pad."),
            ),
            (
                "tag-mutters",
                _("A tag mutters"),
                _("One chip skips every third question."),
            ),
            (
                "twins",
                _("Tags are reported twice"),
                _("The reader names one of them twice."),
            ),
        ]
        return [
            Switch(name, title, what, _SLOW if name == "slow-ils" else "on", name in on)
            for name, title, what in told
        ]

    @property
    def numbers(self) -> list[Number]:
        """Every counter with its words."""
        _, counted = self.words.gettext, self.world.counters()
        told = {
            "loans_in_ils": _("Loans"),
            "returns_in_ils": _("Returns"),
            "undone_in_ils": _("Undone"),
            "tags_disarmed": _("Unlocked"),
            "tags_armed": _("Re-locked"),
            "siren_frames": _("Sirens"),
        }
        return [Number(title, counted[name]) for name, title in told.items()]

    @property
    def loans(self) -> list[Due]:
        """What is on loan, by title."""
        found = []
        for loan in self.world.loans():
            record = self.world.record(loan.item)
            due = day(parse_rfc3339(loan.due), self.lang)
            found.append(Due(record.title if record else loan.item, due))
        return found

    def _label(self, tag: WorldTag) -> str:
        return tag.label.get(self.lang) or tag.name


def page(scene: Scene, links: dict[str, str]) -> str:
    """The whole panel as HTML."""
    template = _PAGES.get_template("panel.html")
    return template.render(scene=scene, lang=scene.lang, links=links, _=scene.words.gettext)


def fragments(scene: Scene) -> dict[str, str]:
    """The inner HTML of every live part, by id."""
    parts, _ = _PAGES.get_template("parts.html").module, scene.words.gettext
    html = {
        name: getattr(parts, name)(scene, _)
        for name in ("reader", "pad", "hand", "gate", "passages", "faults", "numbers", "loans")
    }
    shelf = parts.things(scene.at("shelf"), _("The shelf is empty."), _)  # type: ignore[attr-defined]
    return {name: str(text) for name, text in {**html, "shelf": shelf}.items()}


_PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates")),
    autoescape=select_autoescape(default=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
