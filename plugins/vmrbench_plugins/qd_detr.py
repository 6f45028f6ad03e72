"""QD-DETR.

Paper: Moon, Hyun, Park, Park, Heo, Query-Dependent Video Representation for Moment Retrieval and Highlight Detection,
2023.
Code: github.com/wjun0830/QD-DETR at 56c63b2c75c5673dfe693f3ae9438f5fc1f1679a; licence MIT.

What differs, and why:
- the negative pass, and the heads of auxiliary layers, run in `loss` only: inference does not read them;
- the negative pass stops after the encoder: nothing reads the slots that the official one goes on to decode;
- after the last layer anchors are not moved once more, since nothing reads them;
- the sine embedding of anchors is as wide as the model, not 256 whatever the width;
- the two temporal channels come from the batch's own times, so that trimmed videos keep theirs;
- videos are not cut to 75 clips, and features are not normalised here: both belong to the data;
- without saliency labels, pairs and grades come from the moments, see `vmrbench.trim.saliency_labels`;
- the contrastive alignment term, off in the published configuration, and audio features are left out.

Bugs of the original, and what ours does:
- a mask in the cross-encoder is laid out in the wrong order, so that padding of a neighbour in the batch hides words
  from clips: ours hides padding only; the option `official_padding` reproduces it (see `neighbours_mask`);
- a neighbour in the batch that shows the same video makes a "negative" pair that is none, and a sample alone in its
  batch makes one with its own sentence: ours leaves such pairs out;
- the anchor head is set to zero, to move nothing at first, and then overwritten by the common initialisation: ours
  begins as the official one does, so that training is comparable.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from vmrbench import hookimpl
from vmrbench.option_types import Count, CountOrZero, NotNegative, ShareBelowOne
from vmrbench.parts.anchor_decoder import AnchorDecoder, AnchoredSlots, refining_head
from vmrbench.parts.criterion import SetWeights, set_losses
from vmrbench.parts.cross_encoder import CrossEncoder
from vmrbench.parts.detr_keys import anchor_decoder_keys, encoder_keys, surrounding_keys
from vmrbench.parts.encoder import Encoder
from vmrbench.parts.global_token import with_global_token
from vmrbench.parts.heads import DotSaliency, SlotHeads, input_projection
from vmrbench.parts.initial_weights import xavier_weights
from vmrbench.parts.key_map import rename_keys
from vmrbench.parts.matcher import MatchCosts
from vmrbench.parts.official_options import DETR_ONLY, DETR_OPTIONS, rename_options
from vmrbench.parts.position import LearnedPosition, sine_position
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
class QdDetrOptions:
    """Published configuration for QVHighlights.

    hidden: width of the transformer; heads: of attention; encoder_layers: of the cross-encoder and of the encoder
    behind it; decoder_layers; inner: width of the feed-forward blocks; slots: moments predicted; projections: layers of
    each input projection; dropout: in the transformer; input_dropout: before each input projection; scale_rows: divide
    every row by the square root of its width; tef: append each clip's start and end as fractions of the video;
    text_position: learned positions for query tokens; max_tokens: how many it knows; match: costs of the matching;
    weights: of the loss terms; saliency, margin, pairs: weight, margin and pairs a sample of the saliency term;
    official_padding: let words reach clips as the official code does, which depends on the neighbours in the batch.
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
    official_padding: bool = False


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """slots: of the last layer; saliency: [B, L]; memory: [B, L, D] encoded clips.

    For training: decoded: slots and anchors of every layer; clips, tokens: [B, L, D] and [B, T, D], projected.
    """

    slots: Slots
    saliency: Tensor
    memory: Tensor
    decoded: AnchoredSlots
    clips: Tensor
    tokens: Tensor


class QdDetr(nn.Module):
    """Clips read the query, an encoder joins them with a global token, and slots at moving anchors read the result."""

    unused_parameters = ("text_position.",)

    def __init__(self, options: QdDetrOptions, dims: Dims) -> None:
        super().__init__()
        self.options = options
        width, drop = options.hidden, options.dropout
        layer = (width, options.heads, options.inner, drop)
        video = dims.video + (2 if options.tef else 0)
        self.video_projection = input_projection(video, width, options.projections, options.input_dropout)
        self.text_projection = input_projection(dims.text, width, options.projections, options.input_dropout)
        self.text_position = LearnedPosition(options.max_tokens, width, options.input_dropout)
        self.cross_encoder = CrossEncoder(
            options.encoder_layers, *layer, activation="prelu", official_padding=options.official_padding
        )
        self.encoder = Encoder(options.encoder_layers, *layer, activation="prelu")
        self.decoder = AnchorDecoder(options.decoder_layers, *layer, activation="prelu")
        self.refine = refining_head(width)
        xavier_weights(self.cross_encoder, self.encoder, self.decoder, self.refine)
        self.global_token = nn.Parameter(torch.randn(width))
        self.global_position = nn.Parameter(torch.randn(width))
        self.anchors = nn.Embedding(options.slots, 2)
        self.heads = SlotHeads(width)
        self.saliency_head = DotSaliency(width)

    @property
    def embedding_width(self) -> int:
        """Width of what `encode` returns."""
        return self.options.hidden

    def forward(self, batch: Batch) -> Outputs:
        """Slots, saliency and what training reads besides."""
        clips, tokens = self._clips(batch), self.encode_query(batch)
        position = self._position(batch)
        summary, memory = self._fuse(clips, position, tokens, batch.query_mask, batch.clip_mask)
        anchors = self.anchors.weight.sigmoid().expand(len(clips), -1, -1)
        decoded = self.decoder(anchors, self.refine, memory, position, batch.clip_mask)
        return Outputs(
            slots=self.heads(decoded.hidden[-1], decoded.anchors[-1]),
            saliency=self.saliency_head(memory, summary),
            memory=memory,
            decoded=decoded,
            clips=clips,
            tokens=tokens,
        )

    def loss(self, outputs: Outputs, batch: Batch) -> Mapping[str, Tensor]:
        """Weighted terms: span, giou and label of every decoder layer, and saliency.

        `batch.extra` may hold `saliency_pos` and `saliency_neg` [B, P], clips to be ranked against each other, and
        `saliency_all` [B, L], grades of 0 to 12; without them pairs and grades come from the moments.
        """
        truth = [span_to_centre_width(spans) for spans in moment_fractions(batch)]
        terms = set_losses(self.layer_slots(outputs), truth, self.options.match, self.options.weights)
        labels, negatives = graded_labels(batch, self.options.pairs), self._negatives(outputs, batch)
        saliency = graded_saliency_loss(outputs.saliency, batch.clip_mask, labels, self.options.margin, negatives)
        terms["saliency"] = self.options.saliency * saliency
        return terms

    def predict(self, outputs: Outputs, batch: Batch) -> AxisMoments:
        """One moment a slot, scored by the probability that the slot holds one."""
        return slot_moments(outputs.slots, batch.lengths)

    def encode_query(self, batch: Batch) -> Tensor:
        """[B, T, D] tokens of the query."""
        tokens: Tensor = self.text_projection(batch.query)
        return tokens

    def encode(self, batch: Batch, query: Tensor) -> Tensor:
        """[B, L, D] clips as the encoder leaves them; a padded row holds nothing of use."""
        return self._fuse(self._clips(batch), self._position(batch), query, batch.query_mask, batch.clip_mask)[1]

    def distill_targets(self, outputs: Outputs, batch: Batch) -> DistillTargets:
        """Encoded clips, saliency, and slots with their moments."""
        return slot_targets(outputs.slots, batch, embedding=outputs.memory, saliency=outputs.saliency)

    def layer_slots(self, outputs: Outputs) -> list[Slots]:
        """What every decoder layer predicts, the last one last."""
        return self.heads.of_layers(outputs.decoded.hidden, outputs.decoded.anchors, outputs.slots)

    def _clips(self, batch: Batch) -> Tensor:
        rows = clip_rows(batch, scale_rows=self.options.scale_rows, tef=self.options.tef)
        clips: Tensor = self.video_projection(rows)
        return clips

    def _position(self, batch: Batch) -> Tensor:
        return sine_position(batch.clip_mask, self.options.hidden).to(batch.clips.dtype)

    def _fuse(
        self, clips: Tensor, position: Tensor, tokens: Tensor, query_mask: Tensor, clip_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The encoded global token [B, D] and the encoded clips [B, L, D] for a query."""
        placed = tokens + self.text_position(tokens) if self.options.text_position else tokens
        clips = self.cross_encoder(clips, position, clip_mask, tokens, placed, query_mask)
        memory = self.encoder(*with_global_token(self.global_token, self.global_position, clips, position, clip_mask))
        return memory[:, 0], memory[:, 1:]

    def _negatives(self, outputs: Outputs, batch: Batch) -> NegativePairs | None:
        """Saliency of every video for the sentence of the next sample; None where no two samples are of two videos."""
        other = of_another_video(batch)
        if not bool(other.any()):
            return None
        tokens, query_mask = outputs.tokens.roll(-1, 0), batch.query_mask.roll(-1, 0)
        summary, memory = self._fuse(outputs.clips, self._position(batch), tokens, query_mask, batch.clip_mask)
        return NegativePairs(scores=self.saliency_head(memory, summary), mask=batch.clip_mask & other[:, None])


OFFICIAL_KEYS = [
    *encoder_keys("transformer.t2v_encoder", "cross_encoder"),
    *encoder_keys("transformer.encoder", "encoder"),
    *anchor_decoder_keys("transformer.decoder", "decoder"),
    (r"transformer[.]decoder[.]bbox_embed[.](.+)", r"refine.\1"),
    (r"query_embed[.]weight", r"anchors.weight"),
    (r"global_rep_token", r"global_token"),
    (r"global_rep_pos", r"global_position"),
    (r"saliency_proj1[.](\w+)", r"saliency_head.clips.\1"),
    (r"saliency_proj2[.](\w+)", r"saliency_head.summary.\1"),
    *surrounding_keys(),
]

SPEC = BackboneSpec(
    name="qd_detr",
    summary="QD-DETR: clips read the query before they are encoded, slots refine anchors (2023)",
    source="https://github.com/wjun0830/QD-DETR",
    options=QdDetrOptions,
    build=QdDetr,
    axis="clips",
    capabilities=frozenset({"encode", "distill"}),
    presets={
        "published_qvhighlights": {},
        # The saliency term keeps its published weight: negative pairs, a sum over clips, make it strong.
        "small": SMALL,
    },
    training={
        "published_qvhighlights": TRAINING,
        "small": SMALL_TRAINING,
    },
    key_map=rename_keys(OFFICIAL_KEYS),
    options_from_official=rename_options(DETR_OPTIONS, DETR_ONLY),
)


@hookimpl
def vmr_backbones() -> Iterable[BackboneSpec]:
    """Offer QD-DETR."""
    return [SPEC]
