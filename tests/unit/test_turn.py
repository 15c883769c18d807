"""The turn at the database: whoever waits comes next, however busy the one before is."""

from __future__ import annotations

import threading

import pytest

from ops.telling import Turn


def test_who_waits_comes_next() -> None:
    turn, stop, waiting = Turn(), threading.Event(), threading.Event()
    taken: list[int] = []

    def busy() -> None:
        while not stop.is_set():
            with turn:
                taken.append(1)
                waiting.wait(0.002)

    thread = threading.Thread(target=busy)
    thread.start()
    try:
        for _ in range(20):
            before = len(taken)
            with turn:
                assert len(taken) - before <= 3
    finally:
        stop.set()
        thread.join(10)
    assert taken


def test_whatever_goes_wrong_it_is_given_back() -> None:
    turn = Turn()
    with pytest.raises(ValueError), turn:
        raise ValueError
    with turn:
        pass


def test_only_one_has_it() -> None:
    turn, inside = Turn(), []
    worst: list[int] = []

    def work() -> None:
        for _ in range(200):
            with turn:
                inside.append(1)
                worst.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert set(worst) == {1}
    assert len(worst) == 1600
