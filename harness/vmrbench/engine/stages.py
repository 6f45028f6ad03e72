"""The stages of one cell: base model, arm, predictions, cost. Each fills a folder of the store."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import torch

from vmrbench.config.cells import Cell
from vmrbench.cost.memory import peak_memory
from vmrbench.data.collate import collate
from vmrbench.engine.adaptive_budget import make_calibration, read_calibration, use_threshold
from vmrbench.engine.arm import Arm, WholeVideo
from vmrbench.engine.build import build_arm
from vmrbench.engine.closed_form import fit_closed_form
from vmrbench.engine.compiling import compiled
from vmrbench.engine.costing import count_arm, count_backbone, count_shapes, longest, run_once, seen_shapes
from vmrbench.engine.device import resolve_device
from vmrbench.engine.frozen import learns
from vmrbench.engine.given_weights import load_given
from vmrbench.engine.identity_keys import StageKeys
from vmrbench.engine.predict import SplitPredictions, predict_split
from vmrbench.engine.probes import ShuffledQueries
from vmrbench.engine.sample_strips import SAMPLE_SCORES, write_sample_scores
from vmrbench.engine.selector_training import can_learn_alone, train_selector
from vmrbench.engine.splits import REPORTED, SELECTION, split_of
from vmrbench.engine.train import Stage, TrainLog, train
from vmrbench.engine.weights import load_weights, save_weights, start_from
from vmrbench.launch.jobs import say_stage
from vmrbench.protocol.published import get_protocol
from vmrbench.protocols import LearnsFromAnnotations, Split
from vmrbench.score.per_query import score_predictions
from vmrbench.score.submission import write_predictions
from vmrbench.store import Store, read_json, write_json

WEIGHTS, LOG, PREDICTIONS, QUERIES, SHUFFLED = (
    "weights.safetensors",
    "train.json",
    "predictions.jsonl",
    "queries.parquet",
    "shuffled.json",
)
SHUFFLED_QUERIES = "shuffled_queries.parquet"
MACS, COMPILED = "macs.json", "compiled.json"
SELECTOR_WORK = "selector_work"


def new_arm(cell: Cell) -> Arm:
    """The arm of a cell, untrained."""
    return _build(cell, freeze_backbone=cell.trimmer.freeze_backbone)


def _build(cell: Cell, *, freeze_backbone: bool) -> Arm:
    backbone, trimmer = cell.backbone, cell.trimmer
    return build_arm(
        cell.dataset.built.facts,
        (backbone.offer.spec, backbone.options),
        (trimmer.offer.spec, trimmer.options),
        trimmer.fill or "concat_zero",
        cell.seed,
        apply=trimmer.apply,
        windows=trimmer.windows,
        freeze_backbone=freeze_backbone,
        train_ratios=trimmer.train_ratios,
    )


def untrimmed_arm(cell: Cell) -> Arm:
    """The same backbone and fill with every clip kept, untrained: what is trained first."""
    arm = _build(cell, freeze_backbone=False)
    return Arm(
        WholeVideo(),
        arm.fill,
        arm.backbone,
        index_channels=arm.index_channels,
        reads_features=arm.reads_features,
    )


def trained_arm(cell: Cell, store: Store, keys: StageKeys) -> Arm:
    """The arm of a cell with its trained weights, in evaluation mode."""
    arm = new_arm(cell)
    load_weights(arm, store.path("train", keys.train) / WEIGHTS)
    return arm.eval()


def predicting_arm(cell: Cell, store: Store, keys: StageKeys) -> Arm:
    """The trained arm as it has predicted: with an adaptive budget, by the threshold stored beside its predictions."""
    arm = trained_arm(cell, store, keys)
    if cell.trimmer.adaptive_budget:
        use_threshold(arm, read_calibration(store.path("predict", keys.predict))["threshold"])
    return arm


def make_base(cell: Cell, folder: Path, key: str) -> None:
    """Train the untrimmed model for the base epochs, from given weights where there are any."""
    arm = untrimmed_arm(cell)
    load_given(arm.backbone, cell)
    if cell.backbone.offer.spec.learns == "annotations":
        cast(LearnsFromAnnotations, arm.backbone).fit_annotations(split_of(cell, "train").annotations)
    _train(cell, arm.to(resolve_device(cell.device)), folder, name=f"base-{key[:12]}", epochs=cell.train.base_epochs)


def make_train(cell: Cell, store: Store, folder: Path, keys: StageKeys) -> None:
    """Train the arm for the extra epochs, starting from the base model; a learned trimmer has it as its teacher.

    Before that, a trimmer that can learns alone for the selector epochs.
    """
    device = resolve_device(cell.device)
    base = store.path("base", keys.base) / WEIGHTS
    arm = new_arm(cell)
    fresh = start_from(arm, base)
    fit_closed_form(cell, arm)
    teacher, spec = None, cell.trimmer.offer.spec
    if spec.train == "joint" and spec.uses_teacher:
        teacher = untrimmed_arm(cell)
        load_weights(teacher, base)
        teacher.eval().requires_grad_(False).to(device)
    name, before = f"train-{keys.train[:12]}", cell.train.base_epochs
    alone = _train_selector(cell, arm.to(device), folder, f"selector-{keys.train[:12]}", teacher)
    _train(cell, arm, folder, name=name, epochs=cell.train.extra_epochs, before=before, teacher=teacher)
    log = read_json(folder / LOG) | {"selector": alone and asdict(alone), "started_from": keys.base}
    write_json(folder / LOG, {**log, "own_initialisation": list(fresh), **_facts(arm)})


def make_predict(cell: Cell, store: Store, keys: StageKeys, folder: Path) -> None:
    """Predict the reported split, and once more with the queries shuffled across videos.

    An adaptive budget is calibrated before, on the validation split.
    """
    arm, device = trained_arm(cell, store, keys), resolve_device(cell.device)
    if cell.trimmer.adaptive_budget:
        say_stage("calibrate the budget")
        make_calibration(cell, arm, device, folder)
    with compiled([arm]) if cell.compile else nullcontext() as log:
        _predict_twice(cell, arm, device, folder)
    if log is not None:
        write_json(folder / COMPILED, {**asdict(log), "text": str(log)})


def make_backbone_macs(cell: Cell, folder: Path) -> None:
    """Count the backbone's multiply-adds at every real length of the reported split."""
    say_stage("count multiply-adds of the backbone")
    counted = count_backbone(untrimmed_arm(cell), split_of(cell, REPORTED), cell.cost.macs_shapes)
    write_json(folder / MACS, [[clips, tokens, macs] for (clips, tokens), macs in counted.items()])


def make_macs(cell: Cell, backbone_folder: Path, predicted: Path, folder: Path) -> None:
    """Count the multiply-adds of selecting at the same lengths, and put both together.

    Under another mode than `fill` the backbone is counted again, at the rows that it saw.

    Args:
        cell: whose arm is counted.
        backbone_folder: of `make_backbone_macs`; predicted: of `make_predict`; folder: where the counts go.
    """
    say_stage("count multiply-adds")
    backbone = {(clips, tokens): macs for clips, tokens, macs in read_json(backbone_folder / MACS)}
    counted = asdict(count_arm(new_arm(cell), split_of(cell, REPORTED), backbone))
    if cell.trimmer.apply != "fill":
        seen = seen_shapes(read_queries(predicted), cell.cost.macs_shapes)
        at_rows = count_shapes(untrimmed_arm(cell), split_of(cell, REPORTED), seen)
        counted["seen"] = [{"clips": rows, "tokens": words, "macs": macs} for (rows, words), macs in at_rows.items()]
    write_json(folder / MACS, counted)


def make_memory(cell: Cell, folder: Path, probe: tuple[str, dict[str, object]]) -> None:
    """Measure peak memory in a fresh process. probe: path of the function and its keywords, which run the cell."""
    say_stage("measure memory")
    split = split_of(cell, REPORTED)
    clips = len(split[longest(split)].clips)
    memory = peak_memory(probe[0], probe[1], batch=1, clips=clips, device=str(resolve_device(cell.device)))
    write_json(folder / "memory.json", asdict(memory))


def probe_memory(cell: Cell) -> Callable[[], None]:
    """What the fresh process runs: the longest video of the reported split, once, at batch 1, untrained.

    The data is read before the returned call; building the model and running it are inside.
    """
    split = split_of(cell, REPORTED, finer=cell.trimmer.finer)
    batch = collate([split[longest(split)]])
    return lambda: run_once(new_arm(cell), batch, resolve_device(cell.device), cell.precision)


def read_queries(folder: Path) -> pd.DataFrame:
    """The per-query table of a finished `predict` stage.

    `kept` holds positions of kept clips, `passes` the rows of every pass of the backbone.
    """
    return pd.read_parquet(folder / QUERIES)


def predict_changed(cell: Cell, arm: Arm, split: Split, device: torch.device) -> SplitPredictions:
    """Predictions of an arm as its cell makes them, on the reported split or a changed one of as many samples."""
    return predict_split(
        arm,
        split,
        batch_size=cell.train.eval_batch_size,
        device=device,
        precision=cell.precision,
        buckets=cell.train.length_buckets,
        plan=cell.trimmer.plan,
    )


def _predict_twice(cell: Cell, arm: Arm, device: torch.device, folder: Path) -> None:
    split = split_of(cell, REPORTED, finer=arm.finer)
    say_stage("predict")
    done = predict_changed(cell, arm, split, device)
    write_predictions(folder / PREDICTIONS, done.predictions, split.annotations)
    _write_queries(done, folder / QUERIES)
    write_sample_scores(done.scores, split.annotations, folder / SAMPLE_SCORES)
    say_stage("predict with shuffled queries")
    shuffled = predict_changed(cell, arm, ShuffledQueries(split, cell.seed), device)
    protocol = get_protocol(cell.protocol)
    table = score_predictions(shuffled.predictions, split.annotations, protocol)
    write_json(folder / SHUFFLED, {name: float(table[name].mean()) for name in table.select_dtypes("number")})
    _write_queries(shuffled, folder / SHUFFLED_QUERIES)


def _train(
    cell: Cell, arm: Arm, folder: Path, *, name: str, epochs: int, before: int = 0, teacher: Arm | None = None
) -> None:
    work = folder / "work"
    work.mkdir(exist_ok=True)
    if epochs > 0 and learns(arm):
        stage = _stage(cell, work, name, epochs, before, teacher)
        log = asdict(train(arm, *_training_splits(cell, arm), stage))
    else:
        log = {"losses": [], "validation": {}, "selected_by": cell.train.select_by, "selected_epoch": 0}
    digest = save_weights(arm.cpu(), folder / WEIGHTS)
    write_json(folder / LOG, {**log, "weights_sha256": digest})
    for used in (work, folder / SELECTOR_WORK):
        shutil.rmtree(used, ignore_errors=True)


def _train_selector(cell: Cell, arm: Arm, folder: Path, name: str, teacher: Arm | None) -> TrainLog | None:
    """Train the trimmer alone; its folder stays until the arm is trained too, so that a killed run comes back here."""
    if cell.train.selector_epochs == 0 or not can_learn_alone(arm.trimmer):
        return None
    work = folder / SELECTOR_WORK
    work.mkdir(exist_ok=True)
    stage = _stage(cell, work, name, cell.train.selector_epochs, cell.train.base_epochs, teacher)
    return train_selector(arm, *_training_splits(cell, arm), stage)


def _training_splits(cell: Cell, arm: Arm) -> tuple[Split, Split]:
    """What an arm is trained and validated on, with finer clips where it cuts windows from them."""
    return split_of(cell, "train", finer=arm.finer), split_of(cell, SELECTION, finer=arm.finer)


def _stage(cell: Cell, work: Path, name: str, epochs: int, before: int, teacher: Arm | None) -> Stage:
    return Stage(
        name=name,
        epochs=epochs,
        seed=cell.seed,
        settings=cell.train,
        device=resolve_device(cell.device),
        precision=cell.precision,
        folder=work,
        epochs_before=before,
        teacher=teacher,
        progress=lambda done, total: say_stage(f"{name.partition('-')[0]} {done}/{total}"),
    )


def _facts(arm: Arm) -> dict[str, object]:
    shares = getattr(arm.trimmer, "shares_encoder", None)
    return {"parameters": sum(p.numel() for p in arm.parameters()), "shares_encoder": shares}


def _write_queries(done: SplitPredictions, path: Path) -> None:
    kept = pd.Series([positions.astype(np.int32) for positions in done.kept], dtype=object)
    done.queries.assign(kept=kept).to_parquet(path, index=False)
