"""The second tier: a missing tool is a loud skip when called by hand, a failure where MOCBAN_ALL is set."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mocban.errors import ConfigError

ALL = bool(os.environ.get("MOCBAN_ALL"))
"""Everything is asked for, and everything it needs was installed."""


@contextmanager
def tools() -> Iterator[None]:
    """Turns a missing tool into a skip, unless everything is asked for."""
    try:
        yield
    except ConfigError as error:
        if error.code != "missing-tool" or ALL:
            raise
        pytest.skip(f"{error.say}: {error.do}")
