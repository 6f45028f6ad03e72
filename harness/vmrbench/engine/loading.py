"""Batches of a split: of like length, which saves padding, in an order that depends on seed and epoch alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, Sampler

from vmrbench.data.collate import collate
from vmrbench.protocols import Split

# Batches whose samples are sorted by length together: enough to save padding, few enough to keep batches mixed.
CHUNK = 12


class LengthBuckets(Sampler[list[int]]):
    """Shuffled batches of like length.

    Samples are shuffled, cut into chunks of several batches, and sorted by length inside a chunk; the batches are
    shuffled again. `set_epoch` picks the order.
    """

    def __init__(self, lengths: Sequence[float], batch_size: int, seed: int) -> None:
        self._lengths, self._batch_size, self._seed = np.asarray(lengths), batch_size, seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of that epoch."""
        self._epoch = epoch

    def __len__(self) -> int:
        return -(-len(self._lengths) // self._batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        random = np.random.default_rng((self._seed, self._epoch))
        order = random.permutation(len(self._lengths))
        size = self._batch_size * CHUNK
        chunks = [order[i : i + size] for i in range(0, len(order), size)]
        ranked = np.concatenate([chunk[np.argsort(self._lengths[chunk], kind="stable")] for chunk in chunks])
        batches = [ranked[i : i + self._batch_size].tolist() for i in range(0, len(ranked), self._batch_size)]
        random.shuffle(batches)
        yield from batches


def training_loader(split: Split, batch_size: int, seed: int, *, buckets: bool = True) -> DataLoader[Any]:
    """Shuffled batches for training; of like length with `buckets`, of samples as they fall without."""
    sampler = LengthBuckets(durations(split) if buckets else [0.0] * len(split), batch_size, seed)
    return DataLoader(split, batch_sampler=sampler, collate_fn=collate)  # type: ignore[arg-type]  # Split is indexable


def evaluation_batches(split: Split, batch_size: int, *, buckets: bool = True) -> list[list[int]]:
    """Positions of every sample once, in batches: as they come, or with `buckets` from the longest to the shortest.

    The longest first, so that a batch that does not fit into memory is the first one.
    """
    order = np.argsort([-length for length in durations(split)], kind="stable") if buckets else np.arange(len(split))
    return [order[start : start + batch_size].tolist() for start in range(0, len(order), batch_size)]


def evaluation_loader(split: Split, batches: list[list[int]]) -> DataLoader[Any]:
    """The batches of `evaluation_batches`."""
    return DataLoader(split, batch_sampler=batches, collate_fn=collate)  # type: ignore[arg-type]  # as above


def durations(split: Split) -> list[float]:
    """Seconds of every sample's video: rows follow them."""
    return [annotation.duration for annotation in split.annotations]
