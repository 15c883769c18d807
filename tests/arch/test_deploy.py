"""The roles against the code they install: variables that name settings, units that systemd knows and confines."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any, NoReturn

import pytest
from jinja2 import Environment, FileSystemLoader
from pydantic import BaseModel

from gateway.settings import GatewaySettings
from kiosk.settings import KioskSettings
from mocban.config import Shared
from mocban.schema import words
from mocban.settings import models, whole

ANSIBLE = Path(__file__).resolve().parents[2] / "deploy" / "ansible"
ROLES = sorted(folder.name for folder in (ANSIBLE / "roles").iterdir())
UNITS = {
    "mocban-gateway.service": ANSIBLE / "roles/gateway/files",
    "mocban-kiosk.service": ANSIBLE / "roles/kiosk/files",
}
HARDENING = ANSIBLE / "roles/runtime/files/hardening.conf"
EXPOSURE = 20  # of 100; a unit that says nothing has 96
TABLES: dict[str, tuple[type[BaseModel], dict[str, str]]] = {
    "gateway": (GatewaySettings, {"signing_key": "a credential, or the gateway's own file"}),
    "kiosk": (KioskSettings, {"log_file": "systemd's journal is asked"}),
    "runtime": (
        Shared,
        {
            "data_dir": "the units say StateDirectory=mocban",
            "mqtt_password": "a credential of each service",
            "gateway_keys": "known once the gateway runs: the role kiosk writes them",
        },
    ),
}
"""The model whose settings a role's variables name, and those that have none, with the reason."""
TYPES = {
    "string": "str", "integer": "int", "number": "float", "boolean": "bool", "object": "dict", "array": "list",
}  # fmt: skip


def yaml(file: Path) -> Any:
    """What ``file`` says, by the YAML of Debian's Python, which comes with ansible-core; a loud skip without it."""
    read = "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)"
    try:
        done = subprocess.run(
            ["/usr/bin/python3", "-c", read], input=file.read_text(encoding="utf-8"), capture_output=True, text=True,
            check=False,
        )  # fmt: skip
    except OSError:
        _missing("python3-yaml", f"NOT TESTED: {file.name}")
    if "No module named" in done.stderr:
        _missing("python3-yaml", f"NOT TESTED: {file.name}")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def analyze(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run systemd-analyze over the units of ``folder``; a loud skip without it."""
    found = shutil.which("systemd-analyze")
    if found is None:
        _missing("systemd", "NOT TESTED: the units")
    return subprocess.run(
        [found, *words], capture_output=True, text=True, check=False,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "SYSTEMD_UNIT_PATH": f"{folder}:", "LC_ALL": "C.UTF-8"},
    )  # fmt: skip


def _missing(package: str, say: str) -> NoReturn:
    assert not os.environ.get("MOCBAN_ALL"), f"{package} is missing: ./system-packages"
    pytest.skip(f"{say}: {package} is not installed")


def options(role: str) -> dict[str, Any]:
    """The variables of a role."""
    found = yaml(ANSIBLE / "roles" / role / "meta" / "argument_specs.yml")
    return dict(found["argument_specs"]["main"]["options"])


@pytest.mark.parametrize("role", ROLES)
def test_the_roles_have_one_skeleton(role: str) -> None:
    folder = ANSIBLE / "roles" / role
    for part in ("preflight", "install", "configure", "main"):
        assert (folder / "tasks" / f"{part}.yml").is_file()
    assert (folder / "defaults" / "main.yml").is_file()
    assert (folder / "handlers" / "main.yml").is_file()
    for file in folder.rglob("*.yml"):
        text = file.read_text(encoding="utf-8")
        for module in re.findall(r"^\s+(?:- )?((?:\w+\.){2}\w+):", text, re.MULTILINE):
            assert module.startswith("ansible.builtin."), (
                f"{file}: a branch's controller has no collections"
            )


@pytest.mark.parametrize("role", ROLES)
def test_every_variable_is_the_roles_own_and_explained(role: str) -> None:
    known, defaults = options(role), yaml(ANSIBLE / "roles" / role / "defaults" / "main.yml")
    for name, spec in known.items():
        assert name.startswith(f"{role}_")
        assert spec["description"].endswith("."), name
        if "default" in spec:
            assert defaults[name] == spec["default"], name
        if "password" in name or "private_key" in name:
            assert spec["no_log"], name
    assert set(defaults) <= set(known)
    for name in defaults:
        assert not known[name].get("required"), f"{name} has a default"


@pytest.mark.parametrize("role", TABLES)
def test_a_variable_that_names_a_setting_is_that_setting(role: str) -> None:
    model, absent = TABLES[role]
    meant, written = words(model), yaml(ANSIBLE / "roles" / role / "vars" / "main.yml")
    settings = set(written[f"_{role}_settings"])
    assert settings | absent.keys() == set(model.model_fields), (
        "each has a variable or a reason to have none"
    )
    assert not settings & absent.keys()
    properties = model.model_json_schema()["properties"]
    known = options(role)
    for name in settings - {"ca_file"}:  # whose variable names a file of the controller
        spec = known[f"{role}_{name}"]
        assert spec["type"] == _type(properties[name]), name
        said = spec["description"].removeprefix(f"Setting {name}: ")
        if role != "runtime":
            assert said == " ".join(meant[name].split()), "told in the words of the model"


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return "dict"
    one = next((each for each in schema.get("anyOf", ()) if each.get("type") != "null"), schema)
    return "path" if one.get("format") == "path" else TYPES[one["type"]]


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_means_something_to_systemd(tmp_path: Path, unit: str) -> None:
    _lay(tmp_path, unit, starts="/bin/true")  # whether the command is there is the lab's business
    done = analyze("verify", "--man=no", str(tmp_path / unit), folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_may_do_little(tmp_path: Path, unit: str) -> None:
    _lay(tmp_path, unit)
    words = (
        "security",
        "--offline=true",
        f"--threshold={EXPOSURE}",
        "--no-pager",
        str(tmp_path / unit),
    )
    done = analyze(*words, folder=tmp_path)
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr
    (tmp_path / "mocban-.service.d" / "hardening.conf").unlink()
    assert analyze(*words, folder=tmp_path).returncode != 0, "it is the drop-in that confines it"


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_starts_a_command_there_is_and_is_watched(unit: str) -> None:
    text = (UNITS[unit] / unit).read_text(encoding="utf-8")
    (command,) = re.findall(r"^ExecStart=/opt/mocban/current/bin/mocban (.+)$", text, re.MULTILINE)
    app, verb = command.split()
    assert unit == f"mocban-{app}.service", "collect-logs asks the journal for this name"
    room = importlib.util.find_spec(f"{app}.cli")
    assert room
    assert room.origin
    assert re.search(
        rf"^@app\.command\(\)\ndef {verb}\(",
        Path(room.origin).read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    hardening = HARDENING.read_text(encoding="utf-8").splitlines()
    for line in (
        "Type=notify",
        "Restart=always",
        "User=mocban",
        "LimitCORE=0",
        "StateDirectory=mocban",
    ):
        assert line in hardening
    (watchdog,) = [line.partition("=")[2] for line in hardening if line.startswith("WatchdogSec=")]
    assert 5 <= int(watchdog) <= 60


def test_the_configuration_that_is_rendered_is_read_as_it_was_meant() -> None:
    """Quotes, Vietnamese, tables in tables, lists, numbers, and nothing at all."""
    said: dict[str, Any] = {
        "kiosk_device": "kiosk-1", "kiosk_library": {"vi": 'Thư viện “Bắc Giang” \\ "1"', "en": "#1 = one\nline"},
        "kiosk_port": 8080, "kiosk_idle_seconds": 45.5, "kiosk_security": {"in_stock": 7}, "kiosk_pad": "",
        "kiosk_ils": {"url": "sip2://10.0.0.1:6001", "error_detection": False},
        "gateway_allow_list": ["E004010012345678", "E004010012345679"],
    }  # fmt: skip
    names = ["device", "library", "port", "idle_seconds", "ils", "security", "pad", "hours"]
    found = tomllib.loads(_render("kiosk", "kiosk_", names, said))
    assert found == {
        "kiosk": {name: said[f"kiosk_{name}"] for name in names if said.get(f"kiosk_{name}")}
    }
    more = tomllib.loads(_render("gateway", "gateway_", ["allow_list"], said))
    read = whole(models())(**found, **more)
    assert read.model_dump()["kiosk"]["library"] == said["kiosk_library"]
    assert read.model_dump()["gateway"]["allow_list"] == said["gateway_allow_list"]
    assert _render("", "nobody_", ["tenant"], said).count("\n") == 1


def test_the_broker_understands_the_passwords_we_hash(tmp_path: Path) -> None:
    """Its own tool hashes with a salt of its own; given that salt, ours says the same."""
    tool = shutil.which("mosquitto_passwd", path=f"{os.environ.get('PATH', '')}:/usr/bin:/usr/sbin")
    if tool is None:
        _missing("mosquitto", "NOT TESTED: the password file")
    spec = importlib.util.spec_from_file_location(
        "hashing", ANSIBLE / "roles/mosquitto/filter_plugins/mosquitto.py"
    )
    assert spec
    assert spec.loader
    ours = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(ours)
    line = ours.mosquitto_hash("a long password", "kiosk-1")
    assert line == ours.FilterModule().filters()["mosquitto_hash"]("a long password", "kiosk-1"), (
        "the same every time"
    )
    assert line != ours.mosquitto_hash("a long password", "kiosk-2")
    theirs = tmp_path / "users"
    theirs.write_text("kiosk-1:a long password\n", encoding="utf-8")
    subprocess.run([tool, "-U", theirs], check=True, capture_output=True)
    kind, rounds, salt, made = (
        theirs.read_text(encoding="utf-8").strip().partition(":")[2].split("$")[1:]
    )
    assert kind == "7"
    assert ours.pbkdf2("a long password", salt, int(rounds)) == made


def _lay(folder: Path, unit: str, starts: str = "") -> None:
    text = (UNITS[unit] / unit).read_text(encoding="utf-8")
    if starts:
        text = re.sub(r"^ExecStart=.*$", f"ExecStart={starts}", text, flags=re.MULTILINE)
    (folder / unit).write_text(text, encoding="utf-8")
    (folder / "mocban-.service.d").mkdir()
    shutil.copy(HARDENING, folder / "mocban-.service.d" / "hardening.conf")


def _render(table: str, prefix: str, names: list[str], said: dict[str, Any]) -> str:
    """The template as Ansible renders it, with the two things it brings."""
    env = Environment(
        loader=FileSystemLoader(ANSIBLE / "templates"), trim_blocks=True, autoescape=False
    )
    env.filters["to_json"] = lambda value, **more: json.dumps(value, **more)
    env.globals["lookup"] = lambda _plugin, name, default: said.get(name, default)
    return env.get_template("settings.toml.j2").render(table=table, prefix=prefix, names=names)
