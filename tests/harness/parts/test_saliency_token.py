from __future__ import annotations

import math

import torch

from vmrbench.parts.saliency_token import saliency_token


def test_token_by_hand() -> None:
    # The mean is (1, 0): the first clip lies towards -x of it, the second, which alone matters, towards +x.
    clips = torch.tensor([[[0.0, 0.0], [2.0, 0.0], [9.0, 9.0]]])
    clip_mask, importance = torch.tensor([[True, True, False]]), torch.tensor([[0.0, 0.5, 7.0]])
    prompts = torch.tensor([[3.0, 0.0], [0.0, 3.0]])

    token = saliency_token(clips, clip_mask, importance, prompts, chosen=1)

    share = math.e / (math.e + 1)  # Cosines of the second clip with the prompts are 1 and 0.
    torch.testing.assert_close(token, torch.tensor([[1 + 3 * share, 0.0]]))


def test_only_shares_of_importance_count() -> None:
    torch.manual_seed(0)
    clips, clip_mask, importance = torch.randn(2, 5, 4), torch.ones(2, 5, dtype=torch.bool), torch.rand(2, 5)
    prompts = torch.randn(6, 4)

    here, there = (saliency_token(clips, clip_mask, factor * importance, prompts, 2) for factor in (1, 9))

    torch.testing.assert_close(here, there)


def test_a_single_clip_has_a_bounded_gradient() -> None:
    clips = torch.randn(1, 1, 4, requires_grad=True)

    saliency_token(clips, torch.tensor([[True]]), torch.ones(1, 1), torch.randn(3, 4), 1).sum().backward()

    assert clips.grad is not None
    assert clips.grad.abs().max() < 1e5
