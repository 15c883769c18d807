"""A peer on loopback that says what a test tells it to."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def serving(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port on loopback where ``answer`` meets each caller, until the end."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def meet() -> None:
            while True:
                try:
                    line, _ = listening.accept()
                except OSError:
                    return
                with line:
                    try:
                        answer(line)
                    except OSError:
                        pass

        thread = threading.Thread(target=meet, daemon=True)
        thread.start()
        yield int(listening.getsockname()[1])
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(10)
