"""UniVTG.

Paper: Lin, Zhang, Chen, Pramanick, Gao, Wang, Yan, Shou, UniVTG: Towards Unified Video-Language Temporal Grounding,
2023. Code: github.com/showlab/UniVTG at 32659ac7aeba21742a63274f30eba785fc57e247; licence MIT.

What differs, and why:
- the sentence vector and the cosines of the highlight are computed in `loss` (and by `saliency`): moments need neither;
- the two temporal channels come from the batch's own times, so that trimmed videos keep theirs;
- videos are not cut to 75 clips, and features are not normalised here: both belong to the data;
- moments are not thinned: the official numbers are after an NMS at 0.7 that keeps ten;
- without saliency labels a clip inside a moment has grade 1, and the salient clip is drawn among these, as originally.

Bugs of the original, and what ours does:
- a clip's anchor stands half the seconds of a clip behind its start, but counted in clips: at its end where a clip has
  two seconds. `anchor` is a share of the clip, 1 as published; the preset `small` has the middle;
- the heads' convolutions read padded clips, so that the last clip depends on the other samples of its batch. Ours read
  zeros there (`official_padding` gives the published reading);
- the last term of the contrast within videos compares clips of equal number in different videos, by a softmax that was
  meant for something else. Kept, because the published weights were trained with it;
- a query whose moments no anchor lies in fails if it has several. Here each gets the clip nearest to its middle.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vmrbench import hookimpl
from vmrbench.option_types import Count, CountOrZero, NotNegative, Positive, ShareBelowOne
from vmrbench.parts.anchor_losses import anchor_label_loss, anchor_span_losses
from vmrbench.parts.context_query import WeightedPool
from vmrbench.parts.contrast import cosines, salient_contrast
from vmrbench.parts.convolution import ConvolutionStack
from vmrbench.parts.encoder import Encoder
from vmrbench.parts.heads import input_projection
from vmrbench.parts.key_map import rename_keys
from vmrbench.parts.official_options import rename_options
from vmrbench.parts.position import LearnedPosition, sine_position
from vmrbench.parts.saliency import draw_clips
from vmrbench.parts.temporal import clip_rows
from vmrbench.parts.top_moments import top_moments
from vmrbench.specs import BackboneSpec, Dims
from vmrbench.trim.anchor_labels import anchor_labels, anchors
from vmrbench.types import AxisMoments, Batch, DistillTargets

TEXT, VIDEO = 0, 1


@dataclass(frozen=True, kw_only=True)
class UniVtgWeights:
    """Weights of the terms, and of a clip outside every moment inside the label term."""

    span: NotNegative = 10.0
    giou: NotNegative = 1.0
    label: NotNegative = 10.0
    outside: NotNegative = 0.1
    within: NotNegative = 0.05
    between: NotNegative = 0.01


@dataclass(frozen=True, kw_only=True)
class UniVtgOptions:
    """Published configuration for QVHighlights.

    hidden: width of the transformer; heads: of attention; layers: of the encoder; inner: width of the feed-forward
    blocks; projections: layers of each input projection; head_layers, kernel: convolutions of each head and their odd
    length; dropout: in the encoder; drop_path: rate at which its residual branches are dropped whole; input_dropout:
    before each input projection; scale_rows: divide every row by the square root of its width; tef: append each clip's
    start and end as fractions of the video; text_position: learned positions for query tokens; max_tokens: how many it
    knows; anchor: where in a clip its anchor stands, 0 at the start, 1 at the end; official_padding: let the heads read
    padded clips, as published; top_k: moments predicted, at most one a clip; temperature: of the contrast; weights: of
    the loss terms.
    """

    hidden: Count = 1024
    heads: Count = 8
    layers: CountOrZero = 4
    inner: Count = 1024
    projections: CountOrZero = 2
    head_layers: Count = 3
    kernel: Count = 3
    dropout: ShareBelowOne = 0.0
    drop_path: ShareBelowOne = 0.1
    input_dropout: ShareBelowOne = 0.5
    scale_rows: bool = False
    tef: bool = True
    text_position: bool = False
    max_tokens: Count = 75
    anchor: NotNegative = 1.0
    official_padding: bool = False
    top_k: Count = 100
    temperature: Positive = 0.07
    weights: UniVtgWeights = UniVtgWeights()


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What every clip predicts.

    logits: [B, L] of "belongs to a moment"; reach: [B, L, 2] how far that moment reaches to the left (negative) and to
    the right of the clip's anchor, as fractions of the clip axis; memory: [B, L, D] encoded clips; clips: [B, L, D] and
    tokens: [B, T, D] before the encoder.
    """

    logits: Tensor
    reach: Tensor
    memory: Tensor
    clips: Tensor
    tokens: Tensor


class UniVtg(nn.Module):
    """Encoder over clips and query together; every clip says whether it is in a moment, and how far that reaches."""

    unused_parameters = ("text_position.",)

    def __init__(self, options: UniVtgOptions, dims: Dims) -> None:
        super().__init__()
        self.options = options
        width = options.hidden
        video = dims.video + (2 if options.tef else 0)
        self.video_projection = input_projection(video, width, options.projections, options.input_dropout)
        self.text_projection = input_projection(dims.text, width, options.projections, options.input_dropout)
        self.text_position = LearnedPosition(options.max_tokens, width, options.input_dropout)
        self.kind = nn.Embedding(2, width)
        nn.init.normal_(self.kind.weight, std=0.02)
        self.encoder = Encoder(
            options.layers,
            width,
            options.heads,
            options.inner,
            options.dropout,
            activation="gelu",
            drop_path=options.drop_path,
        )
        for weight in self.encoder.parameters():
            if weight.dim() > 1:
                nn.init.xavier_uniform_(weight)
        between = [width] * options.head_layers
        self.label_head = ConvolutionStack(*between, 1, kernel=options.kernel)
        self.reach_head = ConvolutionStack(*between, 2, kernel=options.kernel)
        self.pool = WeightedPool(width)

    @property
    def embedding_width(self) -> int:
        """Width of what `encode` returns."""
        return self.options.hidden

    def forward(self, batch: Batch) -> Outputs:
        """What every clip predicts, and what training reads besides."""
        clips, tokens = self._clips(batch), self.encode_query(batch)
        memory = self._encode(clips, tokens, batch)
        read = None if self.options.official_padding else batch.clip_mask
        left, right = self.reach_head(memory, read).sigmoid().unbind(-1)
        return Outputs(
            logits=self.label_head(memory, read)[..., 0],
            reach=torch.stack([-left, right], dim=-1),
            memory=memory,
            clips=clips,
            tokens=tokens,
        )

    def loss(self, outputs: Outputs, batch: Batch) -> Mapping[str, Tensor]:
        """Weighted terms: span and giou of clips inside a moment, label of all, contrast within and between videos.

        `batch.extra` may hold `saliency_all` [B, L], how salient a clip is, and `saliency_pos` [B, P], whose first
        column is the salient clip; without them both come from the moments.
        """
        labels, weights = anchor_labels(batch, self.options.anchor), self.options.weights
        span, giou = anchor_span_losses(self._moments(outputs, batch), labels.spans, labels.inside)
        label = anchor_label_loss(outputs.logits, labels.inside, batch.clip_mask, weights.outside)
        within, between = self._contrast(outputs, labels.inside, batch)
        return {
            "span": weights.span * span,
            "giou": weights.giou * giou,
            "label": weights.label * label,
            "within": weights.within * within,
            "between": weights.between * between,
        }

    def predict(self, outputs: Outputs, batch: Batch) -> AxisMoments:
        """The `top_k` best of the moments that the clips give, scored by the probability that the clip is in one."""
        spans = self._moments(outputs, batch).clamp(0, 1) * batch.lengths[:, None, None]
        scores = outputs.logits.sigmoid().masked_fill(~batch.clip_mask, -torch.inf)
        return top_moments(spans, scores, self.options.top_k)

    def saliency(self, outputs: Outputs, batch: Batch) -> Tensor:
        """[B, L] highlight of every clip: its cosine with the sentence, both before the encoder."""
        return cosines(outputs.clips, self.pool(outputs.tokens, batch.query_mask))

    def encode_query(self, batch: Batch) -> Tensor:
        """[B, T, D] tokens of the query, marked as such."""
        tokens: Tensor = self.text_projection(batch.query) + self.kind.weight[TEXT]
        return tokens

    def encode(self, batch: Batch, query: Tensor) -> Tensor:
        """[B, L, D] clips as the encoder leaves them; a padded row holds nothing of use."""
        return self._encode(self._clips(batch), query, batch)

    def distill_targets(self, outputs: Outputs, batch: Batch) -> DistillTargets:
        """Encoded clips, and the label of every clip, as its saliency and as the candidate that it is."""
        return DistillTargets(
            embedding=outputs.memory,
            saliency=outputs.logits,
            candidates=outputs.logits,
            candidate_mask=batch.clip_mask,
        )

    def _clips(self, batch: Batch) -> Tensor:
        """[B, L, D] clips in the width of the encoder, marked as such."""
        rows = clip_rows(batch, scale_rows=self.options.scale_rows, tef=self.options.tef)
        clips: Tensor = self.video_projection(rows) + self.kind.weight[VIDEO]
        return clips

    def _encode(self, clips: Tensor, tokens: Tensor, batch: Batch) -> Tensor:
        placed = self.text_position(tokens) if self.options.text_position else torch.zeros_like(tokens)
        position = torch.cat([sine_position(batch.clip_mask, self.options.hidden).to(clips.dtype), placed], dim=1)
        mask = torch.cat([batch.clip_mask, batch.query_mask], dim=1)
        memory: Tensor = self.encoder(torch.cat([clips, tokens], dim=1), position, mask)
        return memory[:, : clips.shape[1]]

    def _moments(self, outputs: Outputs, batch: Batch) -> Tensor:
        """[B, L, 2] the moment of every clip, as fractions of the clip axis, beyond its ends too."""
        return anchors(batch, self.options.anchor)[..., None] + outputs.reach

    def _contrast(self, outputs: Outputs, inside: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Contrast of a salient clip within its video, and between videos."""
        grades = batch.extra.get("saliency_all", inside.to(outputs.logits.dtype))
        salient = batch.extra["saliency_pos"] if "saliency_pos" in batch.extra else draw_clips(inside, 1)
        sentences, heat = self.pool(outputs.tokens, batch.query_mask), self.options.temperature
        return salient_contrast(outputs.clips, sentences, grades, batch.clip_mask, salient[:, 0], heat)


LAYER = r"transformer[.]encoder[.]layers[.](\d+)[.]"
OFFICIAL_KEYS = [
    (rf"{LAYER}self_attn[.](.+)", r"encoder.layers.\1.attention.\2"),
    (rf"{LAYER}linear1[.](\w+)", r"encoder.layers.\1.feed_forward.expand.\2"),
    (rf"{LAYER}linear2[.](\w+)", r"encoder.layers.\1.feed_forward.contract.\2"),
    (rf"{LAYER}(norm\d[.]\w+)", r"encoder.layers.\1.\2"),
    (r"txt_position_embed[.]position_embeddings[.]weight", r"text_position.embedding.weight"),
    (r"txt_position_embed[.]LayerNorm[.](\w+)", r"text_position.norm.\1"),
    (r"token_type_embeddings[.]weight", r"kind.weight"),
    (r"input_vid_proj[.](\d+)[.]LayerNorm[.](\w+)", r"video_projection.\1.norm.\2"),
    (r"input_vid_proj[.](\d+)[.]net[.]1[.](\w+)", r"video_projection.\1.linear.\2"),
    (r"input_txt_proj[.](\d+)[.]LayerNorm[.](\w+)", r"text_projection.\1.norm.\2"),
    (r"input_txt_proj[.](\d+)[.]net[.]1[.](\w+)", r"text_projection.\1.linear.\2"),
    (r"span_embed[.](layers[.]\d+[.]\w+)", r"reach_head.\1"),
    (r"class_embed[.](layers[.]\d+[.]\w+)", r"label_head.\1"),
    (r"weightedpool[.]weight", r"pool.weight"),
]
# Ours, for small features on a CPU; scaled rows let the two time channels be seen beside features of unit variance.
SMALL: Mapping[str, Any] = {
    "hidden": 64,
    "heads": 4,
    "layers": 2,
    "inner": 128,
    "drop_path": 0.0,
    "input_dropout": 0.0,
    "scale_rows": True,
    "anchor": 0.5,
}
# The rate drops every 80 epochs in the original, after epoch 160 a second time.
TRAINING: Mapping[str, Mapping[str, Any]] = {
    "published_qvhighlights": {
        "base_epochs": 200,
        "batch_size": 32,
        "learning_rate": 1e-4,
        "weight_decay": 1e-4,
        "warmup_share": 0.05,
        "schedule": "step",
        "drop_epoch": 80,
        "clip_norm": 0.1,
    },
    "small": {"base_epochs": 9, "batch_size": 16, "learning_rate": 1e-3},
}
OFFICIAL_OPTIONS = {
    "hidden_dim": "hidden",
    "nheads": "heads",
    "enc_layers": "layers",
    "dim_feedforward": "inner",
    "n_input_proj": "projections",
    "dropout": "dropout",
    "input_dropout": "input_dropout",
    "use_tef": "tef",
    "use_txt_pos": "text_position",
    "max_q_l": "max_tokens",
    "temperature": "temperature",
    "b_loss_coef": "weights.span",
    "g_loss_coef": "weights.giou",
    "f_loss_coef": "weights.label",
    "eos_coef": "weights.outside",
    "s_loss_intra_coef": "weights.within",
    "s_loss_inter_coef": "weights.between",
}
ONLY = {"pre_norm": False, "position_embedding": "sine", "span_loss_type": "l1"}

SPEC = BackboneSpec(
    name="univtg",
    summary="UniVTG: every clip says whether it belongs to a moment, and how far that reaches (2023)",
    source="https://github.com/showlab/UniVTG",
    options=UniVtgOptions,
    build=UniVtg,
    axis="clips",
    capabilities=frozenset({"encode", "distill"}),
    presets={"published_qvhighlights": {}, "small": SMALL},
    training=TRAINING,
    key_map=rename_keys(OFFICIAL_KEYS),
    options_from_official=rename_options(OFFICIAL_OPTIONS, ONLY),
)


@hookimpl
def vmr_backbones() -> Iterable[BackboneSpec]:
    """Offer UniVTG."""
    return [SPEC]
