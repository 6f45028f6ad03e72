"""Tests of run folders: complete or not there."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vmrbench.store import Busy, NotStored, Store, open_store
from vmrbench.store.locks import lock

KEY = "0123456789abcdef" * 4


@pytest.fixture
def store(tmp_path):
    return Store(root=tmp_path / "runs")


def put(store: Store, text: str = "a", key: str = KEY) -> None:
    with store.write("train", key) as folder:
        (folder / "file").write_text(text)


def fail_midway(store: Store, *, resume: bool = False) -> None:
    with store.write("train", KEY, resume=resume) as folder:
        (folder / "epoch_1").write_text("a")
        raise RuntimeError


def names(folder: Path) -> list[str]:
    return sorted(item.name for item in folder.iterdir())


def test_a_folder_is_named_by_stage_and_the_start_of_its_key(store, tmp_path):
    assert store.path("train", KEY) == tmp_path / "runs" / "train" / "0123456789abcdef"


def test_a_folder_is_there_only_after_the_block(store):
    with store.write("train", KEY) as folder:
        (folder / "file").write_text("a")
        assert not store.has("train", KEY)

    assert store.has("train", KEY)
    assert (store.path("train", KEY) / "file").read_text() == "a"
    assert names(store.root / "train") == ["0123456789abcdef"]


def test_a_block_that_fails_leaves_nothing(store):
    with pytest.raises(RuntimeError):
        fail_midway(store)

    assert names(store.root / "train") == []


def test_a_folder_that_a_killed_process_left_is_not_taken_for_complete_and_is_cleaned(store):
    code = (
        "import os, signal, sys; from pathlib import Path; from vmrbench.store import Store\n"
        "with Store(root=Path(sys.argv[1])).write('train', sys.argv[2]) as folder:\n"
        "    (folder / 'half').write_text('a'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(store.root), KEY]).returncode == -9
    assert not store.has("train", KEY)
    assert store.keys("train") == []

    put(store)

    assert names(store.root / "train") == ["0123456789abcdef"]
    assert names(store.path("train", KEY)) == ["file"]


def test_a_writer_that_resumes_finds_what_was_left(store):
    with pytest.raises(RuntimeError):
        fail_midway(store, resume=True)

    with store.write("train", KEY, resume=True) as folder:
        assert names(folder) == ["epoch_1"]

    assert store.has("train", KEY)


def test_writing_again_replaces_the_folder(store):
    put(store, "old")
    put(store, "new")

    assert (store.path("train", KEY) / "file").read_text() == "new"
    assert names(store.root / "train") == ["0123456789abcdef"]


def test_a_folder_that_another_process_writes_is_busy(store):
    with lock(store.root / "train" / "0123456789abcdef.lock"), pytest.raises(Busy), store.write("train", KEY):
        pass


def test_ensure_makes_what_is_missing_once(store):
    made = []

    for _ in range(2):
        assert store.ensure("base", KEY, made.append) == store.path("base", KEY)

    assert len(made) == 1


def test_ensure_of_two_processes_makes_it_once(store):
    code = (
        "import sys, time; from pathlib import Path; from vmrbench.store import Store\n"
        "def make(folder):\n    print('made'); time.sleep(0.3)\n"
        "Store(root=Path(sys.argv[1])).ensure('base', sys.argv[2], make)"
    )
    command = [sys.executable, "-c", code, str(store.root), KEY]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]

    said = [worker.communicate(timeout=60)[0] for worker in workers]

    assert sorted(said) == ["", "made\n"]
    assert [worker.returncode for worker in workers] == [0, 0]


def test_always_makes_everything_once_more_and_only_once_a_sweep(store):
    put(store, "old")
    os.utime(store.path("train", KEY), (1, 1))
    again = open_store(store.root, "always")
    made = []

    for _ in range(2):
        again.ensure("train", KEY, lambda folder: made.append(time.time()))

    assert len(made) == 1


def test_never_uses_what_is_there_and_makes_nothing(store):
    put(store)
    never = Store(root=store.root, overwrite="never")

    assert never.ensure("train", KEY, pytest.fail) == store.path("train", KEY)
    with pytest.raises(NotStored, match="is not stored and --overwrite is 'never'"):
        never.ensure("cells", KEY, pytest.fail)


def test_keys_are_the_complete_folders(store):
    put(store)
    put(store, key="f" * 64)
    (store.root / "train" / "aaaa.partial-1").mkdir()

    assert store.keys("train") == ["0123456789abcdef", "f" * 16]
    assert store.keys("cost") == []


def test_a_failure_is_kept_with_its_traceback_until_it_is_cleared(store):
    try:
        raise ValueError("no luck")
    except ValueError as error:
        path = store.record_failure(KEY, error)

    assert path == store.root / "failed" / "0123456789abcdef" / "traceback.txt"
    assert "Traceback" in (store.failure(KEY) or "")
    assert (store.failure(KEY) or "").endswith("ValueError: no luck\n")
    store.clear_failure(KEY)
    assert store.failure(KEY) is None


def test_a_store_can_be_sent_to_another_process(store):
    assert pickle.loads(pickle.dumps(store)) == store
