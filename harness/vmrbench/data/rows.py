"""Brings the feature rows of several sources and the length of their video together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vmrbench.data.features import FeatureStore, Rows
from vmrbench.data.timing import Times, Timing, timing_of
from vmrbench.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """What may disagree: `rows` between sources of a video, `seconds` between rows and video (None: two rows)."""

    rows: int = 2
    seconds: float | None = None


def read_rows(
    stores: Sequence[FeatureStore],
    video_id: str,
    duration: float,
    tolerance: Tolerance,
    fps: float | None = None,
) -> tuple[list[Rows], Times, Times]:
    """Features of a video from every store, cut to the shortest, with start and end [L] of each row in seconds.

    Rows that begin after the end of the video are cut off; the last row reaches to the end of the video.

    Raises:
        DataError: the sources or the video differ by more than the tolerance, or no fps is known where it is needed.
    """
    groups = [store.read(video_id) for store in stores]
    counts = [len(rows) for rows in groups]
    if max(counts) - min(counts) > tolerance.rows:
        found = ", ".join(f"{len(r)} rows in {s.source.path}" for r, s in zip(groups, stores, strict=True))
        raise DataError(f"features of {video_id!r} differ in length: {found}; at most {tolerance.rows} rows allowed")
    timing = timing_of(stores[0].source, min(counts), duration, fps)
    kept = min(*counts, timing.most_rows(duration))
    _check_duration(min(counts), timing, duration, tolerance, f"{stores[0].source.path}: {video_id!r}")
    start, end = timing.spans(kept, duration)
    return [rows[:kept] for rows in groups], start, end


def _check_duration(rows: int, timing: Timing, duration: float, tolerance: Tolerance, where: str) -> None:
    allowed = 2 * timing.step if tolerance.seconds is None else tolerance.seconds
    covered = timing.covered(rows)
    gap = abs(covered - duration)
    if gap > allowed + 1e-6:
        raise DataError(
            f"{where}: {rows} rows of {timing.step} s make {covered:g} s, the video has {duration:g} s; "
            f"correct clip_seconds, or set duration_tolerance above {gap:.2f}"
        )
