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
    assert small.share(2) == small.macs[2].trim / small.saved
    assert small.share(4) == small.macs[4].trim / small.saved


def test_the_head_of_the_selector_is_the_same_small_part_of_a_shared_selection(rows: Any) -> None:
    # Two steps, each an MLP of width 64 -> 64 -> 2 on 75 clips beside the backbone's own encoder.
    head = 2 * 75 * (64 * 64 + 64 * 2)

    assert head < rows[2].macs[2].trim < 2 * rows[2].macs[2].backbone + head


def test_steps_beyond_the_first_read_no_query(rows: Any) -> None:
    # A linear layer 512 -> 256 and one 256 -> 256 on 32 tokens are the published Moment-DETR's own reading of a query.
    few, many = (rows[0].macs[steps].trim for steps in (2, 4))

    assert 2 * few - many == 32 * (512 * 256 + 256 * 256)


def test_at_most_a_twentieth_of_what_is_saved_goes_into_selection(example: Any) -> None:
    catalog = load_catalog()
    names = sorted(name for name, offer in catalog.backbones.items() if offer.spec.reads_features)

    every = example.count(catalog, names)

    above = [(row.backbone, row.preset, row.selector, row.share(4)) for row in every if row.share(4) > 0.05]
    assert all(row.share(2) < 0.05 for row in every)
    # Four previews of a map of 128 clips through eight convolutions of width 512.
    assert [row[:3] for row in above] == [
        ("2d_tan", "published_tacos_pool", "the backbone's"),
        ("2d_tan", "published_tacos_conv", "the backbone's"),
    ]
    assert all(share < 0.08 for *_, share in above)


def test_rows_above_the_limit_are_named(example: Any, rows: Any) -> None:
    costly = replace(rows[3], saved=rows[3].macs[2].trim / 0.25)

    assert "4 of 4 rows" in example.page(rows)
    assert "Above 5%: `moment_detr` `small`, encoder own: 25.00%." in example.page([rows[0], costly])


def test_the_report_has_a_row_for_every_backbone_offered_with_both_selectors() -> None:
    report = (PATH.parents[1] / "reports" / "selector_overhead.md").read_text(encoding="utf-8")

    for name in (name for name, offer in load_catalog().backbones.items() if offer.spec.reads_features):
        lines = [line for line in report.splitlines() if line.startswith(f"| `{name}` |")]
        assert {line.split(" | ")[4] for line in lines} == {"the backbone's", "own"}, name
