"""What the dashboard shows, read from the store; the page and its live fragments share their templates."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from gettext import NullTranslations
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined

from gateway.settings import GatewaySettings
from gateway.store.port import (
    MEASURES,
    DeviceRow,
    Hour,
    Measure,
    Readings,
    StoredFact,
    dead_by_reason,
    revived_by_reason,
)
from gateway.web import chart, words
from mocban.clock import Clock, parse_rfc3339
from mocban.health import Health
from mocban.i18n import LANGS, catalog

FRAGMENTS = ("status", "tiles", "chart", "facts", "devices", "dead")
"""Parts of the page that change by themselves; each is a template and an element id."""
_SERIES: tuple[Measure, ...] = ("loans", "returns", "people_in")


@dataclass(frozen=True, slots=True)
class Tile:
    """One big number of today, and yesterday's."""

    measure: Measure
    name: str
    today: int
    yesterday: int


@dataclass(frozen=True, slots=True)
class Line:
    """One fact in the list."""

    cursor: int
    clock: str
    day: str
    device: str
    said: words.Said


@dataclass(frozen=True, slots=True)
class Station:
    """One device in the list; ``state``: on, off or mute (it never said)."""

    name: str
    app: str
    state: str
    since: str
    version: str
    facts: int
    last: str
    age: str


class Pages:
    """Renders for one gateway. Every method reads the store: call it from a thread, not from the loop."""

    def __init__(
        self, readings: Readings, health: Health, clock: Clock, settings: GatewaySettings
    ) -> None:
        self._readings = readings
        self._health = health
        self._clock = clock
        self._settings = settings
        self._zone = ZoneInfo(settings.timezone)
        self._env = Environment(
            loader=PackageLoader("gateway.web"), autoescape=True, undefined=StrictUndefined,
            trim_blocks=True, lstrip_blocks=True,
        )  # fmt: skip

    def page(self, lang: str) -> str:
        """The whole page in ``lang``."""
        return self._env.get_template("dashboard.html").render(self._view(lang))

    def fragments(self, lang: str) -> dict[str, str]:
        """Every fragment by its element id."""
        view = self._view(lang)
        return {name: self._env.get_template(f"{name}.html").render(view) for name in FRAGMENTS}

    def _view(self, lang: str) -> dict[str, Any]:
        texts = catalog("gateway", lang)
        now = self._clock.now()
        tally = self._readings.tally()
        dead = Counter(dead_by_reason(tally))
        dead.subtract(revived_by_reason(tally))
        return {
            "_": texts.gettext,
            "lang": lang,
            "langs": LANGS,
            "title": self._settings.title.get(lang)
            or next(iter(self._settings.title.values()), "mocban"),
            "today": self._day(now),
            "fragments": FRAGMENTS,
            "troubles": [
                (name, c["say"])
                for name, c in self._health.as_json()["checks"].items()
                if not c["ok"]
            ],
            "tiles": self._tiles(now, texts),
            "chart": self._chart(now),
            "series": [(m, self._names(texts)[m]) for m in _SERIES],
            "width": chart.WIDTH,
            "height": chart.HEIGHT,
            "lines": self._lines(now, texts),
            "stations": [
                self._station(row, now, texts)
                for row in self._readings.devices()
                if row.device
                != self._settings.device  # whoever sees this page sees that it is there
            ],
            "dead": [
                (r, n, texts.gettext(words.DEAD[r]) if r in words.DEAD else "")
                for r, n in dead.items()
                if n > 0
            ],
            "dead_count": sum(dead.values()),
        }

    def _names(self, texts: NullTranslations) -> dict[Measure, str]:
        _ = texts.gettext
        return {
            "loans": _("Loans"), "returns": _("Returns"), "people_in": _("Visitors"), "people_out": _("Visitors out"),
            "alarms": _("Gate alarms"), "refused": _("Refused at the kiosk"),
        }  # fmt: skip

    def _tiles(self, now: datetime, texts: NullTranslations) -> list[Tile]:
        today = now.astimezone(self._zone).date()
        yesterday = today - timedelta(days=1)
        found = self._readings.days(yesterday.isoformat(), today.isoformat())
        zero: dict[Measure, int] = dict.fromkeys(MEASURES, 0)
        new, old = found.get(today.isoformat(), zero), found.get(yesterday.isoformat(), zero)
        names = self._names(texts)
        shown: tuple[Measure, ...] = ("loans", "returns", "people_in", "alarms", "refused")
        return [Tile(m, names[m], new[m], old[m]) for m in shown]

    def _chart(self, now: datetime) -> chart.Chart:
        """The last 24 local hours; counted in UTC, so a change of summer time neither doubles nor drops one."""
        locals_ = [
            (now - timedelta(hours=back)).astimezone(self._zone) for back in range(23, -1, -1)
        ]
        hours = [Hour(at.date().isoformat(), at.hour) for at in locals_]
        return chart.draw(hours, self._readings.hours(hours[0], hours[-1]), _SERIES)

    def _lines(self, now: datetime, texts: NullTranslations) -> list[Line]:
        found = []
        for fact in self._news():
            at = parse_rfc3339(fact.ts)
            day = self._day(at)
            found.append(
                Line(
                    fact.cursor, at.astimezone(self._zone).strftime("%H:%M:%S"), "" if day == self._day(now) else day,
                    fact.device, words.sentence(fact, texts),
                )
            )  # fmt: skip
        return found

    def _news(self) -> list[StoredFact]:
        """The last facts that a librarian wants to read: of the audit only what went wrong."""
        feed = self._settings.feed
        told = (fact for fact in self._readings.newest(10 * feed) if not words.routine(fact))
        return list(islice(told, feed))

    def _station(self, row: DeviceRow, now: datetime, texts: NullTranslations) -> Station:
        state = "mute" if row.online is None else ("on" if row.online else "off")
        return Station(
            row.device, row.app, state, self._moment(row.since, now), row.version, row.facts,
            words.last_words(row.last_kind, texts) if row.last_kind else "",
            self._age(row.last_rx, now, texts),
        )  # fmt: skip

    def _day(self, at: datetime) -> str:
        return at.astimezone(self._zone).strftime("%d/%m/%Y")

    def _moment(self, text: str, now: datetime) -> str:
        """Clock time of today, else the day with it."""
        if not text:
            return ""
        at = parse_rfc3339(text)
        clock = at.astimezone(self._zone).strftime("%H:%M")
        return clock if self._day(at) == self._day(now) else f"{clock} {self._day(at)}"

    def _age(self, text: str, now: datetime, texts: NullTranslations) -> str:
        if not text:
            return ""
        minutes = int((now - parse_rfc3339(text)).total_seconds() // 60)
        if minutes < 1:
            return texts.gettext("just now")
        if minutes < 60:
            return texts.gettext("{n} min ago").format(n=minutes)
        return self._moment(text, now)
