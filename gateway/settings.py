"""What the gateway is told: table ``[gateway]`` of the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from mocban.events import Uid
from mocban.feeds import ENTRIES_MAX
from mocban.ids import DeviceId


def check_zone(name: str) -> str:
    """``name`` if it is a time zone this machine knows; ValueError if not."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("a time zone reads like Asia/Ho_Chi_Minh") from None
    return name


class GatewaySettings(BaseModel):
    """Table ``[gateway]``."""

    model_config = ConfigDict(extra="forbid")

    device: DeviceId = "gateway"
    """Device id of the gateway itself: certificate CN and MQTT user name."""
    host: str = "127.0.0.1"
    """Address of API and dashboard. Readers need no login yet: keep it on the loopback."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """Port of API and dashboard; 0 picks a free one."""
    title: dict[str, str] = {"vi": "Thư viện tỉnh Bắc Giang", "en": "Bắc Giang Provincial Library"}
    """Name over the dashboard by language."""
    timezone: Annotated[str, AfterValidator(check_zone)] = "Asia/Ho_Chi_Minh"
    """Zone whose midnight begins a statistics day."""
    late_days: Annotated[int, Field(ge=1, le=365)] = 30
    """A fact whose own time is more days than this before its arrival counts on the day it arrived."""
    feed: Annotated[int, Field(ge=1, le=100)] = 12
    """How many of the last facts the dashboard lists."""
    days: Annotated[int, Field(ge=1, le=400)] = 31
    """How many days back ``/api/v1/counts`` answers."""
    batch: Annotated[int, Field(ge=1, le=500)] = 200
    """Most messages in one transaction; also the Receive Maximum asked of the broker."""
    keep_alive: Annotated[int, Field(ge=2, le=600)] = 20
    """Seconds of silence after which the broker is asked whether it is still there."""
    stray_letters: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Dead letters without a sequence number kept per device; older ones go."""
    streams: Annotated[int, Field(ge=1, le=200)] = 64
    """Most dashboards that may be live at once."""
    signing_key: SecretStr | None = None
    """Private key of orders and feeds (base64 of 32 bytes), as a credential; without it, a file of the data folder."""
    tls_cert: Path | None = None
    """Certificate chain (PEM) of API and dashboard; with ``tls_key``, they speak HTTPS only."""
    tls_key: Path | None = None
    """Its private key (PEM), without a passphrase."""
    public_url: Annotated[str, Field(pattern=r"^(https?://[^/?#]+/?)?$", max_length=400)] = ""
    """Where devices reach the gateway, for uploads; empty: its own address and port."""
    uploads_mib: Annotated[int, Field(ge=5, le=1_000_000)] = 256
    """MiB of uploaded logs kept; the oldest go."""
    feed_hours: Annotated[int, Field(ge=1, le=24 * 30)] = 24
    """Hours a gate believes a feed; it is renewed after half of them."""
    recent_hours: Annotated[int, Field(ge=1, le=24 * 14)] = 12
    """Hours after a loan in which no gate cries for it."""
    pending_days: Annotated[int, Field(ge=1, le=90)] = 30
    """Days in which no gate cries for a loan whose tag could not be opened."""
    allow_list: Annotated[list[Uid], Field(max_length=ENTRIES_MAX)] = []
    """Tags no gate ever cries for: UIDs in upper-case hex."""

    @model_validator(mode="after")
    def _tls_whole(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together")
        return self

    @property
    def address(self) -> str:
        """Where devices and commands reach the API, without a slash at the end."""
        if self.public_url:
            return self.public_url.rstrip("/")
        return self.own_address

    @property
    def own_address(self) -> str:
        """Where commands on this machine reach the API."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        scheme = "https" if self.tls_cert else "http"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.port}"
