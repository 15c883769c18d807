"""Machines in a network of their own: systemd-nspawn on an overlay of one image, a namespace each, a hub between them.

Everything lies in one folder and in namespaces named after this process. Leaving the block ends all of it, by the
process ids kept here; what an earlier run left that was killed is cleared away before the next one.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from mocban import supervise
from mocban.errors import ConfigError
from tests.fault.harness import tool, until
from tests.lab.image import image

HUB = "10.77.0.1"
_PREFIX = "mocban-lab"
_TOOLS = (
    "debootstrap", "systemd-nspawn", "ansible-playbook", "nsenter", "ip", "setpriv", "ssh-keygen", "openssl",
)  # fmt: skip
_ENTER = ("-m", "-u", "-i", "-n", "-p", "-r", "-w")
"""Every namespace of a machine, its root and its working folder."""
_ASK = """\
import sys, urllib.request, urllib.error
url, *body = sys.argv[1:]
request = urllib.request.Request(url, body[0].encode() if body else None, {"content-type": "application/json"})
try:
    answer = urllib.request.urlopen(request, timeout=5)
except urllib.error.HTTPError as error:
    answer = error
sys.stdout.buffer.write(answer.read())
"""


@dataclass
class Machine:
    """One machine. It is switched on and off; its disk stays."""

    name: str
    address: str
    root: Path
    space: str
    log: Path
    binds: list[str] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    def on(self) -> None:
        """Boot, and wait until systemd says that it runs."""
        argv = [
            tool("setpriv"), "--pdeathsig", "TERM", tool("systemd-nspawn"), "--quiet", f"--directory={self.root}",
            f"--machine={self.space}", "--register=no", "--keep-unit", "--console=pipe",
            f"--network-namespace-path=/run/netns/{self.space}", "--capability=CAP_NET_ADMIN",
            *(f"--bind={bind}" for bind in self.binds), "--boot",
        ]  # fmt: skip
        # A control group of its own: two systemds in one would take each other's units for theirs.
        groups = [top / self.space for top in _cgroups()]
        for group in groups:
            group.mkdir(exist_ok=True)
        enter = "".join(f"echo $$ >{group}/cgroup.procs; " for group in groups) + 'exec "$@"'
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                ["sh", "-ec", enter, "sh", *argv],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip
        until(self._runs, f"{self.name} runs: see {self.log}")

    def cut(self) -> None:
        """Take its power away, if it has any: every process of it dies at once."""
        if self.process is None:
            return
        with suppress(OSError, ValueError, IndexError):
            os.kill(self._leader(), signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        self.process.kill()
        self.process.wait()
        self.process = None
        for top in _cgroups():
            _remove(top / self.space)

    def run(self, *argv: str, check: bool = True) -> str:
        """What ``argv`` says on the machine, as its root."""
        enter = [tool("nsenter"), *_ENTER, "-t", str(self._leader())]
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "SYSTEMD_COLORS": "0"}
        done = subprocess.run(
            [*enter, *argv], capture_output=True, text=True, timeout=60, env=env, check=False
        )
        assert not check or done.returncode == 0, f"{self.name}: {argv}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def ask(self, url: str, body: str | None = None) -> str:
        """The answer of an address in the machine's network: GET, or POST of ``body``."""
        argv = [sys.executable, "-I", "-S", "-c", _ASK, url, *([body] if body is not None else [])]
        done = subprocess.run(
            [tool("ip"), "netns", "exec", self.space, *argv],
            capture_output=True, text=True, timeout=15, check=False,
        )  # fmt: skip
        return done.stdout

    def show(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.run("systemctl", "show", "--value", f"--property={name}", unit)

    def _runs(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text(errors="replace")[-2000:]
        with suppress(AssertionError, OSError, ValueError, IndexError):
            state = self.run("systemctl", "is-system-running", check=False)
            return state in {"running", "degraded"}
        return False

    def _leader(self) -> int:
        """The machine's first process, as we see it."""
        assert self.process is not None
        pid = self.process.pid
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()[0])


class Lab:
    """The hub, the machines on it, and processes beside them."""

    def __init__(self) -> None:
        if os.geteuid() != 0:
            raise ConfigError("the lab boots machines", "run it as root", code="missing-tool")
        for name in _TOOLS:
            tool(name)
        self._stack = ExitStack()
        self.folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}-{os.getpid()}-"))
        self.key = self.folder / "key"
        self.hub = f"{_PREFIX}-{os.getpid()}-hub"
        self.machines: dict[str, Machine] = {}

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _open(self) -> None:
        self._stack.callback(shutil.rmtree, self.folder)
        _clear()
        self._base = self.folder / "base"
        self._base.mkdir()
        _do("tar", "-C", str(self._base), "-xf", str(image()))
        _do("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key))
        self._space(self.hub)
        _do("ip", "-n", self.hub, "link", "add", "br0", "type", "bridge")
        _do("ip", "-n", self.hub, "addr", "add", f"{HUB}/24", "dev", "br0")
        _do("ip", "-n", self.hub, "link", "set", "br0", "up")

    def add(self, name: str, binds: list[str] | None = None) -> Machine:
        """A machine on the hub, switched on; it lets us in as root by ``key``."""
        number = len(self.machines) + 1
        address, space = f"10.77.0.{10 + number}", f"{_PREFIX}-{os.getpid()}-{name}"
        home = self.folder / name
        root = home / "root"
        for part in ("upper", "work", "root"):
            (home / part).mkdir(parents=True)
        # Volatile: nothing waits for a disk that forgets it all in the end.
        layers = f"volatile,lowerdir={self._base},upperdir={home}/upper,workdir={home}/work"
        _do("mount", "-t", "overlay", "overlay", "-o", layers, str(root))
        self._stack.callback(_do, "umount", str(root))
        (root / "root/.ssh").mkdir(mode=0o700, exist_ok=True)
        (root / "root/.ssh/authorized_keys").write_bytes(self.key.with_suffix(".pub").read_bytes())
        (root / "etc/hostname").write_text(f"{name}\n", encoding="ascii")
        (root / "etc/machine-id").write_bytes(b"")
        self._space(space)
        _do("ip", "link", "add", f"m{number}", "netns", self.hub, "type", "veth", "peer", "name", "host0",
            "netns", space)  # fmt: skip
        _do("ip", "-n", self.hub, "link", "set", f"m{number}", "master", "br0", "up")
        _do("ip", "-n", space, "addr", "add", f"{address}/24", "dev", "host0")
        _do("ip", "-n", space, "link", "set", "host0", "up")
        machine = Machine(name, address, root, space, home / "console.log", binds or [])
        self._stack.callback(machine.cut)
        self.machines[name] = machine
        machine.on()
        return machine

    def beside(self, name: str, *argv: str) -> None:
        """A command of mocban in the hub's network, until the lab ends."""
        with (self.folder / f"{name}.log").open("ab") as out:
            process = subprocess.Popen(
                [tool("ip"), "netns", "exec", self.hub, sys.executable, "-m", "mocban", *argv],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
                env={**os.environ, supervise.PARENT: str(os.getpid())},
            )  # fmt: skip
        self._stack.callback(_end, process)

    def known_hosts(self) -> Path:
        """The machines' host keys: those of the image."""
        public = (self._base / "etc/ssh/ssh_host_ed25519_key.pub").read_text(encoding="ascii")
        file = self.folder / "known_hosts"
        names = ",".join(machine.address for machine in self.machines.values())
        file.write_text(f"{names} {public}", encoding="ascii")
        return file

    def _space(self, name: str) -> None:
        _do("ip", "netns", "add", name)
        self._stack.callback(_do, "ip", "netns", "delete", name)
        _do("ip", "-n", name, "link", "set", "lo", "up")


def _do(*argv: str) -> None:
    done = subprocess.run([tool(argv[0]), *argv[1:]], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(argv)}: {done.stderr.strip()}"


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _cgroups() -> list[Path]:
    """Where systemd keeps its units: the hierarchies by name or version, whichever this machine has."""
    found = []
    for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
        _, place, kind, options, *_ = line.split()
        if kind == "cgroup2" or (kind == "cgroup" and "name=systemd" in options.split(",")):
            found.append(Path(place))
    return found


def _remove(group: Path) -> None:
    """A control group whose processes are gone, from below."""
    below = [Path(folder) for folder, _, _ in os.walk(group, topdown=False)]
    for each in below:
        with suppress(OSError):  # still ending: it costs nothing
            each.rmdir()


def _clear() -> None:
    """What labs left whose process is gone: namespaces, groups, folders; their machines died with it."""
    for file in Path("/run/netns").glob(f"{_PREFIX}-*"):
        if _orphaned(file):
            with suppress(AssertionError):
                _do("ip", "netns", "delete", file.name)
    for top in _cgroups():
        for group in top.glob(f"{_PREFIX}-*"):
            if _orphaned(group):
                _remove(group)
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}-*"):
        if _orphaned(folder):
            for root in folder.glob("*/root"):
                subprocess.run([tool("umount"), str(root)], capture_output=True, check=False)
            shutil.rmtree(folder, ignore_errors=True)


def _orphaned(path: Path) -> bool:
    pid = path.name.removeprefix(f"{_PREFIX}-").partition("-")[0]
    return not Path("/proc", pid).exists()
