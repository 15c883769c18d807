"""What operations are told: table ``[ops]`` of the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from mocban.identity import check_public
from mocban.ids import DeviceId


class OpsSettings(BaseModel):
    """Table ``[ops]``."""

    model_config = ConfigDict(extra="forbid")

    device: DeviceId = "ops"
    """Device id of this service on the bus."""
    host: str = "127.0.0.1"
    """Address of its API. It has no login for people yet: keep it on the loopback."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8444
    """Port of its API; 0 picks a free one."""
    gateway_url: Annotated[str, Field(pattern=r"^https?://", max_length=400)] = (
        "http://127.0.0.1:8000"
    )
    """Where the gateway's API is: facts are read there, orders are asked for there."""
    gateway_token: SecretStr | None = None
    """The gateway's operator token, as a credential; without it, the file in this machine's data folder."""
    playbook_keys: tuple[Annotated[str, AfterValidator(check_public)], ...] = ()
    """Public keys whose signature makes a playbook execute; without one, every playbook only dry-runs."""
    autorun: Annotated[dict[str, str], Field(max_length=50)] = {}
    """Playbook that begins by itself when an incident of a kind opens: kind to name. Steps with risk still wait."""
    same_minutes: Annotated[int, Field(ge=1, le=1440)] = 5
    """Signals about one thing within this many minutes are one incident."""
    storm: Annotated[int, Field(ge=3, le=10_000)] = 10
    """Alarms of one gate within a minute that make a fault of it, not a thief."""
    approval_minutes: Annotated[int, Field(ge=1, le=24 * 60)] = 240
    """How long a question for approval stands before it is asked anew."""

    @property
    def own_address(self) -> str:
        """Where commands on this machine reach the API."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"


def playbooks(data_dir: Path) -> Path:
    """Folder of the owner's signed playbooks."""
    return data_dir / "ops" / "playbooks"
