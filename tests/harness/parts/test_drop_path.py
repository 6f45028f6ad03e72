from __future__ import annotations

import torch

from vmrbench.parts.drop_path import DropPath


def test_a_branch_is_dropped_whole_or_scaled_to_keep_its_mean() -> None:
    torch.manual_seed(0)

    kept = DropPath(0.25)(torch.ones(400, 2, 3))

    samples = {tuple(sample.flatten().tolist()) for sample in kept}
    assert samples == {(0.0,) * 6, tuple(torch.full((6,), 4 / 3).tolist())}
    assert abs(float(kept.mean()) - 1) < 0.1


def test_nothing_is_dropped_outside_training() -> None:
    branch = torch.randn(4, 3)

    assert torch.equal(DropPath(0.5).eval()(branch), branch)
