from __future__ import annotations

import torch

from vmrbench.parts.adaptive_cross_encoder import AdaptiveCrossAttention, AdaptiveCrossEncoder

CLIP_MASK = torch.tensor([[True, True, True], [True, True, False]])
KEY_MASK = torch.tensor([[True, True, True, True], [True, True, True, False]])


def test_attention_by_hand() -> None:
    attention = AdaptiveCrossAttention(1, 1)
    torch.nn.init.ones_(attention.out_proj.weight)
    keys, words = torch.zeros(1, 4, 1), torch.tensor([[[3.0], [5.0]]])

    read, weights = attention(torch.ones(1, 1, 1), keys, words, torch.tensor([[True, True, True, False]]))

    # Two dummies and one word, all alike, share the attention; the word is read for its third, padding is not.
    torch.testing.assert_close(weights, torch.tensor([[[1 / 3, 1 / 3, 1 / 3, 0.0]]]))
    torch.testing.assert_close(read, torch.tensor([[[1.0]]]))


def test_without_dummies_it_is_plain_attention() -> None:
    torch.manual_seed(0)
    attention = AdaptiveCrossAttention(8, 2)
    query, words = torch.randn(2, 3, 8), torch.randn(2, 4, 8)
    heads = [rows.reshape(2, -1, 2, 4).transpose(1, 2) for rows in (query, words, words)]

    read, weights = attention(query, words, words, KEY_MASK)

    plain = torch.nn.functional.scaled_dot_product_attention(*heads, attn_mask=KEY_MASK[:, None, None])
    torch.testing.assert_close(read, attention.out_proj(plain.transpose(1, 2).flatten(2)))
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3))


def test_padded_words_have_no_influence() -> None:
    torch.manual_seed(0)
    encoder, clips, keys = AdaptiveCrossEncoder(2, 8, 2, 16, 0.0), torch.randn(2, 3, 8), torch.randn(2, 4, 8)
    changed = torch.where(KEY_MASK[..., None], keys, 100.0)

    before, after = (encoder(clips, 0 * clips, CLIP_MASK, k[:, 2:], k, KEY_MASK) for k in (keys, changed))

    torch.testing.assert_close(before, after)


def test_where_dummies_take_all_attention_clips_read_nothing() -> None:
    torch.manual_seed(0)
    encoder, clips, words = AdaptiveCrossEncoder(2, 8, 2, 16, 0.0), torch.randn(1, 3, 8), torch.randn(1, 2, 8)
    only_dummies, keys = torch.tensor([[True, False, False]]), torch.randn(1, 3, 8)

    read, _ = encoder(clips, 0 * clips, CLIP_MASK[:1], words, keys, only_dummies)

    torch.testing.assert_close(read, encoder.without_words(clips))
