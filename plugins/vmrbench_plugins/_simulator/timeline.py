"""What happens in one simulated video: its length, its events, its scenes and the events that are asked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vmrbench_plugins._simulator.profiles import Profile
from vmrbench_plugins._simulator.sampling import Floats, draw_starts, quantile, stratified_levels
from vmrbench_plugins._simulator.vocabulary import ACTION_CATEGORY, OBJECT_CATEGORY, SCENES

Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """One video. Times are seconds.

    start, end, objects, actions: [N] of its events; the first `askable` events can be queried: no other event of
    the video has the same object and action. scene_start, scenes: [S] when each scene begins, and which.
    """

    duration: float
    start: Floats
    end: Floats
    objects: Ints
    actions: Ints
    askable: int
    scene_start: Floats
    scenes: Ints


def draw_timeline(profile: Profile, weights: Floats, duration: float, rng: np.random.Generator) -> Timeline:
    """Draw the events of a video of `duration` seconds; weights: from `fit_start_weights`.

    Askable events follow the lengths and starts of the profile and may overlap, as real annotations do; filler
    events of the same lengths cover every second that is left, so that no moment is found by looking for activity.
    """
    fractions = quantile(stratified_levels(rng, profile.events), profile.fractions)
    if profile.fractions_are_seconds:
        fractions = np.minimum(fractions / duration, 0.9)
    start = draw_starts(rng, fractions, weights) * duration
    end = np.minimum(start + fractions * duration, duration)
    filler_start, filler_end = _fill_gaps(start, end, duration, fractions * duration, rng)
    objects, actions = _cast(profile, len(filler_start), rng)
    scene_start, scenes = _draw_scenes(duration, rng)
    return Timeline(
        duration=duration,
        start=np.concatenate([start, filler_start]),
        end=np.concatenate([end, filler_end]),
        objects=objects,
        actions=actions,
        askable=profile.events,
        scene_start=scene_start,
        scenes=scenes,
    )


def scene_of(timeline: Timeline, event: int) -> int | None:
    """The scene of an event, None where the scene changes during it."""
    first = int(np.searchsorted(timeline.scene_start, timeline.start[event], side="right")) - 1
    last = int(np.searchsorted(timeline.scene_start, timeline.end[event], side="left")) - 1
    return int(timeline.scenes[first]) if first == last else None


def _fill_gaps(
    start: Floats, end: Floats, duration: float, lengths: Floats, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Events of random `lengths` that tile what [start, end] leave of 0..duration."""
    edges: list[tuple[float, float]] = []
    reached = 0.0
    for left, right in sorted(zip([*start.tolist(), duration], [*end.tolist(), duration], strict=True)):
        while left > reached:
            stop = reached + max(float(rng.choice(lengths)), 0.01 * duration)
            # A remainder shorter than half an event is not worth an event of its own.
            stop = left if left - stop < 0.5 * (stop - reached) else stop
            edges.append((reached, stop))
            reached = stop
        reached = max(reached, right)
    filler = np.asarray(edges, dtype=np.float64).reshape(-1, 2)
    return filler[:, 0], filler[:, 1]


def _cast(profile: Profile, fillers: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Objects and actions of all events: askable ones differ from every other, fillers share their parts."""
    objects = _members(OBJECT_CATEGORY, profile.object_groups, rng)
    actions = _members(ACTION_CATEGORY, profile.action_groups, rng)
    pairs = rng.permutation(len(objects) * len(actions))
    asked, left = pairs[: profile.events], pairs[profile.events :]
    # Neighbours in time never get the same pair: the leftover pairs are dealt in turn.
    dealt = np.resize(left, fillers)
    chosen = np.concatenate([asked, dealt])
    return objects[chosen // len(actions)], actions[chosen % len(actions)]


def _members(categories: tuple[int, ...], groups: int, rng: np.random.Generator) -> Ints:
    picked = rng.choice(max(categories) + 1, size=groups, replace=False)
    return np.flatnonzero(np.isin(np.asarray(categories), picked))


def _draw_scenes(duration: float, rng: np.random.Generator) -> tuple[Floats, Ints]:
    """One to three scenes of a video, each at least a fifth of it long."""
    count = int(rng.integers(1, 4))
    cuts = (np.arange(1, count) + rng.uniform(-0.2, 0.2, count - 1)) / count * duration
    return np.concatenate([[0.0], cuts]), rng.choice(len(SCENES), size=count, replace=False)
