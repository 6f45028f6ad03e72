"""Supervised top-k: a small network on index and query learns which clips lie in the true moment; the best K are kept.

Ours, and simple on purpose: the rival that a selector must beat to show that it needs more than index and labels. In
training as at test exactly K clips are kept. It reads no expensive features, learns beside the backbone in the same
epochs, and the backbone's losses do not reach it.

It starts from a linear match of index and query, fitted to the training split in closed form, and learns what to add to
it: a network that starts from nothing has not caught up with that match after a few epochs (docs/trimmers.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vmrbench import hookimpl
from vmrbench.option_types import Count, NotNegative, Share
from vmrbench.protocols import ClipAccess
from vmrbench.specs import TrimDims, TrimmerSpec
from vmrbench.trim.adaptive import allowance
from vmrbench.trim.budget import top_clips
from vmrbench.trim.index_scorer import IndexScorer
from vmrbench.trim.query_match import RidgeMatch
from vmrbench.trim.selection_losses import inside_loss, standardised
from vmrbench.types import Batch, DistillTargets, TrimDecision


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of supervised top-k.

    keep_ratio: share of the clips that get expensive features, 0..1; ridge_start: start from the linear match that is
    fitted in closed form; positive_weight: in the loss, of a clip inside the moment against one outside; private_width:
    width of the selector's own encoder; share_encoder: read the backbone's encoder on index features instead, where it
    offers one; the selector's loss then trains that too.
    """

    keep_ratio: Share = 0.25
    ridge_start: bool = True
    positive_weight: NotNegative = 2.0
    private_width: Count = 128
    share_encoder: bool = False


class SupervisedTopK(nn.Module):
    """Scores every clip once."""

    def __init__(self, options: Options, dims: TrimDims) -> None:
        super().__init__()
        self.options = options
        self.threshold: float | None = None
        self.scorer = IndexScorer(dims, width=options.private_width, share_encoder=options.share_encoder)
        self.shares_encoder = self.scorer.shares_encoder if options.share_encoder else None
        self.match = RidgeMatch(dims, "mean") if options.ridge_start else None
        if self.match is not None:
            self.match_weight = nn.Parameter(torch.ones(()))
            self.scorer.start_from_zero()

    @property
    def learns_alone(self) -> bool:
        """Its loss reads labels and nothing of the backbone."""
        return True

    def fit(self, batches: Iterable[Batch]) -> None:
        """Fit the linear match; without it nothing is read."""
        if self.match is not None:
            self.match.fit(batches)

    def select(self, batch: Batch, access: ClipAccess) -> TrimDecision:
        """Keep exactly the K clips that most likely lie in the moment; K follows the query with an adaptive budget."""
        logits = self.scorer(batch, access)[..., 0]
        if self.match is not None:
            logits = logits + self.match_weight * standardised(self.match(batch).float(), batch.clip_mask)
        budget, most = allowance(batch, logits, self.options.keep_ratio, None if self.training else self.threshold)
        keep, scores = top_clips(logits, batch.clip_mask, budget), logits.detach()
        return TrimDecision(keep=keep, logits=logits[:, None], scores=scores, demand=scores, most=most)

    def loss(
        self, decision: TrimDecision, batch: Batch, *, student: DistillTargets | None, teacher: DistillTargets | None
    ) -> Mapping[str, Tensor]:
        """`inside`: which clips lie in the true moment."""
        assert decision.logits is not None
        return {"inside": inside_loss(decision.logits[:, 0], batch, self.options.positive_weight)}


def _build(options: Options, dims: TrimDims) -> nn.Module:
    return SupervisedTopK(options, dims)


@hookimpl
def vmr_trimmers() -> Iterable[TrimmerSpec]:
    """Offer `supervised_topk`."""
    yield TrimmerSpec(
        name="supervised_topk",
        summary="a small network on index and query, trained to say which clips lie in the moment; the best K",
        source="ours",
        options=Options,
        build=_build,
        train="joint",
        tied_to_share=lambda options: None,
        uses_teacher=False,
    )
