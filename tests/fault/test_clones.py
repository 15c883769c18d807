"""A memory card copied or put back: nothing that any of them told is lost, nothing is doubled, and it is noticed."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.fault.harness import Stand, until


def test_a_folder_copied_while_stopped_tells_under_an_epoch_of_its_own(tmp_path: Path) -> None:
    with Stand(tmp_path, "mosquitto", total=30) as stand:
        stand.start()
        stand.settle()
        first = stand.device.status()["epoch"]
        assert stand.device.end() == 0
        shutil.copytree(stand.device.data, tmp_path / "copy")
        with (
            stand.other("original", data=stand.device.data, session="s2", total=60) as original,
            stand.other("copy", data=tmp_path / "copy", session="s3", total=60) as copy,
        ):
            original.start()
            until(lambda: original.put() >= 20, "the original tells")
            copy.start()  # one identity: the broker lets the later one in
            stand.settle(copy)
            assert copy.status()["epoch"] != first
            assert copy.end() == 0
            original.kill()
            original.start()
            stand.settle(original)
            assert original.status()["epoch"] == first
            stand.told_once(stand.device, original, copy)
        assert "moved" in {audit["reason"] for audit in stand.audits("outbox-renewed")}


def test_an_image_put_back_is_noticed_by_the_gateway_and_loses_nothing(tmp_path: Path) -> None:
    with Stand(tmp_path, "mosquitto", total=30) as stand:
        stand.start()
        stand.settle()
        first = stand.device.status()["epoch"]
        assert stand.device.end() == 0
        image = {file: file.read_bytes() for file in stand.device.data.iterdir() if file.is_file()}
        with stand.other("before", data=stand.device.data, session="s2", total=30) as before:
            before.start()
            stand.settle(before)
            assert before.end() == 0
        for file, data in image.items():  # into the same inodes, as a whole card is written back
            file.write_bytes(data)
        with stand.other("after", data=stand.device.data, session="s3", total=50) as after:
            after.start()
            until(lambda: after.put() == after.total, "all is put")
            stand.settle(after)
            assert after.status()["epoch"] != first
            stand.told_once(stand.device, before, after)
        assert "clone" in {audit["reason"] for audit in stand.audits("outbox-renewed")}
        until(
            lambda: (
                {audit["object"] for audit in stand.audits("clone-suspected")}
                == {stand.device.name}
            ),
            "the gateway names the clone",
        )
