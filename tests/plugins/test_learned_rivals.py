"""Rivals that learn: what their losses are by hand, what they find, and what reaches them."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rival_selection import Says, decide, places
from torch import nn

from vmrbench.specs import TrimDims
from vmrbench.testing.factories import make_batch
from vmrbench.types import Batch
from vmrbench_plugins import supervised_topk, two_stage
from vmrbench_plugins.ocsampler import OcSampler, relaxed_top_k
from vmrbench_plugins.ocsampler import Options as OcSamplerOptions
from vmrbench_plugins.supervised_topk import SupervisedTopK
from vmrbench_plugins.two_stage import TwoStage, best_spans

DIMS = TrimDims(index=8, text=12, rows=24, embedding=None, fine=16)


def marked(seed: int) -> Batch:
    """Forty videos of 12 clips of which the two in the moment are marked in the first channel of the index."""
    batch = make_batch([12] * 40, seed=seed)
    index = batch.index.clone()
    index[:, 1:3, 0] += 3.0
    return replace(batch, index=index)


def learn(trimmer: nn.Module, term: str, steps: int = 40) -> None:
    torch.manual_seed(0)
    optimizer = torch.optim.AdamW(trimmer.parameters(), lr=3e-3)
    trimmer.train()
    for step in range(steps):
        batch = marked(step % 4)
        loss = trimmer.loss(decide(trimmer, batch)[0], batch, student=None, teacher=None)[term]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    trimmer.eval()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("build", "term"),
    [
        (lambda: SupervisedTopK(supervised_topk.Options(private_width=16, ridge_start=False), DIMS), "inside"),
        (lambda: TwoStage(two_stage.Options(private_width=16), DIMS), "span"),
    ],
)
def test_it_learns_where_the_moment_is(build, term: str) -> None:
    torch.manual_seed(0)
    trimmer = build()

    learn(trimmer, term)

    # Three of twelve clips are kept, two are in the moment: chance finds a quarter of those.
    assert decide(trimmer, marked(9))[0].keep[:, 1:3].float().mean() > 0.7


def test_supervised_topk_starts_from_the_fitted_match() -> None:
    # The query, not a mark alone, must say which clips: the match is a product with it.
    def asked(seed: int) -> Batch:
        batch = make_batch([12] * 60, seed=seed)
        index = 0.3 * batch.index
        index[:, 1:3] += batch.query[:, :1, :8]
        return replace(batch, index=index, query=batch.query[:, :1], query_mask=batch.query_mask[:, :1])

    trimmer = SupervisedTopK(supervised_topk.Options(private_width=16), DIMS).eval()
    trimmer.fit([asked(1), asked(2)])

    assert decide(trimmer, asked(3))[0].keep[:, 1:3].float().mean() > 0.8


def test_the_backbones_losses_do_not_reach_supervised_topk() -> None:
    trimmer = SupervisedTopK(supervised_topk.Options(private_width=16), DIMS).train()

    decision, _ = decide(trimmer, make_batch([12, 7]))

    assert decision.soft is None


def test_the_loss_of_supervised_topk_by_hand() -> None:
    # Clips of 2 s; the moment is 2..6 s, the second and third clip: a tenth of two clips rounds to none.
    trimmer = SupervisedTopK(supervised_topk.Options(private_width=16, positive_weight=3.0, ridge_start=False), DIMS)
    batch = make_batch([4])
    logits = torch.tensor([[[1.0, 2.0, -1.0, 0.0]]])
    decision = replace(decide(trimmer.eval(), batch)[0], logits=logits)

    loss = trimmer.loss(decision, batch, student=None, teacher=None)["inside"]

    costs = [math.log1p(math.exp(1)), 3 * math.log1p(math.exp(-2)), 3 * math.log1p(math.exp(1)), math.log(2)]
    assert float(loss) == pytest.approx(sum(costs) / 4)


@given(
    ends=st.lists(st.tuples(st.floats(-3, 3, width=32), st.floats(-3, 3, width=32)), min_size=1, max_size=12),
)
def test_the_best_span_around_a_clip_is_the_best_of_all_that_hold_it(ends: list[tuple[float, float]]) -> None:
    logits = torch.tensor([ends]).transpose(1, 2)

    best, off_centre = best_spans(logits, torch.ones(1, len(ends), dtype=torch.bool))

    share = logits.log_softmax(2)[0].tolist()
    for clip in range(len(ends)):
        spans = {(a, b): share[0][a] + share[1][b] for a in range(clip + 1) for b in range(clip, len(ends))}
        top = max(spans.values())
        middles = {abs(clip - (a + b) / 2) for (a, b), value in spans.items() if value > top - 1e-6}
        assert float(best[0, clip]) == pytest.approx(top, abs=1e-5)
        assert float(off_centre[0, clip]) in middles


def test_spans_are_revealed_from_the_best_down_and_the_last_around_its_middle() -> None:
    trimmer = TwoStage(two_stage.Options(keep_ratio=0.5, private_width=8), DIMS).eval()
    start, end = torch.full((10,), -20.0), torch.full((10,), -20.0)
    start[1], end[2] = 9.0, 9.0
    start[4], end[8] = 5.0, 5.0
    trimmer.scorer = Says(torch.stack([start, end], dim=-1)[None])

    keep = decide(trimmer, make_batch([10]))[0].keep[0]

    # The best span is 1..2. What lies in 1..8 comes next, being the best start with another end: around 4.5.
    assert places(keep) == [1, 2, 3, 4, 5]


def test_the_loss_of_two_stages_by_hand() -> None:
    trimmer = TwoStage(two_stage.Options(private_width=8), DIMS)
    batch = make_batch([4, 3])
    logits = torch.zeros(2, 2, 4)
    decision = replace(decide(trimmer.eval(), batch)[0], logits=logits)

    loss = trimmer.loss(decision, batch, student=None, teacher=None)["span"]

    # Even over four clips and over three, for the start and for the end.
    assert float(loss) == pytest.approx((2 * math.log(4) + 2 * math.log(3)) / 2)


@pytest.mark.parametrize("temperature", [5.0, 0.5, 0.02])
def test_relaxed_draws_sum_to_the_budget_and_take_no_padding(temperature: float) -> None:
    scores = torch.randn(3, 9, generator=torch.Generator().manual_seed(0))
    allowed = torch.arange(9) < torch.tensor([[9], [6], [4]])
    quota = torch.tensor([3, 0, 4])

    drawn = relaxed_top_k(scores, allowed, quota, temperature)

    assert torch.allclose(drawn.sum(1), quota.float(), atol=1e-4)
    assert not drawn[~allowed].any()


def test_cold_relaxed_draws_are_the_best_clips() -> None:
    scores = torch.tensor([[0.3, 2.0, -1.0, 1.0, 0.9]])

    drawn = relaxed_top_k(scores, torch.ones(1, 5, dtype=torch.bool), torch.tensor([3]), 0.01)

    assert torch.allclose(drawn, torch.tensor([[0.0, 1.0, 0.0, 1.0, 1.0]]), atol=1e-3)


def test_ocsampler_draws_exactly_the_budget_in_training_and_the_loss_reaches_its_scores() -> None:
    trimmer = OcSampler(OcSamplerOptions(keep_ratio=0.5), DIMS).train()
    batch = make_batch([20, 7, 1])

    decision, access = decide(trimmer, batch)
    access.rows(decision.soft).clips.square().sum().backward()

    assert decision.keep.sum(1).tolist() == [10, 3, 1]
    assert torch.equal(decision.soft > 0.5, decision.keep)
    assert trimmer.score[0].weight.grad.abs().sum() > 0


def test_a_gradient_that_wants_a_clip_raises_its_score() -> None:
    scores = torch.zeros(1, 6).requires_grad_()

    relaxed_top_k(scores, torch.ones(1, 6, dtype=torch.bool), torch.tensor([2]), 1.0)[0, 3].backward()

    assert scores.grad[0, 3] > 0
    assert (scores.grad[0, [0, 1, 2, 4, 5]] < 0).all()


def test_stochastic_ocsampler_draws_better_clips_more_often_and_repeats_itself() -> None:
    batch = make_batch([4] * 2000)
    trimmer = OcSampler(OcSamplerOptions(keep_ratio=0.25, selection="stochastic"), DIMS).eval()
    trimmer.score = nn.Sequential()
    index = torch.zeros(2000, 4, 1)
    index[:, 2] = math.log(5.0)
    batch = replace(batch, index=index, query=batch.query[..., :0])

    once, again = decide(trimmer, batch)[0].keep, decide(trimmer, batch)[0].keep

    # One of four clips, with odds of 5 to 1 against each other: 5/8, with a standard error of 0.011.
    assert once[:, 2].float().mean() == pytest.approx(5 / 8, abs=0.05)
    assert torch.equal(once, again)
