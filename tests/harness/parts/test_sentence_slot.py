"""The start of UVCOM's slots, against the attention of many slots that it stands for."""

from __future__ import annotations

import torch

from vmrbench.parts.sentence_slot import SentenceSlot


def attention_of_slots(module: SentenceSlot, sentence: torch.Tensor, clips: torch.Tensor, count: int) -> torch.Tensor:
    """[B, count, D] slots that start alike and share each clip among them, five times."""
    slots, rows = sentence[:, None].expand(-1, count, -1), module.norm_clips(clips)
    key, value = module.key(rows), module.value(rows)
    for _ in range(5):
        query = module.query(module.norm_slots(slots))
        shares = (query @ key.transpose(1, 2) / clips.shape[-1] ** 0.5).softmax(1)
        slots = slots + shares / shares.sum(-1, keepdim=True) @ value
        slots = slots + module.feed_forward(module.norm_inner(slots))
    out: torch.Tensor = module.norm_out(slots)
    return out


def test_one_slot_equals_every_one_of_many_that_start_alike() -> None:
    torch.manual_seed(0)
    module, sentence, clips = SentenceSlot(8, 16), torch.randn(2, 8), torch.randn(2, 6, 8)

    with torch.no_grad():
        slot = module(sentence, clips, torch.ones(2, 6, dtype=torch.bool))
        slots = attention_of_slots(module, sentence, clips, 4)

    torch.testing.assert_close(slots, slot[:, None].expand(-1, 4, -1))


def test_padded_clips_do_not_count() -> None:
    torch.manual_seed(0)
    module, sentence, clips = SentenceSlot(8, 16), torch.randn(1, 8), torch.randn(1, 6, 8)
    mask = torch.arange(6)[None] < 4

    with torch.no_grad():
        torch.testing.assert_close(module(sentence, clips, mask), module(sentence, clips[:, :4], mask[:, :4]))
