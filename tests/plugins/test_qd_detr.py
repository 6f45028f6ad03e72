"""QD-DETR against the official implementation (stored inputs, outputs, losses, gradients), and its own promises."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import detr_golden
import pytest
import torch
from detr_golden import DetrGolden

from vmrbench.config.options import make_options
from vmrbench.specs import Dims
from vmrbench.testing.factories import make_batch
from vmrbench_plugins.qd_detr import SPEC, QdDetr

SMALL = make_options(SPEC, "small", {}, "test")
# Of the official implementation at 75 clips and 32 tokens; its multiply-adds hold a second, training-only pass.
PUBLISHED_PARAMETERS, PUBLISHED_MEGAMACS = 7_585_573, 670.256


@pytest.fixture(scope="module")
def golden(shared_dir: Path) -> DetrGolden:
    return DetrGolden(shared_dir / "goldens" / "qd_detr", SPEC, {"official_padding": True})


def test_outputs_of_every_layer_equal_the_official_ones(golden: DetrGolden) -> None:
    detr_golden.assert_outputs_equal(golden)


def test_saliency_of_negative_pairs_equals_the_official_one(golden: DetrGolden) -> None:
    negatives = golden.model._negatives(golden.model(golden.batch), golden.batch)

    assert detr_golden.error(negatives.scores, golden.outputs["saliency_scores_neg"]) < 1e-5


def test_assignments_equal_the_official_ones(golden: DetrGolden) -> None:
    detr_golden.assert_assignments_equal(golden)


def test_weighted_losses_equal_the_official_ones(golden: DetrGolden) -> None:
    detr_golden.assert_losses_equal(golden)


def test_gradients_equal_the_official_ones(golden: DetrGolden) -> None:
    detr_golden.assert_gradients_equal(golden)


def test_decoded_moments_equal_the_official_ones(golden: DetrGolden) -> None:
    detr_golden.assert_decoded_equal(golden)


def test_a_sample_without_padding_is_the_same_with_and_without_the_official_bug(golden: DetrGolden) -> None:
    detr_golden.assert_unpadded_equal(golden, {"official_padding": False})


def test_official_keys_map_completely_both_ways(shared_dir: Path) -> None:
    listed = shared_dir / "goldens" / "qd_detr" / "official_full_state_dict_keys.json"

    detr_golden.assert_keys_map_completely(SPEC, listed)


def test_size_equals_the_published_one() -> None:
    assert detr_golden.parameters(detr_golden.published(SPEC)) == PUBLISHED_PARAMETERS


def test_multiply_adds_are_about_half_of_the_official_ones() -> None:
    """The official forward encodes and decodes the negative pair too, and reads auxiliary layers."""
    megamacs = detr_golden.megamacs(detr_golden.published(SPEC))

    assert 0.5 * PUBLISHED_MEGAMACS < megamacs < 0.6 * PUBLISHED_MEGAMACS


def test_inference_encodes_once_and_runs_no_auxiliary_heads() -> None:
    model, batch = QdDetr(SMALL, Dims(video=16, text=12)).eval(), make_batch([9, 7])

    calls = detr_golden.calls_in_inference(model, [model.encoder, model.heads], batch)

    assert calls == 2


def test_loss_encodes_the_negative_pair_and_decodes_it_not() -> None:
    model, batch, calls = QdDetr(SMALL, Dims(video=16, text=12)).eval(), make_batch([9, 7]), []
    outputs = model(batch)
    model.encoder.register_forward_hook(lambda *_: calls.append("encoder"))
    model.decoder.register_forward_hook(lambda *_: calls.append("decoder"))

    model.loss(outputs, batch)

    assert calls == ["encoder"]


def test_a_sentence_about_the_same_video_makes_no_negative_pair() -> None:
    model, batch = QdDetr(SMALL, Dims(video=16, text=12)).eval(), make_batch([9, 7, 5])
    shared = replace(batch, video_ids=("v0", "v0", "v1"))

    negatives = model._negatives(model(shared), shared)

    assert negatives is not None
    assert negatives.mask.sum(1).tolist() == [0, 7, 5]


def test_a_sample_alone_has_no_negative_pair() -> None:
    model, batch = QdDetr(SMALL, Dims(video=16, text=12)).eval(), make_batch([9])

    assert model._negatives(model(batch), batch) is None


def test_learned_text_positions_are_an_option() -> None:
    torch.manual_seed(0)
    model, batch = QdDetr(replace(SMALL, text_position=True), Dims(video=16, text=12)).eval(), make_batch([9])
    assert batch.query_mask.all()

    turned = model(replace(batch, query=batch.query.flip(1))).slots.spans

    assert not torch.allclose(turned, model(batch).slots.spans, atol=1e-5)


@pytest.mark.slow
def test_a_planted_signal_is_learned() -> None:
    torch.manual_seed(0)

    losses = detr_golden.losses_of_training(QdDetr(SMALL, Dims(video=16, text=16)), detr_golden.planted_batch())

    assert losses[-1] < 0.5 * losses[0]
