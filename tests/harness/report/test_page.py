import re
from dataclasses import replace
from pathlib import Path

import pytest

from vmrbench.report.arm_numbers import Quantity
from vmrbench.report.page import render, write_report
from vmrbench.report.summary import SweepSummary, summary_from_json, summary_to_json


@pytest.fixture(scope="module")
def text(sweep: SweepSummary) -> str:
    return render(sweep)


def table_under(text: str, heading: str) -> list[list[str]]:
    """Cells of the first table under a heading, header first."""
    after = text.split(f"{heading}\n", 1)[1]
    lines = re.search(r"(\|.*\n)+", after)
    assert lines is not None
    return [[part.strip() for part in line.strip("|").split("|")] for line in lines.group().splitlines()]


def row_under(text: str, heading: str, backbone: str, trimmer: str) -> dict[str, str]:
    header, _, *rows = table_under(text, heading)
    found = next(row for row in rows if row[0] == backbone and row[1].split()[0] == trimmer)
    return dict(zip(header, found, strict=True))


def test_every_row_of_the_sweep_is_in_the_accuracy_table(text: str, sweep: SweepSummary) -> None:
    _, _, *rows = table_under(text, "### Accuracy")

    assert len(rows) == len(sweep.rows)


def test_a_score_stands_with_its_interval(text: str) -> None:
    cell = row_under(text, "### Accuracy", "vslnet", "all")["R1@0.5, % ↑"]

    assert re.fullmatch(r"\d+\.\d<br>\[\d+\.\d, \d+\.\d\]", cell)


def test_the_reference_is_named_in_the_difference_column(text: str) -> None:
    row = row_under(text, "### Accuracy", "vslnet", "all")

    assert row["R1@0.5 − reference, points"] == "reference"


def test_arms_of_one_budget_stand_against_each_other(text: str, sweep: SweepSummary) -> None:
    found = row_under(
        text,
        "### At the same budget\n\nArms that keep the same share of clips, paired by query.\n",
        "qd_detr",
        "spotvmr_25",
    )

    rows = {row.trimmer: row for row in sweep.rows if row.backbone == "qd_detr"}
    ours, reference = rows["spotvmr_25"].scores["R1@0.5"].value, rows["all"].scores["R1@0.5"].value
    assert ours is not None
    assert reference is not None
    assert found["against"] == "uniform_25"
    assert re.fullmatch(r"\+\d+\.\d<br>\[[+-]\d+\.\d, [+-]\d+\.\d\]", found["difference, points"])
    assert found["R1@0.5, share of the reference's"] == f"{100 * ours / reference:.1f} %"


def test_costs_are_shown_by_stage_and_in_total(text: str) -> None:
    row = row_under(text, "### Cost: GMACs a query, by stage when cold", "vslnet", "spotvmr_25")

    # 40 clips x 0.39 for the index, 10 of 40 clips x 38.5 to encode; 0.02 to trim, 0.4 for the backbone.
    assert (row["index"], row["encode"], row["backbone"]) == ("15.6†", "385†", "0.4")
    assert row["**cold total without decode** ↓"] == "401"
    assert row["**amortised total without decode** ↓"] == "209"


def test_the_minutes_that_a_cell_took_are_listed(text: str) -> None:
    heading = text[text.index("#### Minutes to make") :].split("\n|")[0]

    row = row_under(text, heading, "qd_detr", "all")
    assert list(row.values())[2:] == ["10.0", "2.0", "0.1", "0.5", "12.6"]
    lacking = row_under(text, heading, "qd_detr", "zero")
    assert list(lacking.values())[-2:] == ["–", "–"]
    assert "minutes: cost: not kept" in text


def test_a_sweep_of_an_earlier_format_has_no_minutes(sweep: SweepSummary) -> None:
    rows = tuple(replace(row, wall_seconds={}) for row in sweep.rows)

    assert "Minutes to make" not in render(replace(sweep, rows=rows))


def test_a_number_that_could_not_be_measured_is_a_dash_with_its_reason(text: str) -> None:
    row = row_under(text, "### Cost: GMACs a query, by stage when cold", "vslnet", "all")

    assert row["decode"] == "–"
    assert "- MACs of decode: features were given, no video was decoded (every row)" in text


def test_a_stage_without_multiply_adds_takes_nothing_from_the_total(text: str) -> None:
    header = table_under(text, "### Cost: GMACs a query, by stage when cold")[0]

    assert header[-2] == "**cold total without decode** ↓"
    assert "- post: has no multiply-adds" in text


def test_a_total_that_lacks_a_stage_other_rows_have_is_a_lower_bound(sweep: SweepSummary) -> None:
    first = sweep.rows[0]
    gap = {**first.macs_cold, "encode": Quantity(value=None, reason="no encoder")}

    text = render(replace(sweep, rows=(replace(first, macs_cold=gap), *sweep.rows[1:])))

    row = row_under(text, "### Cost: GMACs a query, by stage when cold", first.backbone, first.trimmer)
    assert row["**cold total without decode** ↓"].startswith("≥ ")


def test_the_stamps_come_before_the_first_number(text: str) -> None:
    assert text.index("SIMULATED FEATURES") < text.index("Sweep `tiny sweep`")


def test_an_invalid_row_is_marked_and_explained(text: str) -> None:
    assert "uniform_25 ⚠" in text
    assert "- ⚠ `vslnet` / `uniform_25`: INVALID: features cover 98 % of the videos" in text


def test_an_arm_that_was_not_timed_has_no_verdict_on_its_timing(sweep: SweepSummary) -> None:
    first = sweep.rows[0]
    untimed = replace(first.latency, p50_ms=None, p90_ms=None, n=0, valid=False, reason="not measured")

    text = render(replace(sweep, rows=(replace(first, latency=untimed), *sweep.rows[1:])))

    row = row_under(text, "### Clips, time, memory", first.backbone, first.trimmer)
    assert (row["latency p50 / p90, ms ↓"], row["timing"]) == ("– / –", "–")


def test_an_arm_that_reads_labels_is_marked(text: str) -> None:
    assert "oracle_25 ‡" in text


def test_failed_and_missing_cells_are_listed(text: str) -> None:
    assert "- failed: `sim` / `qd_detr` / `oracle`, seed 0: loss is NaN at epoch 3" in text
    assert "- missing: `sim` / `qd_detr` / `random`, seed 0: has not run" in text


def test_queries_and_videos_are_counted(text: str) -> None:
    assert "240 queries, 60 videos, 60 source videos, 4.0 queries a video" in text


def test_the_minimum_detectable_difference_is_said(text: str) -> None:
    assert re.search(r"Minimum detectable difference in R1@0\.5: \*\*\d+\.\d points\*\*", text)


def test_every_rule_of_the_protocol_is_printed(text: str, sweep: SweepSummary) -> None:
    assert all(rule in text for rule in sweep.protocol.rules)


def test_the_floors_show_the_fitted_window(text: str) -> None:
    header, _, *rows = table_under(text, "### Query-blind floors")

    assert header == ["answer without looking", "R1@0.3, %", "R1@0.5, %", "R1@0.7, %", "mIoU, %"]
    assert re.fullmatch(r"\d+\.\d<br>\[\d\.\d\d, \d\.\d\d\]", rows[0][2])


def test_no_table_is_broken_by_its_cells(text: str) -> None:
    for block in re.findall(r"(?:\|.*\n)+", text):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(widths) == 1


def test_the_page_is_rebuilt_from_the_committed_text_alone(text: str, sweep: SweepSummary) -> None:
    assert render(summary_from_json(summary_to_json(sweep))) == text


def test_a_sweep_without_a_single_result_is_still_a_page(sweep: SweepSummary) -> None:
    text = render(replace(sweep, rows=()))

    assert "No cell of this data set has a result." in text


def test_a_folder_gets_a_readme_and_its_figures(sweep: SweepSummary, tmp_path: Path) -> None:
    written = write_report(sweep, tmp_path)

    assert written == [tmp_path / "README.md", tmp_path / "figures" / "tiny_sweep_sim.svg"]
    assert "(figures/tiny_sweep_sim.svg)" in written[0].read_text(encoding="utf-8")
    assert all(path.exists() for path in written)
