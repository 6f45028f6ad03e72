"""How long scoring takes at the sizes of the field's test splits, with and without intervals, on one core.

Predictions and truth are made up; only their numbers are those of the data sets. Run: python examples/scoring_speed.py,
with `--split NAME` and `--rounds N` to measure less or more.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from vmrbench.cost.machine import machine_facts, machine_line
from vmrbench.protocol.convention import VMRBENCH_V1
from vmrbench.protocol.published import QVHIGHLIGHTS_V1
from vmrbench.score.details import details
from vmrbench.score.intervals import bootstrap
from vmrbench.score.moments import predicted_moments, true_moments
from vmrbench.score.per_query import score_predictions
from vmrbench.types import Annotation, Prediction

# Queries, source videos and windows a query of the split whose name it is.
SIZES = {
    "QVHighlights val": (1550, 474, 10),
    "Charades-STA test": (3720, 1334, 10),
    "ActivityNet val_2": (17031, 4885, 10),
    "TACoS test": (4001, 25, 10),
}


def made_up(queries: int, videos: int, windows: int) -> tuple[list[Prediction], list[Annotation]]:
    """Random windows in videos of 150 s, one or two true moments a query."""
    drawn = np.random.default_rng(0)
    spans = np.sort(drawn.uniform(0, 150, (queries, windows + 2, 2)), axis=-1) + np.array([0.0, 0.001])
    scores = -np.sort(-drawn.random((queries, windows)), axis=1)
    predictions, annotations = [], []
    for row in range(queries):
        video = f"v{row % videos}"
        moments = tuple(
            (float(start), float(end), float(score))
            for (start, end), score in zip(spans[row, :windows], scores[row], strict=True)
        )
        true = tuple((float(start), float(end)) for start, end in spans[row, windows : windows + 1 + row % 2])
        predictions.append(Prediction(sample_id=str(row), video_id=video, moments=moments))
        annotations.append(Annotation(sample_id=str(row), video_id=video, sentence="s", duration=150.01, moments=true))
    return predictions, annotations


def seconds(work: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Least wall and least processor time of some rounds: the machine may have other work."""
    walls, used = [], []
    for _ in range(rounds):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall)
        used.append(time.process_time() - cpu)
    return min(walls), min(used)


def main() -> None:
    """Print a page with a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--split", action="append", choices=list(SIZES), help="all by default; repeatable")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    names = list(VMRBENCH_V1.metric_names)
    print("# How long scoring takes\n")
    print(f"Fastest of {asked.rounds} rounds on {machine_line(machine_facts())}; made-up predictions of real numbers.")
    print("Every column but the first adds to it; intervals are of 10,000 resamples. By")
    print("`python examples/scoring_speed.py`.\n")
    print("| split | queries | scores s | + intervals by video s | + by query s | by IoU and length s |")
    print("|---|---|---|---|---|---|")
    for name in asked.split or SIZES:
        size = SIZES[name]
        predictions, annotations = made_up(*size)
        table = score_predictions(predictions, annotations)

        def by_iou(p: list[Prediction] = predictions, a: list[Annotation] = annotations) -> object:
            tables = predicted_moments(p, a, QVHIGHLIGHTS_V1), true_moments(a, QVHIGHLIGHTS_V1)
            return details(*tables, QVHIGHLIGHTS_V1)

        work: list[Callable[[], object]] = [
            partial(score_predictions, predictions, annotations),
            partial(bootstrap, table, names),
            partial(bootstrap, table, names, by_query=True),
            by_iou,
        ]
        times = [seconds(step, asked.rounds) for step in work]
        cells = [f"{wall:.2f} (processor {cpu:.2f})" for wall, cpu in times]
        print(f"| {name} | {size[0]:,} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
