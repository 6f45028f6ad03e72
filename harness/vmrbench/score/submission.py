"""Predictions files: ours, in the schema of QVHighlights submissions, and those of other systems, judged.

Source: jayleicn/moment_detr, standalone_eval/README.md (schema only): `qid`, `query`, `vid`,
`pred_relevant_windows` as [start, end, score] in seconds. Further keys are allowed and not read.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vmrbench.data.annotations import AnnotationFile
from vmrbench.errors import DataError
from vmrbench.protocol.convention import Protocol
from vmrbench.score.entries import Entry, read_entries
from vmrbench.score.faults import Fault, judge_entry, missing_queries, refuse
from vmrbench.score.windows import not_finite, window_fault
from vmrbench.types import Annotation, Prediction


@dataclass(frozen=True, kw_only=True)
class Submission:
    """Predictions of a file, with the ids and videos of the annotations, and what is odd about them."""

    predictions: tuple[Prediction, ...]
    faults: tuple[Fault, ...]


def write_predictions(path: Path, predictions: Sequence[Prediction], annotations: Sequence[Annotation]) -> None:
    """Write one line a prediction, in their order.

    Ids are those of the annotation file, of the type they have there (`extra["qid"]`); where annotations come from no
    such file, ids that are whole numbers are written as numbers.

    Raises:
        DataError: a prediction has no annotation, which holds its sentence.
    """
    known = {annotation.sample_id: annotation for annotation in annotations}
    lines = []
    for prediction in predictions:
        annotation = known.get(prediction.sample_id)
        if annotation is None:
            raise DataError(f"{path}: query {prediction.sample_id!r} has a prediction and no annotation")
        line = {
            "qid": _written_id(annotation),
            "query": annotation.sentence,
            "vid": prediction.video_id,
            "pred_relevant_windows": [list(moment) for moment in prediction.moments],
        }
        lines.append(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
    path.write_text("".join(lines), encoding="utf-8")


def read_predictions(path: Path) -> list[Prediction]:
    """Read a predictions file in file order; windows stay in the order of the file.

    Raises:
        DataError: the file cannot be read, a line is of no known schema, a window is NaN, reversed or empty, or a query
            id comes twice. The message names file, line and query.
    """
    predictions: list[Prediction] = []
    seen: dict[str, str] = {}
    for entry in read_entries(path):
        where = f"{path}: {entry.place}: query {entry.sample_id!r}"
        _once(entry, seen, where)
        for rank, window in enumerate(entry.windows, start=1):
            fault = not_finite(entry.as_written(window)) or window_fault(window)
            if fault:
                raise DataError(f"{where}: window {rank}: {fault}; expected finite numbers and start < end")
        predictions.append(
            Prediction(
                sample_id=entry.sample_id,
                video_id=entry.video_id or "",
                moments=entry.windows,
                saliency=entry.saliency,
            )
        )
    return predictions


def read_submission(path: Path, annotations: Sequence[Annotation], protocol: Protocol) -> Submission:
    """Read a predictions file for these annotations, and judge it as the protocol does.

    Ids are matched by their text; those of Ego4D's results by `<annotation_uid>_<query_idx>`, which is the id of an
    annotation or is made of its `extra["annotation_uid"]` and `extra["query_idx"]`. Predictions for queries that the
    policy for defects dropped from an `AnnotationFile`, which counts them, are left out too.

    Raises:
        DataError: the file is of no known schema, a number is NaN, a query id is unknown or comes twice, a video is
            another than the annotation's; where the protocol refuses faults, also a window that is reversed, empty or
            beyond the video, a list not sorted by score, or a missing query. The message names file, line and query.
    """
    known = _by_id(annotations)
    dropped = annotations.dropped if isinstance(annotations, AnnotationFile) else frozenset()
    seen: dict[str, str] = {}
    predictions, faults = [], []
    for entry in read_entries(path):
        where = f"{path}: {entry.place}: query {entry.sample_id!r}"
        annotation = known.get(entry.sample_id)
        if annotation is None and entry.sample_id in dropped:
            continue
        if annotation is None:
            raise DataError(f"{where} has a prediction and no annotation; score against its own split")
        _once(entry, seen, where)
        _check_video(entry, annotation, where)
        faults += judge_entry(entry, annotation, where)
        predictions.append(
            Prediction(
                sample_id=annotation.sample_id,
                video_id=annotation.video_id,
                moments=entry.windows,
                saliency=entry.saliency,
            )
        )
    answered = {prediction.sample_id for prediction in predictions}
    faults += missing_queries([a.sample_id for a in annotations if a.sample_id not in answered])
    refuse(faults, path, protocol, len(annotations))
    return Submission(predictions=tuple(predictions), faults=tuple(faults))


def _by_id(annotations: Sequence[Annotation]) -> dict[str, Annotation]:
    made = {
        f"{annotation.extra['annotation_uid']}_{annotation.extra['query_idx']}": annotation
        for annotation in annotations
        if {"annotation_uid", "query_idx"} <= set(annotation.extra)
    }
    return made | {annotation.sample_id: annotation for annotation in annotations}


def _once(entry: Entry, seen: dict[str, str], where: str) -> None:
    if entry.sample_id in seen:
        raise DataError(f"{where} was on {seen[entry.sample_id]} already")
    seen[entry.sample_id] = entry.place


def _check_video(entry: Entry, annotation: Annotation, where: str) -> None:
    here = {annotation.video_id, annotation.extra.get("clip_uid"), annotation.extra.get("clip_id")}
    if entry.video_id is not None and entry.video_id not in here:
        raise DataError(f"{where}: predicted in video {entry.video_id!r}, annotated in {annotation.video_id!r}")


def _written_id(annotation: Annotation) -> int | str:
    """Evaluators of this schema compare ids by type, and its own ids are numbers."""
    sample_id, given = annotation.sample_id, annotation.extra.get("qid")
    # An id that was made unique, or is no id, is not the query's own.
    if isinstance(given, int | str) and not isinstance(given, bool) and str(given) == sample_id:
        return given
    return (
        int(sample_id)
        if sample_id.isascii() and sample_id.isdigit() and str(int(sample_id)) == sample_id
        else sample_id
    )
