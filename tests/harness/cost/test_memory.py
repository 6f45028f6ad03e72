"""Peak memory of small functions in real fresh processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmrbench.cost.memory import peak_memory

MIB = 2**20
SOURCE = f"""
import sys
import time

HELD_SINCE_IMPORT = bytearray(b"1" * (64 * {MIB}))

def allocate(mebibytes):
    return len(bytearray(b"1" * {MIB}) * mebibytes)

def fail():
    raise ValueError("no such clip")

def sleep():
    time.sleep(60)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "measured_functions.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "measured_functions"


def test_the_peak_is_what_the_function_allocates_without_its_imports(module: str) -> None:
    found = peak_memory(f"{module}:allocate", {"mebibytes": 48}, batch=1, clips=75)

    assert found.value is not None
    assert 47 * MIB <= found.value <= 60 * MIB or found.reason is not None


def test_the_absolute_peak_includes_what_imports_hold(module: str) -> None:
    found = peak_memory(f"{module}:allocate", {"mebibytes": 48}, batch=1, clips=75)

    assert found.absolute is not None
    assert found.absolute >= (64 + 48) * MIB


def test_a_failing_function_gives_none_and_its_last_words(module: str) -> None:
    found = peak_memory(f"{module}:fail", {}, batch=2, clips=75)

    assert (found.value, found.reason) == (None, "the process ended with code 1: ValueError: no such clip")


def test_a_function_that_takes_too_long_gives_none(module: str) -> None:
    found = peak_memory(f"{module}:sleep", {}, batch=1, clips=75, timeout_s=1.0)

    assert (found.value, found.reason) == (None, "gave up after 1 s")


def test_batch_and_length_are_kept_beside_the_number(module: str) -> None:
    found = peak_memory(f"{module}:allocate", {"mebibytes": 1}, batch=4, clips=150)

    assert (found.batch, found.clips, found.basis) == (4, 150, "resident")
