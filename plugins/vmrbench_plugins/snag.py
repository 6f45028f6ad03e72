"""SnAG.

Paper: Mu, Mo, Li, SnAG: Scalable and Accurate Video Grounding, 2024.
Code: github.com/fmu2/snag_release at 44dd90eea9a65b64f7088974eae352c1e26ef6e3; no licence, so this module
was written without its code: from a description of what it computes, names of its tensors, and stored values.

An official checkpoint is a dict with `model` and `model_ema`, the moving average (0.999) of the weights. Load
`model_ema`: the published numbers are of it.

What differs, and why:
- levels of the pyramid stand side by side when they are fused and read: the query is projected once for all of them;
- windows of attention are cut in blocks of their own, so that videos need no padding; results are the same, because
  the official model, too, reads nothing of padding (a video longer than `places` keeps its stretched positions);
- the losses are divided by the number of positive points of the batch, not by a moving average of it that starts at
  400: a loss without a memory makes a resumed run equal to a straight one (`loss_norm` sets a constant);
- points start with a reach of about one stride (ours), because one without any learns nothing;
- a query with several moments teaches a point the shortest that fits, as in ActionFormer; the published data has one;
- sliding windows over very long videos are left out: a video is read whole.

What is not known: number of heads and limits of levels leave no trace in weights, so every preset has those of the
stored case. How the query of `published_ego4d` is pooled was inferred from shapes and multiply-adds and is compared
with no stored output: its weights load, what they predict is unchecked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from vmrbench import hookimpl
from vmrbench.errors import ConfigError
from vmrbench.option_types import Count, CountOrZero, NotNegative, Positive, Share, ShareBelowOne
from vmrbench.parts.covering import covering_maximum
from vmrbench.parts.key_map import rename_keys
from vmrbench.parts.late_fusion import FusionLayer, PooledTokens, TokenEncoder
from vmrbench.parts.point_heads import PointHeads, Points, point_spans, pyramid_points
from vmrbench.parts.point_losses import distance_iou_loss, point_targets, smoothed_focal_loss
from vmrbench.parts.pyramid import Level, Residuals, VideoPyramid
from vmrbench.parts.row_layers import RowNorm
from vmrbench.parts.suppression import Suppression, suppress
from vmrbench.specs import BackboneSpec, Dims
from vmrbench.trim.labels import moment_spans
from vmrbench.types import AxisMoments, Batch, DistillTargets
from vmrbench_plugins._snag_keys import OFFICIAL_KEYS

# Tokens [B, T, D] and their mask [B, T].
EncodedQuery = tuple[Tensor, Tensor]


@dataclass(frozen=True, kw_only=True)
class SnagOptions:
    """Published configuration for Charades-STA with I3D features.

    hidden, text_hidden: widths of video and query; heads: of attention; convs: of the video's embedding; stem: blocks
    before the pyramid; levels: of the pyramid; window: rows that a row attends to, odd; places: clips that positions
    know; text_encoder: `transformer` of text_layers blocks, or `pooled`; fusion_layers, modulation: how rows read the
    query; head_layers: of the heads; dropout, drop_path: in training; branch_scale: of residual branches at the start;
    level_reach, level_overlap: which moments a level is taught, see `pyramid_points`; radius: of points around the
    middle of a moment that answer for it, in strides; smoothing: of labels; loss_norm: what sums of losses are divided
    by, 0 for the number of points that answer; candidates: points that suppression looks at; shortest: moments no
    longer than this are dropped, in clips; suppression: of overlapping moments.
    """

    hidden: Count = 256
    text_hidden: Count = 128
    heads: Count = 4
    convs: Count = 2
    stem: CountOrZero = 1
    levels: Count = 6
    window: Count = 5
    places: Count = 256
    text_encoder: Literal["transformer", "pooled"] = "transformer"
    text_layers: CountOrZero = 5
    fusion_layers: CountOrZero = 2
    modulation: Literal["affine", "adaln"] = "affine"
    head_layers: Count = 2
    dropout: ShareBelowOne = 0.1
    drop_path: ShareBelowOne = 0.1
    branch_scale: NotNegative = 1e-4
    level_reach: Positive = 4.0
    level_overlap: Share = 0.5
    radius: Positive = 1.5
    smoothing: Share = 0.2
    loss_norm: NotNegative = 0.0
    candidates: Count = 2000
    shortest: NotNegative = 0.1
    suppression: Suppression = field(default_factory=Suppression)

    def __post_init__(self) -> None:
        if self.window % 2 == 0 or self.window < 3:
            raise ConfigError(f"snag: window {self.window}; expected an odd number of rows, 3 or more")


@dataclass(frozen=True, kw_only=True)
class EncodedVideo:
    """B videos, or one for any number of queries.

    rows: [B, P, D] of all levels, one behind the other; row_mask: [B, P] true for real rows; points: what they are.
    """

    rows: Tensor
    row_mask: Tensor
    points: Points


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """logits: [B, P]; offsets: [B, P, 2] in strides; point_mask: [B, P] true for real points; points: where they
    stand; clips: [B, L, D] fused rows of the finest level.
    """

    logits: Tensor
    offsets: Tensor
    point_mask: Tensor
    points: Points
    clips: Tensor


class Snag(nn.Module):
    """A pyramid of the video, made once, that every query modulates before each of its points votes for a moment."""

    def __init__(self, options: SnagOptions, dims: Dims) -> None:
        super().__init__()
        self.options = options
        width, text, heads = options.hidden, options.text_hidden, options.heads
        residuals = Residuals(dropout=options.dropout, drop_path=options.drop_path, branch_scale=options.branch_scale)
        self.pyramid = VideoPyramid(
            dims.video,
            width,
            heads,
            options.window // 2,
            residuals,
            convs=options.convs,
            stem=options.stem,
            levels=options.levels,
            places=options.places,
        )
        self.text_encoder = (
            TokenEncoder(dims.text, text, options.text_layers, heads, residuals)
            if options.text_encoder == "transformer"
            else PooledTokens(dims.text, text, heads)
        )
        self.fusion = nn.ModuleList(
            FusionLayer(width, text, heads, options.modulation, residuals) for _ in range(options.fusion_layers)
        )
        self.fusion_norm = RowNorm(width)
        self.heads = PointHeads(width, options.head_layers, options.levels)

    @property
    def embedding_width(self) -> int:
        """Width of what `encode` returns."""
        return self.options.hidden

    def forward(self, batch: Batch) -> Outputs:
        """What every point of each video answers to its query."""
        return self.answer(self.encode_video(batch), batch)

    def encode_video(self, batch: Batch) -> EncodedVideo:
        """Everything of `forward` that does not depend on the query."""
        return self._side_by_side(self.pyramid(batch.clips, batch.clip_mask))

    def answer(self, video: EncodedVideo, batch: Batch) -> Outputs:
        """The rest of `forward`; of `batch` it reads the queries, and the number of clips."""
        point_mask = video.row_mask.expand(len(batch.query), -1)
        rows = self._fuse(video, self.encode_query(batch))
        logits, offsets = self.heads(rows, point_mask, video.points)
        clips = rows[:, : batch.clips.shape[1]]
        return Outputs(logits=logits, offsets=offsets, point_mask=point_mask, points=video.points, clips=clips)

    def loss(self, outputs: Outputs, batch: Batch) -> Mapping[str, Tensor]:
        """`label`: which points answer for a moment; `span`: how far it reaches from them."""
        options, points = self.options, outputs.points
        answers, wanted = point_targets(points, outputs.point_mask, moment_spans(batch), options.radius)
        norm = answers.sum().clamp(min=1) if options.loss_norm == 0 else options.loss_norm
        label = smoothed_focal_loss(outputs.logits, answers, outputs.point_mask, options.smoothing, 0.5)
        span = distance_iou_loss(point_spans(outputs.offsets, points), wanted, answers)
        return {"label": label / norm, "span": span / norm}

    def predict(self, outputs: Outputs, batch: Batch) -> AxisMoments:
        """A few moments that overlap little, best first, scored by the probability of their points."""
        options = self.options
        spans = point_spans(outputs.offsets, outputs.points)
        scores = outputs.logits.sigmoid()
        usable = outputs.point_mask & (scores > options.suppression.min_score)
        count = min(options.candidates, scores.shape[1])
        best, index = scores.masked_fill(~usable, -torch.inf).topk(count, dim=1)
        spans = spans.gather(1, index[..., None].expand(-1, -1, 2))
        best = best.masked_fill(spans[..., 1] - spans[..., 0] <= options.shortest, -torch.inf)
        kept, ranks = suppress(spans, best, options.suppression)
        ends = batch.lengths.to(kept.dtype)[:, None, None]
        return AxisMoments(spans=torch.minimum(kept.clamp(min=0), ends), scores=ranks)

    def encode_query(self, batch: Batch) -> EncodedQuery:
        """Encoded tokens of the query, and which of them are real."""
        encoded: EncodedQuery = self.text_encoder(batch.query, batch.query_mask)
        return encoded

    def encode(self, batch: Batch, query: EncodedQuery) -> Tensor:
        """[B, L, D] clips at the finest level, fused with the query; a padded row holds nothing of use."""
        return self._fuse(self._side_by_side(self.pyramid(batch.clips, batch.clip_mask, levels=1)), query)

    def distill_targets(self, outputs: Outputs, batch: Batch) -> DistillTargets:
        """Fused clips; for each the best point whose moment holds its middle, or its own; and all points."""
        start, end = point_spans(outputs.offsets, outputs.points).unbind(-1)
        count = batch.clips.shape[1]
        # The middle of clip i is at i + 0.5.
        first, last = (start - 0.5).clamp(0, count).ceil(), (end - 0.5).clamp(-1, count - 1).floor()
        holds = (first <= last) & outputs.point_mask
        ends = [torch.where(holds, place, 0).long() for place in (first, last)]
        covering = covering_maximum(outputs.logits.masked_fill(~holds, -torch.inf), ends[0], ends[1], count)
        return DistillTargets(
            embedding=outputs.clips,
            saliency=torch.maximum(covering, outputs.logits[:, :count]),
            candidates=outputs.logits,
            candidate_mask=outputs.point_mask,
        )

    def _side_by_side(self, levels: Sequence[Level]) -> EncodedVideo:
        rows = torch.cat([level.rows for level in levels], dim=1)
        sizes = [level.rows.shape[1] for level in levels]
        points = pyramid_points(sizes, self.options.level_reach, self.options.level_overlap, rows.device)
        return EncodedVideo(rows=rows, row_mask=torch.cat([level.row_mask for level in levels], dim=1), points=points)

    def _fuse(self, video: EncodedVideo, query: EncodedQuery) -> Tensor:
        """[B, P, D] rows of the video that have read the query."""
        tokens, token_mask = query
        row_mask = video.row_mask.expand(len(tokens), -1)
        rows = video.rows.expand(len(tokens), -1, -1)
        for layer in self.fusion:
            rows = layer(rows, row_mask, video.points.sizes, tokens, token_mask)
        out: Tensor = self.fusion_norm(rows)
        return out


LONG: Mapping[str, Any] = {"stem": 0, "levels": 8, "window": 19, "places": 2304}
# Ours, for small features and few epochs on a CPU.
SMALL: Mapping[str, Any] = {
    "hidden": 64,
    "text_hidden": 64,
    "convs": 1,
    "stem": 0,
    "levels": 4,
    "window": 9,
    "places": 64,
    "text_layers": 1,
    "fusion_layers": 1,
    "head_layers": 1,
    "dropout": 0.0,
    "drop_path": 0.0,
    "branch_scale": 1.0,
    "suppression": {"moments": 10},
}
PUBLISHED: Mapping[str, Any] = {"clip_norm": 1.0, "ema": 0.999, "schedule": "constant"}
# Epochs count warm-up; batches are of videos with up to four queries each, which here are rows of their own.
TRAINING: Mapping[str, Mapping[str, Any]] = {
    "published_charades": {
        **PUBLISHED,
        "base_epochs": 16,
        "batch_size": 8,
        "learning_rate": 5e-4,
        "weight_decay": 5e-4,
        "warmup_share": 5 / 16,
    },
    "published_tacos": {
        **PUBLISHED,
        "base_epochs": 15,
        "batch_size": 4,
        "learning_rate": 1e-3,
        "weight_decay": 0.05,
        "warmup_share": 5 / 15,
    },
    "published_activitynet": {**PUBLISHED, "batch_size": 16, "learning_rate": 2e-3},
    "small": {"base_epochs": 12, "learning_rate": 2e-3},  # 3e-3 did worse in one trial.
}

SPEC = BackboneSpec(
    name="snag",
    summary="SnAG: a pyramid of the video, made once for all its queries; every point of it votes for a moment (2024)",
    source="https://github.com/fmu2/snag_release",
    options=SnagOptions,
    build=Snag,
    axis="clips",
    capabilities=frozenset({"encode", "distill"}),
    presets={
        "published_charades": {},
        "published_tacos": LONG,
        "published_activitynet": {"hidden": 128, "stem": 0, "levels": 7, "modulation": "adaln"},
        "published_ego4d": {
            **LONG,
            "hidden": 384,
            "text_hidden": 768,
            "text_encoder": "pooled",
            "modulation": "adaln",
        },
        "small": SMALL,
    },
    training=TRAINING,
    key_map=rename_keys(OFFICIAL_KEYS),
)


@hookimpl
def vmr_backbones() -> Iterable[BackboneSpec]:
    """Offer SnAG."""
    return [SPEC]
