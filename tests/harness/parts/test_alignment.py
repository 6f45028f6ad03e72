"""Terms that draw clips and words together before they are fused."""

from __future__ import annotations

import math

import pytest
import torch

from vmrbench.parts.alignment import clip_sentence_loss, mean_of_real, video_sentence_loss


def test_clip_sentence_loss_is_the_cross_entropy_of_scaled_cosines() -> None:
    clips = torch.tensor([[[3.0, 0.0], [0.0, 5.0]]])
    sentence, inside, real = torch.tensor([[1.0, 0.0]]), torch.tensor([[True, False]]), torch.ones(1, 2).bool()

    loss = clip_sentence_loss(clips, real, sentence, inside, temperature=0.5)

    # Cosines 1 and 0, logits 2 and 0.
    assert float(loss) == pytest.approx((math.log(1 + math.exp(-2)) + math.log(2)) / 2)


def test_padded_clips_count_only_as_an_option() -> None:
    clips = torch.tensor([[[3.0, 0.0], [9.0, 9.0]]])
    sentence, inside = torch.tensor([[1.0, 0.0]]), torch.tensor([[True, False]])
    given = (clips, torch.tensor([[True, False]]), sentence, inside)

    real, official = (clip_sentence_loss(*given, temperature=0.5, official_padding=bug) for bug in (False, True))

    entropy = math.log(1 + math.exp(-2))
    assert float(real) == pytest.approx(entropy)
    assert float(official) == pytest.approx((entropy + math.log(2)) / 2)


def test_video_sentence_loss_tells_videos_and_sentences_apart() -> None:
    both = torch.eye(2)

    loss = video_sentence_loss(both, 7 * both, torch.eye(2, dtype=torch.bool), temperature=0.5)

    assert float(loss) == pytest.approx(math.log(1 + math.exp(-2)))


def test_a_neighbour_of_the_same_video_is_no_negative() -> None:
    videos = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    same = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]]).bool()

    loss = video_sentence_loss(videos, videos, same, temperature=0.5)

    # Against one negative the first two, against two the last, in both directions.
    parts = [math.log(1 + math.exp(-2)), math.log(1 + math.exp(-2)), math.log(1 + 2 * math.exp(-2))]
    assert float(loss) == pytest.approx(sum(parts) / 3)


def test_means_leave_padding_out() -> None:
    rows = torch.tensor([[[1.0], [3.0], [100.0]]])

    assert mean_of_real(rows, torch.tensor([[True, True, False]])).tolist() == [[2.0]]
