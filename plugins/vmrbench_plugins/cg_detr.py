"""CG-DETR.

Paper: Moon, Hyun, Lee, Heo, Correlation-Guided Query-Dependency Calibration for Video Temporal Grounding, 2023.
Code: github.com/wjun0830/CGDETR at 212b2e49a0893512930d63b9294a8c066347e606; licence MIT.

What differs, and why:
- the negative pass, the moment and sentence encoders, and the heads of auxiliary layers run in `loss` only: inference
  does not read them;
- the negative pass stops after the encoder: nothing reads the slots that the official one goes on to decode;
- after the last layer anchors are not moved once more, since nothing reads them;
- the layers of each query encoder begin with weights of their own, the official ones as copies of one layer;
- query encoders have as many heads as the rest: the official ones fix 8, the number everywhere;
- with learned text positions, the words of a negative pair keep theirs; the official ones take those of the other
  sentence (off in the published configuration);
- the two temporal channels come from the batch's own times, so that trimmed videos keep theirs;
- videos are not cut to 75 clips, and features are not normalised here: both belong to the data;
- without saliency labels, pairs and grades come from the moments, see `vmrbench.trim.saliency_labels`;
- the contrastive alignment term, off in the published configuration, and audio features are left out.

Bugs of the original, and what ours does:
- a mask in the cross-encoder is laid out in the wrong order, so that padding of a neighbour in the batch hides words
  from clips: ours hides padding only; the option `official_padding` reproduces it (see `neighbours_mask`);
- three loss terms count padding: attention of padded clips is taught, clips are averaged over the padded length, and
  attention is distilled towards padded words: ours counts what is real; `official_padding` reproduces it;
- the saliency token goes through the cross-encoder with no words to read, so only a bias joins it: ours does the same;
- what the dummies' sentence should be unlike is written down for all samples, and then cut to the first place, so that
  the sentence is drawn to sample 0 (of sample 0 to sample 1, or to its own rest if alone): ours does the same;
- the contrast of ranks comes to nothing for a sample that alone in its batch has no negative pair: ours takes it;
- the moment's summary is compared with clips through a probability that saturates: ours does the same;
- the cross-entropy of negative pairs takes 1 - sigmoid, which loses digits above scores of 10 and is infinite above 17:
  ours is exact;
- a video of one clip gets gradients of 1e12, a clip that gives dummies no attention an infinite loss: ours are bounded;
- one projection of the query is never used: ours holds it, so that official weights load.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from vmrbench import hookimpl
from vmrbench.option_types import Count, CountOrZero, NotNegative, ShareBelowOne
from vmrbench.parts.adaptive_cross_encoder import AdaptiveCrossEncoder
from vmrbench.parts.anchor_decoder import AnchorDecoder, AnchoredSlots, refining_head
from vmrbench.parts.criterion import SetWeights, set_losses
from vmrbench.parts.detr_keys import anchor_decoder_keys, encoder_keys, surrounding_keys
from vmrbench.parts.encoder import Encoder
from vmrbench.parts.heads import DotSaliency, ProjectionLayer, SlotHeads, input_projection
from vmrbench.parts.initial_weights import xavier_weights
from vmrbench.parts.key_map import rename_keys
from vmrbench.parts.matcher import MatchCosts
from vmrbench.parts.moment_sentence import MomentSentence
from vmrbench.parts.official_options import DETR_ONLY, DETR_OPTIONS, rename_options
from vmrbench.parts.position import LearnedPosition, sine_position
from vmrbench.parts.query_dummies import QueryDummies, Words
from vmrbench.parts.ranked_saliency import NegativePairs, SaliencyLabels, negative_pair_loss, rank_contrast_apart
from vmrbench.parts.saliency import saliency_hinge
from vmrbench.parts.saliency_token import saliency_token
from vmrbench.parts.slots import Slots, slot_moments
from vmrbench.parts.temporal import clip_rows
from vmrbench.parts.token_encoder import encode_with_token
from vmrbench.parts.word_attention_losses import attention_distillation, mass_loss, orthogonality_loss, word_mass
from vmrbench.spans import span_to_centre_width
from vmrbench.specs import BackboneSpec, Dims
from vmrbench.trim.labels import moment_fractions
from vmrbench.trim.saliency_labels import graded_labels, of_another_video
from vmrbench.trim.slot_targets import slot_targets
from vmrbench.types import AxisMoments, Batch, DistillTargets
from vmrbench_plugins._detr_presets import SMALL as SMALL_DETR
from vmrbench_plugins._detr_presets import SMALL_TRAINING
from vmrbench_plugins._detr_presets import TRAINING as TRAINING_DETR


@dataclass(frozen=True, kw_only=True)
class CgDetrOptions:
    """Published configuration for QVHighlights.

    hidden: width of the transformer; heads: of attention; dummy_layers: of the encoder that reads dummies from the
    query; cross_layers: of the adaptive cross-encoder; encoder_layers: of the encoder behind it; moment_layers,
    sentence_layers: of the two encoders that only training runs; decoder_layers; inner: width of the feed-forward
    blocks; dummies: rows beside the words that take attention; prompts: learned vectors of which the saliency token is
    made; chosen_prompts: how many of them join a token; slots: moments predicted; projections: layers of each input
    projection; dropout: in the transformer; query_dropout: in the encoders of dummies and sentences; input_dropout:
    before each input projection; scale_rows: divide every row by the square root of its width; tef: append each clip's
    start and end as fractions of the video; text_position: learned positions for query tokens; max_tokens: how many it
    knows; match: costs of the matching; weights: of the set terms; saliency, margin, pairs: weight, margin and pairs a
    sample of the saliency term; attention: weight, inside that term, of the same for attention to words; alignment,
    distillation: weights of the other terms; official_padding: let words reach clips, and padding count in the loss, as
    in the official code, which depends on the neighbours in the batch.
    """

    hidden: Count = 256
    heads: Count = 8
    dummy_layers: CountOrZero = 2
    cross_layers: CountOrZero = 2
    encoder_layers: CountOrZero = 3
    moment_layers: CountOrZero = 1
    sentence_layers: CountOrZero = 1
    decoder_layers: Count = 3
    inner: Count = 1024
    dummies: Count = 45
    prompts: Count = 10
    chosen_prompts: Count = 1
    slots: Count = 10
    projections: CountOrZero = 2
    dropout: ShareBelowOne = 0.1
    query_dropout: ShareBelowOne = 0.1
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
    attention: NotNegative = 1.0
    alignment: NotNegative = 1.0
    distillation: NotNegative = 1.0
    official_padding: bool = False


@dataclass(frozen=True, kw_only=True)
class Fused:
    """memory: [B, L, D] encoded clips; saliency: [B, L]; attention: [B, L, N + T] of clips to dummies and words."""

    memory: Tensor
    saliency: Tensor
    attention: Tensor


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """slots: of the last layer; fused: clips and query.

    For training: decoded: slots and anchors of every layer; clips: [B, L, D] projected; words.
    """

    slots: Slots
    fused: Fused
    decoded: AnchoredSlots
    clips: Tensor
    words: Words

    @property
    def saliency(self) -> Tensor:
        """[B, L]."""
        return self.fused.saliency


class CgDetr(nn.Module):
    """Clips read the query as far as it concerns them; slots at moving anchors read the encoded clips."""

    unused_parameters = ("text_position.", "unused_projection.")

    def __init__(self, options: CgDetrOptions, dims: Dims) -> None:
        super().__init__()
        self.options = options
        width, drop = options.hidden, options.input_dropout
        layer = (width, options.heads, options.inner, options.dropout)
        query_layer = (width, options.heads, options.inner, options.query_dropout)
        style: Mapping[str, Any] = {"activation": "prelu", "drop_path": options.dropout}
        query_style = {**style, "drop_path": options.query_dropout}
        video = dims.video + (2 if options.tef else 0)
        self.video_projection = input_projection(video, width, options.projections, drop)
        self.text_projection = input_projection(dims.text, width, options.projections, drop)
        self.text_position = LearnedPosition(options.max_tokens, width, drop)
        self.unused_projection = ProjectionLayer(dims.text, width, 0.0, relu=True)
        self.token_types = nn.Parameter(0.02 * torch.randn(2, width))
        self.dummies = QueryDummies(Encoder(options.dummy_layers, *query_layer, **query_style), options.dummies, width)
        self.cross_encoder = AdaptiveCrossEncoder(
            options.cross_layers, *layer, **style, official_padding=options.official_padding
        )
        self.prompts = nn.Parameter(torch.randn(options.prompts, width))
        self.prompt_position = nn.Parameter(torch.randn(1, width))
        self.encoder = Encoder(options.encoder_layers, *layer, **style)
        moment = Encoder(options.moment_layers, *layer, **style)
        self.correlate = MomentSentence(moment, Encoder(options.sentence_layers, *query_layer, **query_style), width)
        self.decoder = AnchorDecoder(options.decoder_layers, *layer, **style)
        self.refine = refining_head(width)
        xavier_weights(self.cross_encoder, self.encoder, moment, self.decoder, self.refine)
        self.anchors = nn.Embedding(options.slots, 2)
        self.heads = SlotHeads(width)
        self.saliency_head = DotSaliency(width)

    @property
    def embedding_width(self) -> int:
        """Width of what `encode` returns."""
        return self.options.hidden

    def forward(self, batch: Batch) -> Outputs:
        """Slots, saliency and what training reads besides."""
        clips, words, position = self._clips(batch), self.encode_query(batch), self._position(batch.clip_mask)
        fused = self._fuse(clips, position, batch.clip_mask, words)
        anchors = self.anchors.weight.sigmoid().expand(len(clips), -1, -1)
        decoded = self.decoder(anchors, self.refine, fused.memory, position, batch.clip_mask)
        slots = self.heads(decoded.hidden[-1], decoded.anchors[-1])
        return Outputs(slots=slots, fused=fused, decoded=decoded, clips=clips, words=words)

    def loss(self, outputs: Outputs, batch: Batch) -> Mapping[str, Tensor]:
        """Weighted terms: span, giou and label of every decoder layer, saliency, and three of words and clips.

        These are `ms_align`: moments and sentences, `distill`: attention, `orthogonal_dummy`: dummies and prompts, all
        as they are called officially. `batch.extra` may hold `saliency_pos` and `saliency_neg` [B, P], clips to be
        ranked against each other, and `saliency_all` [B, L], grades of 0 to 12; without them pairs and grades come from
        the moments.
        """
        truth = [span_to_centre_width(spans) for spans in moment_fractions(batch)]
        terms = set_losses(self.layer_slots(outputs), truth, self.options.match, self.options.weights)
        labels, clips, words = graded_labels(batch, self.options.pairs), outputs.clips, outputs.words
        inside = (labels.grades > 0) & batch.clip_mask
        correlation = self.correlate(clips, self._position(batch.clip_mask), batch.clip_mask, inside, words)
        alignment = correlation.contrast + self._clip_mean(correlation.membership * batch.clip_mask, batch.clip_mask)
        distillation = attention_distillation(
            outputs.fused.attention, correlation.likeness, inside, self._counted(words.mask)
        )
        orthogonality = orthogonality_loss(words.dummies) + orthogonality_loss(self.prompts)
        terms["saliency"] = self.options.saliency * self._saliency(outputs, batch, labels, inside)
        terms["ms_align"] = self.options.alignment * alignment
        terms["distill"] = self.options.distillation * distillation
        terms["orthogonal_dummy"] = self.options.distillation * orthogonality
        return terms

    def predict(self, outputs: Outputs, batch: Batch) -> AxisMoments:
        """One moment a slot, scored by the probability that the slot holds one."""
        return slot_moments(outputs.slots, batch.lengths)

    def encode_query(self, batch: Batch) -> Words:
        """The query's tokens and the dummies that have read them."""
        tokens = self.text_projection(batch.query) + self.token_types[0]
        placed = self.text_position(tokens) if self.options.text_position else torch.zeros_like(tokens)
        words: Words = self.dummies(tokens, placed, batch.query_mask)
        return words

    def encode(self, batch: Batch, query: Words) -> Tensor:
        """[B, L, D] clips as the encoder leaves them; a padded row holds nothing of use."""
        position = self._position(batch.clip_mask)
        return self._fuse(self._clips(batch), position, batch.clip_mask, query).memory

    def distill_targets(self, outputs: Outputs, batch: Batch) -> DistillTargets:
        """Encoded clips, saliency, and slots with their moments."""
        return slot_targets(outputs.slots, batch, embedding=outputs.fused.memory, saliency=outputs.saliency)

    def layer_slots(self, outputs: Outputs) -> list[Slots]:
        """What every decoder layer predicts, the last one last."""
        return self.heads.of_layers(outputs.decoded.hidden, outputs.decoded.anchors, outputs.slots)

    def _clips(self, batch: Batch) -> Tensor:
        rows = clip_rows(batch, scale_rows=self.options.scale_rows, tef=self.options.tef)
        clips: Tensor = self.video_projection(rows) + self.token_types[1]
        return clips

    def _position(self, clip_mask: Tensor) -> Tensor:
        return sine_position(clip_mask, self.options.hidden).to(self.prompts.dtype)

    def _fuse(self, clips: Tensor, position: Tensor, clip_mask: Tensor, words: Words) -> Fused:
        """Clips that have read the words and each other, and how salient they are."""
        read, attention = self.cross_encoder(clips, position, clip_mask, words.tokens, words.keys, words.mask)
        importance = attention[..., self.options.dummies :].sum(-1).detach()
        token = saliency_token(clips, clip_mask, importance, self.prompts, self.options.chosen_prompts)
        token = self.cross_encoder.without_words(token[:, None])
        summary, encoded = encode_with_token(self.encoder, token, self.prompt_position, read, position, clip_mask)
        memory = encoded + summary[:, None]
        return Fused(memory=memory, saliency=self.saliency_head(memory, summary), attention=attention)

    def _saliency(self, outputs: Outputs, batch: Batch, labels: SaliencyLabels, inside: Tensor) -> Tensor:
        """What saliency scores should be, and how much attention of clips should go to words."""
        other = of_another_video(batch)
        scores, mass = outputs.saliency, word_mass(outputs.fused.attention, batch.query_mask)
        negative, negative_mass = self._negatives(outputs, batch, other)
        pairs = NegativePairs(scores=negative, mask=batch.clip_mask[other])
        unwanted = mass_loss(negative_mass, torch.zeros_like(pairs.mask)) * pairs.mask
        attention = self._clip_mean(mass_loss(mass, inside), batch.clip_mask) + unwanted.sum() / max(len(unwanted), 1)
        total = negative_pair_loss(pairs) + self.options.attention * attention
        for weight, own, others in ((1.0, scores, negative), (self.options.attention, mass, negative_mass)):
            contrast = rank_contrast_apart(own, labels.grades, batch.clip_mask, other, others)
            total = total + weight * (contrast + saliency_hinge(own, labels.pairs, self.options.margin))
        return total

    def _negatives(self, outputs: Outputs, batch: Batch, other: Tensor) -> tuple[Tensor, Tensor]:
        """[N, L] saliency and attention to words of the N videos whose next sample is of another, for its sentence."""
        here = other.nonzero()[:, 0]
        if len(here) == 0:
            return outputs.saliency[:0], outputs.saliency[:0]
        there, clip_mask = (here + 1) % len(other), batch.clip_mask[here]
        fused = self._fuse(outputs.clips[here], self._position(clip_mask), clip_mask, outputs.words.of(there))
        return fused.saliency, word_mass(fused.attention, batch.query_mask[there])

    def _clip_mean(self, values: Tensor, clip_mask: Tensor) -> Tensor:
        """Mean of values [B, L] over the clips that count."""
        counted = self._counted(clip_mask)
        return (values * counted).sum() / counted.sum()

    def _counted(self, mask: Tensor) -> Tensor:
        """What a loss term counts: what is real, or officially padding as well."""
        return torch.ones_like(mask) if self.options.official_padding else mask


OFFICIAL_KEYS = [
    *encoder_keys("transformer.mcls_encoder", "correlate.moment.encoder"),
    *encoder_keys("transformer.t2v_encoder", "cross_encoder"),
    *encoder_keys("transformer.encoder", "encoder"),
    *encoder_keys("txtproj_encoder", "dummies.encoder"),
    *encoder_keys("scls_encoder", "correlate.sentence.encoder"),
    *anchor_decoder_keys("transformer.decoder", "decoder"),
    (r"transformer[.]decoder[.]bbox_embed[.](.+)", r"refine.\1"),
    (r"query_embed[.]weight", r"anchors.weight"),
    (r"token_type_embeddings[.]weight", r"token_types"),
    (r"global_rep_token", r"prompts"),
    (r"global_rep_pos", r"prompt_position"),
    (r"dummy_rep_token", r"dummies.tokens"),
    (r"dummy_rep_pos", r"dummies.places"),
    (r"moment_rep_token", r"correlate.moment.token"),
    (r"moment_rep_pos", r"correlate.moment.place"),
    (r"sent_rep_token", r"correlate.sentence.token"),
    (r"sent_rep_pos", r"correlate.sentence.place"),
    (r"txt_proj_linear[.]LayerNorm[.](\w+)", r"unused_projection.norm.\1"),
    (r"txt_proj_linear[.]net[.]1[.](\w+)", r"unused_projection.linear.\1"),
    (r"saliency_proj1[.](\w+)", r"saliency_head.clips.\1"),
    (r"saliency_proj2[.](\w+)", r"saliency_head.summary.\1"),
    *surrounding_keys(),
]
CHARADES: Mapping[str, Any] = {"chosen_prompts": 2, "saliency": 4.0}
# The saliency term keeps its published weight, as in QD-DETR. Dummies are fewer, as the sentences there are short.
SMALL: Mapping[str, Any] = {
    **SMALL_DETR,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "dummies": 10,
    "query_dropout": 0.0,
}
# The official rate falls after 400 epochs, for TACoS after 200; there are 200.
TRAINING: Mapping[str, Any] = {**TRAINING_DETR, "learning_rate": 2.0e-4}
OFFICIAL_OPTIONS = {
    "t2v_layers": "cross_layers",
    "sent_layers": "sentence_layers",
    "moment_layers": "moment_layers",
    "dummy_layers": "dummy_layers",
    "num_dummies": "dummies",
    "total_prompts": "prompts",
    "num_prompts": "chosen_prompts",
    "lw_wattn": "attention",
    "lw_ms_align": "alignment",
    "lw_distill": "distillation",
}

SPEC = BackboneSpec(
    name="cg_detr",
    summary="CG-DETR: clips read the query as far as it concerns them, slots refine anchors (2023)",
    source="https://github.com/wjun0830/CGDETR",
    options=CgDetrOptions,
    build=CgDetr,
    axis="clips",
    capabilities=frozenset({"encode", "distill"}),
    presets={
        "published_qvhighlights": {},
        "published_charades": CHARADES,
        "published_charades_vgg": {**CHARADES, "dropout": 0.2},
        "published_tacos": {**CHARADES, "dummies": 50},
        "small": SMALL,
    },
    training={
        "published_qvhighlights": TRAINING_DETR,
        "published_charades": TRAINING,
        "published_charades_vgg": {**TRAINING, "batch_size": 16},
        "published_tacos": TRAINING,
        "small": SMALL_TRAINING,
    },
    key_map=rename_keys(OFFICIAL_KEYS),
    options_from_official=rename_options({**DETR_OPTIONS, **OFFICIAL_OPTIONS}, DETR_ONLY),
)


@hookimpl
def vmr_backbones() -> Iterable[BackboneSpec]:
    """Offer CG-DETR."""
    return [SPEC]
