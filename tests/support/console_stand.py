"""Around the console's tests: a service that answers what a test puts there."""

from __future__ import annotations

import copy
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from mocban import identity
from mocban.asking import Service
from tests.support.gateway_stand import free_port

EXECUTION = "d4eaba85-8f29-59a5-8490-7f330cfabdfc"
SILENCE, LOOK = (
    "action--83d1dba8-edba-5f2b-99d3-f34a96997e42",
    "action--4baf3140-862c-5c5c-b62c-e0efecaefdef",
)
SHA = "9fc1a2912a0379d58ab4cdea06c7cf376dbff38c302a541d5b7aedce3308855b"
WORDS = {
    "vi": {"name": "Cổng an ninh kêu liên tục", "description": "Tắt tiếng 15 phút, kiểm tra, rồi bật lại."},
    "en": {"name": "The gate cries without end", "description": "Silence it for 15 minutes, look, open it again."},
}  # fmt: skip


def incident(
    no: int, kind: str = "gate-storm", severity: str = "major", state: str = "open", **more: Any
) -> dict[str, Any]:
    """An Incident as operations tell it."""
    return {
        "no": no, "id": f"00000000-0000-4000-8000-{no:012}", "kind": kind, "severity": severity, "title_key": kind,
        "device": "demo-gate-1", "app": "", "state": state, "opened": "2026-11-25T08:00:00.000Z",
        "last": "2026-11-25T08:01:00.000Z", "over": "", "changed": "2026-11-25T08:01:00.000Z", "acked_by": "",
        "resolved_by": "", "signals": 12, "args": {}, **more,
    }  # fmt: skip


def execution(state: str = "waiting", by: str = "app:ops", **more: Any) -> dict[str, Any]:
    """An Execution of the gate storm."""
    return {
        "id": EXECUTION, "playbook": {"id": "playbook--1", "name": "Gate storm", "sha256": SHA, "words": WORDS},
        "by": by, "incident": 1, "state": state, "stage": "going", "variables": {"__device__": "demo-gate-1"},
        "began": "2026-11-25T08:01:00.000Z", "ended": "", "reason": "", **more,
    }  # fmt: skip


def step(ident: str, vi: str, en: str, state: str, waits: str = "", **more: Any) -> dict[str, Any]:
    """A Step."""
    return {
        "id": ident, "step": ident, "name": en, "words": {"vi": {"name": vi}, "en": {"name": en}}, "type": "action",
        "kind": "do", "undoes": "", "state": state, "outcome": "", "by": "", "began": "2026-11-25T08:01:05.000Z",
        "ended": "", "branch": None, "parent": None, "deadline": "", "undone": False, "waits": waits, "jobs": [],
        **more,
    }  # fmt: skip


def order(ident: str, **args: Any) -> dict[str, Any]:
    """An order's body."""
    return {
        "app": "gate", "args": args, "by": "app:ops", "device": "demo-gate-1", "expires": "2026-11-25T12:06:00.000Z",
        "id": ident, "name": "set-mode", "nv": 1, "tenant": "demo", "v": 1,
    }  # fmt: skip


def asking(by: str = "app:ops", have: tuple[str, ...] = ()) -> dict[str, Any]:
    """An execution that waits for one approval."""
    do, undo = "251dba8a-a889-5740-862f-597f7b1265a4", "b023d434-d28c-5466-a997-c2ead6f0fbc7"
    orders = [order(do, mode="silent", seconds=900), order(undo, mode="open")]
    hashes = [hashlib.sha256(identity.canonical(one)).hexdigest() for one in orders]
    body = {
        "by": by, "commands": hashes, "execution": EXECUTION, "expires": "2026-11-25T12:01:00.000Z",
        "playbook": SHA, "step": SILENCE, "tenant": "demo", "v": 1,
    }  # fmt: skip
    return {
        "execution": execution(by=by),
        "steps": [
            step("start--1", "Đầu", "Start", "done", type="start"),
            step("action--1", "Cho cổng tự kiểm tra", "Let the gate test itself", "done"),
            step(
                SILENCE, "Tắt tiếng cổng 15 phút", "Silence the gate for 15 minutes", "waiting", "approval",
                jobs=[{"id": do, "type": "mocban-order", "say": "demo-gate-1: gate set-mode mode=silent seconds=900",
                       "state": "todo", "tries": 0, "reason": ""}],
            ),
            step(LOOK, "Ra cổng xem vật gây nhiễu", "Look for what disturbs the gate", "todo"),
        ],
        "log": [{"no": 1, "at": "2026-11-25T08:01:00.000Z", "actor": "app:ops", "what": "execution-begun", "text": "",
                 "args": {"playbook": "Gate storm", "playbook_vi": WORDS["vi"]["name"]}}],
        "asks": [{
            "step": SILENCE, "persons": 1, "have": list(have), "expires": "2026-11-25T12:01:00.000Z",
            "documents": [
                {"namespace": "mocban-step", "body": body},
                *({"namespace": "mocban-order", "body": one} for one in orders),
            ],
            "commands": copy.deepcopy(orders),
            "say": {"vi": "…", "en": "…"},
        }],
    }  # fmt: skip


def by_hand() -> dict[str, Any]:
    """An execution that waits for a person's hands."""
    found = asking()
    found["asks"] = []
    found["steps"][2].update(state="done", waits="")
    found["steps"][3].update(
        state="waiting", waits="person",
        jobs=[{"id": "j", "type": "manual", "say": "Go to the gate.", "state": "todo", "tries": 0, "reason": ""}],
    )  # fmt: skip
    return found


def device(name: str, app: str = "kiosk", online: bool | None = True) -> dict[str, Any]:
    """A device as the gateway tells it."""
    return {
        "device": name, "app": app, "online": online, "version": "0.1.0", "since": "2026-11-25T07:00:00.000Z",
        "facts": 3, "last_kind": "device-changed", "last_ts": "2026-11-25T08:00:00.000Z",
        "last_rx": "2026-11-25T08:00:00.000Z", "seen": "2026-11-25T08:00:00.000Z",
        "waiting": 0, "oldest": None, "mode": None,
    }  # fmt: skip


def counts() -> dict[str, Any]:
    """The gateway's counters of three days."""
    one = {"loans": 12, "returns": 9, "refused": 1, "alarms": 4, "people_in": 80, "people_out": 78}
    days = [{"day": f"2026-11-{day}", "counts": {**one, "loans": day - 20}} for day in (25, 24, 23)]
    return {"today": {"day": "2026-11-25", "counts": one}, "days": days, "totals": one}


class Recorded:
    """Operations and the gateway on one port, as a test wants them. ``posts``: what was asked to be done."""

    def __init__(self) -> None:
        self.incidents = [
            incident(1),
            incident(2, "reported", "minor", args={"say": "máy in kẹt giấy"}),
        ]
        self.executions = [execution()]
        self.details: dict[str, Any] = {EXECUTION: asking()}
        self.devices: list[Any] = [
            device("demo-kiosk-1"),
            device("demo-gate-1", "gate"),
            device("kho-2", online=False),
        ]
        self.playbooks = [{
            "id": "playbook--1", "name": "gate-storm", "title": "Gate storm", "words": WORDS, "sha256": SHA,
            "signed_by": "demo", "runnable": True, "shipped": False, "file": "gate-storm.json",
            "starts_on": ["gate-storm"], "problems": [],
            "variables": [{"name": "__device__", "type": "string", "description": "", "value": None, "external": True,
                           "constant": False}],
        }]  # fmt: skip
        self.posts: list[tuple[str, dict[str, Any]]] = []
        self.no: tuple[int, str, str] | None = None
        """Status, code and sentence of the refusal that every post meets."""
        self.raw: bytes | None = None
        """What every question is answered with instead."""
        self.port = free_port()
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def service(self) -> Service:
        return Service("operations", self.url, lambda: "f" * 64)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        stand = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.0"

            def do_GET(self) -> None:
                self._say(200, stand.get(self.path) if stand.raw is None else stand.raw)

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                self._say(*stand.post(self.path, body))

            def _say(self, status: int, body: Any) -> None:
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(404 if body is None else status)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def get(self, path: str) -> Any:
        where, state = urlsplit(path).path, parse_qs(urlsplit(path).query).get("state", [""])[0]
        parts = where.strip("/").split("/")
        match parts[2:]:
            case ["incidents"]:
                wanted = {"open": {"open", "acked"}}.get(
                    state, {state} if state else {"open", "acked", "resolved"}
                )
                return {"incidents": [one for one in self.incidents if one["state"] in wanted]}
            case ["incidents", no]:
                found = next((one for one in self.incidents if str(one["no"]) == no), None)
                entry = {
                    "no": 1,
                    "at": "2026-11-25T08:00:00.000Z",
                    "actor": "app:ops",
                    "what": "opened",
                    "text": "",
                    "args": {},
                }
                return found and {"incident": found, "timeline": [entry]}
            case ["executions"]:
                return {"executions": self.executions}
            case ["executions", ident]:
                return self.details.get(ident)
            case ["playbooks"]:
                return {"playbooks": self.playbooks}
            case ["devices"]:
                return self.devices
            case ["counts"]:
                return counts()
        return None

    def post(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        self.posts.append((path, body))
        if self.no is not None:
            status, code, say = self.no
            return status, {"ok": False, "errors": [{"code": code, "say": say, "do": ""}]}
        if body.get("dry"):
            return 200, {"execution": None, "steps": [
                {"id": SILENCE, "type": "action", "name": "Silence", "words": {"vi": {"name": "Tắt tiếng cổng"}},
                 "commands": [{"type": "mocban-order", "command": "gate set-mode mode=silent"}], "targets": ["gate-1"],
                 "undo": [], "undoes": "", "condition": "", "persons": 1, "timeout": None, "leads": {}},
            ]}  # fmt: skip
        return 200, {"execution": self.executions[0], "incident": self.incidents[0]}
