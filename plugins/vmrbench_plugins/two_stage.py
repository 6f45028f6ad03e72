"""Two stages: a first model on the index alone finds spans; expensive features are revealed inside the best of them.

Source: the two-layer baseline in SpotEM's code (Ramakrishnan et al., ICML 2023; ziadalh/SpotEM @ 258572ad, MIT),
restated. The natural contiguous rival: it answers once cheaply, then looks there.

What differs: the first model is a small one of its own that learns beside the backbone (the released one is a frozen
copy of the whole model, trained before); spans are revealed from the best downwards until the budget is met exactly,
instead of a fixed number of spans; the one that exceeds it is revealed around its middle.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vmrbench import hookimpl
from vmrbench.option_types import Count, Share
from vmrbench.protocols import ClipAccess
from vmrbench.specs import TrimDims, TrimmerSpec
from vmrbench.trim.adaptive import allowance
from vmrbench.trim.boundary_labels import boundary_labels
from vmrbench.trim.budget import top_clips
from vmrbench.trim.index_scorer import IndexScorer
from vmrbench.types import Batch, DistillTargets, TrimDecision


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of the two-stage trimmer.

    keep_ratio: share of the clips that get expensive features, 0..1; private_width: width of the first model;
    share_encoder: read the backbone's encoder on index features instead, where it offers one; the first model's loss
    then trains that too.
    """

    keep_ratio: Share = 0.25
    private_width: Count = 128
    share_encoder: bool = False


class TwoStage(nn.Module):
    """A first model with logits of where the moment starts and ends."""

    def __init__(self, options: Options, dims: TrimDims) -> None:
        super().__init__()
        self.options = options
        self.threshold: float | None = None
        self.scorer = IndexScorer(dims, width=options.private_width, outputs=2, share_encoder=options.share_encoder)
        self.shares_encoder = self.scorer.shares_encoder if options.share_encoder else None

    @property
    def learns_alone(self) -> bool:
        """Its loss reads labels and nothing of the backbone."""
        return True

    def select(self, batch: Batch, access: ClipAccess) -> TrimDecision:
        """Keep exactly K clips: those of the best span, then of the next best, and so on.

        With an adaptive budget every span is kept whole that is good enough.
        """
        ends = self.scorer(batch, access).transpose(1, 2)
        best, off_centre = best_spans(ends.detach(), batch.clip_mask)
        budget, most = allowance(batch, best, self.options.keep_ratio, None if self.training else self.threshold)
        keep = top_clips(best, batch.clip_mask, budget, then=-off_centre)
        return TrimDecision(keep=keep, logits=ends, scores=best, demand=best, most=most)

    def loss(
        self, decision: TrimDecision, batch: Batch, *, student: DistillTargets | None, teacher: DistillTargets | None
    ) -> Mapping[str, Tensor]:
        """`span`: cross-entropy of the start and of the end; a sample whose moment meets no clip counts nothing."""
        assert decision.logits is not None
        labels = boundary_labels(batch, margin=0.0)
        target = torch.stack([labels.start, labels.end], dim=1)
        lowest = torch.finfo(decision.logits.dtype).min
        log_share = decision.logits.masked_fill(~batch.clip_mask[:, None], lowest).log_softmax(2)
        return {"span": -(target * log_share).sum((1, 2)).mean()}


def best_spans(ends: Tensor, clip_mask: Tensor) -> tuple[Tensor, Tensor]:
    """For every clip the log-probability of the best span that it lies in, and how far it is from that one's middle.

    The best span around a clip has the best start up to it and the best end from it on, so no pair need be listed.

    Args:
        ends: [B, 2, L] logits of starts and ends.
        clip_mask: [B, L].

    Returns:
        [B, L] start plus end log-probability, 0 on padding; [B, L] distance in clips.
    """
    share = ends.masked_fill(~clip_mask[:, None], torch.finfo(ends.dtype).min).log_softmax(2)
    start, first = share[:, 0].cummax(1)
    end, from_end = share[:, 1].flip(1).cummax(1)
    place = torch.arange(share.shape[2], device=share.device)
    last = (share.shape[2] - 1 - from_end).flip(1)
    off_centre = (place - (first + last) / 2).abs()
    return (start + end.flip(1)).masked_fill(~clip_mask, 0.0), off_centre


def _build(options: Options, dims: TrimDims) -> nn.Module:
    return TwoStage(options, dims)


@hookimpl
def vmr_trimmers() -> Iterable[TrimmerSpec]:
    """Offer `two_stage`."""
    yield TrimmerSpec(
        name="two_stage",
        summary="a first model finds spans on the index alone; expensive features are revealed inside the best of them",
        source="two-layer baseline of SpotEM, ICML 2023",
        options=Options,
        build=_build,
        train="joint",
        tied_to_share=lambda options: None,
        uses_teacher=False,
    )
