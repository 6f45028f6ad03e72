"""The best of the intervals that cover a place, without a table of all pairs."""

from __future__ import annotations

import torch
from torch import Tensor


def covering_maximum(values: Tensor, first: Tensor, last: Tensor, places: int) -> Tensor:
    """For every place the largest value of the intervals that cover it, -inf where none does.

    Every interval is the union of two blocks whose length is a power of two. Its value is left at both; then, from the
    longest blocks to the shortest, each block hands its value to its halves: P + L log L steps for P intervals.

    Args:
        values: [B, P]; -inf takes an interval out.
        first, last: [B, P] integers, the places at both ends, 0 <= first <= last < L.
        places: L.

    Returns:
        [B, L], with a gradient to the values.
    """
    # Of the integer n, in float: n = mantissa * 2**exponent, with a mantissa from 0.5 to below 1.
    level = torch.frexp((last - first + 1).float()).exponent.long() - 1
    levels = places.bit_length()
    ends = torch.cat([first, last + 1 - 2**level], dim=1)
    best = values.new_full((len(values), levels * places), -torch.inf)
    best = best.scatter_reduce(1, level.repeat(1, 2) * places + ends, values.repeat(1, 2), "amax")
    *shorter, block = best.view(-1, levels, places).unbind(1)
    for half, own in reversed([(2**power, rows) for power, rows in enumerate(shorter)]):
        moved = torch.cat([own[:, :half], torch.maximum(own[:, half:], block[:, :-half])], dim=1)
        block = torch.maximum(moved, block)
    return block
