"""Playbooks nobody in their right mind writes, and a service that answers whatever it likes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID

from ops.runbooks.extension import EXTENSION

GROUP = f"group--{UUID(int=1, version=4)}"
WEB = f"http-api--{UUID(int=2, version=4)}"
GATEWAY = f"organization--{UUID(int=3, version=4)}"
AGENTS: dict[str, Any] = {GATEWAY: {"type": "organization", "name": "gateway"}}
"""Whoever hands orders on."""
EXTENDED: dict[str, Any] = {
    "extension_definitions": {
        EXTENSION: {
            "type": "extension-definition", "name": "mocban runbook", "version": "1.0.0", "schema": "ours",
            "created_by": f"identity--{UUID(int=8, version=4)}",
        },
    },
}  # fmt: skip
"""What a playbook with our extension declares."""


def ident(kind: str, number: int) -> str:
    """The id of the step ``number``."""
    return f"{kind}--{UUID(int=number + 100, version=4)}"


def target(number: int) -> str:
    """The id of the device ``number``."""
    return f"mocban-device--{UUID(int=number + 5000, version=4)}"


def manual(text: str, **more: Any) -> dict[str, Any]:
    """Something a person does."""
    return {
        "type": "action", "name": "look", "agent": GROUP, "commands": [{"type": "manual", "command": text}], **more,
    }  # fmt: skip


def call(command: str, **more: Any) -> dict[str, Any]:
    """Something a service is asked for."""
    return {
        "type": "action", "name": "call", "agent": GROUP, "targets": [WEB],
        "commands": [{"type": "http-api", "command": command}], **more,
    }  # fmt: skip


def chain(*steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A playbook of ``steps``, one after the other."""
    keys = [ident("action", n) for n in range(len(steps))]
    end = ident("end", 0)
    flow: dict[str, Any] = {
        ident("start", 0): {"type": "start", "on_completion": keys[0]},
        end: {"type": "end"},
    }
    for key, step, after in zip(keys, steps, [*keys[1:], end], strict=True):
        flow[key] = {"on_success": after, **step}
    return body(flow, **more)


def side_by_side(*steps: dict[str, Any]) -> dict[str, Any]:
    """A playbook of ``steps``, all at once."""
    keys = [ident("action", n) for n in range(len(steps))]
    fork, last = ident("parallel", 0), ident("end", 999)
    flow: dict[str, Any] = {
        ident("start", 0): {"type": "start", "on_completion": fork},
        fork: {"type": "parallel", "name": "all", "next_steps": keys, "on_completion": last},
        last: {"type": "end"},
    }  # fmt: skip
    for number, (key, step) in enumerate(zip(keys, steps, strict=True)):
        flow[key] = {"on_completion": ident("end", number), **step}
        flow[ident("end", number)] = {"type": "end"}
    return body(flow)


def body(flow: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The document around a workflow."""
    return {
        "type": "playbook", "spec_version": "cacao-2.0", "id": f"playbook--{UUID(int=9, version=4)}",
        "name": "Hostile", "created_by": f"identity--{UUID(int=8, version=4)}",
        "created": "2026-11-25T08:00:00.000Z", "modified": "2026-11-25T08:00:00.000Z",
        "workflow_start": ident("start", 0), "workflow": flow,
        "agent_definitions": {GROUP: {"type": "group", "name": "staff"}},
        "target_definitions": {
            WEB: {"type": "http-api", "name": "web", "address": {"dname": ["web.example"]}},
        },
        **more,
    }  # fmt: skip


@contextmanager
def serving(answer: Callable[[Any], None]) -> Iterator[str]:
    """The address of a service each of whose requests ``answer`` writes by itself."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            try:
                answer(self)
            except OSError:  # whoever asked went away
                pass

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, *_: object) -> None:
            """A caller that went away is no news."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def json_of(text: str) -> Callable[[Any], None]:
    """Always answers ``text``."""

    def answer(request: Any) -> None:
        data = text.encode()
        request.send_response(200)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    return answer
