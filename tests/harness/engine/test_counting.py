"""Tests of multiply-adds of arms, and of the memory and latency that are measured on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from vmrbench.cost.macs import count_macs
from vmrbench.data.collate import collate
from vmrbench.engine.costing import count_arm, count_backbone, longest, measure_arms
from vmrbench.engine.splits import split_of
from vmrbench.engine.stages import new_arm, untrimmed_arm
from vmrbench.store import read_json

ARMS = ("none", "adapted")
GRID = ("backbones=[{name: 2d_tan, preset: small}]",)


@pytest.mark.parametrize(("arm", "sets"), [*((arm, ()) for arm in ARMS), ("spotvmr", GRID)])
def test_counts_without_data_equal_counts_of_a_real_query(
    make_sweep: Callable[..., Any], arm: str, sets: tuple[str, ...]
) -> None:
    cell = make_sweep(arm, sets=sets).cells[arm]
    split = split_of(cell, "test")
    model = new_arm(cell).eval().requires_grad_(False)
    batches = [collate([split[place]]) for place in range(len(split))]

    shape = count_arm(model, split, count_backbone(untrimmed_arm(cell), split, 1)).shapes[0]

    same = [b for b in batches if (b.clips.shape[1], b.query.shape[1]) == (shape.clips, shape.tokens)]
    with torch.inference_mode():
        trim = count_macs(lambda: model.select(same[0], model.access(same[0]))).value
        whole = count_macs(lambda: model.moments(model(same[0]))).value
    assert (shape.trim, shape.trim + shape.backbone) == (trim, whole)
    assert {p.device.type for p in model.parameters()} == {"cpu"}


def test_every_shape_of_the_split_is_counted_once(make_sweep: Callable[..., Any]) -> None:
    cell = make_sweep("none").cells["none"]
    split = split_of(cell, "test")
    samples = [split[place] for place in range(len(split))]

    counted = count_backbone(new_arm(cell), split)

    assert sorted(counted) == sorted({(len(s.clips), len(s.query)) for s in samples})


@pytest.mark.slow
def test_peak_memory_is_measured_at_the_longest_video(make_sweep: Callable[..., Any]) -> None:
    sweep = make_sweep("none", sets=("cost.memory=true", "train.base_epochs=0", "train.extra_epochs=0"))

    assert dict(sweep.run().failed) == {}

    (file,) = sweep.store.root.glob("cost/*/memory.json")
    memory = read_json(file)
    split = split_of(sweep.cells["none"], "test")
    assert memory["reason"] is None
    assert 0 < memory["value"] < memory["absolute"]
    assert (memory["batch"], memory["clips"]) == (1, max(len(split[n].clips) for n in range(len(split))))


def test_the_longest_video_is_found(make_sweep: Callable[..., Any]) -> None:
    split = split_of(make_sweep("none").cells["none"], "test")

    assert len(split[longest(split)].clips) == max(len(split[place].clips) for place in range(len(split)))


def test_arms_are_timed_on_the_same_queries(make_sweep: Callable[..., Any]) -> None:
    cells = make_sweep("none", "uniform").cells
    arms = {name: new_arm(cell) for name, cell in cells.items()}

    found = measure_arms(
        arms,
        {name: split_of(cell, "test") for name, cell in cells.items()},
        samples=3,
        rounds=2,
        device=torch.device("cpu"),
        precision="fp32",
    )

    assert {name: latency.n for name, latency in found.items()} == {"none": 3, "uniform": 3}
