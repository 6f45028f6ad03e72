"""The threshold of an adaptive budget: chosen on the validation split, stored beside the predictions made with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vmrbench.config.cells import Cell
from vmrbench.engine.arm import Arm
from vmrbench.engine.device import autocast
from vmrbench.engine.loading import evaluation_batches, evaluation_loader
from vmrbench.engine.splits import SELECTION, split_of
from vmrbench.errors import PluginError
from vmrbench.protocols import AdaptsBudget, Split
from vmrbench.store import read_json, write_json
from vmrbench.trim.adaptive import Floats, calibrated_threshold, clips_kept, demand, real_rows
from vmrbench.trim.budget import clip_budget

CALIBRATION = "calibration.json"


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What an adaptive budget was set to, and on what.

    threshold: on standardised scores; split, queries: where it was chosen; keep_ratio: the declared mean;
    budget_ratio_mean, budget_clips_mean: what an exact budget of that ratio keeps there, in whole clips: share of a
    video, and clips; kept_ratio_mean, kept_clips_mean: what the threshold keeps there. All means are over queries.
    """

    threshold: float
    split: str
    queries: int
    keep_ratio: float
    budget_ratio_mean: float
    budget_clips_mean: float
    kept_ratio_mean: float
    kept_clips_mean: float


def make_calibration(cell: Cell, arm: Arm, device: torch.device, folder: Path) -> None:
    """Choose the threshold of a trained arm on the validation split, write it into `folder`, and use it."""
    ratio = float(cell.trimmer.options.keep_ratio)
    split = split_of(cell, SELECTION)
    batch_size = cell.train.eval_batch_size
    found = calibrate(arm.to(device), split, ratio, batch_size=batch_size, device=device, precision=cell.precision)
    write_json(folder / CALIBRATION, asdict(found))
    use_threshold(arm, found.threshold)


def read_calibration(predicted: Path) -> Mapping[str, Any]:
    """The calibration in a folder of the stage `predict`, as plain data; see `Calibration`."""
    found: dict[str, Any] = read_json(predicted / CALIBRATION)
    return found


def use_threshold(arm: Arm, threshold: float | None) -> None:
    """Let an arm's budget follow its scores; with None it is exact again.

    Raises:
        PluginError: the trimmer's module has no `threshold`.
    """
    trimmer = arm.trimmer
    if not isinstance(trimmer, AdaptsBudget):
        raise PluginError(
            f"trimmer module {type(trimmer).__name__!r} has no attribute 'threshold'; an adaptive budget sets it, and "
            "select reads it: see vmrbench.protocols.AdaptsBudget"
        )
    trimmer.threshold = threshold


@torch.no_grad()
def calibrate(
    arm: Arm, split: Split, keep_ratio: float, *, batch_size: int, device: torch.device, precision: str
) -> Calibration:
    """Find the threshold with which the queries of `split` keep the share of clips that an exact budget keeps there.

    Shares are averaged over queries, as the record does: a query may get more where another gets less.

    Args:
        arm: trained, on the device; it is put into evaluation mode, and its budget is exact afterwards.
        split: never the reported one.
        keep_ratio: 0..1.
        batch_size, device, precision: of the forward passes of the trimmer.

    Raises:
        PluginError: the trimmer says nothing of what its queries ask for.
    """
    arm.eval()
    use_threshold(arm, None)
    scores: list[Floats] = []
    budget: list[int] = []
    for batch in evaluation_loader(split, evaluation_batches(split, batch_size)):
        on_device = batch.to(device)
        with autocast(device, precision):
            asked = arm.select(on_device, arm.access(on_device)).demand
        if asked is None:
            raise PluginError(
                f"trimmer module {type(arm.trimmer).__name__!r} gives no TrimDecision.demand; an adaptive budget is "
                "chosen from it"
            )
        scores += real_rows(demand(asked, on_device.clip_mask), on_device.lengths)
        budget += clip_budget(on_device.lengths, keep_ratio).tolist()
    clips = np.array([len(found) for found in scores])
    allowed = np.array(budget)
    threshold = calibrated_threshold(scores, float((allowed / clips).mean()))
    kept = np.array([clips_kept(found, threshold) for found in scores])
    return Calibration(
        threshold=threshold,
        split=SELECTION,
        queries=len(kept),
        keep_ratio=keep_ratio,
        budget_ratio_mean=float((allowed / clips).mean()),
        budget_clips_mean=float(allowed.mean()),
        kept_ratio_mean=float((kept / clips).mean()),
        kept_clips_mean=float(kept.mean()),
    )
