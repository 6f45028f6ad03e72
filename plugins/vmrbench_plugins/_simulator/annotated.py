"""Simulated features as a provider, so that real annotations can be used without any feature file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vmrbench.data.cache import KeepLast
from vmrbench.data.query_words import QueryFeatures
from vmrbench.protocols import DatasetFacts, FeatureFacts
from vmrbench.types import Annotation, FinerClips, Sample
from vmrbench_plugins._simulator.features import CLIP_WIDTH, GROUP_WIDTH, INDEX_ENCODERS
from vmrbench_plugins._simulator.from_annotations import AnnotatedVideos
from vmrbench_plugins._simulator.sampling import Floats

CLIP_ENCODER = "c3d"
REVISION = 1


class SimulatedProvider:
    """Features of real annotations made from their sentences; see `from_annotations`."""

    def __init__(
        self, annotations: Sequence[Annotation], queries: QueryFeatures, clip_seconds: float, seed: int
    ) -> None:
        self._annotations = list(annotations)
        self._clip_seconds, self._seed = clip_seconds, seed
        self._queries = queries
        self._videos = AnnotatedVideos(annotations, clip_seconds, seed)
        self._render = KeepLast(self._render_video)

    def check_coverage(self, annotations: Sequence[Annotation]) -> None:
        """Every annotation has features."""

    def sample(self, annotation: Annotation) -> Sample:
        """The annotation with its features."""
        clips, index, start, end = self._render(annotation.video_id)
        query = self._queries.read(annotation)
        return Sample(annotation=annotation, clips=clips, index=index, query=query, clip_start=start, clip_end=end)

    def finer(self, annotation: Annotation, factor: int) -> FinerClips:
        """The clips of a video cut into `factor` each, rendered at that stride."""
        clips, start, end = self._videos.render_finer(annotation.video_id, factor)
        mask = torch.ones(len(clips), dtype=torch.bool)
        return FinerClips(clips=torch.from_numpy(clips), mask=mask, clip_start=_times(start), clip_end=_times(end))

    def facts(self, fingerprint: str, notes: Mapping[str, Any]) -> DatasetFacts:
        """Facts, stamped SIMULATED FEATURES."""
        return DatasetFacts(
            clip_seconds=self._clip_seconds,
            clips=FeatureFacts(encoder=CLIP_ENCODER, width=CLIP_WIDTH),
            text=self._queries.facts,
            index={group: FeatureFacts(encoder=name, width=GROUP_WIDTH) for group, name in INDEX_ENCODERS.items()},
            fingerprint=fingerprint,
            stamps=("SIMULATED FEATURES", *self._queries.stamps),
            notes={**notes, **self._queries.notes(self._annotations)},
        )

    def identity(self) -> str:
        """The generator's revision and the queries'; all else that matters is in the options."""
        return "/".join([f"simulated features, revision {REVISION}", *self._queries.identity()])

    def _render_video(self, video_id: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        clips, index, start, end = self._videos.render(video_id)
        return torch.from_numpy(clips), torch.from_numpy(index), _times(start), _times(end)


def _times(seconds: Floats) -> Tensor:
    return torch.from_numpy(seconds.astype(np.float32))
