"""The report as one Markdown page with its figures beside it, from a sweep summary and nothing else."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from matplotlib.figure import Figure

from vmrbench.report.budget_tables import budget_parts
from vmrbench.report.figure import draw, points_of, save_svg
from vmrbench.report.notes import (
    absence_lines,
    adaptive_lines,
    basis_lines,
    detectable_line,
    flat_lines,
    invalid_lines,
    mode_lines,
    reference_line,
    undrawn_lines,
    unmeasured_lines,
)
from vmrbench.report.numbers import significant
from vmrbench.report.ood import ood_parts
from vmrbench.report.queries_figure import draw_queries
from vmrbench.report.selection_figure import draw_selection
from vmrbench.report.selection_tables import queries_table, ratio_table, selection_table
from vmrbench.report.strip_figure import draw_strips, strip_trimmers
from vmrbench.report.summary import DatasetEntry, SweepSummary
from vmrbench.report.tables import (
    accuracy_table,
    against_floors_table,
    cost_table,
    diagnostics_table,
    floors_table,
    markdown_table,
    probes_table,
    time_table,
    wall_time_table,
)

FIGURES = "figures"
_DRAWN: Mapping[str, Callable[[SweepSummary, DatasetEntry], Figure | None]] = {
    "": draw,
    "selection": draw_selection,
    "queries": draw_queries,
}

_HOW_TO_READ = """\
- One row is one backbone with one trimmer. Scores are means over queries, first averaged over seeds where there are \
several; below each stands its 95 % interval. ↑: higher is better, ↓: lower is better.
- {reference}
- An interval of a difference that holds 0 does not tell the two apart. Intervals vary the videos, not the training: \
with one seed, or where seeds disagree, a difference without 0 may still be luck of the training.
- MACs are multiply-adds (one multiply and one add count 1; FLOPs are twice that), in GMACs, per query.
- *Cold*: the video is new, nothing is cached. *Amortised*: cost of all queries of a video divided by their number, \
each expensive clip encoded once. An untrimmed system encodes a video once for all its queries, so trimming by query \
can save cold and not amortised.
- † marks a number that was declared (published, or given by the encoder) and not measured here. A dash (–) is a \
number that could not be had; the reason stands below the tables (some stages have no MACs at all). \
≥ marks a total that lacks a stage other rows have.
- ‡ marks a trimmer that reads the labels: a ceiling of selection, not a method, and no part of a Pareto front. ⚠ \
marks an INVALID row.
- Latency is one query at a time on this machine, from features that exist already: encoders are not in it. INVALID \
timing was too noisy to be compared."""

_SELECTION = """\
*Difference*: points of the true moment that the right query keeps more than the query of another video; near 0 the \
selection follows where moments usually lie, not the sentence. *Ceiling*: share of queries with a window of the IoU \
whose two ends lie in kept clips; rows that keep only the index can still place an end, so it bounds a reader of kept \
clips alone. A failure is *trimmed away* where less than half of the true moment was kept, else *missed by the \
backbone*; shares of all queries."""
_MINUTES = """\
On the clock, other work of the machine included; mean over seeds. Arms of one seed share the base model, which is \
trained once, and the count of the backbone. The latencies above are not in it."""
_AGAINST_FLOORS = """\
Points, paired by query, with their interval. A floor reads neither video nor query, and nothing is encoded for it. An \
interval that does not lie above 0 tells of no skill beyond where moments usually lie."""
_PROBES = """\
The same weights with changed inputs, against the unchanged truth; differences are paired by query. A score that \
survives does not come from what was changed."""
_SAMPLES = "chosen by the hash of their ids and not by any result, against the truth"
_QUERIES = """\
As the stored selections give it, over the videos that have as many queries; in brackets, where no video has: for \
queries that choose independently with the same keep ratio, too dear for a trimmer that chooses alike for all. \
Last columns: from how many queries a video trimming costs no less than encoding the video once, with the index of the \
reference and without; in brackets, for independent queries."""


def write_report(summary: SweepSummary, path: Path) -> list[Path]:
    """Write the page and its figures.

    Args:
        summary: what to show.
        path: the Markdown file, or a folder that gets a `README.md`; figures go into `figures/` beside it.

    Returns:
        The files written, the page first.
    """
    page = path if path.suffix else path / "README.md"
    folder = page.parent / FIGURES
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    for name, figure in figures(summary):
        save_svg(figure, folder / name)
        drawn.append(folder / name)
    page.write_text(render(summary), encoding="utf-8")
    return [page, *drawn]


def figures(summary: SweepSummary) -> Iterator[tuple[str, Figure]]:
    """File name and figure of every picture of the report, drawn when asked for."""
    for entry in summary.datasets:
        for kind, draw_kind in _DRAWN.items():
            figure = draw_kind(summary, entry)
            if figure is not None:
                yield figure_name(summary, entry, kind), figure
        for trimmer in strip_trimmers(summary, entry):
            yield figure_name(summary, entry, f"strips {trimmer}"), draw_strips(summary, entry, trimmer)


def render(summary: SweepSummary) -> str:
    """The Markdown text; the same summary gives the same text."""
    sections = [
        f"# {summary.name}: accuracy beside cost",
        *([_stamps(summary)] if summary.stamps else []),
        _opening(summary),
        "## How to read this\n\n" + _HOW_TO_READ.format(reference=reference_line(summary.rows)),
        *(_dataset_section(summary, entry) for entry in summary.datasets),
        "## Cells without a result\n\n" + "\n".join(absence_lines(summary)),
        "## Measured and declared\n\n" + _measured(summary),
        f"## Protocol `{summary.protocol.name}`\n\n" + "\n".join(f"- {rule}" for rule in summary.protocol.rules),
        "## Machine\n\n" + ("\n".join(flat_lines(summary.machine)) or "Not recorded."),
        "## Versions\n\n" + ("\n".join(flat_lines(summary.versions)) or "Not recorded."),
    ]
    return "\n\n".join(sections) + "\n"


def figure_name(summary: SweepSummary, entry: DatasetEntry, kind: str = "") -> str:
    """File name of a figure of a data set; kind: empty for accuracy against cost, or another one's name."""
    return re.sub(r"[^a-zA-Z0-9]+", "_", f"{summary.name} {entry.id} {kind}").strip("_").lower() + ".svg"


def _stamps(summary: SweepSummary) -> str:
    return "> [!WARNING]\n" + "\n>\n".join(f"> **{stamp}**" for stamp in summary.stamps)


def _opening(summary: SweepSummary) -> str:
    command = shlex.join(summary.argv)
    return (
        f"Sweep `{summary.name}`, {summary.created}: {len(summary.rows)} rows on {len(summary.datasets)} data set(s), "
        f"{len(summary.failed)} cell(s) failed, {len(summary.missing)} missing; scored by protocol "
        f"`{summary.protocol.name}`. Made by `{command}` and written from the sweep summary alone."
    )


def _dataset_section(summary: SweepSummary, entry: DatasetEntry) -> str:
    rows = summary.rows_of(entry.id)
    stamps = [f"> **{stamp}**" for stamp in entry.stamps]
    counts = (
        f"{entry.n_queries:,} queries, {entry.n_videos:,} videos, {entry.n_sources:,} source videos, "
        f"{entry.queries_per_video:.1f} queries a video. Data set plug-in `{entry.name}`."
    )
    parts = [f"## Data set `{entry.id}`", *stamps, counts]
    if not rows:
        return "\n\n".join([*parts, "No cell of this data set has a result.", _floors(entry)])
    if points_of(summary, entry.id):
        alt = f"{summary.headline} against cold GMACs a query on {entry.id}, one panel a backbone"
        parts.append(f"![{alt}]({FIGURES}/{figure_name(summary, entry)})")
    parts += undrawn_lines(rows, summary.headline)
    parts += ["### Accuracy", accuracy_table(summary, entry.id), detectable_line(summary, entry)]
    parts += budget_parts(summary, entry.id)
    against = against_floors_table(summary, entry.id)
    if against:
        parts += [f"### Against query-blind floors\n\n{_AGAINST_FLOORS}", against]
    parts += ood_parts(summary, entry)
    probes = probes_table(summary, entry.id)
    if probes:
        parts += [f"### Probes\n\n{_PROBES}", probes]
    parts += ["### Cost: GMACs a query, by stage when cold", cost_table(summary, entry.id)]
    parts += ["### Clips, time, memory", time_table(summary, entry.id)]
    if minutes := wall_time_table(summary, entry.id):
        parts += [f"#### Minutes to make\n\n{_MINUTES}", minutes]
    parts += ["### Diagnostics", diagnostics_table(summary, entry.id)]
    parts += ["\n".join(lines)] if (lines := [*mode_lines(rows), *adaptive_lines(rows)]) else []
    parts += _selection_parts(summary, entry)
    remarks = [*invalid_lines(rows), *unmeasured_lines(rows)]
    if remarks:
        parts += ["#### Remarks and missing numbers", "\n".join(remarks)]
    parts += [_floors(entry), "#### Facts", "\n".join(flat_lines(entry.facts)) or "None recorded."]
    return "\n\n".join(parts)


def _selection_parts(summary: SweepSummary, entry: DatasetEntry) -> list[str]:
    """What was kept and lost, and what queries of one video share."""
    parts = [f"#### What was kept, what was lost\n\n{_SELECTION}", selection_table(summary, entry.id)]
    by_ratio = ratio_table(summary, entry.id)
    if by_ratio:
        parts += ["#### True moment kept, by keep ratio", by_ratio]
    if draw_selection(summary, entry) is not None:
        alt = f"True moment kept against clips kept on {entry.id}, and how many queries keep which share of their clips"
        parts.append(f"![{alt}]({FIGURES}/{figure_name(summary, entry, 'selection')})")
    strips = [
        f"[`{trimmer}`]({FIGURES}/{figure_name(summary, entry, f'strips {trimmer}')})"
        for trimmer in strip_trimmers(summary, entry)
    ]
    if strips:
        parts.append(f"What was kept for {len(entry.samples)} sample queries, {_SAMPLES}: {', '.join(strips)}.")
    by_queries = queries_table(summary, entry.id)
    if by_queries:
        alt = f"GMACs a query against queries per video on {entry.id}"
        figure = f"![{alt}]({FIGURES}/{figure_name(summary, entry, 'queries')})"
        parts += [f"### Cost by queries per video: GMACs a query, amortised\n\n{_QUERIES}", by_queries, figure]
    return parts


def _floors(entry: DatasetEntry) -> str:
    return (
        "### Query-blind floors\n\nScores of answers that read neither video nor query; a model below them has "
        f"learnt nothing usable.\n\n{floors_table(entry)}"
    )


def _measured(summary: SweepSummary) -> str:
    lines = ["MACs by stage, how they are known:", "\n".join(basis_lines(summary.rows)) or "- nothing was counted"]
    if summary.encoders:
        rows = [
            (name, entry.role, entry.basis, entry.source, significant(entry.macs_per_clip / 1e9))
            for name, entry in summary.encoders.items()
        ]
        headers = ["encoder", "role", "basis", "source", "GMACs a pass"]
        lines += ["Encoders whose cost was charged:", markdown_table(headers, rows, words=4)]
    return "\n\n".join(lines)
