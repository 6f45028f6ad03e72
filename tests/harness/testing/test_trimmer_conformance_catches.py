"""Each check of trimmers refuses a module that breaks its rule, and says so in one line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor, nn

from vmrbench.errors import PluginError
from vmrbench.protocols import ClipAccess
from vmrbench.specs import TrimDims, TrimmerSpec
from vmrbench.testing.conformance import check_trimmer
from vmrbench.trim.adaptive import allowance
from vmrbench.trim.budget import top_clips
from vmrbench.types import Batch, DistillTargets, TrimDecision


@dataclass(frozen=True, kw_only=True)
class NoOptions:
    """No options."""


class FirstHalf(nn.Module):
    """Keeps the first half of every video."""

    def select(self, batch: Batch, access: ClipAccess) -> TrimDecision:
        place = torch.arange(batch.clip_mask.shape[1], device=batch.clip_mask.device)
        return TrimDecision(keep=(place < (batch.lengths[:, None] + 1) // 2) & batch.clip_mask)

    def loss(
        self, decision: TrimDecision, batch: Batch, *, student: DistillTargets | None, teacher: DistillTargets | None
    ) -> Mapping[str, Tensor]:
        return {}


class KeepsPadding(FirstHalf):
    """Keeps every row."""

    def select(self, batch: Batch, access: ClipAccess) -> TrimDecision:
        return TrimDecision(keep=torch.ones_like(batch.clip_mask))


class HalfOfTheBatch(FirstHalf):
    """Keeps the first half of the longest video."""

    def select(self, batch: Batch, access: ClipAccess) -> TrimDecision:
        length = batch.clip_mask.shape[1]
        place = torch.arange(length, device=batch.clip_mask.device)
        return TrimDecision(keep=(place <= length // 2) & batch.clip_mask)


class SaysOtherThanItKeeps(FirstHalf):
    """Gives soft values of everything."""

    def select(self, batch: Batch, access: ClipAccess) -> TrimDecision:
        return replace(super().select(batch, access), soft=batch.clip_mask.float())


def _trimmer(build: type[nn.Module]) -> TrimmerSpec:
    return TrimmerSpec(name="toy", summary="", source="", options=NoOptions, build=lambda options, dims: build())


TRIM_DIMS = TrimDims(index=3, text=4, rows=8, embedding=None)


def test_an_honest_trimmer_passes() -> None:
    check_trimmer(_trimmer(FirstHalf), TRIM_DIMS)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (KeepsPadding, "keeps padding"),
        (HalfOfTheBatch, "with padding|with its neighbours"),
        (SaysOtherThanItKeeps, "soft differs from keep"),
    ],
)
def test_a_trimmer_that_breaks_a_rule_is_refused(build: type[nn.Module], message: str) -> None:
    with pytest.raises(PluginError, match=message):
        check_trimmer(_trimmer(build), TRIM_DIMS)


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """keep_ratio: share of the clips."""

    keep_ratio: float = 0.25


class ByItsRatio(FirstHalf):
    """Keeps the first clips, as many as its ratio allows whenever it is asked."""

    def __init__(self, options: Ratio) -> None:
        super().__init__()
        self.options = options

    def select(self, batch: Batch, access: ClipAccess) -> TrimDecision:
        return self.first(batch, self.options.keep_ratio)

    def first(self, batch: Batch, ratio: float) -> TrimDecision:
        place = torch.arange(batch.clip_mask.shape[1], device=batch.clip_mask.device)
        return TrimDecision(keep=(place < batch.lengths[:, None] * ratio) & batch.clip_mask)


class RemembersItsRatio(ByItsRatio):
    """The same, but the ratio is that of the time when it was built."""

    def __init__(self, options: Ratio) -> None:
        super().__init__(options)
        self.ratio = options.keep_ratio

    def select(self, batch: Batch, access: ClipAccess) -> TrimDecision:
        return self.first(batch, self.ratio)


def _of_ratio(build: Callable[[Ratio], nn.Module]) -> TrimmerSpec:
    return TrimmerSpec(name="toy", summary="", source="", options=Ratio, build=lambda options, dims: build(options))


def test_a_trimmer_that_reads_its_ratio_when_asked_passes() -> None:
    check_trimmer(_of_ratio(ByItsRatio), TrimDims(index=2, text=3, rows=6, embedding=5))


def test_a_trimmer_that_remembers_its_ratio_is_refused_unless_it_says_so() -> None:
    dims, spec = TrimDims(index=2, text=3, rows=6, embedding=5), _of_ratio(RemembersItsRatio)

    with pytest.raises(PluginError, match=r"keep_ratio 0\.5 put into its attribute 'options' does not do"):
        check_trimmer(spec, dims)

    check_trimmer(replace(spec, tied_to_ratio=lambda options: "it is built for one"), dims)


class TakesWhatItWants(FirstHalf):
    """Says what it needs, has a threshold, and keeps half all the same."""

    threshold: float | None = None

    def select(self, batch: Batch, access: ClipAccess) -> TrimDecision:
        place = torch.arange(batch.clip_mask.shape[1], device=batch.clip_mask.device)
        return replace(super().select(batch, access), demand=-(place + batch.clip_mask.to(batch.clips.dtype)))


class FollowsItsScores(TakesWhatItWants):
    """The same, under a threshold as many as it needs."""

    def select(self, batch: Batch, access: ClipAccess) -> TrimDecision:
        decision = super().select(batch, access)
        assert decision.demand is not None
        if self.threshold is None:
            return decision
        budget, _ = allowance(batch, decision.demand, 0.5, self.threshold)
        return replace(decision, keep=top_clips(decision.demand, batch.clip_mask, budget))


@pytest.mark.parametrize(
    ("build", "message"), [(FirstHalf, "lacks threshold"), (TakesWhatItWants, "where its demand is")]
)
def test_an_adaptive_trimmer_that_ignores_its_threshold_is_refused(build: type[nn.Module], message: str) -> None:
    spec = replace(_trimmer(build), tied_to_share=lambda options: None)

    with pytest.raises(PluginError, match=message):
        check_trimmer(spec, TrimDims(index=2, text=3, rows=6, embedding=5))


def test_an_adaptive_trimmer_that_follows_its_scores_passes() -> None:
    spec = replace(_trimmer(FollowsItsScores), tied_to_share=lambda options: None)

    check_trimmer(spec, TrimDims(index=2, text=3, rows=6, embedding=5))
