"""What the test library system decides: one SIP2 request in, one answer out, over the world."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta, tzinfo

from kiosk.emulators.things import WorldLoan, WorldPatron, WorldRecord
from kiosk.emulators.world import World
from kiosk.wire.sip2 import LONGEST, Message, clean
from kiosk.wire.sip2_dates import stamp
from mocban.clock import Clock, parse_rfc3339, rfc3339

DAYS = 14
"""Loan period; a loan ends at 23:59:59 local time."""
LIBRARY = "Thư viện tỉnh Bắc Giang"
SUPPORTED = "YYYNYYYYYNYNNNNN"
"""BX: patron status, checkout, checkin, status, resend, login, patron, end session, item."""

ON_HOLD = "Sách đang được giữ cho bạn đọc khác"
ON_LOAN = "Sách đang được bạn đọc khác mượn"
RENEWAL = "Bạn đang mượn cuốn này, máy này không gia hạn"
NO_PATRON = "Không tìm thấy thẻ bạn đọc"
BLOCKED = "Thẻ đang bị khóa, mời bạn đến quầy thủ thư"
LIMIT = "Bạn đã mượn đủ số sách cho phép"
NO_ITEM = "Không tìm thấy tài liệu"
REFERENCE = "Tài liệu chỉ đọc tại chỗ"
NOT_OUT = "Sách này không có trong danh sách mượn"
KEEP = "Sách có bạn đọc khác đặt giữ, để riêng"
_HOLD_BIN, _BIN = "2", "1"

Fields = list[tuple[str, str]]


class Desk:
    """Answers requests. ``not_out_ok``: a return of an item on no loan succeeds, as many sites set
    it; ``desensitize`` False: every loan is for the reading room."""

    def __init__(
        self,
        world: World,
        clock: Clock,
        *,
        zone: tzinfo | None = None,
        not_out_ok: bool = True,
        desensitize: bool = True,
    ) -> None:
        self._world = world
        self._clock = clock
        self._zone = zone
        self._not_out_ok = not_out_ok
        self._desensitize = desensitize

    def answer(self, request: Message) -> Message | None:
        """The answer; None for a message this system does not know."""
        match request.code:
            case "99":
                return self._status()
            case "23" | "63":
                return self._patron(request)
            case "35":
                fields = [("AO", request.get("AO")), ("AA", request.get("AA"))]
                return _message("36", {"end": "Y", "date": self._now()}, fields)
            case "11":
                return self._checkout(request)
            case "09":
                return self._checkin(request)
            case "17":
                return self._item(request)
            case _:
                return None

    def _now(self) -> str:
        return stamp(self._clock.now(), self._zone)

    def _status(self) -> Message:
        flags = dict.fromkeys(("online", "checkin", "checkout"), "Y")
        flags |= dict.fromkeys(("renewal", "status_update", "offline"), "N")
        fixed = {**flags, "timeout": "050", "retries": "003", "sync": self._now()}
        fields = [("AO", "VN-BG01"), ("AM", LIBRARY), ("BX", SUPPORTED)]
        return _message("98", {**fixed, "version": "2.00"}, fields)

    def _patron(self, request: Message) -> Message:
        card = request.get("AA")
        patron = self._world.patron(card)
        loans = self._world.loans_of(card) if patron else []
        fixed = {
            "patron_status": _flags(patron, len(loans)),
            "language": request.fixed["language"] if patron else "000",
            "date": self._now(),
        }
        fields: Fields = [("AO", request.get("AO")), ("AA", card)]
        fields += [("AE", patron.name if patron else ""), ("BL", "Y" if patron else "N")]
        if patron is None:
            fields.append(("AF", NO_PATRON))
        elif patron.blocked:
            fields.append(("AF", BLOCKED))
        if request.code == "23":
            return _message("24", fixed, fields)
        late = [loan for loan in loans if parse_rfc3339(loan.due) < self._clock.now()]
        for name in ("holds", "fines", "recalls", "unavailable"):
            fixed[name] = "    "  # this system does not count them
        fixed |= {"overdue": f"{len(late):04d}", "charged": f"{len(loans):04d}"}
        if patron:
            fields.append(("CB", f"{patron.limit:04d}"))
        summary = request.fixed["summary"]
        for at, key, some in ((1, "AT", late), (2, "AU", loans)):
            if summary[at] == "Y":
                fields += [(key, loan.item) for loan in _asked_for(request, some)]
        return _message("64", fixed, fields)

    def _checkout(self, request: Message) -> Message:
        card, item = request.get("AA"), request.get("AB")
        record, patron = self._world.record(item), self._world.patron(card)
        loan = self._world.loan(item)
        refusal = self._refusal(request, patron, record, loan)
        granted = not refusal
        due = ""
        if granted:
            end = self._due()
            self._world.lend(item, card, rfc3339(end))
            due = stamp(end, self._zone)
        fixed = {
            "ok": "1" if granted else "0",
            "renewal_ok": "Y" if granted and loan else "N",
            "magnetic": "N",
            "desensitize": "Y" if granted and self._desensitize else "N",
            "date": self._now(),
        }
        fields: Fields = [("AO", request.get("AO")), ("AA", card), ("AB", item)]
        fields += [("AJ", record.title if record else ""), ("AH", due)]
        return _message("12", fixed, fields + ([("AF", refusal)] if refusal else []))

    def _refusal(
        self,
        request: Message,
        patron: WorldPatron | None,
        record: WorldRecord | None,
        loan: WorldLoan | None,
    ) -> str:
        """Why the item is not lent, in the words the patron is to see; empty if it is."""
        if patron is None:
            return NO_PATRON
        if patron.blocked:
            return BLOCKED
        if record is None:
            return NO_ITEM
        if loan is not None and loan.card != patron.card:
            return ON_LOAN
        if loan is not None and request.fixed["sc_renewal"] != "Y":
            return RENEWAL
        if request.get("BI") == "Y":
            return ""  # a return that failed is taken back: no rule stands in its way
        if record.reference:
            return REFERENCE
        if record.on_hold_for not in ("", patron.card):
            return ON_HOLD
        if loan is None and len(self._world.loans_of(patron.card)) >= patron.limit:
            return LIMIT
        return ""

    def _due(self) -> datetime:
        today = self._clock.now().astimezone(self._zone)
        last = datetime.combine(today.date() + timedelta(days=DAYS), time(23, 59, 59))
        return (last.replace(tzinfo=self._zone) if self._zone else last).astimezone(UTC)

    def _checkin(self, request: Message) -> Message:
        item, cancel = request.get("AB"), request.get("BI") == "Y"
        record = self._world.record(item)
        was_out = record is not None and self._world.give_back(item, cancel)
        ok = record is not None and (was_out or self._not_out_ok)
        kept = ok and record is not None and record.on_hold_for != ""
        fixed = {
            "ok": "1" if ok else "0",
            "resensitize": "Y" if ok else "N",
            "magnetic": "N",
            "alert": "Y" if kept or not ok else "N",
            "date": self._now(),
        }
        fields: Fields = [("AO", request.get("AO")), ("AB", item)]
        fields.append(("AQ", "VN-BG01" if record else ""))
        if record:
            fields.append(("AJ", record.title))
        if ok:
            fields.append(("CL", _HOLD_BIN if kept else _BIN))
        if kept:
            fields += [("CV", "01"), ("AF", KEEP)]
        elif not ok:
            fields.append(("AF", NOT_OUT if record else NO_ITEM))
        return _message("10", fixed, fields)

    def _item(self, request: Message) -> Message:
        item = request.get("AB")
        record, loan = self._world.record(item), self._world.loan(item)
        fixed = {"circulation": _circulation(record, loan), "security": "00", "fee_type": "01"}
        fields: Fields = [("AB", item), ("AJ", record.title if record else "")]
        if loan:
            fields.append(("AH", stamp(parse_rfc3339(loan.due), self._zone)))
        if record is None:
            fields.append(("AF", NO_ITEM))
        elif record.on_hold_for:
            fields.append(("CF", "1"))
        return _message("18", {**fixed, "date": self._now()}, fields)


def _flags(patron: WorldPatron | None, charged: int) -> str:
    """The 14 flags. Recall denied (2) is always set, as by real systems that know no recalls."""
    flags = [" "] * 14
    flags[2] = "Y"
    if patron is None or patron.blocked:
        flags[0:2] = "YY"
        flags[3] = "Y"
    elif charged >= patron.limit:
        flags[0] = flags[5] = "Y"
    return "".join(flags)


def _circulation(record: WorldRecord | None, loan: WorldLoan | None) -> str:
    if loan:
        return "04"
    if record is None or record.reference:
        return "01"
    return "08" if record.on_hold_for else "03"


def _asked_for(request: Message, loans: list[WorldLoan]) -> list[WorldLoan]:
    """The items from BP to BQ, counted from 1; all if the request does not say."""
    first, last = request.get("BP"), request.get("BQ")
    begin = int(first) - 1 if first.isascii() and first.isdigit() else 0
    end = int(last) if last.isascii() and last.isdigit() else len(loans)
    return loans[max(0, begin) : end]


def _message(code: str, fixed: Mapping[str, str], fields: Fields) -> Message:
    return Message(code, fixed, tuple((key, _fit(value)) for key, value in fields))


def _fit(value: str) -> str:
    """``value`` as a field bears it: no delimiter or control character, at most 255 bytes."""
    text = clean(value).replace("|", " ")
    return text.encode()[:LONGEST].decode(errors="ignore")
