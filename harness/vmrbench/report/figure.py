"""Accuracy against cost: one panel a backbone, one marker a trimmer, the Pareto front drawn through the best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from vmrbench.report.arm_numbers import Estimate
from vmrbench.report.numbers import known_total, significant
from vmrbench.report.summary import DatasetEntry, Row, SweepSummary

# Okabe and Ito, Color Universal Design, 2008: told apart by colour-blind readers.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D31")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "h", "d")
_MORE_MARKERS = ("p", "8", "H")  # Where the others are taken: harder to tell apart.
# Inches of a line and of a column of the legend, at its font size.
_LEGEND_LINE, _LEGEND_COLUMN = 0.172, 1.9
# Of capitals in the title's font size.
_LETTERS_AN_INCH = 9.5
_COLUMNS = 3


@dataclass(frozen=True, kw_only=True)
class Point:
    """One arm in the figure: cold GMACs a query and the headline score, a number, with its interval."""

    backbone: str
    trimmer: str
    gmacs: float
    score: Estimate
    reads_labels: bool


def points_of(summary: SweepSummary, dataset: str) -> tuple[Point, ...]:
    """The arms of a data set that have a score and a cost above 0; the others cannot be drawn on a logarithmic axis."""
    found = []
    for row in summary.rows_of(dataset):
        score, cost = row.scores.get(summary.headline), known_total(row.macs_cold)
        if score is not None and score.value is not None and cost:
            point = Point(
                backbone=row.backbone,
                trimmer=row.trimmer,
                gmacs=cost / 1e9,
                score=score,
                reads_labels=row.reads_labels,
            )
            found.append(point)
    return tuple(found)


def pareto_front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The (cost, score) pairs no other beats: from cheap to dear, each with a higher score than all cheaper ones."""
    front: list[tuple[float, float]] = []
    for cost, score in sorted(points, key=lambda point: (point[0], -point[1])):
        if not front or score > front[-1][1]:
            front.append((cost, score))
    return front


def draw(summary: SweepSummary, entry: DatasetEntry) -> Figure | None:
    """The figure of one data set, None where no arm can be drawn. Uses no global state of matplotlib."""
    points = points_of(summary, entry.id)
    if not points:
        return None
    backbones = list(dict.fromkeys(point.backbone for point in points))
    lines, columns = panel_grid(len(backbones))
    figure = Figure(figsize=(4.2 * columns + 2.2, 3.5 * lines + 0.4), layout="constrained", facecolor="white")
    panels = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel().tolist()
    styles = styles_of(summary.rows)
    floor = entry.floors.best(summary.headline) if summary.headline in entry.floors.whole_video else None
    for place, (panel, backbone) in enumerate(zip(panels, backbones, strict=False)):
        _panel(panel, [point for point in points if point.backbone == backbone], points, styles, floor)
        panel.set_title(backbone, fontsize=11)
        panel.tick_params(labelbottom=place + columns >= len(backbones))
    _cost_axis(panels[0], [point.gmacs for point in points])
    for panel in panels[len(backbones) :]:
        panel.set_visible(False)
    put_legend(figure, _legend(points, styles, floor))
    unit = summary.metrics[summary.headline].unit
    figure.supxlabel("GMACs a query, nothing cached (log scale, cheaper to the left)", fontsize=10)
    figure.supylabel(f"{summary.headline}, {unit}", fontsize=10)
    put_title(figure, [entry.id], entry.stamps)
    return figure


def panel_grid(count: int) -> tuple[int, int]:
    """Lines and columns of so many panels, at most three a line."""
    columns = 2 if count == 4 else min(_COLUMNS, count)
    return math.ceil(count / columns), columns


def put_legend(figure: Figure, handles: Sequence[Line2D]) -> None:
    """A legend on the right, in as many columns as its lines need at this height; the figure is widened for them."""
    lines = max(1, int((figure.get_figheight() - 0.3) / _LEGEND_LINE))
    columns = math.ceil(len(handles) / lines)
    figure.set_figwidth(figure.get_figwidth() + (columns - 1) * _LEGEND_COLUMN)
    figure.legend(handles=handles, loc="outside right center", fontsize=8, frameon=False, ncols=columns)


def put_title(figure: Figure, parts: Sequence[str], stamps: Sequence[str]) -> None:
    """Parts and stamps over the figure, in as many lines as its width takes; a stamp without its explanation."""
    room = round(_LETTERS_AN_INCH * figure.get_figwidth())
    lines: list[str] = []
    for part in [*parts, *(stamp.split(":")[0].split(".")[0] for stamp in stamps)]:
        joined = f"{lines[-1]} · {part}" if lines else part
        lines[-1:] = [joined] if len(joined) <= room else [*lines[-1:], part]
    figure.suptitle("\n".join(lines), fontsize=10)


def save_svg(figure: Figure, path: Path) -> None:
    """Write the figure; the same figure gives the same bytes."""
    with rc_context({"svg.hashsalt": "vmrbench", "svg.fonttype": "path"}):
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def _panel(
    panel: Axes,
    own: Sequence[Point],
    every: Sequence[Point],
    styles: dict[str, tuple[str, str]],
    floor: float | None,
) -> None:
    panel.set_xscale("log")
    panel.grid(True, which="major", color="#e6e6e6", linewidth=0.6)
    panel.set_axisbelow(True)
    if floor is not None:
        panel.axhline(floor, color="#777777", linestyle=":", linewidth=1.2)
    _front(panel, every, colour="#bbbbbb", style="--")
    _front(panel, own, colour="#444444", style="-")
    for point in own:
        colour, marker = styles[point.trimmer]
        if point.score.low is not None and point.score.high is not None:
            panel.vlines(point.gmacs, point.score.low, point.score.high, color=colour, linewidth=1.0, alpha=0.45)
        face = "white" if point.reads_labels else colour
        edge = colour if point.reads_labels else "white"
        panel.plot(
            point.gmacs,
            point.score.value or 0.0,
            marker=marker,
            color=face,
            markersize=7.5,
            markeredgecolor=edge,
            ls="none",
        )


def _front(panel: Axes, points: Sequence[Point], *, colour: str, style: str) -> None:
    """A step through the points no other beats; an arm that reads labels is a ceiling and no part of it."""
    front = pareto_front([(p.gmacs, p.score.value) for p in points if p.score.value is not None and not p.reads_labels])
    costs, scores = [cost for cost, _ in front], [score for _, score in front]
    panel.plot(costs, scores, color=colour, linewidth=1.0, linestyle=style, drawstyle="steps-post")


def _cost_axis(panel: Axes, gmacs: Sequence[float]) -> None:
    """Plain numbers, the fewer a decade the more decades there are; panels share the axis."""
    ratio = max(gmacs) / min(gmacs)
    ticks = (1.0, 2.0, 5.0) if ratio < 30 else (1.0, 3.0) if ratio < 1000 else (1.0,)
    panel.set_xlim(min(gmacs) / 1.5, max(gmacs) * 1.5)
    panel.xaxis.set_major_locator(LogLocator(subs=ticks))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: significant(value)))
    panel.xaxis.set_minor_formatter(NullFormatter())


def styles_of(rows: Sequence[Row]) -> dict[str, tuple[str, str]]:
    """Colour and marker by arm; the budgets of a trimmer share a colour, and two arms share both where none is left."""
    names = list(dict.fromkeys(row.trimmer_name for row in rows))
    styles: dict[str, tuple[str, str]] = {}
    for place, (trimmer, name) in enumerate(dict.fromkeys((row.trimmer, row.trimmer_name) for row in rows)):
        colour, first = _COLOURS[names.index(name) % len(_COLOURS)], place % len(_MARKERS)
        markers = [*_MARKERS[first:], *_MARKERS[:first], *_MORE_MARKERS]
        free = (marker for marker in markers if (colour, marker) not in styles.values())
        styles[trimmer] = (colour, next(free, markers[0]))
    return styles


def _legend(points: Sequence[Point], styles: dict[str, tuple[str, str]], floor: float | None) -> list[Line2D]:
    handles = []
    for trimmer, reads_labels in dict.fromkeys((point.trimmer, point.reads_labels) for point in points):
        colour, marker = styles[trimmer]
        face, edge = ("white", colour) if reads_labels else (colour, "white")
        label = f"{trimmer} (reads labels)" if reads_labels else trimmer
        handles.append(
            Line2D([], [], color=face, marker=marker, markersize=7.5, markeredgecolor=edge, ls="none", label=label)
        )
    handles.append(Line2D([], [], color="#444444", linewidth=1.0, label="Pareto front, this backbone"))
    handles.append(Line2D([], [], color="#bbbbbb", linewidth=1.0, linestyle="--", label="Pareto front, all"))
    if floor is not None:
        handles.append(
            Line2D([], [], color="#777777", linestyle=":", linewidth=1.2, label=f"best blind floor, {floor:.1f}")
        )
    return handles
