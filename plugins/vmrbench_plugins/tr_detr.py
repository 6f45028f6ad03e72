"""TR-DETR.

Paper: Sun, Zhou, Chen, Xie, TR-DETR: Task-Reciprocal Transformer for Joint Moment Retrieval and Highlight Detection,
2024.
Code: github.com/mingyao1120/TR-DETR at fca43a9c64f10eb6a055365081e5ff2abdbcafda; licence MIT.

What differs, and why:
- heads of auxiliary layers run in `loss` only, and after the last layer anchors are not moved once more: inference
  reads neither;
- the sine embedding of anchors is as wide as the model, not 256 whatever the width;
- the two temporal channels come from the batch's own times, so that trimmed videos keep theirs;
- videos are not cut to 75 clips, and features are not normalised here: both belong to the data;
- without saliency labels, pairs and grades come from the moments, see `vmrbench.trim.saliency_labels`; the clips that a
  sentence is about are those with a grade, where the official data loader reads a list of them;
- the contrastive alignment term of slots, off in the published configuration, and audio features are left out.

Bugs of the original, and what ours does; the option `official_padding` reproduces the first five:
- a mask in the cross-encoder is laid out in the wrong order, see `vmrbench.parts.cross_encoder.neighbours_mask`: ours
  hides padding only;
- padded clips take part in the softmax over the clips' saliency that weighs what the encoder reads a second time: ours
  leaves them out;
- the best moment is laid on the padded video, and one that starts before the video counts its start from the end:
  ours is laid on the real clips and starts with the video;
- the GRU that reads the best moment goes on to read zeros, up to the padded length, also where there is no padding:
  ours stops with the moment. Official weights were trained with the zeros; their saliency needs `official_padding`,
  their moments do not;
- means over clips and over words, and the mean of the clip-sentence term, count padding: ours do not;
- a neighbour in the batch that shows the same video is a negative of the video-sentence term: ours leaves it out;
- the anchor head is set to zero, to move nothing at first, and then overwritten by the common initialisation: ours
  begins as the official one does, so that training is comparable;
- saliency depends on which clips the best moment covers, so it jumps when a span crosses from clip to clip, and no
  gradient goes to the span: kept, since the method is so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vmrbench import hookimpl
from vmrbench.option_types import Count, CountOrZero, NotNegative, ShareBelowOne
from vmrbench.parts.alignment import clip_sentence_loss, mean_of_real, video_sentence_loss
from vmrbench.parts.anchor_decoder import AnchorDecoder, AnchoredSlots, refining_head
from vmrbench.parts.best_moment import BestMomentLikeness
from vmrbench.parts.context_query import ContextQueryAttention, QueryConcatenation
from vmrbench.parts.criterion import SetWeights, set_losses
from vmrbench.parts.cross_encoder import CrossEncoder
from vmrbench.parts.detr_keys import anchor_decoder_keys, encoder_keys, surrounding_keys
from vmrbench.parts.encoder import Encoder
from vmrbench.parts.heads import DotSaliency, SlotHeads, input_projection
from vmrbench.parts.initial_weights import xavier_weights
from vmrbench.parts.key_map import rename_keys
from vmrbench.parts.matcher import MatchCosts
from vmrbench.parts.official_options import DETR_ONLY, DETR_OPTIONS, rename_options
from vmrbench.parts.position import LearnedPosition, sine_position
from vmrbench.parts.ranked_saliency import graded_saliency_loss
from vmrbench.parts.slots import Slots, slot_moments
from vmrbench.parts.temporal import clip_rows
from vmrbench.spans import span_to_centre_width
from vmrbench.specs import BackboneSpec, Dims
from vmrbench.trim.labels import moment_fractions
from vmrbench.trim.saliency_labels import graded_labels, same_video
from vmrbench.trim.slot_targets import slot_targets
from vmrbench.types import AxisMoments, Batch, DistillTargets
from vmrbench_plugins._detr_presets import SMALL, SMALL_TRAINING, TRAINING


@dataclass(frozen=True, kw_only=True)
class TrDetrOptions:
    """Published configuration for QVHighlights.

    hidden: width of the transformer; heads: of attention; encoder_layers: of the cross-encoder and of the encoder
    behind it; decoder_layers; inner: width of the feed-forward blocks; slots: moments predicted; projections: layers of
    each input projection; dropout: in the transformer; input_dropout: before each input projection; scale_rows: divide
    every row by the square root of its width; tef: append each clip's start and end as fractions of the video;
    text_position: learned positions for query tokens; max_tokens: how many it knows; match: costs of the matching;
    weights: of the loss terms; saliency, margin, pairs: weight, margin and pairs a sample of the saliency term;
    clip_sentence, video_sentence: weights of the terms that draw clips and words together before they are fused;
    official_padding: do as the official code does where that depends on padding and on neighbours in the batch.
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
    clip_sentence: NotNegative = 0.5
    video_sentence: NotNegative = 0.3
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


class TrDetr(nn.Module):
    """Clips read the query twice, and are encoded twice, weighed by their saliency; the best moment refines that."""

    unused_parameters = ("text_position.",)

    def __init__(self, options: TrDetrOptions, dims: Dims) -> None:
        super().__init__()
        self.options = options
        width, drop, bug = options.hidden, options.dropout, options.official_padding
        layer = (width, options.heads, options.inner, drop)
        video = dims.video + (2 if options.tef else 0)
        self.video_projection = input_projection(video, width, options.projections, options.input_dropout)
        self.text_projection = input_projection(dims.text, width, options.projections, options.input_dropout)
        self.text_position = LearnedPosition(options.max_tokens, width, options.input_dropout)
        self.context_query = ContextQueryAttention(width, drop)
        self.concatenation = QueryConcatenation(width)
        self.cross_encoder = CrossEncoder(options.encoder_layers, *layer, activation="prelu", official_padding=bug)
        self.encoder = Encoder(options.encoder_layers, *layer, activation="prelu")
        self.decoder = AnchorDecoder(options.decoder_layers, *layer, activation="prelu")
        self.refine = refining_head(width)
        xavier_weights(self.cross_encoder, self.encoder, self.decoder, self.refine)
        self.anchors = nn.Embedding(options.slots, 2)
        self.heads = SlotHeads(width)
        self.saliency_head = DotSaliency(width, summarised=False)
        self.likeness = BestMomentLikeness(width, official_padding=bug)

    @property
    def embedding_width(self) -> int:
        """Width of what `encode` returns."""
        return self.options.hidden

    def forward(self, batch: Batch) -> Outputs:
        """Slots, saliency and what training reads besides."""
        clips, tokens = self._clips(batch), self.encode_query(batch)
        position = self._position(batch)
        memory = self._fuse(clips, position, tokens, batch)
        anchors = self.anchors.weight.sigmoid().expand(len(clips), -1, -1)
        decoded = self.decoder(anchors, self.refine, memory, position, batch.clip_mask)
        slots = self.heads(decoded.hidden[-1], decoded.anchors[-1])
        likeness = self.likeness(clips, batch.clip_mask, slots)
        return Outputs(
            slots=slots,
            saliency=self.saliency_head(memory + memory * likeness[..., None]),
            memory=memory,
            decoded=decoded,
            clips=clips,
            tokens=tokens,
        )

    def loss(self, outputs: Outputs, batch: Batch) -> Mapping[str, Tensor]:
        """Weighted terms: span, giou and label of every decoder layer, saliency, clip_sentence and video_sentence.

        `batch.extra` may hold `saliency_pos` and `saliency_neg` [B, P], clips to be ranked against each other, and
        `saliency_all` [B, L], grades of 0 to 12; without them pairs and grades come from the moments.
        """
        truth = [span_to_centre_width(spans) for spans in moment_fractions(batch)]
        terms = set_losses(self.layer_slots(outputs), truth, self.options.match, self.options.weights, focal=True)
        labels = graded_labels(batch, self.options.pairs)
        saliency = graded_saliency_loss(outputs.saliency, batch.clip_mask, labels, self.options.margin)
        terms["saliency"] = self.options.saliency * saliency
        return terms | self._alignment(outputs, batch, labels.grades > 0)

    def predict(self, outputs: Outputs, batch: Batch) -> AxisMoments:
        """One moment a slot, scored by the probability that the slot holds one."""
        return slot_moments(outputs.slots, batch.lengths)

    def encode_query(self, batch: Batch) -> Tensor:
        """[B, T, D] tokens of the query."""
        tokens: Tensor = self.text_projection(batch.query)
        return tokens

    def encode(self, batch: Batch, query: Tensor) -> Tensor:
        """[B, L, D] clips as the encoder leaves them; a padded row holds nothing of use."""
        return self._fuse(self._clips(batch), self._position(batch), query, batch)

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

    def _fuse(self, clips: Tensor, position: Tensor, tokens: Tensor, batch: Batch) -> Tensor:
        """[B, L, D] clips that have read the query, encoded, then encoded again with the salient ones amplified."""
        read = self.context_query(clips, batch.clip_mask, tokens, batch.query_mask)
        read = F.relu(self.concatenation(read, tokens, batch.query_mask))
        placed = tokens + self.text_position(tokens) if self.options.text_position else tokens
        read = self.cross_encoder(read, position, batch.clip_mask, tokens, placed, batch.query_mask)
        memory = self.encoder(read, position, batch.clip_mask)
        saliency = self.saliency_head(memory)
        if not self.options.official_padding:
            saliency = saliency.masked_fill(~batch.clip_mask, torch.finfo(saliency.dtype).min)
        amplified = memory + read * saliency.softmax(1)[..., None]
        encoded: Tensor = self.encoder(amplified, position, batch.clip_mask)
        return encoded

    def _alignment(self, outputs: Outputs, batch: Batch, inside: Tensor) -> dict[str, Tensor]:
        """The terms that draw projected clips and tokens together; inside: [B, L] clips that the sentence is about."""
        bug, clip_mask, token_mask = self.options.official_padding, batch.clip_mask, batch.query_mask
        sentences = mean_of_real(F.normalize(outputs.tokens, dim=2), token_mask)
        of_clips = clip_sentence_loss(outputs.clips, clip_mask, sentences, inside, official_padding=bug)
        if bug:
            clip_mask, token_mask = torch.ones_like(clip_mask), torch.ones_like(token_mask)
        videos, sentences = mean_of_real(outputs.clips, clip_mask), mean_of_real(outputs.tokens, token_mask)
        of_videos = video_sentence_loss(videos, sentences, same_video(batch))
        return {
            "clip_sentence": self.options.clip_sentence * of_clips,
            "video_sentence": self.options.video_sentence * of_videos,
        }


OFFICIAL_KEYS = [
    *encoder_keys("transformer.t2v_encoder", "cross_encoder"),
    *encoder_keys("transformer.encoder", "encoder"),
    *anchor_decoder_keys("transformer.decoder", "decoder"),
    (r"transformer[.]decoder[.]bbox_embed[.](.+)", r"refine.\1"),
    (r"query_embed[.]weight", r"anchors.weight"),
    (r"saliency_proj1[.](\w+)", r"saliency_head.clips.\1"),
    (r"fuser[.]cq_attention[.]w4C", r"context_query.of_clip"),
    (r"fuser[.]cq_attention[.]w4Q", r"context_query.of_token"),
    (r"fuser[.]cq_attention[.]w4mlu", r"context_query.of_both"),
    (r"fuser[.]cq_attention[.]cqa_linear[.]conv1d[.](\w+)", r"context_query.mix.conv.\1"),
    (r"fuser[.]cq_concat[.]weighted_pool[.]weight", r"concatenation.pool.weight"),
    (r"fuser[.]cq_concat[.]conv1d[.]conv1d[.](\w+)", r"concatenation.mix.conv.\1"),
    (r"gru_extractor[.]gru[.](\w+)", r"likeness.recurrent.\1"),
    *surrounding_keys(),
]
OFFICIAL_OPTIONS = {
    "CTC_loss_coef": "clip_sentence",
    "VTC_loss_coef": "video_sentence",
}

SPEC = BackboneSpec(
    name="tr_detr",
    summary="TR-DETR: saliency weighs the clips that slots read, the best moment refines saliency (2024)",
    source="https://github.com/mingyao1120/TR-DETR",
    options=TrDetrOptions,
    build=TrDetr,
    axis="clips",
    capabilities=frozenset({"encode", "distill"}),
    presets={
        "published_qvhighlights": {},
        "small": SMALL,
    },
    training={
        "published_qvhighlights": TRAINING,
        "small": SMALL_TRAINING,
    },
    key_map=rename_keys(OFFICIAL_KEYS),
    options_from_official=rename_options({**DETR_OPTIONS, **OFFICIAL_OPTIONS}, DETR_ONLY),
)


@hookimpl
def vmr_backbones() -> Iterable[BackboneSpec]:
    """Offer TR-DETR."""
    return [SPEC]
