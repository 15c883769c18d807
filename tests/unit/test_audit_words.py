"""What the dashboard shows of other apps' audit has words, in both languages."""

from __future__ import annotations

import pytest

from backup import report
from gateway.store.port import StoredFact
from gateway.web.words import routine, sentence
from mocban.clock import SetClock
from mocban.events import Audited
from mocban.i18n import catalog
from ops.runbooks.news import AUDITED, News
from tests.support.gateway_stand import envelope

NOW = SetClock().now()
BACKUP = report.Run("r1", NOW, NOW, "failed", "disk-full", "/backup", "", 0).fact()
FACTS = [
    BACKUP,
    *(
    fact
    for what in sorted(AUDITED)
    if (fact := News(1, NOW, "x/1", "person:lan", what, {"step": "Gate", "playbook": "Gate"}).fact())
    ),
]  # fmt: skip


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.action)
def test_what_did_not_go_well_is_told_in_words(fact: Audited) -> None:
    payload = envelope(fact, 1, device="ops")
    stored = StoredFact(1, "ops", "0" * 16, 1, "", fact.kind, fact.kv, "", "", payload)
    if routine(stored):
        assert fact.outcome == "done" or fact.action.startswith("order-")
        return
    said = {lang: sentence(stored, catalog("gateway", lang)) for lang in ("vi", "en")}
    assert not [one for one in said.values() if fact.action in one.text], "its name is no word"
    assert said["vi"].text != said["en"].text
    assert said["en"].note.startswith({"failed": "failed", "refused": "refused"}[fact.outcome])


def test_some_of_it_is_shown() -> None:
    shown = {fact.action for fact in FACTS if fact.outcome != "done"}
    assert shown == {"execution-failed", "step-denied", "undo-given-up", "backup-run"}
