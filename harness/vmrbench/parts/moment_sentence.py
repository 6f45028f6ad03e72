"""What training learns from summaries of moments and of sentences; inference runs none of it.

Source: Moon et al., CG-DETR, 2023, moment-sentence correlation, as in its code.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vmrbench.parts.encoder import Encoder
from vmrbench.parts.query_dummies import Words
from vmrbench.parts.token_encoder import TokenEncoder


@dataclass(frozen=True, kw_only=True)
class Correlation:
    """contrast: loss of moments and sentences; membership: [B, L] loss of every clip; likeness: [B, L, N + T].

    The likeness is that of clips inside a moment to dummies and words; that of other clips is of no use.
    """

    contrast: Tensor
    membership: Tensor
    likeness: Tensor


class MomentSentence(nn.Module):
    """A token sums up the clips inside a moment, and the others; one sums up the words, and the dummies.

    Args:
        moment_encoder: of clips, of width D.
        sentence_encoder: of words and of dummies.
        width: D.
    """

    def __init__(self, moment_encoder: Encoder, sentence_encoder: Encoder, width: int) -> None:
        super().__init__()
        self.moment = TokenEncoder(moment_encoder, width)
        self.sentence = TokenEncoder(sentence_encoder, width)

    def forward(self, clips: Tensor, position: Tensor, clip_mask: Tensor, inside: Tensor, words: Words) -> Correlation:
        """Losses, and what the attention of clips should follow.

        Args:
            clips, position: [B, L, D].
            clip_mask: [B, L] true for real clips; inside: [B, L] true for those inside a true moment.
            words: the query and its dummies.
        """
        count = words.dummies.shape[1]
        moment, inner = self.moment(clips, position, inside)
        rest, outer = self.moment(clips, position, clip_mask & ~inside)
        sentence, tokens = self.sentence(words.tokens, words.position[:, count:], words.mask[:, count:])
        unsaid, dummies = self.sentence(words.dummies, words.position[:, :count], words.mask[:, :count])
        own = torch.arange(len(moment), device=moment.device)
        # Officially: the first of all places but the own one, though any of them would do.
        other = (own == 0).long()
        contrast = sentence_contrast(moment, rest, sentence, own) + sentence_contrast(moment, rest, unsaid, other)
        return Correlation(
            contrast=contrast,
            membership=membership_loss(moment, torch.where(inside[..., None], inner, outer), inside),
            likeness=inner @ torch.cat([dummies, tokens], dim=1).transpose(1, 2),
        )


def sentence_contrast(moment: Tensor, rest: Tensor, sentence: Tensor, partner: Tensor) -> Tensor:
    """Cross-entropy of each moment's partner, among its likenesses to all sentences and those of its rest.

    Args:
        moment: [B, D] summary of the clips inside true moments; rest: [B, D] of the others.
        sentence: [B, D].
        partner: [B] a place among 2 B: first the likenesses of the moment, then those of the rest.
    """
    unit = F.normalize(sentence, dim=1)
    likeness = torch.cat([F.normalize(rows, dim=1) @ unit.T for rows in (moment, rest)], dim=1)
    return F.cross_entropy(likeness, partner)


def membership_loss(moment: Tensor, clips: Tensor, inside: Tensor) -> Tensor:
    """[B, L] cross-entropy of what a moment's summary says of each clip: inside or not.

    Officially of a probability, not of its logit: it is at most 100, and a clip that is surely wrong gets no gradient.

    Args:
        moment: [B, D].
        clips: [B, L, D].
        inside: [B, L] true for clips inside a true moment.
    """
    probability = (clips @ moment[..., None])[..., 0].sigmoid()
    return F.binary_cross_entropy(probability, inside.to(clips.dtype), reduction="none")
