"""EaTR.

Paper: Jang, Park, Kim, Kwon, Sohn, Knowing Where to Focus: Event-aware Transformer for Video Grounding, 2023.
Code: github.com/jinhyunj/EaTR at 384f09396a32741a73106d2e147bde54cbcce48f; licence MIT.

What differs, and why:
- heads of auxiliary layers run in `loss` only, and after the last layer anchors are not moved once more: inference
  reads neither;
- events are looked for in `loss` only: the official forward does it at inference too, which does not read them; there
  is one more pass of their head over normalised slots, which serves their loss alone and is left out likewise;
- how much changes around a clip is computed from differences of clips, not from all pairs of them: the same number;
- the two temporal channels come from the batch's own times, so that trimmed videos keep theirs;
- videos are not cut to 75 clips, and features are not normalised here: both belong to the data;
- without saliency labels the ranked pairs are drawn from the moments, see `vmrbench.trim.saliency_labels`;
- the contrastive alignment term, off in the published configuration, is left out.

Bugs of the original, and what ours does; the option `official_padding` reproduces them:
- scores of padded clips are masked before a softmax over slots, so that every slot reads every padded clip to an equal
  share: ours reads none;
- the sentence is the maximum over tokens, padded ones too: ours is that of real ones;
- the threshold of what counts as a boundary between events is a mean over padded clips too, and a padded clip may be
  one: ours looks at real clips;
- the last boundary of a batch is paired with its first, which gives a batch of odd size, also of one sample, an event
  that is none: ours pairs boundaries of one video only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from vmrbench import hookimpl
from vmrbench.option_types import Count, CountOrZero, NotNegative, ShareBelowOne
from vmrbench.parts.anchor_decoder import AnchorDecoder, refining_head
from vmrbench.parts.criterion import SetWeights, set_losses, span_losses
from vmrbench.parts.detr_keys import anchor_decoder_keys, encoder_keys, surrounding_keys
from vmrbench.parts.encoder import Encoder
from vmrbench.parts.gated_fusion import GatedFusion
from vmrbench.parts.heads import SlotHeads, input_projection
from vmrbench.parts.initial_weights import xavier_weights
from vmrbench.parts.key_map import rename_keys
from vmrbench.parts.matcher import MatchCosts, match_slots
from vmrbench.parts.official_options import DETR_ONLY, DETR_OPTIONS, rename_options
from vmrbench.parts.position import LearnedPosition, sine_position
from vmrbench.parts.pseudo_events import pseudo_events
from vmrbench.parts.saliency import saliency_hinge
from vmrbench.parts.slot_attention import SlotAttention
from vmrbench.parts.slots import Slots, slot_moments
from vmrbench.parts.temporal import clip_rows
from vmrbench.spans import span_to_centre_width
from vmrbench.specs import BackboneSpec, Dims
from vmrbench.trim.labels import moment_fractions
from vmrbench.trim.saliency_labels import ranked_pairs
from vmrbench.trim.slot_targets import slot_targets
from vmrbench.types import AxisMoments, Batch, DistillTargets
from vmrbench_plugins._detr_presets import SMALL as SMALL_DETR
from vmrbench_plugins._detr_presets import SMALL_TRAINING, TRAINING


@dataclass(frozen=True, kw_only=True)
class EatrOptions:
    """Published configuration for QVHighlights.

    hidden: width of the transformer; heads: of attention; encoder_layers, decoder_layers; inner: width of the
    feed-forward blocks; slots: moments predicted; rounds: how often slots read the clips to become events;
    projections: layers of each input projection; dropout: in the transformer; input_dropout: before each input
    projection; scale_rows: divide every row by the square root of its width; tef: append each clip's start and end as
    fractions of the video; text_position: learned positions for query tokens; max_tokens: how many it knows; match:
    costs of the matching; weights: of the loss terms; events: what weights of span and giou are multiplied by for
    events; saliency, margin, pairs: weight, margin and pairs a sample of the saliency term; official_padding: do as
    the official code does where that depends on padding and on neighbours in the batch.
    """

    hidden: Count = 256
    heads: Count = 8
    encoder_layers: CountOrZero = 3
    decoder_layers: Count = 3
    inner: Count = 1024
    slots: Count = 10
    rounds: CountOrZero = 3
    projections: CountOrZero = 2
    dropout: ShareBelowOne = 0.1
    input_dropout: ShareBelowOne = 0.5
    scale_rows: bool = False
    tef: bool = True
    text_position: bool = False
    max_tokens: Count = 32
    match: MatchCosts = field(default_factory=MatchCosts)
    weights: SetWeights = field(default_factory=SetWeights)
    events: NotNegative = 3.0
    saliency: NotNegative = 1.0
    margin: NotNegative = 0.2
    pairs: Count = 2
    official_padding: bool = False


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """slots: of the last layer; saliency: [B, L]; memory: [B, L, D] encoded clips.

    For training: events: [B, Q, D] slots that have read the clips; hidden, anchors: [layers, B, Q, ...] slots of every
    layer, normalised, and where they stood.
    """

    slots: Slots
    saliency: Tensor
    memory: Tensor
    events: Tensor
    hidden: Tensor
    anchors: Tensor


class Eatr(nn.Module):
    """Encoder over clips and query together; slots divide the clips into events, whence a decoder finds moments."""

    unused_parameters = ("text_position.",)

    def __init__(self, options: EatrOptions, dims: Dims) -> None:
        super().__init__()
        self.options = options
        width, drop, bug = options.hidden, options.dropout, options.official_padding
        layer = (width, options.heads, options.inner, drop)
        video = dims.video + (2 if options.tef else 0)
        self.video_projection = input_projection(video, width, options.projections, options.input_dropout)
        self.text_projection = input_projection(dims.text, width, options.projections, options.input_dropout)
        self.text_position = LearnedPosition(options.max_tokens, width, options.input_dropout)
        self.encoder = Encoder(options.encoder_layers, *layer)
        self.slot_attention = SlotAttention(options.slots, width, options.rounds, official_padding=bug)
        self.fusion = GatedFusion(width, drop)
        self.decoder = AnchorDecoder(options.decoder_layers, *layer, wide=True)
        xavier_weights(self.encoder, self.slot_attention, self.fusion, self.decoder)
        self.event_norm = nn.LayerNorm(width)
        self.event_head = refining_head(width)
        self.heads = SlotHeads(width)
        self.heads.span = refining_head(width)
        self.saliency_head = nn.Linear(width, 1)

    @property
    def embedding_width(self) -> int:
        """Width of what `encode` returns."""
        return self.options.hidden

    def forward(self, batch: Batch) -> Outputs:
        """Slots, saliency and what training reads besides."""
        clips, tokens = self.video_projection(self._rows(batch)), self.encode_query(batch)
        position = sine_position(batch.clip_mask, self.options.hidden).to(clips.dtype)
        memory, place, mask = self._encode(clips, tokens, position, batch)
        events = self.slot_attention(clips + position, batch.clip_mask)
        anchors, sentence = self.event_head(events).sigmoid(), self._sentence(tokens, batch.query_mask)
        decoded = self.decoder(
            anchors.detach(),
            self.heads.span,
            memory,
            place,
            mask,
            slots=events,
            fuse=lambda slots: self.fusion(slots, sentence),
        )
        # The head of the first layer, unlike that layer, passes a gradient to where it starts.
        stood = torch.cat([anchors[None], decoded.anchors[1:]])
        encoded = memory[:, : clips.shape[1]]
        return Outputs(
            slots=self.heads(decoded.hidden[-1], stood[-1]),
            saliency=self.saliency_head(encoded)[..., 0],
            memory=encoded,
            events=events,
            hidden=decoded.hidden,
            anchors=stood,
        )

    def loss(self, outputs: Outputs, batch: Batch) -> Mapping[str, Tensor]:
        """Weighted terms: span, giou and label of every decoder layer, event_span, event_giou, and saliency.

        `batch.extra` may hold `saliency_pos` and `saliency_neg` [B, P], clips to be ranked against each other;
        without them the pairs come from the moments.
        """
        truth = [span_to_centre_width(spans) for spans in moment_fractions(batch)]
        terms = set_losses(self.layer_slots(outputs), truth, self.options.match, self.options.weights)
        pairs = ranked_pairs(batch, self.options.pairs)
        terms["saliency"] = self.options.saliency * saliency_hinge(outputs.saliency, pairs, self.options.margin)
        return terms | self._event_losses(outputs, batch)

    def predict(self, outputs: Outputs, batch: Batch) -> AxisMoments:
        """One moment a slot, scored by the probability that the slot holds one."""
        return slot_moments(outputs.slots, batch.lengths)

    def encode_query(self, batch: Batch) -> Tensor:
        """[B, T, D] tokens of the query."""
        tokens: Tensor = self.text_projection(batch.query)
        return tokens

    def encode(self, batch: Batch, query: Tensor) -> Tensor:
        """[B, L, D] clips as the encoder leaves them; a padded row holds nothing of use."""
        clips = self.video_projection(self._rows(batch))
        position = sine_position(batch.clip_mask, self.options.hidden).to(clips.dtype)
        return self._encode(clips, query, position, batch)[0][:, : clips.shape[1]]

    def distill_targets(self, outputs: Outputs, batch: Batch) -> DistillTargets:
        """Encoded clips, saliency, and slots with their moments."""
        return slot_targets(outputs.slots, batch, embedding=outputs.memory, saliency=outputs.saliency)

    def layer_slots(self, outputs: Outputs) -> list[Slots]:
        """What every decoder layer predicts, the last one last."""
        return self.heads.of_layers(outputs.hidden, outputs.anchors, outputs.slots)

    def event_slots(self, outputs: Outputs) -> Slots:
        """The events that slots stand for before they are decoded; all of them count, so labels mean nothing."""
        spans = self.event_head(self.event_norm(outputs.events)).sigmoid()
        return Slots(logits=torch.zeros_like(spans), spans=spans)

    def _rows(self, batch: Batch) -> Tensor:
        return clip_rows(batch, scale_rows=self.options.scale_rows, tef=self.options.tef)

    def _encode(self, clips: Tensor, tokens: Tensor, position: Tensor, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Memory, position and mask of clips followed by query tokens, [B, L + T, ...]."""
        placed = self.text_position(tokens) if self.options.text_position else torch.zeros_like(tokens)
        place, mask = torch.cat([position, placed], dim=1), torch.cat([batch.clip_mask, batch.query_mask], dim=1)
        return self.encoder(torch.cat([clips, tokens], dim=1), place, mask), place, mask

    def _sentence(self, tokens: Tensor, token_mask: Tensor) -> Tensor:
        """[B, D] maximum over tokens."""
        if not self.options.official_padding:
            tokens = tokens.masked_fill(~token_mask[..., None], -torch.inf)
        return tokens.amax(1)

    def _event_losses(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        bug, costs = self.options.official_padding, replace(self.options.match, label=0.0)
        found = self.event_slots(outputs)
        events = pseudo_events(self._rows(batch), batch.clip_mask, official_padding=bug)
        terms = span_losses(found, events, match_slots(found, events, costs), self.options.weights)
        return {f"event_{name}": self.options.events * term for name, term in terms.items()}


OFFICIAL_KEYS = [
    *encoder_keys("transformer.encoder", "encoder"),
    (r"transformer[.]decoder[.]slot_atten[.]slots", r"slot_attention.slots"),
    (r"transformer[.]decoder[.]slot_atten[.]norm_inputs[.](\w+)", r"slot_attention.row_norm.\1"),
    (r"transformer[.]decoder[.]slot_atten[.]norm_slots[.](\w+)", r"slot_attention.slot_norm.\1"),
    (r"transformer[.]decoder[.]slot_atten[.]norm_mlp[.](\w+)", r"slot_attention.inner_norm.\1"),
    (r"transformer[.]decoder[.]slot_atten[.]norm_out[.](\w+)", r"slot_attention.out_norm.\1"),
    (r"transformer[.]decoder[.]slot_atten[.]project_q[.](\w+)", r"slot_attention.query.\1"),
    (r"transformer[.]decoder[.]slot_atten[.]project_k[.](\w+)", r"slot_attention.key.\1"),
    (r"transformer[.]decoder[.]slot_atten[.]project_v[.](\w+)", r"slot_attention.value.\1"),
    (r"transformer[.]decoder[.]slot_atten[.]mlp[.](.+)", r"slot_attention.inner.\1"),
    (r"transformer[.]decoder[.]layers[.]0[.]gate_cross_attn[.](.+)", r"fusion.cross_attention.\1"),
    (r"transformer[.]decoder[.]layers[.]0[.]gate_self_attn[.](.+)", r"fusion.self_attention.\1"),
    (r"transformer[.]decoder[.]layers[.]0[.]gate_(norm|linear)[.](\w+)", r"fusion.\1.\2"),
    (r"transformer[.]decoder[.]event_norm[.](\w+)", r"event_norm.\1"),
    *anchor_decoder_keys("transformer.decoder", "decoder"),
    # Two names each: the official decoder holds the heads as well.
    (r"(?:transformer[.]decoder[.])?event_span_embed[.](.+)", r"event_head.\1"),
    (r"(?:transformer[.]decoder[.])?moment_span_embed[.](.+)", r"heads.span.\1"),
    (r"saliency_proj[.](\w+)", r"saliency_head.\1"),
    *surrounding_keys(),
]
SMALL: Mapping[str, Any] = {**SMALL_DETR, "encoder_layers": 2, "decoder_layers": 2, "saliency": 4.0}
OFFICIAL_OPTIONS = {
    "num_slot_iter": "rounds",
    "event_coef": "events",
}

SPEC = BackboneSpec(
    name="eatr",
    summary="EaTR: slots divide the video into events, whence moments are found (2023)",
    source="https://github.com/jinhyunj/EaTR",
    options=EatrOptions,
    build=Eatr,
    axis="clips",
    capabilities=frozenset({"encode", "distill"}),
    presets={
        "published_qvhighlights": {},
        "small": SMALL,
    },
    training={
        "published_qvhighlights": {**TRAINING, "schedule": "step", "drop_epoch": 150},
        "small": SMALL_TRAINING,
    },
    key_map=rename_keys(OFFICIAL_KEYS),
    options_from_official=rename_options({**DETR_OPTIONS, **OFFICIAL_OPTIONS}, DETR_ONLY),
)


@hookimpl
def vmr_backbones() -> Iterable[BackboneSpec]:
    """Offer EaTR."""
    return [SPEC]
