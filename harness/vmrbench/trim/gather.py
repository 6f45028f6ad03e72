"""The mode `gather`: rows of clips that were not kept are removed; order and times of the others stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vmrbench.errors import DataError
from vmrbench.types import Batch, DistillTargets, TrimDecision

# Of `Batch.extra`: what says something of every clip, and what names clips by their place.
_OF_CLIPS, _NAMES_CLIPS = {"saliency_all"}, {"saliency_pos", "saliency_neg"}
PLACES_OF_CLIPS = _OF_CLIPS | _NAMES_CLIPS


@dataclass(frozen=True, kw_only=True)
class TakenRows:
    """Which rows of a batch stay. places: [B, K] their positions, ascending; mask: [B, K] true for real ones."""

    places: Tensor
    mask: Tensor

    def of(self, values: Tensor) -> Tensor:
        """[B, K, ...] what stays of `values` [B, L, ...], zero where `mask` is false."""
        more = (1,) * (values.dim() - 2)
        size = (*self.places.shape, *values.shape[2:])
        found = values.gather(1, self.places.reshape(*self.places.shape, *more).expand(size))
        return found.masked_fill(~self.mask.reshape(*self.mask.shape, *more), 0)


def kept_rows(decision: TrimDecision, batch: Batch, *, training: bool) -> TakenRows:
    """The rows of the kept clips; their number is `decision.most`, so that nothing is looked at on the host.

    Where `most` is None the largest count is read from `keep`. In training a draw that keeps no clip of a sample leaves
    its best-scored one, which then has no expensive features: there is no other way to go on from it.

    Raises:
        DataError: no clip of a sample is kept, outside training.
    """
    keep, most = decision.keep, decision.most
    if most is None:
        counts = keep.sum(1)
        if training:
            keep = keep | (_best(decision, batch) & (counts == 0)[:, None])
        elif not bool(counts.all()):
            raise _nothing(batch, int((counts == 0).int().argmax()))
        most = int(keep.sum(1).max())
    if most == 0:
        raise _nothing(batch, 0)
    places = (~keep).to(torch.uint8).argsort(dim=1, stable=True)[:, :most]
    return TakenRows(places=places, mask=keep.gather(1, places))


def take_rows(batch: Batch, taken: TakenRows) -> Batch:
    """`batch` with only the rows `taken`, [B, K, ...]; labels stay in seconds.

    Pairs of clips to rank (`saliency_pos`, `saliency_neg` of `Batch.extra`) name rows by their place and are left out.
    """
    extra = {name: taken.of(value) if name in _OF_CLIPS else value for name, value in batch.extra.items()}
    return replace(
        batch,
        clips=taken.of(batch.clips),
        clip_mask=taken.mask,
        clip_start=taken.of(batch.clip_start),
        clip_end=taken.of(batch.clip_end),
        index=None if batch.index is None else taken.of(batch.index),
        fine_weight=taken.of(batch.fine_weight),
        extra={name: value for name, value in extra.items() if name not in _NAMES_CLIPS},
    )


def targets_on_timeline(student: DistillTargets, teacher: DistillTargets, taken: TakenRows) -> DistillTargets:
    """What a student offers on its rows [B, K], on all clips of the teacher [B, L].

    Where a clip was removed the teacher's own value stands, which teaches nothing. Candidates are left out unless they
    come with their moments in seconds: places on the axis of the rows are not those of the timeline.
    """
    matched = student.candidate_spans is not None
    return replace(
        student,
        embedding=_spread(student.embedding, teacher.embedding, taken),
        saliency=_spread(student.saliency, teacher.saliency, taken),
        candidates=student.candidates if matched else None,
        candidate_mask=student.candidate_mask if matched else None,
    )


def _spread(student: Tensor | None, teacher: Tensor | None, taken: TakenRows) -> Tensor | None:
    if student is None or teacher is None:
        return None
    known, more = teacher.detach().to(student.dtype), (1,) * (student.dim() - 2)
    places = taken.places.reshape(*taken.places.shape, *more).expand(student.shape)
    own = torch.where(taken.mask.reshape(*taken.mask.shape, *more), student, known.gather(1, places))
    return known.scatter(1, places, own)


def _best(decision: TrimDecision, batch: Batch) -> Tensor:
    """[B, L] true for the best-scored clip of every sample, the first one without scores."""
    scores = torch.zeros_like(batch.clip_start) if decision.scores is None else decision.scores
    best = scores.masked_fill(~batch.clip_mask, -torch.inf).argmax(1, keepdim=True)
    return torch.zeros_like(batch.clip_mask).scatter(1, best, True)


def _nothing(batch: Batch, row: int) -> DataError:
    ids: Sequence[str] = batch.sample_ids
    return DataError(
        f"sample {ids[row]!r}: the trimmer kept none of {batch.clip_mask.shape[1]} clips, and 'apply: gather' needs at "
        "least one; raise keep_ratio, or use apply: fill"
    )
