"""Predictions and truth as padded arrays, checked and in one order: what every metric reads."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from vmrbench.errors import DataError
from vmrbench.protocol.convention import VMRBENCH_V1, Protocol, Union
from vmrbench.score.windows import not_finite, window_fault
from vmrbench.spans import hull_iou_matrix, iou_matrix, not_suppressed, without_union
from vmrbench.types import Annotation, Prediction

Floats = npt.NDArray[np.float64]
Moment = tuple[float, float]
IOU = {"true": iou_matrix, "hull": hull_iou_matrix}

# A video cut from a longer one, named by 11 characters of the source, start and end: `bP5KfdFJzC4_660.0_810.0`.
_CUT = re.compile(r"(.{11})_\d+\.\d+_\d+\.\d+")


@dataclass(frozen=True, kw_only=True)
class MomentTable:
    """Moments of N queries, padded to the longest list.

    spans: [N, K, 2] seconds, float64, zero where there is none; present: [N, K], true for real moments, which come
    first. Predicted moments are in the order of the protocol, best first for `vmrbench-v1`; true ones are in the order
    of the annotation. scores: [N, K] of predicted moments, None for true ones; durations: [N] seconds of each video.
    """

    spans: Floats
    present: npt.NDArray[np.bool_]
    durations: Floats
    scores: Floats | None = None


def overlaps(predicted: MomentTable, truth: MomentTable, union: Union = "true") -> Floats:
    """[N, Q, M] IoU of every predicted with every true moment of a query, 0 where either is padding."""
    overlap = IOU[union](torch.from_numpy(predicted.spans), torch.from_numpy(truth.spans)).numpy()
    return np.where(_both_present(predicted, truth), overlap, 0.0)


def undefined_overlaps(predicted: MomentTable, truth: MomentTable) -> npt.NDArray[np.bool_]:
    """[N, Q, M] true where the IoU of two moments is 0/0."""
    undefined = without_union(torch.from_numpy(predicted.spans), torch.from_numpy(truth.spans)).numpy()
    return np.asarray(undefined & _both_present(predicted, truth))


def first_moments(table: MomentTable, depth: int | None) -> MomentTable:
    """The first `depth` moments of every query, all where it is None."""
    if depth is None:
        return table
    scores = None if table.scores is None else table.scores[:, :depth]
    return replace(table, spans=table.spans[:, :depth], present=table.present[:, :depth], scores=scores)


def true_moments(annotations: Sequence[Annotation], protocol: Protocol = VMRBENCH_V1) -> MomentTable:
    """The truth in the order of the annotations, clamped and cut to the first moment where the protocol says so.

    Raises:
        DataError: an annotation has no moment, or one that is NaN or reversed; where the protocol refuses faults, also
            one that is empty or outside its video.
    """
    lists = [_checked_truth(annotation, protocol) for annotation in annotations]
    if protocol.truth == "first":
        lists = [moments[:1] for moments in lists]
    return _padded(lists, _durations(annotations), protocol.clamp)


def predicted_moments(
    predictions: Sequence[Prediction], annotations: Sequence[Annotation], protocol: Protocol = VMRBENCH_V1
) -> MomentTable:
    """Predictions in the order of the annotations, ordered, clamped, rounded and suppressed as the protocol says.

    A moment wholly outside its video keeps its rank and overlaps nothing.

    Raises:
        DataError: a query is unknown, comes twice or is missing, names another video than its annotation, or holds a
            window with a NaN; where the protocol refuses faults, also one that is reversed or empty.
    """
    by_id = _matched(predictions, annotations)
    lists = []
    for annotation in annotations:
        moments = by_id[annotation.sample_id].moments
        for window in moments:
            fault = window_fault(window) if protocol.faults == "refused" else not_finite(window)
            if fault:
                raise DataError(f"query {annotation.sample_id!r}: {fault}; expected finite numbers and start < end")
        lists.append(sorted(moments, key=lambda moment: -moment[2]) if protocol.order == "score" else list(moments))
    return _finished(_padded(lists, _durations(annotations), protocol.clamp), protocol)


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


def _checked_truth(annotation: Annotation, protocol: Protocol) -> list[Moment]:
    where = f"annotation {annotation.sample_id!r}"
    if not annotation.moments:
        raise DataError(f"{where}: has no moment; expected at least one to score against")
    if not (math.isfinite(annotation.duration) and annotation.duration > 0):
        raise DataError(f"{where}: the duration is {annotation.duration}; expected seconds above 0")
    for start, end in annotation.moments:
        # Compared so that NaN fails too.
        if protocol.faults == "listed" and not end >= start:
            raise DataError(f"{where}: moment {[start, end]} is reversed or not finite")
        if protocol.faults == "refused" and not min(end, annotation.duration) > max(start, 0.0):
            raise DataError(
                f"{where}: moment {[start, end]} is empty, reversed or outside the video of {annotation.duration} s; "
                f"{protocol.name} scores no such truth: drop it (--defects), or choose a published protocol"
            )
    return list(annotation.moments)


def _both_present(predicted: MomentTable, truth: MomentTable) -> npt.NDArray[np.bool_]:
    return predicted.present[:, :, None] & truth.present[:, None, :]


def _durations(annotations: Sequence[Annotation]) -> Floats:
    return np.array([annotation.duration for annotation in annotations], dtype=np.float64)


def _padded(lists: Sequence[Sequence[tuple[float, ...]]], durations: Floats, clamp: bool) -> MomentTable:
    """Lists of (start, end) or (start, end, score) as a table."""
    counts = np.array([len(moments) for moments in lists], dtype=np.int64)
    width = int(counts.max(initial=1))
    present = np.arange(width)[None, :] < counts[:, None]
    filled = np.zeros((len(lists), width, 3))
    flat = [moment for moments in lists for moment in moments]
    scored = bool(flat) and len(flat[0]) == 3
    if flat:
        filled[present, : len(flat[0])] = np.asarray(flat, dtype=np.float64)
    spans = filled[..., :2].copy()
    if clamp:
        spans = spans.clip(0.0, durations[:, None, None])
    return MomentTable(
        spans=spans, present=present, durations=durations, scores=filled[..., 2].copy() if scored else None
    )


def _finished(table: MomentTable, protocol: Protocol) -> MomentTable:
    """Predicted moments rounded and suppressed."""
    if protocol.snap_seconds is not None:
        table = replace(table, spans=np.round(table.spans / protocol.snap_seconds) * protocol.snap_seconds)
    if protocol.nms is None:
        return table
    spans, present = torch.from_numpy(table.spans), torch.from_numpy(table.present)
    deepest = None if protocol.ap_thresholds else protocol.deepest
    kept = not_suppressed(spans, present, protocol.nms, deepest, IOU[protocol.nms_union]).numpy()
    order = np.argsort(~kept, axis=1, kind="stable")
    return MomentTable(
        spans=np.take_along_axis(table.spans, order[..., None], axis=1),
        present=np.take_along_axis(kept, order, axis=1),
        durations=table.durations,
        scores=None if table.scores is None else np.take_along_axis(table.scores, order, axis=1),
    )
