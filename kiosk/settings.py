"""What a kiosk and a gate are told: tables ``[kiosk]`` and ``[gate]`` of the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from mocban.ids import DeviceId
from mocban.messages import Seconds

Byte = Annotated[int, Field(ge=0, le=255)]


class Security(BaseModel):
    """AFI values of this site. ISO: 0x07 in stock (gate alarms), 0xC2 on loan; some sites differ."""

    model_config = ConfigDict(extra="forbid")

    in_stock: Byte = 0x07
    """AFI of an item that must not leave."""
    on_loan: Byte = 0xC2
    """AFI of an item that may leave."""


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
    """Name in the registry of pad drivers."""
    security: Security = Security()
    """Security marks of this site."""
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


class GateSettings(BaseModel):
    """Table ``[gate]``."""

    model_config = ConfigDict(extra="forbid")

    device: DeviceId = "gate-1"
    """Device id: certificate CN and MQTT user name."""
    gate: str = "serial:///dev/mocban-gate?baud=38400&parity=E"
    """Gate reader by URL."""
    gate_driver: str = "feig"
    """Name in the registry of gate drivers."""
    security: Security = Security()
    """Security marks of this site."""
    siren_seconds: Annotated[float, Field(gt=0, le=60)] = 2.0
    """How long siren and lamp run, by timed output."""
    hold_seconds: Annotated[float, Field(ge=0, le=300)] = 10.0
    """One tag cries at most once in this time."""
    poll_seconds: Annotated[float, Field(gt=0, le=5)] = 0.1
    """Pause between two readings of the buffer."""
    host: str = "127.0.0.1"
    """Address of the health page."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8081
    """Port of the health page; 0 picks a free one."""
    heartbeat_seconds: Seconds = 30
    """Seconds from one heartbeat to the next."""
    log_file: Path | None = None
    """File the log goes to, for the order collect-logs; without one, systemd's journal is asked."""
