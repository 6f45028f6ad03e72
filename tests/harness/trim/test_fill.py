"""What the backbone reads where a clip was not kept."""

from __future__ import annotations

import pytest
import torch

from vmrbench.errors import DataError
from vmrbench.testing.factories import make_batch
from vmrbench.trim.access import CountingAccess
from vmrbench.trim.fill import Adapter, ConcatZero, build_fill

KEEP = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])


def test_concat_zero_puts_zeros_beside_the_index() -> None:
    batch = make_batch([3, 2], width=4, index_width=2)

    rows = ConcatZero(4, 2)(batch, batch.clips, KEEP)

    assert rows.clips.shape == (2, 3, 6)
    assert rows.clips[0, 1].tolist() == [0.0, 0.0, 0.0, 0.0, *batch.index[0, 1].tolist()]
    assert torch.equal(rows.clips[0, 2, :4], batch.clips[0, 2])


def test_adapter_that_keeps_everything_changes_no_bit() -> None:
    batch = make_batch([3, 2], width=4, index_width=2)

    rows = Adapter(4, 2)(batch, batch.clips, batch.clip_mask.float())

    assert torch.equal(rows.clips, batch.clips)


def test_adapter_starts_from_the_regression_of_fine_on_index() -> None:
    index = torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    fine = index @ torch.tensor([[1.0, 2.0, 0.0], [0.0, -1.0, 3.0]]) + 0.5
    adapter = Adapter(3, 2)

    adapter.fit(index, fine, ridge=1e-9)

    assert torch.allclose(adapter.stand_in(index), fine, atol=1e-4)


def test_fine_weight_is_one_only_where_a_real_clip_was_kept() -> None:
    batch = make_batch([3, 2], width=4, index_width=2)

    rows = ConcatZero(4, 2)(batch, batch.clips, torch.ones(2, 3))

    assert rows.fine_weight.tolist() == [[1.0, 1.0, 1.0], [1.0, 1.0, 0.0]]


def test_a_data_set_without_index_cannot_be_filled() -> None:
    with pytest.raises(DataError, match="index"):
        build_fill("concat_zero", 4, 0)


def test_every_clip_is_read_once_and_only_when_kept() -> None:
    batch = make_batch([3, 2], width=4, index_width=2)
    access = CountingAccess(batch, ConcatZero(4, 2), None, training=False)

    access.rows(torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]))
    rows = access.rows(KEEP)

    assert access.reads.tolist() == [[1, 0, 1], [0, 1, 0]]
    assert torch.equal(rows.clips[..., :4], batch.clips * KEEP[..., None])


def test_in_training_the_gradient_reaches_clips_that_were_not_kept() -> None:
    batch = make_batch([3, 2], width=4, index_width=2)
    keep = KEEP.clone().requires_grad_()
    access = CountingAccess(batch, ConcatZero(4, 2), None, training=True)

    access.rows(keep).clips.sum().backward()

    assert torch.allclose(keep.grad, batch.clips.sum(-1))
