"""LiteEval, adapted to moment retrieval: a gate goes through the video once and decides clip by clip whether to look.

Paper: Wu et al., LiteEval: A Coarse-to-Fine Framework for Resource Efficient Video Recognition, NeurIPS 2019. The
adaptation is SpotEM's baseline (Ramakrishnan et al., ICML 2023; code ziadalh/SpotEM @ 258572ad, MIT), restated: a
coarse recurrent state reads the index and the mean query; a gate reads them and a fine state; where it opens, the clip
is kept and the fine state reads its expensive features, where it does not, the first numbers of the fine state are
those of the coarse one. Straight-through draws with an annealed temperature and a squared budget penalty in training.

What differs from the released baseline: at test nothing is drawn; `selection: exact` (ours) stops at the budget, and
what is left of it goes to the clips whose gate was widest open. Padding does not count in the budget.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from vmrbench import hookimpl
from vmrbench.errors import ConfigError
from vmrbench.option_types import Count, NotNegative, Positive, Share
from vmrbench.protocols import ClipAccess
from vmrbench.specs import TrimDims, TrimmerSpec
from vmrbench.trim.budget import clip_budget, most_clips, top_clips
from vmrbench.trim.fill import index_of
from vmrbench.trim.noise import hard_draws
from vmrbench.trim.query_match import pooled_query
from vmrbench.trim.selection_losses import budget_loss
from vmrbench.types import Batch, DistillTargets, TrimDecision

State = tuple[Tensor, Tensor]


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of the adapted LiteEval.

    keep_ratio: share of the clips that get expensive features, 0..1; selection: at test, `exact` meets it exactly,
    `threshold` keeps every clip whose gate opens; coarse_width, fine_width: of the recurrent states; temperature: of
    the draws at the first epoch, falls linearly to 0; budget_weight: of the budget penalty.
    """

    keep_ratio: Share = 0.25
    selection: Literal["exact", "threshold"] = "exact"
    coarse_width: Count = 512
    fine_width: Count = 2048
    temperature: Positive = 5.0
    budget_weight: NotNegative = 300.0

    def __post_init__(self) -> None:
        if not 0 < self.coarse_width <= self.fine_width:
            raise ValueError(
                f"coarse_width {self.coarse_width} and fine_width {self.fine_width}: the coarse state stands in for a "
                "part of the fine one; expected 0 < coarse_width <= fine_width"
            )


class LstmStep(nn.Module):
    """One step of an LSTM; written out, because counters of multiply-adds do not see into torch's own cell."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.of_input, self.of_state = nn.Linear(width, 4 * hidden), nn.Linear(hidden, 4 * hidden, bias=False)

    def forward(self, rows: Tensor, state: State) -> State:
        """The next hidden and cell state [B, hidden]. rows: [B, width]."""
        enter, forget, new, leave = (self.of_input(rows) + self.of_state(state[0])).chunk(4, dim=-1)
        cell = forget.sigmoid() * state[1] + enter.sigmoid() * new.tanh()
        return leave.sigmoid() * cell.tanh(), cell


class LiteEval(nn.Module):
    """Two recurrent states and the gate between them."""

    def __init__(self, options: Options, dims: TrimDims) -> None:
        super().__init__()
        if dims.fine == 0:
            raise ConfigError("trimmer 'lite_eval' reads expensive features and was built for none; give TrimDims.fine")
        self.options = options
        width = dims.index + dims.text
        self.coarse = LstmStep(width, options.coarse_width)
        self.fine = LstmStep(width + dims.fine, options.fine_width)
        self.gate = nn.Linear(width + 2 * options.fine_width, 2)
        self.temperature = options.temperature

    def set_progress(self, share: float) -> None:
        """Anneal the temperature: linear from its start to 0. share: of the training that is done, 0..1."""
        self.temperature = self.options.temperature * (1 - share)

    def select(self, batch: Batch, access: ClipAccess) -> TrimDecision:
        """Go through the video once; a clip that is kept is fetched there and then.

        With `selection: exact` exactly K clips are kept at test; otherwise K on average over batches, by the penalty.
        """
        index, query = index_of(batch), pooled_query(batch)
        budget = clip_budget(batch.lengths, self.options.keep_ratio)
        coarse, fine = (_start(query, width) for width in (self.options.coarse_width, self.options.fine_width))
        left, opened, gates = budget.to(index.dtype), [], []
        for place in range(index.shape[1]):
            rows = torch.cat([index[:, place], query], dim=-1)
            coarse = self.coarse(rows, coarse)
            gate = self._gate(rows, fine)
            open_ = self._opened(gate, left) * batch.clip_mask[:, place]
            seen = self.fine(torch.cat([rows, access.fetch_clip(place, open_)], dim=-1), fine)
            fine = _mixed(open_, seen, coarse, fine)
            left = left - open_.detach()
            opened.append(open_)
            gates.append(gate)
        return self._decision(batch, torch.stack(opened, dim=1), torch.stack(gates, dim=1), left)

    def _gate(self, rows: Tensor, fine: State) -> Tensor:
        choice: Tensor = self.gate(torch.cat([rows, *fine], dim=-1)).float()
        return choice[..., 0] - choice[..., 1]

    def _opened(self, gate: Tensor, left: Tensor) -> Tensor:
        if self.training:
            return hard_draws(gate, self.temperature)
        opened = gate > 0
        if self.options.selection == "exact":
            opened = opened & (left > 0)
        return opened.to(gate.dtype)

    def _decision(self, batch: Batch, opened: Tensor, gates: Tensor, left: Tensor) -> TrimDecision:
        gates = gates.masked_fill(~batch.clip_mask, 0.0)
        most = None
        if not self.training and self.options.selection == "exact":
            most = most_clips(gates.shape[1], self.options.keep_ratio)
            more = top_clips(gates, batch.clip_mask & (opened < 0.5), left)
            opened = opened + more.to(opened.dtype)
        return TrimDecision(
            keep=opened.detach() > 0.5,
            soft=opened,
            steps=opened[:, None],
            logits=gates[:, None],
            scores=gates.detach(),
            most=most,
        )

    def loss(
        self, decision: TrimDecision, batch: Batch, *, student: DistillTargets | None, teacher: DistillTargets | None
    ) -> Mapping[str, Tensor]:
        """`budget`: the share kept over a batch against its target."""
        loss = budget_loss(decision, batch.clip_mask, self.options.keep_ratio)
        return {"budget": self.options.budget_weight * loss}


def _start(like: Tensor, width: int) -> State:
    zeros = like.new_zeros(len(like), width)
    return zeros, zeros


def _mixed(opened: Tensor, seen: State, coarse: State, before: State) -> State:
    """The fine state after a clip: what was seen, or the state before with the coarse one in its first numbers."""
    took = opened[:, None]
    hidden, cell = (torch.cat([low, old[:, low.shape[1] :]], dim=-1) for low, old in zip(coarse, before, strict=True))
    return took * seen[0] + (1 - took) * hidden, took * seen[1] + (1 - took) * cell


def _build(options: Options, dims: TrimDims) -> nn.Module:
    return LiteEval(options, dims)


@hookimpl
def vmr_trimmers() -> Iterable[TrimmerSpec]:
    """Offer `lite_eval`."""
    yield TrimmerSpec(
        name="lite_eval",
        summary="LiteEval adapted: a recurrent gate goes through the video once and decides clip by clip",
        source="LiteEval, NeurIPS 2019, as adapted by SpotEM, ICML 2023",
        options=Options,
        build=_build,
        train="joint",
        uses_teacher=False,
        # It has read every clip that it keeps when it is done, so none is left for windows.
        apply=("fill", "gather"),
        tied_to_ratio=lambda options: "its gate knows no budget, only the penalty for missing one",
        presets={"small": {"coarse_width": 32, "fine_width": 96}},
    )
