"""One model for any keep ratio, from the sweep file to stored predictions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from vmrbench.catalog import Catalog
from vmrbench.config import TrainConfig, load_config
from vmrbench.engine.identity_keys import latency_key
from vmrbench.engine.predict import predict_split
from vmrbench.engine.runner import _Watch
from vmrbench.engine.splits import split_of
from vmrbench.engine.stages import new_arm, read_queries, untrimmed_arm
from vmrbench.engine.train import Stage, TrainLog, train
from vmrbench.engine.train_ratios import drawn_ratio
from vmrbench.errors import ConfigError, PluginError
from vmrbench.protocol.published import get_protocol
from vmrbench.score.per_query import score_predictions
from vmrbench.trim.ratio import set_ratio

RATIOS = (0.5, 0.25, 0.1)
MakeSweep = Callable[..., Any]


def drawing(arm: str, ratio: float | None = None, ratios: tuple[float, ...] = RATIOS) -> tuple[str, ...]:
    """Values to set: the arm is trained for `ratios`, and tested at `ratio`."""
    tested = () if ratio is None else (f"trimmers.{arm}.options.keep_ratio={ratio}",)
    return (f"trimmers.{arm}.train_ratios={list(ratios)}", *tested)


def trained(cell: Any, folder: Path, epochs: int = 2) -> tuple[TrainLog, Any]:
    """One stage of training, with the untrimmed arm as it is initialised for a teacher."""
    folder.mkdir(exist_ok=True)
    stage = Stage(
        name="train",
        epochs=epochs,
        seed=cell.seed,
        settings=TrainConfig(batch_size=8, select_by="mIoU"),
        device=torch.device("cpu"),
        precision="fp32",
        folder=folder,
        teacher=untrimmed_arm(cell).eval(),
    )
    arm = new_arm(cell)
    return train(arm, split_of(cell, "train"), split_of(cell, "val"), stage), arm


def test_a_ratio_is_drawn_from_seed_epoch_and_batch_alone() -> None:
    places = [(seed, epoch, step) for seed in range(2) for epoch in range(30) for step in range(50)]
    before = torch.get_rng_state()

    first = [drawn_ratio(RATIOS, *place) for place in places]
    torch.rand(3)
    backwards = [drawn_ratio(RATIOS, *place) for place in reversed(places)]

    torch.set_rng_state(before)
    assert first == backwards[::-1]
    # 3,000 draws, a third each: five standard deviations are 129.
    assert all(abs(Counter(first)[ratio] - 1000) < 129 for ratio in RATIOS)
    by_step = [tuple(first[start : start + 50]) for start in range(0, len(first), 50)]
    assert len(set(by_step)) == 60


def test_drawing_a_ratio_takes_nothing_from_torch() -> None:
    before = torch.get_rng_state()

    drawn_ratio(RATIOS, 0, 1, 2)

    assert torch.get_rng_state().equal(before)


def test_every_batch_keeps_what_its_ratio_allows(
    make_sweep: MakeSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = make_sweep("uniform", sets=drawing("uniform")).cells["uniform"]
    seen: list[tuple[list[int], list[int]]] = []
    module = type(new_arm(cell).trimmer)
    select = module.select

    def watched(self: Any, batch: Any, access: Any) -> Any:
        decision = select(self, batch, access)
        if self.training:
            seen.append((batch.lengths.tolist(), decision.keep.sum(1).tolist()))
        return decision

    monkeypatch.setattr(module, "select", watched)
    trained(cell, tmp_path / "stage", epochs=3)

    # 16 queries are two batches an epoch.
    assert len(seen) == 6
    drawn = [drawn_ratio(RATIOS, cell.seed, epoch, step) for epoch in range(3) for step in range(2)]
    assert len(set(drawn)) > 1
    for (lengths, kept), ratio in zip(seen, drawn, strict=True):
        assert kept == [max(1, int(ratio * clips + 1e-9)) for clips in lengths]


@pytest.mark.slow
@pytest.mark.parametrize("arm", ["uniform", "random", "supervised", "exact"])
def test_weights_do_not_depend_on_the_ratio_of_the_test(make_sweep: MakeSweep, tmp_path: Path, arm: str) -> None:
    cells = [make_sweep(arm, sets=drawing(arm, ratio)).cells[arm] for ratio in (0.5, 0.1)]

    (first_log, first), (second_log, second) = (
        trained(cell, tmp_path / str(place)) for place, cell in enumerate(cells)
    )

    assert first_log == second_log
    weights = second.state_dict()
    assert [name for name, value in first.state_dict().items() if not torch.equal(value, weights[name])] == []
    assert (first.trimmer.options.keep_ratio, second.trimmer.options.keep_ratio) == (0.5, 0.1)


@pytest.mark.slow
# A hook of the engine, and the number of finished steps, of which an epoch has two.
@pytest.mark.parametrize(
    ("hook", "steps"), [("before_train_epoch", 4), ("before_train_iter", 3), ("after_val_epoch", 4)]
)
def test_a_resumed_stage_draws_the_ratios_of_a_straight_one(
    make_sweep: MakeSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hook: str, steps: int
) -> None:
    cell = make_sweep("supervised", sets=drawing("supervised")).cells["supervised"]
    expected_log, expected = trained(cell, tmp_path / "straight", epochs=4)
    undisturbed = getattr(_Watch, hook)

    def interrupt(self: Any, runner: Any, *given: Any, **named: Any) -> None:
        if runner.iter == steps:
            raise KeyboardInterrupt
        undisturbed(self, runner, *given, **named)

    with monkeypatch.context() as broken:
        broken.setattr(_Watch, hook, interrupt)
        with pytest.raises(KeyboardInterrupt):
            trained(cell, tmp_path / "first", epochs=4)
    log, arm = trained(cell, tmp_path / "first", epochs=4)

    assert log == expected_log
    weights = arm.state_dict()
    assert [name for name, value in expected.state_dict().items() if not torch.equal(value, weights[name])] == []


def test_the_epoch_is_chosen_by_the_mean_over_the_ratios(make_sweep: MakeSweep, tmp_path: Path) -> None:
    cell = make_sweep("supervised", sets=drawing("supervised")).cells["supervised"]

    log, arm = trained(cell, tmp_path / "stage", epochs=1)

    split, scores = split_of(cell, "val"), []
    for ratio in RATIOS:
        set_ratio(arm.trimmer, ratio)
        done = predict_split(arm, split, batch_size=3, device=torch.device("cpu"), precision="fp32")
        table = score_predictions(done.predictions, split.annotations, get_protocol("vmrbench-v1"))
        scores.append(float(table["mIoU"].mean()))
    assert len(set(scores)) == 3
    assert log.validation[1] == pytest.approx(sum(scores) / 3, abs=1e-4)


def test_cells_that_differ_in_the_ratio_of_the_test_share_the_training_stage(make_sweep: MakeSweep) -> None:
    def keys(*sets: str) -> Any:
        return make_sweep("supervised", sets=sets).keys("supervised")

    half, tenth = keys(*drawing("supervised", 0.5)), keys(*drawing("supervised", 0.1))
    turned = keys(*drawing("supervised", 0.5, (0.1, 0.5, 0.25, 0.5)))
    other = keys(*drawing("supervised", 0.5, (0.5, 0.25)))
    own = keys("trimmers.supervised.options.keep_ratio=0.5")
    wider = keys(*drawing("supervised", 0.5), "trimmers.supervised.options.private_width=8")

    assert (half.base, half.train) == (tenth.base, tenth.train) == (turned.base, turned.train)
    assert turned.predict == half.predict != tenth.predict
    assert len({half.train, other.train, own.train, wider.train}) == 4
    assert half.base == own.base
    assert (half.macs, half.memory) == (own.macs, own.memory)
    assert half.macs != tenth.macs


def test_a_model_of_one_ratio_is_known_by_what_it_was_known_by(make_sweep: MakeSweep) -> None:
    sweep = make_sweep("uniform")
    cell = sweep.cells["uniform"]

    assert set(cell.identity()["trimmer"]) == {"name", "revision", "options", "fill"}
    assert cell.identity()["trimmer"]["options"] == {"keep_ratio": 0.5}


def test_a_latency_session_is_made_again_for_another_ratio_of_the_test(make_sweep: MakeSweep) -> None:
    half, tenth = (make_sweep("uniform", sets=drawing("uniform", ratio)).cells["uniform"] for ratio in (0.5, 0.1))

    assert latency_key([half], "m") != latency_key([tenth], "m")


@pytest.mark.slow
def test_a_sweep_over_ratios_trains_once_and_predicts_for_each(make_sweep: MakeSweep, tmp_path: Path) -> None:
    sweep = make_sweep("supervised", folder=tmp_path)
    path = tmp_path / "sweep.yaml"
    text = path.read_text().partition("trimmers:\n")[0] + "trimmers:\n"
    for ratio in RATIOS:
        options = f"{{keep_ratio: {ratio}, private_width: 16}}"
        named = f"id: any_{100 * ratio:.0f}, name: supervised_topk"
        text += f"  - {{{named}, train_ratios: [0.5, 0.25, 0.1], options: {options}}}\n"
    path.write_text(text)
    config = load_config(path)
    cells = {cell.trimmer.id: cell for cell in config.resolve(sweep.catalog)}
    sweep = replace(sweep, config=config, cells=cells)

    assert dict(sweep.run().failed) == {}

    store = sweep.store
    assert {stage: len(store.keys(stage)) for stage in ("base", "train", "predict", "cells")} == {
        "base": 1,
        "train": 1,
        "predict": 3,
        "cells": 3,
    }
    for ratio, name in zip(RATIOS, cells, strict=True):
        queries = read_queries(sweep.folder("predict", name))
        assert queries["kept_clips"].tolist() == [max(1, int(ratio * clips + 1e-9)) for clips in queries["clips"]]
        assert sweep.record(name)["cell"]["trimmer"]["train_ratios"] == [0.5, 0.25, 0.1]
    report = config.report.read_text()
    assert "applied as fill, concat_zero, trained for keep 0.5 / 0.25 / 0.1: `moment_detr` / `any_50`" in report


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("name: all", "trimmer 'all' has no keep_ratio; leave 'train_ratios' out"),
        ("name: spotvmr", "its draws know no budget, only the penalty for missing one"),
        ("name: lite_eval", "its gate knows no budget"),
        ("name: spotvmr, preset: exact, options: {selection: threshold}", "'threshold' does not look at keep_ratio"),
    ],
)
def test_a_trimmer_whose_model_serves_one_ratio_is_refused(
    offers: Catalog, tmp_path: Path, entry: str, why: str
) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(
        "datasets: [{name: simulated}]\nbackbones: [{name: moment_detr}]\n"
        f"trimmers:\n  - {{{entry}, train_ratios: [0.5, 0.25]}}\n"
    )

    with pytest.raises(ConfigError, match=rf"sweep.yaml:4: trimmers\[0\].train_ratios: .*{why}"):
        load_config(path).resolve(offers)


@pytest.mark.parametrize("ratios", ["[]", "[0.0, 0.5]", "[1.5]", "0.5", "['0.5']"])
def test_ratios_are_shares_above_nothing(tmp_path: Path, ratios: str) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(
        "datasets: [{name: simulated}]\nbackbones: [{name: moment_detr}]\n"
        f"trimmers:\n  - {{name: uniform, train_ratios: {ratios}}}\n"
    )

    with pytest.raises(ConfigError, match="train_ratios"):
        load_config(path)


def test_a_module_that_hides_its_ratio_is_named() -> None:
    with pytest.raises(PluginError, match="trimmer module 'Identity' has no attribute 'options' with a keep_ratio"):
        set_ratio(nn.Identity(), 0.5)
