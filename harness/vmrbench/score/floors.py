"""What can be scored without looking at video or query: the floor under every model.

Source: Otani et al., Uncovering Hidden Challenges in Query-Based Video Moment Retrieval, BMVC 2020, restated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from vmrbench.protocol.convention import VMRBENCH_V1, Protocol
from vmrbench.score.measures import reached
from vmrbench.score.moments import Floats, MomentTable, true_moments
from vmrbench.spans import iou_matrix
from vmrbench.types import Annotation

GRID_STEPS = 20
RANDOM_DRAWS = 200
_QUERIES_AT_ONCE = 2000


@dataclass(frozen=True, kw_only=True)
class Floors:
    """Query-blind scores on the test split, in percent, by metric (`R1@<IoU>`, `mIoU`).

    constant: the normalised window that is best on train for that very metric, or a given one; constant_window: that
    window, start and end as shares of the video; whole_video: the whole video; random: the expected score of a window
    whose two ends are uniform. constant and constant_window are None without train split and given window.
    """

    constant: Mapping[str, float] | None
    constant_window: Mapping[str, tuple[float, float]] | None
    whole_video: Mapping[str, float]
    random: Mapping[str, float]

    def best(self, metric: str) -> float:
        """The highest floor of a metric; KeyError where it has none."""
        found = [self.whole_video[metric], self.random[metric]]
        if self.constant is not None:
            found.append(self.constant[metric])
        return max(found)


def floors(
    train_annotations: Sequence[Annotation] | None,
    test_annotations: Sequence[Annotation],
    protocol: Protocol = VMRBENCH_V1,
    window: tuple[float, float] | None = None,
) -> Floors:
    """Query-blind floors of a test split.

    The constant window is chosen on train among all windows whose ends are multiples of 0.05, once per metric; of
    equally good ones the earliest and then shortest; without train it is `window`, start and end as shares of the
    video. The random floor averages 200 seeded windows a query.

    Raises:
        DataError: an annotation has no usable moment.
    """
    scores = _scores(protocol)
    truth, durations = _truth(test_annotations, protocol)
    whole = _best_overlap(np.array([[0.0, 1.0]]), truth, durations)
    draws = np.random.default_rng(protocol.seed).random((len(test_annotations), RANDOM_DRAWS, 2))
    random = _best_overlap(np.sort(draws, axis=-1), truth, durations)
    constant: dict[str, float] | None = None
    windows: dict[str, tuple[float, float]] | None = None
    if train_annotations:
        windows = _fitted_windows(train_annotations, protocol)
    elif window is not None:
        windows = dict.fromkeys(scores, window)
    if windows is not None:
        constant = {
            name: float(scores[name](_best_overlap(np.array([window]), truth, durations)).mean())
            for name, window in windows.items()
        }
    return Floors(
        constant=constant,
        constant_window=windows,
        whole_video={name: float(score(whole).mean()) for name, score in scores.items()},
        random={name: float(score(random).mean()) for name, score in scores.items()},
    )


def _scores(protocol: Protocol) -> dict[str, Callable[[Floats], Floats]]:
    """From best overlaps of one window a query to percent, by metric."""

    def recall(threshold: float) -> Callable[[Floats], Floats]:
        return lambda best: np.where(reached(best, threshold, protocol), 100.0, 0.0)

    found = {f"R1@{threshold:g}": recall(threshold) for threshold in protocol.recall_thresholds}
    return {**found, "mIoU": lambda best: 100.0 * best}


def _fitted_windows(annotations: Sequence[Annotation], protocol: Protocol) -> dict[str, tuple[float, float]]:
    truth, durations = _truth(annotations, protocol)
    grid = [
        (start / GRID_STEPS, end / GRID_STEPS)
        for start in range(GRID_STEPS)
        for end in range(start + 1, GRID_STEPS + 1)
    ]
    best = _best_overlap(np.array(grid), truth, durations)
    return {name: grid[int(score(best).mean(axis=0).argmax())] for name, score in _scores(protocol).items()}


def _best_overlap(windows: Floats, truth: MomentTable, durations: Floats) -> Floats:
    """[N, W] best IoU of each window over a query's true moments. windows: [W, 2] or [N, W, 2], shares of the video."""
    own = windows.ndim == 3
    found = []
    for start in range(0, len(durations), _QUERIES_AT_ONCE):
        rows = slice(start, start + _QUERIES_AT_ONCE)
        seconds = (windows[rows] if own else windows[None]) * durations[rows, None, None]
        spans, present = truth.spans[rows], truth.present[rows]
        best = np.zeros(seconds.shape[:2])
        for place in range(spans.shape[1]):
            overlap = iou_matrix(torch.from_numpy(seconds), torch.from_numpy(spans[:, place : place + 1]))
            np.maximum(best, np.where(present[:, place, None], overlap[..., 0].numpy(), 0.0), out=best)
        found.append(best)
    return np.concatenate(found)


def _truth(annotations: Sequence[Annotation], protocol: Protocol) -> tuple[MomentTable, Floats]:
    table = true_moments(annotations, protocol)
    return table, table.durations
