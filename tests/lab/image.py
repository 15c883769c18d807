"""A bare Debian to boot, made once and kept as a tar under the user's cache.

The lab's machines have no way out, as a branch on a poor line has none. What the roles install lies in a folder of
packages inside the image, which is the machines' only source: apt works there as anywhere.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.fault.harness import tool

SUITE = "bookworm"
BARE = (
    "systemd", "systemd-sysv", "dbus", "python3", "python3-apt", "openssh-server", "iproute2", "ca-certificates",
    "nftables",
)  # fmt: skip
"""What a Debian installed with an SSH server has; the rest of it boots more slowly and is not looked at."""
CARRIED = ("mosquitto", "python3-venv", "systemd-timesyncd")
"""What the roles ask apt for, with what it needs."""
_EDITION = "2"  # another number makes the image anew


def image() -> Path:
    """The tar; made if there is none of these packages. CalledProcessError with the log named if that fails."""
    key = hashlib.sha256(" ".join((_EDITION, SUITE, *BARE, "+", *CARRIED)).encode()).hexdigest()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "mocban-lab")
    kept = cache / f"{SUITE}-{key[:16]}.tar"
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix="making-", dir=cache))
        try:
            _make(work / "root", work / "log")
            _run(work / "log", "tar", "-C", work / "root", "-cf", work / "tar", ".")
            (work / "tar").replace(kept)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return kept


def _make(root: Path, log: Path) -> None:
    debootstrap, include = tool("debootstrap"), ",".join(BARE)
    _run(log, debootstrap, "--variant=minbase", f"--include={include}", SUITE, root, _mirror())
    _run(log, "chroot", root, "apt-get", "clean")
    get = ("apt-get", "install", "-y", "--no-install-recommends", "--download-only")
    _run(log, "chroot", root, "apt-get", "update")
    _run(log, "chroot", root, *get, *CARRIED)
    packages = root / "srv" / "packages"
    packages.mkdir()
    index = []
    for file in sorted((root / "var/cache/apt/archives").glob("*.deb")):
        data = file.read_bytes()
        control = subprocess.run(
            ["dpkg-deb", "--field", file], capture_output=True, text=True, check=True
        ).stdout.strip()
        name = file.name.replace("%3a", "_")
        digest = hashlib.sha256(data).hexdigest()
        index.append(f"{control}\nFilename: ./{name}\nSize: {len(data)}\nSHA256: {digest}\n")
        (packages / name).write_bytes(data)
    (packages / "Packages").write_text("\n".join(index), encoding="utf-8")
    _run(log, "chroot", root, "apt-get", "clean")
    sources = root / "etc/apt/sources.list"
    sources.write_text("deb [trusted=yes] file:/srv/packages ./\n", encoding="utf-8")
    for file in (root / "var/lib/apt/lists").glob("*_*"):
        file.unlink()
    _run(log, "chroot", root, "apt-get", "update")
    (root / "etc/resolv.conf").unlink(missing_ok=True)


def _mirror() -> str:
    """Where this machine's own apt gets Debian from; it is never written down."""
    told = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    codename = next(
        line.partition("=")[2]
        for line in Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
        if line.startswith("VERSION_CODENAME=")
    )
    for line in told.splitlines():
        uri, _, rest = line.partition(" ")
        if rest == f"{codename} main":
            return uri
    raise AssertionError("apt of this machine names no mirror of Debian's own packages")


def _run(log: Path, *argv: str | Path) -> None:
    # apt's own proxy is for apt alone; debootstrap reads the environment.
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    with log.open("ab") as out:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, check=False
        )
    if done.returncode:
        said = log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
        raise AssertionError(f"{argv[0]} failed making the lab's image:\n" + "\n".join(said))
