from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from vmrbench.testing.factories import make_batch
from vmrbench.trim.labels import moment_fractions


def test_moments_become_fractions_of_the_clip_axis() -> None:
    batch = make_batch([10, 4])

    fractions = moment_fractions(batch)

    # Clips 1 and 2 of each video.
    torch.testing.assert_close(fractions[0], torch.tensor([[0.1, 0.3]]))
    assert fractions[1].tolist() == [[0.25, 0.75]]


def test_a_moment_outside_every_row_is_left_out() -> None:
    batch = replace(make_batch([10]), moments=(torch.tensor([[30.0, 40.0], [0.0, 2.0]]),))

    assert len(moment_fractions(batch)[0]) == 1


def test_a_batch_without_labels_is_refused() -> None:
    with pytest.raises(ValueError, match="needs labels"):
        moment_fractions(replace(make_batch([3]), moments=None))
