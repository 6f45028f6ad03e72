"""Gives annotations their features: the protocol, and the provider that reads feature files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from vmrbench.data.cache import KeepLast
from vmrbench.data.features import FeatureSource, FeatureStore
from vmrbench.data.rows import Tolerance, read_rows, same_clip_seconds
from vmrbench.data.words import WordTable, hashed_words, read_word_vectors
from vmrbench.errors import ConfigError, DataError
from vmrbench.protocols import DatasetFacts, FeatureFacts
from vmrbench.types import Annotation, FinerClips, Sample

REMEMBERED_VIDEOS = 256


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


class TextProvider:
    """Query features from a table of word vectors; the vectors are hashed where no table is given."""

    def __init__(self, words: Path | None) -> None:
        self._path = words
        self.table: WordTable = hashed_words() if words is None else read_word_vectors(words)

    @property
    def stamps(self) -> tuple[str, ...]:
        """HASHED WORD VECTORS where no table is given."""
        return ("HASHED WORD VECTORS",) if self._path is None else ()

    @property
    def facts(self) -> FeatureFacts:
        """The encoder `glove` for a table, `hash_words` without one."""
        return FeatureFacts(encoder="hash_words" if self._path is None else "glove", width=self.table.width)

    def read(self, annotation: Annotation) -> Tensor:
        """[T, width] one row a word."""
        return torch.from_numpy(self.table(annotation.sentence))

    def notes(self, annotations: Sequence[Annotation]) -> dict[str, Any]:
        """How many distinct words the table lacks; their vectors are hashed."""
        return {"words_without_vector": len(self.table.unknown(a.sentence for a in annotations))}


@dataclass(frozen=True, kw_only=True)
class _Video:
    clips: Tensor
    index: Tensor | None
    clip_start: Tensor
    clip_end: Tensor


class FilesProvider:
    """Features from files: `clips` sources side by side, `index` sources in the order given, `text` or word vectors.

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
        words: Path | None,
        tolerance: Tolerance,
    ) -> None:
        _check_groups(sources)
        _check_finer(sources)
        self._annotations = list(annotations)
        stores = [FeatureStore(source) for source in sources]
        self._clips = [s for s in stores if s.source.role == "clips"]
        self._index = [s for s in stores if s.source.role == "index"]
        self._finer = [s for s in stores if s.source.role == "finer"]
        self._text = next((s for s in stores if s.source.role == "text"), None)
        self._words = TextProvider(words)
        self._tolerance = tolerance
        self._clip_seconds = same_clip_seconds([*self._clips, *self._index])
        self._read = KeepLast(self._read_video, REMEMBERED_VIDEOS)
        self._read_finer = KeepLast(self._read_finer_video, REMEMBERED_VIDEOS)

    def check_coverage(self, annotations: Sequence[Annotation]) -> None:
        """Raise DataError where a video or query has no features, before any is read."""
        for store in [*self._clips, *self._index, *self._finer]:
            store.check_coverage(a.video_id for a in annotations)
        if self._text is not None:
            self._text.check_coverage(a.sample_id for a in annotations)

    def sample(self, annotation: Annotation) -> Sample:
        """The annotation with its features; videos read last are remembered."""
        video = self._read((annotation.video_id, annotation.duration))
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
        wanted = self._clip_seconds / factor
        found = [s.source.clip_seconds for s in self._finer]
        if not any(abs(seconds - wanted) < 1e-3 * wanted for seconds in found):
            raise DataError(
                f"features: clips of {self._clip_seconds:g} s cut into {factor} need rows of {wanted:g} s, found "
                f"{sorted(set(found)) or 'no source of role finer'}; add one, or change windows.finer of the trimmer"
            )
        return self._read_finer((annotation.video_id, annotation.duration))

    def facts(self, fingerprint: str, notes: Mapping[str, Any]) -> DatasetFacts:
        """Facts; widths are those of the first annotation's features."""
        first = self._annotations[0]
        clips = [_facts(store, first.video_id) for store in self._clips]
        text = self._words.facts if self._text is None else _facts(self._text, first.sample_id)
        own_notes = {} if self._text is not None else self._words.notes(self._annotations)
        return DatasetFacts(
            clip_seconds=self._clip_seconds,
            clips=FeatureFacts(
                encoder="+".join(f.encoder for f in clips),
                width=sum(f.width for f in clips),
                passes_per_clip=clips[0].passes_per_clip,
            ),
            text=text,
            index={str(store.source.group): _facts(store, first.video_id) for store in self._index},
            fingerprint=fingerprint,
            stamps=() if self._text is not None else self._words.stamps,
            notes={**notes, **own_notes},
        )

    def identity(self) -> str:
        """Checksums of every file that the annotations need."""
        videos = [a.video_id for a in self._annotations]
        parts = [store.identity(videos) for store in [*self._clips, *self._index, *self._finer]]
        if self._text is not None:
            parts.append(self._text.identity([a.sample_id for a in self._annotations]))
        return "/".join(parts)

    def _query(self, annotation: Annotation) -> Tensor:
        if self._text is None:
            return self._words.read(annotation)
        return torch.from_numpy(self._text.read(annotation.sample_id))

    def _read_video(self, key: tuple[str, float]) -> _Video:
        video_id, duration = key
        groups, start, end = read_rows([*self._clips, *self._index], video_id, duration, self._tolerance)
        clips, index = groups[: len(self._clips)], groups[len(self._clips) :]
        return _Video(
            clips=torch.from_numpy(np.concatenate(clips, axis=1)),
            index=torch.from_numpy(np.concatenate(index, axis=1)) if index else None,
            clip_start=torch.from_numpy(start),
            clip_end=torch.from_numpy(end),
        )

    def _read_finer_video(self, key: tuple[str, float]) -> FinerClips:
        groups, start, end = read_rows(self._finer, *key, self._tolerance)
        return FinerClips(
            clips=torch.from_numpy(np.concatenate(groups, axis=1)),
            mask=torch.ones(len(start), dtype=torch.bool),
            clip_start=torch.from_numpy(start),
            clip_end=torch.from_numpy(end),
        )


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
    if len(seconds := sorted({s.clip_seconds for s in sources if s.role == "finer"})) > 1:
        raise ConfigError(f"features: clip_seconds of role 'finer': {seconds} found, one value expected")
