"""Exponents against power laws that are known."""

from __future__ import annotations

import math

import pytest

from vmrbench.cost.exponents import fit_exponent


@pytest.mark.parametrize("power", [0.0, 1.0, 1.5, 2.0])
def test_a_power_law_gives_its_power_without_spread(power: float) -> None:
    lengths = [15, 30, 60, 120]

    found = fit_exponent(lengths, [7 * length**power for length in lengths])

    assert (found.value, found.low, found.high, found.last) == pytest.approx((power,) * 4, abs=1e-7)
    assert (found.n, found.reason) == (4, None)


def test_the_slope_and_its_interval_are_those_worked_out_by_hand() -> None:
    # log2: x = 0, 1, 2, y = 0, 1, 3: slope 3/2; residuals 1/6, -1/3, 1/6 give a standard error of sqrt(1/12).
    found = fit_exponent([1, 2, 4], [1, 2, 8])

    # Student's t of 97.5 % with one degree of freedom is 12.7062.
    half = 12.7062 * math.sqrt(1 / 12)
    assert (found.value, found.low, found.high) == pytest.approx((1.5, 1.5 - half, 1.5 + half), rel=1e-5)
    assert found.last == pytest.approx(2.0)


def test_costs_that_are_missing_are_left_out() -> None:
    assert fit_exponent([1, 2, 4, 8], [1, 2, 4, None]).value == pytest.approx(1.0)


@pytest.mark.parametrize(("costs", "reason"), [([1, 2, None], "2 lengths; at least 3"), ([0, 0, 0], "a cost of 0")])
def test_what_has_no_exponent_says_why(costs: list[float | None], reason: str) -> None:
    found = fit_exponent([1, 2, 4], costs)

    assert found.value is found.low is found.last is None
    assert reason in (found.reason or "")
