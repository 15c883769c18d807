"""A real pcscd needs Debian packages and root: without them a loud skip, or a failure where MOCBAN_ALL is set."""

from __future__ import annotations

from collections.abc import Generator
from importlib.util import find_spec
from pathlib import Path

import pytest

from kiosk.emulators.vpcd import Service
from mocban.errors import ConfigError
from tests.support.second_tier import tools


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None, object, object]:
    """See ``tools``; ``pad_link`` looks for them."""
    with tools():
        return (yield)


@pytest.fixture(scope="session")
def pad_link(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one name under which every service of this process is found: the library looks for it once."""
    folder = tmp_path_factory.mktemp("p")
    Service(folder)
    if find_spec("smartcard") is None:
        raise ConfigError("pyscard is missing", "pip install 'mocban[pcsc]'", code="missing-tool")
    return folder / "pad"
