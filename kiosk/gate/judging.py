"""What a gate makes of a tag that was seen: rules, what is remembered of it, a verdict. Pure.

Times are seconds of one monotonic clock. A tag's key is its name as the gate gives it: UID, UII, or nothing where only
an armed EAS bit was felt.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, StrEnum, auto

from kiosk.devices.base import Passage
from kiosk.settings import Detect, GateSettings
from kiosk.wire import epc as bank01
from kiosk.wire import gaoxiao
from kiosk.wire.content import Blank, CardTag, Content, ItemTag
from kiosk.wire.tag import decode
from mocban.errors import LocalProtocolError

HF = "E0"
"""A UID of ISO 15693 begins so."""
LULL = 5.0
"""Seconds between two sightings beyond which a tag does not lie there but came again."""
GONE = 15.0
"""Seconds without a sighting after which a tag is gone."""
TAGS_MOST = 2000
"""Tags remembered; those seen longest ago go first."""
ALLOWED = "allow-list"
"""The feed of what may always pass: its tags are armed on purpose."""


class Verdict(StrEnum):
    """What a gate makes of one sighting."""

    CRY = "cry"
    WAITING = "waiting"  # armed, but not seen often enough yet to be sure
    HELD = "held"  # armed, but it cried for this tag a moment ago
    PARKED = "parked"  # armed, and lying there for long
    INBOUND = "inbound"  # armed, but going a way that is not cried for
    LENT = "lent"  # armed, but a feed knows of a loan: work for the staff
    EXCUSED = "excused"  # a feed says to let it go, and nothing is wrong with it
    FOREIGN = "foreign"  # armed, but of another library
    SILENT = "silent"  # it may leave
    STRANGE = "strange"  # not a mark of this site, or none known
    BLANK = "blank"  # nobody wrote it
    CARD = "card"  # a patron's; never told
    TEST = "test"  # mounted here for good


@dataclass(frozen=True, slots=True)
class Rules:
    """How this gate judges; the settings say it in words. ``reads`` within ``within`` seconds make sure of a tag."""

    detect: Detect = "afi"
    in_stock: int = 0x07
    on_loan: int = 0xC2
    owners: frozenset[str] = frozenset()
    directions: frozenset[str] = frozenset({"out", "unknown"})
    reads: int = 1
    within: float = 0.15
    hold: float = 10.0
    parked: float = 60.0
    tests: frozenset[str] = frozenset()

    @classmethod
    def of(cls, settings: GateSettings, reads: int) -> Rules:
        """``reads``: as many as this kind of gate needs, if the settings leave it open."""
        site = settings.security
        return cls(
            settings.detects,
            site.in_stock,
            site.on_loan,
            frozenset(owner.upper() for owner in settings.owners),
            frozenset(settings.directions),
            settings.reads or reads,
            settings.reads_ms / 1000,
            settings.hold_seconds,
            settings.parked_seconds,
            frozenset(settings.test_tags),
        )


@dataclass(frozen=True, slots=True)
class Sight:
    """What is remembered of one tag. ``reads``: its last sightings; ``acted``: when it last was cried for or told;

    ``verdict``: the last one.
    """

    first: float
    last: float
    reads: tuple[float, ...] = ()
    acted: float | None = None
    parked: bool = False
    verdict: Verdict | None = None

    def again(self, now: float, rules: Rules) -> Sight:
        """Seen once more."""
        first = now if now - self.last > LULL else self.first
        reads = (*(at for at in self.reads if now - at <= rules.within), now)[-rules.reads :]
        return replace(self, first=first, last=now, reads=reads)


class Mark(Enum):
    """What gives an item away, or not."""

    ARMED = auto()  # the tag itself says that it must not leave
    UNKNOWN_LOAN = auto()  # the database knows of no loan
    OPEN = auto()
    NONE = auto()


def judge(
    passage: Passage, content: Content, rules: Rules, sight: Sight,
    *, feed: str = "", known: bool = False, certain: bool = False,
) -> Verdict:  # fmt: skip
    """``feed``: the one in force that lets this tag go; ``known``: a feed of loans is in force at all.

    ``certain``: it was asked for by its name, so one sighting is enough.
    """
    if passage.uid in rules.tests:
        return Verdict.TEST
    mark = marked(passage, rules, known=known)
    match content:
        case CardTag():
            return Verdict.CARD
        case Blank():
            return Verdict.BLANK
        case ItemTag() if mark is Mark.ARMED or mark is Mark.UNKNOWN_LOAN:
            owner = content.owner.isil.upper()
            if rules.owners and owner and owner not in rules.owners:
                return Verdict.FOREIGN
        case _:
            pass
    if mark is Mark.OPEN:
        return Verdict.SILENT
    unnamed = mark is Mark.UNKNOWN_LOAN and not isinstance(content, ItemTag)
    if mark is Mark.NONE or unnamed:  # every bank card and ski pass would be an item without a loan
        return Verdict.STRANGE
    if len(sight.reads) < rules.reads and not certain:
        return Verdict.WAITING
    if feed:
        lent = mark is Mark.ARMED and feed != ALLOWED
        return Verdict.LENT if lent else Verdict.EXCUSED
    if passage.direction not in rules.directions:
        return Verdict.INBOUND
    if sight.last - sight.first > rules.parked:
        return Verdict.PARKED
    if sight.acted is not None and sight.last - sight.acted < rules.hold:
        return Verdict.HELD
    return Verdict.CRY


def marked(passage: Passage, rules: Rules, *, known: bool) -> Mark:
    """Which mark counts. A database decides alone while it is known, and not at all before."""
    match rules.detect:
        case "database" if known:
            return Mark.UNKNOWN_LOAN
        case "eas":
            return Mark.ARMED if passage.eas else Mark.OPEN
        case _:
            return Mark.ARMED if passage.eas else _family(passage, rules)


def _family(passage: Passage, rules: Rules) -> Mark:
    if passage.afi == rules.in_stock:
        return Mark.ARMED
    if passage.afi == rules.on_loan:
        return Mark.OPEN
    lent = gaoxiao.lent(passage.epc) if passage.afi is None and passage.epc else None
    if lent is None:
        return Mark.NONE
    return Mark.OPEN if lent else Mark.ARMED


def said(passage: Passage) -> Content:
    """What the tag says; of a UHF tag without its control word, what its UII says by itself."""
    if not passage.data and not passage.epc and passage.uid and not passage.uid.startswith(HF):
        try:
            return decode(b"", epc=bank01.join(bytes.fromhex(passage.uid), afi=bank01.IN_STOCK))
        except (LocalProtocolError, ValueError):
            pass
    return decode(passage.data, epc=passage.epc)


def short(key: str) -> str:
    """The key as facts tell it: a UII that is longer than any UID is none."""
    return key if len(key) <= 32 else ""


class Sights:
    """What is remembered of all tags."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._known: dict[str, Sight] = {}

    def see(self, key: str, now: float) -> Sight:
        """One more sighting of this tag."""
        sight = self._known.pop(key, Sight(now, now)).again(now, self._rules)
        self._known[key] = sight  # behind all others
        while len(self._known) > TAGS_MOST:
            del self._known[next(iter(self._known))]
        return sight

    def acted(self, key: str, now: float) -> None:
        """It was cried for, or told."""
        self._known[key] = replace(self._known.get(key, Sight(now, now)), acted=now)

    def judged(self, key: str, verdict: Verdict) -> bool:
        """The verdict on its last sighting; True if that is news."""
        sight = self._known[key]
        self._known[key] = replace(sight, verdict=verdict)
        return sight.verdict is not verdict

    def park(self, key: str) -> bool:
        """It lies there; True if that is news."""
        sight = self._known[key]
        self._known[key] = replace(sight, parked=True)
        return not sight.parked

    def parked(self, now: float) -> bool:
        """Whether any tag lies there now; forgets those that are gone."""
        rules = self._rules
        for key, sight in list(self._known.items()):
            if now - sight.last <= GONE:
                break  # those behind it were seen later
            if sight.acted is None or now - sight.acted >= rules.hold:
                del self._known[key]
            elif sight.parked:
                self._known[key] = replace(sight, parked=False)
        return any(sight.parked for sight in self._known.values())

    def __len__(self) -> int:
        return len(self._known)
