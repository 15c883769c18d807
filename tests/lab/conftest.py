"""The lab itself is a fixture: a missing tool is found while a test is set up."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.support.second_tier import tools


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None, object, object]:
    """See ``tools``."""
    with tools():
        return (yield)
