"""Tests of the table of long videos, on short ones. Timings are never asserted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vmrbench.catalog import load_catalog
from vmrbench.engine.long_videos import Job, Measured, long_video, measure_backbone

PATH = Path(__file__).resolve().parents[1] / "examples" / "long_videos.py"
ARMS = ("all", "spotvmr", "spotvmr_own")
JOB = Job(
    backbone="vslnet",
    preset="small",
    options={"max_clips": 61},
    minutes=(0.5, 1.0, 2.0, 4.0),
    clip_seconds=2.0,
    memory_cap=4_000_000_000,
    timing_s=0.0,
)


@pytest.fixture(scope="module")
def example(load_example: Callable[[str], Any]) -> Any:
    return load_example("long_videos")


@pytest.fixture(scope="module")
def measured() -> list[Measured]:
    return measure_backbone(JOB)


def test_a_video_is_as_long_as_it_was_asked_to_be() -> None:
    _, batch = long_video(load_catalog(), 30.0, 4.0)

    assert batch.clips.shape[1] == 30 * 60 / 4
    assert batch.duration.tolist() == [1800.0]


@pytest.mark.slow
def test_every_arm_is_measured_at_every_length_that_its_backbone_takes(measured: list[Measured]) -> None:
    fits = [entry for entry in measured if entry.minutes < 4]

    assert [(e.arm, e.minutes, e.clips) for e in fits] == [
        (arm, minutes, int(minutes * 30)) for arm in ARMS for minutes in (0.5, 1.0, 2.0)
    ]
    assert [e.reason for e in fits] == [None] * 9
    assert all(e.rounds == 3 and e.time_ms is not None and e.time_ms["backbone"] > 0 for e in fits)
    assert all(e.macs is not None and (e.macs["trim"] > 0) == (e.arm != "all") for e in fits)
    assert all(e.memory is not None and e.absolute is not None and e.absolute > e.memory["whole"] for e in fits)


@pytest.mark.slow
def test_a_length_that_the_backbone_refuses_has_the_reason(measured: list[Measured]) -> None:
    longest = [entry for entry in measured if entry.minutes == 4]

    assert [(e.macs, e.time_ms) for e in longest] == [(None, None)] * 3
    assert all("120 rows" in (e.reason or "") for e in longest)


@pytest.mark.slow
def test_a_process_that_cannot_have_its_memory_says_so_for_every_length() -> None:
    found = measure_backbone(replace(JOB, minutes=(1.0,), memory_cap=50_000_000))

    assert [(entry.arm, entry.time_ms) for entry in found] == [(arm, None) for arm in ARMS]
    assert all(entry.reason for entry in found)


@pytest.mark.slow
def test_the_page_has_dashes_and_reasons_for_what_is_missing(example: Any, measured: list[Measured]) -> None:
    machine = {"cpu": "a processor", "cores": 2, "threads": 1, "libraries": {"torch": "2"}}

    page = example.page({"vslnet": measured}, (1.38e9, 4.41e9), 2.0, machine)

    memory = page.split("## Peak memory")[1]
    row = next(line for line in memory.splitlines() if "| `vslnet` | SpotVMR | whole query |" in line)
    assert row.split(" | ")[6] == "–"
    assert "- `vslnet` SpotVMR, 4 min: " in page
    # 1.38 GMACs a clip, 60 clips in two minutes.
    index = next(line for line in page.splitlines() if "| index (declared) |" in line)
    assert index.split(" | ")[5] == "82.8"
