"""Moment-DETR.

Paper: Lei, Berg, Bansal, QVHighlights: Detecting Moments and Highlights in Videos via Natural Language Queries, 2021.
Code: github.com/jayleicn/moment_detr at b7e553ac3b0c898ee6b85e03ee507c064eab89ca; licence MIT.

What differs, and why:
- auxiliary layers get their heads in `loss` only: inference does not read them;
- the two temporal channels come from the batch's own times, so that trimmed videos keep theirs;
- videos are not cut to 75 clips, and features are not normalised here: both belong to the data;
- without saliency labels the ranked pairs are drawn from the moments, see `vmrbench.trim.saliency_labels`;
- the contrastive term, off in the published configuration, is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from vmrbench import hookimpl
from vmrbench.option_types import Count, CountOrZero, NotNegative, ShareBelowOne
from vmrbench.parts.criterion import SetWeights, set_losses
from vmrbench.parts.decoder import Decoder
from vmrbench.parts.detr_keys import decoder_keys, encoder_keys, surrounding_keys
from vmrbench.parts.encoder import Encoder
from vmrbench.parts.heads import SlotHeads, input_projection
from vmrbench.parts.initial_weights import xavier_weights
from vmrbench.parts.key_map import rename_keys
from vmrbench.parts.matcher import MatchCosts
from vmrbench.parts.official_options import DETR_ONLY, DETR_OPTIONS, rename_options
from vmrbench.parts.position import LearnedPosition, sine_position
from vmrbench.parts.saliency import saliency_hinge
from vmrbench.parts.slots import Slots, slot_moments
from vmrbench.parts.temporal import clip_rows
from vmrbench.spans import span_to_centre_width
from vmrbench.specs import BackboneSpec, Dims
from vmrbench.trim.labels import moment_fractions
from vmrbench.trim.saliency_labels import ranked_pairs
from vmrbench.trim.slot_targets import slot_targets
from vmrbench.types import AxisMoments, Batch, DistillTargets
from vmrbench_plugins._detr_presets import SMALL as SMALL_DETR
from vmrbench_plugins._detr_presets import SMALL_TRAINING
from vmrbench_plugins._detr_presets import TRAINING as TRAINING_DETR

# Tokens and their position, [B, T, D] each.
Query = tuple[Tensor, Tensor]


@dataclass(frozen=True, kw_only=True)
class MomentDetrOptions:
    """Published configuration for QVHighlights.

    hidden: width of the transformer; heads: of attention; encoder_layers, decoder_layers; inner: width of the
    feed-forward blocks; slots: moments predicted; projections: layers of each input projection; dropout: in the
    transformer; input_dropout: before each input projection; scale_rows: divide every row by the square root of its
    width; tef: append each clip's start and end as fractions of the
    video; text_position: learned positions for query tokens; max_tokens: how many it knows; match: costs of the
    matching; weights: of the loss terms; saliency, margin, pairs: weight, margin and pairs a
    sample of the saliency term.
    """

    hidden: Count = 256
    heads: Count = 8
    encoder_layers: CountOrZero = 2
    decoder_layers: Count = 2
    inner: Count = 1024
    slots: Count = 10
    projections: CountOrZero = 2
    dropout: ShareBelowOne = 0.1
    input_dropout: ShareBelowOne = 0.5
    scale_rows: bool = False
    tef: bool = True
    text_position: bool = False
    max_tokens: Count = 32
    match: MatchCosts = field(default_factory=MatchCosts)
    weights: SetWeights = field(default_factory=SetWeights)
    saliency: NotNegative = 1.0
    margin: NotNegative = 0.2
    pairs: Count = 2


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """slots: of the last layer; saliency: [B, L]; memory: [B, L, D] encoded clips; earlier: [layers - 1, B, Q, D]."""

    slots: Slots
    saliency: Tensor
    memory: Tensor
    earlier: Tensor


class MomentDetr(nn.Module):
    """Encoder over clips and query together, slots that read it, one moment a slot."""

    unused_parameters = ("text_position.",)

    def __init__(self, options: MomentDetrOptions, dims: Dims) -> None:
        super().__init__()
        self.options = options
        width, drop = options.hidden, options.dropout
        video = dims.video + (2 if options.tef else 0)
        self.video_projection = input_projection(video, width, options.projections, options.input_dropout)
        self.text_projection = input_projection(dims.text, width, options.projections, options.input_dropout)
        self.text_position = LearnedPosition(options.max_tokens, width, options.input_dropout)
        self.encoder = Encoder(options.encoder_layers, width, options.heads, options.inner, drop)
        self.decoder = Decoder(options.decoder_layers, width, options.heads, options.inner, drop)
        xavier_weights(self.encoder, self.decoder)
        self.slot_position = nn.Embedding(options.slots, width)
        self.heads = SlotHeads(width)
        self.saliency_head = nn.Linear(width, 1)

    @property
    def embedding_width(self) -> int:
        """Width of what `encode` returns."""
        return self.options.hidden

    def forward(self, batch: Batch) -> Outputs:
        """Slots, saliency and what training reads besides."""
        memory, position, mask = self._encode(batch, self.encode_query(batch))
        hidden = self.decoder(self.slot_position.weight, memory, position, mask)
        clips = memory[:, : batch.clips.shape[1]]
        return Outputs(
            slots=self.heads(hidden[-1]),
            saliency=self.saliency_head(clips)[..., 0],
            memory=clips,
            earlier=hidden[:-1],
        )

    def loss(self, outputs: Outputs, batch: Batch) -> Mapping[str, Tensor]:
        """Weighted terms: span, giou and label of every decoder layer, and saliency.

        `batch.extra` may hold `saliency_pos` and `saliency_neg` [B, P], clips to be ranked against each other;
        without them the pairs come from the moments.
        """
        truth = [span_to_centre_width(spans) for spans in moment_fractions(batch)]
        terms = set_losses(self.layer_slots(outputs), truth, self.options.match, self.options.weights)
        pairs = ranked_pairs(batch, self.options.pairs)
        terms["saliency"] = self.options.saliency * saliency_hinge(outputs.saliency, pairs, self.options.margin)
        return terms

    def predict(self, outputs: Outputs, batch: Batch) -> AxisMoments:
        """One moment a slot, scored by the probability that the slot holds one."""
        return slot_moments(outputs.slots, batch.lengths)

    def encode_query(self, batch: Batch) -> Query:
        """Tokens of the query and their position."""
        tokens = self.text_projection(batch.query)
        return tokens, self.text_position(tokens) if self.options.text_position else torch.zeros_like(tokens)

    def encode(self, batch: Batch, query: Query) -> Tensor:
        """[B, L, D] clips as the encoder leaves them; a padded row holds nothing of use."""
        return self._encode(batch, query)[0][:, : batch.clips.shape[1]]

    def distill_targets(self, outputs: Outputs, batch: Batch) -> DistillTargets:
        """Encoded clips, saliency, and slots with their moments."""
        return slot_targets(outputs.slots, batch, embedding=outputs.memory, saliency=outputs.saliency)

    def layer_slots(self, outputs: Outputs) -> list[Slots]:
        """What every decoder layer predicts, the last one last."""
        return [*(self.heads(hidden) for hidden in outputs.earlier), outputs.slots]

    def _encode(self, batch: Batch, query: Query) -> tuple[Tensor, Tensor, Tensor]:
        """Memory, position and mask of clips followed by query tokens, [B, L + T, ...]."""
        clips = self.video_projection(clip_rows(batch, scale_rows=self.options.scale_rows, tef=self.options.tef))
        tokens, placed = query
        position = torch.cat([sine_position(batch.clip_mask, self.options.hidden).to(clips.dtype), placed], dim=1)
        mask = torch.cat([batch.clip_mask, batch.query_mask], dim=1)
        return self.encoder(torch.cat([clips, tokens], dim=1), position, mask), position, mask


OFFICIAL_KEYS = [
    *encoder_keys("transformer.encoder", "encoder"),
    *decoder_keys("transformer.decoder", "decoder"),
    (r"query_embed[.]weight", r"slot_position.weight"),
    (r"saliency_proj[.](\w+)", r"saliency_head.\1"),
    *surrounding_keys(),
]
# A stronger saliency term teaches the encoder early.
SMALL: Mapping[str, Any] = {**SMALL_DETR, "saliency": 4.0}
# The published rate would drop after epoch 400 of 200. Those of `small` are ours, for the simulated data.
TRAINING: Mapping[str, Mapping[str, Any]] = {
    "published_qvhighlights": TRAINING_DETR,
    "small": SMALL_TRAINING,
}

SPEC = BackboneSpec(
    name="moment_detr",
    summary="Moment-DETR: a transformer whose slots each predict one moment (2021)",
    source="https://github.com/jayleicn/moment_detr",
    options=MomentDetrOptions,
    build=MomentDetr,
    revision=2,  # Since 2 dropout is drawn for the query first.
    axis="clips",
    capabilities=frozenset({"encode", "distill"}),
    presets={
        "published_qvhighlights": {},
        "small": SMALL,
    },
    training=TRAINING,
    key_map=rename_keys(OFFICIAL_KEYS),
    options_from_official=rename_options(DETR_OPTIONS, DETR_ONLY),
)


@hookimpl
def vmr_backbones() -> Iterable[BackboneSpec]:
    """Offer Moment-DETR."""
    return [SPEC]
