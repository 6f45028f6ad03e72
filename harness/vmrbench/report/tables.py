"""The tables of one data set, as Markdown: accuracy, cost, time and memory, diagnostics, floors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tabulate import tabulate

from vmrbench.report.arm_numbers import Estimate, Quantity
from vmrbench.report.numbers import (
    NONE,
    cell,
    percent,
    scaled,
    significant,
    stage_names,
    total,
    unknown_in_all,
    with_interval,
)
from vmrbench.report.summary import DatasetEntry, MetricEntry, Row, SweepSummary

# In the summary and left out of the table: R5 tells most at the middle threshold, and the table must fit a page.
_HIDDEN = ("R5@0.3", "R5@0.7")


def accuracy_table(summary: SweepSummary, dataset: str) -> str:
    """Scores with intervals, and the difference of the headline metric to the untrimmed reference."""
    shown = [name for name in summary.metrics if name not in _HIDDEN]
    headline = summary.headline
    headers = ["backbone", "trimmer", *(_metric_header(name, summary.metrics[name]) for name in shown)]
    headers.append(f"{headline} − reference, {unit_of_difference(summary.metrics[headline])}")
    rows = [
        [
            *names_of(row),
            *(with_interval(row.scores.get(name)) for name in shown),
            _difference(row, row.differences.get(headline)),
        ]
        for row in summary.rows_of(dataset)
    ]
    return markdown_table(headers, rows, words=2)


def against_floors_table(summary: SweepSummary, dataset: str) -> str:
    """Every arm against every query-blind backbone, by the headline metric; empty where the sweep has none."""
    found = [row for row in summary.rows_of(dataset) if row.floors]
    floors = dict.fromkeys(name for row in found for name in row.floors)
    headers = ["backbone", "trimmer", *(f"{summary.headline} − `{name}`" for name in floors)]
    rows = [
        [
            *names_of(row),
            *(with_interval(row.floors.get(name, {}).get(summary.headline), signed=True) for name in floors),
        ]
        for row in found
    ]
    return markdown_table(headers, rows, words=2) if rows else ""


def probes_table(summary: SweepSummary, dataset: str) -> str:
    """What every arm scores under every probe, and the difference to its own input; empty without probes."""
    headline = summary.headline
    rows = [
        [
            *names_of(row),
            probe,
            with_interval(found.scores.get(headline)),
            with_interval(found.differences.get(headline), signed=True),
        ]
        for row in summary.rows_of(dataset)
        for probe, found in row.probes.items()
    ]
    unit = unit_of_difference(summary.metrics[headline])
    headers = ["backbone", "trimmer", "probe", f"{headline} under it", f"difference to its own input, {unit}"]
    return markdown_table(headers, rows, words=3) if rows else ""


def cost_table(summary: SweepSummary, dataset: str) -> str:
    """Multiply-adds of a query by stage when nothing is cached, and its totals cold and amortised over the video."""
    found = summary.rows_of(dataset)
    stages = stage_names(found)
    cold_gap = unknown_in_all([row.macs_cold for row in found])
    shared_gap = unknown_in_all([row.macs_amortised for row in found])
    rows = [
        [
            *names_of(row),
            *(scaled(row.macs_cold[stage], 1e-9) if stage in row.macs_cold else NONE for stage in stages),
            total(row.macs_cold, cold_gap),
            total(row.macs_amortised, shared_gap),
        ]
        for row in found
    ]
    totals = [f"**cold total{_without(cold_gap)}** ↓", f"**amortised total{_without(shared_gap)}** ↓"]
    headers = ["backbone", "trimmer", *stages, *totals]
    return markdown_table(headers, rows, words=2)


def time_table(summary: SweepSummary, dataset: str) -> str:
    """Clips kept, latency, memory and size."""
    rows = []
    for row in summary.rows_of(dataset):
        late = row.latency
        p50, p90 = (NONE if ms is None else significant(ms) for ms in (late.p50_ms, late.p90_ms))
        rows.append(
            [
                *names_of(row),
                f"{scaled(row.kept_clips)} / {scaled(row.clips)}",
                percent(row.kept_ratio),
                f"{p50} / {p90}",
                late.n,
                NONE if late.p50_ms is None else "VALID" if late.valid else "INVALID",
                scaled(row.memory_bytes, 2.0**-20),
                scaled(row.parameters, 1e-6),
            ]
        )
    headers = ["backbone", "trimmer", "clips kept / all", "kept", "latency p50 / p90, ms ↓", "n", "timing"]
    return markdown_table([*headers, "peak memory, MiB ↓", "parameters, M"], rows, words=2)


def wall_time_table(summary: SweepSummary, dataset: str) -> str:
    """Minutes on the clock that a cell took, by stage; empty where no record holds them."""
    found = summary.rows_of(dataset)
    if not any(row.wall_seconds for row in found):
        return ""
    stages = {"base": "base model", "train": "arm", "predict": "predict", "cost": "count MACs, measure memory"}
    rows = []
    for row in found:
        times = [row.wall_seconds.get(stage, Quantity(value=None)).value for stage in stages]
        known = [seconds for seconds in times if seconds is not None]
        whole = sum(known) if len(known) == len(stages) else None
        rows.append([*names_of(row), *(NONE if t is None else f"{t / 60:.1f}" for t in (*times, whole))])
    return markdown_table(["backbone", "trimmer", *stages.values(), "**together** ↓"], rows, words=2)


def diagnostics_table(summary: SweepSummary, dataset: str) -> str:
    """What tells whether a score can be believed: shuffled queries, seeds, checks of the counter."""
    headline = summary.headline
    rows = []
    for row in summary.rows_of(dataset):
        each = row.scores[headline].per_seed if headline in row.scores else ()
        shuffled = row.shuffled_query.get(headline)
        rows.append(
            [
                *names_of(row),
                NONE if shuffled is None or shuffled.value is None else f"{shuffled.value:.1f}",
                ", ".join(f"{seed}: {value:.1f}" for seed, value in zip(row.seeds, each, strict=False)) or NONE,
                NONE if row.fvcore_ratio.value is None else f"{row.fvcore_ratio.value:.3f}",
                sum(row.uncounted_operators.values()),
                row.status,
            ]
        )
    headers = ["backbone", "trimmer", f"{headline} with another's query, % ↓"]
    headers += [f"{headline} by seed, %", "fvcore / torch MACs", "uncounted operators", "status"]
    return markdown_table(headers, rows, words=2)


def floors_table(entry: DatasetEntry) -> str:
    """What is scored without looking at video or query."""
    floors = entry.floors
    names = list(floors.whole_video)
    rows: list[list[object]] = []
    if floors.constant is not None and floors.constant_window is not None:
        windows = {name: "[{:.2f}, {:.2f}]".format(*floors.constant_window[name]) for name in names}
        rows.append(
            [
                "constant window, fitted on train per metric",
                *(f"{floors.constant[n]:.1f}<br>{windows[n]}" for n in names),
            ]
        )
    if floors.prior is not None:
        rows.append(["moment drawn from train, expected", *(f"{floors.prior[name]:.1f}" for name in names)])
    rows.append(["whole video", *(f"{floors.whole_video[name]:.1f}" for name in names)])
    rows.append(["uniformly random window, expected", *(f"{floors.random[name]:.1f}" for name in names)])
    return markdown_table(["answer without looking", *(f"{name}, %" for name in names)], rows, words=1)


def markdown_table(headers: Sequence[str], rows: Iterable[Sequence[object]], *, words: int) -> str:
    """A Markdown table whose first `words` columns are text, to the left, and the others numbers, to the right."""
    cells = [[cell(value) for value in row] for row in rows]
    align = ["left"] * words + ["right"] * (len(headers) - words)
    return tabulate(
        cells, headers=[cell(header) for header in headers], tablefmt="pipe", colalign=align, disable_numparse=True
    )


def names_of(row: Row) -> list[str]:
    """The first two columns of every table: backbone and trimmer, with the marks of the row."""
    marks = (" ‡" if row.reads_labels else "") + (" ⚠" if row.status != "VALID" else "")
    return [row.backbone, marked_name(row) + marks]


def marked_name(row: Row) -> str:
    """The trimmer of a row, with ≈ where its budget is not exact."""
    return row.trimmer + (" ≈" if row.adaptive is not None else "")


def reference_of(row: Row, rows: Sequence[Row]) -> Row | None:
    """The untrimmed row that a row is compared with, among rows of its data set; itself for that row."""
    return next((r for r in rows if r.backbone == row.backbone and r.trimmer == row.reference), None)


def unit_of_difference(metric: MetricEntry) -> str:
    """What a difference of two scores is counted in."""
    return "points" if metric.unit == "%" else metric.unit


def _without(stages: frozenset[str]) -> str:
    return f" without {', '.join(sorted(stages))}" if stages else ""


def _difference(row: Row, estimate: Estimate | None) -> str:
    if row.query_blind:
        return "floor"
    if row.reference == row.trimmer:
        return "reference"
    return with_interval(estimate, signed=True)


def _metric_header(name: str, metric: MetricEntry) -> str:
    return f"{name}, {metric.unit} {'↑' if metric.higher_is_better else '↓'}"
