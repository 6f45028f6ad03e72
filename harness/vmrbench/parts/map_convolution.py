"""Convolutions over a map of moments that compute the cells that matter and no others.

A cell matters to a layer if its value can be other than zero and reaches a wanted cell of the last layer. Live cells
are few and scattered, so that even a cell that matters has many dead neighbours: a kernel is taken apart into its k x k
offsets, and each is one matrix product over the pairs of a cell and its live neighbour at that offset.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

# For every offset of a kernel, the pairs (cells that take, cells that are taken) by their numbers.
Pairs = list[tuple[Tensor, Tensor]]


class MapConvolution(nn.Module):
    """Convolutions over the map that know which cells are live: a sum over k live inputs is divided by k.

    Equal to convolutions of the whole map, padded once, before the first, by what all of them take off: what is live
    grows by half a kernel a layer, also beyond the map.

    Args:
        cells: (first clip, last clip) of the live cells.
        width: D.
        layers: convolutions.
        kernel: their odd side.
        part: which of `cells` `of_part` gives, None for all.
    """

    def __init__(
        self,
        cells: Sequence[tuple[int, int]],
        width: int,
        layers: int,
        kernel: int,
        part: Sequence[bool] | None = None,
    ) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(width, width, kernel) for _ in range(layers))
        live = np.array(cells)
        self.neighbours = _reaching(live, live, layers, kernel)
        self.part_neighbours = self.neighbours if part is None else _reaching(live, live[list(part)], layers, kernel)

    @torch.no_grad()
    def balance(self) -> None:
        """Multiply every convolution by the inputs its result is divided by, and start it as suits a ReLU.

        Left alone, k x k inputs are summed with weights meant for a sum and then divided by k x k, so that every
        layer weakens the signal about k x k times. A trial of few epochs showed no clear gain from mending that.
        """
        for conv in self.convs:
            assert isinstance(conv, nn.Conv2d)
            nn.init.kaiming_uniform_(conv.weight, nonlinearity="relu")
            conv.weight *= conv.kernel_size[0] * conv.kernel_size[1]

    def forward(self, cells: Tensor) -> Tensor:
        """[B, D, C] to [B, D, C], live cells in the order given at the start."""
        return self._through(self.neighbours, cells)

    def of_part(self, cells: Tensor) -> Tensor:
        """[B, D, P] those of `forward` that are in the part, for the price of the cells that reach them."""
        return self._through(self.part_neighbours, cells)

    def _through(self, layers: nn.ModuleList, cells: Tensor) -> Tensor:
        # Cells come first, so that picking some of them copies whole rows of [B, D].
        rows = cells.permute(2, 0, 1).contiguous()
        for conv, neighbours in zip(self.convs, layers, strict=True):
            assert isinstance(conv, nn.Conv2d)
            assert conv.bias is not None
            # Together once: a product would otherwise gather its weights anew, forwards and backwards.
            weights = conv.weight.flatten(2).permute(2, 0, 1).contiguous()
            rows = neighbours(rows, weights, conv.bias)
        return rows.permute(1, 2, 0)


class _Neighbours(nn.Module):
    """One convolution, from the cells of one layer to those of the next, divided by the live inputs."""

    takes: Tensor
    taken: Tensor
    share: Tensor

    def __init__(self, taken: NDArray[np.int64], takes: NDArray[np.int64], kernel: int) -> None:
        super().__init__()
        number = _numbers_around(taken, takes, kernel)
        offset, place = (number >= 0).nonzero()
        self.counts = np.bincount(offset, minlength=len(number)).tolist()
        self.register_buffer("takes", torch.as_tensor(place), persistent=False)
        self.register_buffer("taken", torch.as_tensor(number[offset, place]), persistent=False)
        share = 1 / np.bincount(place)[:, None, None]
        self.register_buffer("share", torch.as_tensor(share, dtype=torch.float32), persistent=False)

    def forward(self, rows: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
        """[cells of the next layer, B, D] from rows [cells of this layer, B, D]."""
        takes, taken = (torch.split(numbers, self.counts) for numbers in (self.takes, self.taken))
        # A tracer counts nothing inside an autograd function.
        add_up = _AddUp.apply if torch.is_grad_enabled() else _add_up
        summed: Tensor = add_up(rows, weights, list(zip(takes, taken, strict=True)), len(self.share))
        # The bias last: first, it would cost digits of every product that is added to it.
        return F.relu(summed + bias) * self.share


def _add_up(rows: Tensor, weights: Tensor, pairs: Pairs, count: int) -> Tensor:
    """[count, B, D] sum over a cell's pairs of the taken row times the weights [to D, from D] of the offset."""
    # Under autocast products are of lower precision than weights and sums.
    total = weights.new_zeros(count, *rows.shape[1:])
    for (takes, taken), weight in zip(pairs, weights, strict=True):
        product = rows.index_select(0, taken) @ weight.mT
        total.index_add_(0, takes, product.to(total.dtype))
    return total


class _AddUp(torch.autograd.Function):
    """`_add_up` whose gradient picks rows anew instead of keeping every picked row: k x k times less memory."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weights: Tensor, pairs: Pairs, count: int) -> Tensor:
        ctx.save_for_backward(rows, weights)
        ctx.pairs = pairs
        return _add_up(rows, weights, pairs, count)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        (rows, weights), gradient = ctx.saved_tensors, gradient.contiguous()
        of_rows, of_weights = torch.zeros_like(rows), torch.empty_like(weights)
        for (takes, taken), weight, of_weight in zip(ctx.pairs, weights, of_weights, strict=True):
            picked = gradient.index_select(0, takes)
            of_weight.copy_(picked.flatten(0, 1).mT @ rows.index_select(0, taken).flatten(0, 1))
            of_rows.index_add_(0, taken, (picked @ weight).to(of_rows.dtype))
        return of_rows, of_weights, None, None


def _reaching(live: NDArray[np.int64], wanted: NDArray[np.int64], layers: int, kernel: int) -> nn.ModuleList:
    """The convolutions from all cells of `live` [C, 2] to those of `wanted` [P, 2], in their orders.

    After l of L layers a cell is live within l half kernels of a live cell of the map, and reaches a wanted one within
    L - l half kernels: it matters within both.
    """
    border = layers * (kernel // 2)
    lives, wants = (_grown(cells, int(live.max()) + 1, border, layers, kernel) for cells in (live, wanted))
    between = [np.argwhere(lives[done] & wants[layers - done]) - border for done in range(1, layers)]
    return nn.ModuleList(_Neighbours(taken, takes, kernel) for taken, takes in pairwise([live, *between, wanted]))


def _grown(cells: NDArray[np.int64], grid: int, border: int, times: int, kernel: int) -> list[NDArray[np.bool_]]:
    """Whether a place of the map, with a border, is one of the cells; then whether it is within a kernel of one; ..."""
    here = np.zeros([grid + 2 * border] * 2, dtype=bool)
    here[tuple((cells + border).T)] = True
    grown = [here]
    for _ in range(times - 1):
        windows = sliding_window_view(np.pad(grown[-1], kernel // 2), (kernel, kernel))
        grown.append(np.any(windows, axis=(2, 3)))
    return grown


def _numbers_around(taken: NDArray[np.int64], takes: NDArray[np.int64], kernel: int) -> NDArray[np.int64]:
    """[k * k, cells that take] number among `taken` of the neighbour at every offset, -1 where it is dead."""
    both = np.concatenate([taken, takes])
    corner = both.min(0) - kernel // 2
    number = np.full(both.max(0) - corner + kernel // 2 + 1, -1)
    number[tuple((taken - corner).T)] = np.arange(len(taken))
    windows = sliding_window_view(number, (kernel, kernel))
    first, last = (takes - both.min(0)).T
    around: NDArray[np.int64] = windows[first, last].reshape(len(takes), -1).T
    return around
