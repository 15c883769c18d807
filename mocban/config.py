"""Configuration: ``mocban.toml`` and ``conf.d/*.toml``, ``MOCBAN_<APP>__<KEY>``, credentials as files.

One table per app; keys that several apps share stand above the tables. Unknown keys are errors.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, Field, SecretStr, ValidationError, create_model
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings.exceptions import SettingsError

from mocban.errors import ConfigError
from mocban.identity import Identity, check_public
from mocban.sshsig import check_line

DEFAULT = Path("/etc/mocban/mocban.toml")
TABLES = frozenset({"kiosk", "gate", "gateway", "ops", "backup"})
"""Tables of the apps; a process reads its own and leaves the others to their owners."""

M = TypeVar("M", bound=BaseModel)


def check_mqtt(url: str) -> str:
    """``url`` if it reads mqtt://host:port or mqtts://host:port; ValueError if not."""
    parts = urlsplit(url)
    if parts.scheme not in {"mqtt", "mqtts"} or not parts.hostname:
        raise ValueError("an MQTT address reads mqtt://host:port or mqtts://host:port")
    return url


class Shared(BaseSettings):
    """Keys above the tables, for every process of the box."""

    model_config = SettingsConfigDict(
        env_prefix="MOCBAN_", env_nested_delimiter="__", extra="forbid"
    )

    tenant: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")] = "demo"
    """Whose installation this is: the second word of every topic."""
    data_dir: Path = Path("/var/lib/mocban")
    """Folder of the databases, one sub-folder per app."""
    mqtt: Annotated[str, AfterValidator(check_mqtt)] = "mqtt://127.0.0.1:1883"
    """The broker."""
    mqtt_password: SecretStr = SecretStr("")
    """What this process proves itself with to the broker, as the user named by ``device``; empty: not at all."""
    ca_file: Path | None = None
    """Certificates (PEM) that broker and gateway must prove themselves by; without it, the system's."""
    gateway_keys: tuple[Annotated[str, AfterValidator(check_public)], ...] = ()
    """Public keys of the gateway whose orders and feeds are believed; without one, none is."""
    staff: dict[str, Annotated[str, AfterValidator(check_line)]] = Field(default_factory=dict)
    """Who may approve orders: name to ``ssh-ed25519 AAAA…``."""
    outbox_mib: Annotated[int, Field(ge=1, le=4096)] = 64
    """MiB of waiting facts after which a device sheds counts, and in the end lends no more."""


@dataclass(frozen=True, slots=True)
class Config(Generic[M]):
    """What one process was told: the shared keys and its own table."""

    name: str
    tenant: str
    data_dir: Path
    mqtt: str
    app: M
    mqtt_password: SecretStr = field(default_factory=lambda: SecretStr(""))
    ca_file: Path | None = None
    gateway_keys: tuple[str, ...] = ()
    staff: Mapping[str, str] = field(default_factory=dict)
    outbox_mib: int = 64

    @property
    def identity(self) -> Identity:
        """Who this process is on the bus; its table's ``device`` speaks for it."""
        return Identity(self.tenant, str(getattr(self.app, "device", self.name)), self.name)

    @property
    def broker_password(self) -> str:
        """``mqtt_password`` in the clear; empty if there is none."""
        return self.mqtt_password.get_secret_value()

    @property
    def database(self) -> Path:
        """The app's one database, ``data_dir/<app>/<app>.db``."""
        return self.data_dir / self.name / f"{self.name}.db"


def load(app: str, model: type[M], path: Path | None = None) -> Config[M]:
    """Read the configuration of ``app`` (table ``[app]`` as ``model``).

    Environment over credentials over conf.d over the file. Without ``path``, $MOCBAN_CONFIG or /etc/mocban/mocban.toml;
    the default file may be missing. ConfigError with one sentence for the first thing wrong.
    """
    named = named_file(path)
    layers = [_credentials(app), *(read_toml(file) for file in reversed(files(named)))]

    class Layered(Shared):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            del init_settings, dotenv_settings, file_secret_settings
            # A process leaves the tables of its neighbours to them.
            mine = [
                {k: v for k, v in layer.items() if k == app or k not in TABLES} for layer in layers
            ]
            return (env_settings, *(InitSettingsSource(settings_cls, layer) for layer in mine))

    fields: dict[str, Any] = {app: (model, Field(default_factory=model))}
    try:
        read = create_model("Root", __base__=Layered, **fields)()
    except SettingsError:  # which variable it was says mocban config check
        raise ConfigError(
            "a MOCBAN_ variable of the environment is no JSON where a table or list belongs",
            "see mocban config check",
        ) from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        where = named or DEFAULT
        if first["type"] == "extra_forbidden":
            raise ConfigError(
                f"unknown key {key}", f"correct or remove it in {where} or the environment"
            ) from None
        say = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{key}: {say}", f"correct it in {where} or the environment") from None
    return Config(
        app, app=getattr(read, app), **{key: getattr(read, key) for key in Shared.model_fields}
    )


def named_file(path: Path | None) -> Path | None:
    """The file somebody named: ``path``, else $MOCBAN_CONFIG; None: the default file, which may be missing."""
    return path or (Path(os.environ["MOCBAN_CONFIG"]) if "MOCBAN_CONFIG" in os.environ else None)


def files(named: Path | None) -> list[Path]:
    """The file and its ``conf.d`` neighbours, in the order they are read. ConfigError if a named one is missing."""
    main = named or DEFAULT
    if named is not None and not main.is_file():
        raise ConfigError(
            f"there is no configuration file {main}", "name an existing file with --config"
        )
    return [main] * main.is_file() + sorted((main.parent / "conf.d").glob("*.toml"))


def read_toml(file: Path) -> dict[str, Any]:
    """What ``file`` says. ConfigError if it cannot be read or is no TOML."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be read", "give the service's user the right to read it"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not valid TOML: {error}", "correct that line") from error


def _credentials(app: str) -> dict[str, Any]:
    """systemd credentials ``mocban_<app>__<key>[__<key>]`` and ``mocban_<shared key>``, as nested values."""
    found: dict[str, Any] = {}
    for file in credential_files():
        *parents, leaf = file.name.removeprefix("mocban_").split("__")
        if parents[:1] in ([], [app]):
            table = found
            for parent in parents:
                table = table.setdefault(parent, {})
            table[leaf] = file.read_text(encoding="utf-8").strip()
    return found


def credential_files() -> list[Path]:
    """The systemd credentials that are keys of the configuration: other secrets of ours lie beside them."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    return [
        file
        for file in sorted(Path(folder).glob("mocban_*") if folder else ())
        if "__" in file.name or file.name.removeprefix("mocban_") in Shared.model_fields
    ]
