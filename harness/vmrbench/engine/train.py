"""What one stage of training is given and what it leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from vmrbench.config.settings import TrainConfig
from vmrbench.engine.arm import Arm
from vmrbench.protocols import Split

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What one stage of training is given.

    name: what logs call it; epochs: how many; epochs_before: of earlier stages, which a step of the schedule counts
    too; teacher: frozen, for distillation; selector_only: train the trimmer and nothing else; folder: where checkpoints
    go, so that a killed stage resumes; progress: told (epochs done, epochs) after each.
    """

    name: str
    epochs: int
    seed: int
    settings: TrainConfig
    device: torch.device
    precision: str
    folder: Path
    epochs_before: int = 0
    teacher: Arm | None = None
    selector_only: bool = False
    progress: Progress = lambda done, total: None


@dataclass(frozen=True, kw_only=True)
class TrainLog:
    """What a stage leaves behind: losses by epoch, the validation metric by epoch, and the epoch that was kept."""

    losses: tuple[Mapping[str, float], ...]
    validation: Mapping[int, float]
    selected_by: str
    selected_epoch: int


def train(arm: Arm, train_split: Split, val_split: Split, stage: Stage) -> TrainLog:
    """Train `arm` in place; afterwards it holds the weights that were best on `val_split`.

    An interrupted stage goes on from its last finished epoch when called again with the same folder.
    """
    # mmengine takes seconds to import, and what trains nothing does without.
    from vmrbench.engine.runner import run_stage

    return run_stage(arm, train_split, val_split, stage)
