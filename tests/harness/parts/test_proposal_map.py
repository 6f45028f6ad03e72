from __future__ import annotations

import pytest
import torch

from vmrbench.parts.proposal_map import ProposalMap, sparse_cells


@pytest.mark.parametrize(
    ("grid", "scales", "count"),
    [(16, (16,), 136), (32, (8, 4, 4), 280), (64, (16, 8, 8), 1104), (128, (16, 8, 8, 8), 2548)],
)
def test_live_cells_are_as_many_as_published(grid: int, scales: tuple[int, ...], count: int) -> None:
    assert len(sparse_cells(grid, scales)) == count


def test_coarser_scales_start_at_every_second_clip() -> None:
    cells = sparse_cells(8, (2, 3))

    assert [c for c in cells if c[1] - c[0] == 1] == [(i, i + 1) for i in range(7)]
    assert [c for c in cells if c[1] - c[0] == 3] == [(0, 3), (2, 5), (4, 7)]
    assert [c for c in cells if c[1] - c[0] == 7] == [(0, 7)]


def test_pooled_cells_hold_the_maximum_over_their_clips() -> None:
    torch.manual_seed(0)
    proposals, clips = ProposalMap(16, (4, 3, 1), "pool", 5), torch.randn(2, 5, 16)

    cells = proposals(clips)

    for place, (first, last) in enumerate(sparse_cells(16, (4, 3, 1))):
        assert torch.equal(cells[:, :, place], clips[:, :, first : last + 1].amax(2))


def test_convolved_cells_are_as_many_as_pooled_ones() -> None:
    clips = torch.randn(1, 4, 16)

    pooled, convolved = (ProposalMap(16, (4, 3, 1), kind, 4)(clips) for kind in ("pool", "conv"))

    assert pooled.shape == convolved.shape


def test_moments_of_one_clip_are_found_among_the_cells() -> None:
    proposals, cells = ProposalMap(8, (2, 3), "pool", 3), torch.randn(2, 3, len(sparse_cells(8, (2, 3))))

    single = proposals.of_single_clips(cells)

    places = [place for place, (first, last) in enumerate(sparse_cells(8, (2, 3))) if first == last]
    assert torch.equal(single, cells[:, :, places])


def test_every_clip_gets_the_best_cell_that_covers_it() -> None:
    proposals = ProposalMap(4, (4,), "pool", 1)
    values = torch.tensor([[float(10 * first + last) for first, last in sparse_cells(4, (4,))]])

    best = proposals.covering_maximum(values)

    # Clip 0: (0, 3) = 3; clip 1: (1, 3) = 13; clip 2: (2, 3) = 23; clip 3: (3, 3) = 33.
    assert best.tolist() == [[3.0, 13.0, 23.0, 33.0]]
