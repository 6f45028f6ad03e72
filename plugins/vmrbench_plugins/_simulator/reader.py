"""A reader that knows the codes: roughly what simulated features allow at most, without any training.

Every clip gets the match of its features with the queried pair (the filter that is linear and best in mean square);
the answer is the stretch of clips whose matches, less a threshold, have the greatest sum.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vmrbench.protocols import Split
from vmrbench.types import Sample
from vmrbench_plugins._simulator.features import GROUP_WIDTH, Codes, make_codes
from vmrbench_plugins._simulator.grammar import read_sentence
from vmrbench_plugins._simulator.sampling import Floats

# Between the median match of a video (0) and the best (1): the best of 0.3, 0.4, 0.5, 0.6 on `tacos` train.
THRESHOLD = 0.5
EVENTS_AT_ONCE = 1.5  # on average, for the spread of what the filter must ignore
Features = Literal["clips", "index"]


class Reader:
    """Finds moments from the features alone, with the codes known."""

    def __init__(self, features: Features) -> None:
        codes = make_codes()
        self._features = features
        if features == "clips":
            self._pairs = _filters(codes.pairs.reshape(-1, codes.pairs.shape[-1]), codes, scenes=codes.scenes)
            self._actions_count = codes.pairs.shape[1]
        else:
            self._objects = _filters(codes.index_objects, codes)
            self._actions = _filters(codes.index_actions, codes)

    def find(self, sample: Sample, sentence: str | None = None) -> tuple[float, float]:
        """Start and end in seconds of what a sentence names, the sample's own where None."""
        object_, action = read_sentence(sample.annotation.sentence if sentence is None else sentence)
        match = self._match(sample, object_, action)
        low = float(np.median(match))
        first, stop = best_stretch(match - (low + THRESHOLD * (float(match.max()) - low)))
        return float(sample.clip_start[first]), float(sample.clip_end[stop - 1])

    def _match(self, sample: Sample, object_: int, action: int) -> Floats:
        if self._features == "clips":
            return np.asarray(_centred(sample.clips.numpy()) @ self._pairs[object_ * self._actions_count + action])
        assert sample.index is not None  # simulated data sets always have one
        rows = _centred(sample.index.numpy())
        appearance = rows[:, GROUP_WIDTH : 2 * GROUP_WIDTH] @ self._objects[object_]
        return np.asarray(0.5 * (appearance + rows[:, 2 * GROUP_WIDTH :] @ self._actions[action]))


def reader_recall(split: Split, features: Features, *, iou: float = 0.5, shuffled: bool = False) -> float:
    """Share of queries whose moment the reader finds with an overlap of at least `iou` (R1), in 0..1.

    shuffled: every sample is read with the sentence of the one half a split away, to see what the query is worth.
    """
    reader = Reader(features)
    hits = []
    for position in range(len(split)):
        sample = split[position]
        asked = split.annotations[(position + len(split) // 2) % len(split)] if shuffled else sample.annotation
        hits.append(_overlap(reader.find(sample, asked.sentence), sample.annotation.moments[0]) >= iou)
    return float(np.mean(hits))


def best_stretch(scores: Floats) -> tuple[int, int]:
    """First and one past the last position of the stretch with the greatest sum; never empty."""
    total = np.concatenate([[0.0], np.cumsum(scores)])
    lowest = np.minimum.accumulate(total[:-1])
    last = int(np.argmax(total[1:] - lowest))
    return int(np.argmin(total[: last + 1])), last + 1


def _filters(codes_of: Floats, codes: Codes, scenes: Floats | None = None) -> Floats:
    """[N, D] a filter for each code, which gives 1 for it and as little as can be for the others and for noise."""
    width = codes_of.shape[1]
    spread = EVENTS_AT_ONCE * codes_of.T @ codes_of / len(codes_of) + codes.noise.clip**2 * np.eye(width)
    if scenes is not None:
        spread = spread + 0.25 * scenes.T @ scenes / len(scenes)
    filters = np.linalg.solve(spread, codes_of.T).T
    return np.asarray(filters / (filters * codes_of).sum(1, keepdims=True))


def _centred(rows: NDArray[np.float32]) -> Floats:
    return np.asarray(rows - rows.mean(0), dtype=np.float64)


def _overlap(a: tuple[float, float], b: tuple[float, float]) -> float:
    shared = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
    return shared / (a[1] - a[0] + b[1] - b[0] - shared)
