"""Plans a video once for all its queries: what each would keep is asked first, then all get the planned clips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from vmrbench.engine.arm import Arm
from vmrbench.engine.device import autocast
from vmrbench.engine.loading import evaluation_loader
from vmrbench.errors import ConfigError
from vmrbench.protocols import Split
from vmrbench.trim.union_plan import Rule, union_plan
from vmrbench.types import Batch, TrimDecision

# By the value of `plan` in a sweep file.
RULES: Mapping[str, Rule] = {"union_mean": "mean", "union_max": "max"}


@dataclass(frozen=True, kw_only=True)
class QueryPlan:
    """What one query gets. keep: [L] the clips planned for its video; read: [L] clips read while it was asked."""

    keep: NDArray[np.bool_]
    read: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class _Asked:
    video_id: str
    keep: NDArray[np.bool_]
    scores: NDArray[np.float64]
    read: NDArray[np.bool_]


def plan_queries(
    arm: Arm, split: Split, batches: list[list[int]], plan: str, *, device: torch.device, precision: str
) -> dict[str, QueryPlan]:
    """The plan of every query, by sample id.

    Args:
        arm: in evaluation mode, on the device.
        split: what is predicted.
        batches: its samples, from `evaluation_batches`.
        plan: `union_mean` or `union_max`.
        device, precision: of the forward passes.

    Raises:
        ConfigError: the trimmer scores no clips, so that there is nothing to plan from.
    """
    asked: dict[str, _Asked] = {}
    for batch in evaluation_loader(split, batches):
        asked |= _ask(arm, batch.to(device), plan, precision)
    by_video: dict[str, list[_Asked]] = {}
    for query in asked.values():
        by_video.setdefault(query.video_id, []).append(query)
    planned = {
        video: union_plan(np.stack([q.keep for q in found]), np.stack([q.scores for q in found]), RULES[plan])
        for video, found in by_video.items()
    }
    return {name: QueryPlan(keep=planned[query.video_id], read=query.read) for name, query in asked.items()}


def planned_decision(batch: Batch, plans: Mapping[str, QueryPlan]) -> TrimDecision:
    """The decision for a batch of planned queries."""
    keep = torch.zeros_like(batch.clip_mask)
    for row, name in enumerate(batch.sample_ids):
        planned = torch.from_numpy(plans[name].keep)
        keep[row, : len(planned)] = planned.to(keep.device)
    return TrimDecision(keep=keep)


@torch.no_grad()
def _ask(arm: Arm, batch: Batch, plan: str, precision: str) -> dict[str, _Asked]:
    access = arm.access(batch)
    with autocast(batch.clips.device, precision):
        decision = arm.select(batch, access)
    if decision.scores is None:
        raise ConfigError(
            f"plan {plan!r} ranks the clips of a video by the trimmer's scores, and this trimmer gives none; "
            "leave 'plan' out of its entry"
        )
    lengths = batch.lengths.tolist()
    keep, read = (value.numpy(force=True) for value in (decision.keep, access.reads > 0))
    scores = decision.scores.double().numpy(force=True)
    return {
        name: _Asked(video_id=batch.video_ids[row], keep=keep[row, :n], scores=scores[row, :n], read=read[row, :n])
        for row, (name, n) in enumerate(zip(batch.sample_ids, lengths, strict=True))
    }
