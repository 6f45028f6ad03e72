"""BAM-DETR.

Paper: Lee, Byun, BAM-DETR: Boundary-Aligned Moment Detection Transformer for Temporal Sentence Grounding in Videos,
2024.
Code: github.com/Pilhyeon/BAM-DETR at 914b3e710afdde813f1ba2979da3c69e28f4c549; licence MIT.

What differs, and why:
- the negative pass, which stops after the encoder, and the heads of auxiliary layers run in `loss` only;
- so do the label heads: the quality ranks moments, and in the published configuration labels weigh nothing;
- what the original computes and never reads is left out: a text encoder with a token of its own, waves of the
  boundaries, and maps of attention by weights drawn anew at every call. The weights that its files hold are kept, see
  `Unread`, so that they load and sizes are equal;
- learned anchors are bounded by the video in a copy, not overwritten at every forward; the gradient is the same;
- the sine embedding of anchors is as wide as the model, not 256 whatever the width;
- the two temporal channels come from the batch's own times, so that trimmed videos keep theirs;
- videos are not cut to 75 clips, and features are not normalised here: both belong to the data;
- moments are not thinned: the official evaluation does so by NMS at 0.3;
- without saliency labels, pairs and grades come from the moments, see `vmrbench.trim.saliency_labels`;
- audio features, and ranking by labels, are left out.

Bugs of the original, and what ours does (`official_padding` reproduces the first four):
- the mask of the cross-encoder is that of a neighbour in the batch, see `neighbours_mask`: ours hides padding only;
- convolutions that find boundaries read padded clips: ours read zeros there, as beyond the last clip;
- boundaries are looked up as fractions of the padded length, so that they move with the longest video of the batch, and
  so do the clips that the boundary term wants: ours take the real length;
- that term counts padded clips twice among the others: ours not at all;
- layers beyond the second have no boundary layers, and are dropped: ours has them;
- points around a boundary begin one to four clips to its right, also for the start; kept;
- a batch with a sample without moments fails: ours wants quality 0 there;
- negative pairs of the same video, or of a sample with itself: ours leaves them out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from vmrbench import hookimpl
from vmrbench.option_types import Count, CountOrZero, NotNegative, ShareBelowOne
from vmrbench.parts.anchor_decoder import refining_head
from vmrbench.parts.anchors import fraction_logits
from vmrbench.parts.boundary_decoder import BoundaryDecoder, BoundarySlots, anchor_ends
from vmrbench.parts.criterion import SetWeights, numbered_terms, set_losses
from vmrbench.parts.cross_encoder import CrossEncoder
from vmrbench.parts.detr_keys import boundary_decoder_keys, encoder_keys, surrounding_keys
from vmrbench.parts.encoder import Encoder
from vmrbench.parts.global_token import with_global_token
from vmrbench.parts.heads import DotSaliency, Mlp, input_projection
from vmrbench.parts.initial_weights import xavier_weights
from vmrbench.parts.key_map import rename_keys
from vmrbench.parts.matcher import MatchCosts
from vmrbench.parts.near_boundaries import near_boundaries, near_boundary_loss
from vmrbench.parts.official_options import DETR_ONLY, DETR_OPTIONS, rename_options
from vmrbench.parts.overlap_loss import best_overlap
from vmrbench.parts.position import LearnedPosition, sine_position
from vmrbench.parts.quality import QualityHead, quality_loss, quality_slots
from vmrbench.parts.ranked_saliency import NegativePairs, graded_saliency_loss
from vmrbench.parts.slots import Slots, slot_moments
from vmrbench.parts.temporal import clip_rows
from vmrbench.spans import span_to_centre_width
from vmrbench.specs import BackboneSpec, Dims
from vmrbench.trim.labels import moment_fractions
from vmrbench.trim.saliency_labels import graded_labels, of_another_video
from vmrbench.trim.slot_targets import slot_targets
from vmrbench.types import AxisMoments, Batch, DistillTargets
from vmrbench_plugins._detr_presets import SMALL, SMALL_TRAINING, TRAINING


@dataclass(frozen=True, kw_only=True)
class BamDetrWeights:
    """Weights of the loss terms, and of a "no object" slot inside the label term.

    Those of span, giou and label are the costs of the matching as well.
    """

    span: NotNegative = 10.0
    giou: NotNegative = 1.0
    label: NotNegative = 0.0
    no_object: NotNegative = 0.1
    quality: NotNegative = 2.0
    boundary: NotNegative = 1.0
    saliency: NotNegative = 1.0


@dataclass(frozen=True, kw_only=True)
class BamDetrOptions:
    """Published configuration for QVHighlights.

    hidden: width of the transformer; heads: of attention; encoder_layers: of the cross-encoder and of the encoder
    behind it; decoder_layers; inner: width of the feed-forward blocks; slots: moments predicted; projections: layers of
    each input projection; dropout: in the transformer; input_dropout: before each input projection; scale_rows: divide
    every row by the square root of its width; tef: append each clip's start and end as fractions of the video;
    text_position: learned positions for query tokens; max_tokens: how many it knows; weights: of the loss terms;
    margin, pairs: margin and pairs a sample of the saliency term; official_padding: let padding and the neighbours in
    the batch change what a sample gets, as the official code does.
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
    weights: BamDetrWeights = field(default_factory=BamDetrWeights)
    margin: NotNegative = 0.2
    pairs: Count = 2
    official_padding: bool = False


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """slots: of the last layer, ranked by quality; saliency: [B, L]; memory: [B, L, D] encoded clips.

    For training: decoded: slots and anchors of every layer; clips, tokens: [B, L, D] and [B, T, D], projected.
    """

    slots: Slots
    saliency: Tensor
    memory: Tensor
    decoded: BoundarySlots
    clips: Tensor
    tokens: Tensor


class Unread(nn.Module):
    """Weights that official files hold, although nothing the official model gives depends on them."""

    def __init__(self, options: BamDetrOptions) -> None:
        super().__init__()
        width = options.hidden
        layer = (width, options.heads, options.inner, options.dropout)
        self.text_encoder = Encoder(options.encoder_layers, *layer, activation="prelu")
        self.text_token, self.text_pos = (nn.Parameter(torch.randn(width)) for _ in range(2))
        self.wave_scale_1, self.wave_scale_2 = (Mlp(width, width, width) for _ in range(2))
        self.boundary_position = Mlp(width, width, width)
        self.boundary_norms = nn.ModuleList(
            nn.ModuleList(nn.LayerNorm(width) for _ in range(2)) for _ in range(options.decoder_layers)
        )


class BamDetr(nn.Module):
    """Clips read the query and are encoded; slots find a point of a moment, its ends, and how well they fit."""

    unused_parameters = ("text_position.", "unread.")

    def __init__(self, options: BamDetrOptions, dims: Dims) -> None:
        super().__init__()
        self.options = options
        width, padding = options.hidden, options.official_padding
        layer = (width, options.heads, options.inner, options.dropout)
        video = dims.video + (2 if options.tef else 0)
        self.video_projection = input_projection(video, width, options.projections, options.input_dropout)
        self.text_projection = input_projection(dims.text, width, options.projections, options.input_dropout)
        self.text_position = LearnedPosition(options.max_tokens, width, options.input_dropout)
        self.cross_encoder = CrossEncoder(options.encoder_layers, *layer, activation="prelu", official_padding=padding)
        self.encoder = Encoder(options.encoder_layers, *layer, activation="prelu")
        self.decoder = BoundaryDecoder(options.decoder_layers, *layer, official_padding=padding)
        xavier_weights(self.cross_encoder, self.encoder, self.decoder)
        self.global_token, self.global_position = (nn.Parameter(torch.randn(width)) for _ in range(2))
        self.slots, self.anchors = nn.Embedding(options.slots, 3 * width), nn.Embedding(options.slots, 3)
        self.refine = nn.ModuleList(
            nn.ModuleList(refining_head(width, 1) for _ in range(3)) for _ in range(options.decoder_layers)
        )
        self.quality = QualityHead(width)
        self.labels = nn.ModuleList(nn.Linear(3 * width, 2) for _ in range(options.decoder_layers))
        self.saliency_head = DotSaliency(width)
        self.unread = Unread(options)

    @property
    def embedding_width(self) -> int:
        """Width of what `encode` returns."""
        return self.options.hidden

    def forward(self, batch: Batch) -> Outputs:
        """Slots, saliency and what training reads besides."""
        clips, tokens = self._clips(batch), self.encode_query(batch)
        position = self._position(batch)
        local, summary, memory = self._fuse(clips, position, tokens, batch.query_mask, batch.clip_mask)
        slots = self.slots.weight.reshape(-1, 3, self.options.hidden).expand(len(clips), -1, -1, -1)
        anchors = self._anchors().expand(len(clips), -1, -1)
        decoded = self.decoder(slots, anchors, self.refine, local, memory, position, batch.clip_mask)
        return Outputs(
            slots=quality_slots(self.quality(decoded.hidden[-1]), _spans(decoded.anchors[-1])),
            saliency=self.saliency_head(memory, summary),
            memory=memory,
            decoded=decoded,
            clips=clips,
            tokens=tokens,
        )

    def loss(self, outputs: Outputs, batch: Batch) -> Mapping[str, Tensor]:
        """Weighted terms: span, giou, label and quality of every decoder layer, boundary, and saliency.

        `batch.extra` may hold `saliency_pos` and `saliency_neg` [B, P], clips to be ranked against each other, and
        `saliency_all` [B, L], grades of 0 to 12; without them pairs and grades come from the moments.
        """
        weights, margin, padding = self.options.weights, self.options.margin, self.options.official_padding
        truth, mask = moment_fractions(batch), batch.clip_mask
        near = near_boundaries(truth, mask, official_padding=padding)
        boundary = near_boundary_loss(outputs.decoded.boundaries, near, mask, official_padding=padding)
        labels, negatives = graded_labels(batch, self.options.pairs), self._negatives(outputs, batch)
        saliency = graded_saliency_loss(outputs.saliency, mask, labels, margin, negatives)
        return {
            **self._set_losses(outputs, truth),
            **numbered_terms([{"quality": term} for term in self._quality_losses(outputs, truth)]),
            "boundary": weights.boundary * boundary,
            "saliency": weights.saliency * saliency,
        }

    def predict(self, outputs: Outputs, batch: Batch) -> AxisMoments:
        """One moment a slot, scored by the IoU it is expected to have."""
        return slot_moments(outputs.slots, batch.lengths)

    def encode_query(self, batch: Batch) -> Tensor:
        """[B, T, D] tokens of the query."""
        tokens: Tensor = self.text_projection(batch.query)
        return tokens

    def encode(self, batch: Batch, query: Tensor) -> Tensor:
        """[B, L, D] clips as the encoder leaves them; a padded row holds nothing of use."""
        return self._fuse(self._clips(batch), self._position(batch), query, batch.query_mask, batch.clip_mask)[2]

    def distill_targets(self, outputs: Outputs, batch: Batch) -> DistillTargets:
        """Encoded clips, saliency, and slots with their moments; a candidate's logit is that of its quality."""
        return slot_targets(outputs.slots, batch, embedding=outputs.memory, saliency=outputs.saliency)

    def layer_slots(self, outputs: Outputs) -> list[Slots]:
        """What every decoder layer predicts, the last one last, with labels instead of qualities."""
        decoded = outputs.decoded
        parts = zip(self.labels, decoded.hidden, decoded.anchors, strict=True)
        return [Slots(logits=label(hidden.flatten(-2)), spans=_spans(anchors)) for label, hidden, anchors in parts]

    def _set_losses(self, outputs: Outputs, truth: tuple[Tensor, ...]) -> dict[str, Tensor]:
        weights = self.options.weights
        costs = MatchCosts(span=weights.span, giou=weights.giou, label=weights.label)
        terms = SetWeights(span=weights.span, giou=weights.giou, label=weights.label, no_object=weights.no_object)
        wanted = [span_to_centre_width(moments) for moments in truth]
        return set_losses(self.layer_slots(outputs), wanted, costs, terms, ends=True)

    def _quality_losses(self, outputs: Outputs, truth: tuple[Tensor, ...]) -> list[Tensor]:
        """The weighted term of every decoder layer."""
        found = anchor_ends(outputs.decoded.anchors.detach()).clamp(0, 1)
        overlaps = [best_overlap(moments, truth) for moments in found]
        qualities = self.quality(outputs.decoded.hidden).sigmoid()
        weight = self.options.weights.quality
        return [weight * quality_loss(*pair) for pair in zip(qualities, overlaps, strict=True)]

    def _anchors(self) -> Tensor:
        """[Q, 3] learned anchors, as fractions, that reach no further than the video; the bound bends no gradient."""
        free = self.anchors.weight.detach()
        point, before, after = free.unbind(-1)
        furthest = fraction_logits(1 - point.sigmoid())
        inside = torch.stack([point, torch.minimum(before, point), torch.minimum(after, furthest)], dim=-1)
        # In this order the bounded values are exact: what just reaches the end of the video must not round beyond it.
        return (inside + (self.anchors.weight - free)).sigmoid()

    def _clips(self, batch: Batch) -> Tensor:
        rows = clip_rows(batch, scale_rows=self.options.scale_rows, tef=self.options.tef)
        clips: Tensor = self.video_projection(rows)
        return clips

    def _position(self, batch: Batch) -> Tensor:
        return sine_position(batch.clip_mask, self.options.hidden).to(batch.clips.dtype)

    def _fuse(
        self, clips: Tensor, position: Tensor, tokens: Tensor, query_mask: Tensor, clip_mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Clips [B, L, D] that have read a query, the encoded global token [B, D], and the encoded clips [B, L, D]."""
        placed = tokens + self.text_position(tokens) if self.options.text_position else tokens
        local = self.cross_encoder(clips, position, clip_mask, tokens, placed, query_mask)
        token, place = self.global_token, self.global_position
        memory = self.encoder(*with_global_token(token, place, local, position, clip_mask))
        return local, memory[:, 0], memory[:, 1:]

    def _negatives(self, outputs: Outputs, batch: Batch) -> NegativePairs | None:
        """Saliency of every video for the sentence of the next sample; None where no two samples are of two videos."""
        other = of_another_video(batch)
        if not bool(other.any()):
            return None
        tokens, query_mask = outputs.tokens.roll(-1, 0), batch.query_mask.roll(-1, 0)
        _, summary, memory = self._fuse(outputs.clips, self._position(batch), tokens, query_mask, batch.clip_mask)
        return NegativePairs(scores=self.saliency_head(memory, summary), mask=batch.clip_mask & other[:, None])


def _spans(anchors: Tensor) -> Tensor:
    """[..., 2] centre and width from [..., 3] a point and the reach before and after it."""
    return span_to_centre_width(anchor_ends(anchors))


OFFICIAL_KEYS = [
    *encoder_keys("transformer.t2v_encoder", "cross_encoder"),
    *encoder_keys("transformer.encoder", "encoder"),
    *encoder_keys("transformer.txt_encoder", "unread.text_encoder"),
    (r"global_rep_(token|pos)_txt", r"unread.text_\1"),
    (r"transformer[.]decoder[.]query_scale[.]([12])[.](.+)", r"unread.wave_scale_\1.\2"),
    (r"transformer[.]decoder[.]ref_point_head_boundary[.](.+)", r"unread.boundary_position.\1"),
    (r"transformer[.]decoder[.]boundary_layers[.](\d+[.]\d+)[.]norm1[.](\w+)", r"unread.boundary_norms.\1.\2"),
    *boundary_decoder_keys("transformer.decoder", "decoder"),
    # The original holds these under two names.
    (r"(?:transformer[.]decoder[.]bbox_embed|span_embed)[.](.+)", r"refine.\1"),
    (r"(?:transformer[.])?saliency_proj1[.](.+)", r"saliency_head.clips.\1"),
    (r"(?:transformer[.])?saliency_proj2[.](.+)", r"saliency_head.summary.\1"),
    (r"transformer[.]tgt_embed[.](.+)", r"slots.\1"),
    (r"query_embed[.](.+)", r"anchors.\1"),
    (r"class_embed[.](\d+[.].+)", r"labels.\1"),
    (r"quality_pred[.](.+)", r"quality.mlp.\1"),
    (r"global_rep_token", r"global_token"),
    (r"global_rep_pos", r"global_position"),
    *surrounding_keys(),
]
# What is matched by costs of its own elsewhere is matched by the weights of the loss here.
OFFICIAL_OPTIONS = {
    **{name: place for name, place in DETR_OPTIONS.items() if not place.startswith("match.")},
    "lw_saliency": "weights.saliency",
    "quality_loss_coef": "weights.quality",
    "boundary_loss_coef": "weights.boundary",
}

SPEC = BackboneSpec(
    name="bam_detr",
    summary="BAM-DETR: slots find a point of a moment, then its boundaries, and foretell their own quality (2024)",
    source="https://github.com/Pilhyeon/BAM-DETR",
    options=BamDetrOptions,
    build=BamDetr,
    axis="clips",
    capabilities=frozenset({"encode", "distill"}),
    presets={
        "published_qvhighlights": {},
        "small": SMALL,
    },
    training={
        # The official rate falls to a tenth once more, after 160 epochs.
        "published_qvhighlights": {**TRAINING, "schedule": "step", "drop_epoch": 80},
        "small": SMALL_TRAINING,
    },
    key_map=rename_keys(OFFICIAL_KEYS),
    options_from_official=rename_options(OFFICIAL_OPTIONS, DETR_ONLY),
)


@hookimpl
def vmr_backbones() -> Iterable[BackboneSpec]:
    """Offer BAM-DETR."""
    return [SPEC]
