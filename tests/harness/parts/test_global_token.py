from __future__ import annotations

import torch

from vmrbench.parts.global_token import with_global_token


def test_the_token_stands_ahead_of_the_clips_and_is_always_read() -> None:
    mask = torch.tensor([[True, False], [False, False]])

    rows, position, both = with_global_token(
        torch.tensor([1.0]), torch.tensor([2.0]), torch.full((2, 2, 1), 3.0), torch.full((2, 2, 1), 4.0), mask
    )

    assert rows[..., 0].tolist() == [[1, 3, 3]] * 2
    assert position[..., 0].tolist() == [[2, 4, 4]] * 2
    assert both.tolist() == [[True, True, False], [True, False, False]]
