"""Structured logging: one JSON object a line on stderr, with redaction of everything that could name a patron."""

from __future__ import annotations

import logging
import re
import sys
from typing import Any, TextIO, cast

# structlog loads rich if it is there, to paint tracebacks on a terminal. Ours are JSON, and painting costs every
# service 0.07 s of its start: while structlog loads, rich is not there.
_hidden = "rich" not in sys.modules
if _hidden:
    sys.modules["rich"] = None  # type: ignore[assignment]

import structlog  # noqa: E402
from structlog.typing import (  # noqa: E402
    EventDict,
    FilteringBoundLogger,
    Processor,
    WrappedLogger,
)

if _hidden:
    del sys.modules["rich"]

_SECRET = re.compile(
    r"patron|card|pin|name$|password|secret|token|^a[ade]$|^c[no]$|address|phone|mail",
    re.IGNORECASE,
)
_CARDLIKE = re.compile(
    r"\b(?:TV|BD|SV|HS)\d{4,}\b"
)  # card prefixes of Vietnamese libraries; free text is suspect too
REDACTED = "[redacted]"


class _Stderr:
    """Stderr as it is when something is said: whoever replaces it later is heard through the new one."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def setup(level: str = "info") -> None:
    """Route all logging, ours and the libraries', to stderr as JSON lines."""
    processors: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    structlog.configure(
        processors=[*processors, structlog.processors.JSONRenderer(ensure_ascii=False)],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _Stderr())),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(_Stderr())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=processors,
            processor=structlog.processors.JSONRenderer(ensure_ascii=False),
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def get(area: str) -> FilteringBoundLogger:
    """The logger of one room: ``log.get("kiosk.runner").info("tag.seen", uid=uid)``."""
    logger: FilteringBoundLogger = structlog.get_logger(area=area)
    return logger


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Blank values under suspicious keys, and card-like words anywhere."""
    return {key: _clean(key, value) for key, value in event.items()}


def _clean(key: str, value: Any) -> Any:
    if _SECRET.search(key):
        return REDACTED
    if isinstance(value, str):
        return _CARDLIKE.sub(REDACTED, value)
    if isinstance(value, dict):
        return {k: _clean(str(k), v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(key, v) for v in value]
    return value
