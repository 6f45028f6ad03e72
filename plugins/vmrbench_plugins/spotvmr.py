"""SpotVMR: a language-conditioned clip selector, trained with the backbone, distilled from the untrimmed teacher.

Paper: Fewer Steps, Better Performance: Efficient Cross-Modal Clip Trimming for Video Moment Retrieval Using Language,
AAAI 2024. No code of it is public; its figure is that of SpotEM (Ramakrishnan et al., ICML 2023, ziadalh/SpotEM @
258572ad, MIT), whose algorithm is restated here.

The selector previews the video on its index features, then alternates between keeping clips and previewing again with
the expensive features of the clips kept so far; the cross-modal encoder of these previews is the backbone's own.

Modes. `faithful`, as published: straight-through Gumbel draws with an annealed temperature, the budget met through a
squared penalty. `exact`, ours: top-k under the exact budget in training as at test, and a selection loss towards the
teacher's highlight. What differs from the released code in both: at test the budget is met exactly by top-k at every
step (`selection: stochastic` is the released behaviour, seeded by the sample); padding does not count in the budget.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from vmrbench import hookimpl
from vmrbench.errors import ConfigError
from vmrbench.parts.private_encoder import PrivateEncoder
from vmrbench.protocols import ClipAccess
from vmrbench.specs import TrimDims, TrimmerSpec
from vmrbench.trim.budget import clip_budget, most_clips, step_quotas, top_clips
from vmrbench.trim.distill import candidate_loss, embedding_loss, highlight_loss, masked_mean
from vmrbench.trim.noise import sample_uniform
from vmrbench.types import Batch, DistillTargets, TrimDecision

# Of the teacher's standardised saliency: a clip two deviations up weighs e^4 times an average one. 1 did no better.
SHARPNESS = 2.0


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of SpotVMR; defaults are SpotEM's where it has them.

    keep_ratio: share of the clips that get expensive features; steps: previews N; mode: `faithful` or `exact`;
    selection: at test, `topk` or `stochastic`; share_encoder: borrow the backbone's encoder where it offers one;
    private_width: width of the private encoder otherwise; temperature: of the Gumbel draw at the first epoch, falls
    linearly to 0; budget_weight, highlight_weight, candidate_weight, embedding_weight: of the published losses;
    selection_weight: of our selection loss (mode `exact`); task_gradient: let the retrieval loss reach the selector
    through the mask, as published; seed: of the stochastic selection.
    """

    keep_ratio: float = 0.25
    steps: int = 4
    mode: Literal["faithful", "exact"] = "faithful"
    selection: Literal["topk", "stochastic"] = "topk"
    share_encoder: bool = True
    private_width: int = 128
    temperature: float = 5.0
    budget_weight: float = 300.0
    highlight_weight: float = 10.0
    candidate_weight: float = 1.0
    embedding_weight: float = 1.0
    selection_weight: float = 1.0
    task_gradient: bool = True
    seed: int = 0


class SpotVmr(nn.Module):
    """The selector: an MLP head on top of the previews."""

    def __init__(self, options: Options, dims: TrimDims) -> None:
        super().__init__()
        self.options = options
        self.shares_encoder = options.share_encoder and dims.embedding is not None
        width = dims.embedding if self.shares_encoder and dims.embedding is not None else options.private_width
        self.private = None if self.shares_encoder else PrivateEncoder(dims.rows, dims.text, width)
        layers = [nn.Linear(width, width), nn.Linear(width, 2)]
        self.head = nn.Sequential(layers[0], nn.ReLU(), layers[1])
        for layer in layers:
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.temperature = options.temperature

    def set_progress(self, share: float) -> None:
        """Anneal the temperature: linear from its start to 0. share: of the training that is done, 0..1."""
        self.temperature = self.options.temperature * (1 - share)

    def select(self, batch: Batch, access: ClipAccess) -> TrimDecision:
        """Keep clips in N steps; every step sees the expensive features of the steps before it.

        With `selection: topk` exactly K clips are kept (`faithful` in training: K on average over batches).
        """
        quotas = step_quotas(clip_budget(batch.lengths, self.options.keep_ratio), self.options.steps)
        kept = torch.zeros_like(batch.clip_start)
        steps, logits = [], []
        for step in range(self.options.steps):
            logit = self._logit(batch, access, kept)
            added = self._draw(logit, kept, batch, quotas[:, step], step)
            kept = (kept + added).clamp(0, 1)
            steps.append(added)
            logits.append(logit)
        drawn = self.options.selection == "stochastic" or (self.training and self.options.mode == "faithful")
        return TrimDecision(
            keep=(kept.detach() > 0.5) & batch.clip_mask,
            soft=kept,
            steps=torch.stack(steps, dim=1),
            logits=torch.stack(logits, dim=1),
            scores=logits[-1].detach(),
            most=None if drawn else most_clips(kept.shape[1], self.options.keep_ratio),
        )

    def _logit(self, batch: Batch, access: ClipAccess, kept: Tensor) -> Tensor:
        if self.private is None:
            hidden = access.preview(kept)
            assert hidden is not None
        else:
            rows = access.rows(kept)
            hidden = self.private(rows.clips, batch.clip_mask, batch.query, batch.query_mask)
        choice: Tensor = self.head(hidden).float()
        return (choice[..., 0] - choice[..., 1]).masked_fill(~batch.clip_mask, 0.0)

    def _draw(self, logit: Tensor, kept: Tensor, batch: Batch, quota: Tensor, step: int) -> Tensor:
        """[B, L] clips this step adds, 0/1, with a gradient to the logits in training."""
        if self.training and self.options.mode == "faithful":
            noise = torch.rand_like(logit).clamp(1e-6, 1 - 1e-6).logit()
            soft = ((logit + noise) / max(self.temperature, 1e-2)).sigmoid()
            hard = (soft > 0.5).to(soft.dtype)
        elif not self.training and self.options.selection == "stochastic":
            soft = logit.sigmoid()
            drawn = sample_uniform(batch.sample_ids, logit.shape[1], self.options.seed + 7919 * step, logit)
            hard = (drawn < soft).to(soft.dtype)
        else:
            soft = logit.sigmoid()
            hard = top_clips(logit, batch.clip_mask & (kept < 0.5), quota).to(soft.dtype)
        if self.training and self.options.task_gradient:
            hard = hard + (soft - soft.detach())
        return hard * batch.clip_mask

    def loss(
        self, decision: TrimDecision, batch: Batch, *, student: DistillTargets | None, teacher: DistillTargets | None
    ) -> Mapping[str, Tensor]:
        """Budget (faithful) or selection (exact), and the three terms of distillation where both models offer them.

        Raises:
            ConfigError: mode `exact` with a backbone that offers no saliency to learn from.
        """
        options = self.options
        terms: dict[str, Tensor | None] = {}
        if options.mode == "faithful":
            terms["budget"] = options.budget_weight * budget_loss(decision, batch.clip_mask, options.keep_ratio)
        else:
            selection = None if teacher is None else selection_loss(decision, teacher, batch.clip_mask)
            if selection is None:
                raise ConfigError(
                    "trimmer 'spotvmr': mode 'exact' learns from the teacher's saliency, and this backbone offers none "
                    "to distillation; use mode 'faithful', or give the backbone distill_targets"
                )
            terms["selection"] = options.selection_weight * selection
        if student is not None and teacher is not None:
            mask = batch.clip_mask
            terms["distill_highlight"] = _scaled(highlight_loss(student, teacher, mask), options.highlight_weight)
            terms["distill_candidates"] = _scaled(candidate_loss(student, teacher), options.candidate_weight)
            terms["distill_embedding"] = _scaled(embedding_loss(student, teacher, mask), options.embedding_weight)
        return {name: value for name, value in terms.items() if value is not None}


def budget_loss(decision: TrimDecision, clip_mask: Tensor, keep_ratio: float) -> Tensor:
    """Squared distance of the share kept, in all and at every step, from its target, over the real clips of a batch.

    Source: SpotEM, type "batch", in its masked variant: padding does not count.
    """
    assert decision.soft is not None
    assert decision.steps is not None
    count = decision.steps.shape[1]
    total = (masked_mean(decision.soft, clip_mask) - keep_ratio).square()
    steps = [(masked_mean(step, clip_mask) - keep_ratio / count).square() for step in decision.steps.unbind(1)]
    return (total + torch.stack(steps).sum()) / (count + 1)


def selection_loss(decision: TrimDecision, teacher: DistillTargets, clip_mask: Tensor) -> Tensor | None:
    """KL divergence of the selector's distribution over clips from the teacher's highlight, mean over steps; ours.

    The teacher's saliency is standardised over the clips of a video before the softmax: a ranking loss leaves its
    scale open, and only the order and the relative distance of clips are meant.
    """
    if teacher.saliency is None or decision.logits is None:
        return None
    lowest = torch.finfo(decision.logits.dtype).min
    target = (SHARPNESS * standardised(teacher.saliency.detach().float(), clip_mask)).masked_fill(~clip_mask, lowest)
    logits = decision.logits.masked_fill(~clip_mask[:, None], lowest)
    return functional.kl_div(
        logits.log_softmax(2).flatten(0, 1),
        target.log_softmax(1)[:, None].expand_as(logits).flatten(0, 1),
        reduction="batchmean",
        log_target=True,
    )


def standardised(scores: Tensor, clip_mask: Tensor) -> Tensor:
    """[B, L] scores less their mean over real clips, divided by their standard deviation."""
    weight = clip_mask.to(scores.dtype)
    count = weight.sum(1, keepdim=True).clamp(min=1)
    centred = scores - (scores * weight).sum(1, keepdim=True) / count
    spread = ((centred * weight).square().sum(1, keepdim=True) / count).sqrt()
    return centred / spread.clamp(min=1e-6)


def _scaled(term: Tensor | None, weight: float) -> Tensor | None:
    return None if term is None else weight * term


# Ours: the selection loss leads, and the retrieval loss does not reach the selector.
EXACT: Mapping[str, Any] = {
    "mode": "exact",
    "selection_weight": 10.0,
    "highlight_weight": 1.0,
    "task_gradient": False,
}


def _build(options: Options, dims: TrimDims) -> nn.Module:
    return SpotVmr(options, dims)


@hookimpl
def vmr_trimmers() -> Iterable[TrimmerSpec]:
    """Offer `spotvmr`."""
    yield TrimmerSpec(
        name="spotvmr",
        summary="SpotVMR: recursive language-conditioned clip selection, joint training, distillation",
        source="Fewer Steps, Better Performance, AAAI 2024; algorithm of SpotEM, ICML 2023",
        options=Options,
        build=_build,
        train="joint",
        presets={"faithful": {}, "exact": EXACT},
    )
