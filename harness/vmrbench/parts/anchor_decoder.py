"""Slot decoder of DAB-DETR on one axis: every slot stands at an anchor, and every layer moves it.

Source: Liu et al., DAB-DETR, 2022, as QD-DETR and its relatives use it. How a relative differs is an argument:

| relative | what it passes |
| --- | --- |
| QD-DETR, CG-DETR, TR-DETR | nothing: slots start at zero, anchors are learned, `refine` is a head of its own |
| UVCOM | `slots`, and `moved=True`: predictions start from the anchors after each layer |
| EaTR | `slots`, `anchors` by sample, `wide=True`, `fuse`, and its span head as `refine` |
| BAM-DETR | nothing: `parts.boundary_decoder` loops over `AnchorDecoderLayer`, its anchors have three numbers |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vmrbench.parts.anchor_attention import AnchorCrossAttention, SlotSelfAttention
from vmrbench.parts.anchors import anchor_waves, fraction_logits
from vmrbench.parts.attention import Activation, FeedForward
from vmrbench.parts.drop_path import residual_dropout
from vmrbench.parts.heads import Mlp


@dataclass(frozen=True, kw_only=True)
class AnchoredSlots:
    """hidden: [layers, B, Q, D] slots after every layer, normalised; anchors: [layers, B, Q, 2] where they stand.

    The last layer is the answer, the others serve auxiliary losses. `anchors` are those each layer began with, or
    those it arrived at where the decoder was built with `moved`.
    """

    hidden: Tensor
    anchors: Tensor


class AnchorDecoderLayer(nn.Module):
    """Self-attention of the slots, cross-attention to the memory, feed-forward; a norm after each.

    Args:
        width: D of slots and memory.
        heads: attention heads.
        inner: width inside the feed-forward block.
        dropout: of attention weights and of every residual branch.
        placed: see `AnchorCrossAttention`; true for the first layer of a decoder.
        activation: of the feed-forward block.
        drop_path: where given, a residual branch is dropped whole, sample by sample, at this rate instead.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        inner: int,
        dropout: float,
        *,
        placed: bool,
        activation: Activation = "relu",
        drop_path: float | None = None,
    ) -> None:
        super().__init__()
        self.self_attention = SlotSelfAttention(width, heads, dropout)
        self.cross_attention = AnchorCrossAttention(width, heads, dropout, placed=placed)
        self.feed_forward = FeedForward(width, inner, dropout, activation)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.norm3 = nn.LayerNorm(width)
        self.dropout = residual_dropout(dropout, drop_path)

    def forward(
        self,
        slots: Tensor,
        position: Tensor,
        wave: Tensor,
        memory: Tensor,
        memory_position: Tensor,
        memory_mask: Tensor,
        fuse: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """[B, Q, D] slots after one layer.

        Args:
            slots: [B, Q, D]; position, wave: [B, Q, D] learned and sine embedding of their anchors.
            memory, memory_position: [B, S, D].
            memory_mask: [B, S] true for real rows.
            fuse: what is done to the slots between self-attention and cross-attention.
        """
        slots = self.norm1(slots + self.dropout(self.self_attention(slots, position)))
        slots = slots if fuse is None else fuse(slots)
        read = self.cross_attention(slots, position, wave, memory, memory_position, memory_mask)
        slots = self.norm2(slots + self.dropout(read))
        out: Tensor = self.norm3(slots + self.dropout(self.feed_forward(slots)))
        return out


class AnchorDecoder(nn.Module):
    """A stack of `AnchorDecoderLayer`; one norm is shared by the result of every layer.

    Between layers an anchor moves by what `refine` reads from its slot, and no gradient flows back through where a
    layer begins. Keys are weighted by a sine embedding of the anchor: scaled channel by channel from the slot (not in
    the first layer, unless `wide`), and by how wide the slot wants to look against how wide its anchor is.

    Args:
        layers, width, heads, inner, dropout: as in `AnchorDecoderLayer`.
        activation, drop_path: as in `AnchorDecoderLayer`.
        wide: centre and width get D sine channels each rather than D / 2, of which keys see the centre's alone.
        moved: see `AnchoredSlots`.
    """

    def __init__(
        self,
        layers: int,
        width: int,
        heads: int,
        inner: int,
        dropout: float,
        *,
        activation: Activation = "relu",
        drop_path: float | None = None,
        wide: bool = False,
        moved: bool = False,
    ) -> None:
        super().__init__()
        self.width, self.wide, self.moved = width, wide, moved
        self.layers = nn.ModuleList(
            AnchorDecoderLayer(
                width, heads, inner, dropout, placed=not place, activation=activation, drop_path=drop_path
            )
            for place in range(layers)
        )
        self.norm = nn.LayerNorm(width)
        self.position = Mlp(2 * width if wide else width, width, width)
        self.wave_scale = Mlp(width, width, width)
        self.reach = Mlp(width, width, 1)

    def forward(
        self,
        anchors: Tensor,
        refine: Callable[[Tensor], Tensor],
        memory: Tensor,
        memory_position: Tensor,
        memory_mask: Tensor,
        *,
        slots: Tensor | None = None,
        fuse: Callable[[Tensor], Tensor] | None = None,
    ) -> AnchoredSlots:
        """The slots after every layer, and their anchors.

        Args:
            anchors: [B, Q, 2] centre and width to start from, as fractions.
            refine: from slots [B, Q, D] to the change [B, Q, 2] of their anchors' logits.
            memory, memory_position: [B, S, D].
            memory_mask: [B, S] true for real rows.
            slots: [B, Q, D] to start from; zero where None.
            fuse: what the first layer does to the slots between self-attention and cross-attention.
        """
        if slots is None:
            slots = memory.new_zeros(*anchors.shape[:2], self.width)
        hidden, stood = [], [] if self.moved else [anchors]
        for place, layer in enumerate(self.layers):
            position, wave = self._embed(anchors, slots, first=place == 0)
            slots = layer(
                slots, position, wave, memory, memory_position, memory_mask, fuse=fuse if place == 0 else None
            )
            hidden.append(self.norm(slots))
            if self.moved or place < len(self.layers) - 1:
                arrived = (refine(slots) + fraction_logits(anchors)).sigmoid()
                stood.append(arrived)
                anchors = arrived.detach()
        return AnchoredSlots(hidden=torch.stack(hidden), anchors=torch.stack(stood))

    def _embed(self, anchors: Tensor, slots: Tensor, *, first: bool) -> tuple[Tensor, Tensor]:
        """Learned and sine embedding of the anchors, [B, Q, D] each."""
        waves = anchor_waves(anchors, 2 * self.width if self.wide else self.width)
        position, wave = self.position(waves), waves[..., : self.width]
        if self.wide or not first:
            wave = wave * self.wave_scale(slots)
        return position, wave * (self.reach(slots).sigmoid() / anchors[..., 1:])


def refining_head(width: int, numbers: int = 2) -> Mlp:
    """A head that reads the change of an anchor's numbers from its slot; it moves nothing at first."""
    head = Mlp(width, width, width, numbers)
    for parameter in head.layers[-1].parameters():
        nn.init.zeros_(parameter)
    return head
