"""Predictions files as their authors write them, entry by entry: what is read, where it stood, nothing judged.

Schemas, facts restated: QVHighlights submissions (jayleicn/moment_detr standalone_eval/README.md), which most code
bases write for every data set; Ego4D NLQ results (EGO4D/episodic-memory NLQ); MAD and Ego4D predictions in JSON lines
with `query_id` (houzhijian/CONE); TVR submissions (jayleicn/TVRetrieval).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vmrbench.data.flavours.documents import RepeatedKeyError, load_json
from vmrbench.errors import DataError
from vmrbench.score.windows import Window

Row = Mapping[str, Any]
_TVR_TASKS = ("SVMR", "VCMR")
_EXPECTED = "an object with 'qid' and 'pred_relevant_windows', or with 'query_id' and 'predicted_times'"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What a file says of one query.

    place: such as `line 3`; video_id: None where the file names none; windows: (start s, end s, score) in the order of
    the file; scored: whether the scores are the file's own, else they only number the order.
    """

    place: str
    sample_id: str
    video_id: str | None
    windows: tuple[Window, ...]
    scored: bool
    saliency: tuple[float, ...] | None

    def as_written(self, window: Window) -> Window | tuple[float, float]:
        """One of its windows, without a score that only numbers the order."""
        return window if self.scored else window[:2]


def read_entries(path: Path) -> list[Entry]:
    """Read a predictions file of any known schema, in the order of the file.

    Raises:
        DataError: the file cannot be read or is of no known schema; the message names file, line and query.
    """
    text = _text(path)
    whole = _whole(text, path)
    if isinstance(whole, dict) and isinstance(whole.get("results"), list):
        return [_entry(row, f"{path}: result {n}", f"result {n}") for n, row in enumerate(whole["results"], start=1)]
    if isinstance(whole, dict) and any(isinstance(whole.get(task), list) for task in _TVR_TASKS):
        return list(_tvr(whole, path))
    if isinstance(whole, dict) and "\n" in text.strip():
        raise DataError(f"{path}: is one JSON object with {_short(list(whole))}; expected {_EXPECTED}, one a line")
    if isinstance(whole, list):
        return [_entry(row, f"{path}: entry {n}", f"entry {n}") for n, row in enumerate(whole, start=1)]
    return [
        _entry(_parsed(line, f"{path}: line {n}"), f"{path}: line {n}", f"line {n}")
        for n, line in enumerate(text.split("\n"), start=1)
        if line.strip()
    ]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error


def _whole(text: str, path: Path) -> object:
    """The file as one JSON value, None where it is none: JSON lines of several objects are not."""
    try:
        return load_json(text)
    except RepeatedKeyError as error:
        raise DataError(f"{path}: {error}") from error
    except (ValueError, RecursionError):
        return None


def _parsed(line: str, where: str) -> object:
    try:
        return load_json(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: is no JSON: {error}") from error


def _entry(row: object, where: str, place: str) -> Entry:
    if not isinstance(row, dict):
        raise DataError(f"{where}: found {type(row).__name__}, expected {_EXPECTED}")
    sample_id = _sample_id(row, where)
    where = f"{where}: query {sample_id!r}"
    windows, scored = _windows(row, where)
    return Entry(
        place=place,
        sample_id=sample_id,
        video_id=_video(row, where),
        windows=windows,
        scored=scored,
        saliency=_saliency(row.get("pred_saliency_scores"), where),
    )


def _sample_id(row: Row, where: str) -> str:
    if "annotation_uid" in row and "qid" not in row and "query_id" not in row:
        return f"{_id(row, 'annotation_uid', where)}_{_id(row, 'query_idx', where)}"
    return _id(row, "query_id" if "query_id" in row else "qid", where)


def _id(row: Row, key: str, where: str) -> str:
    found = row.get(key)
    if isinstance(found, bool) or not isinstance(found, int | str):
        raise DataError(f"{where}: {key!r} is {_short(found)}; expected a text or a whole number")
    try:
        return str(found)
    except ValueError as error:  # Python refuses to write out a whole number of thousands of digits.
        raise DataError(f"{where}: {key!r} is a whole number too long to read") from error


def _video(row: Row, where: str) -> str | None:
    """QVHighlights submissions name the video always, the others under several names or not at all."""
    if "qid" in row and "query_id" not in row and not isinstance(row.get("vid"), str):
        raise DataError(f"{where}: 'vid' is {_short(row.get('vid'))}; expected a text")
    named = [row[key] for key in ("vid", "clip_uid", "clip_id", "video_id", "movie") if isinstance(row.get(key), str)]
    return named[0] if named else None


def _windows(row: Row, where: str) -> tuple[tuple[Window, ...], bool]:
    key = "pred_relevant_windows" if "pred_relevant_windows" in row else "predicted_times"
    listed = row.get(key)
    if not isinstance(listed, list):
        shown = "pred_relevant_windows" if "qid" in row else key
        raise DataError(f"{where}: {shown!r} is {_short(listed)}; expected a list of [start, end, score]")
    # Ego4D's results and CONE's fused ones are ranked: without a score of their own, or with several.
    scored = key == "pred_relevant_windows" or any(isinstance(window, list) and len(window) == 3 for window in listed)
    windows = []
    for rank, window in enumerate(listed, start=1):
        numbers = _numbers(window, f"{where}: window {rank}", 3 if scored else 2)
        windows.append((numbers[0], numbers[1], numbers[2] if scored else -float(rank)))
    return tuple(windows), scored


def _numbers(window: object, where: str, count: int) -> list[float]:
    expected = "[start, end, score]" if count == 3 else "[start, end]"
    right = isinstance(window, list) and (len(window) == 3 if count == 3 else len(window) >= 2)
    if not isinstance(window, list) or not right:
        raise DataError(f"{where}: is {_short(window)}; expected {expected} as numbers")
    return [_number(value, where, window, expected) for value in window[:count]]


def _number(value: object, where: str, found: object, expected: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DataError(f"{where}: is {_short(found)}; expected {expected} as numbers")
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _saliency(listed: object, where: str) -> tuple[float, ...] | None:
    if listed is None:
        return None
    if not isinstance(listed, list):
        raise DataError(f"{where}: 'pred_saliency_scores' is {_short(listed)}; expected a list of numbers")
    where = f"{where}: 'pred_saliency_scores'"
    scores = tuple(_number(value, where, value, "one number a clip,") for value in listed)
    broken = [place for place, value in enumerate(scores, start=1) if not math.isfinite(value)]
    if broken:
        raise DataError(f"{where}: number {broken[0]} is {scores[broken[0] - 1]}; expected finite numbers")
    return scores


def _tvr(whole: Row, path: Path) -> Iterator[Entry]:
    """A TVR submission: `video2idx` numbers the videos, SVMR searches the query's own."""
    if not isinstance(whole.get("SVMR"), list):
        raise DataError(
            f"{path}: holds no list 'SVMR'; moments are scored inside the query's own video, not in a corpus"
        )
    numbered = whole.get("video2idx")
    pairs = numbered.items() if isinstance(numbered, dict) else ()
    names = {number: name for name, number in pairs if isinstance(number, int)}
    for place, row in enumerate(whole["SVMR"], start=1):
        where = f"{path}: SVMR {place}"
        if not isinstance(row, dict) or not isinstance(row.get("predictions"), list):
            raise DataError(f"{where}: is {_short(row)}; expected an object with 'desc_id' and 'predictions'")
        sample_id = _id(row, "desc_id", where)
        where = f"{where}: query {sample_id!r}"
        found = [
            _tvr_window(listed, names, f"{where}: prediction {rank}")
            for rank, listed in enumerate(row["predictions"], start=1)
        ]
        videos = sorted({name for name, _ in found})
        if len(videos) > 1:
            raise DataError(
                f"{where}: SVMR predictions in several videos, {videos[0]!r} and {videos[1]!r}; expected one"
            )
        yield Entry(
            place=f"SVMR {place}",
            sample_id=sample_id,
            video_id=videos[0] if videos else None,
            windows=tuple(window for _, window in found),
            scored=True,
            saliency=None,
        )


def _tvr_window(listed: object, names: Mapping[int, str], where: str) -> tuple[str, Window]:
    if not isinstance(listed, list) or len(listed) != 4 or not isinstance(listed[0], int) or listed[0] not in names:
        raise DataError(f"{where}: is {_short(listed)}; expected [video number of video2idx, start, end, score]")
    start, end, score = _numbers(listed[1:], where, 3)
    return names[listed[0]], (start, end, score)


def _short(value: object) -> str:
    """A value as it is shown in a message, cut where it is long."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        return f"a {type(value).__name__} too large to show"
    return text if len(text) <= 80 else text[:77] + "..."
