"""Tests of the time that a stage took, over all its sessions."""

from __future__ import annotations

import os
import time
from contextlib import suppress

import pytest

from vmrbench.store import Store, read_wall_time
from vmrbench.store.wall_time import WALL_TIME, wall_time

KEY = "0123456789abcdef" * 4


def stop_midway(folder, seconds: float) -> None:
    """A session that wrote its last file `seconds` after it began, and was killed later."""
    with suppress(KeyboardInterrupt), wall_time(folder):
        checkpoint = folder / "work" / "epoch_1"
        checkpoint.parent.mkdir(exist_ok=True)
        checkpoint.write_text("weights")
        last = read_wall_time(folder).begun + seconds
        os.utime(checkpoint, (last, last))
        raise KeyboardInterrupt


def test_the_time_of_a_block_is_kept(tmp_path):
    with wall_time(tmp_path):
        time.sleep(0.2)

    found = read_wall_time(tmp_path)
    assert 0.2 <= found.value < 5.0
    assert (found.sessions, found.begun) == (1, None)


def test_killed_sessions_count_up_to_their_last_file(tmp_path):
    stop_midway(tmp_path, 100.0)
    stop_midway(tmp_path, 40.0)
    with wall_time(tmp_path):
        pass

    found = read_wall_time(tmp_path)
    assert found.value == pytest.approx(140.0, abs=5.0)
    assert found.sessions == 3


def test_time_between_sessions_does_not_count(tmp_path):
    stop_midway(tmp_path, 0.0)
    time.sleep(0.3)
    with wall_time(tmp_path):
        pass

    assert read_wall_time(tmp_path).value < 0.3


def test_work_that_was_begun_without_a_clock_has_no_time(tmp_path):
    (tmp_path / "epoch_1").write_text("weights")
    with wall_time(tmp_path):
        pass

    found = read_wall_time(tmp_path)
    assert found.value is None
    assert "not kept" in found.reason


def test_a_store_keeps_the_time_of_what_it_makes(tmp_path):
    store = Store(root=tmp_path)
    folder = store.ensure("train", KEY, lambda aside: time.sleep(0.1))

    assert (folder / WALL_TIME).is_file()
    assert read_wall_time(folder).value >= 0.1
    assert store.ensure("train", KEY, lambda aside: pytest.fail("is made already")) == folder
