"""What all slots of UVCOM start from: the sentence, to which the clips' mean is added again and again."""

from __future__ import annotations

from torch import Tensor, nn

from vmrbench.parts.alignment import mean_of_real
from vmrbench.parts.heads import Mlp

ROUNDS = 5  # As in the code of UVCOM.


class SentenceSlot(nn.Module):
    """The slot attention of UVCOM, for one slot.

    In the official code all slots start from the same sentence. Slots share each clip by a softmax over slots, which
    among equals gives every slot the same share of every clip, whatever the clip: they stay equal to the end, read the
    plain mean of the clips, and queries and keys change nothing. So one slot is computed here for all of them; `query`,
    `key` and `norm_slots` are kept for the weights of official checkpoints.

    Args:
        width: D.
        inner: width inside the feed-forward block.

    Source:
        Locatello et al., Object-Centric Learning with Slot Attention, 2020, as UVCOM uses it.
    """

    unused_parameters = ("query.", "key.", "norm_slots.")

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.norm_clips, self.norm_slots = nn.LayerNorm(width), nn.LayerNorm(width)
        self.norm_inner, self.norm_out = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.feed_forward = Mlp(width, inner, inner, width)

    def forward(self, sentence: Tensor, clips: Tensor, clip_mask: Tensor) -> Tensor:
        """[B, D] from sentence [B, D], clips [B, L, D], clip_mask [B, L] true for clips that count."""
        read = self.value(mean_of_real(self.norm_clips(clips), clip_mask))
        slot = sentence
        for _ in range(ROUNDS):
            slot = slot + read
            slot = slot + self.feed_forward(self.norm_inner(slot))
        out: Tensor = self.norm_out(slot)
        return out
