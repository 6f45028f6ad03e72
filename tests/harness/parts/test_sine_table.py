"""Places of rows, stretched where a sequence has more rows than places."""

from __future__ import annotations

import math

import pytest
import torch

from vmrbench.parts.position import SineTable, sine_halves


def test_sines_come_before_cosines() -> None:
    table = sine_halves(3, 4)

    waves = [math.sin(2), math.sin(2 / 100), math.cos(2), math.cos(2 / 100)]
    assert table[2].tolist() == pytest.approx([wave / 2 for wave in waves])


def test_a_short_sequence_keeps_its_places_whatever_its_padding() -> None:
    table = SineTable(4, 8)
    mask = torch.arange(6)[None] < torch.tensor([[3]])

    assert torch.allclose(table(mask)[0, :3], sine_halves(3, 8))


def test_a_long_sequence_is_stretched_from_the_first_place_to_the_last() -> None:
    table = SineTable(3, 8)

    found = table(torch.ones(1, 5, dtype=torch.bool))[0]

    places = sine_halves(3, 8)
    assert torch.allclose(found, torch.stack([places[0], places[:2].mean(0), places[1], places[1:].mean(0), places[2]]))


def test_a_long_sequence_is_stretched_as_if_filled_up() -> None:
    table = SineTable(3, 8, multiple=5)

    found = table(torch.ones(1, 4, dtype=torch.bool))[0]

    assert torch.allclose(found, SineTable(3, 8)(torch.ones(1, 5, dtype=torch.bool))[0, :4])
