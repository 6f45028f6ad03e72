"""CG-DETR against the official implementation (stored inputs, outputs, losses, gradients), and its own promises."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import detr_golden
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from detr_golden import DetrGolden
from double_precision import InDouble
from torch import Tensor

from vmrbench.config.options import make_options
from vmrbench.parts.ranked_saliency import rank_contrast
from vmrbench.parts.word_attention_losses import word_mass
from vmrbench.specs import Dims
from vmrbench.testing.batch_edits import pad_batch, take_samples
from vmrbench.testing.factories import make_batch
from vmrbench.trim.saliency_labels import graded_labels, of_another_video
from vmrbench_plugins.cg_detr import SPEC, CgDetr

SMALL = make_options(SPEC, "small", {}, "test")
# Of the official implementation at 75 clips and 32 tokens, where a sample alone in its batch has no negative pass.
PUBLISHED_PARAMETERS, PUBLISHED_MEGAMACS = 12_615_467, 576.331
OPTIONS = {"dummies": 6, "prompts": 5, "chosen_prompts": 2, "official_padding": True}
TWO_OF_ONE_VIDEO = ("v0", "v0", "v1")


@pytest.fixture(scope="module")
def folder(shared_dir: Path) -> Path:
    return shared_dir / "goldens" / "cg_detr"


@pytest.fixture(scope="module")
def golden(folder: Path) -> DetrGolden:
    """The stored case, with losses as they would be if the official one kept its digits."""
    golden = DetrGolden(folder, SPEC, OPTIONS)
    lost = lost_digits(golden.outputs["saliency_scores_neg"], golden.outputs["video_mask"])
    for name in ("loss.loss_saliency", "loss_total_weighted"):
        golden.losses[name] = golden.losses[name] + lost
    return golden


@pytest.fixture(scope="module")
def in_double(folder: Path) -> InDouble:
    return InDouble("cg_detr", lambda: DetrGolden(folder, SPEC, {**OPTIONS, "tef": False}))


def lost_digits(scores: Any, mask: Any) -> float:
    """What the official cross-entropy of negative pairs loses by rounding 1 - sigmoid; here the scores reach 13."""
    exact, rounded = F.softplus(torch.from_numpy(scores).double()), -(1 - torch.from_numpy(scores).sigmoid()).log()
    return float(((exact - rounded) * torch.from_numpy(mask)).sum(1).mean())


def small_model(**options: Any) -> CgDetr:
    torch.manual_seed(0)
    return CgDetr(replace(SMALL, **options), Dims(video=16, text=12)).eval()


def loss_terms(model: Any, batch: Any) -> dict[str, float]:
    """With pairs drawn alike at every call."""
    torch.manual_seed(0)
    return {name: float(term.detach()) for name, term in model.loss(model(batch), batch).items()}


def test_outputs_of_every_layer_equal_the_official_ones(golden: DetrGolden) -> None:
    detr_golden.assert_outputs_equal(golden)


def test_attention_and_dummies_equal_the_official_ones(golden: DetrGolden) -> None:
    with torch.no_grad():
        outputs = golden.model(golden.batch)

    mass = word_mass(outputs.fused.attention, golden.batch.query_mask)
    assert detr_golden.error(outputs.fused.attention, golden.outputs["cate_attn_weights"]) < 1e-5
    assert detr_golden.error(outputs.words.dummies, golden.outputs["dummy_tokens"]) < 1e-5
    assert detr_golden.error(mass, golden.outputs["t2vattnvalues"]) < 1e-5


def test_summaries_of_moments_and_sentences_equal_the_official_ones(golden: DetrGolden, folder: Path) -> None:
    official, batch = np.load(folder / "outputs_with_targets.npz"), golden.batch
    inside = graded_labels(batch, 2).grades > 0
    found: list[Tensor] = []
    hooks = [
        encoder.register_forward_hook(lambda _module, _inputs, result: found.append(result[0]))
        for encoder in (golden.model.correlate.moment, golden.model.correlate.sentence)
    ]

    with torch.no_grad():
        outputs = golden.model(batch)
        position = golden.model._position(batch.clip_mask)
        correlation = golden.model.correlate(outputs.clips, position, batch.clip_mask, inside, outputs.words)

    for hook in hooks:
        hook.remove()
    names = ("memory_moment", "nmmemory_moment", "sentence_txt", "sentence_dummy")
    for summary, name in zip(found, names, strict=True):
        assert detr_golden.error(summary, official[name]) < 1e-5
    assert detr_golden.error(correlation.likeness, official["moment2txt_similarity"]) < 1e-5


def test_negative_pairs_equal_the_official_ones(golden: DetrGolden) -> None:
    with torch.no_grad():
        outputs = golden.model(golden.batch)
        scores, mass = golden.model._negatives(outputs, golden.batch, of_another_video(golden.batch))

    assert detr_golden.error(scores, golden.outputs["saliency_scores_neg"]) < 1e-5
    assert detr_golden.error(mass, golden.outputs["t2vattnvalues_neg"]) < 1e-5


def test_negative_pairs_where_two_samples_show_one_video_equal_the_official_ones(
    golden: DetrGolden, folder: Path
) -> None:
    official, batch = np.load(folder / "samevid.npz"), replace(golden.batch, video_ids=TWO_OF_ONE_VIDEO)
    other = of_another_video(batch)

    with torch.no_grad():
        scores, mass = golden.model._negatives(golden.model(batch), batch, other)

    assert other.tolist() == official["out.real_neg_mask"].tolist()
    assert detr_golden.error(scores, official["out.saliency_scores_neg"]) < 1e-5
    assert detr_golden.error(mass, official["out.t2vattnvalues_neg"]) < 1e-5


def test_losses_where_two_samples_show_one_video_equal_the_official_ones(golden: DetrGolden, folder: Path) -> None:
    """But for the contrast of the only sample without a negative pair, which the official code takes over nothing."""
    official, batch = np.load(folder / "samevid.npz"), replace(golden.batch, video_ids=TWO_OF_ONE_VIDEO)
    grades = graded_labels(batch, 2).grades

    terms = loss_terms(golden.model, batch)

    expected = float(official["loss.loss_saliency"])
    expected += lost_digits(official["out.saliency_scores_neg"], official["out.video_mask"][1:])
    for name in ("out.saliency_scores", "out.t2vattnvalues"):
        first = torch.from_numpy(official[name][:1])
        expected += float(rank_contrast(first, grades[:1], batch.clip_mask[:1]))
    assert terms["saliency"] == pytest.approx(expected, rel=1e-5)
    for name in ("ms_align", "distill", "orthogonal_dummy"):
        assert terms[name] == pytest.approx(float(official[f"loss.loss_{name}"]), rel=1e-5)


def test_assignments_equal_the_official_ones(golden: DetrGolden) -> None:
    detr_golden.assert_assignments_equal(golden)


def test_weighted_losses_equal_the_official_ones(golden: DetrGolden) -> None:
    detr_golden.assert_losses_equal(golden)


def test_gradients_equal_the_official_ones(golden: DetrGolden) -> None:
    detr_golden.assert_gradients_equal(golden)


def test_results_in_double_precision_equal_the_official_ones(in_double: InDouble) -> None:
    """The saliency loss among them, whose official cross-entropy keeps its digits there."""
    in_double.assert_equals_the_official_one()


def test_decoded_moments_equal_the_official_ones(golden: DetrGolden) -> None:
    detr_golden.assert_decoded_equal(golden)


def test_a_sample_without_padding_is_the_same_with_and_without_the_official_bug(golden: DetrGolden) -> None:
    detr_golden.assert_unpadded_equal(golden, {"official_padding": False})


def test_losses_of_a_sample_without_padding_are_the_same_with_and_without_the_official_bugs() -> None:
    batch, ours, official = make_batch([9]), small_model(), small_model(official_padding=True)

    assert loss_terms(ours, batch) == pytest.approx(loss_terms(official, batch), rel=1e-5)


def test_padding_changes_no_loss_term() -> None:
    model, batch = small_model(), make_batch([9, 7], query_lengths=[5, 3])
    pairs = {name: torch.tensor([[place], [place]]) for name, place in (("saliency_pos", 2), ("saliency_neg", 0))}
    batch = replace(batch, extra=pairs)

    padded = loss_terms(model, pad_batch(batch, clips=4, tokens=3))

    assert padded == pytest.approx(loss_terms(model, batch), rel=1e-4)


def test_official_keys_map_completely_both_ways(folder: Path) -> None:
    detr_golden.assert_keys_map_completely(SPEC, folder / "official_full_state_dict_keys.json")


def test_size_equals_the_published_one() -> None:
    assert detr_golden.parameters(detr_golden.published(SPEC)) == PUBLISHED_PARAMETERS


def test_multiply_adds_are_those_of_the_official_model() -> None:
    """Ours are a little fewer: auxiliary heads run in `loss` only, and anchors are not moved after the last layer."""
    megamacs = detr_golden.megamacs(detr_golden.published(SPEC))

    assert 0.97 * PUBLISHED_MEGAMACS < megamacs < PUBLISHED_MEGAMACS


def test_inference_encodes_once_and_runs_nothing_for_training_only() -> None:
    model, batch = small_model(), make_batch([9, 7])

    calls = detr_golden.calls_in_inference(model, [model.encoder, model.heads], batch)

    assert calls == 2
    assert detr_golden.calls_in_inference(model, [model.correlate], batch) == 0


def test_loss_encodes_the_negative_pair_and_decodes_it_not() -> None:
    model, batch, calls = small_model(), make_batch([9, 7]), []
    outputs = model(batch)
    model.encoder.register_forward_hook(lambda *_: calls.append("encoder"))
    model.decoder.register_forward_hook(lambda *_: calls.append("decoder"))

    model.loss(outputs, batch)

    assert calls == ["encoder"]


def test_a_sample_alone_has_no_negative_pair() -> None:
    model, batch = small_model(), make_batch([9])

    scores, mass = model._negatives(model(batch), batch, of_another_video(batch))

    assert len(scores) == len(mass) == 0


def test_a_video_of_one_clip_has_gradients_like_others() -> None:
    model = small_model()
    batch = take_samples(make_batch([1, 9]), [0])

    torch.stack(list(model.loss(model(batch), batch).values())).sum().backward()

    norm = model.token_types.grad
    assert norm is not None
    assert norm.norm() < 1e5


def test_learned_text_positions_are_an_option() -> None:
    model, batch = small_model(text_position=True), make_batch([9])
    assert batch.query_mask.all()

    turned = model(replace(batch, query=batch.query.flip(1))).slots.spans

    assert not torch.allclose(turned, model(batch).slots.spans, atol=1e-5)


@pytest.mark.slow
def test_a_planted_signal_is_learned() -> None:
    torch.manual_seed(0)

    losses = detr_golden.losses_of_training(CgDetr(SMALL, Dims(video=16, text=16)), detr_golden.planted_batch())

    assert losses[-1] < 0.5 * losses[0]
