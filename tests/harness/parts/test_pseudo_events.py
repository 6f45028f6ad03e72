"""Events of a video without labels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vmrbench.parts.pseudo_events import change_around, pseudo_events

KERNEL = torch.tensor([1.0, 1.0, 0.0, -1.0, -1.0])


def scenes(*lengths: int) -> Tensor:
    """[1, L, D] rows that are equal inside a scene and orthogonal between scenes."""
    return torch.eye(len(lengths)).repeat_interleave(torch.tensor(lengths), 0)[None]


def all_real(rows: Tensor) -> Tensor:
    return torch.ones(rows.shape[:2], dtype=torch.bool)


def test_change_is_the_contrastive_kernel_on_the_diagonal_of_similarities() -> None:
    torch.manual_seed(0)
    rows = torch.randn(2, 9, 4)
    unit = F.normalize(rows, dim=2)
    padded = F.pad(unit @ unit.transpose(1, 2), (2, 2, 2, 2))

    expected = [[(padded[b, i : i + 5, i : i + 5] * KERNEL[:, None] * KERNEL).sum() for i in range(9)] for b in (0, 1)]

    torch.testing.assert_close(change_around(rows), torch.tensor(expected))


def test_a_cut_between_scenes_divides_a_video_into_events() -> None:
    rows = scenes(5, 5)

    (events,) = pseudo_events(rows, all_real(rows))

    # Around rows 4 and 5 it is |2 a - 2 b|^2 = 8, beside them |a - b|^2 = 2: boundaries 0, 4, 5 and 9.
    ends = [[0, 4], [4, 5], [5, 9]]
    expected = torch.tensor([[(a + b) / 2 / 10, (b - a) / 10] for a, b in ends])
    torch.testing.assert_close(events, expected)


def test_padding_changes_no_event() -> None:
    torch.manual_seed(0)
    rows = torch.randn(2, 12, 4)
    mask = torch.arange(12) < torch.tensor([[12], [8]])

    together = pseudo_events(F.pad(rows * mask[..., None], (0, 0, 0, 5)), F.pad(mask, (0, 5)))

    for row, length in enumerate((12, 8)):
        alone = rows[row : row + 1, :length]
        torch.testing.assert_close(together[row], pseudo_events(alone, all_real(alone))[0])


def test_a_video_of_one_clip_has_no_event() -> None:
    (events,) = pseudo_events(torch.ones(1, 1, 4), torch.ones(1, 1, dtype=torch.bool))

    assert events.shape == (0, 2)


def test_the_official_code_adds_an_event_of_negative_width_to_the_middle_of_an_odd_batch() -> None:
    rows = torch.cat([scenes(5, 5)] * 3)

    events = pseudo_events(rows, all_real(rows), official_padding=True)

    assert [len(found) for found in events] == [3, 4, 3]
    torch.testing.assert_close(events[1][0], torch.tensor([0.45, -0.9]))
    even = pseudo_events(rows[:2], all_real(rows[:2]), official_padding=True)
    assert [len(found) for found in even] == [3, 3]
