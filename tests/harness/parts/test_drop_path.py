from __future__ import annotations

import torch

from vmrbench.parts.drop_path import DropPath


def test_a_branch_is_dropped_whole_or_kept_whole_with_its_mean() -> None:
    torch.manual_seed(0)

    dropped = DropPath(0.5)(torch.ones(2000, 3, 2))

    values = dropped.flatten(1)
    assert values.eq(values[:, :1]).all()
    assert set(values.unique().tolist()) == {0.0, 2.0}
    # 1.0 expected, with a standard deviation of 0.022.
    assert abs(float(values.mean()) - 1) < 0.1


def test_nothing_is_dropped_outside_training() -> None:
    branch = torch.randn(4, 3)

    assert torch.equal(DropPath(0.5).eval()(branch), branch)
