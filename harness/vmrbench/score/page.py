"""Scores as Markdown: the main table, then what is needed to believe it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tabulate import tabulate

from vmrbench.score.comparison import Change, usual_detectable
from vmrbench.score.details import ALL, Detail
from vmrbench.score.faults import Fault, count_faults
from vmrbench.score.floors import Floors
from vmrbench.score.gaps import Gaps, floor_pairs
from vmrbench.score.intervals import Interval, few_sources_note
from vmrbench.score.per_query import SOURCE, VIDEO
from vmrbench.score.result import ScoreResult
from vmrbench.score.sensitivity import Variant

MOST_FAULTS = 5


def score_page(result: ScoreResult) -> str:
    """The scores of one file: intervals by source video and by query, and the lines needed to read them."""
    percent = f"{100 * result.protocol.confidence:g} % interval"
    rows = [
        (
            f"{name} {'↑' if higher else '↓'}",
            unit,
            _number(result.scores[name].value, result.protocol.decimals),
            interval_text(result.scores[name]),
            interval_text(result.by_query[name]),
        )
        for name, (unit, higher) in result.directions.items()
    ]
    counts = (
        f"{len(result.per_query):,} queries, {result.per_query[VIDEO].nunique():,} videos, "
        f"{result.per_query[SOURCE].nunique():,} source videos"
    )
    headers = ["metric", "unit", "value", f"{percent}, source videos", "the same, queries"]
    notes = [
        f"Intervals: bootstrap over source videos, and over queries as if those of one video were independent; "
        f"{result.protocol.resamples:,} resamples, seed {result.protocol.seed}.",
        f"Two strong systems that differ by less than {usual_detectable(len(result.per_query)):.1f} points of R1 "
        f"cannot be told apart on {len(result.per_query):,} queries (power 80 %, queries taken as independent).",
    ]
    if few := few_sources_note(result.per_query[SOURCE].nunique()):
        notes.append(few)
    if result.protocol.highlights and result.no_highlights:
        notes.append(f"No highlight scores: {result.no_highlights}.")
    return (
        f"`{result.predictions}`, protocol `{result.protocol.name}`, {counts}.\n\n{_table(rows, headers)}\n\n"
        + "\n".join(notes)
        + "\n"
    )


def truth_line(truth: Mapping[str, Any]) -> str:
    """What the annotations are, and what became of their defects."""
    known = truth["known_split"] or "no split that is known"
    said = [f"Annotations: {truth['flavour']}, {known}, content {truth['fingerprint']}."]
    said += [f"{values['found']} of the kind {kind} ({values['policy']})." for kind, values in truth["defects"].items()]
    if truth["queries_dropped"]:
        said.append(
            f"**{truth['queries_dropped']} of {truth['queries_written']} queries were left out: "
            "not comparable with scores on the whole split.**"
        )
    return " ".join(said) + "\n"


def faults_section(faults: Sequence[Fault]) -> str:
    """What was odd and scored as it stood."""
    lines = []
    for kind, count in count_faults(faults).items():
        shown = [fault for fault in faults if fault.kind == kind][:MOST_FAULTS]
        examples = "; ".join(
            f"{f'{fault.place}, ' if fault.place else ''}query {fault.sample_id!r}: {fault.text}" for fault in shown
        )
        lines.append(f"- {kind}: {count}. {examples}{'; …' if count > len(shown) else ''}")
    return "## Scored as it stands, as the published evaluator does\n\n" + "\n".join(lines) + "\n"


def details_section(found: Sequence[Detail]) -> str:
    """One table a group of queries: measures by IoU."""
    groups = dict.fromkeys(detail.group for detail in found)
    return (
        "## By IoU and by length of the true moment\n\n"
        + "\n\n".join(_details_table(found, group) for group in groups)
        + "\n"
    )


def comparison_section(other: str, changes: Mapping[str, Change]) -> str:
    """Paired differences of one file to another."""
    rows = [
        (
            name,
            f"{change.difference.value:+.2f}",
            interval_text(change.difference, signed=True),
            "none" if change.chance is None else f"{change.chance:.4f}",
            "none" if change.detectable is None else f"{change.detectable:.1f}",
        )
        for name, change in changes.items()
    ]
    headers = ["metric", "difference", "95 % interval, source videos", "p", "detectable"]
    return (
        f"## Against `{other}`\n\n{_table(rows, headers)}\n\nPaired by query, points. p: randomisation test, signs "
        "drawn by source video, not corrected for the number of metrics. Detectable: the smallest true difference "
        "found with power 80 %, from the spread of this difference.\n"
    )


def floors_section(floors: Floors, origin: str) -> str:
    """What is scored without looking; origin: where the constant window is from."""
    names = list(floors.whole_video)
    rows = [["whole video", *(f"{floors.whole_video[name]:.1f}" for name in names)]]
    rows.append(["uniformly random window, expected", *(f"{floors.random[name]:.1f}" for name in names)])
    if floors.prior is not None:
        rows.append(["moment drawn from train, expected", *(f"{floors.prior[name]:.1f}" for name in names)])
    if floors.constant is not None and floors.constant_window is not None:
        windows = floors.constant_window
        cells = [f"{floors.constant[n]:.1f} [{windows[n][0]:.2f}, {windows[n][1]:.2f}]" for n in names]
        rows.insert(0, [f"constant window, {origin}", *cells])
    return f"## Query-blind floors, %\n\n{_table(rows, ['answer', *names])}\n"


def gaps_section(found: Gaps) -> str:
    """Scores in and out of the distribution of train, their gaps, and those of the floors."""
    iid, ood = found.iid, found.ood
    rows = [
        (
            name,
            f"{iid.scores[name].value:.2f}<br>{interval_text(iid.scores[name])}",
            f"{ood.scores[name].value:.2f}<br>{interval_text(ood.scores[name])}",
            f"{gap.value:+.2f}<br>{interval_text(gap, signed=True)}",
        )
        for name, gap in found.gaps.items()
    ]
    blind = [
        (name, metric, f"{here:.1f}", f"{there:.1f}", f"{there - here:+.1f}")
        for name, values in floor_pairs(found.iid_floors, found.floors).items()
        for metric, (here, there) in values.items()
    ]
    shared = (
        f" {found.shared_sources:,} source videos are in both, and count as different ones."
        if found.shared_sources
        else ""
    )
    return (
        f"## Out of distribution: `{ood.predictions}`\n\n{len(iid.per_query):,} queries of "
        f"{iid.per_query[SOURCE].nunique():,} source videos like train (iid), {len(ood.per_query):,} of "
        f"{ood.per_query[SOURCE].nunique():,} unlike it (ood).\n\n"
        f"{_table(rows, ['metric', 'iid', 'ood', 'gap, ood − iid'])}\n\nThe gap is not paired: source videos of "
        f"either split are resampled apart.{shared} A system that falls no less than the floors lives on where moments "
        f"usually lie.\n\n{_table(blind, ['floor', 'metric, %', 'iid', 'ood', 'gap'])}\n"
    )


def sensitivity_table(by_file: Mapping[str, Sequence[Variant]], protocol: str) -> str:
    """The same predictions under other conventions, one column a file."""
    files = list(by_file)
    names = [variant.name for variant in by_file[files[0]]]
    rows = [[name, *(_number(by_file[file][place].value, 2) for file in files)] for place, name in enumerate(names)]
    table = _table(rows, ["measure", *(f"`{file}`" for file in files)])
    return (
        f"## The same predictions under other conventions, %\n\n{table}\n\n"
        f"`{protocol}` with the rule changed that the row names.\n"
    )


def interval_text(interval: Interval, *, signed: bool = False) -> str:
    """An interval in brackets, or why there is none."""
    if interval.low is None or interval.high is None:
        return f"none: {interval.reason}"
    return f"[{interval.low:+.2f}, {interval.high:+.2f}]" if signed else f"[{interval.low:.2f}, {interval.high:.2f}]"


def _details_table(found: Sequence[Detail], group: str) -> str:
    mine = [detail for detail in found if detail.group == group]
    measures = dict.fromkeys(detail.measure for detail in mine)
    thresholds = sorted({detail.iou for detail in mine if detail.iou is not None})
    value = {(detail.measure, detail.iou): detail.value for detail in mine}
    rows = [
        [measure, *(_number(value.get((measure, iou)), 2, absent="") for iou in [*thresholds, None])]
        for measure in measures
    ]
    title = "All queries" if group == ALL else f"Moments of length: {group}"
    n = mine[0].n
    return f"{title}, n = {n:,}.\n\n{_table(rows, ['%', *(f'{iou:g}' for iou in thresholds), 'all'])}"


def _number(value: float | None, decimals: int, absent: str = "none") -> str:
    return absent if value is None else f"{value:.{decimals}f}"


def _table(rows: Sequence[Sequence[str]], headers: Sequence[str]) -> str:
    alignment = ("left", *["right"] * (len(headers) - 1))
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True, colalign=alignment)
