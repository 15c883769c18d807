"""The book of orders: numbers that are never used twice, and whose word ends an order."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest

from gateway.store.lending import SqliteLending
from gateway.store.orders import Asked, OrderRow, SqliteOrders, answered, received
from mocban.clock import SetClock
from mocban.events import CommandAnswered

NOW = SetClock().now()
ID = str(UUID(int=7))


@dataclass
class Book:
    """Orders, and the connection of whoever stores letters."""

    orders: SqliteOrders
    db: sqlite3.Connection

    @property
    def row(self) -> OrderRow:
        found = self.orders.get(ID)
        assert found is not None
        return found

    def answer(self, device: str = "kiosk-1", **more: str) -> bool:
        fields = {"order": ID, "name": "restart", "app": "kiosk", "outcome": "done", **more}
        with self.db:
            return answered(self.db, device, CommandAnswered.model_validate(fields), NOW)

    def receive(self, device: str = "kiosk-1", app: str = "kiosk") -> bool:
        with self.db:
            return received(self.db, device, app, ID, NOW)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    orders = SqliteOrders(tmp_path / "g.db")
    db = sqlite3.connect(tmp_path / "g.db")
    orders.ask(
        Asked(ID, b"", "{}", "[]", "person:lan", "app:ops", "kiosk-1", "kiosk", "restart", "", "")
    )
    yield Book(orders, db)
    db.close()
    orders.close()


def test_numbers_grow_also_when_the_clock_or_the_book_came_back_older(book: Book) -> None:
    number = book.orders.number
    assert [number("kiosk-1", "kiosk", at) for at in (100, 100, 50, 200, 199)] == [
        100, 101, 102, 200, 201,
    ]  # fmt: skip
    assert number("kiosk-1", "gate", 7) == 7


def test_what_was_never_sent_cannot_be_answered(book: Book) -> None:
    assert not book.answer()
    book.orders.signed(ID, "e" * 16, 1, b"x", NOW)
    assert not book.answer("kiosk-2")
    assert not book.answer(app="gate")
    assert book.answer()
    assert not book.answer(outcome="failed")
    assert book.row.state == "done"


def test_a_receipt_counts_once_and_only_from_its_addressee(book: Book) -> None:
    assert not book.receive("kiosk-2")
    assert not book.receive(app="gate")
    assert book.receive()
    assert not book.receive()
    assert not book.orders.signed(ID, "e" * 16, 2, b"y", NOW)


def test_giving_up_loses_against_an_answer_that_came_meanwhile(book: Book) -> None:
    book.orders.signed(ID, "e" * 16, 1, b"x", NOW)
    seen = book.row
    book.answer(outcome="refused", reason="busy")
    book.orders.give_up(seen, "expired", "expired")
    assert (book.row.state, book.row.reason) == ("refused", "busy")
    assert [one.action for one in book.orders.owed()] == ["order-asked", "order-answered"]


def test_what_is_audited_is_owed_no_more(book: Book) -> None:
    (owed,) = book.orders.owed()
    assert (owed.action, owed.reason, owed.order.id) == ("order-asked", "person:lan", ID)
    book.orders.audited(owed.no)
    assert book.orders.owed() == []


def test_versions_of_feeds_grow_likewise(tmp_path: Path) -> None:
    lending = SqliteLending(tmp_path / "g.db")
    try:
        at = ("gate-1", "allow-list")
        assert [lending.versions([at], least)[at] for least in (9, 9, 5, 20)] == [9, 10, 11, 20]
    finally:
        lending.close()
