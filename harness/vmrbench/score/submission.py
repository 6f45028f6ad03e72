"""The predictions file: one JSON object a line, in the schema of QVHighlights submissions.

Source: jayleicn/moment_detr, standalone_eval/README.md (schema only): `qid`, `query`, `vid`,
`pred_relevant_windows` as [start, end, score] in seconds. Further keys are allowed and not read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vmrbench.errors import DataError
from vmrbench.types import Annotation, Prediction

Window = tuple[float, float, float]


def write_predictions(path: Path, predictions: Sequence[Prediction], annotations: Sequence[Annotation]) -> None:
    """Write one line a prediction, in their order; ids that are whole numbers are written as numbers.

    Raises:
        DataError: a prediction has no annotation, which holds its sentence.
    """
    sentences = {annotation.sample_id: annotation.sentence for annotation in annotations}
    lines = []
    for prediction in predictions:
        if prediction.sample_id not in sentences:
            raise DataError(f"{path}: query {prediction.sample_id!r} has a prediction and no annotation")
        line = {
            "qid": _written_id(prediction.sample_id),
            "query": sentences[prediction.sample_id],
            "vid": prediction.video_id,
            "pred_relevant_windows": [list(moment) for moment in prediction.moments],
        }
        lines.append(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
    path.write_text("".join(lines), encoding="utf-8")


def read_predictions(path: Path) -> list[Prediction]:
    """Read a predictions file in file order; windows stay in the order of the file.

    Raises:
        DataError: the file cannot be read, a line is no JSON object of the schema, a window is NaN, reversed or
            empty, or a query id comes twice. The message names file, line and query.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    predictions: list[Prediction] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        prediction = _read_line(line, f"{path}: line {number}")
        sample_id = prediction.sample_id
        if sample_id in seen:
            raise DataError(f"{path}: line {number}: query {sample_id!r} was on line {seen[sample_id]} already")
        seen[sample_id] = number
        predictions.append(prediction)
    return predictions


def window_fault(window: Window) -> str | None:
    """What is wrong with a predicted window (start s, end s, score), None where nothing is."""
    start, end, _ = window
    if not all(math.isfinite(number) for number in window):
        return f"window {list(window)} holds a number that is not finite"
    if end < start:
        return f"window {[start, end]} ends before it starts"
    if end == start:
        return f"window {[start, end]} has no length"
    return None


def _read_line(line: str, where: str) -> Prediction:
    try:
        entry = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: is no JSON: {error}") from error
    if not isinstance(entry, dict):
        raise DataError(f"{where}: found {type(entry).__name__}, expected an object with 'qid', 'vid', windows")
    query_id = entry.get("qid")
    if isinstance(query_id, bool) or not isinstance(query_id, int | str):
        raise DataError(f"{where}: 'qid' is {query_id!r}; expected a text or a whole number")
    where = f"{where}: query {str(query_id)!r}"
    video_id = entry.get("vid")
    if not isinstance(video_id, str):
        raise DataError(f"{where}: 'vid' is {video_id!r}; expected a text")
    listed = entry.get("pred_relevant_windows")
    if not isinstance(listed, list):
        raise DataError(f"{where}: 'pred_relevant_windows' is {listed!r}; expected a list of [start, end, score]")
    moments = tuple(_read_window(window, f"{where}: window {place}") for place, window in enumerate(listed, start=1))
    return Prediction(sample_id=str(query_id), video_id=video_id, moments=moments)


def _read_window(window: Any, where: str) -> Window:
    is_triple = isinstance(window, list) and len(window) == 3
    if not is_triple or not all(isinstance(number, int | float) and not isinstance(number, bool) for number in window):
        raise DataError(f"{where}: is {window!r}; expected [start, end, score] as numbers")
    start, end, score = window
    read = (float(start), float(end), float(score))
    fault = window_fault(read)
    if fault:
        raise DataError(f"{where}: {fault}; expected finite numbers and start < end")
    return read


def _written_id(sample_id: str) -> int | str:
    """Evaluators of this schema compare ids by type, and its own ids are numbers."""
    return (
        int(sample_id)
        if sample_id.isascii() and sample_id.isdigit() and str(int(sample_id)) == sample_id
        else sample_id
    )
