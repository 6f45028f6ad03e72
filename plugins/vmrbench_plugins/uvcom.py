"""UVCOM.

Paper: Xiao, Luo, Liu, Ma, Bian, Ji, Yang, Li, Bridging the Gap: A Unified Video Comprehension Framework for Moment
Retrieval and Highlight Detection, 2024.
Code: github.com/EasonXiao-888/UVCOM at 6faab33a821fe045f0ef007e63a8ecc2a4e443bd; licence MIT.

What differs, and why:
- the negative pass, the heads of auxiliary layers and the shared space run in `loss` only: inference reads none;
- the negative pass stops after the encoder: nothing reads the slots that the official one goes on to decode;
- the matrix that the random walk inverts is as large as the clusters are many, not the clips: the same, and cheaper;
- the sine embedding of anchors is as wide as the model, not 256 whatever the width;
- `choose_negatives_from` counts in shares of the base epochs, epoch 80 of 200 as published: before it the next sample
  gives the negative;
- the two temporal channels come from the batch's own times, so that trimmed videos keep theirs;
- videos are not cut to 75 clips, and features are not normalised here: both belong to the data;
- without saliency labels, pairs and grades come from the moments, see `vmrbench.trim.saliency_labels`;
- audio features, and the fusion by attention in place of the random walk (off as published), are left out.

As in the original: of several true moments, the term that aligns clips with the sentence takes the first one's alone,
and of its clips those between its start and its end, both rounded down.

Bugs of the original, and what ours does:
- a mask in the cross-encoders is laid out in the wrong order, see `neighbours_mask`: ours hides padding only;
- padded words and clips count in the mean of the words, in the clusters, in the random walk, in the mean that slots
  start from, and in the softmax and the mean of the clip term; and a convolution lets the bias of the one before it
  flow from padding into the last clip: ours leaves padding out. `official_padding` reproduces all of these;
- slots share clips by an attention that is uniform, because they all start alike, see `SentenceSlot`: ours computes one
  slot for all, with the same result;
- the learned global token is overwritten before anything reads it, by the cluster of clips most like the clusters of
  words: ours never adds it;
- a video may draw its own sentence, or one about the same video, as the negative, and in the contrast of videos and
  sentences those about the same video count as wrong: ours leaves such pairs out;
- the number of slots that start from the sentence is 30 whatever the option says: ours follows the option;
- the anchor head is set to zero, to move nothing at first, and then overwritten by the common initialisation: ours
  begins as the official one does, so that training is comparable.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from vmrbench import hookimpl
from vmrbench.option_types import Count, CountOrZero, NotNegative, Share, ShareBelowOne
from vmrbench.parts.alignment import video_sentence_loss
from vmrbench.parts.anchor_decoder import AnchorDecoder, AnchoredSlots, refining_head
from vmrbench.parts.criterion import SetWeights, set_losses
from vmrbench.parts.detr_keys import anchor_decoder_keys, encoder_keys, surrounding_keys
from vmrbench.parts.heads import DotSaliency, SlotHeads, input_projection
from vmrbench.parts.initial_weights import xavier_weights
from vmrbench.parts.integration import Fused, Integration, Query
from vmrbench.parts.key_map import rename_keys
from vmrbench.parts.matcher import MatchCosts
from vmrbench.parts.official_options import DETR_ONLY, DETR_OPTIONS, rename_options
from vmrbench.parts.position import LearnedPosition, sine_position
from vmrbench.parts.ranked_saliency import NegativePairs, graded_saliency_loss
from vmrbench.parts.sentence_slot import SentenceSlot
from vmrbench.parts.shared_space import Directions, SharedSpace, chosen_clips_loss, least_similar
from vmrbench.parts.slots import Slots, slot_moments
from vmrbench.parts.temporal import clip_rows
from vmrbench.spans import span_to_centre_width
from vmrbench.specs import BackboneSpec, Dims
from vmrbench.trim.labels import moment_fractions
from vmrbench.trim.saliency_labels import graded_labels, same_video
from vmrbench.trim.slot_targets import slot_targets
from vmrbench.types import AxisMoments, Batch, DistillTargets
from vmrbench_plugins._detr_presets import SMALL as SMALL_DETR
from vmrbench_plugins._detr_presets import SMALL_TRAINING, TRAINING


@dataclass(frozen=True, kw_only=True)
class UvcomOptions:
    """Published configuration for QVHighlights.

    hidden: width of the transformer; heads: of attention; encoder_layers: of both cross-encoders and of the encoder
    behind them; decoder_layers; inner: width of the feed-forward blocks; slots: moments predicted; head_inner: width
    inside the block that slots start from and inside the heads of the shared space; word_clusters, clip_clusters;
    cluster_rounds: of expectation and maximisation; projections: layers of each input projection; dropout: in the
    transformer; input_dropout: before each input projection; scale_rows: divide every row by the square root of its
    width; tef: append each clip's start and end as fractions of the video; text_position: learned positions for query
    tokens; max_tokens: how many it knows; match: costs of the matching; weights: of the loss terms; saliency, margin,
    pairs: weight, margin and pairs a sample of the saliency term; similarity: weight of the term of the shared space;
    choose_negatives_from: share of the training, 0..1, after which a video's negative is the sentence of the batch that
    fits it least; official_padding: let padding count as in the official code.
    """

    hidden: Count = 256
    heads: Count = 8
    encoder_layers: CountOrZero = 3
    decoder_layers: Count = 3
    inner: Count = 1024
    slots: Count = 30
    head_inner: Count = 1024
    word_clusters: Count = 5
    clip_clusters: Count = 30
    cluster_rounds: CountOrZero = 5
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
    similarity: NotNegative = 1.0
    choose_negatives_from: Share = 0.4
    official_padding: bool = False


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """slots: of the last layer; saliency: [B, L]; fused: video and query.

    For training: decoded: slots and anchors of every layer; clips: [B, L, D] projected; query: projected.
    """

    slots: Slots
    saliency: Tensor
    fused: Fused
    decoded: AnchoredSlots
    clips: Tensor
    query: Query


class Uvcom(nn.Module):
    """Clips and words are integrated step by step, and slots at moving anchors, begun from the sentence, read them."""

    unused_parameters = (
        "text_position.",
        *(f"integration.{name}" for name in Integration.unused_parameters),
        *(f"first_slot.{name}" for name in SentenceSlot.unused_parameters),
    )

    def __init__(self, options: UvcomOptions, dims: Dims) -> None:
        super().__init__()
        self.options, self.progress = options, 0.0
        width, video = options.hidden, dims.video + (2 if options.tef else 0)
        self.video_projection = input_projection(video, width, options.projections, options.input_dropout)
        self.text_projection = input_projection(dims.text, width, options.projections, options.input_dropout)
        self.text_position = LearnedPosition(options.max_tokens, width, options.input_dropout)
        layer = (width, options.heads, options.inner, options.dropout)
        self.integration = Integration(
            options.encoder_layers,
            *layer,
            word_clusters=options.word_clusters,
            clip_clusters=options.clip_clusters,
            cluster_rounds=options.cluster_rounds,
            official_padding=options.official_padding,
        )
        self.first_slot = SentenceSlot(width, options.head_inner)
        self.decoder = AnchorDecoder(options.decoder_layers, *layer, activation="prelu", moved=True)
        self.slot_content = nn.Embedding(options.slots, width)
        self.refine = refining_head(width)
        self.shared_space = SharedSpace(width, options.head_inner)
        xavier_weights(self.first_slot, self.decoder, self.slot_content, self.refine, self.shared_space)
        self.anchors = nn.Embedding(options.slots, 2)
        self.heads = SlotHeads(width)
        self.saliency_head = DotSaliency(width)

    @property
    def embedding_width(self) -> int:
        """Width of what `encode` returns."""
        return self.options.hidden

    def set_progress(self, share: float) -> None:
        """Say, before an epoch, how much of the training is done, 0..1: see `choose_negatives_from`."""
        self.progress = share

    def forward(self, batch: Batch) -> Outputs:
        """Slots, saliency and what training reads besides."""
        query = self.encode_query(batch)
        clips, position = self._clips(batch)
        fused = self.integration(clips, position, batch.clip_mask, query)
        first = self.first_slot(fused.sentence, fused.memory, self.integration.counted(batch.clip_mask))
        slots, anchors = first[:, None] + self.slot_content.weight, self.anchors.weight.sigmoid()
        decoded = self.decoder(
            anchors.expand(len(clips), -1, -1), self.refine, fused.memory, position, batch.clip_mask, slots=slots
        )
        return Outputs(
            slots=self.heads(decoded.hidden[-1], decoded.anchors[-1]),
            saliency=self.saliency_head(fused.memory, fused.summary),
            fused=fused,
            decoded=decoded,
            clips=clips,
            query=query,
        )

    def loss(self, outputs: Outputs, batch: Batch) -> Mapping[str, Tensor]:
        """Weighted terms: span, giou and label of every decoder layer, saliency, and similarity in the shared space.

        `batch.extra` may hold `saliency_pos` and `saliency_neg` [B, P], clips to be ranked against each other, and
        `saliency_all` [B, L], grades of 0 to 12; without them pairs and grades come from the moments.
        """
        truth = [span_to_centre_width(spans) for spans in moment_fractions(batch)]
        terms = set_losses(self.layer_slots(outputs), truth, self.options.match, self.options.weights)
        directions = self.shared_space(outputs.fused.summary, outputs.fused.clips, outputs.fused.sentence)
        negatives = self._negatives(outputs, batch, self._partners(directions, batch))
        labels = graded_labels(batch, self.options.pairs)
        saliency = graded_saliency_loss(outputs.saliency, batch.clip_mask, labels, self.options.margin, negatives)
        terms["saliency"] = self.options.saliency * saliency
        videos = video_sentence_loss(directions.videos, directions.sentences, same_video(batch), temperature=1.0)
        counted = self.integration.counted(batch.clip_mask)
        clips = chosen_clips_loss(directions, counted, clips_of_first_moment(batch))
        terms["sim"] = self.options.similarity * (videos + clips) / 2
        return terms

    def predict(self, outputs: Outputs, batch: Batch) -> AxisMoments:
        """One moment a slot, scored by the probability that the slot holds one."""
        return slot_moments(outputs.slots, batch.lengths)

    def encode_query(self, batch: Batch) -> Query:
        """The query's tokens and their position."""
        tokens = self.text_projection(batch.query)
        placed = self.text_position(tokens) if self.options.text_position else torch.zeros_like(tokens)
        return Query(tokens=tokens, position=placed, mask=batch.query_mask)

    def encode(self, batch: Batch, query: Query) -> Tensor:
        """[B, L, D] clips as the encoder leaves them; a padded row holds nothing of use."""
        clips, position = self._clips(batch)
        memory: Tensor = self.integration(clips, position, batch.clip_mask, query).memory
        return memory

    def distill_targets(self, outputs: Outputs, batch: Batch) -> DistillTargets:
        """Encoded clips, saliency, and slots with their moments."""
        return slot_targets(outputs.slots, batch, embedding=outputs.fused.memory, saliency=outputs.saliency)

    def layer_slots(self, outputs: Outputs) -> list[Slots]:
        """What every decoder layer predicts, the last one last."""
        return self.heads.of_layers(outputs.decoded.hidden, outputs.decoded.anchors, outputs.slots)

    def _clips(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Clips and their position, [B, L, D] each."""
        rows = clip_rows(batch, scale_rows=self.options.scale_rows, tef=self.options.tef)
        return self.video_projection(rows), sine_position(batch.clip_mask, self.options.hidden).to(rows.dtype)

    def _partners(self, directions: Directions, batch: Batch) -> Tensor:
        """[B] sample whose sentence makes a negative pair: the next one, or late in training the least similar."""
        if self.progress < self.options.choose_negatives_from:
            return torch.arange(len(batch.clips), device=batch.clips.device).roll(-1)
        counted = self.integration.counted(batch.clip_mask)
        return least_similar(directions, counted, ~same_video(batch))

    def _negatives(self, outputs: Outputs, batch: Batch, partner: Tensor) -> NegativePairs | None:
        """Saliency of every video for its partner's sentence; None where no partner shows another video."""
        other = ~same_video(batch).gather(1, partner[:, None])
        if not bool(other.any()):
            return None
        query = outputs.query
        taken = Query(tokens=query.tokens[partner], position=query.position[partner], mask=query.mask[partner])
        position = sine_position(batch.clip_mask, self.options.hidden).to(batch.clips.dtype)
        fused = self.integration(outputs.clips, position, batch.clip_mask, taken)
        return NegativePairs(scores=self.saliency_head(fused.memory, fused.summary), mask=batch.clip_mask & other)


def clips_of_first_moment(batch: Batch) -> Tensor:
    """[B, L] true for clips from the start of the first true moment, rounded down, to before its end, rounded down.

    A bound that lies on the cut between two clips may fall to either side, as it does officially: by the last digit.
    """
    chosen = torch.zeros_like(batch.clip_mask)
    for row, spans in enumerate(moment_fractions(batch)):
        for start, end in (spans[:1] * batch.lengths[row]).long().tolist():
            chosen[row, start:end] = True
    return chosen


OFFICIAL_KEYS = [
    *encoder_keys("CIM.t2v_encoder", "integration.clip_reader"),
    *encoder_keys("CIM.v2t_encoder", "integration.word_reader"),
    *encoder_keys("CIM.GKA_Module", "integration.encoder"),
    *anchor_decoder_keys("CIM.decoder", "decoder"),
    (r"CIM[.]decoder[.]span_embed[.]weight", r"slot_content.weight"),
    (r"CIM[.]decoder[.]bbox_embed[.](.+)", r"refine.\1"),
    (r"CIM[.]processer_for_tgt[.]norm_inputs[.](\w+)", r"first_slot.norm_clips.\1"),
    (r"CIM[.]processer_for_tgt[.]norm_mlp[.](\w+)", r"first_slot.norm_inner.\1"),
    (r"CIM[.]processer_for_tgt[.](norm_slots|norm_out)[.](\w+)", r"first_slot.\1.\2"),
    (r"CIM[.]processer_for_tgt[.]project_q[.](\w+)", r"first_slot.query.\1"),
    (r"CIM[.]processer_for_tgt[.]project_k[.](\w+)", r"first_slot.key.\1"),
    (r"CIM[.]processer_for_tgt[.]project_v[.](\w+)", r"first_slot.value.\1"),
    (r"CIM[.]processer_for_tgt[.]mlp[.](.+)", r"first_slot.feed_forward.\1"),
    (r"CIM[.]feature_proj[.](.+)", r"integration.sentence.\1"),
    (r"CIM[.]conv_local[.](.+)", r"integration.neighbours.\1"),
    (r"CIM[.]txt_mu", r"integration.word_centres"),
    (r"CIM[.]vid_mu", r"integration.clip_centres"),
    (r"CIM[.]sim_vid[.](.+)", r"shared_space.video.\1"),
    (r"CIM[.]sim_txt[.](.+)", r"shared_space.sentence.\1"),
    (r"global_rep_token", r"integration.global_token"),
    (r"global_rep_pos", r"integration.global_position"),
    (r"query_embed[.]weight", r"anchors.weight"),
    (r"saliency_proj1[.](\w+)", r"saliency_head.clips.\1"),
    (r"saliency_proj2[.](\w+)", r"saliency_head.summary.\1"),
    *surrounding_keys(),
]
SMALL: Mapping[str, Any] = {
    **SMALL_DETR,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "head_inner": 128,
    "word_clusters": 3,
    "clip_clusters": 8,
    "cluster_rounds": 3,
}
OFFICIAL_OPTIONS = {
    "n_txt_mu": "word_clusters",
    "n_visual_mu": "clip_clusters",
    "em_iter": "cluster_rounds",
    "sim_loss_coef": "similarity",
}

SPEC = BackboneSpec(
    name="uvcom",
    summary="UVCOM: clips and words read each other, gather in clusters and meet in one space (2024)",
    source="https://github.com/EasonXiao-888/UVCOM",
    options=UvcomOptions,
    build=Uvcom,
    axis="clips",
    capabilities=frozenset({"encode", "distill"}),
    presets={
        "published_qvhighlights": {},
        "published_charades": {"choose_negatives_from": 0.35},
        "small": SMALL,
    },
    training={
        "published_qvhighlights": {**TRAINING, "schedule": "step", "drop_epoch": 100},
        "published_charades": {**TRAINING, "batch_size": 8, "schedule": "step", "drop_epoch": 80},
        "small": SMALL_TRAINING,
    },
    key_map=rename_keys(OFFICIAL_KEYS),
    options_from_official=rename_options({**DETR_OPTIONS, **OFFICIAL_OPTIONS}, DETR_ONLY),
)


@hookimpl
def vmr_backbones() -> Iterable[BackboneSpec]:
    """Offer UVCOM."""
    return [SPEC]
