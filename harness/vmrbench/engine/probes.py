"""Changed inputs that show what a trained arm relies on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from vmrbench.protocols import Split
from vmrbench.types import Annotation, Sample


class ShuffledQueries:
    """A split in which every sample is asked the query of a sample of another video.

    A model that survives it finds moments by where they usually lie, not by what the sentence says.
    """

    def __init__(self, split: Split, seed: int) -> None:
        self._split = split
        self._source = _other_video([a.video_id for a in split.annotations], seed)

    def __len__(self) -> int:
        return len(self._split)

    def __getitem__(self, position: int) -> Sample:
        return replace(self._split[position], query=self._split[int(self._source[position])].query)

    @property
    def annotations(self) -> Sequence[Annotation]:
        """The unchanged annotations: the truth stays where it was."""
        return self._split.annotations


class ZeroedVideo:
    """A split in which every video is zero: expensive features, index and finer clips; times and query stay.

    A model that survives it finds moments by the sentence and the length of the video alone.
    """

    def __init__(self, split: Split) -> None:
        self._split = split

    def __len__(self) -> int:
        return len(self._split)

    def __getitem__(self, position: int) -> Sample:
        sample = self._split[position]
        finer = sample.finer
        return replace(
            sample,
            clips=torch.zeros_like(sample.clips),
            index=None if sample.index is None else torch.zeros_like(sample.index),
            finer=None if finer is None else replace(finer, clips=torch.zeros_like(finer.clips)),
        )

    @property
    def annotations(self) -> Sequence[Annotation]:
        """The unchanged annotations."""
        return self._split.annotations


def _other_video(videos: Sequence[str], seed: int) -> np.ndarray:
    """For every sample the position of a sample of another video; with one video only, of another sample."""
    order = np.random.default_rng(seed).permutation(len(videos))
    names = np.asarray(videos)[order]
    source = np.empty(len(videos), dtype=np.int64)
    for place, sample in enumerate(order):
        later = np.roll(names, -place - 1)
        differs = np.flatnonzero(later != names[place])
        source[sample] = order[(place + 1 + (int(differs[0]) if len(differs) else 0)) % len(videos)]
    return source
