"""``mocban runbook``: the papers (lint, list, sign) and the running (run, show, approve, deny, resume, stop)."""

from __future__ import annotations

from mocban.cli import new_app
from ops.runbooks import papers, running

app = new_app("Incident-response playbooks: CACAO 2.0, checked, approved, run, undone.")
papers.register(app)
running.register(app)
