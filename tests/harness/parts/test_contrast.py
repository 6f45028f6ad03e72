from __future__ import annotations

import math

import torch

from vmrbench.parts.contrast import salient_contrast


def _one_video(grades: list[float], clip_mask: list[bool] | None = None) -> tuple[float, float]:
    """Clips along the axes of a plane, a sentence along the first, the first clip salient, temperature 1."""
    clips = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]])
    mask = torch.tensor([clip_mask or [True] * 3])
    salient = torch.tensor([0])
    within, between = salient_contrast(clips, torch.tensor([[2.0, 0.0]]), torch.tensor([grades]), mask, salient, 1.0)
    return float(within), float(between)


def test_a_salient_clip_is_compared_with_clips_of_lower_grade() -> None:
    within, between = _one_video([2.0, 1.0, 2.0])

    # Cosines 1 and 0; the third clip has the same grade. There is no other video.
    assert math.isclose(within, math.log(1 + math.exp(-1)), rel_tol=1e-5)
    assert between == 0


def test_padded_clips_are_no_rivals() -> None:
    assert _one_video([2.0, 0.0, 2.0], [True, False, False])[0] == 0


def test_samples_without_a_salient_clip_are_left_out() -> None:
    assert _one_video([0.0, 0.0, 0.0]) == (0, 0)


def test_videos_are_told_apart_by_their_sentences() -> None:
    clips = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]])
    ones = torch.ones(2, 1)

    _, between = salient_contrast(clips, clips[:, 0], ones, ones > 0, torch.tensor([0, 0]), 1.0)

    # Own cosine 1, other 0, in both directions.
    assert math.isclose(float(between), 2 * math.log(1 + math.exp(-1)), rel_tol=1e-5)
