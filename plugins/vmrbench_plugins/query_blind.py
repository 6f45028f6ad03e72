"""Backbones that read neither video nor query: floors under every model, as arms of a sweep.

Source: Otani et al., Uncovering Hidden Challenges in Query-Based Video Moment Retrieval, BMVC 2020; Yuan et al., A
Closer Look at Temporal Sentence Grounding in Videos, 2021 (bias-based baselines). Restated; no code was read.
What they know of a video is its duration and the times of its clips. What they learn, they learn in closed form from
the training annotations, and it is kept in buffers. Nothing is encoded for them, and they cost no multiply-adds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from vmrbench import hookimpl
from vmrbench.score.floors import moment_shares, ranked_windows, score_of
from vmrbench.specs import BackboneSpec
from vmrbench.trim.noise import sample_uniform
from vmrbench.types import Annotation, AxisMoments, Batch

_OTANI = "Otani et al., Uncovering Hidden Challenges in Query-Based Video Moment Retrieval, BMVC 2020"
_YUAN = "Yuan et al., A Closer Look at Temporal Sentence Grounding in Videos, 2021"
# Moments of train that the prior holds: more than most splits have; of larger ones as many, evenly spread.
CAPACITY = 65_536


@dataclass(frozen=True, kw_only=True)
class NoOptions:
    """A backbone without options."""


@dataclass(frozen=True, kw_only=True)
class WindowOptions:
    """metric: what the windows are best for on train, `R1@<IoU>` or `mIoU`; moments: how many windows at most."""

    metric: str = "R1@0.5"
    moments: Annotated[int, Field(ge=1, le=100)] = 10

    def __post_init__(self) -> None:
        score_of(self.metric)


@dataclass(frozen=True, kw_only=True)
class PriorOptions:
    """moments: how many are drawn for a query, ranked as drawn."""

    moments: Annotated[int, Field(ge=1, le=100)] = 10


class QueryBlind(nn.Module):
    """Answers with shares of the video. answers: gives them, [B, Q, 2], and their scores [Q] for a batch."""

    def __init__(self, answers: WholeVideo | ConstantWindows | PriorSampler) -> None:
        super().__init__()
        self.answers = answers

    def forward(self, batch: Batch) -> AxisMoments:
        """Spans on the clip axis; scores fall with the rank."""
        shares, scores = self.answers(batch)
        seconds = shares * batch.duration[:, None, None]
        return AxisMoments(spans=positions_at(seconds, batch), scores=scores.expand(shares.shape[:2]))

    def loss(self, outputs: AxisMoments, batch: Batch) -> Mapping[str, Tensor]:
        """No terms: nothing is learned by gradient."""
        return {}

    def predict(self, outputs: AxisMoments, batch: Batch) -> AxisMoments:
        """The outputs themselves."""
        return outputs

    def fit_annotations(self, annotations: Sequence[Annotation]) -> None:
        """Learn from the training split; see `vmrbench.protocols.LearnsFromAnnotations`."""
        self.answers.fit(annotations)


class WholeVideo(nn.Module):
    """One answer: from start to end."""

    def fit(self, annotations: Sequence[Annotation]) -> None:
        """Learn nothing."""

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """[B, 1, 2] and [1]."""
        start = torch.zeros_like(batch.duration)
        return torch.stack([start, start + 1], dim=-1)[:, None], torch.ones_like(batch.duration[:1])


class ConstantWindows(nn.Module):
    """The windows of `ranked_windows`, the same for every query; the whole video before it is fitted."""

    windows: Tensor
    ranks: Tensor

    def __init__(self, options: WindowOptions) -> None:
        super().__init__()
        self.options = options
        self.register_buffer("windows", torch.tensor([[0.0, 1.0]]).repeat(options.moments, 1))
        self.register_buffer("ranks", torch.full((options.moments,), -torch.inf))
        self.ranks[0] = 1.0

    def fit(self, annotations: Sequence[Annotation]) -> None:
        """Choose the windows."""
        found = torch.tensor(ranked_windows(annotations, self.options.metric, self.options.moments))
        self.windows[: len(found)] = found.to(self.windows)
        self.ranks.fill_(-torch.inf)
        self.ranks[: len(found)] = 1.0 - torch.arange(len(found)).to(self.ranks) / self.options.moments

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """[B, Q, 2] and [Q], -inf where fewer windows were found."""
        return self.windows.expand(len(batch.duration), -1, -1), self.ranks


class PriorSampler(nn.Module):
    """Moments drawn from those of train, start and end together as shares of their video.

    A draw depends on the name of the sample and on the seed that the model was built with, on nothing else: another
    seed of the sweep is another draw of every query. The whole video before it is fitted.
    """

    moments: Tensor
    count: Tensor
    shift: Tensor

    def __init__(self, options: PriorOptions) -> None:
        super().__init__()
        self.options = options
        moments = torch.zeros(CAPACITY, 2)
        moments[:, 1] = 1.0
        self.register_buffer("moments", moments)
        self.register_buffer("count", torch.ones((), dtype=torch.long))
        # A rotation of the hashed numbers: they stay uniform, and depend on the seed of the initialisation.
        self.register_buffer("shift", torch.rand(options.moments))

    def fit(self, annotations: Sequence[Annotation]) -> None:
        """Keep the moments of train."""
        shares = moment_shares(annotations)
        kept = min(len(shares), CAPACITY)
        places = np.arange(kept) * len(shares) // kept
        self.moments[:kept] = torch.from_numpy(shares[places]).to(self.moments)
        self.count.fill_(kept)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """[B, Q, 2] and [Q]."""
        draws = self.options.moments
        drawn = (sample_uniform(batch.sample_ids, draws, 0, batch.duration) + self.shift).remainder(1.0)
        place = torch.minimum((drawn * self.count).long(), self.count - 1)
        ranks = 1.0 - torch.arange(draws, device=drawn.device).to(drawn) / draws
        return self.moments[place], ranks


def positions_at(seconds: Tensor, batch: Batch) -> Tensor:
    """Where times lie on the clip axis, 0 to the number of real clips; between rows, at their cut.

    seconds: [B, Q, 2]; looks at no value on the host.
    """
    start, end = batch.clip_start[:, None, None], batch.clip_end[:, None, None]
    length = (end - start).clamp(min=torch.finfo(end.dtype).tiny)
    passed = ((seconds[..., None] - start) / length).clamp(0, 1) * batch.clip_mask[:, None, None]
    return passed.sum(-1)


@hookimpl
def vmr_backbones() -> Iterable[BackboneSpec]:
    """Offer the floors."""
    yield BackboneSpec(
        name="whole_video",
        summary="floor: the whole video, whatever the query",
        source=_OTANI,
        options=NoOptions,
        build=lambda options, dims: QueryBlind(WholeVideo()),
        learns="nothing",
        reads_features=False,
    )
    yield BackboneSpec(
        name="constant_window",
        summary="floor: the windows that are best on the training annotations, whatever video and query",
        source=_OTANI,
        options=WindowOptions,
        build=lambda options, dims: QueryBlind(ConstantWindows(options)),
        learns="annotations",
        reads_features=False,
    )
    yield BackboneSpec(
        name="prior_sampler",
        summary="floor: moments drawn from the training annotations, whatever video and query",
        source=f"{_OTANI}; {_YUAN}",
        options=PriorOptions,
        build=lambda options, dims: QueryBlind(PriorSampler(options)),
        learns="annotations",
        reads_features=False,
    )
