"""Arms whose backbone is frozen, on a tiny sweep that has run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from vmrbench.engine.stages import LOG, WEIGHTS, new_arm
from vmrbench.engine.weights import read_weights
from vmrbench.store import read_json

pytestmark = pytest.mark.slow

FROZEN = ("frozen", "frozen_adapter", "frozen_still")


@pytest.fixture(scope="module")
def modes(make_sweep: Callable[..., Any]) -> Any:
    sweep = make_sweep(*FROZEN, sets=("cost.latency_samples=0", "train.ema=0.5"))
    assert dict(sweep.run().failed) == {}
    return sweep


@pytest.mark.parametrize("arm", FROZEN)
def test_a_frozen_backbone_keeps_every_bit_of_its_base(modes: Any, arm: str) -> None:
    before, after = (read_weights(modes.folder(stage, arm) / WEIGHTS) for stage in ("base", "train"))
    backbone = [name for name in before if name.startswith("backbone.")]

    assert backbone
    assert [name for name in backbone if not torch.equal(before[name], after[name])] == []


def test_around_a_frozen_backbone_trimmer_and_adapter_learn(modes: Any, make_sweep: Callable[..., Any]) -> None:
    start = new_arm(modes.cells["frozen"]).state_dict()
    after = read_weights(modes.folder("train", "frozen") / WEIGHTS)

    assert not torch.equal(start["trimmer.head.0.weight"], after["trimmer.head.0.weight"])
    # The regression that an adapter starts from leaves this at zero.
    assert bool(after["fill.kept_embedding"].any())
    assert len(read_json(modes.folder("train", "frozen") / LOG)["losses"]) == 1


def test_where_nothing_is_left_to_learn_nothing_is_trained(modes: Any) -> None:
    assert read_json(modes.folder("train", "frozen_still") / LOG)["losses"] == []


def test_the_record_says_that_the_backbone_was_frozen(modes: Any) -> None:
    assert modes.record("frozen")["cell"]["trimmer"]["freeze_backbone"] is True
