from __future__ import annotations

import torch

from vmrbench.parts.context_query import ContextQueryAttention, QueryConcatenation, WeightedPool, trilinear


def test_fit_is_the_sum_of_clip_token_and_product() -> None:
    clips, tokens = torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[3.0, 4.0], [0.0, 1.0]]])

    fit = trilinear(clips, tokens, (torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), torch.tensor([1.0, 10.0])))

    # Clip 1, tokens 4 and 1, products 3 + 80 and 0 + 20.
    assert fit.tolist() == [[[88.0, 22.0]]]


def test_padding_changes_neither_attention_nor_concatenation() -> None:
    torch.manual_seed(0)
    attention, concatenation = ContextQueryAttention(4), QueryConcatenation(4)
    clips, tokens = torch.randn(1, 5, 4), torch.randn(1, 4, 4)
    clip_mask, token_mask = torch.arange(5)[None] < 3, torch.arange(4)[None] < 2
    short = attention(clips[:, :3], clip_mask[:, :3], tokens[:, :2], token_mask[:, :2])

    padded = attention(clips, clip_mask, tokens, token_mask)

    torch.testing.assert_close(padded[:, :3], short)
    whole = concatenation(padded, tokens, token_mask)[:, :3]
    torch.testing.assert_close(whole, concatenation(short, tokens[:, :2], token_mask[:, :2]))


def test_a_pool_of_one_row_is_that_row() -> None:
    rows = torch.tensor([[[1.0, 2.0], [7.0, 7.0]]])

    pooled = WeightedPool(2)(rows, torch.tensor([[True, False]]))

    torch.testing.assert_close(pooled, torch.tensor([[1.0, 2.0]]))
