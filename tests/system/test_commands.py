"""The command as a person meets it: one sentence that says what to do, and the exit code of its kind."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest


def mocban(
    *argv: str, without: str = "", cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ``mocban argv`` in a process of its own; ``without`` makes one package unfindable there."""
    hide = f"sys.modules[{without!r}] = None; " if without else ""
    code = f"import sys; {hide}sys.argv[0] = 'mocban'; from mocban.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *argv], capture_output=True, text=True, timeout=60, check=False, cwd=cwd
    )  # fmt: skip


def one_sentence(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("mocban: ")]
    assert len(lines) == 1, done.stderr
    return lines[0]


def config(folder: Path, text: str) -> str:
    file = folder / "mocban.toml"
    file.write_text(f'data_dir = "{folder}"\n{text}', encoding="utf-8")
    return str(file)


def test_help_names_every_part() -> None:
    done = mocban("--help")
    assert done.returncode == 0
    for word in ("up", "demo", "bench", "kiosk", "gateway"):
        assert word in done.stdout


def test_a_wrong_key_is_named(tmp_path: Path) -> None:
    file = config(tmp_path, "[kiosk]\nprot = 1\n")
    assert "unknown key kiosk.prot" in one_sentence(mocban("kiosk", "run", "--config", file))


@pytest.mark.parametrize(
    "app", [("kiosk", "run", "kiosk"), ("gateway", "run", "gateway"), ("kiosk", "gate", "gate")]
)
def test_a_port_in_use_is_named(tmp_path: Path, app: tuple[str, str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        file = config(tmp_path, f"[{app[2]}]\nport = {port}\n")
        assert f"port {port}" in one_sentence(mocban(*app[:2], "--config", file))


@pytest.mark.parametrize("app", [("kiosk", "run"), ("gateway", "run")])
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, app: tuple[str, str]) -> None:
    (tmp_path / "file").write_text("")
    file = tmp_path / "mocban.toml"
    file.write_text(f'data_dir = "{tmp_path}/file/x"\n[kiosk]\nport = 0\n[gateway]\nport = 0\n')
    assert "cannot be written" in one_sentence(mocban(*app, "--config", str(file)))


@pytest.mark.parametrize(
    ("argv", "package"),
    [(("kiosk", "run"), "serial"), (("gateway", "run"), "fastapi"), (("kiosk", "gate"), "uvicorn")],
)
def test_a_missing_package_is_named_with_what_to_install(
    tmp_path: Path, argv: tuple[str, ...], package: str
) -> None:
    file = config(tmp_path, "[kiosk]\nport = 0\n[gate]\nport = 0\n[gateway]\nport = 0\n")
    said = one_sentence(mocban(*argv, "--config", file, without=package))
    assert package in said
    assert "pip install" in said


def test_json_has_one_shape_for_errors(tmp_path: Path) -> None:
    done = mocban("gateway", "dead", "list", "--json", "--config", str(tmp_path / "none.toml"))
    body = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == 2
    assert body["ok"] is False
    assert set(body["errors"][0]) == {"code", "say", "do"}


def test_a_demo_port_in_use_is_said_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 8090))
            taken.listen()
        except OSError:
            pass  # somebody has it: just as good
        said = one_sentence(mocban("up", "--data", str(tmp_path / "data")))
    assert "port" in said
    assert "--free-ports" in said


def test_a_demo_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = one_sentence(mocban("up", "--free-ports", "--data", str(tmp_path / "file" / "x")))
    assert "--data" in said


def test_benches_are_listed_and_unknown_ones_named() -> None:
    listed = mocban("bench", "list", "--json")
    assert "start" in json.loads(listed.stdout.splitlines()[-1])["benches"]
    assert "no bench" in one_sentence(mocban("bench", "nope"))
