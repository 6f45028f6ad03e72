"""Where trimming by query stops paying: cost of a query by queries per video, against encoding a video once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vmrbench.cost.by_queries import crossing, independent_costs
from vmrbench.report.summary import Row

# How far the formula of independent queries is followed.
FURTHEST = 10_000
SHOWN = (1, 2, 5, 10, 20, 50, 100, 200)


@dataclass(frozen=True, kw_only=True)
class Crossing:
    """The fewest queries a video from which trimming costs no less than encoding once.

    measured: found among the videos there are, None where it is not reached with `upto` queries; formula: where the
    queries of a video choose independently, None where it is not reached with 10,000 or cannot be had.
    """

    measured: int | None
    upto: int
    formula: int | None


def formula_costs(row: Row, queries: Sequence[int]) -> tuple[float, ...]:
    """Multiply-adds of a query where the queries of a video choose independently.

    Empty where a number is missing, and for an arm that plans a video as a whole.
    """
    unknown = any(stage.value is None and stage.basis != "not_macs" for stage in row.macs_cold.values())
    kept, clips = row.kept_clips.value, row.clips.value
    if row.plan != "query" or unknown or not row.macs_cold or kept is None or not clips:
        return ()
    cold = {name: stage.value for name, stage in row.macs_cold.items() if stage.value is not None}
    return tuple(independent_costs(cold, kept / clips, np.asarray(queries)).tolist())


def crossing_of(row: Row, once: Row, *, with_index: bool) -> Crossing | None:
    """Where an arm stops paying against `once`, an untrimmed arm on the same queries; None where nothing is known.

    Args:
        row: the trimmed arm.
        once: the untrimmed arm, which encodes a video once for all its queries.
        with_index: whether encoding once pays for the index that `once` reads; without, it is spared it.
    """
    ours, theirs = row.selection.by_queries, once.selection.by_queries
    whole = theirs.macs if with_index else tuple(a - b for a, b in zip(theirs.macs, theirs.index_macs, strict=True))
    many = range(1, FURTHEST + 1)
    formula, formula_once = formula_costs(row, many), formula_costs(_spared(once, with_index), many)
    if not (ours.macs and whole) and not (formula and formula_once):
        return None
    return Crossing(
        measured=crossing(ours.macs, whole),
        upto=min(len(ours.macs), len(whole)),
        formula=crossing(formula, formula_once),
    )


def crossing_text(found: Crossing | None) -> str:
    """`12` where it was measured; `> 2 (≈ 31)` where it lies beyond, with that of independent queries in brackets."""
    if found is None:
        return "–"
    if found.measured is not None:
        return str(found.measured)
    beyond = found.formula is not None and found.formula > found.upto
    guess = f"≈ {found.formula:,}" if beyond else "never" if found.formula is None else "–"
    return f"> {found.upto} ({guess})"


def _spared(once: Row, with_index: bool) -> Row:
    if with_index:
        return once
    return replace(once, macs_cold={name: stage for name, stage in once.macs_cold.items() if name != "index"})
