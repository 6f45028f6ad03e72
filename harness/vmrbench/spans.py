"""Interval arithmetic: the only place in the project where moments are compared or converted."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def check_spans(spans: Tensor, name: str = "spans") -> None:
    """Raise ValueError for a span that ends before it starts. spans: [N, 2]. Looks at values: not for inference."""
    backwards = (spans[:, 1] < spans[:, 0]).nonzero().flatten().tolist()
    if backwards:
        start, end = spans[backwards[0]].tolist()
        raise ValueError(f"{name}[{backwards[0]}] ends before it starts: {start} to {end}")


def iou_matrix(a: Tensor, b: Tensor) -> Tensor:
    """Overlap of every moment in `a` with every moment in `b`.

    Touching moments overlap by nothing; two equal moments of no length also give 0. Leading dimensions broadcast.

    Args:
        a: [..., N, 2] start and end, in any unit, start <= end.
        b: [..., M, 2] in the same unit.

    Returns:
        [..., N, M] intersection over union, in 0..1.

    Source:
        Everingham et al., The PASCAL Visual Object Classes Challenge, 2010, on one axis.

    Example:
        >>> iou_matrix(torch.tensor([[0.0, 4.0]]), torch.tensor([[2.0, 6.0], [4.0, 5.0]]))
        tensor([[0.3333, 0.0000]])
    """
    overlap, union = _overlap_and_union(a[..., :, None, :], b[..., None, :, :])
    return _ratio(overlap, union)


def hull_iou_matrix(a: Tensor, b: Tensor) -> Tensor:
    """Overlap divided by the hull of both moments: the IoU wherever they overlap, and 0 elsewhere.

    Unlike the true union it is defined for a moment that ends before it starts, which overlaps nothing.

    Args:
        a: [..., N, 2] start and end, in any unit.
        b: [..., M, 2] in the same unit.

    Returns:
        [..., N, M] in 0..1.

    Source:
        What the evaluators of QVHighlights (its R1), 2D-TAN, Ego4D NLQ, MAD and VSLNet divide by.
    """
    left, right = a[..., :, None, :], b[..., None, :, :]
    overlap, _ = _overlap_and_union(left, right)
    return _ratio(overlap, torch.maximum(left[..., 1], right[..., 1]) - torch.minimum(left[..., 0], right[..., 0]))


def without_union(a: Tensor, b: Tensor) -> Tensor:
    """[..., N, M] true where the IoU of moments is 0/0: two without length, or one reversed as long as the other."""
    _, union = _overlap_and_union(a[..., :, None, :], b[..., None, :, :])
    return union == 0


def not_suppressed(
    spans: Tensor,
    present: Tensor,
    threshold: float,
    most: int | None = None,
    iou: Callable[[Tensor, Tensor], Tensor] = iou_matrix,
) -> Tensor:
    """Greedy non-maximum suppression: which of ranked moments overlap no better one that is kept by IoU > threshold.

    Args:
        spans: [B, N, 2] start and end, best first.
        present: [B, N] true for real moments.
        threshold: 0..1; at 1 all are kept.
        most: as many are kept at most, all where None.
        iou: the overlap, as `iou_matrix` or `hull_iou_matrix`.

    Returns:
        [B, N] true for the moments kept.
    """
    left, kept = present.clone(), torch.zeros_like(present)
    for _ in range(spans.shape[1] if most is None else min(most, spans.shape[1])):
        if not left.any():
            break
        best = left.to(torch.uint8).argmax(dim=1, keepdim=True)  # The first one left; of none left, it is not counted.
        kept.scatter_(1, best, kept.gather(1, best) | left.gather(1, best))
        span = spans.gather(1, best[..., None].expand(-1, -1, 2))
        left = left.scatter(1, best, False) & ~(iou(span, spans)[:, 0] > threshold)
    return kept


def generalised_iou(a: Tensor, b: Tensor) -> Tensor:
    """Generalised overlap of every moment in `a` with every moment in `b`: IoU minus the share of the hull left empty.

    Args:
        a: [..., N, 2] start and end, in any unit, start <= end.
        b: [..., M, 2] in the same unit.

    Returns:
        [..., N, M] in -1..1.

    Source:
        Rezatofighi et al., Generalized Intersection over Union, 2019, on one axis.
    """
    left, right = a[..., :, None, :], b[..., None, :, :]
    overlap, union = _overlap_and_union(left, right)
    hull = torch.maximum(left[..., 1], right[..., 1]) - torch.minimum(left[..., 0], right[..., 0])
    return _ratio(overlap, union) - _ratio(hull - union, hull)


def distance_iou(a: Tensor, b: Tensor) -> Tensor:
    """Overlap of every moment in `a` with every moment in `b`, less the squared distance of their middles.

    Args:
        a: [..., N, 2] start and end, in any unit, start <= end.
        b: [..., M, 2] in the same unit.

    Returns:
        [..., N, M] IoU minus (distance of the middles / length of the hull) squared, in -1..1.

    Source:
        Zheng et al., Distance-IoU Loss, 2020, on one axis.
    """
    left, right = a[..., :, None, :], b[..., None, :, :]
    overlap, union = _overlap_and_union(left, right)
    hull = torch.maximum(left[..., 1], right[..., 1]) - torch.minimum(left[..., 0], right[..., 0])
    apart = (left.sum(-1) - right.sum(-1)) / 2
    return _ratio(overlap, union) - _ratio(apart, hull).square()


def centre_width_to_span(spans: Tensor) -> Tensor:
    """[..., 2] centre and width -> [..., 2] start and end."""
    centre, width = spans.unbind(-1)
    return torch.stack([centre - 0.5 * width, centre + 0.5 * width], dim=-1)


def span_to_centre_width(spans: Tensor) -> Tensor:
    """[..., 2] start and end -> [..., 2] centre and width."""
    start, end = spans.unbind(-1)
    return torch.stack([(start + end) * 0.5, end - start], dim=-1)


def _overlap_and_union(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    overlap = (torch.minimum(a[..., 1], b[..., 1]) - torch.maximum(a[..., 0], b[..., 0])).clamp(min=0)
    return overlap, (a[..., 1] - a[..., 0]) + (b[..., 1] - b[..., 0]) - overlap


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    safe = whole.clamp(min=torch.finfo(whole.dtype).tiny)
    return torch.where(whole > 0, part / safe, torch.zeros_like(part))
