"""The gateway over HTTPS, and its key as a credential: what a branch pins is what answers."""

from __future__ import annotations

import base64
import json
import os
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from mocban.errors import ConfigError
from mocban.web import Tls
from tests.support.certificates import certificate
from tests.support.gateway_stand import free_port, until


def mocban(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mocban", "gateway", *words, "--json"], capture_output=True, text=True,
        timeout=60, check=False, env={**os.environ, **env},
    )  # fmt: skip


def test_the_api_speaks_https_and_its_commands_trust_only_its_certificate(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    port = free_port()
    config = tmp_path / "mocban.toml"
    table = f'[gateway]\nport = {port}\ntls_cert = "{cert}"\ntls_key = "{key}"\n'
    head = f'data_dir = "{tmp_path}"\nmqtt = "mqtt://127.0.0.1:1"\n'
    config.write_text(f'{head}ca_file = "{cert}"\n{table}')
    child = subprocess.Popen(
        [sys.executable, "-m", "mocban", "gateway", "run", "--config", str(config)],
        stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    listing = ("order", "list", "--config", str(config))
    try:
        until(lambda: mocban(*listing).returncode == 0, "HTTPS is answered")
        url = f"https://127.0.0.1:{port}/api/v1/commands"
        trusting = ssl.create_default_context(cafile=cert)
        with urllib.request.urlopen(url, timeout=10, context=trusting) as answer:
            assert answer.status == 200
        with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
            urllib.request.urlopen(url, timeout=10)
        with pytest.raises(OSError):
            urllib.request.urlopen(url.replace("https", "http"), timeout=10)
        config.write_text(head + table)  # without the certificate nobody is trusted
        untrusted = mocban(*listing)
        assert untrusted.returncode == 2
        assert "ca_file" in json.loads(untrusted.stdout)["errors"][0]["do"]
    finally:
        child.terminate()
        child.wait(15)


def test_a_certificate_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    _, other = certificate(tmp_path, "other")
    _, locked = certificate(tmp_path, "locked", b"secret")
    Tls(cert, key)
    for bad in (other, locked, cert, tmp_path / "none", tmp_path):
        with pytest.raises(ConfigError, match=r"tls\.crt"):
            Tls(cert, bad)
    config = tmp_path / "mocban.toml"
    config.write_text(f'data_dir = "{tmp_path}"\n[gateway]\ntls_cert = "{cert}"\n')
    done = mocban("run", "--config", str(config))
    assert done.returncode == 2
    assert "go together" in json.loads(done.stdout.splitlines()[-1])["errors"][0]["say"]


def test_the_signing_key_may_come_as_a_credential(tmp_path: Path) -> None:
    config = tmp_path / "mocban.toml"
    config.write_text(f'data_dir = "{tmp_path}"\n')
    words = ("key", "--config", str(config))
    own = json.loads(mocban(*words).stdout)
    assert json.loads(mocban(*words).stdout) == own
    folder = tmp_path / "credentials"
    folder.mkdir()
    given = folder / "mocban_gateway__signing_key"
    given.write_bytes((tmp_path / "gateway" / "keys" / "gateway.key").read_bytes())
    (tmp_path / "gateway" / "keys" / "gateway.key").unlink()
    assert json.loads(mocban(*words, CREDENTIALS_DIRECTORY=str(folder)).stdout) == own
    assert not (tmp_path / "gateway" / "keys" / "gateway.key").exists()
    for bad in ("nonsense!", base64.b64encode(b"short").decode()):
        given.write_text(bad)
        done = mocban(*words, CREDENTIALS_DIRECTORY=str(folder))
        assert done.returncode == 2
        assert bad not in done.stdout + done.stderr
