"""Soft clusters and the random walk, against slow and obvious second implementations and by hand."""

from __future__ import annotations

import pytest
import torch

from vmrbench.parts.soft_clusters import soft_clusters, walk_to_clusters


@pytest.fixture
def case() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Three centres, and two sequences of five and three rows of width 4."""
    generator = torch.Generator().manual_seed(0)
    mask = torch.arange(5) < torch.tensor([5, 3])[:, None]
    return torch.randn(3, 4, generator=generator), torch.randn(2, 5, 4, generator=generator), mask


def unit(row: torch.Tensor) -> torch.Tensor:
    return row / row.norm()


def test_one_centre_becomes_the_mean_of_the_rows(case: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> None:
    centres, rows, mask = case

    moved = soft_clusters(centres[:1], rows, mask, 2)

    torch.testing.assert_close(moved[0, 0], rows[0].mean(0))
    torch.testing.assert_close(moved[1, 0], rows[1, :3].mean(0))


def test_clusters_equal_a_loop_over_rows_and_centres(case: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> None:
    centres, rows, mask = case

    found = soft_clusters(centres, rows, mask, 2)

    for sample, count in enumerate([5, 3]):
        moved = centres
        for _ in range(2):
            shares = torch.stack(
                [
                    torch.stack([-(unit(c) - unit(row)).square().sum() / (2 * 1.2**2) for c in moved]).softmax(0)
                    for row in rows[sample, :count]
                ]
            )
            moved = torch.stack(
                [(shares[:, k, None] * rows[sample, :count]).sum(0) / shares[:, k].sum() for k in range(3)]
            )
        torch.testing.assert_close(found[sample], moved)


def test_the_walk_equals_the_published_formula_with_its_large_inverse(
    case: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    clusters, rows, mask = case

    found = walk_to_clusters(rows, clusters.expand(2, -1, -1), mask, 0.5)

    for sample, count in enumerate([5, 3]):
        real = rows[sample, :count]
        z = torch.stack([torch.stack([5 * unit(c) @ unit(row) for c in clusters]).softmax(0) for row in real], dim=1)
        inverse = torch.linalg.inv(torch.eye(count) - 0.25 * z.T @ (z / z.sum(1, keepdim=True)))
        expected = 0.5 * inverse @ (0.5 * z.T @ clusters + real)
        torch.testing.assert_close(found[sample, :count], expected)


def test_a_row_and_its_cluster_alone_meet_in_the_middle() -> None:
    """The walk never leaves the two: 1/2 (1/2 cluster + row) / (1 - 1/4)."""
    rows, clusters = torch.tensor([[[3.0, 0.0]]]), torch.tensor([[[0.0, 6.0]]])

    walked = walk_to_clusters(rows, clusters, torch.tensor([[True]]), 0.5)

    torch.testing.assert_close(walked, torch.tensor([[[2.0, 2.0]]]))


def test_padding_changes_neither_clusters_nor_the_walk(case: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> None:
    centres, rows, mask = case
    other = torch.where(mask[..., None], rows, 100.0)

    clusters = soft_clusters(centres, rows, mask, 3)

    torch.testing.assert_close(soft_clusters(centres, other, mask, 3), clusters)
    walked, again = (walk_to_clusters(r, clusters, mask, 0.5)[mask] for r in (rows, other))
    torch.testing.assert_close(walked, again)
