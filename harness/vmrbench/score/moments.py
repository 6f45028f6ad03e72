"""Predictions and truth as padded arrays, checked and in one order: what every metric reads."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from vmrbench.errors import DataError
from vmrbench.score.submission import window_fault
from vmrbench.spans import iou_matrix
from vmrbench.types import Annotation, Prediction

Floats = npt.NDArray[np.float64]

# A video cut from a longer one, named by 11 characters of the source, start and end: `bP5KfdFJzC4_660.0_810.0`.
_CUT = re.compile(r"(.{11})_\d+\.\d+_\d+\.\d+")


@dataclass(frozen=True, kw_only=True)
class MomentTable:
    """Moments of N queries, padded to the longest list.

    spans: [N, K, 2] seconds, float64, zero where there is none; present: [N, K], true for real moments, which come
    first. Predicted moments are ranked, best first; true ones are in the order of the annotation.
    """

    spans: Floats
    present: npt.NDArray[np.bool_]


def overlaps(predicted: MomentTable, truth: MomentTable) -> Floats:
    """[N, Q, M] IoU of every predicted with every true moment of a query, 0 where either is padding."""
    overlap = iou_matrix(torch.from_numpy(predicted.spans), torch.from_numpy(truth.spans)).numpy()
    both = predicted.present[:, :, None] & truth.present[:, None, :]
    return np.where(both, overlap, 0.0)


def true_moments(annotations: Sequence[Annotation]) -> MomentTable:
    """The truth, clamped to each video, in the order of the annotations.

    Raises:
        DataError: an annotation has no moment, or one that is NaN, reversed, empty or outside its video.
    """
    lists = [_checked_truth(annotation) for annotation in annotations]
    return _padded(lists, np.array([annotation.duration for annotation in annotations]))


def predicted_moments(predictions: Sequence[Prediction], annotations: Sequence[Annotation]) -> MomentTable:
    """Predictions in the order of the annotations, ranked by score (ties: as listed) and clamped to each video.

    A moment wholly outside its video keeps its rank and overlaps nothing.

    Raises:
        DataError: a query is unknown, comes twice or is missing, names another video than its annotation, or holds a
            window that is NaN, reversed or empty.
    """
    by_id = _matched(predictions, annotations)
    lists = []
    for annotation in annotations:
        moments = by_id[annotation.sample_id].moments
        for window in moments:
            fault = window_fault(window)
            if fault:
                raise DataError(f"query {annotation.sample_id!r}: {fault}; expected finite numbers and start < end")
        ranked = sorted(moments, key=lambda moment: -moment[2])
        lists.append([(start, end) for start, end, _ in ranked])
    return _padded(lists, np.array([annotation.duration for annotation in annotations]))


def source_video(annotation: Annotation) -> str:
    """The video an annotated video was cut from: clips of one source are not independent of each other.

    `extra["source_video"]` where the data set gives it, else the source named in `<11 characters>_<start>_<end>`,
    else the video itself.
    """
    given = annotation.extra.get("source_video")
    if isinstance(given, str):
        return given
    cut = _CUT.fullmatch(annotation.video_id)
    return cut.group(1) if cut else annotation.video_id


def _matched(predictions: Sequence[Prediction], annotations: Sequence[Annotation]) -> dict[str, Prediction]:
    """Every annotation's prediction by sample id."""
    videos = {annotation.sample_id: annotation.video_id for annotation in annotations}
    if len(videos) != len(annotations):
        raise DataError(f"annotations: {len(annotations)} queries have only {len(videos)} different ids")
    by_id: dict[str, Prediction] = {}
    for prediction in predictions:
        sample_id = prediction.sample_id
        if sample_id not in videos:
            raise DataError(f"query {sample_id!r} has a prediction and no annotation; score against its own split")
        if sample_id in by_id:
            raise DataError(f"query {sample_id!r} has two predictions; expected one")
        if prediction.video_id != videos[sample_id]:
            raise DataError(
                f"query {sample_id!r}: predicted in video {prediction.video_id!r}, annotated in {videos[sample_id]!r}"
            )
        by_id[sample_id] = prediction
    missing = [sample_id for sample_id in videos if sample_id not in by_id]
    if missing:
        raise DataError(
            f"query {missing[0]!r} has no prediction ({len(missing)} of {len(videos)} are missing); "
            "expected one entry for every query, with an empty list where nothing was found"
        )
    return by_id


def _checked_truth(annotation: Annotation) -> list[tuple[float, float]]:
    where = f"annotation {annotation.sample_id!r}"
    if not annotation.moments:
        raise DataError(f"{where}: has no moment; expected at least one to score against")
    if not (math.isfinite(annotation.duration) and annotation.duration > 0):
        raise DataError(f"{where}: the duration is {annotation.duration}; expected seconds above 0")
    for start, end in annotation.moments:
        # Compared so that NaN fails too.
        if not min(end, annotation.duration) > max(start, 0.0):
            raise DataError(
                f"{where}: moment {[start, end]} is empty, reversed or outside the video of {annotation.duration} s"
            )
    return list(annotation.moments)


def _padded(lists: Sequence[Sequence[tuple[float, float]]], durations: Floats) -> MomentTable:
    counts = np.array([len(moments) for moments in lists], dtype=np.int64)
    width = int(counts.max(initial=1))
    present = np.arange(width)[None, :] < counts[:, None]
    spans = np.zeros((len(lists), width, 2))
    flat = [moment for moments in lists for moment in moments]
    if flat:
        spans[present] = np.asarray(flat, dtype=np.float64)
    return MomentTable(spans=spans.clip(0.0, durations[:, None, None]), present=present)
