"""All tables of the configuration at once: every fault with its place, and where each value comes from.

A service reads its own table (``mocban.config.load``) and says the first thing wrong; this is for people.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, SecretStr, ValidationError, create_model
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsError,
)

from mocban.config import (
    DEFAULT,
    TABLES,
    Config,
    Shared,
    credential_files,
    files,
    named_file,
    read_toml,
)
from mocban.errors import ConfigError

Key = tuple[str, ...]
NOT_SETTINGS = frozenset({"MOCBAN_CONFIG", "MOCBAN_PARENT", "MOCBAN_LANG"})
"""Variables of ours that are no keys of the configuration."""
MASK = "********"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong: the key, what is wrong with it, where it is written, and perhaps what was meant."""

    key: str
    what: str
    where: str
    meant: str = ""

    def as_json(self) -> dict[str, str]:
        """The house's error shape, with the parts beside it."""
        say = f"{self.key}: {self.what}" if self.key else self.what
        do = f"did you mean {self.meant}?" if self.meant else f"correct it in {self.where}"
        return {"code": "config", "say": say, "do": do, **asdict(self)}


@dataclass(frozen=True, slots=True)
class Value:
    """One effective value, masked if it is secret, and where it comes from."""

    key: str
    value: Any
    origin: str


@dataclass(frozen=True, slots=True)
class Layer:
    """What one source says: a file, one environment variable, one credential file."""

    name: str
    says: dict[str, Any]
    lines: Mapping[Key, int]

    def place(self, key: Key) -> str:
        """Where this source says ``key``."""
        at = next((self.lines[key[:n]] for n in range(len(key), 0, -1) if key[:n] in self.lines), 0)
        return f"{self.name}:{at}" if at else self.name


@dataclass(frozen=True, slots=True)
class Survey:
    """The whole configuration of this machine. ``whole`` is None if there are faults."""

    whole: Shared | None
    faults: list[Fault]
    layers: list[Layer]  # the strongest first
    models: dict[str, type[BaseModel]]

    def values(self) -> list[Value]:
        """Every effective value, secrets masked."""
        return [
            Value(".".join(key), value, _origin(self.layers, key))
            for key, value in _leaves(self.whole, ())
        ]

    def secret_files(self) -> set[str]:
        """The files of the configuration that hold a secret."""
        told = {
            _origin(self.layers, key)
            for key, value in _leaves(self.whole, ())
            if MASK in str(value)
        }
        return {place.rpartition(":")[0] for place in told if ".toml:" in place}

    def has(self, app: str) -> bool:
        """The configuration says something about ``app``."""
        return any(app in layer.says for layer in self.layers)

    def config(self, app: str) -> Config[Any]:
        """What the process ``app`` is told; ConfigError if there are faults."""
        if self.whole is None:
            raise ConfigError("the configuration has faults", "see mocban config check")
        shared = {key: getattr(self.whole, key) for key in Shared.model_fields}
        return Config(app, app=getattr(self.whole, app), **shared)


def models() -> dict[str, type[BaseModel]]:
    """The tables of the installed apps and their models."""
    return {
        entry.name: entry.load()
        for entry in sorted(entry_points(group="mocban.settings"), key=lambda entry: entry.name)
    }


def whole(tables: Mapping[str, type[BaseModel]]) -> type[Shared]:
    """The model of the whole configuration; built from a dict, it reads no environment."""

    class Plain(Shared):
        """The configuration of mocban."""

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            del settings_cls, env_settings, dotenv_settings, file_secret_settings
            return (init_settings,)

    fields: dict[str, Any] = {
        name: (model, Field(default_factory=model)) for name, model in tables.items()
    }
    return create_model("Mocban", __base__=Plain, **fields)


def survey(path: Path | None = None) -> Survey:
    """Read every source. ConfigError only if the file that was named is missing."""
    tables = models()
    root = whole(tables)
    faults: list[Fault] = []
    layers = [
        *_environment(root, tables, faults),
        *_credentials(),
        *_written(files(named_file(path)), faults),
    ]
    merged: dict[str, Any] = {}
    for layer in reversed(layers):
        _merge(merged, layer.says)
    for absent in (TABLES - set(tables)) & set(merged):
        del merged[absent]  # its app is not installed here: nobody reads it
    try:
        read = root(**merged)
    except ValidationError as error:
        for each in error.errors(include_input=False, include_url=False):
            key = tuple(str(part) for part in each["loc"])
            name, where = ".".join(key), _origin(layers, key)
            if where == "default":  # the model's own rule about several keys
                where = str(named_file(path) or DEFAULT)
            if each["type"] == "extra_forbidden":
                faults.append(Fault(name, "unknown key", where, _meant(root, key)))
            else:
                faults.append(Fault(name, each["msg"].removeprefix("Value error, "), where))
        return Survey(None, faults, layers, tables)
    return Survey(None if faults else read, faults, layers, tables)


def _environment(
    root: type[Shared], tables: Mapping[str, type[BaseModel]], faults: list[Fault]
) -> Iterator[Layer]:
    """A layer for each variable, so that each is known by its name."""
    for name in sorted(os.environ):
        upper = name.upper()
        if not upper.startswith("MOCBAN_") or upper in NOT_SETTINGS:
            continue
        key = upper.removeprefix("MOCBAN_").lower().replace("__", ".")
        top = key.partition(".")[0]
        if top in TABLES - set(tables):
            continue
        source = EnvSettingsSource(root)
        source.env_vars = {name.lower(): os.environ[name]}
        where = f"env {name}"
        try:
            says = source()
        except SettingsError:
            faults.append(Fault(key, "a table or a list has to be JSON", where))
            continue
        if says:
            yield Layer(where, says, {})
        else:
            near = _near(upper, [f"MOCBAN_{key.upper()}" for key in root.model_fields])
            faults.append(Fault(key, "unknown key", where, near))


def _credentials() -> Iterator[Layer]:
    """A layer for each credential file ``mocban_<app>__<key>`` or ``mocban_<shared key>``."""
    for file in credential_files():
        says: Any = file.read_text(encoding="utf-8").strip()
        for part in reversed(file.name.removeprefix("mocban_").split("__")):
            says = {part: says}
        yield Layer(f"credential {file}", says, {})


def _written(paths: list[Path], faults: list[Fault]) -> Iterator[Layer]:
    """A layer for each file, the strongest first."""
    for file in reversed(paths):
        try:
            yield Layer(str(file), read_toml(file), _lines(file.read_text(encoding="utf-8")))
        except ConfigError as error:
            at = re.search(r"at line (\d+)", error.say)
            what = error.say.removeprefix(f"{file} is ").removeprefix(f"{file} ")
            faults.append(Fault("", what, f"{file}:{at[1]}" if at else str(file)))


_TABLE = re.compile(r"\s*\[\[?\s*([^\]]+?)\s*\]\]?")
_KEY = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")
_PART = re.compile(r"""[\w-]+|"[^"]*"|'[^']*'""")


def _lines(text: str) -> dict[Key, int]:
    """The line each key of a TOML text is written on; close enough to find it by eye."""
    table: Key = ()
    found: dict[Key, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if head := _TABLE.match(line):
            table = _parts(head[1])
            found.setdefault(table, number)
        elif key := _KEY.match(line):
            found.setdefault(table + _parts(key[1]), number)
    return found


def _parts(dotted: str) -> Key:
    return tuple(part.strip("\"'") for part in _PART.findall(dotted))


def _origin(layers: list[Layer], key: Key) -> str:
    """The strongest source that says ``key`` or something within it; else ``default``."""
    for layer in layers:
        at: Any = layer.says
        for n, part in enumerate(key):
            if not isinstance(at, Mapping):
                return layer.place(key[:n])  # a list or a value that is wrong as a whole
            if part not in at:
                break
            at = at[part]
        else:
            return layer.place(key)
    return "default"


def _meant(root: type[BaseModel], key: Key) -> str:
    """The known key next to an unknown one, in full; empty if none is near."""
    model: Any = root
    for part in key[:-1]:
        field = getattr(model, "model_fields", {}).get(part)
        model = field.annotation if field is not None else None
    near = _near(key[-1], list(getattr(model, "model_fields", {})))
    return ".".join((*key[:-1], near)) if near else ""


def _near(word: str, known: list[str]) -> str:
    return next(iter(get_close_matches(word, known, n=1)), "")


def _merge(into: dict[str, Any], says: Mapping[str, Any]) -> None:
    """Lay ``says`` over ``into``, table by table: as pydantic-settings does."""
    for key, value in says.items():
        below = into.get(key)
        if isinstance(value, Mapping):
            into[key] = dict(below) if isinstance(below, Mapping) else {}
            _merge(into[key], value)
        else:
            into[key] = value


def _leaves(value: Any, key: Key) -> Iterator[tuple[Key, Any]]:
    match value:
        case BaseModel():
            for name in type(value).model_fields:
                yield from _leaves(getattr(value, name), (*key, name))
        case dict() if value:
            for name, each in value.items():
                yield from _leaves(each, (*key, str(name)))
        case SecretStr():
            yield key, MASK if value.get_secret_value() else ""
        case Path():
            yield key, str(value)
        case str():
            yield key, re.sub(r"(://[^/@:]*):[^/@]*@", rf"\1:{MASK}@", value)
        case _:
            yield key, value
