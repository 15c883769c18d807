"""What the backup is told: table ``[backup]`` of the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from mocban.ids import DeviceId


def check_absolute(path: Path) -> Path:
    """``path`` if it is absolute; ValueError if not."""
    if not path.is_absolute():
        raise ValueError("a folder of this machine, from / on")
    return path


Folder = Annotated[Path, AfterValidator(check_absolute)]
App = Literal["gateway", "ops", "kiosk", "gate"]


class BackupSettings(BaseModel):
    """Table ``[backup]``. Keys are never taken: who finds the repository's password must not find them, too."""

    model_config = ConfigDict(extra="forbid")

    device: DeviceId = "backup"
    """Device id under which backups are told and by which snapshots are known: MQTT user name and restic's host."""
    repository: Folder | None = None
    """Folder of the restic repository, on another disk than ``data_dir``."""
    password: SecretStr | None = None
    """Password of the repository, as a credential."""
    password_file: Folder | None = None
    """Or a file that holds it, which only its owner may read. Keep a copy away from this machine."""
    sources: Annotated[tuple[App, ...], Field(min_length=1)] = ("gateway",)
    """Apps whose database is taken."""
    staging: Folder | None = None
    """Folder for the copies while they are read, with room for all of them; without it, a folder of ``data_dir``."""
    restic: Annotated[str, Field(min_length=1)] = "restic"
    """Name or path of the program."""
    max_age_hours: Annotated[int, Field(ge=1, le=24 * 90)] = 26
    """Hours after which the last good backup is too old."""
    deadline_minutes: Annotated[int, Field(ge=1, le=24 * 60)] = 60
    """Minutes after which restic is stopped, whatever it does."""
    stall_seconds: Annotated[int, Field(ge=5, le=3600)] = 180
    """Seconds without any progress after which restic is stopped."""

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        if self.password is not None and self.password_file is not None:
            raise ValueError("give password or password_file, not both")
        if self.password is not None and not self.password.get_secret_value().strip():
            raise ValueError("password is empty")
        return self
