"""One model for any keep ratio: training draws a ratio for every batch, validation goes through all of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from vmrbench.engine.arm import Arm
from vmrbench.trim.ratio import put_options, set_ratio

# Keeps these draws apart from those of the batches, which start from seed and epoch too.
_STREAM = 0x6B656570


def drawn_ratio(ratios: tuple[float, ...], seed: int, epoch: int, step: int) -> float:
    """The keep ratio of one training batch, each of `ratios` equally likely.

    It depends on nothing but its arguments, so that a rerun and a resumed run draw the same, and takes nothing from
    torch's generator. step: number of the batch in its epoch.

    Example:
        >>> [drawn_ratio((0.5, 0.25, 0.1), 0, 0, step) for step in range(6)]
        [0.1, 0.25, 0.25, 0.1, 0.25, 0.1]
    """
    return ratios[int(np.random.default_rng((_STREAM, seed, epoch, step)).integers(len(ratios)))]


def draw_ratio(arm: Arm, seed: int, epoch: int, step: int) -> None:
    """Give the trimmer of `arm` the ratio of a training batch; nothing where it keeps to its own."""
    if arm.train_ratios:
        set_ratio(arm.trimmer, drawn_ratio(arm.train_ratios, seed, epoch, step))


def each_ratio(arm: Arm) -> Iterator[None]:
    """Go through the ratios that training draws from, the trimmer set to each in turn; once where there are none.

    The choice of the epoch then cannot depend on the ratio of the test, so that arms which differ in that alone share
    their weights.
    """
    if not arm.train_ratios:
        yield
    for ratio in arm.train_ratios:
        set_ratio(arm.trimmer, ratio)
        yield


@contextmanager
def ratio_restored(arm: Arm) -> Iterator[None]:
    """The trimmer has its own ratio again afterwards."""
    before = getattr(arm.trimmer, "options", None)
    try:
        yield
    finally:
        if arm.train_ratios:
            put_options(arm.trimmer, before)
