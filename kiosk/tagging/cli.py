"""``mocban tag``: what staff do with tags."""

from __future__ import annotations

from mocban.cli import new_app

app = new_app("Tags: read, explain, write, convert, find.")
