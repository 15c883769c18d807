"""What the gateway is told: table ``[gateway]`` of the configuration."""

from __future__ import annotations

from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

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
    """Address of API and dashboard. There is no login yet: keep it on the loopback."""
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
