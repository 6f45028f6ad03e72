"""What was kept: share of the true moment against the share of clips, and how the latter is spread over queries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from vmrbench.report.figure import panel_grid, put_legend, put_title, styles_of
from vmrbench.report.selection_tables import Family, families
from vmrbench.report.summary import DatasetEntry, Row, SweepSummary

_RIDGE = 0.85


def draw_selection(summary: SweepSummary, entry: DatasetEntry) -> Figure | None:
    """The figure of one data set, two panels a backbone; None where no arm trims or nothing was recorded.

    Above: true moment kept against clips kept, the ratios of one trimmer joined; hollow: with another's query. Below:
    how many queries keep which share of their clips, one ridge an arm, its height the share of queries.
    """
    rows = [row for row in summary.rows_of(entry.id) if _trims(row) and row.selection.kept_histogram]
    if not rows:
        return None
    backbones = list(dict.fromkeys(row.backbone for row in rows))
    most = max(sum(row.backbone == backbone for row in rows) for backbone in backbones)
    lines, columns = panel_grid(len(backbones))
    size = (3.6 * columns + 2.4, (3.4 + 0.3 * most + 0.5) * lines + 0.4)
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    panels = figure.subplots(2 * lines, columns, squeeze=False, height_ratios=[3.4, 0.3 * most + 0.5] * lines)
    styles = styles_of(summary.rows)
    for place, backbone in enumerate(backbones):
        own = [row for row in rows if row.backbone == backbone]
        joined = [family for family in families(summary, entry.id) if family.backbone == backbone]
        line, column = divmod(place, columns)
        above, below = panels[2 * line, column], panels[2 * line + 1, column]
        _kept_panel(above, own, joined, styles)
        above.set_title(backbone, fontsize=11)
        _ridges(below, own, styles)
        if column == 0:
            above.set_ylabel("true moment kept, %", fontsize=9)
            below.set_ylabel("queries", fontsize=9)
    for place in range(len(backbones), lines * columns):
        for panel in panels[2 * (place // columns) :, place % columns]:
            panel.set_visible(False)
    figure.supxlabel("clips kept, %", fontsize=10)
    put_legend(figure, _legend(rows, styles))
    put_title(figure, [entry.id], entry.stamps)
    return figure


def _trims(row: Row) -> bool:
    """Whether an arm keeps some clips and not all: the others have nothing to show."""
    return row.kept_ratio.value is not None and 0 < row.kept_ratio.value < 1


def _kept_panel(panel: Axes, rows: Sequence[Row], joined: Sequence[Family], styles: dict[str, tuple[str, str]]) -> None:
    panel.set(xlim=(0, 100), ylim=(0, 102))
    panel.grid(True, color="#e6e6e6", linewidth=0.6)
    panel.set_axisbelow(True)
    panel.plot([0, 100], [0, 100], color="#777777", linestyle=":", linewidth=1.2)
    for family in joined:
        points = [(r.kept_ratio.value, r.moment_kept.value) for r in family.rows]
        known = [(100 * x, 100 * y) for x, y in points if x is not None and y is not None]
        panel.plot(*zip(*known, strict=True), color=styles[family.rows[0].trimmer][0], linewidth=1.0, alpha=0.6)
    for row in rows:
        colour, marker = styles[row.trimmer]
        for kept, face in ((row.selection.moment_kept_shuffled, "white"), (row.moment_kept, colour)):
            if kept.value is not None and row.kept_ratio.value is not None:
                panel.plot(
                    100 * row.kept_ratio.value,
                    100 * kept.value,
                    marker=marker,
                    color=face,
                    markeredgecolor=colour,
                    markersize=7,
                    ls="none",
                    clip_on=False,
                )


def _ridges(panel: Axes, rows: Sequence[Row], styles: dict[str, tuple[str, str]]) -> None:
    edges = np.linspace(0, 100, len(rows[0].selection.kept_histogram) + 1)
    for place, row in enumerate(reversed(rows)):
        heights = place + _RIDGE * np.array(row.selection.kept_histogram)
        panel.stairs(heights, edges, baseline=place, fill=True, color=styles[row.trimmer][0])
        panel.axhline(place, color="#cccccc", linewidth=0.5)
    panel.set(xlim=(0, 100), ylim=(0, len(rows)))
    panel.set_yticks([place + 0.5 for place in range(len(rows))])
    panel.set_yticklabels([row.trimmer for row in reversed(rows)], fontsize=7)
    panel.tick_params(axis="y", length=0)


def _legend(rows: Sequence[Row], styles: dict[str, tuple[str, str]]) -> list[Line2D]:
    handles = []
    for trimmer in dict.fromkeys(row.trimmer for row in rows):
        colour, marker = styles[trimmer]
        handles.append(Line2D([], [], color=colour, marker=marker, markersize=7, ls="none", label=trimmer))
    handles.append(
        Line2D([], [], color="white", markeredgecolor="#444444", marker="o", ls="none", label="hollow: another's query")
    )
    handles.append(Line2D([], [], color="#777777", linestyle=":", linewidth=1.2, label="blind selection"))
    return handles
