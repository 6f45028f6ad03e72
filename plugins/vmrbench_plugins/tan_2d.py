"""2D-TAN.

Paper: Zhang, Peng, Fu, Luo, Learning 2D Temporal Adjacent Networks for Moment Localization with Natural Language, 2020.
Code: github.com/microsoft/2D-TAN at 2f7410f0de5e764ac7d84817f173732ef34e1545; licence MIT.

What differs, and why:
- resampling is a weight matrix inside the model, so that it runs on any device and can prefer expensive rows;
- a frame, and a grid clip, averages only its rows with expensive features where it has any (all rows: as published);
- the cell projection and the score run on live cells only: dead cells were multiplied by zero;
- so do the map's convolutions, for the cells that reach a live one of the last layer: 36.5% of the official
  multiply-adds of the convolutions at ActivityNet size, 39.0% at Charades, 40.0% at TACoS, with the same results;
- a bidirectional LSTM starts backwards at the last real token (`official_padding` gives the published reading);
- a query with several moments is compared with the one that a cell overlaps most; the published data has one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vmrbench import hookimpl
from vmrbench.errors import ConfigError
from vmrbench.option_types import Count, Share
from vmrbench.parts.grid import cells_to_rows, frame_membership, mean_weights, pool_frames
from vmrbench.parts.key_map import rename_keys
from vmrbench.parts.map_convolution import MapConvolution
from vmrbench.parts.overlap_loss import best_overlap, rescaled_overlap_loss
from vmrbench.parts.proposal_map import ProposalMap, sparse_cells
from vmrbench.parts.recurrent import LastStateLstm
from vmrbench.specs import BackboneSpec, Dims
from vmrbench.trim.axis import axis_to_seconds
from vmrbench.types import AxisMoments, Batch, DistillTargets


@dataclass(frozen=True, kw_only=True)
class Tan2dOptions:
    """Published configuration for ActivityNet Captions, pooled map.

    grid: clips of the map; num_frames: what a video is resampled to, a multiple of `grid`; hidden: width of the map;
    text_hidden, lstm_layers, bidirectional: of the query's LSTM; official_padding: let its backward half read padding,
    as published; proposals: how cells are made, `pool` or `conv`; scales: lengths a scale, steps doubling;
    map_layers, kernel: convolutions over the map and their odd side; min_iou, max_iou: overlap that counts as 0 and
    as 1; balanced_init: start the map's convolutions at a scale that keeps signals from fading (ours); top_k: moments
    predicted, 0 for every cell; encode_context: `encode` also gives the map's view of each clip.
    """

    grid: Count = 64
    num_frames: Count = 256
    hidden: Count = 512
    text_hidden: Count = 512
    lstm_layers: Count = 3
    bidirectional: bool = False
    official_padding: bool = False
    proposals: Literal["pool", "conv"] = "pool"
    scales: tuple[int, ...] = (16, 8, 8)
    map_layers: Count = 4
    kernel: Count = 9
    min_iou: Share = 0.5
    max_iou: Share = 1.0
    balanced_init: bool = False
    top_k: Count = 100
    encode_context: bool = True


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """logits: [B, C] of the live cells; context: [B, D, C] those cells after the map's convolutions."""

    logits: Tensor
    context: Tensor


class Tan2d(nn.Module):
    """A map of moments, fused with the query and smoothed by convolutions; every live cell is a candidate."""

    def __init__(self, options: Tan2dOptions, dims: Dims) -> None:
        super().__init__()
        check_geometry(options)
        self.options = options
        width = options.hidden
        self.frame_projection = nn.Conv1d(dims.video, width, 1)
        self.proposals = ProposalMap(options.grid, options.scales, options.proposals, width)
        self.text_encoder = LastStateLstm(
            dims.text,
            options.text_hidden,
            options.lstm_layers,
            bidirectional=options.bidirectional,
            reads_padding=options.official_padding,
        )
        self.text_projection = nn.Linear(options.text_hidden, width)
        self.cell_projection = nn.Conv2d(width, width, 1)
        cells = sparse_cells(options.grid, options.scales)
        # What `encode` asks of the map is read from the cells around its diagonal alone.
        diagonal = [first == last for first, last in cells]
        self.map_convolution = MapConvolution(cells, width, options.map_layers, options.kernel, part=diagonal)
        self.score = nn.Conv2d(width, 1, 1)
        if options.balanced_init:
            self.map_convolution.balance()

    @property
    def embedding_width(self) -> int:
        """Width of what `encode` returns."""
        return self.options.hidden * (2 if self.options.encode_context else 1)

    def forward(self, batch: Batch) -> Outputs:
        """Logits of the live cells, and the cells they were read from."""
        context = self.map_convolution(self._cells(batch, self.encode_query(batch)))
        return Outputs(logits=self.score(context[..., None])[:, 0, :, 0], context=context)

    def loss(self, outputs: Outputs, batch: Batch) -> Mapping[str, Tensor]:
        """Cross-entropy of every live cell against its overlap in seconds with the truth."""
        if batch.moments is None:
            raise ValueError("2d_tan: loss needs labels, and this batch has none")
        seconds = axis_to_seconds(self._cell_spans(batch), batch)
        overlap = best_overlap(seconds, batch.moments)
        return {"overlap": rescaled_overlap_loss(outputs.logits, overlap, self.options.min_iou, self.options.max_iou)}

    def predict(self, outputs: Outputs, batch: Batch) -> AxisMoments:
        """The `top_k` best cells, best first; overlapping ones are not thinned."""
        count = outputs.logits.shape[1]
        best = outputs.logits.topk(min(self.options.top_k or count, count), dim=1)
        spans = self._cell_spans(batch).gather(1, best.indices[..., None].expand(-1, -1, 2))
        return AxisMoments(spans=spans, scores=best.values.sigmoid())

    def encode_query(self, batch: Batch) -> Tensor:
        """[B, D] the query in the width of the map."""
        vector: Tensor = self.text_projection(self.text_encoder(batch.query, batch.query_mask))
        return vector

    def encode(self, batch: Batch, query: Tensor) -> Tensor:
        """[B, L, d] every clip fused with the query, then what the map says of it (`encode_context`); 0 on padding."""
        clips = F.relu(self.frame_projection(batch.clips.transpose(1, 2)))
        local = self._fuse(clips, query).transpose(1, 2) * batch.clip_mask[..., None]
        if not self.options.encode_context:
            return local
        single = self.map_convolution.of_part(self._cells(batch, query))
        return torch.cat([local, self._on_clips(single, batch)], dim=-1)

    def distill_targets(self, outputs: Outputs, batch: Batch) -> DistillTargets:
        """The map's diagonal and best covering cell, brought back to clips, and the logits of the live cells."""
        best = self.proposals.covering_maximum(outputs.logits)
        to_rows = cells_to_rows(batch.clip_mask, self.options.grid).to(best.dtype)
        return DistillTargets(
            embedding=self._on_clips(self.proposals.of_single_clips(outputs.context), batch),
            saliency=(to_rows @ best[..., None])[..., 0],
            candidates=outputs.logits,
            candidate_mask=torch.ones_like(outputs.logits, dtype=torch.bool),
        )

    def _cells(self, batch: Batch, query: Tensor) -> Tensor:
        """[B, D, C] live cells, fused with the query."""
        return self._fuse(self.proposals(self._grid_clips(batch)), query)

    def _grid_clips(self, batch: Batch) -> Tensor:
        """[B, D, N] rows to frames, projected, then frames to grid clips."""
        membership = frame_membership(batch.clip_mask, self.options.num_frames).to(batch.clips.dtype)
        weights, frame_fine = mean_weights(membership, batch.fine_weight.to(batch.clips.dtype))
        frames = F.relu(self.frame_projection((weights @ batch.clips).transpose(1, 2)))
        return pool_frames(frames, frame_fine, self.options.grid)

    def _fuse(self, items: Tensor, query: Tensor) -> Tensor:
        """[B, D, C] items [B, D, C] times the query [B, D], of length one."""
        return F.normalize(self.cell_projection(items[..., None])[..., 0] * query[..., None], dim=1)

    def _on_clips(self, single: Tensor, batch: Batch) -> Tensor:
        """[B, L, D] the moments of one grid clip [B, D, N] brought back to clips."""
        return cells_to_rows(batch.clip_mask, self.options.grid).to(single.dtype) @ single.transpose(1, 2)

    def _cell_spans(self, batch: Batch) -> Tensor:
        """[B, C, 2] live cells on the clip axis."""
        return self.proposals.spans * batch.lengths[:, None, None]


def check_geometry(options: Tan2dOptions) -> None:
    """Refuse a grid that its frames or scales do not fit.

    Raises:
        ConfigError: what does not fit, and what would.
    """
    if options.num_frames % options.grid:
        raise ConfigError(f"2d_tan: num_frames {options.num_frames} is not a multiple of grid {options.grid}")
    if options.kernel % 2 == 0:
        raise ConfigError(f"2d_tan: kernel {options.kernel} is even; the map keeps its size with an odd one")
    longest = sum(lengths * 2**scale for scale, lengths in enumerate(options.scales))
    if longest > options.grid:
        raise ConfigError(
            f"2d_tan: scales {options.scales} reach moments of {longest} clips on a grid of {options.grid}; "
            "the sum of scales[k] * 2**k must be at most grid"
        )


LSTM = r"(weight_ih|weight_hh|bias_ih|bias_hh)_l"
OFFICIAL_KEYS = [
    (r"frame_layer[.]vis_conv[.](\w+)", r"frame_projection.\1"),
    (r"prop_layer[.](layers[.]\d+[.]\d+[.]\w+)", r"proposals.\1"),
    (rf"fusion_layer[.]textual_encoder[.]{LSTM}(\d+)", r"text_encoder.forwards.\2.\1_l0"),
    (rf"fusion_layer[.]textual_encoder[.]{LSTM}(\d+)_reverse", r"text_encoder.backwards.\2.\1_l0"),
    (r"fusion_layer[.]tex_linear[.](\w+)", r"text_projection.\1"),
    (r"fusion_layer[.]vis_conv[.](\w+)", r"cell_projection.\1"),
    (r"map_layer[.](convs[.]\d+[.]\w+)", r"map_convolution.\1"),
    (r"pred_layer[.](\w+)", r"score.\1"),
]
CHARADES: Mapping[str, Any] = {"grid": 16, "scales": (16,), "map_layers": 8, "kernel": 5}
TACOS: Mapping[str, Any] = {
    "grid": 128,
    "scales": (16, 8, 8, 8),
    "map_layers": 8,
    "kernel": 5,
    "min_iou": 0.3,
    "max_iou": 0.7,
}
# Ours, for few epochs on a CPU: a coarse map with small kernels.
SMALL: Mapping[str, Any] = {
    "grid": 32,
    "num_frames": 64,
    "hidden": 48,
    "text_hidden": 96,
    "lstm_layers": 1,
    "bidirectional": True,
    "scales": (8, 4, 4),
    "map_layers": 2,
    "kernel": 3,
    "min_iou": 0.3,
    "max_iou": 0.7,
    "balanced_init": True,
}
# The same for every data set. Published with Adam, whose rate falls by a fifth while minus the validation loss does not
# get better for 20 epochs: by the sign it falls on and on as the model learns. A constant rate stands in for that.
PUBLISHED: Mapping[str, Any] = {
    "base_epochs": 100,
    "batch_size": 32,
    "learning_rate": 1e-4,
    "weight_decay": 0.0,
    "warmup_share": 0.0,
    "schedule": "constant",
    "clip_norm": 10.0,
}
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "published_activitynet_pool": {},
    "published_activitynet_conv": {"proposals": "conv"},
    "published_charades_pool": CHARADES,
    "published_charades_conv": {**CHARADES, "proposals": "conv"},
    "published_tacos_pool": TACOS,
    "published_tacos_conv": {**TACOS, "proposals": "conv"},
    "small": SMALL,
}

SPEC = BackboneSpec(
    name="2d_tan",
    summary="2D-TAN: every pair of start and end is a cell of a map, smoothed by convolutions (2020)",
    source="https://github.com/microsoft/2D-TAN",
    options=Tan2dOptions,
    build=Tan2d,
    axis="grid",
    capabilities=frozenset({"encode", "distill"}),
    presets=PRESETS,
    training={
        **dict.fromkeys((name for name in PRESETS if name != "small"), PUBLISHED),
        "small": {"base_epochs": 9, "batch_size": 16, "learning_rate": 3e-3},
    },
    key_map=rename_keys(OFFICIAL_KEYS),
)


@hookimpl
def vmr_backbones() -> Iterable[BackboneSpec]:
    """Offer 2D-TAN."""
    return [SPEC]
