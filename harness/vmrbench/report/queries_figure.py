"""Cost of a query against queries per video: as the stored selections give it, and for queries that are independent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter

from vmrbench.report.crossings import formula_costs
from vmrbench.report.figure import panel_grid, put_legend, put_title, styles_of
from vmrbench.report.numbers import significant
from vmrbench.report.summary import DatasetEntry, Row, SweepSummary

_FEWEST_SHOWN = 50


def draw_queries(summary: SweepSummary, entry: DatasetEntry) -> Figure | None:
    """The figure of one data set, one panel a backbone; None where no arm has a curve."""
    rows = [row for row in summary.rows_of(entry.id) if row.selection.by_queries.macs and not row.query_blind]
    if not rows:
        return None
    backbones = list(dict.fromkeys(row.backbone for row in rows))
    lines, columns = panel_grid(len(backbones))
    figure = Figure(figsize=(3.6 * columns + 2.4, 3.2 * lines + 0.6), layout="constrained", facecolor="white")
    panels = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel().tolist()
    styles = styles_of(summary.rows)
    longest = max(_FEWEST_SHOWN, *(len(row.selection.by_queries.macs) for row in rows))
    for place, (panel, backbone) in enumerate(zip(panels, backbones, strict=False)):
        _panel(panel, [row for row in rows if row.backbone == backbone], styles, longest)
        panel.set_title(backbone, fontsize=11)
        panel.tick_params(labelbottom=place + columns >= len(backbones))
    for panel in panels[len(backbones) :]:
        panel.set_visible(False)
    figure.supxlabel("queries a video (log scale)", fontsize=10)
    figure.supylabel("GMACs a query (log scale)", fontsize=10)
    put_legend(figure, _legend(rows, styles))
    put_title(figure, [entry.id], entry.stamps)
    return figure


def _panel(panel: Axes, rows: Sequence[Row], styles: dict[str, tuple[str, str]], longest: int) -> None:
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.grid(True, which="major", color="#e6e6e6", linewidth=0.6)
    panel.set_axisbelow(True)
    many = np.unique(np.geomspace(1, longest, 40).round().astype(int)).tolist()
    for row in rows:
        colour, marker = styles[row.trimmer]
        measured = [value / 1e9 for value in row.selection.by_queries.macs]
        where = range(1, len(measured) + 1)
        panel.plot(where, measured, color=colour, marker=marker, markersize=5, linewidth=1.4, markevery=0.1)
        formula = [value / 1e9 for value in formula_costs(row, many)]
        panel.plot(many[: len(formula)], formula, color=colour, linestyle="--", linewidth=0.9)
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: significant(value)))
        axis.set_minor_formatter(NullFormatter())


def _legend(rows: Sequence[Row], styles: dict[str, tuple[str, str]]) -> list[Line2D]:
    handles = []
    for trimmer in dict.fromkeys(row.trimmer for row in rows):
        colour, marker = styles[trimmer]
        handles.append(Line2D([], [], color=colour, marker=marker, markersize=6, linewidth=1.4, label=trimmer))
    handles.append(Line2D([], [], color="#444444", linestyle="--", linewidth=0.9, label="independent queries"))
    return handles
