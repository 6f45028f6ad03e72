"""Tests of the order of training batches, and of queries dealt to other videos."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vmrbench.engine.loading import LengthBuckets, evaluation_batches, training_loader
from vmrbench.engine.probes import ShuffledQueries
from vmrbench.types import Annotation, Sample

LENGTHS = st.lists(st.floats(1, 500), min_size=1, max_size=60)


def batches(lengths: list[float], size: int, seed: int, epoch: int) -> list[list[int]]:
    sampler = LengthBuckets(lengths, size, seed)
    sampler.set_epoch(epoch)
    return list(sampler)


@given(LENGTHS, st.integers(1, 9), st.integers(0, 3), st.integers(0, 3))
def test_every_sample_comes_once(lengths: list[float], size: int, seed: int, epoch: int) -> None:
    found = batches(lengths, size, seed, epoch)

    assert sorted(place for batch in found for place in batch) == list(range(len(lengths)))
    assert len(found) == len(LengthBuckets(lengths, size, seed)) == -(-len(lengths) // size)
    assert max(len(batch) for batch in found) <= size


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    lengths = [float(n % 7) for n in range(40)]
    used = LengthBuckets(lengths, 4, seed=1)
    for epoch in (0, 1, 2):
        used.set_epoch(epoch)
        list(used)
    torch.manual_seed(99)

    assert list(used) == batches(lengths, 4, seed=1, epoch=2)
    assert batches(lengths, 4, seed=1, epoch=2) != batches(lengths, 4, seed=1, epoch=3)
    assert batches(lengths, 4, seed=1, epoch=2) != batches(lengths, 4, seed=2, epoch=2)


def test_batches_hold_samples_of_like_length() -> None:
    lengths = [float(n) for n in range(48)]

    spread = [max(batch) - min(batch) for batch in batches(lengths, 4, seed=0, epoch=0)]

    assert spread == [3] * 12


def of_durations(lengths: list[float]) -> Any:
    annotations = [
        Annotation(sample_id=str(n), video_id=str(n), sentence="s", duration=length, moments=((0.0, 1.0),))
        for n, length in enumerate(lengths)
    ]
    return Listed(annotations)


class Listed(list[Annotation]):
    """A split of which only the annotations are asked."""

    @property
    def annotations(self) -> list[Annotation]:
        return self


def test_without_buckets_training_takes_samples_as_they_fall() -> None:
    lengths = [float(n) for n in range(48)]
    loader = training_loader(of_durations(lengths), 4, seed=0, buckets=False)

    found: list[list[int]] = list(loader.batch_sampler)  # type: ignore[arg-type]  # Sampler of lists

    assert sorted(place for batch in found for place in batch) == list(range(48))
    assert sum(max(batch) - min(batch) for batch in found) / 12 > 20


def test_evaluation_begins_with_the_longest_and_keeps_ties_in_order() -> None:
    split = of_durations([3.0, 9.0, 1.0, 9.0, 5.0])

    assert evaluation_batches(split, 2) == [[1, 3], [4, 0], [2]]
    assert evaluation_batches(split, 2, buckets=False) == [[0, 1], [2, 3], [4]]


class Numbered:
    """A split whose query features hold the place of their sample."""

    def __init__(self, videos: list[str]) -> None:
        self.annotations = [
            Annotation(sample_id=str(n), video_id=video, sentence="s", duration=1.0, moments=((0.0, 1.0),))
            for n, video in enumerate(videos)
        ]

    def __len__(self) -> int:
        return len(self.annotations)

    def __getitem__(self, position: int) -> Sample:
        row = torch.zeros(1, 1)
        return Sample(
            annotation=self.annotations[position],
            clips=row + 100 + position,
            index=None,
            query=row + position,
            clip_start=row[0],
            clip_end=row[0] + 1,
        )


VIDEOS = st.lists(st.sampled_from("abc"), min_size=2, max_size=30).filter(lambda names: len(set(names)) > 1)


@given(VIDEOS, st.integers(0, 5))
def test_no_sample_is_asked_a_query_of_its_own_video(videos: list[str], seed: int) -> None:
    split = Numbered(videos)
    shuffled = ShuffledQueries(split, seed)

    asked = [int(shuffled[place].query) for place in range(len(shuffled))]

    assert [place for place, source in enumerate(asked) if videos[place] == videos[source]] == []


def test_shuffling_queries_changes_the_query_only() -> None:
    split = Numbered(["a", "b", "c"])
    shuffled = ShuffledQueries(split, 0)

    for place in range(3):
        assert replace(shuffled[place], query=split[place].query) == split[place]
    assert shuffled.annotations == split.annotations


@pytest.mark.parametrize("count", [2, 5])
def test_in_a_single_video_another_query_is_asked(count: int) -> None:
    shuffled = ShuffledQueries(Numbered(["a"] * count), 0)

    assert all(int(shuffled[place].query) != place for place in range(count))
