"""What any framer must do with any bytes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from kiosk.wire.framing import Framer


def check_splits(framer: Callable[[], Framer], data: bytes, cuts: list[int]) -> None:
    """However ``data`` is cut, the same frames come out, and every byte is in a frame or counted as noise."""
    whole, cut, single = framer(), framer(), framer()
    places = [0, *sorted(place % (len(data) + 1) for place in cuts), len(data)]
    expected = whole.feed(data)
    assert [f for a, b in pairwise(places) for f in cut.feed(data[a:b])] == expected
    assert [f for byte in data for f in single.feed(bytes((byte,)))] == expected
    assert whole.noise == cut.noise == single.noise
    rest = whole.idle()
    assert cut.idle() == single.idle() == rest
    assert whole.noise == cut.noise == single.noise
    assert whole.noise + sum(map(len, expected + rest)) == len(data)


def check_back_to_back(framer: Callable[[], Framer], frames: list[bytes]) -> None:
    """Frames without a pause come out whole, and nothing is noise."""
    one = framer()
    assert one.feed(b"".join(frames)) == frames
    assert (one.noise, one.partial) == (0, False)
