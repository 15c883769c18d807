"""Closing, opening and looking, by every setting a site may have: written, proven, and never believed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import ValidationError

from kiosk.devices import PADS
from kiosk.devices.base import Tag
from kiosk.devices.hf import unsupported
from kiosk.securing import Wrote, look, secure, unsecure
from kiosk.settings import KioskSettings, Security
from mocban import config
from mocban.errors import ConfigError, DeviceLost
from mocban.settings import survey
from tests.support.crashing_world import run
from tests.support.pads import EMULATORS

UID = "E0040100000000A1"
AFI, EAS, BOTH, NONE = (
    Security(by="afi"), Security(by="eas"), Security(by="afi+eas"), Security(by="database"),
)  # fmt: skip


@dataclass
class Field:
    """One tag on a pad, and how it behaves. ``refuses``: afi, eas; ``log``: every call."""

    afi: int = 0x07
    armed: bool = True
    here: bool = True
    refuses: frozenset[str] = frozenset()
    knows_eas: bool = True
    lost: bool = False
    leaves_after: int = 99
    noise: int = 0
    log: list[str] = field(default_factory=list)

    def _call(self, what: str, uid: str) -> bool:
        self.log.append(what)
        assert uid == UID
        if self.lost:
            raise DeviceLost("the pad is gone")
        if "eas" in what and not self.knows_eas:
            raise unsupported("switch the EAS bit")
        answers = self.here
        self.here = self.here and len(self.log) < self.leaves_after
        return answers

    async def write_afi(self, uid: str, afi: int) -> bool:
        if not self._call(f"afi={afi:02X}", uid) or "afi" in self.refuses:
            return False
        self.afi = afi
        return self.here

    async def read_afi(self, uid: str) -> int | None:
        return self.afi if self._call("afi?", uid) else None

    async def write_eas(self, uid: str, *, armed: bool) -> bool:
        if not self._call(f"eas={armed:d}", uid) or "eas" in self.refuses:
            return False
        self.armed = armed
        return self.here

    async def read_eas(self, uid: str) -> bool | None:
        return self.armed if self._call("eas?", uid) else None

    async def open(self) -> str:
        return ""

    async def tags(self) -> list[Tag]:
        return []

    async def close(self) -> None:
        return None


@pytest.mark.parametrize(
    ("site", "opened", "closed"),
    [
        (AFI, ["afi=C2"], ["afi=07"]),
        (EAS, ["eas=0"], ["eas=1"]),
        (BOTH, ["eas=0", "afi=C2"], ["afi=07", "eas=1"]),  # half-way it is still closed in one of them
        (NONE, [], []),
        (Security(in_stock=0xD7, on_loan=0xDA), ["afi=DA"], ["afi=D7"]),
        (Security(in_stock=0xDA, on_loan=0xD7), ["afi=D7"], ["afi=DA"]),
    ],
)  # fmt: skip
def test_each_site_writes_what_it_says(
    site: Security, opened: list[str], closed: list[str]
) -> None:
    for put, calls, is_closed in ((unsecure, opened, False), (secure, closed, True)):
        tag = Field()
        assert run(put(tag, UID, site)) is Wrote.YES
        assert tag.log == calls
        assert run(look(tag, UID, site, closed=is_closed)) is True
        if site is not NONE:
            assert run(look(tag, UID, site, closed=not is_closed)) is False


@pytest.mark.parametrize("site", [AFI, EAS, BOTH])
def test_a_tag_that_refuses_but_holds_the_value_is_as_it_should_be(site: Security) -> None:
    stubborn = frozenset({"afi", "eas"})
    assert run(secure(Field(refuses=stubborn), UID, site)) is Wrote.YES
    assert run(unsecure(Field(refuses=stubborn), UID, site)) is Wrote.NO
    assert run(unsecure(Field(0xC2, armed=False, refuses=stubborn), UID, site)) is Wrote.YES


@pytest.mark.parametrize("refuses", ["afi", "eas"])
def test_a_tag_that_takes_only_one_of_two_marks_is_not_open(refuses: str) -> None:
    tag = Field(refuses=frozenset({refuses}))
    assert run(unsecure(tag, UID, BOTH)) is Wrote.NO
    assert tag.armed or tag.afi == 0x07
    assert run(look(tag, UID, BOTH, closed=False)) is False


@pytest.mark.parametrize("site", [AFI, EAS, BOTH])
def test_a_lifted_tag_and_a_lost_pad_are_gone(site: Security) -> None:
    for put in (secure, unsecure):
        assert run(put(Field(here=False), UID, site)) is Wrote.GONE
        assert run(put(Field(lost=True), UID, site)) is Wrote.GONE
    assert run(look(Field(here=False), UID, site, closed=True)) is None
    assert run(look(Field(lost=True), UID, site, closed=True)) is None


def test_a_tag_lifted_between_its_two_marks_is_gone() -> None:
    assert run(unsecure(Field(leaves_after=2), UID, BOTH)) is Wrote.GONE
    assert run(secure(Field(0xC2, armed=False, leaves_after=1), UID, BOTH)) is Wrote.GONE


@pytest.mark.parametrize("site", [EAS, BOTH])
def test_what_knows_no_eas_is_never_called_open(site: Security) -> None:
    tag = Field(knows_eas=False)
    assert run(unsecure(tag, UID, site)) is Wrote.NO
    assert run(secure(tag, UID, site)) is Wrote.NO
    assert run(look(tag, UID, site, closed=True)) is False


def test_where_no_tag_is_written_none_is_asked() -> None:
    tag = Field(lost=True)
    assert run(secure(tag, UID, NONE)) is run(unsecure(tag, UID, NONE)) is Wrote.YES
    assert tag.log == []


@pytest.mark.parametrize(
    ("values", "say"),
    [
        ({"in_stock": 7, "on_loan": 7}, "no gate could tell a loan from a theft"),
        ({"on_loan": 0}, "a gate that asks for AFI 0 hears every tag there is"),
        ({"by": "afi+eas", "on_loan": 0}, "hears every tag"),
        ({"by": "magic"}, "should be 'afi', 'eas', "),
        ({"in_stock": 256}, "less than or equal to 255"),
    ],
)
def test_marks_that_cannot_work_are_refused_with_a_sentence(
    values: dict[str, object], say: str
) -> None:
    with pytest.raises(ValidationError, match=say):
        Security.model_validate(values)


def test_the_check_of_the_configuration_says_which_line_and_why(tmp_path: Path) -> None:
    file = tmp_path / "mocban.toml"
    file.write_text("[kiosk.security]\nin_stock = 194\n[gate.security]\non_loan = 0\n")
    found = {(fault.key, fault.where) for fault in survey(file).faults}
    assert found == {("kiosk.security", f"{file}:1"), ("gate.security", f"{file}:3")}
    with pytest.raises(ConfigError) as refused:
        config.load("kiosk", KioskSettings, file)
    assert refused.value.say.startswith("kiosk.security: in_stock and on_loan are the same AFI")


@pytest.mark.parametrize("driver", sorted(PADS.keys() - {"auto", "none", "pcsc"}))
def test_a_pad_that_knows_no_eas_is_refused_at_a_site_that_lives_by_it(driver: str) -> None:
    told = {"pad_driver": driver, "security": {"by": "afi+eas"}}
    if "eas" not in EMULATORS[driver].lacks:
        assert KioskSettings.model_validate(told).security.eas
        return
    with pytest.raises(ValidationError, match=f"the pad {driver} cannot switch the EAS bit"):
        KioskSettings.model_validate(told)
    assert KioskSettings.model_validate({"pad_driver": driver}).security.afi


def test_a_site_that_writes_no_afi_may_have_one_for_everything() -> None:
    assert Security(by="eas", in_stock=0xC2, on_loan=0xC2).eas
    assert Security(in_stock=0).afi
