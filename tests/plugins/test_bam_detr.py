"""BAM-DETR against the official implementation (stored inputs, outputs, losses, gradients), and its own promises."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import detr_golden
import pytest
import torch
from detr_golden import DetrGolden
from torch import nn

from vmrbench.config.options import make_options
from vmrbench.parts.matcher import MatchCosts
from vmrbench.specs import Dims
from vmrbench.testing.factories import make_batch
from vmrbench_plugins.bam_detr import SPEC, BamDetr

SMALL = make_options(SPEC, "small", {}, "test")
DIMS = Dims(video=16, text=12)
KEYS = "official_full_state_dict_keys.json"
# Of the official implementation at 75 clips and 32 tokens; its multiply-adds hold a second, training-only pass.
PUBLISHED_PARAMETERS, PUBLISHED_MEGAMACS = 14_503_994, 1080.869
# The original holds the heads that move anchors, and those of saliency, under two names.
ALIASES = 2 * 3 * 6 + 4


@pytest.fixture(scope="module")
def golden(shared_dir: Path) -> DetrGolden:
    folder = shared_dir / "goldens" / "bam_detr"
    return DetrGolden(folder / "full", SPEC, {"official_padding": True, "tef": False}, folder / KEYS)


def test_outputs_of_every_layer_equal_the_official_ones(golden: DetrGolden) -> None:
    detr_golden.assert_outputs_equal(golden)


def test_qualities_and_anchors_of_every_layer_equal_the_official_ones(golden: DetrGolden) -> None:
    decoded = golden.model(golden.batch).decoded

    found = golden.model.quality(decoded.hidden).sigmoid()[..., None]
    for layer, name in enumerate(["aux_outputs.0.", ""]):
        assert detr_golden.error(found[layer], golden.outputs[f"{name}pred_quality"]) < detr_golden.TOLERANCE
    anchors = golden.outputs["aux_outputs.0.pred_spans_raw"]
    assert detr_golden.error(decoded.anchors[0], anchors) < detr_golden.TOLERANCE


def test_features_of_boundaries_equal_the_official_ones(golden: DetrGolden) -> None:
    boundaries = golden.model(golden.batch).decoded.boundaries

    assert detr_golden.error(boundaries.flatten(2), golden.outputs["memory_boundary"]) < detr_golden.TOLERANCE


def test_saliency_of_negative_pairs_equals_the_official_one(golden: DetrGolden) -> None:
    negatives = golden.model._negatives(golden.model(golden.batch), golden.batch)

    assert detr_golden.error(negatives.scores, golden.outputs["saliency_scores_neg"]) < detr_golden.TOLERANCE


def test_assignments_equal_the_official_ones(golden: DetrGolden) -> None:
    detr_golden.assert_assignments_equal(golden, MatchCosts(span=10, giou=1, label=0), ends=True)


def test_weighted_losses_equal_the_official_ones(golden: DetrGolden) -> None:
    detr_golden.assert_losses_equal(golden)


def test_gradients_equal_the_official_ones(golden: DetrGolden) -> None:
    detr_golden.assert_gradients_equal(golden)


def test_decoded_moments_equal_the_official_ones(golden: DetrGolden) -> None:
    detr_golden.assert_decoded_equal(golden)


def test_a_sample_without_padding_is_the_same_with_and_without_the_official_bugs(golden: DetrGolden) -> None:
    detr_golden.assert_unpadded_equal(golden, {"official_padding": False})
