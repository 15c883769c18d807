"""``mocban tag inventory``, ``station`` and ``calibrate``: a person, a scanner, a gate, and an emulated reader."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from kiosk.emulators.things import WorldTag
from kiosk.wire.content import ItemTag
from kiosk.wire.tag import decode
from tests.support.tag_desk import V2, V3, Hands, Shell, shell, tag, wait

CARD = "180101545632343030303031000000000000008808564E42473031 0000000000"
Open = Callable[..., AbstractContextManager[Shell]]


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Open:
    return partial(shell, tmp_path, monkeypatch, capsys)


def item(sh: Shell, name: str) -> str:
    content = decode(sh.data(name))
    return content.id if isinstance(content, ItemTag) else ""


# -- inventory --


def test_a_shelf_against_its_list(at: Open, tmp_path: Path) -> None:
    wanted, out = tmp_path / "list.csv", tmp_path / "out.csv"
    wanted.write_text("barcode,title\n11223344,x\n200901010123,y\n=MISSING,z\n", encoding="utf-8")
    with at(
        tag("a", V2, blocks=8, afi=7), tag("b", V3, afi=0xC2), tag("c", b"+1234567".hex(), afi=7),
        tag("leer"), tag("card", CARD), tag("twin", V2, blocks=8, afi=7),
    ) as sh:  # fmt: skip
        body = sh.told(
            "inventory", "--list", str(wanted), "--seconds", "3", "--out", str(out), code=1
        )
        assert set(body["found"]) == {"11223344", "200901010123"}
        assert (body["missing"], body["unexpected"]) == (["=MISSING"], ["+1234567"])
        assert (body["open"], body["unreadable"]) == (["200901010123"], [sh.uid("leer")])
        assert (set(body["twice"]), body["cards"]) == ({"11223344"}, 1)
        with out.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file))
        assert rows[0] == ["item", "state", "security", "part", "parts", "uid"]
        assert ["'=MISSING", "missing", "", "", "", ""] in rows
        assert ["'+1234567", "unexpected", "in stock", "1", "1", sh.uid("c")] in rows
        assert ["200901010123", "found", "open", "1", "1", sh.uid("b")] in rows
        assert "TV2400001" not in out.read_text() + str(body)


def test_a_shelf_where_all_is_well(at: Open, tmp_path: Path) -> None:
    wanted = tmp_path / "list.txt"
    wanted.write_text("11223344\n")
    with at(tag("a", V2, blocks=8, afi=7)) as sh:
        body = sh.told("inventory", "--list", str(wanted), "--seconds", "1")
        assert (body["found"], body["missing"]) == (["11223344"], [])
        assert sh.told("inventory", "--seconds", "1")["found"] == ["11223344"]


def test_items_that_are_passed_one_by_one_are_each_counted_once_until_ctrl_c(at: Open) -> None:
    numbers = {f"t{n}": f"30000{n:03}" for n in range(5)}
    tags = [tag(name, text.encode().hex(), afi=7, place="shelf") for name, text in numbers.items()]
    with at(*tags) as sh:
        words = [
            sys.executable,
            "-m",
            "mocban",
            "tag",
            "inventory",
            "--pad",
            sh.url,
            "--driver",
            "feig",
        ]
        lines: list[str] = []
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            out = process.stdout
            reader = threading.Thread(target=lambda: lines.extend(iter(out.readline, "")))
            reader.start()

            def seen(name: str) -> bool:
                return any(numbers[name] in line for line in lines)

            for name in ("t0", "t1", "t2", "t3"):
                sh.world.lay(name)
                wait(lambda name=name: seen(name), 30)  # type: ignore[misc]
                sh.world.lift(name)
            for name in ("t0", "t1", "t4"):  # two of them once more, in the round of a new one
                sh.world.lay(name)
            wait(lambda: seen("t4"), 30)
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
            reader.join(5)
        text = "".join(lines)
        assert [text.count(f"{number} seen") for number in numbers.values()] == [1] * 5
        assert "5 found, 0 missing" in text


def test_bad_lists_and_options(at: Open, tmp_path: Path) -> None:
    with at(tag("a", V2, blocks=8, afi=7)) as sh:
        assert sh.refused("inventory", "--list", str(tmp_path / "none"), code=2) == "config"
        assert sh.refused("inventory", "--column", "x", code=2) == "usage"
        assert sh.refused("inventory", "--seconds", "0", code=2) == "usage"
        gone = str(tmp_path / "no" / "out.csv")
        body = sh.told("inventory", "--seconds", "0.5", "--out", gone, code=70)
        assert body["errors"][0]["code"] == "storage"


def test_what_was_seen_is_not_lost_with_the_reader(at: Open, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    with at(tag("a", V2, blocks=8, afi=7)) as sh:
        threading.Timer(2.5, lambda: sh.world.set_fault("pad-unplugged", "on")).start()
        body = sh.told("inventory", "--seconds", "30", "--out", str(out), code=4)
        assert (body["found"], body["errors"][0]["code"]) == (["11223344"], "device-lost")
        assert "11223344,found" in out.read_text(encoding="utf-8-sig")


def test_where_eas_secures_the_bit_is_asked(at: Open, tmp_path: Path) -> None:
    config = tmp_path / "mocban.toml"
    config.write_text('[kiosk.security]\nby = "eas"\n')
    with at(tag("a", V2, blocks=8, eas=True), tag("b", V3)) as sh:
        body = sh.told("inventory", "--seconds", "2", "--config", str(config), code=1)
        assert body["open"] == ["200901010123"]


# -- station --


def test_scan_write_next(at: Open) -> None:
    with at(tag("a"), tag("b", place="hand"), tag("c", place="hand")) as sh:

        def swap(out: str, new: str) -> Callable[[], None]:
            def hands() -> None:
                sh.world.lift(out)
                sh.world.lay(new)

            return hands

        hands: Hands = (
            "BG0001",
            swap("a", "b"),
            "BG0002",
            "",
            swap("b", "c"),
            "BG0003",
            "BG0003",
            "n",
            "-",
            ".",
        )
        body = sh.told("station", "--owner", "VN-BG01", hands=hands)
        assert (body["written"], body["undone"], body["declined"]) == (3, 1, 1)
        assert (item(sh, "a"), item(sh, "b"), item(sh, "c")) == ("BG0001", "BG0002", "")
        assert (sh.world.tag("a").afi, sh.world.tag("c").afi) == (7, 0)


def test_never_two_tags_nor_babble_nor_an_item_for_another(at: Open) -> None:
    with at(tag("a"), tag("b", V2, blocks=8, afi=7)) as sh:
        before = sh.data("a"), sh.data("b")
        hands: Hands = (
            "BG0001", lambda: sh.world.lift("a"), "BG0001", "n", "x" * 65, "B�G", "-", "11223344", ".",
        )  # fmt: skip
        code, out, err = sh("station", hands=hands)
        assert code == 3, err
        assert "2 tags lie on the reader" in out
        assert "Write BG0001 over it?" in out
        assert out.count("that is no barcode") == 2
        assert "There is nothing to take back" in out
        assert "0 written, 1 right already, 0 taken back, 3 refused." in out
        assert (sh.data("a"), sh.data("b")) == before


def test_even_over_a_tag_just_written_is_not_written_with_the_next_barcode_unasked(
    at: Open,
) -> None:
    """The next item is scanned while the last one still lies there."""
    with at(tag("a", V2, afi=7), tag("b", V2, place="hand")) as sh:

        def swap() -> None:
            sh.world.lift("a")
            sh.world.lay("b")

        hands: Hands = ("BG0001", "BG0002", "n", swap, "BG0002", ".")
        body = sh.told("station", "--over", hands=hands)
        assert (body["written"], body["declined"]) == (2, 1)
        assert (item(sh, "a"), item(sh, "b")) == ("BG0001", "BG0002")


def test_a_tag_that_the_station_left_half_written_is_not_written_again_by_it(at: Open) -> None:
    """Else its undo file would never end, and --resume would one day write the wrong item on it."""
    with at(tag("a", V3, afi=0xD7)) as sh:
        sh.world.set_fault("tag-leaves", "before")
        hands: Hands = ("BG0001", lambda: sh.world.lay("a"), "BG0002", ".")
        body = sh.told("station", "--over", code=3, hands=hands)
        assert [one["code"] for one in body["errors"]] == ["half-written", "half-written-before"]
        assert body["undo"] == str(sh.books()[0])
        sh.told("convert", "--resume", "--yes")
        assert item(sh, "a") == "BG0001"
        assert sh.told("read")["tags"][0]["half_written"] is None


def test_the_station_waits_for_the_item_and_ends_with_its_input(at: Open) -> None:
    with at(tag("a", place="hand")) as sh:
        threading.Timer(1.5, lambda: sh.world.lay("a")).start()
        code, out, _ = sh("station", hands=("BG0001",))
        assert (code, item(sh, "a")) == (0, "BG0001")
        assert "Lay the item BG0001 on the reader." in out


def test_a_serial_scanner(at: Open) -> None:
    with at(tag("a"), tag("b", place="hand")) as sh:
        master, slave = os.openpty()
        tty.setraw(slave)
        line = os.ttyname(slave)

        def work() -> None:
            # What a scanner sent before somebody listened is dropped with the line's other leftovers.
            wait(lambda: any(one.name == f"serial {line}" for one in threading.enumerate()), 30)
            os.write(master, b"y" * 3000 + b"\rBG0001\r\n")
            wait(lambda: any(b'"done"' in book.read_bytes() for book in sh.books()), 30)
            sh.world.lift("a")
            sh.world.lay("b")
            os.write(master, b"BG00")
            os.write(master, b"02\r.\r")

        hands = threading.Thread(target=work)
        hands.start()
        code, out, err = sh("station", "--scanner", f"serial://{line}?baud=9600")
        hands.join(10)
        os.close(master)
        os.close(slave)
        assert (code, item(sh, "b")) == (3, "BG0002"), out + err  # the babble
        assert "2 written" in out


# -- calibrate --


def gate(sh: Shell, rings: Callable[[WorldTag], bool]) -> Iterator[str]:
    """A person who carries the test tag through a gate that cries by ``rings``."""
    while True:
        sh.world.lift("a")
        rang = rings(sh.world.tag("a"))
        sh.world.lay("a")
        yield "y" if rang else "n"


@pytest.mark.parametrize(
    ("rings", "want"),
    [
        (lambda one: one.afi == 0x07, ['by = "afi"', "in_stock = 0x07", "on_loan = 0xC2"]),
        (lambda one: one.afi == 0xDA, ['by = "afi"', "in_stock = 0xDA", "on_loan = 0xD7"]),
        (lambda one: one.eas, ['by = "eas"']),
        (lambda one: one.eas or one.afi == 7, ['by = "afi+eas"', "in_stock = 0x07", "on_loan = 0xC2"]),
    ],
)  # fmt: skip
def test_the_gate_says_which_values_it_cries_for(
    at: Open, rings: Callable[[WorldTag], bool], want: list[str]
) -> None:
    with at(tag("a", V2, blocks=8, afi=0x55, eas=True)) as sh:
        body = sh.told("calibrate", "--yes", hands=gate(sh, rings))
        assert body["settings"] == want
        one = sh.world.tag("a")
        assert (one.afi, one.eas, one.data.hex().upper()) == (0x55, True, V2)
        code, out, _ = sh("calibrate", "--yes", "--values", "07,C2,DA,D7", hands=gate(sh, rings))
        assert code == 0
        for table in ("[kiosk.security]", "[gate.security]"):
            assert "\n".join((table, *want)) in out


def test_a_gate_that_does_not_tell_one_from_another(at: Open) -> None:
    with at(tag("a", V2, blocks=8, afi=7)) as sh:
        body = sh.told("calibrate", "--yes", hands=gate(sh, lambda _: False), code=1)
        assert body["errors"][0]["code"] == "gate-undecided"
        assert sh.world.tag("a").afi == 7


def test_the_test_tag_is_put_back_even_if_the_person_goes_away(at: Open) -> None:
    with at(tag("a", V2, blocks=8, afi=7)) as sh:
        assert sh.refused("calibrate", "--values", "zz", code=2) == "usage"
        code, _, err = sh("calibrate", "--yes", hands=("y", "n"))
        assert (code, "nobody is there" in err) == (2, True)
        assert sh.world.tag("a").afi == 7
        assert sh.told("read")["tags"][0]["half_written"] is None


def test_a_test_tag_that_never_came_back_is_put_back_by_the_next_command(at: Open) -> None:
    with at(tag("a", V2, blocks=8, afi=7)) as sh:
        words = [
            sys.executable,
            "-m",
            "mocban",
            "tag",
            "calibrate",
            "--yes",
            "--pad",
            sh.url,
            "--driver",
            "feig",
        ]
        null = subprocess.DEVNULL
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=null, stderr=null) as process:
            assert process.stdin
            process.stdin.write(b"y\n")
            process.stdin.flush()
            wait(lambda: sh.world.tag("a").afi == 0xC2, 30)
            process.kill()
        assert sh.told("read")["tags"][0]["half_written"]
        sh.told("convert", "--resume", "--yes")
        assert sh.world.tag("a").afi == 7
