"""``mocban doctor`` and the broker: one that is none, one that refuses, and one that has to prove itself."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from pathlib import Path

from mocban import doctor
from tests.support.certificates import certificate
from tests.support.serving import serving


def english(text: str) -> str:
    """The sentences as they stand in the source."""
    return text


def test_a_broker_that_is_none_or_refuses_is_told_apart() -> None:
    def says(data: bytes) -> Callable[[socket.socket], None]:
        def answer(line: socket.socket) -> None:
            assert line.recv(4096)[2:9] == b"\x00\x04MQTT\x05"
            line.sendall(data)

        return answer

    for data, ok, say in [
        (b"HTTP/1.0 400 Bad", False, "no MQTT 5 broker"),
        (b"\x20\x02\x00\x05", False, "no MQTT 5 broker"),  # CONNACK of MQTT 3.1.1: version refused
        (b"\x20\x03\x00\x87\x00", True, "asks who we are"),
        (b"\x20\x03\x00\x89\x00", False, "0x89"),
        (b"\x20\x03\x00\x00\x00", True, "answers"),
    ]:
        with serving(says(data)) as port:
            finding = doctor.broker(english, f"mqtt://127.0.0.1:{port}", None)
        assert (finding.ok, say in finding.say) == (ok, True), finding


def test_a_broker_over_tls_has_to_prove_itself_by_ca_file(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path, "ours")
    other, _ = certificate(tmp_path, "other")
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(cert, key)

    def answer(line: socket.socket) -> None:
        with server.wrap_socket(line, server_side=True) as wrapped:
            wrapped.recv(4096)
            wrapped.sendall(b"\x20\x03\x00\x00\x00")

    with serving(answer) as port:
        url = f"mqtts://localhost:{port}"
        assert doctor.broker(english, url, cert).ok
        stranger = doctor.broker(english, url, other)
        assert not stranger.ok
        assert "prove" in stranger.say
        assert not doctor.broker(english, url, tmp_path / "none.pem").ok
