"""TR-DETR against the official implementation (stored inputs, outputs, losses, gradients), and its own promises."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import detr_golden
import pytest
import torch
from detr_golden import DetrGolden
from double_precision import InDouble

from vmrbench.config.options import make_options
from vmrbench.specs import Dims
from vmrbench.testing.batch_edits import pad_batch, take_samples
from vmrbench.testing.factories import make_batch
from vmrbench_plugins.tr_detr import SPEC, TrDetr

SMALL = make_options(SPEC, "small", {}, "test")
# Of the official implementation at 75 clips and 32 tokens.
PUBLISHED_PARAMETERS, PUBLISHED_MEGAMACS = 8_308_773, 557.846
OPTIONS = {"official_padding": True, "clip_sentence": 1.0, "video_sentence": 1.0}


@pytest.fixture(scope="module")
def golden(shared_dir: Path) -> DetrGolden:
    return DetrGolden(shared_dir / "goldens" / "tr_detr", SPEC, OPTIONS)


@pytest.fixture(scope="module")
def in_double(shared_dir: Path) -> InDouble:
    return InDouble("tr_detr", lambda: DetrGolden(shared_dir / "goldens" / "tr_detr", SPEC, {**OPTIONS, "tef": False}))


def test_outputs_of_every_layer_equal_the_official_ones(golden: DetrGolden) -> None:
    detr_golden.assert_outputs_equal(golden)


def test_assignments_equal_the_official_ones(golden: DetrGolden) -> None:
    detr_golden.assert_assignments_equal(golden)


def test_weighted_losses_equal_the_official_ones(golden: DetrGolden) -> None:
    aligned = {"clip_sentence": "loss.ctc_loss", "video_sentence": "loss.vtc_loss"}

    detr_golden.assert_losses_equal(golden, {ours: float(golden.losses[key]) for ours, key in aligned.items()})


def test_results_in_double_precision_equal_the_official_ones(in_double: InDouble) -> None:
    in_double.assert_equals_the_official_one()


def test_rounding_is_as_small_as_in_the_official_code(golden: DetrGolden, in_double: InDouble) -> None:
    in_double.assert_rounding_as_small_as_the_stored_one(golden)


def test_decoded_moments_equal_the_official_ones(golden: DetrGolden) -> None:
    detr_golden.assert_decoded_equal(golden)


def test_moments_of_a_sample_without_padding_are_the_same_with_and_without_the_official_bugs(
    golden: DetrGolden,
) -> None:
    """Its saliency is not: there the official GRU reads zeros behind the moment, padding or none."""
    detr_golden.assert_unpadded_equal(golden, {"official_padding": False}, saliency=False)


def test_saliency_and_losses_do_not_depend_on_padding(golden: DetrGolden) -> None:
    model = detr_golden.golden_with(golden, {"official_padding": False})
    batch = take_samples(golden.batch, [0, 1])
    padded = pad_batch(batch, clips=4, tokens=3)
    grades = {"saliency_all": torch.nn.functional.pad(batch.extra["saliency_all"], (0, 4))}
    padded = replace(padded, extra={**batch.extra, **grades})

    with torch.no_grad():
        here, there = model(batch), model(padded)
        terms, others = model.loss(here, batch), model.loss(there, padded)

    real = batch.clip_mask
    torch.testing.assert_close(there.saliency[:, :-4][real], here.saliency[real], rtol=1e-4, atol=1e-4)
    assert {name: float(term) for name, term in others.items()} == pytest.approx(
        {name: float(term) for name, term in terms.items()}, rel=1e-4
    )


def test_official_keys_map_completely_both_ways(shared_dir: Path) -> None:
    listed = shared_dir / "goldens" / "tr_detr" / "official_full_state_dict_keys.json"

    detr_golden.assert_keys_map_completely(SPEC, listed)


def test_size_equals_the_published_one() -> None:
    assert detr_golden.parameters(detr_golden.published(SPEC)) == PUBLISHED_PARAMETERS


def test_multiply_adds_are_a_little_fewer_than_the_official_ones() -> None:
    """Auxiliary heads and the last move of the anchors are left out."""
    megamacs = detr_golden.megamacs(detr_golden.published(SPEC))

    assert 0.97 * PUBLISHED_MEGAMACS < megamacs < PUBLISHED_MEGAMACS


def test_inference_encodes_twice_and_runs_no_auxiliary_heads() -> None:
    model, batch = TrDetr(SMALL, Dims(video=16, text=12)).eval(), make_batch([9, 7])

    assert detr_golden.calls_in_inference(model, [model.encoder], batch) == 2
    assert detr_golden.calls_in_inference(model, [model.heads], batch) == 1


def test_a_sentence_about_the_same_video_is_no_negative() -> None:
    """Two samples of one video: nothing is left to tell apart."""
    model, batch = TrDetr(SMALL, Dims(video=16, text=12)).eval(), make_batch([9, 7])
    shared = replace(batch, video_ids=("v0", "v0"))

    terms = model.loss(model(shared), shared)

    assert float(terms["video_sentence"].detach()) == 0


def test_learned_text_positions_are_an_option() -> None:
    torch.manual_seed(0)
    model, batch = TrDetr(replace(SMALL, text_position=True), Dims(video=16, text=12)).eval(), make_batch([9])
    assert batch.query_mask.all()

    turned = model(replace(batch, query=batch.query.flip(1))).slots.spans

    assert not torch.allclose(turned, model(batch).slots.spans, atol=1e-5)


@pytest.mark.slow
def test_a_planted_signal_is_learned() -> None:
    torch.manual_seed(0)

    losses = detr_golden.losses_of_training(TrDetr(SMALL, Dims(video=16, text=16)), detr_golden.planted_batch())

    assert losses[-1] < 0.5 * losses[0]
