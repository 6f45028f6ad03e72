"""The values that travel through the harness: frozen, keyword-only, and the same for every backbone and trimmer.

Shape letters: `B` batch, `L` clips, `T` query tokens, `Q` predicted moments, `M` true moments, `D` width.
Masks are boolean and true for what is real. Times are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Annotation:
    """One query of one video, as its annotators wrote it: no features.

    `moments` are (start, end) in seconds; `extra` holds unknown keys of the source file.
    """

    sample_id: str
    video_id: str
    sentence: str
    duration: float
    moments: tuple[tuple[float, float], ...]
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class FinerClips:
    """Expensive features of a video at a finer stride than its clips, F rows; a batch has B before each shape.

    clips: [F, D]; mask: [F] true for real rows; clip_start, clip_end: [F] seconds.
    """

    clips: Tensor
    mask: Tensor
    clip_start: Tensor
    clip_end: Tensor

    def to(self, device: torch.device | str) -> FinerClips:
        """The same on `device`."""
        return FinerClips(**{item.name: getattr(self, item.name).to(device) for item in fields(self)})


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """An annotation with its features.

    clips: [L, D] expensive features; index: [L, Di] cheap features, None where the data set has none;
    query: [T, Dt]; clip_start, clip_end: [L] seconds; finer: None unless the split was asked for it.
    """

    annotation: Annotation
    clips: Tensor
    index: Tensor | None
    query: Tensor
    clip_start: Tensor
    clip_end: Tensor
    finer: FinerClips | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """What a backbone reads. Padded rows are zero everywhere.

    clips: [B, L, D]; clip_mask: [B, L]; clip_start, clip_end: [B, L] seconds;
    index: [B, L, Di] or None; fine_weight: [B, L], 1 where the row holds expensive features, else 0;
    query: [B, T, Dt]; query_mask: [B, T]; duration: [B] seconds;
    moments: for each sample its true moments [M, 2] in seconds, None where there are no labels;
    finer: read where windows are cut, by nothing else.
    """

    sample_ids: tuple[str, ...]
    video_ids: tuple[str, ...]
    clips: Tensor
    clip_mask: Tensor
    clip_start: Tensor
    clip_end: Tensor
    index: Tensor | None
    fine_weight: Tensor
    query: Tensor
    query_mask: Tensor
    duration: Tensor
    moments: tuple[Tensor, ...] | None
    extra: Mapping[str, Tensor] = field(default_factory=dict)
    finer: FinerClips | None = None

    def to(self, device: torch.device | str) -> Batch:
        """The same batch with every tensor on `device`."""
        moved: dict[str, Any] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, Tensor):
                moved[item.name] = value.to(device)
        if self.moments is not None:
            moved["moments"] = tuple(m.to(device) for m in self.moments)
        moved["finer"] = None if self.finer is None else self.finer.to(device)
        moved["extra"] = {k: v.to(device) for k, v in self.extra.items()}
        return replace(self, **moved)

    @property
    def lengths(self) -> Tensor:
        """[B] number of real clips."""
        return self.clip_mask.sum(1)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrimDecision:
    """Which clips a trimmer keeps.

    keep: [B, L] boolean, never true on padding; soft: [B, L] equal to `keep` in value, with a gradient to the
    selector (None where nothing is learned); steps: [B, N, L] what each of N steps added; logits: [B, N, L] the
    selector's score of every clip at every step, positive is "keep"; scores: [B, L] one score a clip, for windows
    and diagnostics; demand: [B, L] the scores that say how many clips a query needs, where a budget may be
    adaptive (see `vmrbench.trim.adaptive`); most: a number, known on the host, that no sample's kept clips exceed, so
    that rows can be removed without looking at `keep` there; None where only `keep` tells.
    """

    keep: Tensor
    soft: Tensor | None = None
    steps: Tensor | None = None
    logits: Tensor | None = None
    scores: Tensor | None = None
    demand: Tensor | None = None
    most: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class AxisMoments:
    """Predicted moments on the clip axis of their batch.

    spans: [B, Q, 2] start and end, 0 to the number of real clips; scores: [B, Q], higher is better;
    a slot that holds no moment has the score -inf.
    """

    spans: Tensor
    scores: Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class DistillTargets:
    """What a backbone offers to distillation; every term is optional.

    embedding: [B, L, d] fused per-clip embedding; saliency: [B, L] logits of "this clip belongs to the moment";
    candidates: [B, C] logits over moments; candidate_mask: [C] or [B, C], true for real candidates;
    candidate_spans: [B, C, 2] start and end as fractions of the video, given where candidate i of one model is not
    candidate i of another (slots of a DETR), so that they must be matched first.
    """

    embedding: Tensor | None = None
    saliency: Tensor | None = None
    candidates: Tensor | None = None
    candidate_mask: Tensor | None = None
    candidate_spans: Tensor | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """Ranked moments of one query: (start, end, score) in seconds, inside the video, best first.

    saliency: one score a clip from the start of the video, higher is more of a highlight; None where there is none.
    """

    sample_id: str
    video_id: str
    moments: tuple[tuple[float, float, float], ...]
    saliency: tuple[float, ...] | None = None
