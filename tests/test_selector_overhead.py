"""Tests of the table of what selecting costs beside what it saves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vmrbench.catalog import load_catalog

PATH = Path(__file__).resolve().parents[1] / "examples" / "selector_overhead.py"


@pytest.fixture(scope="module")
def example(load_example: Callable[[str], Any]) -> Any:
    return load_example("selector_overhead")


@pytest.fixture(scope="module")
def rows(example: Any) -> Any:
    return example.count(load_catalog(), ["moment_detr"])


def test_a_backbone_is_counted_at_its_published_and_at_its_small_sizes_with_both_selectors(rows: Any) -> None:
    assert [(row.preset, row.selector) for row in rows] == [
        ("published_qvhighlights", "the backbone's"),
        ("published_qvhighlights", "own"),
        ("small", "the backbone's"),
        ("small", "own"),
    ]


def test_what_is_declared_is_charged_for_every_clip_and_saved_for_those_not_kept(rows: Any) -> None:
    small = rows[2]

    # 18 of 75 clips are a quarter, rounded down; C3D takes 38.55 GMACs, the index 0.39 + 0.39 + 0.6.
    assert small.index == pytest.approx(75 * 1.38e9)
    assert small.encode == pytest.approx(75 * 38.55e9)
    assert small.saved == pytest.approx(57 * 38.55e9)
    assert small.share == small.macs.trim / small.saved


def test_the_head_of_the_selector_is_the_same_small_part_of_a_shared_selection(rows: Any) -> None:
    # Two steps, each an MLP of width 64 -> 64 -> 2 on 75 clips beside the backbone's own encoder.
    head = 2 * 75 * (64 * 64 + 64 * 2)

    assert head < rows[2].macs.trim < 2 * rows[2].macs.backbone + head


def test_rows_above_the_limit_are_named(example: Any, rows: Any) -> None:
    costly = replace(rows[3], saved=rows[3].macs.trim / 0.25)

    assert "4 of 4 rows" in example.page(rows)
    assert "Above 5%: `moment_detr` `small`, encoder own: 25.00%." in example.page([rows[0], costly])


def test_the_report_has_a_row_for_every_backbone_offered_with_both_selectors() -> None:
    report = (PATH.parents[1] / "reports" / "selector_overhead.md").read_text(encoding="utf-8")

    for name in (name for name, offer in load_catalog().backbones.items() if offer.spec.reads_features):
        lines = [line for line in report.splitlines() if line.startswith(f"| `{name}` |")]
        assert {line.split(" | ")[4] for line in lines} == {"the backbone's", "own"}, name
