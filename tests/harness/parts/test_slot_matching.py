from __future__ import annotations

from itertools import permutations

import torch

from vmrbench.parts.matcher import MatchCosts, match_slots
from vmrbench.parts.slots import Slots, slot_candidates, slot_moments


def _slots(spans: list[list[float]], foreground: list[float]) -> Slots:
    logits = torch.tensor(foreground)[:, None] * torch.tensor([1.0, 0.0])
    return Slots(logits=logits[None], spans=torch.tensor(spans)[None])


def test_every_moment_gets_the_slot_that_lies_on_it() -> None:
    slots = _slots([[0.8, 0.1], [0.2, 0.2], [0.5, 0.9]], [0.0, 0.0, 0.0])
    truth = [torch.tensor([[0.2, 0.2], [0.8, 0.1]])]

    matching = match_slots(slots, truth, MatchCosts())

    pairs = dict(zip(matching.slot.tolist(), matching.truth.tolist(), strict=True))
    assert pairs == {0: 1, 1: 0}


def test_label_decides_between_slots_at_the_same_place() -> None:
    slots = _slots([[0.5, 0.2], [0.5, 0.2]], [-3.0, 3.0])

    matching = match_slots(slots, [torch.tensor([[0.5, 0.2]])], MatchCosts())

    assert matching.slot.tolist() == [1]


def test_ends_are_cut_at_those_of_the_video_before_they_are_compared() -> None:
    slots = _slots([[1.0, 1.0], [0.7, 0.4]], [0.0, 0.0])
    truth, costs = [torch.tensor([[0.75, 0.5]])], MatchCosts(span=1.0, giou=0.0, label=0.0)

    slot = {ends: match_slots(slots, truth, costs, ends=ends).slot.item() for ends in (False, True)}

    # 0.5..1.5 is 0.5..1 inside the video, as wanted; by centre and width 0.5..0.9 is nearer.
    assert slot == {False: 1, True: 0}


def test_the_assignment_costs_least_of_all() -> None:
    torch.manual_seed(3)
    spans = torch.rand(1, 4, 2)
    slots = Slots(logits=torch.zeros(1, 4, 2), spans=spans)
    truth = torch.rand(3, 2)

    matching = match_slots(slots, [truth], MatchCosts(span=1.0, giou=0.0, label=0.0))

    cost = [(spans[0, list(order)] - truth).abs().sum().item() for order in permutations(range(4), 3)]
    found = (spans[0, matching.slot] - truth[matching.truth]).abs().sum().item()
    assert abs(found - min(cost)) < 1e-6


def test_a_sample_without_moments_has_no_pair() -> None:
    slots = Slots(logits=torch.zeros(2, 3, 2), spans=torch.full((2, 3, 2), 0.5))

    matching = match_slots(slots, [torch.zeros(0, 2), torch.tensor([[0.5, 0.5]])], MatchCosts())

    assert matching.sample.tolist() == [1]


def test_slots_become_moments_inside_the_video() -> None:
    slots = _slots([[0.5, 0.5], [0.9, 0.4]], [0.0, 2.0])

    moments = slot_moments(slots, torch.tensor([8]))

    # 0.25..0.75 and 0.7..1.1 of 8 clips, the second cut at the end; softmax of (2, 0).
    torch.testing.assert_close(moments.spans[0], torch.tensor([[2.0, 6.0], [5.6, 8.0]]))
    torch.testing.assert_close(moments.scores[0], torch.tensor([0.5, 0.880797]))


def test_candidate_logit_is_the_foreground_against_no_object() -> None:
    logits = torch.tensor([[[3.0, 1.0]]])

    assert slot_candidates(Slots(logits=logits, spans=torch.zeros(1, 1, 2))).tolist() == [[2.0]]
