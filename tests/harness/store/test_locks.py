"""Tests of locks between processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace

import pytest

from vmrbench.store.locks import Busy, Holder, lock


def write_lock(path, holder: Holder) -> None:
    path.write_text(json.dumps(asdict(holder)))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.lock"


@pytest.fixture
def dead() -> Holder:
    """A process of this host that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return replace(Holder.this_process(), pid=process.pid)


def test_a_lock_names_host_and_process_and_goes_with_the_block(path, tmp_path):
    with lock(path):
        assert Holder(**json.loads(path.read_text())) == Holder.this_process()

    assert list(tmp_path.iterdir()) == []


def test_a_lock_of_a_live_process_is_respected(path):
    parent = Holder.this_process()
    write_lock(path, parent)

    with pytest.raises(Busy, match=f"held by process {os.getpid()} on {parent.host}"), lock(path):
        pass

    assert path.exists()


def test_a_lock_of_a_dead_process_is_taken_over(path, dead, tmp_path):
    write_lock(path, dead)

    with lock(path):
        assert json.loads(path.read_text())["pid"] == os.getpid()

    assert list(tmp_path.iterdir()) == []


def test_a_lock_of_a_pid_that_was_used_again_is_taken_over(path):
    write_lock(path, replace(Holder.this_process(), started=1.0))

    with lock(path):
        assert path.exists()


def test_a_lock_of_another_host_is_never_taken_over(path, dead):
    write_lock(path, replace(dead, host="another-host"))

    with pytest.raises(Busy, match="another-host"), lock(path):
        pass


def test_a_lock_goes_when_the_block_fails(path):
    with pytest.raises(RuntimeError), lock(path):
        raise RuntimeError

    assert not path.exists()


def test_waiting_ends_when_the_lock_is_let_go(path):
    holds = (
        "import sys, time; from pathlib import Path; from vmrbench.store.locks import lock\n"
        "with lock(Path(sys.argv[1])):\n    print('held', flush=True); time.sleep(0.5)"
    )
    process = subprocess.Popen([sys.executable, "-c", holds, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"

    with lock(path, wait_seconds=30):
        assert json.loads(path.read_text())["pid"] == os.getpid()

    process.stdout.close()
    assert process.wait() == 0
