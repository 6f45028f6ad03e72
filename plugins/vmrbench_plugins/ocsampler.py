"""OCSampler, adapted to moment retrieval: all clips are ranked in one step, and the retrieval loss teaches the ranking.

Paper: Lin et al., OCSampler: Compressing Videos to One Clip with Single-step Sampling, CVPR 2022, a sampler of frames
for action recognition. The adaptation is SpotEM's baseline (Ramakrishnan et al., ICML 2023; code ziadalh/SpotEM @
258572ad, MIT), restated: a score from index and mean query, a relaxed top-k with Gumbel noise in the place of the
paper's policy gradients, and a straight-through mask that carries the backbone's losses.

What differs from the released baseline: at test no noise is added unless `selection: stochastic` asks for it; query
tokens enter as the data set gives them; the budget is that of this project (at least one clip).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from vmrbench import hookimpl
from vmrbench.option_types import CountOrZero, Positive, Share
from vmrbench.protocols import ClipAccess
from vmrbench.specs import TrimDims, TrimmerSpec
from vmrbench.trim.budget import clip_budget, most_clips, top_clips
from vmrbench.trim.fill import index_of
from vmrbench.trim.noise import gumbel, sample_uniform
from vmrbench.trim.query_match import pooled_query
from vmrbench.types import Batch, DistillTargets, TrimDecision

# Below it a softmax is as good as hard, and its gradient is noise.
LOWEST_TEMPERATURE = 1e-2
# The least that a clip which was drawn already is taken to have left, as in the released code's clamp.
LEFT = 1e-6


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of the adapted OCSampler.

    keep_ratio: share of the clips that get expensive features, 0..1; temperature: of the relaxed draws at the first
    epoch, falls linearly to 0; selection: at test, `topk` of the scores, or `stochastic` with noise as released;
    seed: of that noise.
    """

    keep_ratio: Share = 0.25
    temperature: Positive = 5.0
    selection: Literal["topk", "stochastic"] = "topk"
    seed: CountOrZero = 0


class OcSampler(nn.Module):
    """A perceptron over the index features of a clip and the mean query."""

    def __init__(self, options: Options, dims: TrimDims) -> None:
        super().__init__()
        self.options = options
        self.score = nn.Sequential(nn.Linear(dims.index + dims.text, dims.index), nn.ReLU(), nn.Linear(dims.index, 1))
        self.temperature = options.temperature

    def set_progress(self, share: float) -> None:
        """Anneal the temperature: linear from its start to 0. share: of the training that is done, 0..1."""
        self.temperature = self.options.temperature * (1 - share)

    def select(self, batch: Batch, access: ClipAccess) -> TrimDecision:
        """Keep exactly K clips; in training a noisy draw of K, with a gradient to the scores."""
        index = index_of(batch)
        query = pooled_query(batch)[:, None].expand(-1, index.shape[1], -1)
        logits = self.score(torch.cat([index, query], dim=-1))[..., 0].float()
        budget = clip_budget(batch.lengths, self.options.keep_ratio)
        most = most_clips(logits.shape[1], self.options.keep_ratio)
        if self.training:
            relaxed = relaxed_top_k(logits + gumbel(torch.rand_like(logits)), batch.clip_mask, budget, self.temperature)
            hard = top_clips(relaxed.detach(), batch.clip_mask, budget)
            soft = hard.to(relaxed.dtype) + (relaxed - relaxed.detach())
            return TrimDecision(keep=hard, soft=soft, logits=logits[:, None], scores=logits.detach(), most=most)
        ranked = logits
        if self.options.selection == "stochastic":
            ranked = logits + gumbel(sample_uniform(batch.sample_ids, logits.shape[1], self.options.seed, logits))
        keep = top_clips(ranked, batch.clip_mask, budget)
        return TrimDecision(keep=keep, logits=logits[:, None], scores=logits, most=most)

    def loss(
        self, decision: TrimDecision, batch: Batch, *, student: DistillTargets | None, teacher: DistillTargets | None
    ) -> Mapping[str, Tensor]:
        """No terms: the backbone's losses come through the mask."""
        return {}


def relaxed_top_k(scores: Tensor, allowed: Tensor, quota: Tensor, temperature: float) -> Tensor:
    """[B, L] how much of every clip K soft draws without replacement take; each row sums to its quota. For training.

    Args:
        scores: [B, L], noise included.
        allowed: [B, L] clips that may be drawn; the others get 0.
        quota: [B] draws K of every row, read on the host.
        temperature: of every draw; towards 0 the draws become the K best clips.

    Source:
        Xie and Ermon, Reparameterizable Subset Sampling via Continuous Relaxations, 2019, Algorithm 2.
    """
    heat = max(temperature, LOWEST_TEMPERATURE)
    alpha, drawn = scores, torch.zeros_like(scores)
    for draw in range(int(quota.max())):
        share = (alpha / heat).masked_fill(~allowed, -torch.inf).softmax(1)
        drawn = drawn + share * (draw < quota)[:, None]
        alpha = alpha + torch.log((1 - share).clamp(min=LEFT))
    return drawn


def _build(options: Options, dims: TrimDims) -> nn.Module:
    return OcSampler(options, dims)


@hookimpl
def vmr_trimmers() -> Iterable[TrimmerSpec]:
    """Offer `ocsampler`."""
    yield TrimmerSpec(
        name="ocsampler",
        summary="OCSampler adapted: clips ranked in one step, taught by the retrieval loss through a relaxed top-k",
        source="OCSampler, CVPR 2022, as adapted by SpotEM, ICML 2023",
        options=Options,
        build=_build,
        train="joint",
        uses_teacher=False,
        # The backbone's losses alone teach it, and they do not come through windows.
        apply=("fill", "gather"),
    )
