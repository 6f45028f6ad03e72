"""What the record says was kept and lost, on a tiny sweep that ran: against what is known of its arms."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from vmrbench.engine import cell_jobs
from vmrbench.engine.identity_keys import run_key
from vmrbench.engine.splits import split_of
from vmrbench.engine.stages import SHUFFLED_QUERIES
from vmrbench.engine.sweep import plan_sweep, report_sweep
from vmrbench.store import read_record

# Nothing of the base model matters here; the arms are trained on one short epoch.
QUICK = ("train.base_epochs=0", "cost.latency_samples=0", "datasets.tiny.options.videos_train=2")


def cell_folder(sweep: Any, arm: str) -> Path:
    folder: Path = sweep.store.path("cells", run_key(sweep.cells[arm]))
    return folder


@pytest.fixture(scope="module")
def finished(make_sweep: Callable[..., Any]) -> Any:
    """The arms whose selection is known beforehand, and one that learns, almost untrained."""
    sweep = make_sweep("all", "zero", "uniform", "spotvmr", sets=QUICK)
    assert dict(sweep.run().failed) == {}
    return sweep


@pytest.fixture(scope="module")
def records(finished: Any) -> dict[str, dict[str, Any]]:
    return {arm: read_record(cell_folder(finished, arm) / "record.json") for arm in finished.cells}


def test_hits_and_both_kinds_of_failure_are_all_queries(records: dict[str, dict[str, Any]]) -> None:
    for record in records.values():
        for metric, failed in record["diagnostics"]["failures"].items():
            assert record["scores"][metric]["value"] + failed["trimmed_away"] + failed["missed"] == pytest.approx(100)


def test_an_arm_that_keeps_everything_can_reach_everything_and_trims_nothing_away(
    records: dict[str, dict[str, Any]],
) -> None:
    found = records["all"]["diagnostics"]

    assert set(found["ceilings"].values()) == {100.0}
    assert {entry["trimmed_away"] for entry in found["failures"].values()} == {0.0}


def test_an_arm_that_keeps_nothing_reaches_nothing(records: dict[str, dict[str, Any]]) -> None:
    found = records["zero"]["diagnostics"]

    assert set(found["ceilings"].values()) == {0.0}
    assert {entry["missed"] for entry in found["failures"].values()} == {0.0}
    assert found["kept_ratio_histogram"][0] == 1.0
    assert found["shuffled_selection"]["same_clips_mean"] is None
    assert found["shuffled_selection"]["reason"] == "no query keeps a clip"


def test_a_prediction_inside_the_kept_clips_is_no_better_than_the_ceiling(finished: Any) -> None:
    sweep, found = finished, pd.read_parquet(cell_folder(finished, "uniform") / "per_query.parquet")
    queries = pd.read_parquet(sweep.folder("predict", "uniform") / "queries.parquet")
    split = split_of(sweep.cells["uniform"], "test")

    for place in range(len(split)):
        sample, kept = split[place], queries["kept"][place]
        (truth,) = sample.annotation.moments
        starts, ends = sample.clip_start.numpy()[kept], sample.clip_end.numpy()[kept]
        for a in starts:
            for b in ends[ends > a]:
                overlap = max(0.0, min(b, truth[1]) - max(a, truth[0]))
                assert overlap / (b - a + truth[1] - truth[0] - overlap) <= found["reach_iou"][place] + 1e-6


def test_a_selection_that_reads_no_query_is_the_same_with_another(records: dict[str, dict[str, Any]]) -> None:
    for arm in ("all", "uniform"):
        found = records[arm]["diagnostics"]
        assert found["shuffled_selection"]["same_clips_mean"] == 1.0
        assert found["shuffled_selection"]["moment_kept_mean"] == pytest.approx(found["moment_kept_mean"])


def test_a_selection_that_reads_the_query_changes_with_it(records: dict[str, dict[str, Any]]) -> None:
    assert records["spotvmr"]["diagnostics"]["shuffled_selection"]["same_clips_mean"] < 1.0


def test_the_curve_over_queries_starts_cold_and_ends_amortised(records: dict[str, dict[str, Any]]) -> None:
    # Every video has two queries.
    for record in records.values():
        curve = record["cost"]["by_queries"]
        ends = [
            sum(stage["value"] for stage in record["cost"][name].values() if stage["value"] is not None)
            for name in ("macs_cold", "macs_amortised")
        ]
        assert curve["videos"] == [6, 6]
        assert curve["macs"] == pytest.approx(ends)
        assert curve["index_macs"][1] == pytest.approx(curve["index_macs"][0] / 2)


def test_the_report_shows_what_was_kept_and_links_its_figures(finished: Any) -> None:
    report_sweep(finished.config, finished.catalog)
    text = finished.config.report.read_text()
    figures = finished.config.report.parent / "figures"

    assert "#### What was kept, what was lost" in text
    assert "### Cost by queries per video" in text
    for name in ("bench_tiny_selection.svg", "bench_tiny_queries.svg"):
        assert f"(figures/{name})" in text
        assert (figures / name).is_file()


@pytest.fixture
def earlier(finished: Any, make_sweep: Callable[..., Any], tmp_path: Path) -> Any:
    """A copy of the finished sweep whose records and predictions are as an earlier version wrote them."""
    sweep = make_sweep("all", "uniform", sets=QUICK, folder=tmp_path)
    shutil.copytree(finished.config.store, sweep.config.store)
    for arm in sweep.cells:
        path = cell_folder(sweep, arm) / "record.json"
        record = json.loads(path.read_text())
        for name in ("ceilings", "failures", "shuffled_selection", "kept_ratio_histogram", "kept_ratio_quantiles"):
            del record["diagnostics"][name]
        del record["cost"]["by_queries"]
        path.write_text(json.dumps({**record, "format": 1}))
        (sweep.folder("predict", arm) / SHUFFLED_QUERIES).unlink()
    return sweep


def test_a_record_of_an_earlier_format_makes_a_report_and_is_then_completed_without_training(
    earlier: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: Any, **named: Any) -> None:
        raise AssertionError("trained again")

    report_sweep(earlier.config, earlier.catalog)
    before = earlier.config.report.read_text()
    plan = plan_sweep(earlier.config, earlier.catalog)
    monkeypatch.setattr(cell_jobs, "make_train", fail)
    monkeypatch.setattr(cell_jobs, "make_base", fail)
    again = earlier.run()

    assert "the run is of an earlier format; `vmrbench run` adds it (every row)" in before
    assert {row.runs for row in plan} == {True}
    assert "earlier format" in plan[0].reason
    assert dict(again.failed) == {}
    assert read_record(cell_folder(earlier, "uniform") / "record.json")["diagnostics"]["ceilings"]
    assert "earlier format" not in earlier.config.report.read_text()
    assert {row.runs for row in plan_sweep(earlier.config, earlier.catalog)} == {False}


def test_a_record_of_an_earlier_format_stays_where_the_weights_are_gone(earlier: Any) -> None:
    shutil.rmtree(earlier.config.store / "train")

    context = cell_jobs.Context(config=earlier.config, store=earlier.store, machine="any machine")

    assert all(context.is_done(cell) for cell in earlier.cells.values())


def test_columns_of_the_selection_are_shares(finished: Any) -> None:
    found = pd.read_parquet(cell_folder(finished, "spotvmr") / "per_query.parquet")

    for name in ("moment_kept", "moment_kept_shuffled", "reach_iou"):
        assert np.all((found[name] >= 0) & (found[name] <= 1 + 1e-6))
