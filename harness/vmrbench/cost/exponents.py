"""How a cost grows with the length of its input: the exponent of a power law, fitted to a few lengths."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import stats

FEWEST = 3


@dataclass(frozen=True, kw_only=True)
class Exponent:
    """Slope of log cost over log length, by least squares.

    value: None where it could not be fitted, for the `reason`; low, high: 95 % interval of the slope if the costs were
    a power law with noise (Student's t); last: exponent between the two greatest lengths, which is nearer to what
    happens beyond them where cheap parts grow slowly and one of them fast; n: lengths.
    """

    value: float | None
    low: float | None
    high: float | None
    last: float | None
    n: int
    reason: str | None = None


def fit_exponent(lengths: Sequence[float], costs: Sequence[float | None]) -> Exponent:
    """The exponent of `costs` in `lengths`; costs that are None are left out.

    Args:
        lengths: above 0, ascending; costs: as many, in any unit.

    Example:
        >>> round(fit_exponent([1, 2, 4, 8], [3, 12, 48, 192]).value or 0, 6)
        2.0
    """
    known = [(x, y) for x, y in zip(lengths, costs, strict=True) if y is not None]
    if len(known) < FEWEST:
        reason = f"{len(known)} lengths; at least {FEWEST} are needed for an exponent"
        return Exponent(value=None, low=None, high=None, last=None, n=len(known), reason=reason)
    if any(cost <= 0 for _, cost in known):
        reason = "a cost of 0 has no exponent"
        return Exponent(value=None, low=None, high=None, last=None, n=len(known), reason=reason)
    xs, ys = [math.log(x) for x, _ in known], [math.log(y) for _, y in known]
    fitted = stats.linregress(xs, ys)
    # Costs that are all alike lie on their line, and leave scipy without an error.
    error = 0.0 if len(set(ys)) == 1 else float(fitted.stderr)
    half = float(stats.t.ppf(0.975, len(known) - 2)) * error
    slope = float(fitted.slope)
    last = (ys[-1] - ys[-2]) / (xs[-1] - xs[-2])
    return Exponent(value=slope, low=slope - half, high=slope + half, last=last, n=len(known))
