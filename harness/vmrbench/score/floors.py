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
# Every window whose ends are multiples of 0.05 of the video, the earliest first, then the shortest.
_GRID = [
    (start / GRID_STEPS, end / GRID_STEPS) for start in range(GRID_STEPS) for end in range(start + 1, GRID_STEPS + 1)
]


@dataclass(frozen=True, kw_only=True)
class Floors:
    """Query-blind scores on the test split, in percent, by metric (`R1@<IoU>`, `mIoU`).

    constant: the normalised window that is best on train for that very metric, or a given one; constant_window: that
    window, start and end as shares of the video; whole_video: the whole video; random: the expected score of a window
    whose two ends are uniform; prior: of a window drawn from the moments of train, start and end as shares of their
    video. constant and constant_window are None without train split and given window, prior without train split.
    """

    constant: Mapping[str, float] | None
    constant_window: Mapping[str, tuple[float, float]] | None
    whole_video: Mapping[str, float]
    random: Mapping[str, float]
    prior: Mapping[str, float] | None = None

    def best(self, metric: str) -> float:
        """The highest floor of a metric; KeyError where it has none."""
        found = [self.whole_video[metric], self.random[metric]]
        if self.constant is not None:
            found.append(self.constant[metric])
        if self.prior is not None:
            found.append(self.prior[metric])
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
    video. The random floor averages 200 seeded windows a query, the prior 200 seeded draws.

    Raises:
        DataError: an annotation has no usable moment.
    """
    scores = _scores(protocol)
    truth, durations = _truth(test_annotations, protocol)
    whole = _best_overlap(np.array([[0.0, 1.0]]), truth, durations)
    draws = np.random.default_rng(protocol.seed).random((len(test_annotations), RANDOM_DRAWS, 2))
    random = _best_overlap(np.sort(draws, axis=-1), truth, durations)
    prior: dict[str, float] | None = None
    if train_annotations:
        drawn = _best_overlap(_prior_draws(train_annotations, len(test_annotations), protocol), truth, durations)
        prior = {name: float(score(drawn).mean()) for name, score in scores.items()}
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
        prior=prior,
    )


def ranked_windows(
    annotations: Sequence[Annotation], metric: str, most: int, protocol: Protocol = VMRBENCH_V1
) -> list[tuple[float, float]]:
    """Windows for these queries, as shares of the video: the best for a metric, then those that add most to it.

    Every further window is the one that raises most the mean over queries of the best score of those before it and
    itself; of equally good ones the earliest and then shortest. The list ends where none adds anything.

    Args:
        annotations: at least one.
        metric: `R1@<IoU>` or `mIoU`.
        most: how many at most.
        protocol: the rule by which an IoU reaches a threshold.

    Raises:
        ValueError: the metric is another.
        DataError: an annotation has no usable moment.

    Source:
        Nemhauser et al., An analysis of approximations for maximizing submodular set functions, 1978 (the greedy rule).
    """
    score = score_of(metric, protocol)
    truth, durations = _truth(annotations, protocol)
    values = score(_best_overlap(np.array(_GRID), truth, durations))
    covered = np.zeros(len(values))
    found: list[tuple[float, float]] = []
    while len(found) < most:
        gains = np.maximum(values - covered[:, None], 0.0).mean(axis=0)
        place = int(gains.argmax())
        if gains[place] <= 0 and found:
            break
        found.append(_GRID[place])
        covered = np.maximum(covered, values[:, place])
    return found


def score_of(metric: str, protocol: Protocol = VMRBENCH_V1) -> Callable[[Floats], Floats]:
    """From the best IoU of a window to percent, by `R1@<IoU>` or `mIoU`.

    Raises:
        ValueError: the metric is another, or its IoU is not above 0 and at most 1.
    """
    if metric == "mIoU":
        return lambda best: 100.0 * best
    name, _, text = metric.partition("@")
    try:
        threshold = float(text) if name == "R1" else 0.0
    except ValueError:
        threshold = 0.0
    if not 0.0 < threshold <= 1.0:
        raise ValueError(f"metric {metric!r}; expected mIoU, or R1@ and an IoU above 0 and at most 1, such as R1@0.5")
    return lambda best: np.where(reached(best, threshold, protocol), 100.0, 0.0)


def moment_shares(annotations: Sequence[Annotation], protocol: Protocol = VMRBENCH_V1) -> Floats:
    """[M, 2] start and end of every true moment as shares of its video, in the order of the annotations.

    Raises:
        DataError: an annotation has no usable moment.
    """
    truth, durations = _truth(annotations, protocol)
    shares: Floats = (truth.spans / durations[:, None, None])[truth.present]
    return shares


def _prior_draws(train: Sequence[Annotation], queries: int, protocol: Protocol) -> Floats:
    """[queries, draws, 2] moments of train, drawn with replacement."""
    shares = moment_shares(train, protocol)
    drawn: Floats = shares[np.random.default_rng(protocol.seed).integers(0, len(shares), (queries, RANDOM_DRAWS))]
    return drawn


def _scores(protocol: Protocol) -> dict[str, Callable[[Floats], Floats]]:
    """From best overlaps of one window a query to percent, by metric."""
    names = [name for name in protocol.metric_names if name == "mIoU" or name.startswith("R1@")]
    return {name: score_of(name, protocol) for name in names}


def _fitted_windows(annotations: Sequence[Annotation], protocol: Protocol) -> dict[str, tuple[float, float]]:
    truth, durations = _truth(annotations, protocol)
    best = _best_overlap(np.array(_GRID), truth, durations)
    return {name: _GRID[int(score(best).mean(axis=0).argmax())] for name, score in _scores(protocol).items()}


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
