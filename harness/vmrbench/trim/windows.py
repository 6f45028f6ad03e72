"""The mode `windows`: contiguous windows, each read at a finer stride into a row of its own; the answers are merged."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from vmrbench.trim.budget import step_quotas
from vmrbench.trim.gather import PLACES_OF_CLIPS, TakenRows
from vmrbench.types import Batch, FinerClips

# Of a moment: with less than this inside, a window counts as one without it.
INSIDE = 0.5


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Windows of a batch on its finer clips; W of every video.

    first: [B, W] position of the first finer clip; count: [B, W] finer clips, 0 where no window could be placed;
    share: [B, W] score of the window, 1 for the best one of its video, above 0.
    """

    first: Tensor
    count: Tensor
    share: Tensor

    def covers(self, length: int) -> Tensor:
        """[B, length] in how many windows each finer clip lies."""
        place = torch.arange(length, device=self.first.device)
        first = self.first[..., None]
        return ((place >= first) & (place < first + self.count[..., None])).sum(1)


def window_quotas(budget: Tensor, windows: int) -> Tensor:
    """[B, W] finer clips of every window: they sum to `budget` [B], and differ by one at most."""
    return step_quotas(budget.clamp(min=0), windows).flip(1)


def best_windows(scores: Tensor, batch: Batch, quotas: Tensor) -> Windows:
    """The windows with the highest sums of scores, one after the other, without overlap; ties go to the earlier one.

    Scores are first standardised over the clips of a video and squashed to 0..1, so that their scale does not matter.
    A window that finds no room among those before it is left out.

    Args:
        scores: [B, L] one a clip, higher is better.
        batch: with its finer clips.
        quotas: [B, W] finer clips of every window.
    """
    finer = finer_of(batch)
    value = _squashed(scores, batch.clip_mask).gather(1, clip_of_finer(batch)) * finer.mask
    total, length = finer.mask.sum(1, keepdim=True), finer.mask.shape[1]
    sums, place = _running(value), torch.arange(length, device=scores.device)[None]
    taken = torch.zeros_like(finer.mask)
    first, count, mean = [], [], []
    for quota in quotas.unbind(1):
        size = torch.minimum(quota[:, None], total)
        stop = (place + size).clamp(max=length)
        busy = _running(taken.to(value.dtype))
        fits = (place + size <= total) & (busy.gather(1, stop) - busy[:, :-1] < 0.5) & (size > 0)
        worth = (sums.gather(1, stop) - sums[:, :-1]).masked_fill(~fits, -torch.inf)
        best = worth.argmax(1, keepdim=True)
        size = size * fits.gather(1, best)
        taken = taken | ((place >= best) & (place < best + size))
        first.append(best)
        count.append(size)
        mean.append(worth.gather(1, best) / size.clamp(min=1))
    means = torch.cat(mean, dim=1)
    share = means / means.amax(1, keepdim=True).clamp(min=torch.finfo(means.dtype).tiny)
    counts = torch.cat(count, dim=1)
    return Windows(first=torch.cat(first, dim=1), count=counts, share=share.where(counts > 0, 1).to(scores.dtype))


def training_windows(batch: Batch, quotas: Tensor) -> Windows:
    """Windows drawn from the truth: the first one of every sample on one of its moments, the others away from them.

    The first one holds the moment at a place that is drawn evenly; it lies inside a moment that is longer. Where no
    place is free of moments the others lie anywhere. For training, on the host.

    Args:
        batch: with labels and finer clips.
        quotas: [B, W] finer clips of every window; one clip at least is taken.
    """
    finer = finer_of(batch)
    if batch.moments is None:
        raise ValueError("windows drawn from the truth need labels, and this batch has none")
    counts = torch.minimum(quotas.clamp(min=1), finer.mask.sum(1, keepdim=True))
    first = torch.zeros_like(counts)
    for row, moments in enumerate(batch.moments):
        start, end = (edge[row][finer.mask[row]] for edge in (finer.clip_start, finer.clip_end))
        chosen = moments[int(torch.randint(len(moments), (1,)))] if len(moments) else None
        for window, size in enumerate(counts[row].tolist()):
            left, right = start[: len(start) - size + 1], end[size - 1 :]
            free = ((moments[:, :1] >= right) | (moments[:, 1:] <= left)).all(0)
            good = _holds(left, right, chosen) if window == 0 and chosen is not None else free
            places = good.nonzero()[:, 0] if bool(good.any()) else torch.arange(len(left), device=left.device)
            first[row, window] = places[int(torch.randint(len(places), (1,)))]
    return Windows(first=first, count=counts, share=torch.ones_like(counts, dtype=batch.clip_start.dtype))


def cut_windows(batch: Batch, windows: Windows, most: int) -> Batch:
    """The enlarged batch [B W, most, ...]: every window a sample of its own, with expensive features of finer clips.

    Index features are those of the clip that a finer clip lies in. A moment with less than half of it inside a window
    is no moment of that window. A window that was not placed has one row without expensive features, so that a backbone
    can read it.

    Args:
        batch: with its finer clips; windows: on them; most: the largest number of finer clips in a window.
    """
    finer = finer_of(batch)
    size = windows.first.shape
    step = torch.arange(most, device=windows.first.device)
    places = (windows.first[..., None] + step).clamp(max=finer.mask.shape[1] - 1).flatten(1)
    read = TakenRows(places=places, mask=(step < windows.count[..., None]).flatten(1))
    mask = (step < windows.count[..., None].clamp(min=1)).flatten(1)
    rows, clip = TakenRows(places=places, mask=mask), clip_of_finer(batch).gather(1, places)

    def flat(values: Tensor) -> Tensor:
        return values.reshape(size[0] * size[1], most, *values.shape[2:])

    cut = replace(
        _repeated(batch, size[1]),
        clips=flat(read.of(finer.clips)),
        clip_mask=flat(mask),
        clip_start=flat(rows.of(finer.clip_start)),
        clip_end=flat(rows.of(finer.clip_end)),
        fine_weight=flat(read.mask.to(finer.clips.dtype)),
        index=None if batch.index is None else flat(TakenRows(places=clip, mask=mask).of(batch.index)),
        finer=None,
    )
    return cut if cut.moments is None else replace(cut, moments=_inside(cut))


def merge_windows(seconds: Tensor, scores: Tensor, windows: Windows, weight: float) -> tuple[Tensor, Tensor]:
    """Moments of all windows of a video together: score of the backbone times score of the window to the `weight`.

    A score below 0, of a backbone that gives logarithms, is divided instead: worse windows rank lower either way.

    Args:
        seconds: [B W, Q, 2]; scores: [B W, Q]; windows: what they were found in; weight: 0 for the backbone's alone.

    Returns:
        [B, W Q, 2] seconds and [B, W Q] scores, -inf for moments of windows that were not placed.
    """
    batch, count = windows.first.shape
    share = windows.share[..., None].to(scores.dtype).pow(weight)
    own = scores.reshape(batch, count, -1)
    merged = torch.where(own >= 0, own * share, own / share).masked_fill((windows.count == 0)[..., None], -torch.inf)
    return seconds.reshape(batch, -1, 2), merged.flatten(1)


def clip_of_finer(batch: Batch) -> Tensor:
    """[B, F] position of the clip that the middle of every finer clip lies in."""
    finer = finer_of(batch)
    middle = (finer.clip_start + finer.clip_end) / 2
    ends = batch.clip_end.masked_fill(~batch.clip_mask, torch.inf).contiguous()
    return torch.minimum(torch.searchsorted(ends, middle.contiguous(), right=True), batch.lengths[:, None] - 1)


def finer_of(batch: Batch) -> FinerClips:
    """The finer clips of a batch. Raises ValueError where it has none: the split was not asked for them."""
    if batch.finer is None:
        raise ValueError("this batch has no finer clips; read its split through `with_finer`")
    return batch.finer


def _holds(left: Tensor, right: Tensor, moment: Tensor) -> Tensor:
    """[P] windows that hold the moment, or as much of it as any."""
    inside = (torch.minimum(right, moment[1]) - torch.maximum(left, moment[0])).clamp(min=0)
    return inside >= inside.max() - 1e-4


def _inside(cut: Batch) -> tuple[Tensor, ...]:
    assert cut.moments is not None
    kept = []
    for row, moments in enumerate(cut.moments):
        real = cut.clip_mask[row]
        left, right = cut.clip_start[row][real].min(), cut.clip_end[row][real].max()
        inside = torch.minimum(moments[:, 1], right) - torch.maximum(moments[:, 0], left)
        kept.append(moments[inside >= INSIDE * (moments[:, 1] - moments[:, 0])])
    return tuple(kept)


def _repeated(batch: Batch, times: int) -> Batch:
    """Every sample `times` over, one after the other."""
    extra = {name: value for name, value in batch.extra.items() if name not in PLACES_OF_CLIPS}
    return replace(
        batch,
        sample_ids=tuple(name for name in batch.sample_ids for _ in range(times)),
        video_ids=tuple(name for name in batch.video_ids for _ in range(times)),
        query=batch.query.repeat_interleave(times, 0),
        query_mask=batch.query_mask.repeat_interleave(times, 0),
        duration=batch.duration.repeat_interleave(times, 0),
        moments=None if batch.moments is None else tuple(m for m in batch.moments for _ in range(times)),
        extra={name: value.repeat_interleave(times, 0) for name, value in extra.items()},
    )


def _squashed(scores: Tensor, clip_mask: Tensor) -> Tensor:
    """[B, L] scores in 0..1, standardised over the real clips of a video first."""
    weight = clip_mask.to(torch.float64)
    values, count = scores.to(torch.float64).masked_fill(~clip_mask, 0), weight.sum(1, keepdim=True).clamp(min=1)
    centred = (values - values.sum(1, keepdim=True) / count) * weight
    spread = (centred.square().sum(1, keepdim=True) / count).sqrt().clamp(min=1e-6)
    return (centred / spread).sigmoid()


def _running(values: Tensor) -> Tensor:
    """[B, N + 1] sums of the first 0, 1, ... N values [B, N]."""
    return functional.pad(values.cumsum(1), (1, 0))
