"""Saliency labels of a batch: those of its data set, or else made from its moments."""

from __future__ import annotations

import torch
from torch import Tensor

from vmrbench.parts.ranked_saliency import SaliencyLabels
from vmrbench.parts.saliency import SaliencyPairs, clips_inside, saliency_pairs
from vmrbench.trim.axis import clips_in_moments
from vmrbench.types import Batch


def ranked_pairs(batch: Batch, count: int) -> SaliencyPairs:
    """Clips to be ranked against each other, `saliency_pos` above `saliency_neg` of `batch.extra` [B, P].

    Where they are absent, `count` pairs a sample are drawn at random from inside and outside its moments.
    """
    if "saliency_pos" not in batch.extra:
        return saliency_pairs(clips_in_moments(batch), batch.clip_mask, count)
    positive, negative = batch.extra["saliency_pos"], batch.extra["saliency_neg"]
    return SaliencyPairs(positive=positive, negative=negative, valid=torch.ones_like(positive, dtype=torch.bool))


def graded_labels(batch: Batch, count: int) -> SaliencyLabels:
    """Pairs, see `ranked_pairs`, and grades: `saliency_all` of `batch.extra` [B, L], 0..12.

    Where it is absent, a clip inside a moment has grade 1 and every other 0, as the official data loaders of QD-DETR
    and its relatives do for data sets without saliency.
    """
    grades = batch.extra.get("saliency_all")
    if grades is None:
        grades = clips_inside(clips_in_moments(batch), batch.clip_mask).to(batch.clips.dtype)
    return SaliencyLabels(pairs=ranked_pairs(batch, count), grades=grades)


def same_video(batch: Batch) -> Tensor:
    """[B, B] true where two samples show the same video, such as a sample and itself."""
    same = [[here == there for there in batch.video_ids] for here in batch.video_ids]
    return torch.tensor(same, device=batch.clip_mask.device)


def of_another_video(batch: Batch) -> Tensor:
    """[B] true where the next sample (after the last one, the first) shows another video.

    Its sentence then makes a negative pair with this sample's video.
    """
    following = (*batch.video_ids[1:], *batch.video_ids[:1])
    other = [here != there for here, there in zip(batch.video_ids, following, strict=True)]
    return torch.tensor(other, device=batch.clip_mask.device)
