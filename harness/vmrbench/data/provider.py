"""Gives annotations their features: the protocol, and the provider that reads feature files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from vmrbench.data.cache import KeepLast
from vmrbench.data.features import FeatureSource, FeatureStore
from vmrbench.data.file_identity import FileIdentities
from vmrbench.data.packed import CacheChoice, pack
from vmrbench.data.query_words import QueryFeatures
from vmrbench.data.rows import Tolerance, read_rows
from vmrbench.data.timing import same_clip_seconds, timing_of
from vmrbench.errors import ConfigError, DataError
from vmrbench.protocols import DatasetFacts, FeatureFacts
from vmrbench.types import Annotation, FinerClips, Sample


class Provider(Protocol):
    """Gives annotations their features."""

    def check_coverage(self, annotations: Sequence[Annotation]) -> None:
        """Raise DataError where an annotation has no features."""

    def sample(self, annotation: Annotation) -> Sample:
        """The annotation with its features."""

    def finer(self, annotation: Annotation, factor: int) -> FinerClips:
        """The clips of its video cut into `factor` each. Raises DataError where there are no features for them."""

    def facts(self, fingerprint: str, notes: Mapping[str, Any]) -> DatasetFacts:
        """Facts of the features with the given fingerprint; own notes are added to `notes`."""

    def identity(self) -> str:
        """What changes when the features change."""


@dataclass(frozen=True, kw_only=True)
class _Video:
    clips: Tensor
    index: Tensor | None
    clip_start: Tensor
    clip_end: Tensor


class FilesProvider:
    """Features from files: `clips` sources side by side, `index` sources in the order given, `text` or other queries.

    Args:
        annotations: everything that features may be asked for.
        sources: where features lie; clips and index are put side by side in this order.
        queries: query features where no source has the role `text`.
        tolerance: what may disagree.
        cache: where to keep memory-mapped copies; written when the first sample is read. None reads the files.

    `finer` sources, side by side like those of the clips and of the same encoders, are read where windows are cut.

    Raises:
        ConfigError: an index source without a group, a group given twice, several text sources, rows of different
            length in seconds, clip sources with different numbers of encoder passes, or finer sources that do not
            correspond to those of the clips.
        DataError: a path that does not exist.
    """

    def __init__(
        self,
        annotations: Sequence[Annotation],
        sources: Sequence[FeatureSource],
        queries: QueryFeatures,
        tolerance: Tolerance,
        cache: CacheChoice | None = None,
    ) -> None:
        _check_groups(sources)
        _check_finer(sources)
        self._annotations = list(annotations)
        self.stores = [FeatureStore(source) for source in sources]
        self._clips = [s for s in self.stores if s.source.role == "clips"]
        self._index = [s for s in self.stores if s.source.role == "index"]
        self._finer = [s for s in self.stores if s.source.role == "finer"]
        self._text = next((s for s in self.stores if s.source.role == "text"), None)
        self._queries = queries
        self._tolerance = tolerance
        self._cache = cache
        self._packed = cache is None
        self._reads_frame_rate = any(store.source.reads_frame_rate for store in self.stores)
        self._clip_seconds = same_clip_seconds([store.source for store in [*self._clips, *self._index]])
        self._read = KeepLast(self._read_video)
        self._read_finer = KeepLast(self._read_finer_video)

    def check_coverage(self, annotations: Sequence[Annotation]) -> None:
        """Raise DataError where a video or query has no features, before any is read."""
        for store in self.stores:
            store.check_coverage(feature_id(store, annotation) for annotation in annotations)

    def sample(self, annotation: Annotation) -> Sample:
        """The annotation with its features; videos read last are remembered."""
        self._pack()
        video = self._read(self._video_key(annotation))
        return Sample(
            annotation=annotation,
            clips=video.clips,
            index=video.index,
            query=self._query(annotation),
            clip_start=video.clip_start,
            clip_end=video.clip_end,
        )

    def finer(self, annotation: Annotation, factor: int) -> FinerClips:
        """See `Provider.finer`."""
        if not self._finer:
            raise DataError(
                f"features: clips are to be cut into {factor}, and there is no source of role 'finer'; add one, or "
                "change windows.finer of the trimmer"
            )
        self._pack()
        key = self._video_key(annotation)
        finer = self._read_finer(key)
        clip = _row_seconds(self._clips[0], len(self._read(key).clip_start), key)
        found = _row_seconds(self._finer[0], len(finer.clip_start), key)
        if abs(found - clip / factor) > 1e-3 * found:
            raise DataError(
                f"features of {annotation.video_id!r}: clips of {clip:g} s cut into {factor} need rows of "
                f"{clip / factor:g} s, found {found:g}; add a source of role 'finer', or change windows.finer of the "
                "trimmer"
            )
        return finer

    def facts(self, fingerprint: str, notes: Mapping[str, Any]) -> DatasetFacts:
        """Facts; widths are those of the first annotation's features, and so is a row's length where it varies."""
        first = self._annotations[0]
        clips = [_facts(store, first.video_id) for store in self._clips]
        text = self._queries.facts if self._text is None else _facts(self._text, first.sample_id)
        own_notes = {} if self._text is not None else self._queries.notes(self._annotations)
        return DatasetFacts(
            clip_seconds=self._seconds_of_a_row(first),
            clips=FeatureFacts(
                encoder="+".join(f.encoder for f in clips),
                width=sum(f.width for f in clips),
                passes_per_clip=clips[0].passes_per_clip,
            ),
            text=text,
            index={str(store.source.group): _facts(store, first.video_id) for store in self._index},
            fingerprint=fingerprint,
            stamps=() if self._text is not None else self._queries.stamps,
            notes={**notes, **own_notes},
        )

    def identity(self) -> str:
        """Checksums of every file that the annotations need."""
        files = FileIdentities(None if self._cache is None else self._cache.folder)
        parts = [
            store.identity((feature_id(store, annotation) for annotation in self._annotations), files)
            for store in [*self._clips, *self._index, *self._finer, *([] if self._text is None else [self._text])]
        ]
        files.save()
        return "/".join([*parts, *([] if self._text is not None else self._queries.identity())])

    def _pack(self) -> None:
        if self._packed or self._cache is None:
            return
        for store in self.stores:
            names = [feature_id(store, annotation) for annotation in self._annotations]
            store.use(pack(store, names, self._cache))
        self._packed = True

    def _seconds_of_a_row(self, annotation: Annotation) -> float:
        if self._clip_seconds is not None:
            return self._clip_seconds
        video = self._read_video(self._video_key(annotation))
        return annotation.duration / len(video.clip_start)

    def _video_key(self, annotation: Annotation) -> tuple[str, float, float | None]:
        fps = frame_rate(annotation) if self._reads_frame_rate else None
        return annotation.video_id, annotation.duration, fps

    def _query(self, annotation: Annotation) -> Tensor:
        if self._text is None:
            return self._queries.read(annotation)
        return torch.from_numpy(np.array(self._text.read(annotation.sample_id)))  # What a cache gives is read-only.

    def _read_video(self, key: tuple[str, float, float | None]) -> _Video:
        video_id, duration, fps = key
        groups, start, end = read_rows([*self._clips, *self._index], video_id, duration, self._tolerance, fps)
        clips, index = groups[: len(self._clips)], groups[len(self._clips) :]
        return _Video(
            clips=torch.from_numpy(np.concatenate(clips, axis=1)),
            index=torch.from_numpy(np.concatenate(index, axis=1)) if index else None,
            clip_start=torch.from_numpy(start),
            clip_end=torch.from_numpy(end),
        )

    def _read_finer_video(self, key: tuple[str, float, float | None]) -> FinerClips:
        video_id, duration, fps = key
        groups, start, end = read_rows(self._finer, video_id, duration, self._tolerance, fps)
        return FinerClips(
            clips=torch.from_numpy(np.concatenate(groups, axis=1)),
            mask=torch.ones(len(start), dtype=torch.bool),
            clip_start=torch.from_numpy(start),
            clip_end=torch.from_numpy(end),
        )


def _row_seconds(store: FeatureStore, rows: int, key: tuple[str, float, float | None]) -> float:
    return timing_of(store.source, rows, key[1], key[2]).step


def feature_id(store: FeatureStore, annotation: Annotation) -> str:
    """The id under which a source is asked for an annotation: that of the query for text, else of the video."""
    return annotation.sample_id if store.source.role == "text" else annotation.video_id


def frame_rate(annotation: Annotation) -> float | None:
    """Frames a second that the annotation tells by its key `fps`, None where it does not.

    Raises:
        DataError: something else than a number above 0.
    """
    found = annotation.extra.get("fps")
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 < found < float("inf"):
        raise DataError(f"annotation {annotation.sample_id!r}: fps: {found!r} found, a number above 0 expected")
    return float(found)


def _facts(store: FeatureStore, name: str) -> FeatureFacts:
    source = store.source
    return FeatureFacts(encoder=source.encoder, width=store.read(name).shape[1], passes_per_clip=source.passes_per_clip)


def _check_groups(sources: Sequence[FeatureSource]) -> None:
    groups = [source.group for source in sources if source.role == "index"]
    for group in groups:
        if group is None:
            raise ConfigError("features: a source of role 'index' has no group; name one, such as Background")
        if groups.count(group) > 1:
            raise ConfigError(f"features: group {group!r} is given twice; name every index source differently")
    if sum(source.role == "text" for source in sources) > 1:
        raise ConfigError("features: several sources of role 'text'; give one")
    passes = sorted({source.passes_per_clip for source in sources if source.role == "clips"})
    if len(passes) > 1:
        raise ConfigError(
            f"features: passes_per_clip: {passes} found, one value for all sources of role 'clips' expected"
        )


def _check_finer(sources: Sequence[FeatureSource]) -> None:
    """Finer sources come from the encoders of the clips, in their order, and cost as many passes a row."""
    of = {role: [(s.encoder, s.passes_per_clip) for s in sources if s.role == role] for role in ("clips", "finer")}
    if of["finer"] and of["finer"] != of["clips"]:
        raise ConfigError(
            f"features: encoder and passes_per_clip of the sources of role 'finer' are {of['finer']}, "
            f"those of role 'clips' {of['clips']}; the same in the same order expected"
        )
    if of["finer"]:
        same_clip_seconds([s for s in sources if s.role == "finer"], "role 'finer'")
