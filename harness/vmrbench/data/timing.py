"""When the rows of a source begin and end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vmrbench.data.features import FeatureSource
from vmrbench.errors import ConfigError, DataError

Times = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Row i covers lead + i x step to lead + (i + 1) x step, in seconds; the first and the last reach to the ends."""

    step: float
    lead: float = 0.0

    def covered(self, rows: int) -> float:
        """Seconds of video that so many rows were made from."""
        return rows * self.step + 2 * self.lead

    def most_rows(self, duration: float) -> int:
        """Rows that begin before the end of a video; at least one."""
        return max(1, int(np.ceil((duration - self.lead) / self.step - 1e-6)))

    def spans(self, rows: int, duration: float) -> tuple[Times, Times]:
        """Start and end [rows] in seconds; the first starts at 0, the last reaches to the end of the video."""
        start = (self.lead + np.arange(rows) * self.step).astype(np.float32)
        end = np.minimum(start + np.float32(self.step), np.float32(duration))
        start[0], end[-1] = 0.0, duration
        return start, end


def timing_of(source: FeatureSource, rows: int, duration: float, fps: float | None) -> Timing:
    """The timing of a source for one video.

    With a stride in frames, row i is centred on the window it was made from: (i x stride + window / 2) / fps.

    Args:
        source: where the features come from.
        rows: rows that the video has, after `take_every`.
        duration: of the video, in seconds.
        fps: frames a second that the annotation tells, None where it does not.

    Raises:
        DataError: the source takes fps from the annotation, which has none.
    """
    if source.clip_seconds == "video":
        return Timing(step=duration / rows)
    if source.stride_frames is None:
        return Timing(step=source.clip_seconds * source.take_every)
    rate = fps if source.fps == "annotation" else source.fps
    if rate is None:
        raise DataError(f"{source.path}: stride_frames needs frames a second; the annotations have no 'fps': set fps")
    stride = source.stride_frames * source.take_every
    window = stride if source.window_frames is None else source.window_frames
    return Timing(step=stride / rate, lead=(window - stride) / 2 / rate)


def same_clip_seconds(sources: Sequence[FeatureSource], whose: str = "clips and index") -> float | None:
    """The length of a row that all sources share, None where it differs from video to video.

    Raises:
        ConfigError: the sources declare different lengths.
    """
    found = sorted({_declared(source) for source in sources}, key=str)
    if len(found) > 1:
        raise ConfigError(f"features: clip_seconds: {list(found)} found, one value for {whose} expected")
    return found[0] if isinstance(found[0], float) else None


def _declared(source: FeatureSource) -> float | str:
    if source.clip_seconds == "video":
        return "video"
    if not source.reads_frame_rate:
        timing = timing_of(source, 1, 1.0, None)
        return timing.step if timing.lead == 0 else f"{timing.step} s from {timing.lead} s"
    return f"one of {source.take_every} in strides of {source.stride_frames} frames, windows of {source.window_frames}"
