"""From events to feature rows: a fixed non-linear map for the expensive features, coarse noisy groups for the index.

An event's code is tanh of a random mixture of its object and action, so that pairs are bound: two events at once
do not look like their swapped pairs. A clip row sums the codes of what it covers, weighted by how much of the clip
each covers, adds the scene, a style of the video, and noise of which a part is correlated in time.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from vmrbench_plugins._simulator.sampling import Floats
from vmrbench_plugins._simulator.timeline import Ints, Timeline
from vmrbench_plugins._simulator.vocabulary import (
    ACTION_CATEGORY,
    ACTIONS,
    OBJECT_CATEGORY,
    OBJECTS,
    SCENES,
)

CLIP_WIDTH = 128
GROUP_WIDTH = 32
# Index groups in channel order, and the encoders that they stand for.
INDEX_ENCODERS = {"Background": "efficientnet_b0", "Appearance": "efficientnet_b0_vicreg", "Motion": "x3d_xs"}
CODE_WIDTH = 32
MAP_SEED = 20240601


@dataclass(frozen=True, kw_only=True)
class NoiseLevels:
    """How hard the features are to read; an event's code has unit variance.

    clip, index: standard deviation of the noise; correlated: share of its variance that is correlated in time;
    style: of a constant that every row of a video shares; own_share: how much of an index code is the object's or
    action's own, the rest being its category's, so that members of a category are confused.
    """

    clip: float = 0.8
    index: float = 1.0
    correlated: float = 0.3
    style: float = 0.5
    own_share: float = 0.3
    memory: float = 0.7


@dataclass(frozen=True, kw_only=True)
class Codes:
    """The fixed random codes that every simulated video shares.

    pairs: [objects, actions, 128]; scenes: [scenes, 128]; index_scenes, index_objects, index_actions: [., 32].
    """

    pairs: Floats
    scenes: Floats
    index_scenes: Floats
    index_objects: Floats
    index_actions: Floats
    noise: NoiseLevels = field(default_factory=NoiseLevels)


def make_codes(noise: NoiseLevels | None = None) -> Codes:
    """The codes; the same for every seed of a data set, as an encoder is."""
    levels = noise or NoiseLevels()
    rng = np.random.default_rng(MAP_SEED)
    objects = rng.standard_normal((len(OBJECTS), CODE_WIDTH))
    actions = rng.standard_normal((len(ACTIONS), CODE_WIDTH))
    parts = np.concatenate(
        [
            np.broadcast_to(objects[:, None], (len(OBJECTS), len(ACTIONS), CODE_WIDTH)),
            np.broadcast_to(actions[None], (len(OBJECTS), len(ACTIONS), CODE_WIDTH)),
        ],
        axis=-1,
    )
    return Codes(
        pairs=mix(parts, rng),
        scenes=rng.standard_normal((len(SCENES), CLIP_WIDTH)),
        index_scenes=rng.standard_normal((len(SCENES), GROUP_WIDTH)),
        index_objects=_coarse(OBJECT_CATEGORY, levels.own_share, rng),
        index_actions=_coarse(ACTION_CATEGORY, levels.own_share, rng),
        noise=levels,
    )


def mix(parts: Floats, rng: np.random.Generator) -> Floats:
    """[..., D] parts of unit variance -> [..., 128] codes of unit variance: tanh of a random mixture."""
    projection = rng.standard_normal((parts.shape[-1], CLIP_WIDTH)) * (1.0 / np.sqrt(parts.shape[-1]))
    codes = np.tanh(parts @ projection)
    return np.asarray(codes / codes.std())


def clip_edges(duration: float, clip_seconds: float) -> tuple[Floats, Floats]:
    """Start and end [L] of the clip rows in seconds; the last row is cut at the end of the video."""
    count = max(1, int(np.ceil(duration / clip_seconds - 1e-6)))
    start = np.arange(count, dtype=np.float64) * clip_seconds
    return start, np.asarray(np.minimum(start + clip_seconds, duration))


def cover(clip_start: Floats, clip_end: Floats, start: Floats, end: Floats) -> Floats:
    """[L, N] share of each clip that each event covers; overlapping events do not weaken one another."""
    overlap = np.minimum(clip_end[:, None], end) - np.maximum(clip_start[:, None], start)
    return np.asarray(np.clip(overlap, 0.0, None) / (clip_end - clip_start)[:, None])


def render(
    timeline: Timeline, clip_seconds: float, codes: Codes, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Expensive [L, 128] and index [L, 96] features of a video, of about unit variance."""
    clip_start, clip_end = clip_edges(timeline.duration, clip_seconds)
    share = cover(clip_start, clip_end, timeline.start, timeline.end)
    ends = np.append(timeline.scene_start[1:], timeline.duration)
    scene_share = cover(clip_start, clip_end, timeline.scene_start, ends)
    clips = _clip_signal(timeline, clip_start, clip_end, codes)
    groups = _index_groups(timeline.objects, timeline.actions, timeline.scenes, share, scene_share, codes)
    noise = codes.noise
    return disturb(clips, noise.clip, noise, rng), disturb(groups, noise.index, noise, rng)


def render_finer(
    timeline: Timeline,
    clip_seconds: float,
    factor: int,
    codes: Codes,
    base: np.random.Generator,
    own: np.random.Generator,
) -> NDArray[np.float32]:
    """Expensive features [F, 128] of the same video with every clip cut into `factor`: nothing is interpolated.

    Args:
        timeline: the video.
        clip_seconds: length of an uncut clip; factor: how many finer clips it makes, above 1.
        codes: of every video.
        base: the generator that `render` was given, at its start: the style of the video is drawn from it again.
        own: of the noise of the finer clips.
    """
    length = len(clip_edges(timeline.duration, clip_seconds)[0])
    clips = _clip_signal(timeline, *clip_edges(timeline.duration, clip_seconds / factor), codes)
    return disturb_finer(clips, factor, codes.noise, length, base, own)


def disturb_finer(
    signal: Floats, factor: int, noise: NoiseLevels, length: int, base: np.random.Generator, own: np.random.Generator
) -> NDArray[np.float32]:
    """`disturb` for [F, D] finer clips: noise of their own with the same memory in seconds, the style of the video.

    length: uncut clips; base: the generator as `disturb` had it for those, before it drew their noise.
    """
    finer = replace(noise, memory=noise.memory ** (1 / factor))
    base.standard_normal((length, signal.shape[1]))
    _correlated(length, signal.shape[1], noise.memory, base)
    style = np.asarray(base.standard_normal(signal.shape[1]) * noise.style)
    return disturb(signal, noise.clip, finer, own, style)


def disturb(
    signal: Floats, level: float, noise: NoiseLevels, rng: np.random.Generator, style: Floats | None = None
) -> NDArray[np.float32]:
    """[L, D] signal with white noise, noise correlated in time and a style of the video, at unit variance.

    style: [D]; drawn where None.
    """
    length, width = signal.shape
    white = rng.standard_normal((length, width)) * (level * np.sqrt(1.0 - noise.correlated))
    slow = _correlated(length, width, noise.memory, rng) * (level * np.sqrt(noise.correlated))
    own = np.asarray(rng.standard_normal(width) * noise.style) if style is None else style
    scale = np.sqrt(1.0 + level**2 + noise.style**2)
    return np.asarray((signal + white + slow + own) / scale, dtype=np.float32)


def smooth(signal: Floats) -> Floats:
    """[L, D] averaged over three rows: a cheap encoder sees less sharply when something begins."""
    padded = np.concatenate([signal[:1], signal, signal[-1:]])
    return np.asarray(0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:])


def _clip_signal(timeline: Timeline, clip_start: Floats, clip_end: Floats, codes: Codes) -> Floats:
    """[L, 128] codes of what happens in each clip, without noise."""
    share = cover(clip_start, clip_end, timeline.start, timeline.end)
    ends = np.append(timeline.scene_start[1:], timeline.duration)
    scene_share = cover(clip_start, clip_end, timeline.scene_start, ends)
    events = share @ codes.pairs[timeline.objects, timeline.actions]
    return np.asarray(events + 0.5 * scene_share @ codes.scenes[timeline.scenes])


def _index_groups(
    objects: Ints, actions: Ints, scenes: Ints, share: Floats, scene_share: Floats, codes: Codes
) -> Floats:
    background = scene_share @ codes.index_scenes[scenes]
    appearance = smooth(share @ codes.index_objects[objects])
    motion = smooth(share @ codes.index_actions[actions])
    return np.concatenate([background, appearance, motion], axis=1)


def _coarse(categories: tuple[int, ...], own_share: float, rng: np.random.Generator) -> Floats:
    """[concepts, 32] unit-variance codes that mostly tell the category."""
    of_category = rng.standard_normal((max(categories) + 1, GROUP_WIDTH))
    own = rng.standard_normal((len(categories), GROUP_WIDTH))
    return np.asarray(np.sqrt(1.0 - own_share**2) * of_category[np.asarray(categories)] + own_share * own)


def _correlated(length: int, width: int, memory: float, rng: np.random.Generator) -> Floats:
    """[length, width] unit-variance noise, each row `memory` times the last plus something new."""
    rows = rng.standard_normal((length, width))
    rows[1:] *= np.sqrt(1.0 - memory**2)
    for row in range(1, length):
        rows[row] += memory * rows[row - 1]
    return rows
