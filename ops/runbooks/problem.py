"""One thing wrong with a playbook, and its words. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ops.runbooks.verdicts import VERDICTS

HALTING = frozenset({"unsupported-step", "unsupported-command"})
"""Warnings that forbid to execute all the same: right by the standard, and not done by this release."""
WHAT_MAX = 240
"""Longest thing a problem is about: a playbook may have long names."""


@dataclass(frozen=True, slots=True)
class Problem:
    """``error``: wrong by the standard, or dangerous. ``step``: id of the step, or "". ``what``: what it is about."""

    level: Literal["error", "warning"]
    code: str
    step: str = ""
    what: str = ""

    @property
    def halts(self) -> bool:
        """It forbids to execute the playbook."""
        return self.level == "error" or self.code in HALTING

    @property
    def say(self) -> str:
        """What is wrong, in English."""
        return self.told("en")[0]

    @property
    def do(self) -> str:
        """What to do next, in English."""
        return self.told("en")[1]

    def told(self, lang: str) -> tuple[str, str]:
        """What is wrong and what to do next, in ``vi`` or ``en``."""
        say, do = VERDICTS[self.code][lang if lang == "en" else "vi"]
        return say.format(what=self.what), do

    def as_json(self) -> dict[str, str]:
        """``{"level", "code", "step", "say", "do"}``."""
        return {
            "level": self.level, "code": self.code, "step": self.step, "say": self.say, "do": self.do,
        }  # fmt: skip


def error(code: str, step: str = "", what: str = "") -> Problem:
    """A problem that forbids to execute."""
    return Problem("error", code, step, what[:WHAT_MAX])


def warning(code: str, step: str = "", what: str = "") -> Problem:
    """A problem to look at."""
    return Problem("warning", code, step, what[:WHAT_MAX])
