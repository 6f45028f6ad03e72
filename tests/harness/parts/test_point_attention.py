from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vmrbench.parts.point_attention import PointAttention

MASK = torch.tensor([[True, True, True, False]])


def test_a_point_between_two_rows_reads_both_by_nearness() -> None:
    read = _plain(offset=0.0)(torch.zeros(1, 2, 1), torch.tensor([[0.25, 1.0]]), _rows(0.0, 10.0, 20.0, 99.0), MASK)

    # Three real rows stand at 0, 0.5 and 1.
    assert read.flatten().tolist() == pytest.approx([5.0, 20.0])


def test_offsets_are_counted_in_rows_and_stay_inside_the_video() -> None:
    read = _plain(offset=1.5)(torch.zeros(1, 2, 1), torch.tensor([[0.0, 1.0]]), _rows(0.0, 10.0, 20.0, 99.0), MASK)

    # 1.5 of three rows are half of the way from the first row to the last one.
    assert read.flatten().tolist() == pytest.approx([10.0, 20.0])


def test_the_official_reading_is_a_fraction_of_the_padded_length() -> None:
    attention = _plain(offset=0.0, official_padding=True)

    read = attention(torch.zeros(1, 1, 1), torch.tensor([[1.0]]), _rows(0.0, 10.0, 20.0, 60.0), MASK)

    # The end of three clips is 3/4 of four: row 2.25, a quarter on the way to a padded one.
    assert read.item() == pytest.approx(30.0)


def test_padded_rows_have_no_influence() -> None:
    torch.manual_seed(0)
    attention, slots, places, source = (
        PointAttention(8, 6, 2),
        torch.randn(1, 5, 8),
        torch.rand(1, 5),
        torch.rand(1, 4, 6),
    )
    changed = torch.where(MASK[..., None], source, 100.0)

    torch.testing.assert_close(attention(slots, places, source, MASK), attention(slots, places, changed, MASK))


def test_points_equal_sampling_of_an_image_of_one_line() -> None:
    torch.manual_seed(0)
    attention, slots, places, source = (
        PointAttention(8, 6, 2),
        torch.randn(2, 5, 8),
        torch.rand(2, 5),
        torch.rand(2, 7, 6),
    )

    found = attention(slots, places, source, torch.ones(2, 7, dtype=torch.bool))

    torch.testing.assert_close(found, _sampled(attention, slots, places, source))


def test_points_begin_one_to_four_rows_to_the_right() -> None:
    assert PointAttention(8, 6, 2).offset.bias.tolist() == [1.0, 2.0, 3.0, 4.0] * 2


def _rows(*values: float) -> Tensor:
    return torch.tensor(values)[None, :, None]


def _plain(offset: float, *, official_padding: bool = False) -> PointAttention:
    """One point, a fixed number of rows away, whose row is the result as it is."""
    attention = PointAttention(1, 1, 1, points=1, official_padding=official_padding)
    for layer in (attention.value, attention.out_proj):
        nn.init.ones_(layer.weight)
        nn.init.zeros_(layer.bias)
    nn.init.zeros_(attention.offset.weight)
    nn.init.constant_(attention.offset.bias, offset)
    return attention


def _sampled(attention: PointAttention, slots: Tensor, places: Tensor, source: Tensor) -> Tensor:
    """The same by `grid_sample`, head by head and slot by slot, without padding."""
    weights = attention.weight(slots).unflatten(-1, (2, 4)).softmax(-1)
    offsets = attention.offset(slots).unflatten(-1, (2, 4))
    values = attention.value(source)
    mixed = torch.zeros(2, 5, 8)
    for head in range(2):
        line = values[..., 4 * head : 4 * head + 4].transpose(1, 2)[:, :, None]
        along = 2 * (places[..., None] + offsets[:, :, head] / source.shape[1]).clamp(0, 1) - 1
        grid = torch.stack([along, torch.zeros_like(along)], dim=-1)
        read = F.grid_sample(line, grid, align_corners=True)
        mixed[..., head::2] = (read * weights[:, None, :, head]).sum(-1).transpose(1, 2)
    return attention.out_proj(mixed)
