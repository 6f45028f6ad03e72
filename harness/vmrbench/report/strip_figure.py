"""The selection of a few sample queries against the truth: one picture a data set and trimmer."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vmrbench.report.arm_numbers import Strip
from vmrbench.report.figure import panel_grid, put_title
from vmrbench.report.summary import DatasetEntry, Row, SampleEntry, SweepSummary
from vmrbench.score.strips import shares_of

_TRUTH, _HEAT, _KEPT = "#009E73", "Blues", "Greys"
_MOST_LETTERS = 60


def strip_trimmers(summary: SweepSummary, entry: DatasetEntry) -> tuple[str, ...]:
    """The trimmers of a data set whose strips can be drawn: those that keep some clips and not all."""
    names = {sample.sample_id for sample in entry.samples}
    return tuple(
        dict.fromkeys(
            row.trimmer
            for row in summary.rows_of(entry.id)
            if row.kept_ratio.value is not None and 0 < row.kept_ratio.value < 1 and names & set(row.selection.strips)
        )
    )


def draw_strips(summary: SweepSummary, entry: DatasetEntry, trimmer: str) -> Figure:
    """The strips of one trimmer: a block for every backbone, a panel in it for every sample query.

    A panel shows, from above: the true moment, the scores of the clips (dark is high) where the trimmer gives any, and
    the clips that were kept (dark, over seeds the share that keeps them).
    """
    rows = [row for row in summary.rows_of(entry.id) if row.trimmer == trimmer and row.selection.strips]
    (lines, columns), queries = panel_grid(len(rows)), len(entry.samples)
    size = (4.4 * columns + 0.6, 0.75 * queries * lines + 0.9)
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    panels = figure.subplots(queries * lines, columns, squeeze=False)
    for place, row in enumerate(rows):
        line, column = divmod(place, columns)
        block = panels[queries * line : queries * (line + 1), column].tolist()
        _column(block, row, entry.samples, named=column == 0)
        block[0].text(1.0, 1.1, row.backbone, transform=block[0].transAxes, ha="right", va="bottom", fontsize=9)
    for place in range(len(rows), lines * columns):
        for panel in panels[queries * (place // columns) :, place % columns]:
            panel.set_visible(False)
    figure.supxlabel("seconds", fontsize=9)
    put_title(figure, [entry.id, trimmer], entry.stamps)
    return figure


def _column(panels: Sequence[Axes], row: Row, samples: Sequence[SampleEntry], *, named: bool) -> None:
    for panel, sample in zip(panels, samples, strict=True):
        strip = row.selection.strips.get(sample.sample_id)
        if strip is None:
            panel.set_axis_off()
            continue
        _panel(panel, strip, sample)
        if named:
            words = sample.sentence if len(sample.sentence) <= _MOST_LETTERS else sample.sentence[:_MOST_LETTERS] + " …"
            panel.set_title(words, fontsize=7, loc="left", pad=2, parse_math=False)


def _panel(panel: Axes, strip: Strip, sample: SampleEntry) -> None:
    # As pixels: a path for every stretch would make the file a hundred times as large.
    for start, end in sample.moments:
        panel.broken_barh([(start, end - start)], (2.15, 0.5), facecolors=_TRUTH)
    if strip.heat is not None:
        panel.pcolormesh(
            sample.edges, [1.05, 2.0], [shares_of(strip.heat)], cmap=_HEAT, vmin=0, vmax=1, rasterized=True
        )
    panel.pcolormesh(sample.edges, [0.0, 0.95], [shares_of(strip.kept)], cmap=_KEPT, vmin=0, vmax=1.2, rasterized=True)
    panel.set(xlim=(sample.edges[0], sample.edges[-1]), ylim=(0.0, 2.7))
    panel.set_yticks([0.5, 1.5, 2.4], ["kept", "score", "truth"], fontsize=6)
    panel.tick_params(axis="x", labelsize=6, length=2)
    panel.tick_params(axis="y", length=0)
