"""What a kiosk and a gate are told: tables ``[kiosk]`` and ``[gate]`` of the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from mocban.ids import DeviceId
from mocban.messages import Seconds

Byte = Annotated[int, Field(ge=0, le=255)]
Direction = Literal["in", "out", "unknown"]
Detect = Literal["afi", "eas", "database", "hybrid"]
TestTag = Annotated[str, Field(pattern=r"^([0-9A-F]{2}){8,31}$")]
"""Upper-case hex as the gate reports it: UID, or the UII of a UHF tag."""
WITHOUT_EAS = frozenset({"rr9", "uhf18"})
"""Drivers of pads that cannot switch an EAS bit."""
_DETECTS: dict[str, Detect] = {
    "afi": "afi", "eas": "eas", "afi+eas": "hybrid", "database": "database",
}  # fmt: skip


class Security(BaseModel):
    """How this site tells an item in stock from one on loan.

    ISO: AFI 0x07 in stock (gates cry), 0xC2 on loan. 3M sites use 0xD7 and 0xDA, which is which is the site's to say.
    """

    model_config = ConfigDict(extra="forbid")

    by: Literal["afi", "eas", "afi+eas", "database"] = "afi"
    """Where it stands: in the tag's AFI, its EAS bit, both, or only in the library system: then no tag is written."""
    in_stock: Byte = 0x07
    """AFI of an item that must not leave."""
    on_loan: Byte = 0xC2
    """AFI of an item that may leave."""

    @property
    def afi(self) -> bool:
        """Whether it stands in the AFI."""
        return "afi" in self.by

    @property
    def eas(self) -> bool:
        """Whether it stands in the EAS bit."""
        return "eas" in self.by

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        if self.afi and self.in_stock == self.on_loan:
            raise ValueError(
                "in_stock and on_loan are the same AFI: no gate could tell a loan from a theft"
            )
        if self.afi and self.on_loan == 0:
            raise ValueError(
                "on_loan may not be AFI 0: a gate that asks for AFI 0 hears every tag there is"
            )
        return self


class Tagging(BaseModel):
    """How staff write the tags of this site: ``mocban tag``."""

    model_config = ConfigDict(extra="forbid")

    model: Literal["iso28560-3", "iso28560-2", "3m", "ascii", "ndef"] = "iso28560-3"
    """Layout of a tag that is written."""
    owner: Annotated[str, Field(max_length=16)] = ""
    """Owner of this site's items, as in VN-BG01; empty: none is written."""


class IlsSettings(BaseModel):
    """The library system's SIP2 line."""

    model_config = ConfigDict(extra="forbid")

    url: str = "sip2://127.0.0.1:6001"
    """Where the library system listens."""
    user: str = ""
    """Login user (CN); empty: no 93 is sent."""
    password: SecretStr = SecretStr("")
    """Login password (CO)."""
    location: str = ""
    """Location code (CP, AP)."""
    institution: str = ""
    """Institution id (AO)."""
    timeout: Annotated[float, Field(gt=0, le=60)] = 5.0
    """Seconds to wait for an answer before it is asked for again."""
    retries: Annotated[int, Field(ge=0, le=9)] = 2
    """How often a request is repeated with the same sequence number."""
    error_detection: bool = True
    """Send sequence number and checksum (AY, AZ)."""
    encoding: Literal["utf-8", "cp850", "latin-1", "cp1258"] = "utf-8"
    """Character set of the line."""
    nb_due_filled: bool = False
    """Fill the no-block due date instead of leaving it blank: some servers refuse blanks."""


class KioskSettings(BaseModel):
    """Table ``[kiosk]``."""

    model_config = ConfigDict(extra="forbid")

    device: DeviceId = "kiosk-1"
    """Device id: certificate CN and MQTT user name."""
    host: str = "127.0.0.1"
    """Address the screen is served on."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """Port the screen is served on."""
    library: dict[str, str] = {
        "vi": "Thư viện tỉnh Bắc Giang",
        "en": "Bắc Giang Provincial Library",
    }
    """Name of the library by language."""
    station: dict[str, str] = {"vi": "Quầy tự phục vụ 1", "en": "Self-service station 1"}
    """Name of the kiosk by language."""
    hours: dict[str, str] = {"vi": "Hôm nay mở cửa 7:30 – 17:00", "en": "Open today 7:30 – 17:00"}
    """Line on the welcome screen by language."""
    pad: str = "serial:///dev/mocban-pad?baud=38400&parity=E"
    """Reader pad by URL."""
    pad_driver: str = "feig"
    """Name in the registry of pad drivers; ``auto``: whichever reader answers (an address without speed); ``none``."""
    security: Security = Security()
    """Security marks of this site."""
    tagging: Tagging = Tagging()
    """Tags as this site writes them."""
    ils: IlsSettings = IlsSettings()
    """Library system."""
    idle_seconds: Annotated[float, Field(ge=10, le=600)] = 60
    """A visit ends after this long without a sign of life."""
    thanks_seconds: Annotated[float, Field(ge=1, le=60)] = 8
    """How long the thank-you screen stands."""
    tag_tries: Annotated[int, Field(ge=1, le=50)] = 5
    """Failed writes of one tag before a loan is undone."""
    heartbeat_seconds: Seconds = 30
    """Seconds from one heartbeat to the next."""
    log_file: Path | None = None
    """File the log goes to, for the order collect-logs; without one, systemd's journal is asked."""

    @model_validator(mode="after")
    def _can_be_marked(self) -> Self:
        if self.security.eas and self.pad_driver in WITHOUT_EAS:
            raise ValueError(
                f"the pad {self.pad_driver} cannot switch the EAS bit that security.by asks for:"
                " every loan would end at the desk"
            )
        return self


class GateSettings(BaseModel):
    """Table ``[gate]``."""

    model_config = ConfigDict(extra="forbid")

    device: DeviceId = "gate-1"
    """Device id: certificate CN and MQTT user name."""
    gate: str = "serial:///dev/mocban-gate?baud=38400&parity=E"
    """Gate reader by URL."""
    gate_driver: str = "feig"
    """Name in the registry of gate drivers."""
    siren: str = ""
    """Where siren and lamp are switched, by URL, if not on the reader's own line: only in notification mode."""
    security: Security = Security()
    """Security marks of this site."""
    detect: Literal["", "afi", "eas", "database", "hybrid"] = ""
    """What gives an item away; empty: as ``security.by`` says, where both marks together are hybrid."""
    siren_seconds: Annotated[float, Field(gt=0, le=60)] = 2.0
    """How long siren and lamp run, by timed output."""
    hold_seconds: Annotated[float, Field(ge=0, le=300)] = 10.0
    """One tag cries at most once in this time."""
    poll_seconds: Annotated[float, Field(gt=0, le=5)] = 0.1
    """From one reading of the gate to the next."""
    reads: Annotated[int, Field(ge=0, le=20)] = 0
    """So many sightings of a tag within ``reads_ms`` make an alarm; 0: as many as its kind of gate needs."""
    reads_ms: Annotated[int, Field(ge=10, le=5000)] = 150
    """Milliseconds for ``reads``."""
    directions: tuple[Direction, ...] = ("out", "unknown")
    """Who is cried for, by the way they go; what a gate cannot tell counts as going out."""
    parked_seconds: Annotated[float, Field(ge=1, le=3600)] = 60.0
    """A tag that is seen for longer lies near the gate: it is told once, and cries no more until it is gone."""
    owners: tuple[str, ...] = ()
    """Owners on tags that are of this house, as ISIL (``VN-BG01``); items of others are logged only. Empty: any."""
    test_tags: tuple[TestTag, ...] = ()
    """UIDs of tags mounted at the antennas for good, as heartbeats: they never cry."""
    test_seconds: Annotated[float, Field(ge=1, le=3600)] = 60.0
    """A test tag that was not seen for so long means a blind antenna."""
    kiosk_database: Path | None = None
    """Database of a kiosk on this same computer: its loans count here at once, before any feed tells of them."""
    host: str = "127.0.0.1"
    """Address of the health page."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8081
    """Port of the health page; 0 picks a free one."""
    heartbeat_seconds: Seconds = 30
    """Seconds from one heartbeat to the next."""
    log_file: Path | None = None
    """File the log goes to, for the order collect-logs; without one, systemd's journal is asked."""

    @property
    def detects(self) -> Detect:
        """What gives an item away here."""
        return self.detect or _DETECTS[self.security.by]
