from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vmrbench.data.features import FeatureSource
from vmrbench.data.timing import same_clip_seconds, timing_of
from vmrbench.errors import ConfigError, DataError


def source(**changes: Any) -> FeatureSource:
    return FeatureSource(path=Path("f"), encoder="c3d", **changes)


def spans(rows: int, duration: float, *, fps: float | None = None, **changes: Any) -> tuple[list[float], list[float]]:
    start, end = timing_of(source(**changes), rows, duration, fps).spans(rows, duration)
    return start.tolist(), end.tolist()


def test_rows_that_share_the_video_are_even() -> None:
    assert spans(4, 10.0, clip_seconds="video") == ([0.0, 2.5, 5.0, 7.5], [2.5, 5.0, 7.5, 10.0])


def test_stride_over_frame_rate_is_the_length_of_a_row() -> None:
    # 16 frames at 32 a second: half a second.
    assert spans(3, 1.5, stride_frames=16.0, fps=32.0) == ([0.0, 0.5, 1.0], [0.5, 1.0, 1.5])


def test_rows_are_centred_on_the_window_they_were_made_from() -> None:
    # Windows of 16 frames every 4, at 4 frames a second, are centred at 2, 3 and 4 s.
    assert spans(3, 6.0, stride_frames=4.0, window_frames=16.0, fps=4.0) == ([0.0, 2.5, 3.5], [2.5, 3.5, 6.0])


def test_rows_cover_their_windows() -> None:
    # Frames 0 to 24 at 4 a second.
    timing = timing_of(source(stride_frames=4.0, window_frames=16.0, fps=4.0), 3, 6.0, None)

    assert timing.covered(3) == 6.0


def test_frame_rate_is_taken_from_the_annotation() -> None:
    assert spans(2, 1.0, fps=32.0, stride_frames=16.0) == ([0.0, 0.5], [0.5, 1.0])


def test_annotation_without_frame_rate_is_refused() -> None:
    with pytest.raises(DataError, match="no 'fps': set fps"):
        spans(2, 1.0, stride_frames=16.0)


def test_rows_left_out_lengthen_the_others() -> None:
    assert spans(2, 1.0, stride_frames=4.0, take_every=4, window_frames=16.0, fps=32.0) == ([0.0, 0.5], [0.5, 1.0])
    assert spans(2, 4.0, clip_seconds=1.0, take_every=2) == ([0.0, 2.0], [2.0, 4.0])


def test_equal_lengths_written_differently_are_the_same() -> None:
    assert same_clip_seconds([source(), source(stride_frames=60.0, fps=30.0)]) == 2.0


def test_length_that_differs_by_video_is_no_number() -> None:
    assert same_clip_seconds([source(clip_seconds="video")] * 2) is None
    assert same_clip_seconds([source(stride_frames=4.0)] * 2) is None


@pytest.mark.parametrize("other", [{"clip_seconds": "video"}, {"stride_frames": 60.0}, {"clip_seconds": 1.0}])
def test_sources_that_declare_different_lengths_are_refused(other: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="one value for clips and index expected"):
        same_clip_seconds([source(), source(**other)])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"clip_seconds": 0.0}, "clip_seconds: 0.0 found"),
        ({"stride_frames": 4.0, "fps": -1.0}, "fps: -1.0 found"),
        ({"take_every": 0}, "take_every: 0 found"),
        ({"fps": 30.0}, "read with stride_frames only"),
        ({"stride_frames": 4.0, "clip_seconds": 1.0}, "both given"),
    ],
)
def test_times_that_make_no_sense_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        source(**changes)
