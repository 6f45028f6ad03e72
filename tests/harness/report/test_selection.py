"""What the report says was kept and lost, and where trimming stops paying: on made-up records, worked out by hand."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from vmrbench.report.arm_numbers import Strip
from vmrbench.report.crossings import Crossing, crossing_of, crossing_text, formula_costs
from vmrbench.report.page import render, write_report
from vmrbench.report.rows import FinishedRun
from vmrbench.report.selection_tables import families
from vmrbench.report.strip_figure import draw_strips, strip_trimmers
from vmrbench.report.summary import SampleEntry, SweepSummary, summary_from_json, summary_to_json

CLIPS, ENCODE, INDEX, BACKBONE = 40, 10e9, 1e9, 2e9
# id, plug-in, keep ratio, clips kept, share of the moment kept, with another's query, hits of 4 queries
ARMS: tuple[tuple[str, str, float | None, int, float, float, int], ...] = (
    ("all", "all", None, 40, 1.0, 1.0, 4),
    ("spotvmr_25", "spotvmr", 0.25, 10, 0.75, 0.35, 3),
    ("spotvmr_50", "spotvmr", 0.5, 20, 0.9, 0.6, 4),
    ("uniform_25", "uniform", 0.25, 10, 0.25, 0.25, 2),
)


def stages(index: float, encode: float, trim: float) -> dict[str, Any]:
    counted = {"trim": trim, "backbone": BACKBONE}
    plain = {"index": index, "encode": encode, **counted}
    return {
        **{name: {"value": value, "basis": "counted", "reason": None} for name, value in plain.items()},
        "post": {"value": None, "basis": "not_macs", "reason": "sorting"},
    }


def run(arm: tuple[str, str, float | None, int, float, float, int], seed: int = 0) -> FinishedRun:
    trimmer, name, ratio, kept, moment, shuffled, hits = arm
    trim = 1e9 if name == "spotvmr" else 0.0
    # Two queries a video; those of spotvmr choose clips of their own, uniform the same ones for both.
    union = kept if name != "spotvmr" else min(2 * kept, CLIPS)
    macs = [CLIPS * INDEX / m + kept_by / m * ENCODE + trim + BACKBONE for m, kept_by in ((1, kept), (2, union))]
    metrics = ["R1@0.3", "R1@0.5", "R1@0.7"]
    record = {
        "format": 2,
        "run_id": f"{trimmer}-{seed}",
        "cell": {
            "dataset": {"id": "sim", "name": "simulated", "options": {}},
            "backbone": {"id": "b", "name": "b", "preset": None, "options": {}},
            "trimmer": {
                "id": trimmer,
                "name": name,
                "fill": "concat_zero",
                "options": {} if ratio is None else {"keep_ratio": ratio},
            },
            "seed": seed,
        },
        "status": "VALID",
        "diagnostics": {
            "clips_mean": float(CLIPS),
            "kept_clips_mean": float(kept),
            "kept_ratio_mean": kept / CLIPS,
            "kept_ratio_quantiles": {"p10": kept / CLIPS, "p50": kept / CLIPS, "p90": kept / CLIPS},
            "kept_ratio_histogram": [float(place == min(kept // 2, 19)) for place in range(20)],
            "moment_kept_mean": moment,
            "ceilings": dict.fromkeys(metrics, 80.0 + seed),
            "failures": {metric: {"trimmed_away": 15.0, "missed": 85.0 - 25.0 * hits + 15.0} for metric in metrics},
            "shuffled_query": {"R1@0.5": 5.0},
            "shuffled_selection": {"moment_kept_mean": shuffled, "same_clips_mean": 0.5, "reason": None},
            "strips": {"q0": {"kept": "9900", "heat": None if name == "uniform" else "95" + str(seed) + "0"}},
        },
        "cost": {
            "macs_cold": stages(CLIPS * INDEX, kept * ENCODE, trim),
            "macs_amortised": stages(CLIPS * INDEX / 2, union / 2 * ENCODE, trim),
            "by_queries": {
                "videos": [2, 2],
                "macs": macs,
                "index_macs": [CLIPS * INDEX, CLIPS * INDEX / 2],
                "reason": None,
            },
        },
    }
    frame = pd.DataFrame(
        {
            "sample_id": [f"q{i}" for i in range(4)],
            "video_id": ["v0", "v0", "v1", "v1"],
            "source_id": ["v0", "v0", "v1", "v1"],
            **{metric: [100.0 * (i < hits) for i in range(4)] for metric in metrics},
            "moment_kept": moment + np.array([-0.05, 0.05, -0.05, 0.05]) * (0 < moment < 1),
            "moment_kept_shuffled": shuffled,
        }
    )
    return FinishedRun(record=record, per_query=frame)


@pytest.fixture(scope="module")
def sweep(summarise: Callable[..., SweepSummary]) -> SweepSummary:
    return summarise([run(arm, seed) for arm in ARMS for seed in (0, 1)])


@pytest.fixture(scope="module")
def text(sweep: SweepSummary) -> str:
    return render(sweep)


def table(text: str, heading: str) -> dict[str, dict[str, str]]:
    """Cells of the first table under a heading, by trimmer and column."""
    lines = text.split(heading, 1)[1].split("\n|", 1)[1].split("\n\n", 1)[0].splitlines()
    rows = [[part.strip() for part in line.strip("|").split("|")] for line in lines]
    return {row[1].split()[0]: dict(zip(rows[0], row, strict=True)) for row in rows[2:]}


def test_the_table_says_what_was_kept_and_lost(text: str) -> None:
    row = table(text, "#### What was kept, what was lost")["spotvmr_25"]

    assert row["true moment kept ↑"] == "75.0 %"
    assert row["with another's query ↓"] == "35.0 %"
    # 0.75 - 0.35 in points; both videos have the same mean.
    assert row["difference, points ↑"] == "+40.0<br>[+40.0, +40.0]"
    assert row["same clips with another's query ↓"] == "50.0 %"
    # Seeds have 80 and 81.
    assert row["ceiling of R1@0.5, %"] == "80.5"
    assert row["R1@0.5 failed: trimmed away, % ↓"] == "15.0"
    assert row["R1@0.5 failed: missed by the backbone, % ↓"] == "25.0"


def test_ratios_of_one_trimmer_stand_in_one_line(sweep: SweepSummary, text: str) -> None:
    (family,) = families(sweep, "sim")

    assert (family.name, [row.trimmer for row in family.rows]) == ("spotvmr", ["spotvmr_25", "spotvmr_50"])
    row = table(text, "#### True moment kept, by keep ratio")["spotvmr"]
    assert (row["keep 0.25 ↑"], row["keep 0.5 ↑"]) == ("75.0 %", "90.0 %")


def test_arms_that_differ_in_another_option_are_no_family(summarise: Callable[..., SweepSummary]) -> None:
    runs = [run(arm) for arm in ARMS]
    other = copy.deepcopy(runs[2].record)
    other["cell"]["trimmer"]["options"]["steps"] = 4  # type: ignore[index]  # plain JSON

    sweep = summarise([*runs[:2], FinishedRun(record=other, per_query=runs[2].per_query)])

    assert families(sweep, "sim") == ()


def varied(found: FinishedRun, **trimmer: object) -> FinishedRun:
    """A run whose trimmer is applied otherwise, under another id."""
    record = copy.deepcopy(dict(found.record))
    record["cell"]["trimmer"] |= {"id": "other" + record["cell"]["trimmer"]["id"].removeprefix("spotvmr"), **trimmer}
    if trimmer.get("adaptive_budget"):
        record["calibration"] = {
            "threshold": 0.5,
            "split": "val",
            "keep_ratio": record["cell"]["trimmer"]["options"]["keep_ratio"],
            "budget_ratio_mean": 0.24,
            "kept_ratio_mean": 0.23,
        }
    return FinishedRun(record=record, per_query=found.per_query)


def test_one_model_for_several_ratios_is_a_family_of_its_own(summarise: Callable[..., SweepSummary]) -> None:
    runs = [run(arm) for arm in ARMS]
    drawn = [varied(found, train_ratios=[0.5, 0.25]) for found in runs if found.key[2].startswith("spotvmr")]

    sweep = summarise([*runs, *drawn])

    assert [(family.name, len(family.rows)) for family in families(sweep, "sim")] == [("spotvmr", 2), ("other", 2)]
    mode = "- applied as fill, concat_zero, trained for keep 0.5 / 0.25: `b` / `other_25`, `b` / `other_50`"
    assert mode in render(sweep)


def test_a_ratio_that_is_a_mean_stands_with_what_was_kept(summarise: Callable[..., SweepSummary]) -> None:
    runs = [run(arm) for arm in ARMS]
    adaptive = [varied(found, adaptive_budget=True) for found in runs if found.key[2].startswith("spotvmr")]

    text = render(summarise([*runs, *adaptive]))

    row = table(text, "#### True moment kept, by keep ratio")["other"]
    assert (row["trimmer"], row["keep 0.25 ↑"]) == ("other ≈", "75.0 % (of 25.0 % of the clips)")
    accuracy = table(text, "### Accuracy")
    assert (accuracy["spotvmr_25"]["trimmer"], accuracy["other_25"]["trimmer"]) == ("spotvmr_25", "other_25 ≈")
    assert "keeps 23.0 % of them, and 25.0 % here" in text


def test_costs_by_queries_are_measured_and_beyond_them_by_formula(text: str) -> None:
    row = table(text, "### Cost by queries per video")["spotvmr_25"]

    # 40 for the index, 100 to encode 10 clips, 1 to select, 2 for the backbone; two queries: 20 + 200 / 2 + 3.
    assert (row["1 a video"], row["2 a video"]) == ("143", "123")
    # Five: 40 / 5 + 400 (1 - 0.75^5) / 5 + 3 = 72.02.
    assert row["5 a video"] == "(72)"


def test_the_crossing_is_measured_where_it_lies_among_the_videos(sweep: SweepSummary) -> None:
    # Half of the clips for each of two queries is all of them: 20 + 400 / 2 + 3 against 20 + 400 / 2 + 2.
    rows = {row.trimmer: row for row in sweep.rows}

    found = crossing_of(rows["spotvmr_50"], rows["all"], with_index=True)

    assert found is not None
    assert (found.measured, found.upto, crossing_text(found)) == (2, 2, "2")


def test_the_formula_looks_beyond_the_videos(sweep: SweepSummary) -> None:
    rows = {row.trimmer: row for row in sweep.rows}

    found = crossing_of(rows["spotvmr_25"], rows["all"], with_index=True)

    # What is saved, 400 * 0.75^m / m, is below the 1 of the selection from m = 13 on: 400 * 0.0238 / 13 = 0.73.
    assert found == Crossing(measured=None, upto=2, formula=13)
    assert crossing_text(found) == "> 2 (≈ 13)"


def test_without_an_index_to_pay_encoding_once_is_reached_earlier(sweep: SweepSummary) -> None:
    rows = {row.trimmer: row for row in sweep.rows}

    found = crossing_of(rows["spotvmr_25"], rows["all"], with_index=False)

    # 400 * 0.75^m / m against 40 / m + 1: 400 * 0.75^7 = 53.4 > 47, 400 * 0.75^8 = 40.0 < 48.
    assert found is not None
    assert (found.measured, found.formula) == (None, 8)


def test_a_trimmer_that_adds_no_work_never_crosses(sweep: SweepSummary) -> None:
    rows = {row.trimmer: row for row in sweep.rows}

    found = crossing_of(rows["uniform_25"], rows["all"], with_index=True)

    # The independent formula gets to all clips only in the limit; in floating point it is there at last.
    assert found is not None
    assert found.measured is None
    assert found.formula is None or found.formula > 100


def test_a_crossing_that_the_videos_contradict_is_not_guessed() -> None:
    assert crossing_text(Crossing(measured=None, upto=50, formula=12)) == "> 50 (–)"
    assert crossing_text(Crossing(measured=None, upto=2, formula=None)) == "> 2 (never)"
    assert crossing_text(None) == "–"


def test_the_formula_needs_every_stage(sweep: SweepSummary) -> None:
    row = sweep.rows[1]
    unknown = replace(row.macs_cold["encode"], value=None, basis="unknown", reason="no encoder")

    assert formula_costs(replace(row, macs_cold={**row.macs_cold, "encode": unknown}), (1, 2)) == ()


def test_figures_stand_beside_the_page_and_are_linked(sweep: SweepSummary, text: str, tmp_path: Path) -> None:
    written = write_report(sweep, tmp_path)

    names = {path.name for path in written}
    assert {"tiny_sweep_sim_selection.svg", "tiny_sweep_sim_queries.svg"} <= names
    for name in names - {"README.md"}:
        assert f"(figures/{name})" in text


@pytest.fixture(scope="module")
def sampled(sweep: SweepSummary) -> SweepSummary:
    """The sweep with its one sample query described."""
    sample = SampleEntry(
        sample_id="q0", sentence="a person pays $5 for $3", moments=((2.0, 4.0),), edges=(0.0, 2.0, 4.0, 6.0, 7.5)
    )
    return replace(sweep, datasets=(replace(sweep.datasets[0], samples=(sample,)),))


def test_strips_are_averaged_over_seeds(sampled: SweepSummary) -> None:
    rows = {row.trimmer: row for row in sampled.rows}

    # Seeds have 0 and 1 in the third place: half of a ninth rounds to the even 0.
    assert rows["spotvmr_25"].selection.strips["q0"] == Strip(kept="9900", heat="9500")
    assert rows["uniform_25"].selection.strips["q0"].heat is None


def test_there_is_a_picture_of_samples_for_every_trimmer_that_chooses(sampled: SweepSummary, tmp_path: Path) -> None:
    assert strip_trimmers(sampled, sampled.datasets[0]) == ("spotvmr_25", "spotvmr_50", "uniform_25")

    names = {path.name for path in write_report(sampled, tmp_path)}

    assert "tiny_sweep_sim_strips_spotvmr_25.svg" in names
    page = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "[`uniform_25`](figures/tiny_sweep_sim_strips_uniform_25.svg)" in page


def test_a_strip_has_its_truth_its_scores_and_its_clips(sampled: SweepSummary) -> None:
    with_scores = draw_strips(sampled, sampled.datasets[0], "spotvmr_25").axes[0]
    without = draw_strips(sampled, sampled.datasets[0], "uniform_25").axes[0]

    assert len(with_scores.collections) == 3
    assert len(without.collections) == 2
    assert with_scores.get_title(loc="left") == "a person pays $5 for $3"
    assert without.get_xlim() == (0.0, 7.5)


def test_the_same_summary_gives_the_same_pictures(sampled: SweepSummary, tmp_path: Path) -> None:
    first, second = (write_report(sampled, tmp_path / name) for name in ("a", "b"))

    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_an_arm_that_plans_whole_videos_has_no_formula(sweep: SweepSummary) -> None:
    assert formula_costs(sweep.rows[1], (1, 2)) != ()
    assert formula_costs(replace(sweep.rows[1], plan="union_mean"), (1, 2)) == ()


def test_a_summary_of_the_first_format_is_read_without_the_selection(sweep: SweepSummary) -> None:
    plain = json.loads(summary_to_json(sweep))
    plain["format"] = 1
    for row in plain["rows"]:
        del row["selection"]

    read = summary_from_json(json.dumps(plain))
    page = render(read)

    assert read.rows[0].selection.same_clips.value is None
    assert "ceilings, failures and what is kept with another's query: not recorded" in page
    assert "### Cost by queries per video" not in page
    assert "_selection.svg" not in page


def test_an_arm_that_was_predicted_earlier_says_why_it_lacks_the_other_query(
    summarise: Callable[..., SweepSummary],
) -> None:
    found = run(ARMS[1])
    record = copy.deepcopy(found.record)
    record["diagnostics"]["shuffled_selection"] = {
        "moment_kept_mean": None,
        "same_clips_mean": None,
        "reason": "predicted by an earlier version",
    }
    assert found.per_query is not None
    frame = found.per_query.drop(columns="moment_kept_shuffled")

    (row,) = summarise([FinishedRun(record=record, per_query=frame)]).rows

    assert row.selection.language_gain.value is None
    assert row.selection.language_gain.reason == "predicted by an earlier version"
    assert row.selection.ceilings["R1@0.5"].value == 80.0
