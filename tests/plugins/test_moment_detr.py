"""Moment-DETR against the official implementation (stored inputs, outputs, losses, gradients), and its own promises."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import detr_golden
import pytest
import torch
from detr_golden import DetrGolden

from vmrbench.config.options import make_options
from vmrbench.parts.temporal import with_endpoints
from vmrbench.specs import Dims
from vmrbench.testing.factories import make_batch
from vmrbench_plugins.moment_detr import SPEC, MomentDetr

SMALL = make_options(SPEC, "small", {}, "test")
PUBLISHED_PARAMETERS, PUBLISHED_MEGAMACS = 4_823_305, 295.591


@pytest.fixture(scope="module")
def golden(shared_dir: Path) -> DetrGolden:
    return DetrGolden(shared_dir / "goldens" / "moment_detr", SPEC)


def test_outputs_of_every_layer_equal_the_official_ones(golden: DetrGolden) -> None:
    detr_golden.assert_outputs_equal(golden)


def test_temporal_channels_equal_the_official_ones(golden: DetrGolden) -> None:
    assert detr_golden.error(with_endpoints(golden.batch), golden.inputs["src_vid"]) < 1e-6


def test_assignments_equal_the_official_ones(golden: DetrGolden) -> None:
    detr_golden.assert_assignments_equal(golden)


def test_weighted_losses_equal_the_official_ones(golden: DetrGolden) -> None:
    detr_golden.assert_losses_equal(golden)


def test_gradients_equal_the_official_ones(golden: DetrGolden) -> None:
    detr_golden.assert_gradients_equal(golden)


def test_decoded_moments_equal_the_official_ones(golden: DetrGolden) -> None:
    detr_golden.assert_decoded_equal(golden)


def test_official_keys_map_completely_both_ways(shared_dir: Path) -> None:
    listed = shared_dir / "goldens" / "moment_detr" / "official_full_state_dict_keys.json"

    detr_golden.assert_keys_map_completely(SPEC, listed)


def test_size_equals_the_published_one() -> None:
    assert detr_golden.parameters(detr_golden.published(SPEC)) == PUBLISHED_PARAMETERS


def test_multiply_adds_are_those_of_the_official_model() -> None:
    """Within 2%: ours are 0.4% fewer, because heads of auxiliary layers run in `loss` only."""
    megamacs = detr_golden.megamacs(detr_golden.published(SPEC))

    assert megamacs == pytest.approx(PUBLISHED_MEGAMACS, rel=0.02)


def test_learned_text_positions_are_an_option() -> None:
    torch.manual_seed(0)
    model, batch = MomentDetr(replace(SMALL, text_position=True), Dims(video=16, text=12)).eval(), make_batch([9])
    assert batch.query_mask.all()

    turned = model(replace(batch, query=batch.query.flip(1))).slots.spans

    assert not torch.allclose(turned, model(batch).slots.spans, atol=1e-4)


def test_without_temporal_channels_the_input_is_as_wide_as_the_features() -> None:
    model = MomentDetr(replace(SMALL, tef=False), Dims(video=16, text=12))

    assert model.video_projection[0].linear.in_features == 16
    assert model(make_batch([9])).slots.spans.shape == (1, SMALL.slots, 2)


def test_inference_runs_no_auxiliary_heads() -> None:
    model = MomentDetr(SMALL, Dims(video=16, text=12)).eval()

    assert detr_golden.calls_in_inference(model, [model.heads], make_batch([9])) == 1


def test_slots_of_a_trimmed_video_are_fractions_of_the_whole_video() -> None:
    model, batch = MomentDetr(SMALL, Dims(video=16, text=12)).eval(), make_batch([4], clip_seconds=1.0)
    # Clips 6..10 of a video of 20 seconds are all that is left.
    left = replace(batch, clip_start=batch.clip_start + 6, clip_end=batch.clip_end + 6, duration=torch.tensor([20.0]))

    spans = model.distill_targets(model(left), left).candidate_spans

    assert spans is not None
    assert spans.min() >= 0.3
    assert spans.max() <= 0.5


@pytest.mark.slow
def test_a_planted_signal_is_learned() -> None:
    torch.manual_seed(0)

    losses = detr_golden.losses_of_training(MomentDetr(SMALL, Dims(video=16, text=16)), detr_golden.planted_batch())

    assert losses[-1] < 0.5 * losses[0]
