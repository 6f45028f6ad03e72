from __future__ import annotations

import pytest
import torch

from vmrbench.parts.row_layers import RowConv


def _convolution(layer: RowConv, rows: torch.Tensor) -> torch.Tensor:
    """torch's own convolution with the layer's weights."""
    return layer.conv(rows.transpose(1, 2)).transpose(1, 2)


@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (3, 2), (5, 1), (5, 2)])
@pytest.mark.parametrize("length", [1, 2, 7, 8])
def test_a_row_convolution_is_torchs(kernel: int, stride: int, length: int, depthwise: bool) -> None:
    layer = RowConv(4, 4 if depthwise else 6, kernel, stride=stride, depthwise=depthwise).double()
    rows, every = torch.randn(2, length, 4).double(), torch.ones(2, length, dtype=torch.bool)

    torch.testing.assert_close(layer(rows, every), _convolution(layer, rows))


@pytest.mark.parametrize("depthwise", [False, True])
def test_padded_rows_are_read_as_zeros(depthwise: bool) -> None:
    layer, rows = RowConv(4, 4, 3, depthwise=depthwise), torch.randn(1, 6, 4)
    mask = torch.arange(6)[None] < 4

    torch.testing.assert_close(layer(rows, mask)[:, :4], _convolution(layer, rows[:, :4]))


@pytest.mark.parametrize("depthwise", [False, True])
def test_sequences_side_by_side_are_no_neighbours(depthwise: bool) -> None:
    layer, first, second = RowConv(4, 4, 3, depthwise=depthwise), torch.randn(2, 5, 4), torch.randn(2, 3, 4)
    both, every = torch.cat([first, second], dim=1), torch.ones(2, 8, dtype=torch.bool)

    apart = torch.cat([_convolution(layer, first), _convolution(layer, second)], dim=1)
    torch.testing.assert_close(layer(both, every, [5, 3]), apart)
