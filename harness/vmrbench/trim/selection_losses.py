"""What selectors learn from: the true moments, a teacher's saliency, and a budget."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from vmrbench.trim.boundary_labels import boundary_labels
from vmrbench.trim.distill import masked_mean
from vmrbench.types import Batch, DistillTargets, TrimDecision

# Of the teacher's standardised saliency: a clip two deviations up weighs e^4 times an average one. 1 did no better.
SHARPNESS = 2.0
# Share of a moment's clips that counts as inside before and after it, as in VSLNet's highlight and SpotEM's.
MARGIN = 0.1


def budget_loss(decision: TrimDecision, clip_mask: Tensor, keep_ratio: float) -> Tensor:
    """Squared distance of the share kept, in all and at every step, from its target, over the real clips of a batch.

    Source: SpotEM, type "batch", in its masked variant: padding does not count.
    """
    assert decision.soft is not None
    assert decision.steps is not None
    count = decision.steps.shape[1]
    total = (masked_mean(decision.soft, clip_mask) - keep_ratio).square()
    steps = [(masked_mean(step, clip_mask) - keep_ratio / count).square() for step in decision.steps.unbind(1)]
    return (total + torch.stack(steps).sum()) / (count + 1)


def inside_loss(logits: Tensor, batch: Batch, positive_weight: float) -> Tensor:
    """Binary cross-entropy of "this clip lies in the true moment", mean over real clips; for training, on the host.

    Args:
        logits: [B, L].
        batch: with labels; moments are extended by a tenth of their clips on each side.
        positive_weight: of a clip that lies inside, against 1.

    Source:
        The highlight loss of VSLNet (Zhang et al., 2020); SpotEM weighs positives by 2.
    """
    inside = boundary_labels(batch, MARGIN).inside.to(logits.dtype)
    loss = functional.binary_cross_entropy_with_logits(logits, inside, reduction="none")
    return masked_mean(loss * (1 + (positive_weight - 1) * inside), batch.clip_mask)


def teacher_loss(decision: TrimDecision, teacher: DistillTargets, clip_mask: Tensor) -> Tensor | None:
    """KL divergence of the selector's distribution over clips from the teacher's highlight, mean over steps; ours.

    The teacher's saliency is standardised over the clips of a video before the softmax: a ranking loss leaves its
    scale open, and only the order and the relative distance of clips are meant.
    """
    if teacher.saliency is None or decision.logits is None:
        return None
    target = SHARPNESS * standardised(teacher.saliency.detach().float(), clip_mask)
    return _divergence(decision.logits, target, clip_mask)


def truth_loss(decision: TrimDecision, batch: Batch) -> Tensor:
    """KL divergence of the selector's distribution over clips from an even one over the moment, mean over steps; ours.

    The moment is extended by a tenth of its clips on each side; a sample whose moment meets no clip counts nothing.
    """
    assert decision.logits is not None
    inside = boundary_labels(batch, MARGIN).inside > 0
    # Far below 0 rather than infinitely: a clip outside has no probability, and no gradient is lost to 0 x infinity.
    target = torch.where(inside, 0.0, -100.0)
    # Where nothing is known both are even over the video, which costs nothing and teaches nothing.
    logits = decision.logits.masked_fill(~inside.any(1)[:, None, None], 0.0)
    return _divergence(logits, target, batch.clip_mask)


def standardised(scores: Tensor, clip_mask: Tensor) -> Tensor:
    """[B, L] scores less their mean over real clips, divided by their standard deviation."""
    weight = clip_mask.to(scores.dtype)
    count = weight.sum(1, keepdim=True).clamp(min=1)
    centred = scores - (scores * weight).sum(1, keepdim=True) / count
    spread = ((centred * weight).square().sum(1, keepdim=True) / count).sqrt()
    return centred / spread.clamp(min=1e-6)


def _divergence(logits: Tensor, target: Tensor, clip_mask: Tensor) -> Tensor:
    """Of softmax(logits) [B, N, L] from softmax(target) [B, L] over real clips, mean over samples and steps."""
    lowest = torch.finfo(logits.dtype).min
    target = target.to(logits.dtype).masked_fill(~clip_mask, lowest)
    logits = logits.masked_fill(~clip_mask[:, None], lowest)
    return functional.kl_div(
        logits.log_softmax(2).flatten(0, 1),
        target.log_softmax(1)[:, None].expand_as(logits).flatten(0, 1),
        reduction="batchmean",
        log_target=True,
    )
