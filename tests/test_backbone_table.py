"""Tests of the table of backbones: our counts beside the official ones. Timings are never asserted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vmrbench.catalog import load_catalog

ROOT = Path(__file__).resolve().parents[1]
# Small enough to be counted here.
COUNTED = ["moment_detr", "qd_detr", "vslnet"]


@pytest.fixture(scope="module")
def example(load_example: Callable[[str], Any]) -> Any:
    return load_example("backbone_table")


def test_every_row_of_an_offered_backbone_is_one_of_its_presets(example: Any) -> None:
    offered = load_catalog().backbones

    presets = {(row.backbone, row.preset) for row in example.OFFICIAL if row.backbone in offered}

    assert [row for row in presets if row[1] not in offered[row[0]].spec.presets] == []


def test_every_backbone_says_what_inference_leaves_out(example: Any) -> None:
    assert {row.backbone for row in example.OFFICIAL} == set(example.LEFT_OUT)


def test_sizes_equal_the_official_ones_and_multiply_adds_are_no_more(example: Any) -> None:
    rows = [row for row in example.OFFICIAL if row.backbone in COUNTED]

    profiles = example.count(load_catalog(), rows)

    assert [profile.parameters for profile in profiles] == [row.parameters for row in rows]
    assert [row for row, found in zip(rows, profiles, strict=True) if found.macs.value / 1e6 > row.megamacs] == []


def test_backbones_that_are_not_offered_are_named(example: Any, tmp_path: Path, monkeypatch: Any) -> None:
    later = example.official("later", "somewhere", (4, 4, 4, 4), 1, 1.0)
    monkeypatch.setattr(example, "OFFICIAL", [example.OFFICIAL[0], later])

    example.main(["--no-latency", "--out", str(tmp_path / "table.md")])

    written = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert "| `moment_detr` | `published_qvhighlights` | 75 clips x 2816, 32 tokens x 512 | 4,823,305 |" in written
    assert "Not offered here: later." in written


@pytest.mark.slow
def test_what_is_timed_stands_in_the_table(example: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(example, "OFFICIAL", [example.OFFICIAL[0]])
    monkeypatch.setattr(example, "RUNS", 1)
    # Batches are too big, single queries are not.
    monkeypatch.setattr(example, "MOST_MACS_OF_A_CALL", 1e9)

    example.main(["--device", "cpu", "--out", str(tmp_path / "table.md")])

    written = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert "batch 1: p50 [p10, p90] ms, n | batch 32" in written
    assert "], 1 INVALID | – |" in written
