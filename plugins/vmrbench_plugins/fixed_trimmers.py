"""Trimmers that learn nothing: the references and controls every learned trimmer is compared with.

Source: the baselines of SpotEM (Ramakrishnan et al., ICML 2023; code ziadalh/SpotEM @ 258572ad, MIT), restated.
What differs: `uniform` keeps exactly the budget, evenly spread (the released one may exceed it and draws its start
at random, even at test); `random` is drawn anew at every training step, at test from the sample's name and a seed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vmrbench import hookimpl
from vmrbench.option_types import CountOrZero, Share
from vmrbench.protocols import ClipAccess
from vmrbench.specs import TrimDims, TrimmerSpec
from vmrbench.trim.axis import clips_in_moments
from vmrbench.trim.budget import clip_budget, most_clips, top_clips
from vmrbench.trim.noise import sample_uniform
from vmrbench.types import Batch, DistillTargets, TrimDecision

_SPOTEM = "SpotEM baselines, Ramakrishnan et al., ICML 2023"


@dataclass(frozen=True, kw_only=True)
class NoOptions:
    """A trimmer without options."""


@dataclass(frozen=True, kw_only=True)
class RatioOptions:
    """keep_ratio: share of the clips that get expensive features, 0..1."""

    keep_ratio: Share = 0.25


@dataclass(frozen=True, kw_only=True)
class RandomOptions:
    """keep_ratio: share of the clips, 0..1; seed: of the draw at test."""

    keep_ratio: Share = 0.25
    seed: CountOrZero = 0


class _LearnsNothing(nn.Module):
    """What all trimmers here have in common: no loss."""

    def loss(
        self, decision: TrimDecision, batch: Batch, *, student: DistillTargets | None, teacher: DistillTargets | None
    ) -> Mapping[str, Tensor]:
        """No terms."""
        return {}


class KeepAll(_LearnsNothing):
    """Every clip is kept."""

    def select(self, batch: Batch, access: ClipAccess) -> TrimDecision:
        """Keep [B, L] = clip mask."""
        return TrimDecision(keep=batch.clip_mask, most=batch.clip_mask.shape[1])


class KeepNone(_LearnsNothing):
    """No clip is kept: the index alone."""

    def select(self, batch: Batch, access: ClipAccess) -> TrimDecision:
        """Keep [B, L] = false."""
        return TrimDecision(keep=torch.zeros_like(batch.clip_mask), most=0)


class Uniform(_LearnsNothing):
    """Evenly spread clips."""

    def __init__(self, options: RatioOptions) -> None:
        super().__init__()
        self.options = options

    def select(self, batch: Batch, access: ClipAccess) -> TrimDecision:
        """Keep clip l of n where floor((l + 1) K / n) passes a whole number: exactly K, at equal distances."""
        count = batch.lengths[:, None].clamp(min=1)
        budget = clip_budget(batch.lengths, self.options.keep_ratio)[:, None]
        place = torch.arange(batch.clip_mask.shape[1], device=batch.clip_mask.device)[None]
        half = count // 2
        keep = (place * budget + budget + half) // count > (place * budget + half) // count
        return TrimDecision(keep=keep & batch.clip_mask, most=most_clips(len(place[0]), self.options.keep_ratio))


class Centre(_LearnsNothing):
    """The middle of the video, in one piece."""

    def __init__(self, options: RatioOptions) -> None:
        super().__init__()
        self.options = options

    def select(self, batch: Batch, access: ClipAccess) -> TrimDecision:
        """Keep exactly K clips, those nearest to the middle; of two equally near ones the earlier."""
        place = torch.arange(batch.clip_mask.shape[1], device=batch.clip_mask.device)
        # In half clips, so that no rounding decides between two sides.
        nearness = -(2 * place + 1 - batch.lengths[:, None]).abs().to(batch.clip_start.dtype)
        budget = clip_budget(batch.lengths, self.options.keep_ratio)
        most = most_clips(len(place), self.options.keep_ratio)
        return TrimDecision(keep=top_clips(nearness, batch.clip_mask, budget), most=most)


class Random(_LearnsNothing):
    """Clips drawn at random."""

    def __init__(self, options: RandomOptions) -> None:
        super().__init__()
        self.options = options

    def select(self, batch: Batch, access: ClipAccess) -> TrimDecision:
        """Keep exactly K clips: a new draw at every training step, at test the sample's own."""
        size = batch.clip_mask.shape
        if self.training:
            scores = torch.rand(size, device=batch.clip_mask.device)
        else:
            scores = sample_uniform(batch.sample_ids, size[1], self.options.seed, batch.clip_start)
        budget = clip_budget(batch.lengths, self.options.keep_ratio)
        most = most_clips(size[1], self.options.keep_ratio)
        return TrimDecision(keep=top_clips(scores, batch.clip_mask, budget), scores=scores, most=most)


class Oracle(_LearnsNothing):
    """Reads the labels: the clips of the true moment first, then those nearest to it. A ceiling, not a method."""

    def __init__(self, options: RatioOptions) -> None:
        super().__init__()
        self.options = options

    def select(self, batch: Batch, access: ClipAccess) -> TrimDecision:
        """Keep exactly K clips, ranked by share inside a true moment, then by distance to the nearest one."""
        inside = clips_in_moments(batch)
        centre = (batch.clip_start + batch.clip_end) / 2
        distance = torch.stack([_distance(centre[row], moments) for row, moments in enumerate(batch.moments or ())])
        scores = inside - distance / batch.duration[:, None].clamp(min=1e-6)
        return TrimDecision(
            keep=top_clips(scores, batch.clip_mask, clip_budget(batch.lengths, self.options.keep_ratio)),
            scores=scores,
            most=most_clips(scores.shape[1], self.options.keep_ratio),
        )


def _distance(centre: Tensor, moments: Tensor) -> Tensor:
    """[L] seconds from each clip's centre to the nearest true moment."""
    early = moments[:, :1] - centre[None]
    late = centre[None] - moments[:, 1:]
    return torch.maximum(early, late).clamp(min=0).amin(0)


@hookimpl
def vmr_trimmers() -> Iterable[TrimmerSpec]:
    """The references `none`, `all`, `zero`, the controls `uniform`, `centre`, `random`, and `oracle`."""
    yield TrimmerSpec(
        name="none",
        summary="no trimming, no index: the backbone as published, expensive features of every clip",
        source="the backbone's own paper",
        options=NoOptions,
        build=lambda options, dims: KeepAll(),
        input="fine",
        needs_index=False,
        apply=("fill", "gather"),
    )
    yield TrimmerSpec(
        name="all",
        summary="no trimming, with index: expensive and index features of every clip; the teacher and the reference",
        source=_SPOTEM,
        options=NoOptions,
        build=lambda options, dims: KeepAll(),
        needs_index=False,
    )
    yield TrimmerSpec(
        name="zero",
        summary="index features only: what the index can do alone",
        source=_SPOTEM,
        options=NoOptions,
        build=lambda options, dims: KeepNone(),
        needs_index=False,
        apply=("fill",),
    )
    yield TrimmerSpec(
        name="uniform",
        summary="evenly spread clips, whatever the query",
        source=_SPOTEM,
        options=RatioOptions,
        build=_uniform,
        needs_index=False,
    )
    yield TrimmerSpec(
        name="centre",
        summary="the middle of the video in one piece, whatever the query",
        source="ours: what a bias of moments towards the middle is worth",
        options=RatioOptions,
        build=_centre,
        needs_index=False,
    )
    yield TrimmerSpec(
        name="random",
        summary="clips drawn at random, whatever the query",
        source=_SPOTEM,
        options=RandomOptions,
        build=_random,
        needs_index=False,
    )
    yield TrimmerSpec(
        name="oracle",
        summary="the clips of the true moment: reads labels, a ceiling of selection",
        source="ours",
        options=RatioOptions,
        build=_oracle,
        needs_index=False,
        reads_labels=True,
    )


def _uniform(options: RatioOptions, dims: TrimDims) -> nn.Module:
    return Uniform(options)


def _centre(options: RatioOptions, dims: TrimDims) -> nn.Module:
    return Centre(options)


def _random(options: RandomOptions, dims: TrimDims) -> nn.Module:
    return Random(options)


def _oracle(options: RatioOptions, dims: TrimDims) -> nn.Module:
    return Oracle(options)
