"""What a kiosk on the same computer lent counts at its gate at once; and items where UIDs do not agree."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from kiosk.gate.known import Known
from kiosk.gate.loans import OWN, Loans
from kiosk.heed.feeds import Heed
from mocban import feeds, identity
from mocban.clock import SetClock
from mocban.events import Fact, LoanMade, ReturnMade
from mocban.identity import Identity
from mocban.outbox import Outbox

UID, TID = "E004010012345678", "E2801130200020613CF40A1B"


def lent(visit: str, uid: str = UID, *, stays: bool = False) -> Fact:
    return LoanMade(session=visit, line=1, item="BG00012345", uid=uid, stays=stays)


def back(visit: str, uid: str = UID) -> Fact:
    return ReturnMade(session=visit, line=1, item="BG00012345", uid=uid)


def in_force(known: Known) -> bool:
    return known.loans


@pytest.mark.parametrize(
    ("facts", "excused"),
    [
        ((), ""),
        ((lent("a"),), OWN),
        ((lent("a"), back("b")), ""),
        ((lent("a"), back("b"), lent("c")), OWN),
        ((lent("a", stays=True),), ""),
        ((lent("a", uid=""),), ""),
        ((lent("a", uid="E004010012345699"),), ""),
    ],
)
def test_a_loan_counts_until_it_is_returned(
    tmp_path: Path, facts: tuple[Fact, ...], excused: str
) -> None:
    path = tmp_path / "kiosk.db"
    outbox = Outbox(path, "kiosk-1", SetClock())
    loans = Loans(path)
    for fact in facts:
        outbox.put(fact)
        loans.look()
    assert loans.excused(UID) == excused
    again = Loans(path)
    again.look()
    assert again.excused(UID) == excused
    outbox.close()


def test_a_kiosk_that_is_not_there_or_is_damaged_lent_nothing_and_costs_nothing(
    tmp_path: Path,
) -> None:
    for loans in (Loans(None), Loans(tmp_path / "none.db")):
        loans.look()
        assert loans.excused(UID) == ""
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"no database at all" * 100)
    loans = Loans(broken)
    loans.look()
    assert loans.excused(UID) == ""


def test_a_kiosk_that_began_anew_is_read_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "kiosk.db"
    loans = Loans(path)
    for visits in (("a", "b", "c"), ("d",)):
        for file in tmp_path.iterdir():
            file.unlink()
        outbox = Outbox(path, "kiosk-1", SetClock())
        for visit in visits:
            outbox.put(lent(visit, UID if visit == "d" else TID))
        loans.look()
        outbox.close()
    assert (loans.excused(UID), loans.excused(TID)) == (OWN, "")


def test_a_uhf_item_is_known_by_its_number_where_its_uid_is_another(tmp_path: Path) -> None:
    clock = SetClock()
    key = identity.signing_key(tmp_path / "key")
    heed = Heed(tmp_path / "gate.db", Identity("demo", "gate-1", "gate"), [key.public], clock)
    known = Known(heed, Loans(None))
    assert not in_force(known)
    payload = feeds.sign(
        key, "demo", "gate-1", "recent-loans", version=1, issued=clock.now(),
        expires=clock.now() + timedelta(hours=1), entries=[feeds.Entry(uid=TID, item="BG00012345")],
    )  # fmt: skip
    assert heed.take("recent-loans", payload)
    assert in_force(known)
    assert known.excused(TID, "") == "recent-loans"
    assert known.excused("8BCC0DB7", "BG00012345") == "recent-loans"
    assert known.excused("8BCC0DB7", "BG00012399") == ""
    assert known.excused("8BCC0DB7", "") == ""
    clock.advance(3601)
    assert not in_force(known)
    assert known.excused("8BCC0DB7", "BG00012345") == ""
    heed.close()
