"""Cross-entropy that cares less about what is right already."""

from __future__ import annotations

import math

import pytest
import torch

from vmrbench.parts.focal_loss import focal_loss


def test_focal_loss_weighs_cross_entropy_by_the_square_of_what_is_missed() -> None:
    logits, wanted = torch.tensor([math.log(3.0), math.log(3.0)]), torch.tensor([1.0, 0.0])

    yes, no = focal_loss(logits, wanted).tolist()

    # The probability of yes is 3 / 4.
    assert yes == pytest.approx(0.25 * 0.25**2 * math.log(4 / 3))
    assert no == pytest.approx(0.75 * 0.75**2 * math.log(4))
