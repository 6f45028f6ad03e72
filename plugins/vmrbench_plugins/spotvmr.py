"""SpotVMR: a language-conditioned clip selector, trained with the backbone, distilled from the untrimmed teacher.

Paper: Fewer Steps, Better Performance: Efficient Cross-Modal Clip Trimming for Video Moment Retrieval Using Language,
AAAI 2024. No code of it is public; its figure is that of SpotEM (Ramakrishnan et al., ICML 2023, ziadalh/SpotEM @
258572ad, MIT), whose algorithm is restated here.

The selector previews the video on its index features, then alternates between keeping clips and previewing again with
the expensive features of the clips kept so far; the cross-modal encoder of these previews is the backbone's own. The
query is read once for all of them.

Modes. `faithful`, as published: straight-through Gumbel draws with an annealed temperature, the budget met through a
squared penalty (`budget: soft`). `exact`, ours: top-k under the exact budget in training as at test (`budget: hard`),
and a selection loss towards the teacher's highlight (`selection_target: teacher`). What a mode sets can be set apart,
and parts of the method can be left out, for ablations. What differs from the released code in both: at test the budget
is met exactly by top-k at every step (`selection: stochastic` is the released behaviour, seeded by the sample); padding
does not count in the budget.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pydantic
import torch
from torch import Tensor, nn

from vmrbench import hookimpl
from vmrbench.errors import ConfigError
from vmrbench.identity import IF_CHANGED
from vmrbench.option_types import Count, CountOrZero, NotNegative, Positive, Share
from vmrbench.parts.private_encoder import PrivateEncoder
from vmrbench.protocols import ClipAccess
from vmrbench.specs import TrimDims, TrimmerSpec
from vmrbench.trim.adaptive import allowance
from vmrbench.trim.budget import step_quotas, top_clips
from vmrbench.trim.distill import candidate_loss, embedding_loss, highlight_loss
from vmrbench.trim.noise import hard_draws, sample_uniform
from vmrbench.trim.query_match import RidgeMatch
from vmrbench.trim.selection_losses import budget_loss, standardised, teacher_loss, truth_loss
from vmrbench.types import Batch, DistillTargets, TrimDecision


def _later(default: Any) -> Any:
    """An option that came later, with what was done before as its default: runs stored without it stay good."""
    return field(default=default, metadata={"identity": IF_CHANGED})


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of SpotVMR; defaults are SpotEM's where it has them.

    keep_ratio: share of the clips that get expensive features; steps: previews N; mode: `faithful` or `exact`, which
    sets the two that follow where they are None; budget: in training, `soft` draws under a penalty or `hard` top-k;
    selection_target: what else teaches the selector (ours), `none`, the `teacher`'s saliency, the `truth` of the
    labels, or `both` halved; selection: at test, `topk` or `threshold` (deterministic), or `stochastic`;
    share_encoder: borrow the backbone's encoder where it offers one; private_width: width of the private encoder
    otherwise; ridge_start: start from the linear match of index and query that is fitted in closed form, as
    `supervised_topk` does (ours); index_groups: the groups of the index that the whole arm reads, all where None;
    temperature: of the Gumbel draw at the first epoch, falls linearly to 0; budget_weight, highlight_weight,
    candidate_weight, embedding_weight: of the published losses, 0 leaves a term out; selection_weight: of our selection
    loss; task_gradient: let the retrieval loss reach the selector through the mask, as published; seed: of the
    stochastic selection.
    """

    keep_ratio: Share = 0.25
    steps: Annotated[int, pydantic.Field(ge=1)] = 4
    mode: Literal["faithful", "exact"] = "faithful"
    budget: Literal["soft", "hard"] | None = _later(None)
    selection_target: Literal["none", "teacher", "truth", "both"] | None = _later(None)
    selection: Literal["topk", "threshold", "stochastic"] = "topk"
    share_encoder: bool = True
    private_width: Count = 128
    ridge_start: bool = _later(False)
    index_groups: tuple[str, ...] | None = _later(None)
    temperature: Positive = 5.0
    budget_weight: NotNegative = 300.0
    highlight_weight: NotNegative = 10.0
    candidate_weight: NotNegative = 1.0
    embedding_weight: NotNegative = 1.0
    selection_weight: NotNegative = 1.0
    task_gradient: bool = True
    seed: CountOrZero = 0

    @property
    def soft_budget(self) -> bool:
        """Whether training draws clips under a penalty, instead of meeting the budget exactly."""
        return self.budget == "soft" if self.budget else self.mode == "faithful"

    @property
    def target(self) -> str:
        """What the selection loss compares with: `none`, `teacher`, `truth` or `both`."""
        return self.selection_target or ("none" if self.mode == "faithful" else "teacher")


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
        self.match = RidgeMatch(dims, "mean") if options.ridge_start else None
        if self.match is not None:
            self.match_weight = nn.Parameter(torch.ones(()))
            nn.init.zeros_(layers[1].weight)  # Every clip has the score of its match until something is learned.
        self.temperature = options.temperature
        self.threshold: float | None = None

    @property
    def learns_alone(self) -> bool:
        """Where nothing but the backbone's losses teaches the selector (`faithful`), it cannot."""
        return self.options.target != "none"

    def fit(self, batches: Iterable[Batch]) -> None:
        """Fit the linear match; without it nothing is read."""
        if self.match is not None:
            self.match.fit(batches)

    def set_progress(self, share: float) -> None:
        """Anneal the temperature: linear from its start to 0. share: of the training that is done, 0..1."""
        self.temperature = self.options.temperature * (1 - share)

    def select(self, batch: Batch, access: ClipAccess) -> TrimDecision:
        """Keep clips in N steps; every step sees the expensive features of the steps before it.

        With `selection: topk` exactly K clips are kept (in training with a soft budget: K on average over batches).
        With an adaptive budget the first preview, of the index alone, says what K is for a query.
        """
        kept = torch.zeros_like(batch.clip_start)
        start, words = self._start(batch), self._words(batch)
        logit = start + self._logit(batch, access, kept, words)
        budget, most = allowance(batch, logit, self.options.keep_ratio, None if self.training else self.threshold)
        quotas = step_quotas(budget, self.options.steps)
        steps, logits = [], []
        for step in range(self.options.steps):
            logit = start + self._logit(batch, access, kept, words) if step else logit
            added = self._draw(logit, kept, batch, quotas[:, step], step)
            kept = (kept + added).clamp(0, 1)
            steps.append(added)
            logits.append(logit)
        drawn = self.options.soft_budget if self.training else self.options.selection != "topk"
        return TrimDecision(
            keep=(kept.detach() > 0.5) & batch.clip_mask,
            soft=kept,
            steps=torch.stack(steps, dim=1),
            logits=torch.stack(logits, dim=1),
            scores=logits[-1].detach(),
            demand=logits[0].detach(),
            most=None if drawn else most,
        )

    def _start(self, batch: Batch) -> Tensor:
        """[B, L] what every step's logits begin from, zero without a match."""
        if self.match is None:
            return torch.zeros_like(batch.clip_start)
        matched: Tensor = self.match_weight * standardised(self.match(batch).float(), batch.clip_mask)
        return matched.masked_fill(~batch.clip_mask, 0.0)

    def _words(self, batch: Batch) -> Tensor | None:
        """What a private encoder reads of the query; the access keeps that of a borrowed one."""
        return None if self.private is None else self.private.encode_query(batch.query, batch.query_mask)

    def _logit(self, batch: Batch, access: ClipAccess, kept: Tensor, words: Tensor | None) -> Tensor:
        if self.private is None or words is None:
            hidden = access.preview(kept)
            assert hidden is not None
        else:
            rows = access.rows(kept)
            hidden = self.private(rows.clips, batch.clip_mask, words, batch.query_mask)
        choice: Tensor = self.head(hidden).float()
        return (choice[..., 0] - choice[..., 1]).masked_fill(~batch.clip_mask, 0.0)

    def _draw(self, logit: Tensor, kept: Tensor, batch: Batch, quota: Tensor, step: int) -> Tensor:
        """[B, L] clips this step adds, 0/1, with a gradient to the logits in training."""
        options = self.options
        if self.training and options.soft_budget:
            drawn = hard_draws(logit, self.temperature)
            return (drawn if options.task_gradient else drawn.detach()) * batch.clip_mask
        soft = logit.sigmoid()
        if self.training or options.selection == "topk":
            hard = top_clips(logit, batch.clip_mask & (kept < 0.5), quota).to(soft.dtype)
        elif options.selection == "threshold":
            hard = (logit > 0).to(soft.dtype)
        else:
            noise = sample_uniform(batch.sample_ids, logit.shape[1], options.seed + 7919 * step, logit)
            hard = (noise < soft).to(soft.dtype)
        if self.training and options.task_gradient:
            hard = hard + (soft - soft.detach())
        return hard * batch.clip_mask

    def loss(
        self, decision: TrimDecision, batch: Batch, *, student: DistillTargets | None, teacher: DistillTargets | None
    ) -> Mapping[str, Tensor]:
        """Budget where it is soft, selection where it has a target, and distillation where both models offer a term.

        Raises:
            ConfigError: the selection is to learn from the saliency of a backbone that offers none.
        """
        options, mask = self.options, batch.clip_mask
        terms: dict[str, Tensor | None] = {}
        if options.soft_budget:
            terms["budget"] = options.budget_weight * budget_loss(decision, mask, options.keep_ratio)
        if options.target != "none":
            terms["selection"] = options.selection_weight * self._selection_loss(decision, batch, teacher)
        if student is not None and teacher is not None:
            terms["distill_highlight"] = _scaled(highlight_loss(student, teacher, mask), options.highlight_weight)
            terms["distill_candidates"] = _scaled(candidate_loss(student, teacher), options.candidate_weight)
            terms["distill_embedding"] = _scaled(embedding_loss(student, teacher, mask), options.embedding_weight)
        return {name: value for name, value in terms.items() if value is not None}

    def _selection_loss(self, decision: TrimDecision, batch: Batch, teacher: DistillTargets | None) -> Tensor:
        """Divergence from the teacher's highlight or from the truth; with `both` the mean of the two."""
        found: list[Tensor] = []
        if self.options.target != "truth":
            towards = None if teacher is None else teacher_loss(decision, teacher, batch.clip_mask)
            if towards is None:
                raise ConfigError(
                    "trimmer 'spotvmr': the selection is to learn from the teacher's saliency, and this backbone "
                    "offers none to distillation; use mode 'faithful' or selection_target 'truth', or give the "
                    "backbone distill_targets"
                )
            found.append(towards)
        if self.options.target != "teacher":
            found.append(truth_loss(decision, batch))
        return torch.stack(found).mean()


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


def _tied_to_ratio(options: Options) -> str | None:
    if options.soft_budget:
        return (
            "its draws know no budget, only the penalty for missing one (mode faithful); use mode exact or budget hard"
        )
    return _tied_to_share(options)


def _tied_to_share(options: Options) -> str | None:
    if options.selection != "topk":
        return f"selection {options.selection!r} does not look at keep_ratio at test; use topk"
    return None


@hookimpl
def vmr_trimmers() -> Iterable[TrimmerSpec]:
    """Offer `spotvmr`."""
    yield TrimmerSpec(
        name="spotvmr",
        summary="SpotVMR: recursive language-conditioned clip selection, joint training, distillation",
        source="Fewer Steps, Better Performance, AAAI 2024; algorithm of SpotEM, ICML 2023",
        options=Options,
        build=_build,
        revision=2,  # Since 2 the query is read once for all steps: with dropout, it is dropped out once.
        train="joint",
        tied_to_ratio=_tied_to_ratio,
        tied_to_share=_tied_to_share,
        presets={"faithful": {}, "exact": EXACT},
    )
