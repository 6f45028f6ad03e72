from __future__ import annotations

import math

import pytest
import torch

from vmrbench.parts.criterion import SetWeights, set_losses
from vmrbench.parts.matcher import MatchCosts
from vmrbench.parts.slots import Slots

UNIT = SetWeights(span=1.0, giou=1.0, label=1.0, no_object=0.1)


def _one_found_one_empty() -> Slots:
    return Slots(logits=torch.zeros(1, 2, 2), spans=torch.tensor([[[0.5, 0.2], [0.1, 0.1]]]))


def test_terms_of_one_pair_are_worked_out_by_hand() -> None:
    truth = [torch.tensor([[0.6, 0.2]])]

    terms = set_losses([_one_found_one_empty()], truth, MatchCosts(), UNIT)

    # 0.4..0.6 against 0.5..0.7: overlap 0.1 of 0.3, no gap; labels: ln 2 once at weight 1, once at 0.1, mean over two.
    assert terms["span"].item() == pytest.approx(0.05)
    assert terms["giou"].item() == pytest.approx(2 / 3)
    assert terms["label"].item() == pytest.approx(1.1 * math.log(2) / 2)


def test_focal_labels_are_two_answers_a_slot() -> None:
    truth = [torch.tensor([[0.6, 0.2]])]

    terms = set_losses([_one_found_one_empty()], truth, MatchCosts(), UNIT, focal=True)

    # Every answer is at one half, which misses by a half: ln 2 / 4, at weight 0.25 for one yes a slot, 0.75 for one no.
    assert terms["label"].item() == pytest.approx(math.log(2) / 8)


def test_weights_scale_their_terms() -> None:
    truth = [torch.tensor([[0.6, 0.2]])]
    one = set_losses([_one_found_one_empty()], truth, MatchCosts(), UNIT)

    scaled = set_losses(
        [_one_found_one_empty()], truth, MatchCosts(), SetWeights(span=10.0, giou=2.0, label=4.0, no_object=0.1)
    )

    assert [(scaled[k] / one[k]).item() for k in ("span", "giou", "label")] == pytest.approx([10, 2, 4])


def test_starts_and_ends_are_compared_on_demand() -> None:
    truth = [torch.tensor([[0.6, 0.2]])]

    terms = set_losses([_one_found_one_empty()], truth, MatchCosts(), UNIT, ends=True)

    # 0.4..0.6 against 0.5..0.7: each end is 0.1 away, where the centre is and the width is not.
    assert terms["span"].item() == pytest.approx(0.1)


def test_earlier_layers_are_numbered() -> None:
    slots = _one_found_one_empty()

    terms = set_losses([slots, slots, slots], [torch.tensor([[0.6, 0.2]])], MatchCosts(), UNIT)

    assert set(terms) == {f"{name}{end}" for name in ("span", "giou", "label") for end in ("", "_0", "_1")}


def test_a_batch_without_moments_trains_labels_only() -> None:
    terms = set_losses([_one_found_one_empty()], [torch.zeros(0, 2)], MatchCosts(), UNIT)

    assert terms["span"].item() == 0
    assert terms["giou"].item() == 0
    assert terms["label"].item() == pytest.approx(0.1 * math.log(2))
