"""The lines under the tables: what is unmeasured and why, what is invalid, what a difference must be to be seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

from vmrbench.config.cells import applied_text
from vmrbench.report.arm_numbers import Quantity
from vmrbench.report.numbers import known_total, percent
from vmrbench.report.summary import Absence, DatasetEntry, Row, SweepSummary
from vmrbench.score.intervals import few_sources_note

# 1.960 + 0.842: normal quantiles of a two-sided test at 5 % and of 80 % power.
_POWER = 2.802
_BASES = {
    "counted": "counted here on the running code",
    "measured": "measured by the plug-in of the encoder",
    "declared": "declared by the source of the encoder",
    "not_macs": "has no multiply-adds",
}


def detectable_line(summary: SweepSummary, entry: DatasetEntry) -> str:
    """The smallest difference this many queries can show, from the standard errors of the differences."""
    found = [row.differences.get(summary.headline) for row in summary.rows_of(entry.id)]
    errors = [estimate.standard_error for estimate in found if estimate is not None and estimate.standard_error]
    size = f"{entry.n_queries:,} queries of {entry.n_videos:,} videos ({entry.n_sources:,} source videos)"
    few = f" {few_sources_note(entry.n_sources)}".rstrip()
    if not errors:
        return f"Scored on {size}; no difference has an interval, so none can be called detectable.{few}"
    low, middle, high = (_POWER * value for value in (min(errors), median(errors), max(errors)))
    return (
        f"Minimum detectable difference in {summary.headline}: **{middle:.1f} points** (median row; {low:.1f} to "
        f"{high:.1f}), with 80 % power at 5 %, on {size}. A smaller difference is likely to be missed. Intervals are "
        f"not corrected for the number of rows.{few}"
    )


def reference_line(rows: Iterable[Row]) -> str:
    """Against what the differences are."""
    used: dict[str | None, list[str]] = {}
    for row in (row for row in rows if not row.query_blind):
        listed = used.setdefault(row.reference, [])
        if row.backbone not in listed:
            listed.append(row.backbone)
    said = []
    for reference, backbones in used.items():
        names = ", ".join(f"`{name}`" for name in backbones)
        if reference is None:
            said.append(f"for {names} neither `all` nor `none` ran, so there is no difference")
        elif reference == "all":
            said.append(f"`all` for {names} (expensive and index features of every clip, the same extra epochs)")
        else:
            said.append(f"`{reference}` for {names}, because `all` did not run (no index features, untrimmed)")
    return "Differences are against the untrimmed reference: " + "; ".join(said) + "."


def unmeasured_lines(rows: Iterable[Row]) -> list[str]:
    """One bullet for every kind of missing number and reason, with the rows it concerns."""
    listed = list(rows)
    found: dict[tuple[str, str], list[str]] = {}
    for row in listed:
        for what, reason in _gaps(row):
            where = found.setdefault((what, reason), [])
            where.append(f"`{row.backbone}` / `{row.trimmer}`")
    return [
        f"- {what}: {reason} ({'every row' if len(where) == len(listed) else _some(where)})"
        for (what, reason), where in found.items()
    ]


def invalid_lines(rows: Iterable[Row]) -> list[str]:
    """One bullet for every row that is not VALID, and for every warning."""
    lines = []
    for row in rows:
        name = f"`{row.backbone}` / `{row.trimmer}`"
        if row.status != "VALID":
            lines.append(f"- ⚠ {name}: {row.status}: {'; '.join(row.reasons) or 'no reason recorded'}")
        if not row.latency.valid and row.latency.p50_ms is not None:
            lines.append(f"- {name}: timing INVALID: {row.latency.reason}")
        lines += [f"- {name}: {warning}" for warning in row.warnings]
        if row.uncounted_operators:
            counted = ", ".join(f"`{key}` x {count}" for key, count in row.uncounted_operators.items())
            lines.append(f"- {name}: operators without a MAC count: {counted}")
    return lines


def mode_lines(rows: Iterable[Row]) -> list[str]:
    """One bullet for every way in which clips were trimmed, but for the published one, with its rows."""
    found: dict[str, list[str]] = {}
    for row in rows:
        adaptive = row.adaptive is not None
        special = row.apply != "fill" or row.freeze_backbone or row.train_ratios or adaptive
        if special or row.fill not in (None, "concat_zero"):
            mode = applied_text(row.apply, row.fill, row.freeze_backbone, row.train_ratios, adaptive)
            found.setdefault(mode, []).append(f"`{row.backbone}` / `{row.trimmer}`")
    return [f"- applied as {mode}: {', '.join(names)}" for mode, names in found.items()]


def adaptive_lines(rows: Iterable[Row]) -> list[str]:
    """What ≈ means, and a bullet for every row with an adaptive budget: what was declared, and what was kept."""
    lines = []
    for row in rows:
        if row.adaptive is None:
            continue
        found = row.adaptive
        thresholds = ", ".join(f"{threshold:.3f}" for threshold in found.thresholds)
        lines.append(
            f"- ≈ `{row.backbone}` / `{row.trimmer}`: the number of clips follows the query. Declared mean: "
            f"{100 * found.keep_ratio:g} % of a video's clips, {percent(found.budget_ratio)} in whole clips on "
            f"`{found.split}`; the threshold chosen there (by seed: {thresholds}) keeps {percent(found.kept_ratio)} of "
            f"them, and {percent(row.kept_ratio)} here"
        )
    return lines


def undrawn_lines(rows: Iterable[Row], headline: str) -> list[str]:
    """The rows the figure leaves out, and why."""
    lines = []
    for row in rows:
        score = row.scores.get(headline)
        if score is None or score.value is None:
            lines.append(f"- not drawn: `{row.backbone}` / `{row.trimmer}` has no {headline}")
        elif not known_total(row.macs_cold):
            lines.append(f"- not drawn: `{row.backbone}` / `{row.trimmer}` has no MACs above 0")
    return lines


def basis_lines(rows: Iterable[Row]) -> list[str]:
    """Which stages were measured here, and which cost was declared by an encoder."""
    bases: dict[str, set[str]] = {}
    for row in rows:
        for stage, quantity in row.macs_cold.items():
            bases.setdefault(stage, set()).add(_BASES.get(str(quantity.basis), "not known"))
    return [f"- {stage}: {', '.join(sorted(kinds))}" for stage, kinds in bases.items()]


def absence_lines(summary: SweepSummary) -> list[str]:
    """Cells that failed, then cells that are missing; one line where there are none."""
    lines = [f"- failed: {_cell(entry)}: {entry.reason}" for entry in summary.failed]
    lines += [f"- missing: {_cell(entry)}: {entry.reason}" for entry in summary.missing]
    return lines or ["Every cell of the sweep has a result."]


def flat_lines(facts: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Nested plain values as bullets `a.b: value`."""
    lines: list[str] = []
    for key, value in facts.items():
        if isinstance(value, Mapping):
            lines += flat_lines(value, f"{prefix}{key}.") or [f"- {prefix}{key}: none"]
        else:
            lines.append(f"- {prefix}{key}: {'not known' if value is None else value}")
    return lines


def _gaps(row: Row) -> list[tuple[str, str]]:
    """(what, reason) of every number of a row that is None."""
    named: list[tuple[str, Quantity]] = [
        ("true moment kept", row.moment_kept),
        ("clips", row.clips),
        ("clips kept", row.kept_clips),
        ("peak memory", row.memory_bytes),
        ("parameters", row.parameters),
        ("fvcore / torch MACs", row.fvcore_ratio),
        *((f"minutes: {stage}", entry) for stage, entry in row.wall_seconds.items()),
        *((f"MACs of {stage}", entry) for stage, entry in [*row.macs_cold.items(), *row.macs_amortised.items()]),
    ]
    gaps = [(what, entry.reason or "not recorded") for what, entry in named if entry.value is None]
    if not row.macs_cold:
        gaps.append(("MACs", "not recorded"))
    if row.latency.p50_ms is None:
        gaps.append(("latency", row.latency.reason or "not recorded"))
    if not row.shuffled_query:
        gaps.append(("score with another's query", "not recorded"))
    gaps += _selection_gaps(row)
    for estimate in [*row.scores.values(), *row.differences.values()]:
        if estimate.low is None:
            gaps.append(("interval", estimate.reason or "not recorded"))
    return list(dict.fromkeys(gaps))


def _selection_gaps(row: Row) -> list[tuple[str, str]]:
    found = row.selection
    if not found.ceilings:
        return [("ceilings, failures and what is kept with another's query", found.same_clips.reason or "not recorded")]
    named = [
        ("true moment kept with another's query", found.moment_kept_shuffled.value, found.moment_kept_shuffled.reason),
        ("same clips with another's query", found.same_clips.value, found.same_clips.reason),
        ("cost by queries per video", found.by_queries.macs or None, found.by_queries.reason),
    ]
    return [(what, reason or "not recorded") for what, value, reason in named if value is None]


def _some(names: list[str], most: int = 4) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def _cell(entry: Absence) -> str:
    return f"`{entry.dataset}` / `{entry.backbone}` / `{entry.trimmer}`, seed {entry.seed}"
