"""Training of a trimmer before its backbone is trained with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from torch import nn

from vmrbench.engine.arm import Arm
from vmrbench.engine.train import Stage, TrainLog, train
from vmrbench.protocols import LearnsAlone, Split


def can_learn_alone(trimmer: nn.Module) -> bool:
    """Whether a trimmer's own loss teaches it which clips to keep."""
    return isinstance(trimmer, LearnsAlone) and trimmer.learns_alone


def train_selector(arm: Arm, train_split: Split, val_split: Split, stage: Stage) -> TrainLog:
    """Train the trimmer of `arm` in place; parameters of backbone and fill keep their values to the bit.

    The last epoch is kept: it is validated once, because the score of a backbone that has not learnt to read what is
    selected says little about the selection.
    """
    settings = replace(stage.settings, validate_every=stage.epochs)
    with _standing_still(arm.backbone, arm.fill):
        return train(arm, train_split, val_split, replace(stage, settings=settings, selector_only=True))


@contextmanager
def _standing_still(*modules: nn.Module) -> Iterator[None]:
    """No gradients for these modules inside."""
    learning = [parameter for module in modules for parameter in module.parameters() if parameter.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)
