from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vmrbench.data.features import FeatureSource, FeatureStore
from vmrbench.data.rows import Tolerance, read_rows
from vmrbench.data.timing import same_clip_seconds
from vmrbench.errors import ConfigError, DataError


def store(folder: Path, name: str, rows: int, clip_seconds: float = 2.0) -> FeatureStore:
    path = folder / f"{name}.npz"
    np.savez(path, v=np.arange(rows, dtype=np.float32)[:, None])
    return FeatureStore(FeatureSource(path=path, encoder="c3d", clip_seconds=clip_seconds))


def test_rows_carry_their_times_and_the_last_ends_with_the_video(tmp_path: Path) -> None:
    _, start, end = read_rows([store(tmp_path, "a", 3)], "v", 5.5, Tolerance())

    assert start.tolist() == [0.0, 2.0, 4.0]
    assert end.tolist() == [2.0, 4.0, 5.5]


def test_last_row_reaches_to_the_end_of_a_longer_video(tmp_path: Path) -> None:
    _, _, end = read_rows([store(tmp_path, "a", 3)], "v", 7.0, Tolerance())

    assert end.tolist() == [2.0, 4.0, 7.0]


def test_rows_that_begin_after_the_video_are_cut(tmp_path: Path) -> None:
    (rows,), start, _ = read_rows([store(tmp_path, "a", 4)], "v", 6.0, Tolerance())

    assert len(rows) == len(start) == 3


def test_sources_are_cut_to_the_shortest(tmp_path: Path) -> None:
    groups, _, _ = read_rows([store(tmp_path, "a", 4), store(tmp_path, "b", 3)], "v", 7.0, Tolerance())

    assert [len(rows) for rows in groups] == [3, 3]


def test_sources_further_apart_than_allowed_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"differ in length: 6 rows in .*a.npz, 3 rows in .*b.npz; at most 2"):
        read_rows([store(tmp_path, "a", 6), store(tmp_path, "b", 3)], "v", 8.0, Tolerance())


@pytest.mark.parametrize("duration", [3.9, 16.1])
def test_video_of_another_length_than_its_rows_is_refused(tmp_path: Path, duration: float) -> None:
    with pytest.raises(DataError, match=r"5 rows of 2.0 s make 10 s"):
        read_rows([store(tmp_path, "a", 5)], "v", duration, Tolerance())


def test_declared_tolerance_in_seconds_is_kept(tmp_path: Path) -> None:
    groups, _, _ = read_rows([store(tmp_path, "a", 5)], "v", 16.0, Tolerance(seconds=6.0))

    assert len(groups[0]) == 5


def test_sources_of_different_row_length_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"clip_seconds: \[1.0, 2.0\]"):
        same_clip_seconds([store(tmp_path, "a", 5).source, store(tmp_path, "b", 5, clip_seconds=1.0).source])
