"""2D-TAN against the official implementation (stored inputs, outputs, losses, gradients), and its own promises."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from vmrbench.config.options import make_options
from vmrbench.cost.macs import count_macs
from vmrbench.errors import ConfigError
from vmrbench.models import load_official
from vmrbench.specs import Dims
from vmrbench.testing.even_batch import even_batch
from vmrbench.testing.factories import make_batch
from vmrbench.trim.axis import axis_to_seconds
from vmrbench.types import Batch
from vmrbench_plugins.tan_2d import SPEC, Tan2d, Tan2dOptions

VARIANTS = ["2dtan_pool", "2dtan_conv", "2dtan_pool_single", "2dtan_conv_single", "2dtan_dense"]
# Parameters, and multiply-adds in millions, of the official implementation at 256 frames and 20 words.
PUBLISHED = {
    "published_activitynet_pool": (500, 91_588_609, 498_636.1),
    "published_activitynet_conv": (500, 108_644_353, 499_206.6),
    "published_charades_pool": (4096, 60_925_953, 52_311.5),
    "published_charades_conv": (4096, 69_060_609, 52_378.6),
    "published_tacos_pool": (4096, 60_925_953, 1_066_536.0),
    "published_tacos_conv": (4096, 82_442_241, 1_067_861.4),
}
SMALL = make_options(SPEC, "small", {}, "test")


class Golden:
    """One stored variant: its arrays, our model with its weights, and its batch."""

    def __init__(self, folder: Path) -> None:
        self.config: dict[str, Any] = json.loads((folder / "config.json").read_text())
        self.outputs, self.losses, self.postprocess = (
            dict(np.load(folder / f"{name}.npz")) for name in ("outputs", "losses", "postprocess")
        )
        inputs, weights = np.load(folder / "inputs.npz"), np.load(folder / "weights.npz")
        clips = torch.from_numpy(inputs["visual_input"])
        query, words = torch.from_numpy(inputs["textual_input"]), torch.from_numpy(inputs["textual_mask"])[..., 0] > 0
        self.model = Tan2d(_options(self.config), Dims(video=clips.shape[-1], text=query.shape[-1])).eval()
        load_official(self.model, {k: torch.from_numpy(v) for k, v in weights.items()}, SPEC.key_map)
        self.batch = even_batch(
            clips,
            torch.ones(clips.shape[:2], dtype=torch.bool),
            query,
            words,
            duration=self.config["durations"],
            moments=[torch.tensor([gt]) for gt in self.config["gt_times"]],
        )

    def as_map(self, cells: Tensor) -> Tensor:
        return _as_map(self.model, cells[:, None])


@pytest.fixture(params=VARIANTS)
def golden(request: pytest.FixtureRequest, shared_dir: Path) -> Golden:
    return Golden(shared_dir / "goldens" / request.param)


def test_logits_and_live_cells_equal_the_official_ones(golden: Golden) -> None:
    outputs = golden.model(golden.batch)

    # The stored float32 values are themselves 7e-6 away from a float64 run; ours are 1e-6 away from it.
    assert _error(golden.as_map(outputs.logits), golden.outputs["prediction"]) < 1e-5
    live = golden.as_map(torch.ones_like(outputs.logits))
    assert np.array_equal(live.numpy(), golden.outputs["map_mask"])


def test_grid_clips_and_fused_map_equal_the_official_ones(golden: Golden) -> None:
    model, batch = golden.model, golden.batch

    clips = model._grid_clips(batch)
    cells = model.proposals(clips)
    fused = model._fuse(cells, model.encode_query(batch))

    assert _error(clips, golden.outputs["vis_h"]) < 1e-5
    assert _error(_as_map(model, cells), golden.outputs["map_h"]) < 1e-5
    assert _error(_as_map(model, fused), golden.outputs["fused_h_before_map"]) < 1e-5


def test_loss_and_gradients_equal_the_official_ones(golden: Golden) -> None:
    model, batch, losses = golden.model, golden.batch, golden.losses

    loss = model.loss(model(batch), batch)["overlap"]
    loss.backward()

    norm = math.sqrt(sum(float(p.grad.square().sum()) for p in model.parameters()))
    assert _error(loss, losses["loss"]) < 1e-5
    assert norm == pytest.approx(float(losses["grad_global_norm"]), rel=1e-5)
    assert _error(model.score.weight.grad, losses["grad_pred_layer_weight"]) < 1e-5
    assert _error(model.frame_projection.weight.grad, losses["grad_vis_conv_weight"]) < 1e-5
    assert _error(model.text_encoder.forwards[0].weight_ih_l0.grad, losses["grad_lstm_ih_l0"]) < 1e-5


def test_moments_equal_the_official_ones_in_the_same_order(golden: Golden) -> None:
    with torch.no_grad():
        moments = golden.model.predict(golden.model(golden.batch), golden.batch)
    seconds = axis_to_seconds(moments.spans, golden.batch)

    for row in range(3):
        official = golden.postprocess[f"sorted_segments.{row}"]
        score = {_rounded(span): float(s) for span, s in zip(seconds[row], moments.scores[row], strict=True)}
        ranked = [score[_rounded(span)] for span in official]
        assert len(score) == len(official)
        # Two cells within rounding of each other may stand in either order.
        assert all(later <= earlier + 5e-5 for earlier, later in pairwise(ranked))


@pytest.mark.parametrize("preset", PUBLISHED)
def test_official_keys_map_completely_both_ways(preset: str, shared_dir: Path) -> None:
    _, data, kind = preset.split("_")
    listed = json.loads((shared_dir / f"goldens/2dtan_{kind}/official_full_state_dict_keys_{data}.json").read_text())
    assert SPEC.key_map is not None

    mapped = {SPEC.key_map(key): tuple(shape) for key, shape, _ in listed}

    assert mapped == {key: tuple(value.shape) for key, value in _published(preset).state_dict().items()}
    assert len(mapped) == len(listed)


@pytest.mark.parametrize("preset", PUBLISHED)
def test_size_equals_the_published_one(preset: str) -> None:
    assert sum(p.numel() for p in _published(preset).parameters()) == PUBLISHED[preset][1]


@pytest.mark.parametrize("preset", PUBLISHED)
def test_multiply_adds_are_well_below_those_of_the_official_model(preset: str) -> None:
    """The convolutions of the whole map are nearly all of the official ones, and its live cells at most 40% of them."""
    width, _, official = PUBLISHED[preset]
    batch = make_batch([256], width=width, index_width=0, text_width=300, query_lengths=[20]).to("meta")

    counted = count_macs(_published(preset), batch).value / 1e6

    assert 0.36 * official < counted < 0.42 * official


def test_single_precision_is_near_double_precision() -> None:
    torch.manual_seed(0)
    model, batch = Tan2d(SMALL, Dims(video=16, text=12)).eval(), make_batch([40, 25])
    single = model(batch).logits

    double = model.double()(_double(batch)).logits

    assert _error(single, double.detach().numpy()) < 3e-6


def test_rows_without_features_do_not_matter_where_others_have_them() -> None:
    torch.manual_seed(0)
    model, batch = Tan2d(SMALL, Dims(video=16, text=12)).eval(), make_batch([64])
    fine = torch.arange(64)[None] % 2 == 0
    marked = replace(batch, fine_weight=fine.float())
    changed = replace(marked, clips=torch.where(fine[..., None], batch.clips, torch.full_like(batch.clips, 7.0)))

    # 64 rows on 32 frames: every frame has one row with features and one without.
    assert torch.equal(model(marked).logits, model(changed).logits)


def test_a_video_without_features_is_read_whole() -> None:
    torch.manual_seed(0)
    model, batch = Tan2d(SMALL, Dims(video=16, text=12)).eval(), make_batch([64])

    bare = model(replace(batch, fine_weight=torch.zeros_like(batch.fine_weight))).logits

    assert torch.equal(bare, model(batch).logits)


def test_cells_span_equal_shares_of_the_video() -> None:
    model, batch = Tan2d(replace(SMALL, top_k=0), Dims(video=16, text=12)).eval(), make_batch([16])

    spans = {tuple(span) for span in model.predict(model(batch), batch).spans[0].tolist()}

    # 16 clips on a grid of 32: cell (0, 0) is half a clip, (0, 31) the video.
    assert {(0.0, 0.5), (0.0, 16.0), (15.5, 16.0)} <= spans
    assert len(spans) == 280


def test_the_best_cells_come_first() -> None:
    model, batch = Tan2d(replace(SMALL, top_k=5), Dims(video=16, text=12)).eval(), make_batch([30, 12])

    scores = model.predict(model(batch), batch).scores

    assert scores.shape == (2, 5)
    assert torch.equal(scores, scores.sort(1, descending=True).values)


def test_a_query_with_two_moments_rewards_both() -> None:
    model, batch = Tan2d(SMALL, Dims(video=16, text=12)).eval(), make_batch([32], clip_seconds=1.0)
    two = replace(batch, moments=(torch.tensor([[0.0, 4.0], [20.0, 24.0]]),))
    outputs = model(batch)
    logits = torch.zeros_like(outputs.logits).requires_grad_()

    model.loss(replace(outputs, logits=logits), two)["overlap"].backward()

    wanted = logits.grad[0] < 0
    spans = (model.proposals.spans * 32).tolist()
    # A step down the gradient raises both true cells and lowers one that touches neither.
    assert wanted[spans.index([0.0, 4.0])]
    assert wanted[spans.index([20.0, 24.0])]
    assert not wanted[spans.index([10.0, 14.0])]


@pytest.mark.parametrize("context", [True, False])
def test_encoding_is_as_wide_as_it_says(context: bool) -> None:
    model, batch = Tan2d(replace(SMALL, encode_context=context), Dims(video=16, text=12)), make_batch([9, 4])

    encoded = model.encode(batch, model.encode_query(batch))

    assert encoded.shape == (2, 9, model.embedding_width)
    assert encoded[1, 4:].abs().sum() == 0


def test_what_the_map_says_of_clips_is_its_diagonal_at_a_lower_price() -> None:
    model, batch = Tan2d(SMALL, Dims(video=16, text=12)).eval(), make_batch([9, 4])

    encoded = model.encode(batch, model.encode_query(batch))

    targets = model.distill_targets(model(batch), batch)
    assert targets.embedding is not None
    assert targets.embedding.abs().max() > 0
    torch.testing.assert_close(encoded[..., SMALL.hidden :], targets.embedding)
    whole, around = (count_macs(run, batch).value for run in (model, lambda b: model.encode(b, model.encode_query(b))))
    assert around < whole


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Tan2dOptions(num_frames=100), "num_frames 100 is not a multiple of grid 64"),
        (Tan2dOptions(kernel=4), "kernel 4 is even"),
        (Tan2dOptions(grid=32, num_frames=32), "reach moments of 64 clips on a grid of 32"),
    ],
)
def test_a_grid_that_does_not_fit_is_refused(options: Tan2dOptions, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Tan2d(options, Dims(video=4, text=4))


@pytest.mark.slow
def test_a_planted_signal_is_learned() -> None:
    torch.manual_seed(0)
    batch = _planted()
    model = Tan2d(SMALL, Dims(video=16, text=16))
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    losses = []

    for _ in range(40):
        loss = torch.stack(list(model.loss(model(batch), batch).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))

    assert losses[-1] < 0.5 * losses[0]


def _planted() -> Batch:
    """Eight videos of 32 clips; the clips of the moment point where the query points."""
    batch = make_batch([32] * 8, width=16, text_width=16, query_lengths=[1] * 8)
    moments, clips = [], 0.3 * batch.clips
    for row in range(8):
        first = 3 * row
        clips[row, first : first + 6] += 3 * batch.query[row, 0]
        moments.append(torch.tensor([[first * 2.0, (first + 6) * 2.0]]))
    return replace(batch, clips=clips, moments=tuple(moments))


def _double(batch: Batch) -> Batch:
    return replace(
        batch, clips=batch.clips.double(), query=batch.query.double(), fine_weight=batch.fine_weight.double()
    )


@cache
def _published(preset: str) -> Tan2d:
    with torch.device("meta"):
        return Tan2d(make_options(SPEC, preset, {}, preset), Dims(video=PUBLISHED[preset][0], text=300)).eval()


def _options(config: dict[str, Any]) -> Tan2dOptions:
    tan, data = config["tan"], config["dataset"]
    proposals, convolutions = tan["PROP_MODULE"], tan["MAP_MODULE"]["PARAMS"]
    fusion = tan["FUSION_MODULE"]["PARAMS"]
    return Tan2dOptions(
        grid=data["num_clips"],
        num_frames=data["NUM_SAMPLE_CLIPS"],
        hidden=tan["FRAME_MODULE"]["PARAMS"]["HIDDEN_SIZE"],
        text_hidden=fusion["TXT_HIDDEN_SIZE"],
        lstm_layers=fusion["LSTM"]["NUM_LAYERS"],
        bidirectional=fusion["LSTM"]["BIDIRECTIONAL"],
        official_padding=True,
        proposals="conv" if proposals["NAME"] == "SparsePropConv" else "pool",
        # The dense map of the official code is one scale with every length.
        scales=tuple(proposals["PARAMS"].get("NUM_SCALE_LAYERS", [data["num_clips"]])),
        map_layers=len(convolutions["KERNEL_SIZES"]),
        kernel=convolutions["KERNEL_SIZES"][0],
        min_iou=config["loss"]["PARAMS"]["MIN_IOU"],
        max_iou=config["loss"]["PARAMS"]["MAX_IOU"],
        top_k=0,
    )


def _as_map(model: Tan2d, cells: Tensor) -> Tensor:
    """[B, D, N, N] with cells [B, D, C] in their places and zero elsewhere."""
    filled = cells.new_zeros(*cells.shape[:2], model.options.grid, model.options.grid)
    filled[..., model.proposals.first, model.proposals.last] = cells
    return filled


def _rounded(span: Any) -> tuple[float, float]:
    return round(float(span[0]), 3), round(float(span[1]), 3)


def _error(found: Tensor | None, expected: Any) -> float:
    assert found is not None
    return float(np.abs(found.detach().numpy() - expected).max() / np.abs(expected).max())
