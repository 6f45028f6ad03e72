"""Distillation from an untrimmed teacher: one loss a kind of target, summed where both models offer it.

Source: the losses of SpotEM (Ramakrishnan et al., ICML 2023), restated for backbones other than VSLNet: logits over
start and end become logits over whatever candidates a backbone ranks.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from vmrbench.spans import generalised_iou
from vmrbench.types import DistillTargets


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of `values` [B, L] where `mask` [B, L] is true (0 where it never is)."""
    weight = mask.to(values.dtype)
    return (values * weight).sum() / weight.sum().clamp(min=1)


def highlight_loss(student: DistillTargets, teacher: DistillTargets, clip_mask: Tensor) -> Tensor | None:
    """Binary cross-entropy of the saliency of each clip against the teacher's, masked mean."""
    if student.saliency is None or teacher.saliency is None:
        return None
    target = teacher.saliency.detach().sigmoid()
    loss = functional.binary_cross_entropy_with_logits(student.saliency, target, reduction="none")
    return masked_mean(loss, clip_mask)


def embedding_loss(student: DistillTargets, teacher: DistillTargets, clip_mask: Tensor) -> Tensor | None:
    """Mean absolute difference of the fused embeddings over width, then over real clips."""
    if student.embedding is None or teacher.embedding is None:
        return None
    return masked_mean((student.embedding - teacher.embedding.detach()).abs().mean(-1), clip_mask)


def candidate_loss(student: DistillTargets, teacher: DistillTargets) -> Tensor | None:
    """KL divergence of the student's distribution over candidates from the teacher's, mean over the batch.

    Slots are first matched one to one by span distance; matched spans then add their L1 distance.
    """
    if student.candidates is None or teacher.candidates is None:
        return None
    if student.candidate_spans is not None and teacher.candidate_spans is not None:
        return _slot_loss(student.candidates, student.candidate_spans, teacher)
    return _divergence(student.candidates, teacher.candidates.detach(), teacher.candidate_mask)


def _divergence(student: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
    if mask is not None:
        lowest = torch.finfo(student.dtype).min
        student, teacher = student.masked_fill(~mask, lowest), teacher.masked_fill(~mask, lowest)
    log_student, log_teacher = student.log_softmax(-1), teacher.log_softmax(-1)
    return functional.kl_div(log_student, log_teacher, reduction="batchmean", log_target=True)


def _slot_loss(logits: Tensor, spans: Tensor, teacher: DistillTargets) -> Tensor:
    assert teacher.candidates is not None
    assert teacher.candidate_spans is not None
    target_spans = teacher.candidate_spans.detach()
    cost = torch.cdist(spans.detach(), target_spans, p=1) - generalised_iou(spans.detach(), target_spans)
    order = torch.stack([_assignment(matrix) for matrix in cost])
    matched_logits = teacher.candidates.detach().gather(1, order)
    matched_spans = target_spans.gather(1, order[..., None].expand(-1, -1, 2))
    weight = matched_logits.sigmoid()[..., None]
    span_loss = ((spans - matched_spans).abs() * weight).sum(-1).sum(-1).mean()
    return _divergence(logits, matched_logits, None) + span_loss


def _assignment(cost: Tensor) -> Tensor:
    """[Q] for every student slot the teacher slot it is matched with. cost: [Q, Q]."""
    from scipy.optimize import linear_sum_assignment  # Slow to import, and read in training only.

    rows, columns = linear_sum_assignment(cost.float().numpy(force=True))
    assert (rows[1:] > rows[:-1]).all()
    return torch.as_tensor(columns, dtype=torch.long, device=cost.device)
