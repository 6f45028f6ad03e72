"""LiteEval adapted: the recurrence against torch's own cells, the budget, and what is fetched."""

from __future__ import annotations

import pytest
import torch
from rival_selection import decide
from torch import Tensor, nn

from vmrbench.errors import ConfigError
from vmrbench.specs import TrimDims
from vmrbench.testing.factories import make_batch
from vmrbench.trim.query_match import pooled_query
from vmrbench_plugins.lite_eval import LiteEval, LstmStep, Options

DIMS = TrimDims(index=8, text=12, rows=24, embedding=None, fine=16)
SMALL = {"coarse_width": 5, "fine_width": 7}


def torch_cell(step: LstmStep, width: int, hidden: int) -> nn.LSTMCell:
    """torch's own cell with the weights of ours."""
    cell = nn.LSTMCell(width, hidden)
    cell.weight_ih.data, cell.weight_hh.data = step.of_input.weight.data, step.of_state.weight.data
    cell.bias_ih.data = step.of_input.bias.data
    nn.init.zeros_(cell.bias_hh)
    return cell


def slow(trimmer: LiteEval, batch) -> tuple[list[bool], list[float]]:
    """The gates of the first sample, thresholded, one clip after the other with torch's cells."""
    coarse_cell, fine_cell = torch_cell(trimmer.coarse, 20, 5), torch_cell(trimmer.fine, 36, 7)
    query = pooled_query(batch)[0]
    coarse: tuple[Tensor, Tensor] = (torch.zeros(5), torch.zeros(5))
    fine: tuple[Tensor, Tensor] = (torch.zeros(7), torch.zeros(7))
    kept, gates = [], []
    for place in range(batch.clips.shape[1]):
        rows = torch.cat([batch.index[0, place], query])
        coarse = coarse_cell(rows, coarse)
        choice = trimmer.gate(torch.cat([rows, *fine]))
        gates.append(float(choice[0] - choice[1]))
        kept.append(gates[-1] > 0)
        if kept[-1]:
            fine = fine_cell(torch.cat([rows, batch.clips[0, place]]), fine)
        else:
            fine = (torch.cat([coarse[0], fine[0][5:]]), torch.cat([coarse[1], fine[1][5:]]))
    return kept, gates


@torch.no_grad()
def test_thresholded_gates_are_those_of_a_slow_recurrence() -> None:
    torch.manual_seed(0)
    trimmer = LiteEval(Options(selection="threshold", **SMALL), DIMS).eval()
    nn.init.normal_(trimmer.gate.weight)
    batch = make_batch([15])

    decision, access = decide(trimmer, batch)

    kept, gates = slow(trimmer, batch)
    assert 0 < sum(kept) < 15
    assert decision.keep[0].tolist() == kept
    assert decision.scores[0].tolist() == pytest.approx(gates, abs=1e-5)
    assert torch.equal(access.reads, decision.keep.long())


@pytest.mark.parametrize("lean", [-20.0, 0.0, 20.0])
def test_the_exact_selection_meets_the_budget_whichever_way_the_gate_leans(lean: float) -> None:
    trimmer = LiteEval(Options(keep_ratio=0.3, **SMALL), DIMS).eval()
    trimmer.gate.bias.data = torch.tensor([lean, 0.0])
    batch = make_batch([20, 7, 1])

    decision, access = decide(trimmer, batch)
    fetched = access.fetched.clone()
    access.rows(decision.soft)

    assert decision.keep.sum(1).tolist() == [6, 2, 1]
    assert not (fetched & ~decision.keep).any()
    assert torch.equal(access.reads, decision.keep.long())


def test_a_gate_that_stays_shut_leaves_the_budget_to_the_clips_where_it_was_widest_open() -> None:
    trimmer = LiteEval(Options(keep_ratio=0.3, **SMALL), DIMS).eval()
    trimmer.gate.bias.data = torch.tensor([-20.0, 0.0])

    decision, _ = decide(trimmer, make_batch([20]))

    best = decision.scores[0].topk(6).indices
    assert decision.keep[0].nonzero().flatten().tolist() == sorted(best.tolist())


def test_training_draws_clips_and_the_loss_is_the_squared_miss_of_the_budget() -> None:
    torch.manual_seed(0)
    trimmer = LiteEval(Options(keep_ratio=0.25, budget_weight=300.0, **SMALL), DIMS).train()
    batch = make_batch([20, 7])

    decision, access = decide(trimmer, batch)
    loss = trimmer.loss(decision, batch, student=None, teacher=None)["budget"]
    (loss + access.rows(decision.soft).clips.square().sum()).backward()

    share = int(decision.keep.sum()) / 27
    assert loss.item() == pytest.approx(300 * (share - 0.25) ** 2, rel=1e-4)
    assert trimmer.coarse.of_input.weight.grad.abs().sum() > 0


def test_a_coarse_state_wider_than_the_fine_one_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="expected 0 < coarse_width <= fine_width"):
        Options(coarse_width=8, fine_width=4)


def test_it_cannot_be_built_without_the_width_of_expensive_features() -> None:
    with pytest.raises(ConfigError, match=r"give TrimDims\.fine"):
        LiteEval(Options(**SMALL), TrimDims(index=8, text=12, rows=24, embedding=None))
