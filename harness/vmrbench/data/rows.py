"""Brings the feature rows of several sources and the length of their video together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vmrbench.data.features import FeatureStore, Rows
from vmrbench.errors import ConfigError, DataError

Times = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """What may disagree: `rows` between sources of a video, `seconds` between rows and video (None: two rows)."""

    rows: int = 2
    seconds: float | None = None


def read_rows(
    stores: Sequence[FeatureStore], video_id: str, duration: float, tolerance: Tolerance
) -> tuple[list[Rows], Times, Times]:
    """Features of a video from every store, cut to the shortest, with start and end [L] of each row in seconds.

    Rows that begin after the end of the video are cut off; the last row reaches to the end of the video.

    Raises:
        DataError: the sources or the video differ by more than the tolerance.
    """
    groups = [store.read(video_id) for store in stores]
    counts = [len(rows) for rows in groups]
    if max(counts) - min(counts) > tolerance.rows:
        found = ", ".join(f"{len(r)} rows in {s.source.path}" for r, s in zip(groups, stores, strict=True))
        raise DataError(f"features of {video_id!r} differ in length: {found}; at most {tolerance.rows} rows allowed")
    clip_seconds = stores[0].source.clip_seconds
    kept = min(*counts, max(1, int(np.ceil(duration / clip_seconds - 1e-6)))) if counts else 0
    _check_duration(min(counts), clip_seconds, duration, tolerance, f"{stores[0].source.path}: {video_id!r}")
    start = (np.arange(kept) * clip_seconds).astype(np.float32)
    end = np.minimum(start + np.float32(clip_seconds), np.float32(duration))
    end[-1] = duration
    return [rows[:kept] for rows in groups], start, end


def same_clip_seconds(stores: Sequence[FeatureStore]) -> float:
    """The length of a row that all stores share. Raises ConfigError where they differ."""
    found = sorted({store.source.clip_seconds for store in stores})
    if len(found) > 1:
        raise ConfigError(f"features: clip_seconds: {found} found, one value for clips and index expected")
    return found[0]


def _check_duration(rows: int, clip_seconds: float, duration: float, tolerance: Tolerance, where: str) -> None:
    allowed = 2 * clip_seconds if tolerance.seconds is None else tolerance.seconds
    gap = abs(rows * clip_seconds - duration)
    if gap > allowed + 1e-6:
        raise DataError(
            f"{where}: {rows} rows of {clip_seconds} s make {rows * clip_seconds:g} s, the video has {duration:g} s; "
            f"correct clip_seconds, or set duration_tolerance above {gap:.2f}"
        )
