"""Losses on the attention of clips to dummies and words, by hand."""

from __future__ import annotations

import math

import pytest
import torch

from vmrbench.parts.word_attention_losses import attention_distillation, mass_loss, orthogonality_loss, word_mass


def test_mass_counts_real_words_only() -> None:
    attention = torch.tensor([[[0.5, 0.2, 0.3]]])

    assert word_mass(attention, torch.tensor([[True, True]])).item() == pytest.approx(0.5)
    assert word_mass(attention, torch.tensor([[True, False]])).item() == pytest.approx(0.2)


def test_mass_where_it_is_unwanted_costs_at_most_100() -> None:
    loss = mass_loss(torch.tensor([[0.25, 0.25, 1.0]]), torch.tensor([[True, False, False]]))

    torch.testing.assert_close(loss, torch.tensor([[math.log(4), math.log(4 / 3), 100.0]]))


def test_distillation_is_nothing_where_attention_follows_the_likeness() -> None:
    likeness = torch.tensor([[[1.0, 2.0, 3.0, 9.0]]])
    key_mask, inside = torch.tensor([[True, True, True, False]]), torch.tensor([[True]])
    attention = torch.cat([likeness[..., :3].softmax(-1), torch.zeros(1, 1, 1)], dim=-1)

    loss = attention_distillation(attention, likeness, inside, key_mask)

    assert loss.item() == pytest.approx(0, abs=1e-5)


def test_distillation_by_hand() -> None:
    # Wanted is 1/2 each; the second clip is outside, and counts nowhere.
    likeness, inside = torch.zeros(1, 2, 2), torch.tensor([[True, False]])
    attention = torch.tensor([[[0.25, 0.75], [1.0, 0.0]]])

    loss = attention_distillation(attention, likeness, inside, torch.ones(1, 2, dtype=torch.bool))

    divergence = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    assert loss.item() == pytest.approx(divergence / 2, rel=1e-4)


def test_without_a_moment_nothing_is_distilled() -> None:
    nothing = torch.zeros(1, 2, dtype=torch.bool)

    assert attention_distillation(torch.ones(1, 2, 3) / 3, torch.randn(1, 2, 3), nothing, torch.ones(1, 3) > 0) == 0


def test_orthogonality_by_hand() -> None:
    tokens = torch.tensor([[3.0, 0.0], [0.0, 2.0], [-1.0, 0.0]])

    # Of nine pairs two, the first with the last and back, have a cosine of -1.
    assert orthogonality_loss(tokens).item() == pytest.approx(2 / 9)
