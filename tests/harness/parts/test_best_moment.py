"""How like the best moment every clip is."""

from __future__ import annotations

import torch

from vmrbench.parts.best_moment import BestMomentLikeness, moved_to_front
from vmrbench.parts.slots import Slots


def slots(*spans: tuple[float, float]) -> Slots:
    """For each sample a best slot with this start and end, and a worse one at 0.1 to 0.2; fractions."""
    rows = [[[(start + end) / 2, end - start], [0.15, 0.1]] for start, end in spans]
    logits = torch.tensor([[2.0, 0.0], [0.0, 0.0]]).expand(len(spans), -1, -1)
    return Slots(logits=logits, spans=torch.tensor(rows))


def expected(module: BestMomentLikeness, clips: torch.Tensor, read: torch.Tensor) -> torch.Tensor:
    """[L] of one sample's clips [L, D], from the last state of the GRU over the rows `read` [N, D]."""
    return clips @ module.recurrent(read)[1][0]


def test_rows_are_moved_to_the_front_and_followed_by_zeros() -> None:
    rows = torch.tensor([[[1.0], [2.0], [3.0], [4.0]]])

    moved = moved_to_front(rows, torch.tensor([1]), torch.tensor([2]))

    assert moved.flatten().tolist() == [2.0, 3.0, 0.0, 0.0]


@torch.no_grad()
def test_the_state_is_that_after_the_last_clip_of_the_moment() -> None:
    torch.manual_seed(0)
    module, clips = BestMomentLikeness(4), torch.randn(1, 8, 4)

    likeness = module(clips, torch.ones(1, 8, dtype=torch.bool), slots((0.3, 0.6)))

    # 0.3 and 0.6 of 8 clips are 2.4 and 4.8: clips 2 to 4.
    torch.testing.assert_close(likeness[0], expected(module, clips[0], clips[0, 2:5]))


@torch.no_grad()
def test_a_moment_is_laid_on_the_real_clips_and_ends_with_them() -> None:
    torch.manual_seed(0)
    module, clips = BestMomentLikeness(4), torch.randn(2, 8, 4)
    clip_mask = torch.arange(8) < torch.tensor([[5], [8]])

    likeness = module(clips, clip_mask, slots((0.5, 1.2), (-0.3, 0.1)))

    torch.testing.assert_close(likeness[0], expected(module, clips[0], clips[0, 2:5]))
    torch.testing.assert_close(likeness[1], expected(module, clips[1], clips[1, :1]))


@torch.no_grad()
def test_a_moment_without_length_at_the_end_is_the_last_clip() -> None:
    torch.manual_seed(0)
    module, clips = BestMomentLikeness(4), torch.randn(1, 8, 4)

    likeness = module(clips, torch.ones(1, 8, dtype=torch.bool), slots((1.0, 1.0)))

    torch.testing.assert_close(likeness[0], expected(module, clips[0], clips[0, 7:]))


@torch.no_grad()
def test_the_official_bugs_are_an_option() -> None:
    """An index before the start counts from the end, as in Python, and the GRU reads on."""
    torch.manual_seed(0)
    module, clips = BestMomentLikeness(4, official_padding=True), torch.randn(3, 8, 4)
    clip_mask = torch.arange(8) < torch.tensor([[5], [8], [8]])

    likeness = module(clips, clip_mask, slots((0.3, 0.6), (-0.3, 0.1), (-0.3, 0.9)))

    # -0.3 of 8 clips is -2.4: clip -3, which is clip 5; clips 5 to 0 are none, and 5 to 7 are three.
    for row, read in enumerate([clips[0, 2:5], clips[1, :0], clips[2, 5:]]):
        zeros = torch.zeros(8 - len(read), 4)
        torch.testing.assert_close(likeness[row], expected(module, clips[row], torch.cat([read, zeros])))
