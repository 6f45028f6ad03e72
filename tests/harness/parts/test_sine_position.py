from __future__ import annotations

import math

import pytest
import torch

from vmrbench.errors import DataError
from vmrbench.parts.position import LearnedPosition, sine_position


def test_places_run_to_two_pi_at_the_last_real_row() -> None:
    mask = torch.tensor([[True, True, True, True]])

    position = sine_position(mask, 4)

    # Channel 0 and 1 are sine and cosine of 2 pi i / 4; channels 2 and 3 of the same angle / 100.
    angle = torch.tensor([1.0, 2.0, 3.0, 4.0]) * 2 * math.pi / 4
    expected = torch.stack([angle.sin(), angle.cos(), (angle / 100).sin(), (angle / 100).cos()], dim=-1)
    torch.testing.assert_close(position[0], expected, atol=1e-5, rtol=0)


def test_padding_does_not_move_real_rows() -> None:
    short, long = torch.ones(1, 3, dtype=torch.bool), torch.tensor([[True, True, True, False, False]])

    moved = sine_position(long, 8)[:, :3] - sine_position(short, 8)

    assert moved.abs().max() == 0


def test_a_query_longer_than_its_places_is_refused() -> None:
    with pytest.raises(DataError, match="5 rows, and its learned position knows 4"):
        LearnedPosition(4, 8)(torch.zeros(1, 5, 8))
