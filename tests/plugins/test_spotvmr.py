"""The SpotVMR selector: budget, gradients, losses worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from vmrbench.errors import ConfigError
from vmrbench.specs import TrimDims
from vmrbench.testing.factories import make_batch
from vmrbench.trim.access import CountingAccess, withhold_clips
from vmrbench.trim.fill import ConcatZero
from vmrbench.types import Batch, DistillTargets, TrimDecision
from vmrbench_plugins.spotvmr import Options, SpotVmr, budget_loss, selection_loss

DIMS = TrimDims(index=8, text=12, rows=24, embedding=6)


class Encoder(nn.Module):
    """A stand-in for a backbone's encoder that counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.calls = nn.Linear(24, 6), 0

    def forward(self, batch: Batch) -> Tensor:
        self.calls += 1
        return self.layer(batch.clips).tanh() * batch.query.mean((1, 2))[:, None, None]


def run(trimmer: SpotVmr, batch: Batch, encoder: Encoder | None = None) -> tuple[TrimDecision, CountingAccess]:
    torch.manual_seed(0)
    preview = None if trimmer.private is not None else (encoder or Encoder())
    access = CountingAccess(batch, ConcatZero(16, 8), preview, training=trimmer.training)
    return trimmer.select(withhold_clips(batch), access), access


@pytest.mark.parametrize("steps", [1, 2, 4, 6])
@pytest.mark.parametrize("share", [True, False])
def test_exact_budget_is_met_and_every_clip_is_read_once(steps: int, share: bool) -> None:
    batch = make_batch([20, 7, 2])
    trimmer = SpotVmr(Options(keep_ratio=0.5, steps=steps, share_encoder=share), DIMS).eval()

    decision, access = run(trimmer, batch)
    access.rows(decision.soft)

    assert decision.keep.sum(1).tolist() == [10, 3, 1]
    assert torch.equal(access.reads, decision.keep.long())


def test_steps_add_up_to_the_decision_without_overlap() -> None:
    decision, _ = run(SpotVmr(Options(keep_ratio=0.5), DIMS).eval(), make_batch([20, 7]))

    assert torch.equal(decision.steps.sum(1) > 0, decision.keep)
    assert decision.steps.sum(1).max() == 1


def test_the_shared_encoder_runs_once_a_step() -> None:
    encoder = Encoder()

    run(SpotVmr(Options(steps=3), DIMS).eval(), make_batch([20]), encoder)

    assert encoder.calls == 3


def test_later_steps_see_the_clips_kept_before() -> None:
    decision, _ = run(SpotVmr(Options(keep_ratio=0.5, steps=2), DIMS).eval(), make_batch([20]))

    first, second = decision.logits[0]
    changed = (first - second).abs() > 1e-7
    assert torch.equal(changed, decision.steps[0, 0] > 0)


@pytest.mark.parametrize("mode", ["faithful", "exact"])
def test_the_task_gradient_reaches_the_selector_through_the_mask(mode: str) -> None:
    batch = make_batch([20, 7])
    trimmer = SpotVmr(Options(mode=mode), DIMS).train()

    decision, access = run(trimmer, batch)
    access.rows(decision.soft).clips.square().sum().backward()

    assert trimmer.head[0].weight.grad.abs().sum() > 0


def test_faithful_training_draws_are_hard_and_about_half_at_zero_logits() -> None:
    trimmer = SpotVmr(Options(steps=1), DIMS).train()
    nn.init.zeros_(trimmer.head[2].weight)

    decision, _ = run(trimmer, make_batch([200] * 20))

    assert set(decision.soft.detach().unique().tolist()) == {0.0, 1.0}
    assert abs(float(decision.soft.detach().mean()) - 0.5) < 0.05


def test_stochastic_selection_is_repeatable_and_follows_the_logits() -> None:
    trimmer = SpotVmr(Options(steps=1, selection="stochastic"), DIMS).eval()
    nn.init.zeros_(trimmer.head[2].weight)
    trimmer.head[2].bias.data = torch.tensor([math.log(3.0), 0.0])
    batch = make_batch([200] * 20)

    once, again = run(trimmer, batch)[0], run(trimmer, batch)[0]

    assert torch.equal(once.keep, again.keep)
    assert abs(float(once.keep.float().mean()) - 0.75) < 0.04


def test_temperature_falls_linearly() -> None:
    trimmer = SpotVmr(Options(temperature=5.0), DIMS)

    trimmer.set_progress(0.8)

    assert trimmer.temperature == pytest.approx(1.0)


def test_budget_loss_by_hand() -> None:
    # Four real clips; step one takes one, step two two of them: shares 1/4 and 2/4, in all 3/4; target 1/2.
    steps = torch.tensor([[[1.0, 0, 0, 0, 0], [0, 1.0, 1.0, 0, 0]]])
    decision = TrimDecision(keep=steps.sum(1) > 0, soft=steps.sum(1), steps=steps)
    mask = torch.tensor([[True, True, True, True, False]])

    loss = budget_loss(decision, mask, 0.5)

    assert loss.item() == pytest.approx((0.25**2 + 0.0 + 0.25**2) / 3)


def test_selection_loss_is_lowest_where_logits_follow_the_teacher() -> None:
    teacher = DistillTargets(saliency=torch.tensor([[4.0, -4.0, -4.0]]))
    mask = torch.ones(1, 3, dtype=torch.bool)

    def loss_at(logits: list[float]) -> float:
        decision = TrimDecision(keep=mask, logits=torch.tensor([[logits]]))
        return float(selection_loss(decision, teacher, mask))

    assert loss_at([3.0, -3.0, -3.0]) < loss_at([0.0, 0.0, 0.0]) < loss_at([-3.0, 3.0, 3.0])


def test_exact_mode_without_a_teacher_to_learn_from_is_refused() -> None:
    batch = make_batch([20, 7])
    trimmer = SpotVmr(Options(mode="exact"), DIMS).train()
    decision, _ = run(trimmer, batch)

    with pytest.raises(ConfigError, match="use mode 'faithful'"):
        trimmer.loss(decision, batch, student=None, teacher=None)
