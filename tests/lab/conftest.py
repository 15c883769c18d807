"""The lab belongs to the second tier: as there, a missing tool is a loud skip, or a failure where MOCBAN_ALL is set."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

from mocban.errors import ConfigError


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None, object, object]:
    """Turn a missing tool into a skip, unless everything is asked for. The lab itself is a fixture."""
    try:
        return (yield)
    except ConfigError as error:
        if error.code != "missing-tool" or os.environ.get("MOCBAN_ALL"):
            raise
        pytest.skip(f"{error.say}: {error.do}")
