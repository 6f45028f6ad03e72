import io
import math
from dataclasses import replace
from pathlib import Path

from vmrbench.report.arm_numbers import Quantity
from vmrbench.report.figure import draw, pareto_front, points_of, save_svg, styles_of
from vmrbench.report.summary import SweepSummary


def test_the_front_rises_with_cost() -> None:
    points = [(1.0, 10.0), (2.0, 9.0), (2.0, 12.0), (3.0, 12.0), (4.0, 20.0), (0.5, 3.0)]

    assert pareto_front(points) == [(0.5, 3.0), (1.0, 10.0), (2.0, 12.0), (4.0, 20.0)]


def test_the_same_summary_gives_the_same_bytes(sweep: SweepSummary, tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        figure = draw(sweep, sweep.datasets[0])
        assert figure is not None
        save_svg(figure, tmp_path / name)

    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert b"<dc:date>" not in (tmp_path / "a.svg").read_bytes()


def test_there_is_a_panel_for_every_backbone(sweep: SweepSummary) -> None:
    figure = draw(sweep, sweep.datasets[0])

    assert figure is not None
    assert [panel.get_title() for panel in figure.axes if panel.get_visible()] == ["vslnet", "qd_detr"]


def test_cost_is_the_cold_total_in_gmacs(sweep: SweepSummary) -> None:
    point = next(p for p in points_of(sweep, "sim") if (p.backbone, p.trimmer) == ("vslnet", "zero"))

    # 40 x 0.39 for the index, 0.02 to trim, 0.4 for the backbone.
    assert math.isclose(point.gmacs, 16.02)


def test_an_arm_without_a_cost_is_not_drawn(sweep: SweepSummary) -> None:
    bare = {stage: Quantity(value=None, reason="not counted") for stage in sweep.rows[0].macs_cold}
    rows = (replace(sweep.rows[0], macs_cold=bare), *sweep.rows[1:])

    assert len(points_of(replace(sweep, rows=rows), "sim")) == len(sweep.rows) - 1


def test_without_any_cost_there_is_no_figure(sweep: SweepSummary) -> None:
    rows = tuple(replace(row, macs_cold={}) for row in sweep.rows)

    assert draw(replace(sweep, rows=rows), sweep.datasets[0]) is None


def test_no_words_of_the_figure_overlap(sweep: SweepSummary) -> None:
    figure = draw(sweep, sweep.datasets[0])
    assert figure is not None
    figure.savefig(io.BytesIO(), format="png")

    (legend,) = figure.legends
    boxes = [text.get_window_extent() for text in legend.get_texts()]
    boxes += [panel.title.get_window_extent() for panel in figure.axes]
    for panel in figure.axes:
        low, high = panel.get_xlim()
        boxes += [
            label.get_window_extent() for label in panel.get_xticklabels() if low <= label.get_position()[0] <= high
        ]

    assert not any(a.overlaps(b) for place, a in enumerate(boxes) for b in boxes[:place])


def test_a_legend_of_many_arms_stays_inside_the_figure(sweep: SweepSummary) -> None:
    many = [
        replace(row, trimmer=f"{row.trimmer}_{n}", trimmer_name=f"{row.trimmer_name}_{n % 14}")
        for n in range(7)
        for row in sweep.rows
    ]
    figure = draw(replace(sweep, rows=tuple(many)), sweep.datasets[0])

    assert figure is not None
    figure.savefig(io.BytesIO(), format="svg")  # Lays everything out.
    (legend,), whole = figure.legends, figure.bbox
    box = legend.get_window_extent()
    assert box.y0 >= whole.y0
    assert box.y1 <= whole.y1
    assert box.x1 <= whole.x1
    styles = styles_of(many)
    assert len(set(styles.values())) == len(styles)
