"""What becomes of every backbone when the clips it reads are chosen: rows removed, weights frozen."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from vmrbench.catalog import load_catalog, make_options
from vmrbench.config.settings import WindowConfig
from vmrbench.engine.arm import Arm, WholeVideo
from vmrbench.spans import iou_matrix
from vmrbench.specs import Apply, Dims
from vmrbench.testing.factories import make_batch
from vmrbench.trim.fill import Adapter, ConcatZero
from vmrbench.types import Batch, FinerClips
from vmrbench_plugins.fixed_trimmers import RatioOptions, Uniform

# A query-blind backbone is in no other mode than untrimmed.
BACKBONES = {name: offer for name, offer in load_catalog().backbones.items() if offer.spec.reads_features}
WIDTH, INDEX, TEXT = 16, 8, 12


def make_arm(
    name: str,
    trimmer: torch.nn.Module,
    fill: ConcatZero | Adapter,
    apply: Apply = "gather",
    *,
    frozen: bool = False,
    windows: WindowConfig | None = None,
) -> Arm:
    torch.manual_seed(0)
    spec = BACKBONES[name].spec
    model = spec.build(make_options(spec, "small", {}, name), Dims(video=fill.width, text=TEXT))
    return Arm(trimmer, fill, model, apply=apply, freeze_backbone=frozen, windows=windows)


def with_finer(batch: Batch, factor: int) -> Batch:
    """Every clip cut into `factor`, with features of its own; with 1 the clips themselves."""
    mask = batch.clip_mask.repeat_interleave(factor, 1)
    start = torch.arange(mask.shape[1])[None] * (2.0 / factor) * mask
    fine = torch.randn(*mask.shape, WIDTH, generator=torch.Generator().manual_seed(5)) * mask[..., None]
    clips = batch.clips if factor == 1 else fine
    end = (start + 2.0 / factor) * mask
    return replace(batch, finer=FinerClips(clips=clips, mask=mask, clip_start=start, clip_end=end))


@pytest.mark.parametrize("fill", [ConcatZero(WIDTH, INDEX), Adapter(WIDTH, INDEX)])
@pytest.mark.parametrize("name", BACKBONES)
def test_gathering_every_clip_equals_the_untrimmed_backbone_bit_for_bit(name: str, fill: ConcatZero | Adapter) -> None:
    batch = make_batch([11, 7, 1], width=WIDTH, index_width=INDEX, text_width=TEXT)
    whole = make_arm(name, WholeVideo(), fill, "fill").eval()
    gathered = make_arm(name, Uniform(RatioOptions(keep_ratio=1.0)), fill).eval()

    with torch.no_grad():
        expected, found = (arm.moments(arm(batch)) for arm in (whole, gathered))

    assert all(torch.equal(one, other) for one, other in zip(expected, found, strict=True))


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_reads_rows_with_gaps_and_answers_inside_the_video(name: str) -> None:
    batch = make_batch([12, 7, 1], width=WIDTH, index_width=INDEX, text_width=TEXT)
    arm = make_arm(name, Uniform(RatioOptions(keep_ratio=0.3)), ConcatZero(WIDTH, INDEX)).eval()

    with torch.no_grad():
        result = arm(batch)
        seconds, scores = arm.moments(result)

    real = scores > -torch.inf
    assert result.rows.lengths.tolist() == [3, 2, 1]
    assert (seconds[..., 0] <= seconds[..., 1] + 1e-4)[real].all()
    assert ((seconds >= 0) & (seconds <= batch.duration[:, None, None] + 1e-4))[real].all()


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_learns_from_rows_with_gaps_also_without_the_moment(name: str) -> None:
    batch = make_batch([12, 7, 1], width=WIDTH, index_width=INDEX, text_width=TEXT)
    arm = make_arm(name, Uniform(RatioOptions(keep_ratio=0.3)), ConcatZero(WIDTH, INDEX)).train()

    terms = arm.losses(batch, None)
    torch.stack(list(terms.values())).sum().backward()

    assert all(bool(term.isfinite()) for term in terms.values())
    grads = [p.grad for p in arm.backbone.parameters() if p.grad is not None]
    assert grads
    assert all(bool(grad.isfinite().all()) for grad in grads)


@pytest.mark.parametrize("name", BACKBONES)
def test_gathering_neither_leaves_its_device_nor_looks_at_values(name: str) -> None:
    if BACKBONES[name].spec.device_exceptions:
        pytest.skip("the backbone declares an exception")
    batch = make_batch([12, 7, 1], width=WIDTH, index_width=INDEX, text_width=TEXT)
    arm = make_arm(name, Uniform(RatioOptions(keep_ratio=0.3)), Adapter(WIDTH, INDEX)).eval()

    with torch.no_grad():
        there = copy.deepcopy(arm).to("meta")
        seconds, _ = there.moments(there(batch.to("meta")))

    assert seconds.device.type == "meta"


@pytest.mark.parametrize("name", BACKBONES)
def test_a_frozen_backbone_lets_the_adapter_learn_and_keeps_every_bit(name: str) -> None:
    batch = make_batch([12, 7, 1], width=WIDTH, index_width=INDEX, text_width=TEXT)
    fill = Adapter(WIDTH, INDEX)
    arm = make_arm(name, Uniform(RatioOptions(keep_ratio=0.3)), fill, "fill", frozen=True).train()
    before = {key: value.clone() for key, value in arm.backbone.state_dict().items()}

    terms = arm.losses(batch, None)
    optimizer = torch.optim.AdamW(arm.parameters(), lr=0.1)
    torch.stack(list(terms.values())).sum().backward()
    optimizer.step()

    assert all(torch.equal(value, before[key]) for key, value in arm.backbone.state_dict().items())
    assert fill.stand_in.weight.grad is not None
    assert bool(fill.stand_in.weight.grad.any())
    assert not any(layer.training for layer in arm.backbone.modules() if isinstance(layer, torch.nn.Dropout))


@pytest.mark.parametrize("name", BACKBONES)
def test_one_window_over_everything_equals_the_untrimmed_backbone_bit_for_bit(name: str) -> None:
    batch = with_finer(make_batch([11, 7, 1], width=WIDTH, index_width=INDEX, text_width=TEXT), 1)
    fill, how = ConcatZero(WIDTH, INDEX), WindowConfig(count=1, finer=1)
    whole = make_arm(name, WholeVideo(), fill, "fill").eval()
    windowed = make_arm(name, Uniform(RatioOptions(keep_ratio=1.0)), fill, "windows", windows=how).eval()

    with torch.no_grad():
        expected, found = (arm.moments(arm(batch)) for arm in (whole, windowed))

    assert all(torch.equal(one, other) for one, other in zip(expected, found, strict=True))


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_reads_windows_and_answers_inside_them(name: str) -> None:
    batch = with_finer(make_batch([12, 7, 3], width=WIDTH, index_width=INDEX, text_width=TEXT), 3)
    arm = make_arm(
        name, Uniform(RatioOptions(keep_ratio=0.5)), Adapter(WIDTH, INDEX), "windows", windows=WindowConfig(count=2)
    ).eval()

    with torch.no_grad():
        result = arm(batch)
        seconds, scores = arm.moments(result)

    assert result.windows is not None
    assert result.finer_reads is not None
    assert result.finer_reads.sum(1).tolist() == [6, 3, 1]
    stride = 2.0 / 3
    left, right = result.windows.first * stride, (result.windows.first + result.windows.count) * stride
    per_window = scores.shape[1] // 2
    for row, place in ((scores[:, :per_window], 0), (scores[:, per_window:], 1)):
        own = slice(place * per_window, (place + 1) * per_window)
        real = (row > -torch.inf) & (result.windows.count[:, place, None] > 0)
        assert (seconds[:, own, 0] >= left[:, place, None] - 1e-3)[real].all()
        assert (seconds[:, own, 1] <= right[:, place, None] + 1e-3)[real].all()
    assert (scores > -torch.inf).any(1).all()


@pytest.mark.parametrize("progress", [0.0, 1.0])
@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_learns_from_windows_also_from_those_without_the_moment(name: str, progress: float) -> None:
    torch.manual_seed(0)
    batch = with_finer(make_batch([12, 7, 3], width=WIDTH, index_width=INDEX, text_width=TEXT), 2)
    arm = make_arm(
        name, Uniform(RatioOptions(keep_ratio=0.5)), ConcatZero(WIDTH, INDEX), "windows", windows=WindowConfig(count=1)
    ).train()
    arm.progress = progress

    result = arm(batch)
    terms = arm.losses(batch, None)
    torch.stack(list(terms.values())).sum().backward()

    # One window on the truth and one away from it at first, then the one that there is at test.
    assert len(result.rows.sample_ids) == (6 if progress == 0.0 else 3)
    assert all(bool(term.isfinite()) for term in terms.values())
    grads = [p.grad for p in arm.backbone.parameters() if p.grad is not None]
    assert grads
    assert all(bool(grad.isfinite().all()) for grad in grads)


def test_merged_moments_are_thinned_where_asked() -> None:
    batch = with_finer(make_batch([12, 7], width=WIDTH, index_width=INDEX, text_width=TEXT), 2)
    trimmer, fill = Uniform(RatioOptions(keep_ratio=0.5)), Adapter(WIDTH, INDEX)
    how = WindowConfig(count=2, nms=0.5)
    arm = make_arm("moment_detr", trimmer, fill, "windows", windows=how).eval()

    with torch.no_grad():
        seconds, scores = arm.moments(arm(batch))

    for row in range(2):
        left = seconds[row][scores[row] > -torch.inf]
        overlap = iou_matrix(left, left) - torch.eye(len(left))
        assert float(overlap.max()) < 0.5
