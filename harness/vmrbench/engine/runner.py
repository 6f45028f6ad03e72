"""One stage of training, driven by mmengine's Runner from built objects only."""

from __future__ import annotations

import io
import logging
import multiprocessing
import uuid
import warnings
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vmrbench.engine.arm import Arm
from vmrbench.engine.device import autocast
from vmrbench.engine.loading import evaluation_batches, evaluation_loader, training_loader
from vmrbench.engine.predict import predictions_of
from vmrbench.engine.train import Stage, TrainLog
from vmrbench.engine.train_ratios import draw_ratio, each_ratio, ratio_restored
from vmrbench.engine.weight_average import WeightAverage
from vmrbench.engine.weight_decay import split_by_decay
from vmrbench.engine.weights import load_weights, save_weights
from vmrbench.protocol.convention import VMRBENCH_V1
from vmrbench.protocols import Scheduled, Split
from vmrbench.score.measures import protocol_metrics
from vmrbench.score.per_query import score_predictions
from vmrbench.store import read_json, write_json
from vmrbench.types import Annotation, Batch, Prediction

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # mmengine 0.10 uses deprecated parts of setuptools and torch at import
    from mmengine.evaluator import BaseMetric, Evaluator
    from mmengine.hooks import CheckpointHook, Hook, ParamSchedulerHook
    from mmengine.optim import AmpOptimWrapper, CosineAnnealingLR, LinearLR, MultiStepLR, OptimWrapper
    from mmengine.runner import Runner

LOG = logging.getLogger(__name__)
BEST = "best.safetensors"
# The rate at the start of the warm-up and at the end of a falling schedule, and after a step, as shares of the whole.
FLOOR, DROP = 1e-2, 0.1


def run_stage(arm: Arm, train_split: Split, val_split: Split, stage: Stage) -> TrainLog:
    """See `train`."""
    watch = _Watch(stage)
    runner = _runner(arm, train_split, val_split, stage, watch)
    with warnings.catch_warnings(), ratio_restored(arm):
        warnings.simplefilter("ignore")  # of mmengine and of torch's schedulers, none of which a user can mend
        runner.train()
    for handler in runner.logger.handlers:
        handler.close()  # mmengine keeps the log file of every Runner open until the process ends
    load_weights(arm, stage.folder / BEST)
    return TrainLog(
        losses=tuple(watch.losses),
        validation=dict(watch.validation),
        selected_by=stage.settings.select_by,
        selected_epoch=watch.best_epoch,
    )


class _Trainee(nn.Module):
    """What the Runner drives. The teacher is kept out of the module tree: it is not trained and not saved."""

    def __init__(self, arm: Arm, stage: Stage) -> None:
        super().__init__()
        self.arm = arm
        self._stage, self._teacher = stage, [stage.teacher]

    def train_step(self, data: Batch, optim_wrapper: OptimWrapper) -> dict[str, Tensor]:
        """One update; returns the detached terms."""
        with autocast(self._stage.device, self._stage.precision):
            losses = self.arm.selection_losses if self._stage.selector_only else self.arm.losses
            terms = losses(data.to(self._stage.device), self._teacher[0])
        optim_wrapper.update_params(torch.stack([value.float() for value in terms.values()]).sum())
        return {name: value.detach() for name, value in terms.items()}

    @torch.no_grad()
    def val_step(self, data: Batch) -> list[tuple[Prediction, ...]]:
        """Predictions of one validation batch: for every query one at each keep ratio that training draws from."""
        batch = data.to(self._stage.device)
        found = [predictions_of(self.arm, batch, self._stage.precision).predictions for _ in each_ratio(self.arm)]
        return list(zip(*found, strict=True))


class _Score(BaseMetric):  # type: ignore[misc]  # mmengine is untyped
    """The selection metric on the validation split, mean over keep ratios where there are several."""

    default_prefix = "val"

    def __init__(self, annotations: list[Annotation], metric: str) -> None:
        super().__init__()
        self._annotations, self._metric = annotations, metric

    def process(self, data_batch: Any, data_samples: list[tuple[Prediction, ...]]) -> None:
        self.results.extend(data_samples)

    def compute_metrics(self, results: list[tuple[Prediction, ...]]) -> dict[str, float]:
        metric = [spec for spec in protocol_metrics(VMRBENCH_V1) if spec.name == self._metric]
        tables = [
            score_predictions(found, self._annotations, VMRBENCH_V1, metric) for found in zip(*results, strict=True)
        ]
        return {"selection": sum(float(table[self._metric].mean()) for table in tables) / len(tables)}


class _Watch(Hook):  # type: ignore[misc]  # mmengine is untyped
    """Seeds every epoch, anneals the trimmer, keeps log and best weights, and keeps pickled objects out of checkpoints.

    mmengine's own save_best forgets the best score on resuming, because it lives in the message hub.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._file = stage.folder / "validation.json"
        self.losses: list[dict[str, float]] = []
        self.validation: dict[int, float] = {}
        self._sums: dict[str, Tensor] = {}
        if _resume_point(stage.folder) is not None and self._file.exists():
            self.validation = {int(epoch): value for epoch, value in read_json(self._file).items()}

    @property
    def best_epoch(self) -> int:
        """The first epoch with the best validation score."""
        return max(self.validation, key=lambda epoch: (self.validation[epoch], -epoch))

    def before_run(self, runner: Runner) -> None:
        with redirect_stdout(io.StringIO()):  # mmengine prints which checkpoint it reads
            runner.load_or_resume()

    def before_train(self, runner: Runner) -> None:
        # Killed between the checkpoint of an epoch and its validation.
        due = runner.epoch > 0 and (
            runner.epoch % runner.train_loop.val_interval == 0 or runner.epoch == self._stage.epochs
        )
        if due and runner.epoch not in self.validation:
            runner.val_loop.run()

    def before_train_epoch(self, runner: Runner) -> None:
        # Seeding from (seed, epoch) makes a resumed run equal to a straight one.
        torch.manual_seed(self._stage.seed * 100_003 + runner.epoch)
        runner.train_dataloader.batch_sampler.set_epoch(runner.epoch)
        arm, stage = runner.model.arm, self._stage
        arm.progress = runner.epoch / stage.epochs
        if isinstance(arm.trimmer, Scheduled):
            arm.trimmer.set_progress(runner.epoch / stage.epochs)
        if isinstance(arm.backbone, Scheduled):
            # Of the base epochs alone: a base model must not depend on how many extra ones follow it.
            done, base = stage.epochs_before + runner.epoch, stage.settings.base_epochs
            arm.backbone.set_progress(min(1.0, done / base) if base else 1.0)
        self._sums = {}

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        draw_ratio(runner.model.arm, self._stage.seed, runner.epoch, batch_idx)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        for name, value in outputs.items():
            self._sums[name] = self._sums.get(name, torch.zeros_like(value)) + value

    def after_train_epoch(self, runner: Runner) -> None:
        count = len(runner.train_dataloader)
        self.losses.append({name: float(value) / count for name, value in self._sums.items()})
        LOG.debug("%s epoch %d: %s", self._stage.name, runner.epoch + 1, self.losses[-1])

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        self.validation[runner.epoch] = (metrics or {})["val/selection"]
        if self.best_epoch == runner.epoch:
            save_weights(runner.model.arm, self._stage.folder / BEST)
        write_json(self._file, self.validation)
        self._stage.progress(runner.epoch, self._stage.epochs)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        # mmengine's message hub holds objects that torch.load(weights_only=True) rightly refuses.
        checkpoint["message_hub"] = {"log_scalars": {}, "runtime_info": {}, "resumed_keys": {}}
        checkpoint["losses"] = self.losses

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        self.losses = list(checkpoint["losses"])


class _Averaging(Hook):  # type: ignore[misc]  # mmengine is untyped
    """Shows the validation the moving average of the weights; runs after `_Watch`, which saves what is shown."""

    def __init__(self, arm: Arm, share: float) -> None:
        self._average = WeightAverage(arm, share)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self._average.update()

    def before_val_epoch(self, runner: Runner) -> None:
        self._average.exchange()

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        self._average.exchange()

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        checkpoint["average"] = self._average.state_dict()

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        self._average.load_state_dict(checkpoint["average"])


def _runner(arm: Arm, train_split: Split, val_split: Split, stage: Stage, watch: _Watch) -> Runner:
    arm.to(stage.device)
    settings = stage.settings
    buckets = settings.length_buckets
    loader = training_loader(train_split, settings.batch_size, stage.seed, buckets=buckets)
    val_batches = evaluation_batches(val_split, settings.eval_batch_size, buckets=buckets)
    steps = len(loader) * stage.epochs
    optimizer = _optimizer(arm, stage)
    resume_from = _resume_point(stage.folder)
    runner = Runner(
        model=_Trainee(arm, stage),
        work_dir=str(stage.folder),
        train_dataloader=loader,
        val_dataloader=evaluation_loader(val_split, val_batches),
        train_cfg={
            "by_epoch": True,
            "max_epochs": stage.epochs,
            "val_interval": min(settings.validate_every, stage.epochs),
        },
        val_cfg={},
        val_evaluator=Evaluator([_Score(list(val_split.annotations), settings.select_by)]),
        optim_wrapper=optimizer,
        param_scheduler=_schedule(optimizer, steps, stage),
        default_hooks=dict.fromkeys(("runtime_info", "timer", "sampler_seed", "logger"))
        | {"param_scheduler": ParamSchedulerHook(), "checkpoint": CheckpointHook(interval=1, max_keep_ckpts=2)},
        custom_hooks=[watch, *([_Averaging(arm, settings.ema)] if settings.ema else [])],
        load_from=None if resume_from is None else str(resume_from),
        resume=resume_from is not None,
        randomness={"seed": stage.seed},
        # mmengine would make "fork" the start method of the whole process.
        env_cfg={"dist_cfg": {"backend": "gloo"}, "mp_cfg": {"mp_start_method": multiprocessing.get_start_method()}},
        log_level="ERROR",
        # Two Runners of one name in one process would share log and message hub.
        experiment_name=f"{stage.name}-{uuid.uuid4().hex[:8]}",
    )
    runner.model.to(stage.device)  # mmengine moves it to the device that it would choose.
    return runner


def _resume_point(folder: Path) -> Path | None:
    """The last whole checkpoint of an interrupted stage, None where it starts anew.

    mmengine notes the absolute path, and the folder of a killed writer is renamed when another takes it over.
    """
    note = folder / "last_checkpoint"
    checkpoint = folder / Path(note.read_text().strip()).name if note.is_file() else None
    return checkpoint if checkpoint is not None and checkpoint.is_file() else None


def _optimizer(arm: Arm, stage: Stage) -> OptimWrapper:
    settings = stage.settings
    decayed, plain = split_by_decay(arm.trimmer if stage.selector_only else arm)
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate)
    clip = {"max_norm": settings.clip_norm} if settings.clip_norm > 0 else None
    if stage.precision == "fp16":
        return AmpOptimWrapper(optimizer=optimizer, dtype="float16", clip_grad=clip)
    return OptimWrapper(optimizer=optimizer, clip_grad=clip and {**clip, "error_if_nonfinite": True})


def _schedule(optimizer: OptimWrapper, steps: int, stage: Stage) -> list[Any]:
    """Schedulers for a stage of `steps` steps; each multiplies the rate, so warm-up and a drop may overlap."""
    settings = stage.settings
    warm = max(1, round(steps * settings.warmup_share)) if settings.warmup_share > 0 else 0
    rising = [LinearLR(optimizer, start_factor=FLOOR, begin=0, end=warm, by_epoch=False)] if 0 < warm < steps else []
    if settings.schedule == "step":
        assert settings.drop_epoch is not None, "the reader of the sweep file asks for it"
        drop = max(0, settings.drop_epoch - stage.epochs_before) * (steps // stage.epochs)
        return [*rising, MultiStepLR(optimizer, milestones=[drop], gamma=DROP, by_epoch=False)]
    if settings.schedule == "constant" or steps <= warm:
        return rising
    span = {"begin": warm, "end": steps, "by_epoch": False}
    if settings.schedule == "linear":
        return [*rising, LinearLR(optimizer, start_factor=1.0, end_factor=FLOOR, **span)]
    return [*rising, CosineAnnealingLR(optimizer, T_max=max(1, steps - warm), eta_min_ratio=FLOOR, **span)]
