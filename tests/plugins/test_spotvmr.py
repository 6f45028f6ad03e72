"""The SpotVMR selector: budget, gradients, losses worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from vmrbench.cost.macs import count_macs
from vmrbench.errors import ConfigError
from vmrbench.identity import identity_of_options
from vmrbench.specs import TrimDims
from vmrbench.testing.factories import make_batch
from vmrbench.trim.access import CountingAccess, withhold_clips
from vmrbench.trim.fill import ConcatZero
from vmrbench.types import Batch, DistillTargets, TrimDecision
from vmrbench_plugins.spotvmr import Options, SpotVmr

DIMS = TrimDims(index=8, text=12, rows=24, embedding=6)


class Encoder(nn.Module):
    """A stand-in for a backbone's encoder that counts its calls."""

    embedding_width = 6

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.words = nn.Linear(24, 6), nn.Linear(12, 6)
        self.calls = self.query_calls = 0

    def encode_query(self, batch: Batch) -> Tensor:
        self.query_calls += 1
        return self.words(batch.query).mean(1, keepdim=True)

    def encode(self, batch: Batch, query: Tensor) -> Tensor:
        self.calls += 1
        return self.layer(batch.clips).tanh() * query


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


def test_the_shared_encoder_runs_once_a_step_and_reads_the_query_once() -> None:
    encoder = Encoder()

    run(SpotVmr(Options(steps=3), DIMS).eval(), make_batch([20]), encoder)

    assert (encoder.calls, encoder.query_calls) == (3, 1)


@pytest.mark.parametrize("share", [True, False])
def test_a_selection_is_one_reading_of_the_query_and_one_preview_a_step(share: bool) -> None:
    batch, encoder = make_batch([20]), Encoder()

    def trimmer(steps: int) -> SpotVmr:
        return SpotVmr(Options(keep_ratio=0.5, steps=steps, share_encoder=share), DIMS).eval()

    def macs(steps: int) -> int:
        return count_macs(lambda: run(trimmer(steps), batch, encoder)).value

    def read_query() -> None:
        private = trimmer(1).private
        encoder.encode_query(batch) if private is None else private.encode_query(batch.query, batch.query_mask)

    query = count_macs(read_query).value
    assert query > 0
    assert [macs(steps) for steps in (2, 3, 5)] == [query + steps * (macs(1) - query) for steps in (2, 3, 5)]


def test_later_steps_see_the_clips_kept_before() -> None:
    decision, _ = run(SpotVmr(Options(keep_ratio=0.5, steps=2), DIMS).eval(), make_batch([20]))

    first, second = decision.logits[0]
    changed = (first - second).abs() > 1e-7
    assert torch.equal(changed, decision.steps[0, 0] > 0)


@pytest.mark.parametrize("share", [True, False])
def test_with_a_ridge_start_every_step_begins_from_the_fitted_match(share: bool) -> None:
    options = Options(keep_ratio=0.5, steps=2, share_encoder=share, ridge_start=True)
    trimmer, batch = SpotVmr(options, DIMS).eval(), make_batch([20, 7])
    with torch.no_grad():
        trimmer.match.map.copy_(torch.randn(8, 12, generator=torch.Generator().manual_seed(1)))

    decision, _ = run(trimmer, batch)

    match = trimmer.match(batch)
    for sample, length in enumerate([20, 7]):
        real = match[sample, :length]
        expected = (real - real.mean()) / real.std(correction=0)
        for step in range(2):
            torch.testing.assert_close(decision.logits[sample, step, :length], expected, atol=1e-5, rtol=1e-5)
    assert set(decision.keep[1, :7].nonzero().flatten().tolist()) == set(match[1, :7].topk(3).indices.tolist())


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


@pytest.mark.parametrize(
    ("overrides", "terms"),
    [
        ({}, {"budget"}),
        ({"mode": "exact"}, {"selection"}),
        ({"budget": "hard"}, set()),
        ({"selection_target": "truth"}, {"budget", "selection"}),
        ({"mode": "exact", "budget": "soft"}, {"budget", "selection"}),
        ({"mode": "exact", "selection_target": "none"}, set()),
    ],
)
def test_what_a_mode_sets_can_be_set_apart(overrides: dict[str, str], terms: set[str]) -> None:
    batch = make_batch([20, 7])
    trimmer = SpotVmr(Options(**overrides), DIMS).train()
    saliency = DistillTargets(saliency=torch.randn(2, 20))

    found = trimmer.loss(run(trimmer, batch)[0], batch, student=DistillTargets(), teacher=saliency)

    assert set(found) == terms


@pytest.mark.parametrize("term", ["highlight", "candidate", "embedding"])
def test_each_term_of_distillation_has_a_weight_of_its_own(term: str) -> None:
    batch, draw = make_batch([20, 7]), torch.Generator().manual_seed(1)
    mask = torch.ones(2, 9, dtype=torch.bool)
    student, teacher = (
        DistillTargets(
            saliency=torch.randn(2, 20, generator=draw),
            embedding=torch.randn(2, 20, 6, generator=draw),
            candidates=torch.randn(2, 9, generator=draw),
            candidate_mask=mask,
        )
        for _ in range(2)
    )

    def terms(**weights: float) -> dict[str, float]:
        trimmer = SpotVmr(Options(**weights), DIMS).train()
        found = trimmer.loss(run(trimmer, batch)[0], batch, student=student, teacher=teacher)
        return {name: value.item() for name, value in found.items() if name != "budget"}

    all_one = {"highlight_weight": 1.0, "candidate_weight": 1.0, "embedding_weight": 1.0}
    plain = terms(**all_one)
    (name,) = [name for name in plain if name.startswith(f"distill_{term}")]
    assert min(plain.values()) > 0
    assert terms(**{**all_one, f"{term}_weight": 0.0}) == {**plain, name: 0.0}
    assert terms(**{**all_one, f"{term}_weight": 3.0}) == pytest.approx({**plain, name: 3 * plain[name]})


def test_a_hard_budget_is_met_in_training_and_a_soft_one_is_not() -> None:
    batch = make_batch([40, 20])

    hard, soft = (run(SpotVmr(Options(budget=kind), DIMS).train(), batch)[0].keep for kind in ("hard", "soft"))

    assert hard.sum(1).tolist() == [10, 5]
    assert soft.sum(1).tolist() != [10, 5]


def test_both_targets_are_the_mean_of_the_two() -> None:
    batch = make_batch([20, 7])
    teacher = DistillTargets(saliency=torch.randn(2, 20, generator=torch.Generator().manual_seed(1)))
    trimmer = SpotVmr(Options(mode="exact"), DIMS).train()
    decision, _ = run(trimmer, batch)

    def loss(target: str) -> float:
        trimmer.options = Options(mode="exact", selection_target=target)  # type: ignore[arg-type]  # one word at a time
        return trimmer.loss(decision, batch, student=None, teacher=teacher)["selection"].item()

    assert loss("both") == pytest.approx((loss("teacher") + loss("truth")) / 2)


def test_the_threshold_keeps_every_clip_with_a_positive_logit() -> None:
    trimmer, batch = SpotVmr(Options(steps=1, selection="threshold"), DIMS).eval(), make_batch([40, 20])
    median = run(trimmer, batch)[0].logits[:, 0][batch.clip_mask].median().detach()
    trimmer.head[2].bias.data = torch.stack([-median, torch.zeros(())])

    decision, _ = run(trimmer, batch)

    assert torch.equal(decision.keep, decision.logits[:, 0] > 0)
    assert 25 <= int(decision.keep.sum()) <= 35


def test_the_truth_needs_no_teacher() -> None:
    batch = make_batch([20, 7])
    trimmer = SpotVmr(Options(mode="exact", selection_target="truth"), DIMS).train()

    terms = trimmer.loss(run(trimmer, batch)[0], batch, student=None, teacher=None)

    assert set(terms) == {"selection"}


def test_options_that_came_later_leave_stored_runs_as_they_are() -> None:
    assert not {"budget", "selection_target", "index_groups"} & set(identity_of_options(Options()))
    assert identity_of_options(Options(index_groups=("Motion",)))["index_groups"] == ["Motion"]


def test_exact_mode_without_a_teacher_to_learn_from_is_refused() -> None:
    batch = make_batch([20, 7])
    trimmer = SpotVmr(Options(mode="exact"), DIMS).train()
    decision, _ = run(trimmer, batch)

    with pytest.raises(ConfigError, match="use mode 'faithful'"):
        trimmer.loss(decision, batch, student=None, teacher=None)
