"""A budget that follows the query, from the sweep file to the report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vmrbench.catalog import Catalog
from vmrbench.config import load_config
from vmrbench.cost.memory import Memory
from vmrbench.data.collate import collate
from vmrbench.engine import stages
from vmrbench.engine.adaptive_budget import CALIBRATION, calibrate, use_threshold
from vmrbench.engine.identity_keys import latency_key
from vmrbench.engine.predict import predict_split
from vmrbench.engine.splits import needed_splits, split_of
from vmrbench.engine.stages import new_arm, predicting_arm, read_queries, trained_arm
from vmrbench.errors import ConfigError, PluginError
from vmrbench.store import read_json

CPU = torch.device("cpu")
MEMORY = Memory(value=9, absolute=10, batch=1, clips=1, basis="resident")
MakeSweep = Callable[..., Any]


def adaptive(arm: str, ratio: float = 0.5) -> tuple[str, ...]:
    return (f"trimmers.{arm}.adaptive_budget=true", f"trimmers.{arm}.options.keep_ratio={ratio}")


def batch_of(split: Any) -> Any:
    return collate([split[place] for place in range(len(split))])


@pytest.mark.parametrize("arm", ["supervised", "exact", "spotvmr", "spans"])
@pytest.mark.parametrize("ratio", [0.5, 0.25])
def test_the_calibration_split_keeps_the_budget_on_average(make_sweep: MakeSweep, arm: str, ratio: float) -> None:
    cell = make_sweep(arm, sets=adaptive(arm, ratio)).cells[arm]
    model, split = new_arm(cell), split_of(cell, "val")

    found = calibrate(model, split, ratio, batch_size=3, device=CPU, precision="fp32")
    exact = predict_split(model, split, batch_size=3, device=CPU, precision="fp32").queries
    use_threshold(model, found.threshold)
    varied = predict_split(model, split, batch_size=3, device=CPU, precision="fp32").queries

    clips = exact["clips"]
    assert found.budget_ratio_mean == pytest.approx((exact["kept_clips"] / clips).mean())
    assert found.kept_ratio_mean == pytest.approx((varied["kept_clips"] / clips).mean())
    assert found.kept_clips_mean == pytest.approx(varied["kept_clips"].mean())
    # Summed over queries it is less than one clip of the shortest video below.
    assert 0 <= ((exact["kept_clips"] - varied["kept_clips"]) / clips).sum() < 1 / clips.min() + 1e-9


def test_a_selector_of_several_steps_keeps_what_its_first_preview_asks_for(make_sweep: MakeSweep) -> None:
    cell = make_sweep("exact", sets=("trimmers.exact.options.steps=3",)).cells["exact"]
    arm = new_arm(cell).eval()
    split = split_of(cell, "test")
    blind = arm.select(batch := batch_of(split), arm.access(batch))
    assert blind.logits is not None

    use_threshold(arm, 0.4)
    access = arm.access(batch)
    seeing = arm.select(batch, access)

    for row, clips in enumerate(batch.lengths.tolist()):
        first = blind.logits[row, 0, :clips].double().numpy(force=True)
        wanted = max(1, int(((first - first.mean()) / np.std(first) >= 0.4).sum()))
        assert int(seeing.keep[row].sum()) == wanted
        assert seeing.steps is not None
        assert seeing.steps[row].sum(1).tolist() == [wanted * n // 3 - wanted * (n - 1) // 3 for n in (1, 2, 3)]
    assert not bool((access.reads.bool() & ~seeing.keep).any())


def test_a_threshold_is_not_for_training(make_sweep: MakeSweep) -> None:
    cell = make_sweep("supervised").cells["supervised"]
    arm, batch = new_arm(cell), batch_of(split_of(cell, "train"))
    use_threshold(arm, 3.0)

    training = arm.train().select(batch, arm.access(batch)).keep.sum(1)
    testing = arm.eval().select(batch, arm.access(batch)).keep.sum(1)

    assert training.tolist() == [max(1, clips // 2) for clips in batch.lengths.tolist()]
    assert testing.sum() < training.sum()


def test_the_threshold_does_not_depend_on_what_shares_a_batch(make_sweep: MakeSweep) -> None:
    cell = make_sweep("supervised").cells["supervised"]
    arm, split = new_arm(cell), split_of(cell, "val")

    found = [calibrate(arm, split, 0.5, batch_size=size, device=CPU, precision="fp32") for size in (1, 8)]

    assert found[0].threshold == pytest.approx(found[1].threshold, abs=1e-5)
    assert found[0].kept_clips_mean == found[1].kept_clips_mean


def test_an_adaptive_arm_shares_weights_and_counts_with_the_exact_one(make_sweep: MakeSweep) -> None:
    exact, varied = (make_sweep("supervised", sets=sets) for sets in ((), adaptive("supervised")))
    first, second = exact.keys("supervised"), varied.keys("supervised")
    cells = [sweep.cells["supervised"] for sweep in (exact, varied)]

    assert (first.base, first.train, first.macs, first.memory) == (
        second.base,
        second.train,
        second.macs,
        second.memory,
    )
    assert first.predict != second.predict
    assert "adaptive_budget" not in cells[0].identity()["trimmer"]
    assert cells[1].identity()["trimmer"]["adaptive_budget"] is True
    assert latency_key([cells[0]], "m") != latency_key([cells[1]], "m")


def test_an_adaptive_budget_of_one_model_for_all_ratios_is_calibrated_for_its_own(make_sweep: MakeSweep) -> None:
    ratios = "trimmers.supervised.train_ratios=[0.5, 0.25]"
    half, quarter = (
        make_sweep("supervised", sets=(ratios, *adaptive("supervised", ratio))).keys("supervised")
        for ratio in (0.5, 0.25)
    )

    assert half.train == quarter.train
    assert half.predict != quarter.predict


def test_an_adaptive_cell_reads_the_validation_split_even_where_nothing_is_trained(make_sweep: MakeSweep) -> None:
    untrained = ("train.base_epochs=0", "train.extra_epochs=0")

    exact, varied = (
        make_sweep("supervised", sets=(*untrained, *more)).cells["supervised"] for more in ((), adaptive("supervised"))
    )

    assert needed_splits(exact) == ("test",)
    assert needed_splits(varied) == ("val", "test")


@pytest.fixture(scope="module")
def ran(make_sweep: MakeSweep) -> Any:
    """The exact and the adaptive arm of one trimmer, and an adaptive one that removes rows, in one store."""
    sweep = make_sweep("supervised", "varied", "varied_gathered", sets=("cost.memory=true",))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(stages, "peak_memory", lambda *given, **named: MEMORY)
        assert dict(sweep.run().failed) == {}
    return sweep


def test_a_sweep_calibrates_on_validation_and_says_what_was_kept(ran: Any) -> None:
    cell, folder = ran.cells["varied"], ran.folder("predict", "varied")
    assert ran.folder("train", "varied") == ran.folder("train", "supervised")

    stored = read_json(folder / CALIBRATION)
    arm = trained_arm(cell, ran.store, ran.keys("varied"))
    again = calibrate(arm, split_of(cell, "val"), 0.5, batch_size=4, device=CPU, precision="fp32")

    assert stored["split"] == "val"
    assert stored["queries"] == len(split_of(cell, "val"))
    assert stored["threshold"] == pytest.approx(again.threshold, abs=1e-5)
    record = ran.record("varied")
    assert record["calibration"] == stored
    assert "calibration" not in ran.record("supervised")
    queries = read_queries(folder)
    assert record["diagnostics"]["kept_ratio_mean"] == pytest.approx((queries["kept_clips"] / queries["clips"]).mean())
    exact = read_queries(ran.folder("predict", "supervised"))
    assert exact["clips"].tolist() == queries["clips"].tolist()
    assert exact["kept_clips"].tolist() != queries["kept_clips"].tolist()


def test_what_is_timed_is_what_has_predicted(ran: Any) -> None:
    arm = predicting_arm(ran.cells["varied"], ran.store, ran.keys("varied"))

    done = predict_split(arm, split_of(ran.cells["varied"], "test"), batch_size=1, device=CPU, precision="fp32")

    stored = read_queries(ran.folder("predict", "varied"))
    assert done.queries["kept_clips"].tolist() == stored["kept_clips"].tolist()
    assert all(np.array_equal(a, b) for a, b in zip(done.kept, stored["kept"], strict=True))


def test_only_kept_rows_are_left_where_rows_are_removed_and_memory_is_not_claimed(ran: Any) -> None:
    queries = read_queries(ran.folder("predict", "varied_gathered"))

    assert [rows.tolist() for rows in queries["passes"]] == [[kept] for kept in queries["kept_clips"]]
    assert len(set(queries["kept_clips"] / queries["clips"])) > 2
    memory = ran.record("varied_gathered")["cost"]["memory_bytes"]
    assert memory["value"] is None
    assert "follows the query" in memory["reason"]
    assert ran.record("varied")["cost"]["memory_bytes"]["value"] == 9


def test_the_report_does_not_take_an_adaptive_budget_for_an_exact_one(ran: Any) -> None:
    text = ran.config.report.read_text()
    found, kept = ran.record("varied")["calibration"], ran.record("varied")["diagnostics"]["kept_ratio_mean"]

    rows = [line for line in text.splitlines() if line.startswith("| moment_detr | varied")]
    assert rows
    assert all("varied ≈" in line or "varied_gathered ≈" in line for line in rows)
    assert not any("supervised ≈" in line for line in text.splitlines())
    assert "applied as fill, concat_zero, adaptive budget: `moment_detr` / `varied`" in text
    assert (
        "- ≈ `moment_detr` / `varied`: the number of clips follows the query. Declared mean: 50 % of a video's clips, "
        f"{100 * found['budget_ratio_mean']:.1f} % in whole clips on `val`; the threshold chosen there (by seed: "
        f"{found['threshold']:.3f}) keeps {100 * found['kept_ratio_mean']:.1f} % of them, and {100 * kept:.1f} % here"
    ) in text
    assert "paired by query. With an adaptive budget (≈) it is the same on average." in text
    assert f"varied ≈ (kept {100 * kept:.1f} %)" in text.partition("### At the same budget")[2].partition("###")[0]


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("name: uniform", "trimmer 'uniform' keeps the same share for every query: it has no scores"),
        ("name: none", "it has no scores"),
        ("name: spotvmr, options: {selection: stochastic}", "'stochastic' does not look at keep_ratio at test"),
        ("name: supervised_topk, options: {keep_ratio: 1.0}", "nothing can vary at keep_ratio 1; expected one between"),
    ],
)
def test_a_budget_that_cannot_vary_is_refused(offers: Catalog, tmp_path: Path, entry: str, why: str) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(
        "datasets: [{name: simulated}]\nbackbones: [{name: moment_detr}]\n"
        f"trimmers:\n  - {{{entry}, adaptive_budget: true}}\n"
    )

    with pytest.raises(ConfigError, match=rf"sweep.yaml:4: trimmers\[0\].adaptive_budget: .*{why}"):
        load_config(path).resolve(offers)


def test_a_module_that_cannot_adapt_is_named(make_sweep: MakeSweep) -> None:
    arm = new_arm(make_sweep("uniform").cells["uniform"])

    with pytest.raises(PluginError, match="trimmer module 'Uniform' has no attribute 'threshold'"):
        use_threshold(arm, 0.5)
