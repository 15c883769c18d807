"""What became of a tag's mark, and what a gate could not see, in a librarian's words."""

from __future__ import annotations

import pytest

from gateway.store.port import StoredFact
from gateway.web.words import Said, last_words, sentence
from mocban.events import EventsLost, Fact, SecurityMended, StillArmed
from mocban.i18n import catalog
from tests.support.gateway_stand import envelope

REF = "0123456789abcdef"
WORDS: list[tuple[Fact, str, str]] = [
    (
        SecurityMended(uid="E0", mended=REF, item="BG1", security="on"),
        "Chip chống trộm của BG1 đã được kích hoạt lại",
        "The chip of BG1 is switched on now",
    ),
    (
        SecurityMended(uid="E0", mended=REF, security="off"),
        "Chip chống trộm của E0 đã được bỏ kích hoạt",
        "The chip of E0 is switched off now",
    ),
    (
        StillArmed(passage=1, item="BG1", uid="E0", feed="recent-loans"),
        "BG1 đã mượn, ra khỏi cổng khi chip chưa bỏ kích hoạt",
        "BG1 went out on loan with its chip still on",
    ),
    (
        EventsLost(passage=2),
        "Cổng không đọc kịp: một số lượt qua bị mất",
        "The gate could not keep up: passages were lost",
    ),
]


@pytest.mark.parametrize(("fact", "vi", "en"), WORDS, ids=lambda one: getattr(one, "kind", None))
def test_each_is_a_sentence_in_both_languages(fact: Fact, vi: str, en: str) -> None:
    stored = StoredFact(
        1, "x-1", "0" * 16, 1, "", fact.kind, fact.kv, "", "", envelope(fact, 1, device="x-1")
    )
    for lang, text in (("vi", vi), ("en", en)):
        said = sentence(stored, catalog("gateway", lang))
        assert isinstance(said, Said)
        assert (said.tone, said.text) == ("device", text)
        assert bool(said.note) == (fact.kind != "security-mended"), (
            "what to do, where there is something"
        )
        assert last_words(fact.kind, catalog("gateway", lang)) != fact.kind
