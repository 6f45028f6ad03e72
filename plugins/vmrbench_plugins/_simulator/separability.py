"""How well single rows of simulated features tell what they show: `python -m vmrbench_plugins._simulator.separability`.

A linear probe (ridge regression onto one-hot labels) is fitted on the rows of some videos and scored on others. Only
rows that lie wholly inside one event, and in no other, are used.
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

from vmrbench_plugins._simulator.features import GROUP_WIDTH, INDEX_ENCODERS, clip_edges, cover, make_codes, render
from vmrbench_plugins._simulator.profiles import PROFILES
from vmrbench_plugins._simulator.reader import reader_recall
from vmrbench_plugins._simulator.sampling import Floats, fit_start_weights, quantile, stratified_levels
from vmrbench_plugins._simulator.timeline import Ints, Timeline, draw_timeline
from vmrbench_plugins._simulator.vocabulary import ACTION_CATEGORY, OBJECT_CATEGORY

FACTORS = ("object", "object category", "action", "action category", "scene")
RIDGE = 10.0


def separability(profile: str, videos: int = 200, seed: int = 0) -> dict[tuple[str, str], float]:
    """Accuracy (0..1) of a linear probe for every (features, factor), on the half of the videos it was not fitted on.

    features: `clips`, every index group and `index`, all groups together; factors: `FACTORS`.
    """
    clips, index, labels, video = _rows(profile, videos, seed)
    features = {"clips": clips, "index": index}
    for position, group in enumerate(INDEX_ENCODERS):
        features[group] = index[:, position * GROUP_WIDTH : (position + 1) * GROUP_WIDTH]
    fitted = video < videos // 2
    return {
        (name, factor): _probe(rows, labels[:, column], fitted)
        for name, rows in features.items()
        for column, factor in enumerate(FACTORS)
    }


def main() -> None:
    """Print probe accuracies and reader recalls of every profile."""
    from vmrbench_plugins.simulated import SimulatedOptions, build_simulated

    for name in ("charades", "activitynet", "tacos", "long"):
        found = separability(name, videos=40 if name == "long" else 200)
        sys.stdout.write(f"\n{name}: accuracy of a linear probe, %\n")
        for features in ("clips", "index", *INDEX_ENCODERS):
            cells = ", ".join(f"{factor} {100 * found[features, factor]:.0f}" for factor in FACTORS)
            sys.stdout.write(f"  {features}: {cells}\n")
        videos = 40 if name == "long" else 200
        split = build_simulated(SimulatedOptions(profile=name, videos_test=videos, queries_per_video=4)).split("test")
        full, cheap = reader_recall(split, "clips"), reader_recall(split, "index")
        blind = reader_recall(split, "clips", shuffled=True)
        sys.stdout.write(
            f"  reader R1@0.5, %: clips {100 * full:.1f}, index {100 * cheap:.1f}, shuffled queries {100 * blind:.1f}\n"
        )


def _rows(profile: str, videos: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32], Ints, Ints]:
    """Rows that show one event only: expensive, index, labels [N, 5] in the order of `FACTORS`, video number."""
    settings = PROFILES[profile]
    weights, codes = fit_start_weights(settings), make_codes()
    durations = quantile(stratified_levels(np.random.default_rng([seed, 1]), videos), settings.durations)
    parts: list[tuple[NDArray[np.float32], NDArray[np.float32], Ints, Ints]] = []
    for video, duration in enumerate(durations):
        rng = np.random.default_rng([seed, 2, video])
        timeline = draw_timeline(settings, weights, float(duration), rng)
        clips, index = render(timeline, settings.clip_seconds, codes, rng)
        kept, labels = _label(timeline, settings.clip_seconds)
        parts.append((clips[kept], index[kept], labels[kept], np.full(int(kept.sum()), video)))
    return (
        np.concatenate([p[0] for p in parts]),
        np.concatenate([p[1] for p in parts]),
        np.concatenate([p[2] for p in parts]),
        np.concatenate([p[3] for p in parts]),
    )


def _label(timeline: Timeline, clip_seconds: float) -> tuple[NDArray[np.bool_], Ints]:
    start, end = clip_edges(timeline.duration, clip_seconds)
    share = cover(start, end, timeline.start, timeline.end)
    kept = ((share > 0).sum(1) == 1) & (share.max(1) > 0.999)
    event = share.argmax(1)
    scene = timeline.scenes[np.searchsorted(timeline.scene_start, start, side="right") - 1]
    objects, actions = timeline.objects[event], timeline.actions[event]
    categories = np.asarray(OBJECT_CATEGORY)[objects], np.asarray(ACTION_CATEGORY)[actions]
    return kept, np.stack([objects, categories[0], actions, categories[1], scene], axis=1)


def _probe(rows: NDArray[np.float32], labels: Ints, fitted: NDArray[np.bool_]) -> float:
    design: Floats = np.concatenate([rows, np.ones((len(rows), 1))], axis=1).astype(np.float64)
    targets = np.eye(int(labels.max()) + 1)[labels]
    known, asked = design[fitted], design[~fitted]
    weights = np.linalg.solve(known.T @ known + RIDGE * np.eye(known.shape[1]), known.T @ targets[fitted])
    return float(((asked @ weights).argmax(1) == labels[~fitted]).mean())


if __name__ == "__main__":
    main()
