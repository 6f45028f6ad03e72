from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from vmrbench.parts.grid import cells_to_rows, frame_membership, mean_weights, pool_frames


def _mask(length: int, padded: int) -> Tensor:
    return torch.arange(padded)[None] < length


@given(length=st.integers(1, 40), frames=st.integers(1, 40), padding=st.integers(0, 3))
def test_frames_are_those_of_a_plain_loop(length: int, frames: int, padding: int) -> None:
    found = frame_membership(_mask(length, length + padding), frames)[0]

    edges = (torch.arange(0, frames + 1, 1.0) / frames * length).round().long().clamp(max=length - 1).tolist()
    for frame, (first, after) in enumerate(pairwise(edges)):
        rows = list(range(first, after)) or [first]
        assert found[frame].nonzero().flatten().tolist() == rows


def test_as_many_frames_as_rows_change_nothing() -> None:
    assert torch.equal(frame_membership(_mask(6, 6), 6)[0], torch.eye(6))


def test_a_cell_averages_its_fine_rows_only() -> None:
    membership = torch.tensor([[[1.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]])

    weights, has_fine = mean_weights(membership, torch.tensor([[1.0, 0.0, 1.0, 1.0]]))

    assert weights[0].tolist() == [[0.5, 0.0, 0.5, 0.0], [0.0, 0.0, 0.0, 1.0]]
    assert has_fine[0].tolist() == [1.0, 1.0]


def test_a_cell_without_fine_rows_averages_all_its_rows() -> None:
    membership = torch.tensor([[[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]]])

    weights, has_fine = mean_weights(membership, torch.tensor([[0.0, 0.0, 1.0, 0.0]]))

    assert weights[0].tolist() == [[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]
    assert has_fine[0].tolist() == [0.0, 1.0]


def test_grid_clips_prefer_frames_with_fine_rows() -> None:
    frames = torch.tensor([[[1.0, 3.0, 5.0, 9.0]]])

    pooled = pool_frames(frames, torch.tensor([[0.0, 1.0, 0.0, 0.0]]), 2)

    # The first pair has one fine frame, 3; the second has none, (5 + 9) / 2.
    assert pooled.flatten().tolist() == [3.0, 7.0]


def test_cells_come_back_to_rows_by_overlap() -> None:
    weights = cells_to_rows(_mask(2, 3), 3)

    # Two rows over three cells of 2/3 row: the middle cell is shared.
    expected = torch.tensor([[2 / 3, 1 / 3, 0], [0, 1 / 3, 2 / 3], [0, 0, 0]])
    torch.testing.assert_close(weights[0], expected)


@given(length=st.integers(1, 30), cells=st.integers(1, 30))
def test_rows_draw_a_whole_share_from_cells(length: int, cells: int) -> None:
    weights = cells_to_rows(_mask(length, length + 2), cells)[0]

    assert weights[:length].sum(1).tolist() == pytest.approx([1.0] * length, abs=1e-5)
    assert weights[length:].abs().sum() == 0
