"""Contrast of moments with sentences, membership of clips, and the tokens that sum them up."""

from __future__ import annotations

import math

import pytest
import torch

from vmrbench.parts.encoder import Encoder
from vmrbench.parts.moment_sentence import MomentSentence, membership_loss, sentence_contrast
from vmrbench.parts.query_dummies import QueryDummies
from vmrbench.parts.token_encoder import TokenEncoder


def test_contrast_by_hand() -> None:
    moment, rest = torch.tensor([[2.0, 0.0], [0.0, 5.0]]), torch.tensor([[0.0, -1.0], [-1.0, 0.0]])
    sentence = torch.tensor([[1.0, 0.0], [0.0, 1.0]])

    loss = sentence_contrast(moment, rest, sentence, torch.tensor([0, 1]))

    # Each moment has cosine 1 with its sentence and 0 with the other; its rest has 0 with its sentence, -1 with the
    # other.
    assert loss.item() == pytest.approx(math.log(math.e + 1 + 1 + math.exp(-1)) - 1, rel=1e-6)


def test_membership_by_hand() -> None:
    clips = torch.tensor([[[0.0, 1.0], [math.log(3), 0.0]]])

    loss = membership_loss(torch.tensor([[1.0, 0.0]]), clips, torch.tensor([[True, False]]))

    # Probabilities 1/2 and 3/4 of being inside.
    torch.testing.assert_close(loss, torch.tensor([[math.log(2), math.log(4)]]))


def test_likeness_of_clips_inside_depends_on_no_clip_outside() -> None:
    torch.manual_seed(0)
    learner = MomentSentence(Encoder(1, 8, 2, 16, 0.0), Encoder(1, 8, 2, 16, 0.0), 8)
    dummies = QueryDummies(Encoder(1, 8, 2, 16, 0.0), 3, 8)
    clips, tokens, inside = torch.randn(1, 4, 8), torch.randn(1, 2, 8), torch.tensor([[True, True, False, False]])
    words = dummies(tokens, 0 * tokens, torch.ones(1, 2, dtype=torch.bool))
    changed = torch.where(inside[..., None], clips, 5.0)

    here, there = (learner(c, 0 * c, torch.ones_like(inside), inside, words).likeness for c in (clips, changed))

    assert here.shape == (1, 4, 5)
    torch.testing.assert_close(here[:, :2], there[:, :2])


def test_a_token_sums_up_rows_whatever_their_order() -> None:
    torch.manual_seed(0)
    encoder, rows = TokenEncoder(Encoder(2, 8, 2, 16, 0.0), 8), torch.randn(2, 5, 8)
    mask = torch.ones(2, 5, dtype=torch.bool)

    (token, read), (turned, turned_read) = (encoder(r, 0 * r, mask) for r in (rows, rows.flip(1)))

    torch.testing.assert_close(token, turned)
    torch.testing.assert_close(read, turned_read.flip(1))


def test_words_leave_dummies_as_they_came() -> None:
    torch.manual_seed(0)
    dummies, tokens = QueryDummies(Encoder(1, 8, 2, 16, 0.0), 3, 8), torch.randn(2, 2, 8)
    mask = torch.tensor([[True, True], [True, False]])

    words = dummies(tokens, torch.ones_like(tokens), mask)

    assert torch.equal(words.tokens, tokens)
    assert words.mask.tolist() == [[True] * 5, [True] * 4 + [False]]
    assert torch.equal(words.keys[:, 3:], tokens + 1)
    assert torch.equal(words.of(torch.tensor([1])).dummies, words.dummies[1:])
