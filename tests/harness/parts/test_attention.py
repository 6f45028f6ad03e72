from __future__ import annotations

import torch
from torch import nn

from vmrbench.parts.attention import MultiHeadAttention


def test_attention_equals_that_of_torch() -> None:
    torch.manual_seed(0)
    ours, theirs = MultiHeadAttention(16, 4), nn.MultiheadAttention(16, 4, batch_first=True)
    theirs.load_state_dict(ours.state_dict())
    query, key, value = torch.randn(2, 3, 16), torch.randn(2, 5, 16), torch.randn(2, 5, 16)
    mask = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])

    found = ours(query, key, value, mask)

    expected = theirs(query, key, value, key_padding_mask=~mask, need_weights=False)[0]
    torch.testing.assert_close(found, expected)


def test_masked_keys_have_no_influence() -> None:
    torch.manual_seed(0)
    attention, rows = MultiHeadAttention(8, 2), torch.randn(1, 4, 8)
    mask, changed = torch.tensor([[True, True, True, False]]), rows.clone()
    changed[0, 3] = 100.0

    before, after = attention(rows[:, :3], rows, rows, mask), attention(rows[:, :3], changed, changed, mask)

    assert torch.equal(before, after)
