"""Tests of the moving average of weights."""

from __future__ import annotations

import torch
from torch import nn

from vmrbench.engine.weight_average import WeightAverage


def numbers(weight: float) -> nn.BatchNorm1d:
    """A module with one weight, one running mean, and a counter that is a whole number."""
    module = nn.BatchNorm1d(1)
    set_weight(module, weight)
    return module


def set_weight(module: nn.Module, value: float) -> None:
    module.get_parameter("weight").data.fill_(value)


def test_an_average_keeps_its_share_at_every_step() -> None:
    module = numbers(8.0)
    average = WeightAverage(module, 0.75)

    for weight in (0.0, 4.0):
        set_weight(module, weight)
        average.update()

    assert average.state_dict()["weight"].item() == 0.75 * (0.75 * 8.0) + 0.25 * 4.0


def test_a_counter_is_copied_and_not_averaged() -> None:
    module = numbers(0.0)
    average = WeightAverage(module, 0.75)

    module(torch.zeros(3, 1))
    average.update()

    assert average.state_dict()["num_batches_tracked"].item() == 1


def test_two_exchanges_leave_weights_and_average_as_they_were() -> None:
    module = numbers(8.0)
    average = WeightAverage(module, 0.5)
    set_weight(module, 0.0)
    average.update()

    average.exchange()
    shown = module.weight.item()
    average.exchange()

    assert (shown, module.weight.item(), average.state_dict()["weight"].item()) == (4.0, 0.0, 4.0)


def test_an_average_goes_on_from_its_state() -> None:
    module = numbers(8.0)
    before = WeightAverage(module, 0.5)
    set_weight(module, 0.0)
    before.update()

    after = WeightAverage(module, 0.5)
    after.load_state_dict(before.state_dict())
    after.update()

    assert after.state_dict()["weight"].item() == 2.0
