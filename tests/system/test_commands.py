"""The command as a person meets it: one sentence that says what to do, and the exit code of its kind."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mocban import benches, cli
from tests.support.gateway_stand import free_port, until


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


def last(out: str) -> dict[str, Any]:
    """The one JSON object of ``--json``: the last line, and no other begins like one."""
    lines = out.splitlines()
    assert [line for line in lines if line.startswith("{")] == lines[-1:], out
    body: dict[str, Any] = json.loads(lines[-1])
    assert isinstance(body["ok"], bool)
    assert all(set(error) >= {"code", "say", "do"} for error in body["errors"])
    return body


def walk(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command of every app, groups first."""
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from walk(below, (*path, name))


TREE = dict(walk(cli.tree([])))
LEAVES = [path for path, command in TREE.items() if not hasattr(command, "commands")]
GROUPS = [path for path, command in TREE.items() if hasattr(command, "commands")]


def run_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *argv: str
) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of ``mocban argv`` in this process."""
    monkeypatch.setattr(sys, "argv", ["mocban", *argv])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def test_help_names_every_part_and_the_exit_codes() -> None:
    done = mocban("--help")
    assert done.returncode == 0
    for word in ("up", "demo", "bench", "config", "doctor", "kiosk", "gateway"):
        assert word in done.stdout
    assert "70 a fault of mocban" in " ".join(done.stdout.split())


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_command_has_json_and_help_and_says_what_was_typed_wrong(
    path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "--json" in {name for param in TREE[path].params for name in param.opts}
    code, out, _ = run_here(monkeypatch, capsys, *path, "-h")
    assert code == 0
    assert "--json" in out
    code, out, _ = run_here(monkeypatch, capsys, *path, "--json", "--never-heard-of")
    assert code == 2
    error = last(out)["errors"][0]
    assert error["code"] == "usage"
    assert "--never-heard-of" in error["say"]
    assert " ".join(path) in error["do"]
    code, _, err = run_here(monkeypatch, capsys, *path, "--never-heard-of")
    assert code == 2
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("path", GROUPS, ids=lambda path: " ".join(path) or "mocban")
def test_a_group_says_what_was_typed_wrong(
    path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run_here(monkeypatch, capsys, *path, "never-heard-of", "--json")
    assert code == 2
    assert last(out)["errors"][0]["code"] == "usage"
    code, _, err = run_here(monkeypatch, capsys, *path)
    assert code == 2
    assert "Commands:" in err


def test_a_service_that_cannot_start_says_so_in_json(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        file = config(tmp_path, f"[kiosk]\nport = {taken.getsockname()[1]}\n")
        done = mocban("kiosk", "run", "--json", "--config", file)
    assert done.returncode == 2
    assert last(done.stdout)["errors"][0]["code"] == "port-in-use"


def test_a_service_that_is_ended_says_so_in_json(tmp_path: Path) -> None:
    port = free_port()
    argv = [
        sys.executable,
        "-m",
        "mocban",
        "kiosk",
        "emulate",
        "ils",
        "--json",
        "--port",
        str(port),
    ]
    argv += ["--world", str(tmp_path / "world.db")]
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as run:

        def listens() -> bool:
            with socket.socket() as sock:
                return sock.connect_ex(("127.0.0.1", port)) == 0

        until(listens, "the library system listens")
        run.send_signal(signal.SIGTERM)
        out, _ = run.communicate(timeout=20)
    assert run.returncode == 0
    assert last(out) == {"ok": True, "errors": []}


def test_a_fault_of_ours_is_named_as_ours(tmp_path: Path) -> None:
    argv = ("config", "check", "--json", "--config", config(tmp_path, ""))
    done = mocban(*argv, without="mocban.settings")
    assert done.returncode == 70
    assert "Traceback" in done.stderr
    assert last(done.stdout)["errors"][0]["code"] == "bug"


def test_an_answer_that_nobody_can_take_ends_as_a_fault_and_without_a_traceback() -> None:
    with Path("/dev/full").open("w") as full:
        argv = [sys.executable, "-m", "mocban", "tag", "decode", "--json", "00000000"]
        done = subprocess.run(argv, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (70, "")


def test_ctrl_c_ends_quietly(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the connection and says nothing
        file = tmp_path / "mocban.toml"
        file.write_text(
            f'data_dir = "{tmp_path}"\nmqtt = "mqtt://127.0.0.1:{silent.getsockname()[1]}"\n'
        )
        argv = [sys.executable, "-m", "mocban", "doctor", "--config", str(file)]
        with subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as run:
            silent.settimeout(20)
            line, _ = silent.accept()
            with line:
                run.send_signal(signal.SIGINT)
                _, err = run.communicate(timeout=20)
    assert run.returncode == 1
    assert err == ""


def test_two_benches_are_one_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (
        '"""A bench."""\nfrom mocban.benches import case\n\n\ndef run(quick):\n'
        '    return [case("a", [1.0], [2.0], unit="ms", goal=GOAL, what="b")]\n'
    )
    (tmp_path / "met.py").write_text(text.replace("GOAL", "2.0"))
    (tmp_path / "missed.py").write_text(text.replace("GOAL", "0.5"))
    monkeypatch.setattr(benches, "FOLDER", tmp_path)
    code, out, _ = run_here(monkeypatch, capsys, "bench", "all", "--json")
    body = last(out)
    assert code == 1
    assert [each["bench"] for each in body["benches"]] == ["met", "missed"]
    assert [each["cases"][0]["met"] for each in body["benches"]] == [True, False]


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
