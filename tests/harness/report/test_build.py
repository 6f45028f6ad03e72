from collections.abc import Callable

import pandas as pd

from vmrbench.report.rows import FinishedRun
from vmrbench.report.summary import Row, SweepSummary

Summarise = Callable[..., SweepSummary]


def row_of(sweep: SweepSummary, backbone: str, trimmer: str) -> Row:
    return next(row for row in sweep.rows if (row.backbone, row.trimmer) == (backbone, trimmer))


def per_query(values: list[float]) -> pd.DataFrame:
    ids = [f"q{i}" for i in range(len(values))]
    return pd.DataFrame({"sample_id": ids, "video_id": ids, "source_id": ids, "R1@0.5": values})


def finished(
    trimmer: str, seed: int, values: list[float] | None, keep_ratio: float | None = None, **record: object
) -> FinishedRun:
    options = {} if keep_ratio is None else {"keep_ratio": keep_ratio}
    cell = {
        "dataset": {"id": "sim", "name": "simulated"},
        "backbone": {"id": "b", "name": "b"},
        "trimmer": {"id": trimmer, "name": trimmer, "options": options},
        "seed": seed,
    }
    plain = {"run_id": f"{trimmer}-{seed}", "cell": cell, "status": "VALID", **record}
    return FinishedRun(record=plain, per_query=None if values is None else per_query(values))


def test_scores_are_averaged_over_seeds(summarise: Summarise) -> None:
    sweep = summarise([finished("all", 0, [0.0, 100.0]), finished("all", 1, [100.0, 100.0])])

    (row,) = sweep.rows
    assert (row.seeds, row.scores["R1@0.5"].value, row.scores["R1@0.5"].per_seed) == ((0, 1), 75.0, (50.0, 100.0))


def test_differences_are_against_the_arm_all(summarise: Summarise) -> None:
    runs = [finished("none", 0, [0.0, 0.0]), finished("t", 0, [0.0, 100.0]), finished("all", 0, [100.0, 100.0])]

    row = row_of(summarise(runs), "b", "t")

    assert (row.reference, row.differences["R1@0.5"].value) == ("all", -50.0)


def test_without_all_differences_are_against_none(summarise: Summarise) -> None:
    sweep = summarise([finished("none", 0, [100.0, 0.0]), finished("t", 0, [0.0, 0.0])])

    row = row_of(sweep, "b", "t")
    assert (row.reference, row.differences["R1@0.5"].value) == ("none", -50.0)


def test_without_a_reference_there_is_no_difference(summarise: Summarise) -> None:
    (row,) = summarise([finished("t", 0, [0.0, 0.0])]).rows

    assert (row.reference, row.differences) == (None, {})


def test_arms_of_one_budget_are_compared_once_a_pair(summarise: Summarise) -> None:
    runs = [
        finished("all", 0, [100.0, 100.0]),
        finished("blind", 0, [0.0, 100.0], keep_ratio=0.25),
        finished("half", 0, [100.0, 100.0], keep_ratio=0.5),
        finished("learned", 0, [100.0, 100.0], keep_ratio=0.25),
    ]

    sweep = summarise(runs)

    found = {row.trimmer: {rival: d.value for rival, d in row.rivals.items()} for row in sweep.rows}
    assert found == {"all": {}, "blind": {}, "half": {}, "learned": {"blind": 50.0}}


def test_differences_at_one_budget_are_averaged_over_seeds(summarise: Summarise) -> None:
    blind = [finished("blind", seed, [0.0, 0.0], keep_ratio=0.25) for seed in (0, 1)]
    learned = [finished("learned", seed, [100.0, 100.0 * seed], keep_ratio=0.25) for seed in (0, 1)]

    difference = row_of(summarise([*blind, *learned]), "b", "learned").rivals["blind"]

    assert (difference.value, difference.per_seed) == (75.0, (50.0, 100.0))


def test_differences_use_the_seeds_both_arms_have(summarise: Summarise) -> None:
    runs = [finished("all", 0, [100.0, 100.0]), finished("t", 0, [100.0, 0.0]), finished("t", 1, [0.0, 0.0])]

    row = row_of(summarise(runs), "b", "t")

    assert (row.scores["R1@0.5"].value, row.differences["R1@0.5"].value) == (25.0, -50.0)


def test_runs_on_other_queries_are_not_compared_and_the_reason_is_kept(summarise: Summarise) -> None:
    runs = [finished("all", 0, [100.0, 100.0]), finished("t", 0, [100.0])]

    difference = row_of(summarise(runs), "b", "t").differences["R1@0.5"]

    assert difference.value is None
    assert "in one run only" in str(difference.reason)


def test_a_stage_without_a_number_in_one_seed_has_none_and_a_reason(summarise: Summarise) -> None:
    known = {"macs_cold": {"encode": {"value": 4.0, "basis": "declared", "reason": None}}}
    unknown = {"macs_cold": {"encode": {"value": None, "basis": None, "reason": "no encoder"}}}
    runs = [finished("all", 0, [1.0], cost=known), finished("all", 1, [1.0], cost=unknown)]

    (row,) = summarise(runs).rows

    assert (row.macs_cold["encode"].value, row.macs_cold["encode"].reason) == (None, "no encoder")


def test_macs_are_averaged_over_seeds_and_memory_is_the_peak(summarise: Summarise) -> None:
    def cost(size: float) -> dict[str, object]:
        return {"macs_cold": {"encode": {"value": size, "basis": "declared"}}, "memory_bytes": {"value": size}}

    (row,) = summarise([finished("all", 0, [1.0], cost=cost(2.0)), finished("all", 1, [1.0], cost=cost(4.0))]).rows

    assert (row.macs_cold["encode"].value, row.macs_cold["encode"].basis) == (3.0, "declared")
    assert row.memory_bytes.value == 4.0


def test_one_noisy_run_makes_the_timing_of_a_row_invalid(summarise: Summarise) -> None:
    good = {"latency_ms": {"p50": 1.0, "p90": 2.0, "n": 10, "valid": True}}
    noisy = {"latency_ms": {"p50": 3.0, "p90": 9.0, "n": 10, "valid": False, "reason": "drift of 30 %"}}

    (row,) = summarise([finished("all", 0, [1.0], cost=good), finished("all", 1, [1.0], cost=noisy)]).rows

    assert (row.latency.p50_ms, row.latency.n, row.latency.valid) == (2.0, 20, False)
    assert row.latency.reason == "drift of 30 %"


def test_a_timing_shared_by_all_seeds_is_counted_once(summarise: Summarise) -> None:
    once = {"latency_ms": {"p50": 1.0, "p90": 2.0, "n": 10, "valid": True}}

    (row,) = summarise([finished("all", seed, [1.0], cost=once) for seed in (0, 1, 2)]).rows

    assert (row.latency.p50_ms, row.latency.n, row.latency.valid) == (1.0, 10, True)


def test_a_run_without_scores_is_listed_as_failed(sweep: SweepSummary) -> None:
    assert [(entry.trimmer, entry.reason) for entry in sweep.failed] == [("oracle", "loss is NaN at epoch 3")]


def test_a_cell_without_a_run_is_listed_as_missing(sweep: SweepSummary) -> None:
    assert [(entry.backbone, entry.trimmer) for entry in sweep.missing] == [("qd_detr", "random")]


def test_an_invalid_run_makes_its_row_invalid(sweep: SweepSummary) -> None:
    row = row_of(sweep, "vslnet", "uniform_25")

    assert (row.status, row.reasons) == ("INVALID", ("features cover 98 % of the videos",))


def test_stamps_are_gathered_once(sweep: SweepSummary) -> None:
    assert sweep.stamps == ("SIMULATED FEATURES: numbers say nothing about real video",)


def test_rows_follow_the_order_of_the_expected_cells(summarise: Summarise) -> None:
    runs = [finished("t", 0, [1.0]), finished("all", 0, [1.0])]

    sweep = summarise(runs, [runs[1].record["cell"], runs[0].record["cell"]])

    assert [row.trimmer for row in sweep.rows] == ["all", "t"]


def test_a_data_set_is_described_by_its_counts(sweep: SweepSummary) -> None:
    (entry,) = sweep.datasets

    assert (entry.n_queries, entry.n_videos, entry.queries_per_video) == (240, 60, 4.0)


def test_arms_that_read_labels_are_marked(sweep: SweepSummary) -> None:
    assert {row.trimmer for row in sweep.rows if row.reads_labels} == {"oracle_25"}


def test_an_unknown_kind_of_number_is_not_taken_for_zero(summarise: Summarise) -> None:
    (row,) = summarise([finished("all", 0, [1.0])]).rows

    assert row.kept_clips.value is None
    assert row.latency.p50_ms is None
    assert row.memory_bytes.reason == "not recorded"
    assert row.macs_cold == {}
