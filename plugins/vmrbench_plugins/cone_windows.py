"""CONE-style windows: half-overlapping windows, ranked by the clip in them that fits the query best.

Paper: Hou et al., CONE: An Efficient COarse-to-fiNE Alignment Framework for Long Video Temporal Grounding, ACL 2023.
Its code has no licence: this is written from the rule alone. A video is cut into windows that overlap by half; a window
is worth as much as its best clip, and the best windows go on.

What differs: the published windows go to the grounder one by one, which needs the expensive features of all clips
beforehand; here the kept clips get them and the whole timeline stays (mode `fill`). The budget is exact in clips: the
window that exceeds it is kept around its best clip. Scores are cosines where the index lies in the space of the query
(`score: cosine`), those of a linear map fitted to the training split (`ridge`), or of a small network that learns which
clips lie in the moment (`learned`, ours).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import pydantic
import torch
from torch import Tensor, nn
from torch.nn import functional

from vmrbench import hookimpl
from vmrbench.option_types import Count, NotNegative, Share
from vmrbench.protocols import ClipAccess
from vmrbench.specs import TrimDims, TrimmerSpec
from vmrbench.trim.budget import clip_budget, most_clips, top_clips
from vmrbench.trim.index_scorer import IndexScorer
from vmrbench.trim.query_match import CosineMatch, QueryPool, RidgeMatch, build_match
from vmrbench.trim.selection_losses import inside_loss
from vmrbench.types import Batch, DistillTargets, TrimDecision


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of the window selection.

    keep_ratio: share of the clips that get expensive features, 0..1; window_clips: clips of a window, even; score:
    `ridge`, `cosine` or `learned`; index_group: of `cosine`, the index group that lies in the space of the query, the
    whole index where None; query_token: of `cosine` and `ridge`, the `mean` of the query's tokens, its `first` or its
    `last` one; positive_weight, private_width, share_encoder: of `learned`, as in `supervised_topk`.
    """

    keep_ratio: Share = 0.25
    window_clips: Annotated[int, pydantic.Field(ge=2, multiple_of=2)] = 90
    score: Literal["cosine", "ridge", "learned"] = "ridge"
    index_group: str | None = None
    query_token: QueryPool = "mean"
    positive_weight: NotNegative = 2.0
    private_width: Count = 128
    share_encoder: bool = False


class ConeWindows(nn.Module):
    """Ranks windows by their best clip."""

    def __init__(self, options: Options, dims: TrimDims) -> None:
        super().__init__()
        self.options = options
        self.match: CosineMatch | RidgeMatch | None = None
        self.scorer: IndexScorer | None = None
        self.shares_encoder: bool | None = None
        if options.score != "learned":
            self.match = build_match(
                options.score, dims, options.index_group, options.query_token, "trimmer 'cone_windows'"
            )
            return
        self.scorer = IndexScorer(dims, width=options.private_width, share_encoder=options.share_encoder)
        self.shares_encoder = self.scorer.shares_encoder if options.share_encoder else None

    @property
    def learns_alone(self) -> bool:
        """Where the score is learned, its loss reads labels and nothing of the backbone."""
        return self.scorer is not None

    def fit(self, batches: Iterable[Batch]) -> None:
        """Fit the map of `score: ridge`; the others read nothing."""
        if isinstance(self.match, RidgeMatch):
            self.match.fit(batches)

    def select(self, batch: Batch, access: ClipAccess) -> TrimDecision:
        """Keep exactly K clips: those of the best window, then of the next best, and so on."""
        logits = None
        if self.match is not None:
            own = self.match(batch)
        else:
            assert self.scorer is not None
            logits = self.scorer(batch, access)[..., 0]
            own = logits.detach()
        best, distance = best_windows(own, batch.clip_mask, self.options.window_clips)
        budget = clip_budget(batch.lengths, self.options.keep_ratio)
        return TrimDecision(
            keep=top_clips(best, batch.clip_mask, budget, then=-distance),
            logits=None if logits is None else logits[:, None],
            scores=best,
            most=most_clips(best.shape[1], self.options.keep_ratio),
        )

    def loss(
        self, decision: TrimDecision, batch: Batch, *, student: DistillTargets | None, teacher: DistillTargets | None
    ) -> Mapping[str, Tensor]:
        """`inside` where the score is learned: which clips lie in the true moment."""
        if decision.logits is None:
            return {}
        return {"inside": inside_loss(decision.logits[:, 0], batch, self.options.positive_weight)}


def best_windows(scores: Tensor, clip_mask: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """For every clip the score of the best window that it lies in, and how far it is from that window's best clip.

    Window n holds the half-windows n and n + 1, so a clip of half-window n lies in windows n - 1 and n.

    Args:
        scores, clip_mask: [B, L].
        size: clips of a window, even.

    Returns:
        [B, L] scores, 0 on padding; [B, L] distances in clips.
    """
    count, half = scores.shape[1], size // 2
    lowest = torch.finfo(scores.dtype).min
    real = scores.masked_fill(~clip_mask, lowest)
    halves = functional.pad(real, (0, -count % half), value=lowest).reshape(len(scores), -1, half)
    best, place = halves.max(2)
    peak = place + half * torch.arange(best.shape[1], device=best.device)
    # Window n - 1 and window n of every half-window: itself against the one before and the one after.
    earlier, later = (_better(best, peak, shift) for shift in (1, -1))
    takes = later[0] > earlier[0]
    score = torch.where(takes, later[0], earlier[0]).repeat_interleave(half, dim=1)[:, :count]
    centre = torch.where(takes, later[1], earlier[1]).repeat_interleave(half, dim=1)[:, :count]
    distance = (torch.arange(count, device=scores.device) - centre).abs()
    return score.masked_fill(~clip_mask, 0.0), distance


def _better(best: Tensor, peak: Tensor, shift: int) -> tuple[Tensor, Tensor]:
    """Best score of each half-window together with the one `shift` places before it, and the place of that score."""
    lowest = torch.finfo(best.dtype).min
    pad = (shift, 0) if shift > 0 else (0, -shift)
    cut = slice(0, best.shape[1]) if shift > 0 else slice(-shift, None)
    neighbour = functional.pad(best, pad, value=lowest)[:, cut]
    there = functional.pad(peak, pad)[:, cut]
    takes = neighbour > best
    return torch.where(takes, neighbour, best), torch.where(takes, there, peak)


def _build(options: Options, dims: TrimDims) -> nn.Module:
    return ConeWindows(options, dims)


@hookimpl
def vmr_trimmers() -> Iterable[TrimmerSpec]:
    """Offer `cone_windows`."""
    yield TrimmerSpec(
        name="cone_windows",
        summary="CONE-style: half-overlapping windows ranked by the clip in them that fits the query best",
        source="CONE, ACL 2023; written from the rule, its code has no licence",
        options=Options,
        build=_build,
        train="joint",
        uses_teacher=False,
        presets={"small": {"window_clips": 16}},
    )
