"""Speak to a broker by a name and a password, and print what it answers: one JSON object.

Run as a process of its own in a network namespace: host, port, certificates, and on stdin what to say.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from mocban.line import Line

WITHIN = 10.0


class Heard:
    """What the broker said, by kind."""

    def __init__(self) -> None:
        self.said: dict[str, int] = {}
        self.topics: list[str] = []
        self.any = asyncio.Event()

    def welcomed(self, code: int, limits: dict[str, Any]) -> None:
        del limits
        self._say("connack", code)

    def gone(self, code: int | None, reference: str) -> None:
        del code, reference
        self._say("gone", 1)

    def confirmed(self, mid: int, code: int) -> None:
        del mid
        self._say("puback", code)

    def granted(self, codes: list[int]) -> None:
        self._say("suback", codes[0])

    def came(self, topic: str, payload: bytes) -> None:
        del payload
        self.topics.append(topic)
        self.any.set()

    def _say(self, kind: str, code: int) -> None:
        self.said.setdefault(kind, code)
        self.any.set()

    async def until(self, kind: str, topic: str = "") -> None:
        """Until this was said, something came on ``topic``, or the connection is gone."""
        async with asyncio.timeout(WITHIN):
            while not ({"gone", kind} & self.said.keys() or topic in self.topics):
                self.any.clear()
                await self.any.wait()


async def speak(host: str, port: int, ca_file: Path, words: dict[str, str]) -> dict[str, Any]:
    """Connect, subscribe to ``filter``, publish ``payload`` on ``topic``, hear until something comes on ``await``."""
    heard, own = Heard(), (words["topic"], words["payload"].encode())
    login = (words["user"], words["password"]) if words["user"] else None
    line = Line(f"{words['user'] or 'nobody'}.lab", (*own, False), 0, 10, heard, login)
    await line.open(
        host, port, tls=True, ca_file=ca_file, keep_alive=30, session=0, packet_max=65536
    )
    await heard.until("connack")
    if heard.said.get("connack") == 0:
        line.subscribe([words["filter"]])
        await heard.until("suback")
        line.publish(*own, [])
        await heard.until("puback")
        if words["await"]:
            await heard.until("never", words["await"])
    await line.close(*own, retain=False)
    return {**heard.said, "topics": heard.topics}


if __name__ == "__main__":
    told = asyncio.run(
        speak(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), json.load(sys.stdin))
    )
    sys.stdout.write(json.dumps(told))
