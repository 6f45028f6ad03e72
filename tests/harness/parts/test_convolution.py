from __future__ import annotations

import torch
from torch import nn

from vmrbench.parts.convolution import ConvolutionStack, Pointwise, SeparableConvolutions


def test_a_pointwise_layer_equals_a_convolution_over_one_row() -> None:
    layer, rows = Pointwise(3, 2), torch.randn(2, 5, 3)

    torch.testing.assert_close(layer(rows), layer.conv(rows.transpose(1, 2)).transpose(1, 2))


def test_hidden_padding_is_like_the_end_of_the_sequence() -> None:
    torch.manual_seed(0)
    rows, mask = torch.randn(1, 6, 4), torch.arange(6)[None] < 4
    stacks: list[nn.Module] = [ConvolutionStack(4, 4, 2, kernel=3), SeparableConvolutions(4, 2, 3)]

    for stack in stacks:
        torch.testing.assert_close(stack(rows, mask)[:, :4], stack(rows[:, :4], None))
        assert not torch.allclose(stack(rows, None)[:, :4], stack(rows[:, :4], None))


def test_separable_convolutions_add_to_what_they_read() -> None:
    stack, rows = SeparableConvolutions(4, 2, 3), torch.randn(1, 6, 4)
    for _, pointwise, _ in stack.convolutions:
        nn.init.zeros_(pointwise.weight)
        nn.init.zeros_(pointwise.bias)

    torch.testing.assert_close(stack(rows, None), rows)
