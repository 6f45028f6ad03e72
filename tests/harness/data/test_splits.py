from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from vmrbench.data.cache import KeepLast
from vmrbench.data.splits import carve_validation, limit
from vmrbench.errors import DataError
from vmrbench.types import Annotation


def queries(videos: int, each: int) -> list[Annotation]:
    return [
        Annotation(sample_id=f"{v}-{q}", video_id=f"v{v}", sentence="x", duration=9.0, moments=((0.0, 1.0),))
        for v in range(videos)
        for q in range(each)
    ]


def test_no_video_is_in_both_training_and_validation() -> None:
    train, val = carve_validation(queries(20, 3), 0.1, seed=0)

    assert {a.video_id for a in train}.isdisjoint(a.video_id for a in val)
    assert len(val) == 2 * 3
    assert len(train) + len(val) == 60


def test_carving_depends_on_the_seed_only() -> None:
    first, second = (carve_validation(queries(20, 3), 0.2, seed=5)[1] for _ in range(2))

    assert first == second
    assert carve_validation(queries(20, 3), 0.2, seed=6)[1] != first


def test_each_side_keeps_a_video() -> None:
    assert len(carve_validation(queries(2, 1), 0.001, seed=0)[1]) == 1
    assert len(carve_validation(queries(2, 1), 0.999, seed=0)[0]) == 1


def test_one_video_cannot_be_divided() -> None:
    with pytest.raises(DataError, match="from 1 video"):
        carve_validation(queries(1, 4), 0.1, seed=0)


def test_limit_takes_whole_videos_then_queries_in_order() -> None:
    kept = limit(queries(10, 4), videos=3, queries=5, seed=0)

    assert len(kept) == 5
    assert len({a.video_id for a in kept}) <= 3
    assert kept == [a for a in queries(10, 4) if a in kept]


def test_limit_of_none_keeps_all() -> None:
    assert limit(queries(3, 2), videos=None, queries=None, seed=0) == queries(3, 2)


@dataclass(frozen=True)
class Video:
    """Ten bytes a number: four in one tensor, six in a part of a pair."""

    name: str
    clips: torch.Tensor
    more: tuple[torch.Tensor, int]


def test_remembered_value_is_loaded_once() -> None:
    loaded: list[str] = []

    def load(key: str) -> Video:
        loaded.append(key)
        size = 5 if key == "large" else 1
        return Video(key, torch.zeros(size, dtype=torch.float32), (torch.zeros(3 * size, dtype=torch.int16), 1))

    keep: KeepLast[str, Video] = KeepLast(load, 20)

    for key in ("a", "b", "a", "c", "a", "b"):
        assert keep(key).name == key
    assert loaded == ["a", "b", "c", "b"]

    # What is larger than all of the memory is still kept until the next one comes.
    for key in ("large", "large", "b", "b", "large"):
        keep(key)
    assert loaded[4:] == ["large", "b", "large"]
