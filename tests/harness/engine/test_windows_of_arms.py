"""Arms that cut windows, on a tiny sweep that has run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from vmrbench.engine.identity_keys import run_key
from vmrbench.engine.record import RECORD
from vmrbench.engine.splits import Subset, split_of, with_finer
from vmrbench.engine.stages import MACS, PREDICTIONS, read_queries
from vmrbench.errors import DataError, UserError
from vmrbench.score.submission import read_predictions
from vmrbench.store import read_json

# Few queries, each counted at its own shape.
SETS = ("cost.macs_shapes=null", "cost.latency_samples=0", "datasets.tiny.options.videos_test=4")
ARMS = ("oracle_window", "two_windows")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cut(make_sweep: Callable[..., Any]) -> Any:
    sweep = make_sweep("all", *ARMS, sets=SETS)
    assert dict(sweep.run().failed) == {}
    return sweep


@pytest.mark.parametrize("arm", ARMS)
def test_every_expensive_row_counts_and_the_budget_is_kept(cut: Any, arm: str) -> None:
    queries = read_queries(cut.folder("predict", arm))
    budget = [max(1, clips // 2) for clips in queries["clips"]]

    read = [len(kept) + len(finer) for kept, finer in zip(queries["kept"], queries["finer_kept"], strict=True)]

    assert read == queries["kept_clips"].tolist()
    assert all(1 <= count <= most for count, most in zip(read, budget, strict=True))
    assert max(read) > 1
    if arm == "oracle_window":
        assert read == budget
        assert not any(len(kept) for kept in queries["kept"])


def test_what_a_selector_reads_itself_comes_off_the_budget(cut: Any) -> None:
    queries = read_queries(cut.folder("predict", "two_windows"))

    # Two steps: half of K is read by the second preview, rounded down.
    assert [len(kept) for kept in queries["kept"]] == [max(1, clips // 2) // 2 for clips in queries["clips"]]


@pytest.mark.parametrize("arm", ARMS)
def test_the_curve_over_queries_starts_cold_and_counts_finer_clips(cut: Any, arm: str) -> None:
    record = read_json(cut.store.path("cells", run_key(cut.cells[arm])) / RECORD)

    cold = sum(stage["value"] for stage in record["cost"]["macs_cold"].values() if stage["value"] is not None)
    assert record["cost"]["by_queries"]["macs"][0] == pytest.approx(cold)


@pytest.mark.parametrize("arm", ARMS)
def test_diagnostics_are_of_the_finer_clips(cut: Any, arm: str) -> None:
    folder = cut.store.path("cells", run_key(cut.cells[arm]))
    queries, reach = (
        read_queries(cut.folder("predict", arm)),
        pd.read_parquet(folder / "per_query.parquet")["reach_iou"],
    )
    split = split_of(cut.cells[arm], "test", finer=cut.cells[arm].trimmer.finer)

    for place, kept in enumerate(queries["finer_kept"]):
        finer, (truth,) = split[place].finer, split[place].annotation.moments
        starts, ends = finer.clip_start.numpy()[kept].tolist(), finer.clip_end.numpy()[kept].tolist()
        windows = [(a, b) for a in starts for b in ends if b > a]
        overlaps = [max(0.0, min(b, truth[1]) - max(a, truth[0])) for a, b in windows]
        ious = [o / (b - a + truth[1] - truth[0] - o) for (a, b), o in zip(windows, overlaps, strict=True)]
        # Borders of clips are among the ends within reach; only an end of the moment itself may lie nearer.
        assert max(ious) <= reach[place] + 1e-6

    strips = read_json(folder / RECORD)["diagnostics"]["strips"]
    assert strips
    for place, kept in enumerate(queries["finer_kept"]):
        sample, finer = split[place], split[place].finer
        middle = ((finer.clip_start + finer.clip_end) / 2).numpy()
        read = np.isin(np.arange(len(middle)), kept)
        spans = zip(sample.clip_start.tolist(), sample.clip_end.tolist(), strict=True)
        shares = [read[(a <= middle) & (middle < b)].mean() for a, b in spans]
        if (name := sample.annotation.sample_id) in strips:
            assert strips[name]["kept"] == "".join(str(round(9 * share)) for share in shares)


@pytest.mark.parametrize("arm", ARMS)
def test_passes_of_the_backbone_read_the_rows_of_their_windows(cut: Any, arm: str) -> None:
    queries = read_queries(cut.folder("predict", arm))

    for passes, finer in zip(queries["passes"], queries["finer_kept"], strict=True):
        assert len(passes) == (1 if arm == "oracle_window" else 2)
        # A window that could not be placed is one row that nothing was read for.
        assert len(finer) <= sum(passes) <= len(finer) + 1


def test_every_window_is_charged_a_pass_of_the_backbone(cut: Any) -> None:
    queries = read_queries(cut.folder("predict", "two_windows"))
    seen = read_json(cut.store.path("cost", cut.keys("two_windows").macs) / MACS)["seen"]
    macs = {(shape["clips"], shape["tokens"]): shape["macs"] for shape in seen}

    pairs = list(zip(queries["passes"], queries["query_tokens"], strict=True))
    expected = np.mean([sum(macs[int(rows), int(words)] for rows in passes) for passes, words in pairs])

    cost = cut.record("two_windows")["cost"]["macs_cold"]
    assert cost["backbone"]["value"] == pytest.approx(expected)


@pytest.mark.parametrize("arm", ARMS)
def test_a_finer_row_costs_a_pass_of_the_encoder(cut: Any, arm: str) -> None:
    records = {name: cut.record(name) for name in ("all", arm)}
    kept = {name: record["diagnostics"]["kept_clips_mean"] for name, record in records.items()}
    cost = {name: record["cost"]["macs_cold"]["encode"]["value"] for name, record in records.items()}

    assert cost[arm] / kept[arm] == pytest.approx(cost["all"] / kept["all"])


def test_the_oracle_sees_as_much_of_the_moment_as_a_window_can_hold(cut: Any) -> None:
    queries = read_queries(cut.folder("predict", "oracle_window"))
    annotations = split_of(cut.cells["oracle_window"], "test").annotations

    for kept, size, annotation in zip(queries["moment_kept"], queries["kept_clips"], annotations, strict=True):
        start, end = annotation.moments[0]
        assert kept == pytest.approx(min(1.0, size * 10.0 / (end - start)), abs=0.35)
    assert queries["moment_kept"].mean() > 0.8


@pytest.mark.parametrize("arm", ARMS)
def test_merged_predictions_lie_inside_their_video_and_every_query_has_one(cut: Any, arm: str) -> None:
    durations = {a.sample_id: a.duration for a in split_of(cut.cells[arm], "test").annotations}

    found = read_predictions(cut.folder("predict", arm) / PREDICTIONS)

    assert all(0 <= s < e <= durations[p.sample_id] + 1e-6 for p in found for s, e, _ in p.moments)
    assert all(p.moments for p in found)


def test_windows_start_from_the_base_of_the_other_arms_of_their_input(cut: Any) -> None:
    assert len({cut.keys(arm).base for arm in ("all", *ARMS)}) == 1


def test_a_clip_is_not_read_by_the_selector_and_by_a_window(make_sweep: Callable[..., Any]) -> None:
    sweep = make_sweep("two_windows", sets=(*SETS, "train.extra_epochs=0", "trimmers.two_windows.windows.finer=1"))

    with pytest.raises(UserError, match="finer: 1: windows are cut from clips that the trimmer has read"):
        sweep.run()


def test_a_split_without_finer_clips_is_told_and_its_own_clips_are_those_of_factor_1(cut: Any) -> None:
    split = Subset(split_of(cut.cells["all"], "test"), [3])

    with pytest.raises(DataError, match="data set 'x' offers no features at a finer stride"):
        with_finer(split, 2, "data set 'x'")
    sample = with_finer(split, 1, "data set 'x'")[0]

    assert sample.finer is not None
    assert sample.finer.clips is sample.clips
    assert sample.finer.mask.all()


def test_finer_clips_that_cannot_be_had_are_told_before_anything_is_trained(
    make_sweep: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: object) -> None:
        raise DataError("no rows of 10 s")

    sweep = make_sweep("oracle_window")
    monkeypatch.setattr(type(sweep.cells["oracle_window"].dataset.built.split("test")), "finer", refuse)

    with pytest.raises(DataError, match="no rows of 10 s"):
        sweep.run()

    assert list(sweep.store.keys("base")) == []
