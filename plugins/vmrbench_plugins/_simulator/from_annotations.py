"""Simulated features for real annotations: what a clip shows is made from the words of the sentences about it.

The content words of the sentences on a window give its code, through a fixed non-linear map as in `features`; time
that nobody described shows events of other videos, since features that are empty there betray the moments.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vmrbench.data.words import hashed_vector, split_words
from vmrbench.types import Annotation
from vmrbench_plugins._simulator.features import (
    CLIP_WIDTH,
    CODE_WIDTH,
    GROUP_WIDTH,
    NoiseLevels,
    clip_edges,
    cover,
    disturb,
    disturb_finer,
    smooth,
)
from vmrbench_plugins._simulator.sampling import Floats

COARSE_WORDS = 12  # the index tells words apart only up to so many buckets
STOP_WORDS = frozenset(
    split_words(
        "a an the and or of to in on at by with from into onto for as is are was were be been being it its this that "
        "these those he she they them his her their him who which while then there some something someone up down out "
        "off over back person people man woman men women one two another other using before after again begins starts"
    )
)
Words = frozenset[str]


@dataclass(frozen=True, kw_only=True)
class _Event:
    start: float
    end: float
    words: Words


class AnnotatedVideos:
    """Simulated features of the videos of some annotations.

    Args:
        annotations: all queries of all videos, also those that a limit leaves out: they happen none the less.
        clip_seconds: length of a clip row.
        seed: of filler and noise; the map from words to codes is fixed.
    """

    def __init__(self, annotations: Sequence[Annotation], clip_seconds: float, seed: int) -> None:
        self._clip_seconds, self._seed = clip_seconds, seed
        self._noise = NoiseLevels()
        self._projection = _hashed_matrix("map from words to clips", CODE_WIDTH, CLIP_WIDTH)
        self._events, self._durations = _events_by_video(annotations)
        self._pool = [(video, event) for video, events in self._events.items() for event in events]

    def render(self, video_id: str) -> tuple[NDArray[np.float32], NDArray[np.float32], Floats, Floats]:
        """Expensive [L, 128] and index [L, 96] features of a video, start and end [L] of the rows in seconds."""
        rng = self._rng(video_id)
        clip_start, clip_end = clip_edges(self._durations[video_id], self._clip_seconds)
        events = [*self._events[video_id], *self._fill(video_id, rng)]
        share = _share(events, clip_start, clip_end)
        clips, groups = self._clips(video_id, events, share), self._index(video_id, events, share)
        noise = self._noise
        return disturb(clips, noise.clip, noise, rng), disturb(groups, noise.index, noise, rng), clip_start, clip_end

    def render_finer(self, video_id: str, factor: int) -> tuple[NDArray[np.float32], Floats, Floats]:
        """Expensive features [F, 128] of the same video with every clip cut into `factor`, start and end [F]."""
        rng, own = self._rng(video_id), self._rng(video_id, factor)
        length = len(clip_edges(self._durations[video_id], self._clip_seconds)[0])
        start, end = clip_edges(self._durations[video_id], self._clip_seconds / factor)
        events = [*self._events[video_id], *self._fill(video_id, rng)]
        clips = self._clips(video_id, events, _share(events, start, end))
        return disturb_finer(clips, factor, self._noise, length, rng, own), start, end

    def _rng(self, video_id: str, *more: int) -> np.random.Generator:
        name = int.from_bytes(hashlib.sha256(video_id.encode()).digest()[:8], "little")
        return np.random.default_rng([self._seed, name, *more])

    def _clips(self, video_id: str, events: list[_Event], share: Floats) -> Floats:
        clips = share @ np.stack([self._code(e.words) for e in events])
        return np.asarray(clips + 0.5 * hashed_vector(f"scene of {video_id}", CLIP_WIDTH))

    def _code(self, words: Words) -> Floats:
        """[128] code of a set of words, about unit variance."""
        parts = _sum_of_hashed(sorted(words), "part of", CODE_WIDTH)
        return np.asarray(1.5 * np.tanh(parts @ self._projection * (1.5 / np.sqrt(CODE_WIDTH))))

    def _index(self, video_id: str, events: list[_Event], share: Floats) -> Floats:
        background = np.tile(hashed_vector(f"place of {video_id}", GROUP_WIDTH), (len(share), 1))
        halves = [_halves(event.words) for event in events]
        appearance = np.stack([self._coarse(half, "appearance") for half, _ in halves])
        motion = np.stack([self._coarse(half, "motion") for _, half in halves])
        return np.concatenate([background, smooth(share @ appearance), smooth(share @ motion)], axis=1)

    def _coarse(self, words: list[str], group: str) -> Floats:
        own = self._noise.own_share
        buckets = [str(_bucket(word, COARSE_WORDS)) for word in words]
        return np.asarray(
            np.sqrt(1.0 - own**2) * _sum_of_hashed(buckets, f"{group} bucket", GROUP_WIDTH)
            + own * _sum_of_hashed(words, f"{group} word", GROUP_WIDTH)
        )

    def _fill(self, video_id: str, rng: np.random.Generator) -> list[_Event]:
        """Events of other videos in every stretch that no sentence describes, with the lengths they had there."""
        others = [event for video, event in self._pool if video != video_id] or [event for _, event in self._pool]
        taken = {event.words for event in self._events[video_id]}
        duration = self._durations[video_id]
        filler: list[_Event] = []
        for left, stop in _gaps(self._events[video_id], duration):
            reached = left
            while reached < stop - 1e-6:
                other = others[int(rng.integers(len(others)))]
                end = min(stop, reached + max(other.end - other.start, 0.02 * duration))
                words = other.words if other.words not in taken else frozenset({f"{video_id} {reached:.2f}"})
                filler.append(_Event(start=reached, end=end, words=words))
                reached = end
        return filler


def _share(events: list[_Event], clip_start: Floats, clip_end: Floats) -> Floats:
    """[L, N] how much of each clip each event covers."""
    share = cover(clip_start, clip_end, np.array([e.start for e in events]), np.array([e.end for e in events]))
    # Real annotations overlap heavily: without this, rows that many sentences describe would stand out.
    return np.asarray(share / np.maximum(np.sqrt((share**2).sum(1, keepdims=True)), 1.0))


def content_words(sentence: str) -> list[str]:
    """Words of a sentence that say what happens; all of them where nothing else is left."""
    words = split_words(sentence)
    return [word for word in words if word not in STOP_WORDS] or words


def _events_by_video(annotations: Iterable[Annotation]) -> tuple[dict[str, list[_Event]], dict[str, float]]:
    """One event a distinct window, with the content words of every sentence about it."""
    words: dict[str, dict[tuple[float, float], set[str]]] = {}
    durations: dict[str, float] = {}
    for annotation in annotations:
        durations[annotation.video_id] = max(annotation.duration, durations.get(annotation.video_id, 0.0))
        windows = words.setdefault(annotation.video_id, {})
        for window in annotation.moments:
            windows.setdefault(window, set()).update(content_words(annotation.sentence))
    events = {
        video: [_Event(start=start, end=end, words=frozenset(said)) for (start, end), said in windows.items()]
        for video, windows in words.items()
    }
    return events, durations


def _gaps(events: Sequence[_Event], duration: float) -> list[tuple[float, float]]:
    gaps: list[tuple[float, float]] = []
    reached = 0.0
    for start, end in [*sorted((e.start, e.end) for e in events), (duration, duration)]:
        if start > reached:
            gaps.append((reached, start))
        reached = max(reached, end)
    return gaps


def _halves(words: Words) -> tuple[list[str], list[str]]:
    """Words that the appearance group shows, and those that the motion group shows: a fixed division of all words."""
    appearance = [word for word in sorted(words) if _bucket(f"half {word}", 2) == 0]
    return appearance, [word for word in sorted(words) if word not in appearance]


def _bucket(text: str, count: int) -> int:
    return hashlib.sha256(text.encode()).digest()[0] % count


def _sum_of_hashed(names: Sequence[str], kind: str, width: int) -> Floats:
    """[width] sum of the names' hashed vectors at unit variance; zero where there is no name."""
    if not names:
        return np.zeros(width)
    return np.asarray(
        sum(hashed_vector(f"{kind} {name}", width).astype(np.float64) for name in names) / np.sqrt(len(names))
    )


def _hashed_matrix(name: str, rows: int, columns: int) -> Floats:
    return hashed_vector(name, rows * columns).reshape(rows, columns).astype(np.float64)
