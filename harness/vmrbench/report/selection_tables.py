"""The tables of what was kept, what was lost and what it costs by queries per video, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vmrbench.report.arm_numbers import Quantity
from vmrbench.report.crossings import SHOWN, crossing_of, crossing_text, formula_costs
from vmrbench.report.numbers import NONE, percent, points, significant, with_interval
from vmrbench.report.summary import Row, SweepSummary
from vmrbench.report.tables import markdown_table, names_of, reference_of


@dataclass(frozen=True, kw_only=True)
class Family:
    """The arms of one trimmer that differ in their keep ratio alone, by rising ratio."""

    backbone: str
    name: str
    rows: tuple[Row, ...]


def selection_table(summary: SweepSummary, dataset: str) -> str:
    """What was kept of the true moment, with the query and with another's, and what the failures are due to."""
    metric = _metric(summary)
    rows = []
    for row in summary.rows_of(dataset):
        if row.query_blind:
            continue
        found = row.selection
        quantiles = [found.kept_quantiles.get(name, Quantity(value=None)) for name in ("p10", "p50", "p90")]
        rows.append(
            [
                *names_of(row),
                " / ".join(_whole(value) for value in quantiles),
                percent(row.moment_kept),
                percent(found.moment_kept_shuffled),
                with_interval(found.language_gain, signed=True),
                percent(found.same_clips),
                points(found.of("ceilings", metric)),
                points(found.of("trimmed_away", metric)),
                points(found.of("missed", metric)),
            ]
        )
    headers = ["backbone", "trimmer", "clips kept, % (p10 / p50 / p90)", "true moment kept ↑", "with another's query ↓"]
    headers += ["difference, points ↑", "same clips with another's query ↓", f"ceiling of {metric}, %"]
    headers += [f"{metric} failed: trimmed away, % ↓", f"{metric} failed: missed by the backbone, % ↓"]
    return markdown_table(headers, rows, words=2)


def families(summary: SweepSummary, dataset: str) -> tuple[Family, ...]:
    """Trimmers of which a sweep has several keep ratios on one backbone; what else there is to choose is the same."""
    found: dict[tuple[object, ...], list[Row]] = {}
    for row in summary.rows_of(dataset):
        if "keep_ratio" in row.options:
            others = sorted((key, repr(value)) for key, value in row.options.items() if key != "keep_ratio")
            applied = (row.fill, row.plan, row.apply, row.freeze_backbone, row.train_ratios, row.adaptive is None)
            found.setdefault((row.backbone, row.trimmer_name, *applied, *others), []).append(row)
    arms = [sorted(rows, key=_ratio) for rows in found.values()]
    return tuple(
        Family(backbone=rows[0].backbone, name=_family_name(rows), rows=tuple(rows))
        for rows in arms
        if len({_ratio(row) for row in rows}) > 1
    )


def ratio_table(summary: SweepSummary, dataset: str) -> str:
    """Share of the true moment kept by keep ratio; empty where no trimmer has several."""
    found = families(summary, dataset)
    ratios = sorted({_ratio(row) for family in found for row in family.rows})
    rows = []
    for family in found:
        by_ratio = {_ratio(row): row for row in family.rows}
        kept = [_moment_kept(by_ratio[ratio]) if ratio in by_ratio else "" for ratio in ratios]
        rows.append([family.backbone, family.name, *kept])
    headers = ["backbone", "trimmer", *(f"keep {ratio:g} ↑" for ratio in ratios)]
    return markdown_table(headers, rows, words=2) if rows else ""


def queries_table(summary: SweepSummary, dataset: str) -> str:
    """GMACs a query by queries per video, and where trimming stops paying; empty where nothing is known."""
    found = [row for row in summary.rows_of(dataset) if not row.query_blind]
    if not any(row.selection.by_queries.macs for row in found):
        return ""
    rows = []
    for row in found:
        once = reference_of(row, found)
        crossings = ["reference" if once is row else NONE] * 2
        if once is not None and once is not row:
            crossings = [crossing_text(crossing_of(row, once, with_index=kind)) for kind in (True, False)]
        rows.append([*names_of(row), *_costs(row), *crossings])
    headers = ["backbone", "trimmer", *(f"{m} a video" for m in SHOWN)]
    headers += ["no cheaper than encode-once from", "from, encode-once without index"]
    return markdown_table(headers, rows, words=2)


def _costs(row: Row) -> list[str]:
    """GMACs at the shown numbers of queries: as the stored selections give them, beyond them by formula in brackets."""
    measured, formula = row.selection.by_queries.macs, formula_costs(row, SHOWN)
    cells = []
    for place, many in enumerate(SHOWN):
        if many <= len(measured):
            cells.append(significant(measured[many - 1] / 1e9))
        else:
            cells.append(f"({significant(formula[place] / 1e9)})" if formula else NONE)
    return cells


def _metric(summary: SweepSummary) -> str:
    """The metric of ceilings and failures: the headline, where it is one they are known for."""
    known = [name for row in summary.rows for name in row.selection.ceilings]
    return summary.headline if summary.headline in known or not known else known[0]


def _family_name(rows: Sequence[Row]) -> str:
    """What the ids of the arms begin with, less a number: `spotvmr` for `spotvmr_25` and `spotvmr_50`."""
    first, *others = (row.trimmer for row in rows)
    alike = max(n for n in range(len(first) + 1) if all(other.startswith(first[:n]) for other in others))
    return (first[:alike].rstrip("_-.0123456789") or rows[0].trimmer_name) + (" ≈" if rows[0].adaptive else "")


def _moment_kept(row: Row) -> str:
    """With the share of clips that was really kept, where the ratio in the head of the table is but a mean."""
    return percent(row.moment_kept) + (f" (of {percent(row.kept_ratio)} of the clips)" if row.adaptive else "")


def _ratio(row: Row) -> float:
    return float(row.options["keep_ratio"])


def _whole(ratio: Quantity) -> str:
    return NONE if ratio.value is None else f"{100 * ratio.value:.0f}"
