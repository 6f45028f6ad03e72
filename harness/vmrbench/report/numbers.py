"""How numbers look in a report. A dash always has a reason under the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vmrbench.report.arm_numbers import Estimate, Quantity
from vmrbench.report.summary import Row

NONE = "–"
DECLARED = "†"
NOT_MACS = "not_macs"
# Order in which a query passes through the stages; others follow as they come.
STAGES = ("text", "decode", "index", "trim", "encode", "backbone", "post")


def with_interval(estimate: Estimate | None, *, signed: bool = False) -> str:
    """Value over its interval, one decimal, the interval in a second line of the cell."""
    if estimate is None or estimate.value is None:
        return NONE
    sign = "+" if signed else ""
    value = f"{estimate.value:{sign}.1f}"
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value}<br>[{estimate.low:{sign}.1f}, {estimate.high:{sign}.1f}]"


def significant(number: float) -> str:
    """Three significant digits, without an exponent above 0.0001, thousands separated.

    Example:
        >>> significant(1234.5), significant(0.01234), significant(0.0), significant(0.00001)
        ('1,234', '0.0123', '0', '1e-05')
    """
    if number == 0:
        return "0"
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"


def scaled(quantity: Quantity, factor: float = 1.0) -> str:
    """A quantity times a factor, marked where it was declared and not measured here."""
    if quantity.value is None:
        return NONE
    return significant(quantity.value * factor) + (DECLARED if quantity.basis == "declared" else "")


def percent(quantity: Quantity) -> str:
    """A ratio as percent, one decimal."""
    return NONE if quantity.value is None else f"{100 * quantity.value:.1f} %"


def points(quantity: Quantity) -> str:
    """A number that is in percent already, one decimal."""
    return NONE if quantity.value is None else f"{quantity.value:.1f}"


def stage_names(rows: Sequence[Row]) -> tuple[str, ...]:
    """Every stage any row has, in the order a query passes them."""
    found = dict.fromkeys(stage for row in rows for stage in row.macs_cold)
    return (*(stage for stage in STAGES if stage in found), *(stage for stage in found if stage not in STAGES))


def known_total(stages: Mapping[str, Quantity]) -> float | None:
    """Sum of the stages that are known, in MACs; None where none is."""
    values = [quantity.value for quantity in stages.values() if quantity.value is not None]
    return sum(values) if values else None


def unknown_stages(stages: Mapping[str, Quantity]) -> frozenset[str]:
    """Stages that cost MACs nobody knows: a total is a lower bound by as much. Some stages have none to know."""
    return frozenset(stage for stage, found in stages.items() if found.value is None and found.basis != NOT_MACS)


def total(stages: Mapping[str, Quantity], unknown_everywhere: frozenset[str]) -> str:
    """Total in GMACs; `≥` where a stage is missing that other rows have."""
    known = known_total(stages)
    if known is None:
        return NONE
    bound = "≥ " if unknown_stages(stages) - unknown_everywhere else ""
    return bound + significant(known / 1e9)


def unknown_in_all(costs: Sequence[Mapping[str, Quantity]]) -> frozenset[str]:
    """Stages that no row has a number for."""
    lacking = frozenset(stage for cost in costs for stage in unknown_stages(cost))
    known = frozenset(stage for cost in costs for stage in cost if cost[stage].value is not None)
    return lacking - known


def cell(text: object) -> str:
    """Text that cannot break a Markdown table."""
    return str(text).replace("|", "\\|").replace("\n", " ")
