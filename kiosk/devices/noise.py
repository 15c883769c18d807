"""Bytes from readers that were no frame, counted for ``/metrics``: the first sign of a bad cable."""

from __future__ import annotations

from prometheus_client import Counter

_noise = Counter(
    "mocban_reader_noise_bytes_total", "Bytes from a reader that were no frame", ["reader"]
)


class Noise:
    """Turns a device's ``noise`` since open into a count that only grows."""

    def __init__(self, reader: str) -> None:
        self._counter = _noise.labels(reader)
        self._last = 0

    def heard(self, since_open: int) -> None:
        """Note the device's ``noise``; smaller than before means that it was opened anew."""
        grown = since_open - self._last if since_open >= self._last else since_open
        self._last = since_open
        self._counter.inc(grown)
