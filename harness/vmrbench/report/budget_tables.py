"""Arms that keep the same share of clips against each other, paired by query."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from vmrbench.report.arm_numbers import Estimate, Quantity
from vmrbench.report.numbers import NONE, percent, points, with_interval
from vmrbench.report.summary import Row, SweepSummary
from vmrbench.report.tables import markdown_table, names_of, reference_of, unit_of_difference

# So many arms at one budget are shown in all their pairs; of more, each against two.
PAIRS_UP_TO = 7


def budget_parts(summary: SweepSummary, dataset: str) -> list[str]:
    """Heading, explanation and table of one data set; nothing where no two arms have the same budget.

    Besides differences, how much of the reference's score an arm holds: a ratio of means, without an interval.
    """
    rows = summary.rows_of(dataset)
    groups = _groups(rows)
    if not groups:
        return []
    average = " With an adaptive budget (≈) it is the same on average." if any(row.adaptive for row in rows) else ""
    heading = f"### At the same budget\n\nArms that keep the same share of clips, paired by query.{average}"
    if max(len(group) for group in groups) <= PAIRS_UP_TO:
        return [heading, _pairs_table(summary, rows)]
    said = (
        "Each against the first of its budget, and against the best other one: the best by its score on validation, "
        "which chose its epoch, among those that read no labels. All pairs are in the record."
    )
    return [f"{heading} {said}", _two_rivals_table(summary, rows, groups)]


def _pairs_table(summary: SweepSummary, rows: Sequence[Row]) -> str:
    headline = summary.headline
    named = {(row.backbone, row.trimmer): row for row in rows}
    lines = [
        [
            row.backbone,
            _with_share(row, rows),
            percent(_held(row, rows, headline)),
            _with_share(named[row.backbone, rival], rows),
            with_interval(estimate, signed=True),
        ]
        for row in rows
        for rival, estimate in row.rivals.items()
    ]
    unit = unit_of_difference(summary.metrics[headline])
    return markdown_table([*_headers(summary), "against", f"difference, {unit}"], lines, words=2)


def _two_rivals_table(summary: SweepSummary, rows: Sequence[Row], groups: Iterable[Sequence[Row]]) -> str:
    lines = []
    for group in groups:
        for row in group:
            best = _best_other(row, group)
            lines.append(
                [
                    row.backbone,
                    _with_share(row, rows),
                    percent(_held(row, rows, summary.headline)),
                    points(row.validation),
                    group[0].trimmer,
                    with_interval(_against(row, group[0]), signed=True),
                    NONE if best is None else best.trimmer,
                    NONE if best is None else with_interval(_against(row, best), signed=True),
                ]
            )
    unit = unit_of_difference(summary.metrics[summary.headline])
    headers = [*_headers(summary), "validation ↑", "first", f"− first, {unit}", "best other", f"− best other, {unit}"]
    return markdown_table(headers, lines, words=2)


def _headers(summary: SweepSummary) -> list[str]:
    return ["backbone", "trimmer", f"{summary.headline}, share of the reference's"]


def _groups(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows of one backbone that were compared with each other; only groups of two and more."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        first = next(iter(row.rivals), row.trimmer)
        groups.setdefault((row.backbone, first), []).append(row)
    return [group for group in groups.values() if len(group) > 1]


def _best_other(row: Row, group: Sequence[Row]) -> Row | None:
    others = [other for other in group if other is not row and not other.reads_labels]
    measured = [(other.validation.value, other) for other in others if other.validation.value is not None]
    return max(measured, key=lambda pair: pair[0])[1] if measured else None


def _against(row: Row, other: Row) -> Estimate | None:
    """Difference of two arms, whichever of them it was recorded with; None for an arm and itself."""
    if other.trimmer in row.rivals:
        return row.rivals[other.trimmer]
    found = other.rivals.get(row.trimmer)
    if found is None or found.value is None:
        return found
    low, high = (None if end is None else -end for end in (found.high, found.low))
    return replace(found, value=-found.value, low=low, high=high, per_seed=tuple(-value for value in found.per_seed))


def _held(row: Row, rows: Sequence[Row], metric: str) -> Quantity:
    """The score of a row over that of its reference, None without one."""
    reference = reference_of(row, rows)
    ours, theirs = row.scores.get(metric), None if reference is None else reference.scores.get(metric)
    if ours is None or theirs is None or ours.value is None or not theirs.value:
        return Quantity(value=None, reason="no reference with a score")
    return Quantity(value=ours.value / theirs.value)


def _with_share(row: Row, rows: Sequence[Row]) -> str:
    """The trimmer of a row, and what it really kept where any budget is adaptive: no longer the same for all."""
    if all(other.adaptive is None for other in rows):
        return names_of(row)[1]
    return f"{names_of(row)[1]} (kept {percent(row.kept_ratio)})"
