"""Who this process is on the bus."""

from __future__ import annotations

from dataclasses import dataclass

from mocban.ids import check_device
from mocban.topics import Channel, Topic


@dataclass(frozen=True, slots=True)
class Identity:
    """A device of a tenant, and the app of ours that speaks for it."""

    tenant: str
    device: str
    app: str

    def __post_init__(self) -> None:
        check_device(self.device)

    @property
    def client_id(self) -> str:
        """MQTT client id ``device.app``: several processes of one device never throw each other out."""
        return f"{self.device}.{self.app}"

    def topic(self, channel: Channel, name: str = "") -> str:
        """This device's topic on ``channel``."""
        return str(Topic(self.tenant, self.device, channel, name))
