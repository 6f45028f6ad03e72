"""Data set plug-in `simulated`: videos, sentences and features made from a seed, no files needed.

Annotations follow the published statistics of a data set (option `profile`); features are random codes of what
happens, not the output of any encoder. Numbers measured on them say how methods behave, not how good they are:
every record is stamped so. `docs/simulated_data.md` describes the model and its difficulty.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

import numpy as np
import torch

from vmrbench.data.cache import KeepLast
from vmrbench.errors import ConfigError, DataError, did_you_mean
from vmrbench.hookspecs import hookimpl
from vmrbench.identity import IF_CHANGED, identity_of_options
from vmrbench.option_types import Count, CountOrZero, Positive
from vmrbench.protocols import DatasetFacts, FeatureFacts, Split
from vmrbench.specs import DatasetSpec
from vmrbench.types import Annotation, FinerClips, Sample
from vmrbench_plugins._simulator.features import (
    CLIP_WIDTH,
    GROUP_WIDTH,
    INDEX_ENCODERS,
    NoiseLevels,
    clip_edges,
    make_codes,
    render,
    render_finer,
)
from vmrbench_plugins._simulator.grammar import write_sentence
from vmrbench_plugins._simulator.profiles import PROFILES
from vmrbench_plugins._simulator.sampling import fit_start_weights, quantile, stratified_levels
from vmrbench_plugins._simulator.timeline import Timeline, draw_timeline, scene_of
from vmrbench_plugins._simulator.words import TEXT_WIDTH, sentence_vectors, word_table

REVISION = 1
SPLITS = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class SimulatedOptions:
    """Options of `simulated`.

    profile: whose statistics are imitated; seed: of videos, sentences and noise; videos_train, videos_val,
    videos_test: number of videos, the published number where None; queries_per_video: a random choice of so many,
    the published number where None; clip_seconds: length of a clip row, the profile's where None; clip_encoder:
    the encoder that the expensive features stand for in the cost, the profile's where None; duration: length of every
    video in seconds, drawn as the profile says where None.
    """

    profile: Literal["charades", "activitynet", "tacos", "long"] = "tacos"
    seed: CountOrZero = 0
    videos_train: Count | None = None
    videos_val: Count | None = None
    videos_test: Count | None = None
    queries_per_video: Count | None = None
    clip_seconds: Positive | None = None
    clip_encoder: str | None = None
    # Came later: data sets without it keep their identity.
    duration: Positive | None = field(default=None, metadata={"identity": IF_CHANGED})


@dataclass(frozen=True, kw_only=True)
class _Video:
    """Features of one video as a sample shows them."""

    clips: torch.Tensor
    index: torch.Tensor
    clip_start: torch.Tensor
    clip_end: torch.Tensor


class SimulatedDataset:
    """Splits of simulated videos; `build_simulated` checks the options first."""

    def __init__(self, options: SimulatedOptions) -> None:
        self._options = options
        self._profile = PROFILES[options.profile]
        self._splits: dict[str, SimulatedSplit] = {}

    @property
    def facts(self) -> DatasetFacts:
        """Widths, encoders, fingerprint and stamps."""
        parts = {
            "options": identity_of_options(self._options),
            "profile": asdict(self._profile),
            "noise": asdict(NoiseLevels()),
            "revision": REVISION,
        }
        identity = json.dumps(parts, sort_keys=True)
        return DatasetFacts(
            clip_seconds=self._options.clip_seconds or self._profile.clip_seconds,
            clips=FeatureFacts(encoder=self._options.clip_encoder or self._profile.encoder, width=CLIP_WIDTH),
            text=FeatureFacts(encoder="glove", width=TEXT_WIDTH),
            index={group: FeatureFacts(encoder=name, width=GROUP_WIDTH) for group, name in INDEX_ENCODERS.items()},
            fingerprint=hashlib.sha256(identity.encode()).hexdigest(),
            stamps=("SIMULATED FEATURES", "SIMULATED ANNOTATIONS"),
            notes={
                "profile": self._profile.name,
                "generator_revision": REVISION,
                # What an amortised cost at fewer queries a video must be read against.
                "published_queries_per_video_test": round(self._profile.queries[2] / self._profile.videos[2], 1),
            },
        )

    def split(self, name: str) -> Split:
        """The split `train`, `val` or `test`. Raises DataError for any other name."""
        if name not in SPLITS:
            raise DataError(f"data set 'simulated' has no split {name!r}{did_you_mean(name, SPLITS)}")
        if name not in self._splits:
            self._splits[name] = SimulatedSplit(self._options, name)
        return self._splits[name]


class SimulatedSplit:
    """One split: timelines and sentences are drawn at once, features when a video is first read."""

    def __init__(self, options: SimulatedOptions, name: str) -> None:
        self._profile = PROFILES[options.profile]
        self._seed, self._number = options.seed, SPLITS.index(name)
        self._clip_seconds = options.clip_seconds or self._profile.clip_seconds
        videos = getattr(options, f"videos_{name}") or self._profile.videos[self._number]
        self._timelines = self._draw_timelines(videos, options.duration)
        self._annotations, self._video_of = self._ask(name, options.queries_per_video)
        self._words = word_table()
        self._codes = make_codes()
        self._features = KeepLast(self._render)
        self._finer = KeepLast(self._render_finer)

    def __len__(self) -> int:
        return len(self._annotations)

    def __getitem__(self, position: int) -> Sample:
        annotation = self._annotations[position]
        video = self._features(self._video_of[position])
        return Sample(
            annotation=annotation,
            clips=video.clips,
            index=video.index,
            query=torch.from_numpy(sentence_vectors(annotation.sentence, self._words)),
            clip_start=video.clip_start,
            clip_end=video.clip_end,
        )

    @property
    def annotations(self) -> Sequence[Annotation]:
        """The annotations in the order of the samples."""
        return self._annotations

    def finer(self, position: int, factor: int) -> FinerClips:
        """The clips of a sample cut into `factor` each, rendered at that stride."""
        return self._finer((self._video_of[position], factor))

    def timeline(self, position: int) -> Timeline:
        """All that happens in the video of a sample, for tests and for `separability`."""
        return self._timelines[self._video_of[position]]

    def _rng(self, *key: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, self._number, *key])

    def _draw_timelines(self, videos: int, length: float | None) -> list[Timeline]:
        weights = fit_start_weights(self._profile)
        durations = quantile(stratified_levels(self._rng(0), videos), self._profile.durations)
        if length is not None:
            durations = np.full(videos, length)
        return [
            draw_timeline(self._profile, weights, float(duration), self._rng(1, video))
            for video, duration in enumerate(durations)
        ]

    def _ask(self, name: str, per_video: int | None) -> tuple[list[Annotation], list[int]]:
        annotations: list[Annotation] = []
        video_of: list[int] = []
        for video, count in enumerate(self._query_counts(per_video)):
            rng = self._rng(2, video)
            timeline = self._timelines[video]
            video_id = f"{self._profile.name}_{name}_{video:05d}"
            for query, event in enumerate(_deal(timeline.askable, count, rng)):
                annotations.append(_annotate(timeline, event, video_id, f"{video_id}_{query}", rng))
                video_of.append(video)
        return annotations, video_of

    def _query_counts(self, per_video: int | None) -> list[int]:
        videos = len(self._timelines)
        if per_video is not None:
            return [per_video] * videos
        published = self._profile.queries[self._number] / self._profile.videos[self._number]
        # Whole numbers whose mean is the published queries per video.
        edges = np.floor(np.arange(videos + 1) * published + 0.5).astype(int)
        return [int(count) for count in np.diff(edges)]

    def _render(self, video: int) -> _Video:
        timeline = self._timelines[video]
        clips, index = render(timeline, self._clip_seconds, self._codes, self._rng(3, video))
        start, end = clip_edges(timeline.duration, self._clip_seconds)
        return _Video(
            clips=torch.from_numpy(clips),
            index=torch.from_numpy(index),
            clip_start=torch.from_numpy(start.astype(np.float32)),
            clip_end=torch.from_numpy(end.astype(np.float32)),
        )

    def _render_finer(self, key: tuple[int, int]) -> FinerClips:
        video, factor = key
        timeline = self._timelines[video]
        own = self._rng(4, video, factor)
        clips = render_finer(timeline, self._clip_seconds, factor, self._codes, self._rng(3, video), own)
        start, end = clip_edges(timeline.duration, self._clip_seconds / factor)
        return FinerClips(
            clips=torch.from_numpy(clips),
            mask=torch.ones(len(clips), dtype=torch.bool),
            clip_start=torch.from_numpy(start.astype(np.float32)),
            clip_end=torch.from_numpy(end.astype(np.float32)),
        )


def build_simulated(options: SimulatedOptions) -> SimulatedDataset:
    """Build the data set. Raises ConfigError for an option that cannot be met."""
    for name in ("videos_train", "videos_val", "videos_test", "queries_per_video", "clip_seconds", "duration"):
        value = getattr(options, name)
        if value is not None and value <= 0:
            raise ConfigError(f"data set 'simulated': {name}: {value} found, a number above 0 expected")
    if options.profile not in PROFILES:
        raise ConfigError(
            f"data set 'simulated': profile: {options.profile!r} is not known{did_you_mean(options.profile, PROFILES)}"
        )
    return SimulatedDataset(options)


@hookimpl
def vmr_datasets() -> list[DatasetSpec]:
    """Offer `simulated`."""
    return [
        DatasetSpec(
            name="simulated",
            summary="videos, sentences and features from a seed, with the statistics of a published data set",
            source="docs/simulated_data.md",
            options=SimulatedOptions,
            build=build_simulated,
            revision=REVISION,
        )
    ]


def _deal(events: int, count: int, rng: np.random.Generator) -> list[int]:
    """Which event each query asks for: every event once before any is asked again."""
    rounds = -(-count // events)
    return [int(event) for event in np.concatenate([rng.permutation(events) for _ in range(rounds)])[:count]]


def _annotate(timeline: Timeline, event: int, video_id: str, sample_id: str, rng: np.random.Generator) -> Annotation:
    object_, action = int(timeline.objects[event]), int(timeline.actions[event])
    return Annotation(
        sample_id=sample_id,
        video_id=video_id,
        sentence=write_sentence(object_, action, scene_of(timeline, event), rng),
        duration=timeline.duration,
        moments=((float(timeline.start[event]), float(timeline.end[event])),),
    )
