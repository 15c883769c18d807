"""The second tier: a missing tool is a loud skip when called by hand, a failure where MOCBAN_ALL is set."""

from __future__ import annotations

from tests.fault.conftest import pytest_runtest_call

__all__ = ["pytest_runtest_call"]
