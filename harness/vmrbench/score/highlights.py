"""Highlight detection: is the clip with the highest saliency score one that people rated high, and are all found first.

Source: Lei et al., QVHighlights, 2021, and jayleicn/moment_detr standalone_eval (facts, restated).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vmrbench.errors import DataError
from vmrbench.score.moments import Floats
from vmrbench.types import Annotation, Prediction

CLIP_SECONDS = 2.0
RATERS = 3
LEVELS = {"Fair": 2, "Good": 3, "VeryGood": 4}

Flags = npt.NDArray[np.bool_]


def highlight_scores(predictions: Sequence[Prediction], annotations: Sequence[Annotation]) -> dict[str, Floats]:
    """[N] `HL-mAP@<level>` and `HIT@1@<level>` of every query, times 100, for clips rated at least so.

    A list of scores longer than the video is cut and a shorter one padded with 0 for mAP, which is averaged over the
    raters; HIT@1 is 1 where one of the raters gave the clip of highest score that level, and 0 beyond the video.

    Args:
        predictions: with saliency, one for every annotation, in any order.
        annotations: with `relevant_clip_ids` and `saliency_scores` in `extra`, clips of 2 s.

    Raises:
        DataError: an annotation's ratings are not of that shape.
    """
    by_id = {prediction.sample_id: prediction.saliency or () for prediction in predictions}
    listed = [by_id[annotation.sample_id] for annotation in annotations]
    ratings, real = _ratings(annotations)
    found = {}
    for level, least in LEVELS.items():
        rated = ratings >= least
        precision = [clip_precision(rated[..., rater], _padded(listed, real), real) for rater in range(RATERS)]
        found[f"HL-mAP@{level}"] = 100.0 * np.mean(precision, axis=0)
        found[f"HIT@1@{level}"] = np.array([_hit(scores, rows) for scores, rows in zip(listed, rated, strict=True)])
    return found


def no_highlights(predictions: Sequence[Prediction], annotations: Sequence[Annotation]) -> str | None:
    """Why highlights cannot be scored, None where they can."""
    without = [prediction.sample_id for prediction in predictions if not prediction.saliency]
    if without:
        return f"query {without[0]!r} has no saliency scores ({len(without)} of {len(predictions)} have none)"
    unrated = [a.sample_id for a in annotations if not {"relevant_clip_ids", "saliency_scores"} <= set(a.extra)]
    if unrated:
        return f"the annotation of query {unrated[0]!r} rates no clips ({len(unrated)} of {len(annotations)})"
    try:
        _ratings(annotations)
    except DataError as error:
        return str(error)
    return None


def clip_precision(rated: Flags, scores: Floats, real: Flags) -> Floats:
    """[N] interpolated average precision of clips: the mean, over the scores at which recall grows, of the best
    precision at that score or a lower one; clips of equal score are taken together. 0 where no clip is rated.

    Args:
        rated: [N, C] clips that are highlights.
        scores: [N, C] higher is more of a highlight.
        real: [N, C] clips that are no padding.
    """
    order = np.argsort(np.where(real, -scores, np.inf), axis=1, kind="stable")
    hits, here = (np.take_along_axis(flags, order, axis=1) for flags in (rated & real, real))
    value = np.take_along_axis(scores, order, axis=1)
    found = hits.cumsum(axis=1)
    nearer_end = np.concatenate([value[:, :-1] != value[:, 1:], np.ones((len(value), 1), dtype=bool)], axis=1)
    nearer_end[:, :-1] |= ~here[:, 1:]
    last = here & nearer_end
    precision = np.where(last, found / np.arange(1, hits.shape[1] + 1), 0.0)
    interpolated = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    # What was found up to the end of the group of equal scores before.
    before = np.maximum.accumulate(np.where(last, found, 0), axis=1)
    before = np.concatenate([np.zeros((len(before), 1), dtype=before.dtype), before[:, :-1]], axis=1)
    grows = last & (found > before)
    total: Floats = (interpolated * grows).sum(axis=1) / np.maximum(grows.sum(axis=1), 1)
    return total


def _hit(scores: Sequence[float], rated: Flags) -> float:
    """100 where a rater gave the clip of highest score that level. rated: [C, raters]."""
    clip = int(np.argmax(scores))
    return 100.0 if clip < len(rated) and rated[clip].any() else 0.0


def _ratings(annotations: Sequence[Annotation]) -> tuple[Floats, Flags]:
    """[N, C, raters] ratings, 0 where nobody rated, and [N, C] clips of each video."""
    counts = [int(annotation.duration / CLIP_SECONDS) for annotation in annotations]
    real = np.arange(max(counts, default=0))[None, :] < np.array(counts)[:, None]
    ratings = np.zeros((*real.shape, RATERS))
    for row, annotation in enumerate(annotations):
        where = f"annotation {annotation.sample_id!r}"
        try:
            clips = np.asarray(annotation.extra["relevant_clip_ids"], dtype=np.int64)
            rated = np.asarray(annotation.extra["saliency_scores"], dtype=np.float64)
        except (TypeError, ValueError, OverflowError) as error:
            raise DataError(f"{where}: saliency_scores or relevant_clip_ids hold no numbers ({error})") from error
        if rated.shape != (len(clips), RATERS):
            raise DataError(f"{where}: saliency_scores have shape {rated.shape}; expected {len(clips)} x {RATERS}")
        if len(clips) and not (clips.min() >= 0 and clips.max() < counts[row]):
            raise DataError(f"{where}: relevant_clip_ids reach {clips.max()}; the video has {counts[row]} clips of 2 s")
        ratings[row, clips] = rated
    return ratings, real


def _padded(listed: Sequence[Sequence[float]], real: Flags) -> Floats:
    """[N, C] saliency, cut to the table and 0 where a list is shorter."""
    scores = np.zeros(real.shape)
    for row, values in enumerate(listed):
        width = min(len(values), real.shape[1])
        scores[row, :width] = values[:width]
    return scores
