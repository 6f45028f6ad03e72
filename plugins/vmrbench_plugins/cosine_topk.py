"""Cosine top-k: the clips whose index features fit the query best, without any training.

Source: zero-shot retrieval with an encoder of images and text in one space (Radford et al., CLIP, 2021), under a clip
budget. Ours is the budget, and `score: ridge` for an index that does not lie in the space of the query: a linear map
fitted to the training split in closed form. That is learning, and it reads labels of the training split.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from vmrbench import hookimpl
from vmrbench.option_types import Share
from vmrbench.protocols import ClipAccess
from vmrbench.specs import TrimDims, TrimmerSpec
from vmrbench.trim.adaptive import allowance
from vmrbench.trim.budget import top_clips
from vmrbench.trim.query_match import QueryPool, RidgeMatch, build_match
from vmrbench.types import Batch, DistillTargets, TrimDecision


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of cosine top-k.

    keep_ratio: share of the clips that get expensive features, 0..1; score: `cosine` learns nothing, `ridge` fits a
    map from index to query; index_group: of `cosine`, the index group that lies in the space of the query, the whole
    index where None; query_token: what stands for the query, the `mean` of its tokens, its `first` or its `last` one.
    """

    keep_ratio: Share = 0.25
    score: Literal["cosine", "ridge"] = "cosine"
    index_group: str | None = None
    query_token: QueryPool = "mean"


class CosineTopK(nn.Module):
    """Ranks clips by their match with the query."""

    def __init__(self, options: Options, dims: TrimDims) -> None:
        super().__init__()
        self.options = options
        self.threshold: float | None = None
        self.match = build_match(options.score, dims, options.index_group, options.query_token, "trimmer 'cosine_topk'")

    def fit(self, batches: Iterable[Batch]) -> None:
        """Fit the map of `score: ridge`; `cosine` reads nothing."""
        if isinstance(self.match, RidgeMatch):
            self.match.fit(batches)

    def select(self, batch: Batch, access: ClipAccess) -> TrimDecision:
        """Keep exactly the K clips that match best; K follows the query where the budget is adaptive."""
        scores = self.match(batch)
        budget, most = allowance(batch, scores, self.options.keep_ratio, None if self.training else self.threshold)
        keep = top_clips(scores, batch.clip_mask, budget)
        return TrimDecision(keep=keep, scores=scores, demand=scores, most=most)

    def loss(
        self, decision: TrimDecision, batch: Batch, *, student: DistillTargets | None, teacher: DistillTargets | None
    ) -> Mapping[str, Tensor]:
        """No terms."""
        return {}


def _build(options: Options, dims: TrimDims) -> nn.Module:
    return CosineTopK(options, dims)


@hookimpl
def vmr_trimmers() -> Iterable[TrimmerSpec]:
    """Offer `cosine_topk`."""
    yield TrimmerSpec(
        name="cosine_topk",
        summary="the clips whose index features fit the query best; learns nothing, or a linear map in closed form",
        source="zero-shot retrieval in a common space, as with CLIP, 2021; ours under a budget",
        options=Options,
        build=_build,
        tied_to_share=lambda options: None,
        presets={"ridge": {"score": "ridge"}},
    )
