"""What training reads from the space of videos, clips and sentences, by hand."""

from __future__ import annotations

import math

import pytest
import torch

from vmrbench.parts.shared_space import Directions, SharedSpace, chosen_clips_loss, least_similar


def directions(clips: list[list[list[float]]], sentences: list[list[float]]) -> Directions:
    rows = torch.tensor(clips)
    return Directions(videos=rows[:, 0], clips=rows, sentences=torch.tensor(sentences))


def test_every_direction_has_length_one() -> None:
    torch.manual_seed(0)

    found = SharedSpace(4, 8)(torch.randn(2, 4), torch.randn(2, 3, 4), torch.randn(2, 4))

    for rows in (found.videos, found.clips, found.sentences):
        torch.testing.assert_close(rows.norm(dim=-1), torch.ones(rows.shape[:-1]))


def test_loss_of_chosen_clips_by_hand() -> None:
    """Cosines 1 and 0, the third clip padded; the first is chosen: log(1 + 1/e), over two clips."""
    space = directions([[[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]], [[1.0, 0.0]])
    mask, chosen = torch.tensor([[True, True, False]]), torch.tensor([[True, False, True]])

    loss = chosen_clips_loss(space, mask, chosen)

    assert loss.item() == pytest.approx(math.log(1 + math.exp(-1)) / 2, rel=1e-6)


def test_a_sample_without_a_chosen_clip_has_no_loss() -> None:
    space = directions([[[1.0, 0.0], [0.0, 1.0]]], [[1.0, 0.0]])

    loss = chosen_clips_loss(space, torch.ones(1, 2, dtype=torch.bool), torch.zeros(1, 2, dtype=torch.bool))

    assert loss.item() == 0


def test_the_least_similar_sentence_is_chosen_among_those_allowed() -> None:
    """Sentences against video 0: cosines 1, -1, 0."""
    rows = [[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]]
    space, mask = directions([[row] for row in rows], rows), torch.ones(3, 1, dtype=torch.bool)
    everywhere = torch.ones(3, 3, dtype=torch.bool)
    elsewhere = everywhere.clone()
    elsewhere[0, 1] = False

    assert least_similar(space, mask, everywhere)[0] == 1
    assert least_similar(space, mask, elsewhere)[0] == 2
