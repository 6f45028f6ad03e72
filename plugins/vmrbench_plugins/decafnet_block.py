"""DeCafNet-style blocks: clips are ranked in groups, by how well the index of a group fits the query on average.

Paper: Lu et al., DeCafNet: Delegate and Conquer for Efficient Temporal Grounding in Long Videos, CVPR 2025. Its code
has no licence: this is written from the rule alone. A cheap encoder looks at every clip; its correlation with the query
is averaged over groups of clips, and the best groups get the expensive encoder. Nothing is learned in the selection.

What differs: the published cheap encoder is distilled into the space of the query; here that is an index group which a
data set has in that space (`score: cosine`), or a linear map fitted to the training split (`score: ridge`). The budget
is exact in clips, so that the last group is kept in part, its best clips first. The grounder that reads both kinds of
features is the fill `concat_zero`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import pydantic
import torch
from torch import Tensor, nn
from torch.nn import functional

from vmrbench import hookimpl
from vmrbench.option_types import Share
from vmrbench.protocols import ClipAccess
from vmrbench.specs import TrimDims, TrimmerSpec
from vmrbench.trim.budget import clip_budget, most_clips, top_clips
from vmrbench.trim.query_match import QueryPool, RidgeMatch, build_match
from vmrbench.types import Batch, DistillTargets, TrimDecision


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of the block selection.

    keep_ratio: share of the clips that get expensive features, 0..1; group_clips: clips of a group; score: `ridge` fits
    a map from index to query, `cosine` learns nothing; index_group: of `cosine`, the index group that lies in the space
    of the query, the whole index where None; query_token: what stands for the query, the `mean` of its tokens, its
    `first` or its `last` one.
    """

    keep_ratio: Share = 0.25
    group_clips: Annotated[int, pydantic.Field(ge=1)] = 60
    score: Literal["cosine", "ridge"] = "ridge"
    index_group: str | None = None
    query_token: QueryPool = "mean"


class DecafnetBlock(nn.Module):
    """Ranks groups of clips by their mean match with the query."""

    def __init__(self, options: Options, dims: TrimDims) -> None:
        super().__init__()
        self.options = options
        self.match = build_match(
            options.score, dims, options.index_group, options.query_token, "trimmer 'decafnet_block'"
        )

    def fit(self, batches: Iterable[Batch]) -> None:
        """Fit the map of `score: ridge`; `cosine` reads nothing."""
        if isinstance(self.match, RidgeMatch):
            self.match.fit(batches)

    def select(self, batch: Batch, access: ClipAccess) -> TrimDecision:
        """Keep exactly K clips: those of the best group, then of the next best, and so on."""
        own = self.match(batch)
        of_group = group_means(own, batch.clip_mask, self.options.group_clips)
        budget = clip_budget(batch.lengths, self.options.keep_ratio)
        keep = top_clips(of_group, batch.clip_mask, budget, then=own)
        return TrimDecision(keep=keep, scores=of_group, most=most_clips(keep.shape[1], self.options.keep_ratio))

    def loss(
        self, decision: TrimDecision, batch: Batch, *, student: DistillTargets | None, teacher: DistillTargets | None
    ) -> Mapping[str, Tensor]:
        """No terms."""
        return {}


def group_means(scores: Tensor, clip_mask: Tensor, size: int) -> Tensor:
    """[B, L] for every clip the mean score of the real clips of its group; the last group may be shorter.

    Args:
        scores, clip_mask: [B, L].
        size: clips of a group.

    Example:
        >>> group_means(torch.tensor([[1.0, 3.0, 5.0]]), torch.ones(1, 3, dtype=torch.bool), 2)
        tensor([[2., 2., 5.]])
    """
    count = scores.shape[1]
    weight = clip_mask.to(scores.dtype)
    short = -count % size
    total = functional.pad(scores * weight, (0, short)).reshape(len(scores), -1, size).sum(2)
    clips = functional.pad(weight, (0, short)).reshape(len(scores), -1, size).sum(2)
    return torch.repeat_interleave(total / clips.clamp(min=1), size, dim=1)[:, :count]


def _build(options: Options, dims: TrimDims) -> nn.Module:
    return DecafnetBlock(options, dims)


@hookimpl
def vmr_trimmers() -> Iterable[TrimmerSpec]:
    """Offer `decafnet_block`."""
    yield TrimmerSpec(
        name="decafnet_block",
        summary="DeCafNet-style: groups of clips ranked by how well their index fits the query on average",
        source="DeCafNet, CVPR 2025; written from the rule, its code has no licence",
        options=Options,
        build=_build,
        presets={"small": {"group_clips": 8}},
    )
