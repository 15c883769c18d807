"""Playbooks for tests: a small one that is right, to be spoilt in one place at a time."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from ops.runbooks.extension import DEFINITION, EXTENSION

Body = dict[str, Any]
DATA = Path(__file__).parent.parent / "data" / "cacao"
"""Playbooks of SOARCA, Apache-2.0."""
SHIPPED = Path(__file__).parent.parent.parent / "ops" / "playbooks"
"""Ours."""
WORDS = {"vi": {"name": "Một việc"}, "en": {"name": "A thing"}}
AT = "2026-11-25T08:00:00.000Z"


def key(kind: str, name: str = "") -> str:
    """An identifier of the standard, the same for the same words."""
    return f"{kind}--{uuid5(NAMESPACE_URL, f'{kind} {name}')}"


START, END, GATEWAY, DEVICE = key("start"), key("end"), key("organization"), key("mocban-device")
QUIET, OPEN, LOOK = key("action", "quiet"), key("action", "open"), key("action", "look")
STAFF = key("group")


def order(text: str) -> Body:
    """A command for a device."""
    return {"type": "mocban-order", "command": text}


def own(body: Body) -> Body:
    """What our extension says of a step."""
    part: Body = body["step_extensions"][EXTENSION]
    return part


def right() -> Body:
    """Silence a gate with one person's approval, look at it, open it again: nothing is wrong with it."""
    return {
        "type": "playbook", "spec_version": "cacao-2.0", "id": key("playbook"), "name": "Quiet",
        "created_by": key("identity"), "created": AT, "modified": AT,
        "playbook_variables": {
            "__device__": {"type": "string", "external": True, "description": "The gate"},
            "__outcome__": {"type": "string", "value": ""},
        },
        "workflow_start": START,
        "workflow": {
            START: {"type": "start", "on_completion": QUIET},
            QUIET: {
                "type": "action", "name": "Quiet", "timeout": 60_000, "agent": GATEWAY, "targets": [DEVICE],
                "commands": [order("gate set-mode mode=silent seconds=900")], "out_args": ["__outcome__"],
                "on_success": LOOK, "on_failure": OPEN,
                "step_extensions": {
                    EXTENSION: {
                        "words": WORDS, "approval": {"persons": 1}, "undo": [order("gate set-mode mode=open")],
                        "on_unknown": "retry",
                    }
                },
            },
            LOOK: {
                "type": "action", "name": "Look", "timeout": 60_000, "agent": STAFF,
                "commands": [{"type": "manual", "command": "Look at __device__:value"}],
                "on_success": OPEN, "on_failure": OPEN, "step_extensions": {EXTENSION: {"words": WORDS}},
            },
            OPEN: {
                "type": "action", "name": "Open", "timeout": 60_000, "agent": GATEWAY, "targets": [DEVICE],
                "commands": [order("gate set-mode mode=open")], "on_completion": END,
                "step_extensions": {EXTENSION: {"words": WORDS, "undoes": QUIET}},
            },
            END: {"type": "end"},
        },
        "agent_definitions": {
            GATEWAY: {"type": "organization", "name": "gateway"}, STAFF: {"type": "group", "name": "staff"},
        },
        "target_definitions": {DEVICE: {"type": "mocban-device", "name": "__device__:value"}},
        "extension_definitions": {EXTENSION: dict(DEFINITION)},
        "playbook_extensions": {EXTENSION: {"words": WORDS}},
    }  # fmt: skip


def spoilt(change: Callable[[Body], object]) -> Body:
    """``right`` after ``change``."""
    body = copy.deepcopy(right())
    change(body)
    return body


def written(body: Body) -> bytes:
    """As a file holds it."""
    return json.dumps(body, ensure_ascii=False).encode()
