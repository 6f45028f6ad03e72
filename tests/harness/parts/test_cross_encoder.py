from __future__ import annotations

import pytest
import torch

from vmrbench.parts.cross_encoder import CrossEncoder, neighbours_mask

CLIP_MASK = torch.tensor([[True, True, True], [True, True, False]])
QUERY_MASK = torch.tensor([[True, True, True], [True, False, False]])


def test_padding_of_the_source_has_no_influence() -> None:
    torch.manual_seed(0)
    encoder, clips, words = CrossEncoder(2, 8, 2, 16, 0.0), torch.randn(2, 3, 8), torch.randn(2, 3, 8)
    changed = torch.where(QUERY_MASK[..., None], words, 100.0)

    before, after = (encoder(clips, torch.zeros_like(clips), CLIP_MASK, w, w, QUERY_MASK) for w in (words, changed))

    torch.testing.assert_close(before, after)


def test_rows_do_not_see_each_other() -> None:
    torch.manual_seed(0)
    encoder, clips, words = CrossEncoder(1, 8, 2, 16, 0.0), torch.randn(2, 3, 8), torch.randn(2, 3, 8)
    changed = clips.clone()
    changed[:, 0] = 5.0

    before, after = (encoder(c, torch.zeros_like(c), CLIP_MASK, words, words, QUERY_MASK) for c in (clips, changed))

    assert torch.equal(before[:, 1:], after[:, 1:])
    assert not torch.allclose(before[:, 0], after[:, 0])


def test_positions_join_queries_and_keys_but_not_values() -> None:
    torch.manual_seed(0)
    encoder, clips, words = CrossEncoder(1, 8, 2, 16, 0.0), torch.randn(2, 3, 8), torch.randn(2, 1, 8)
    one_word = torch.ones(2, 1, dtype=torch.bool)

    # A single word is read whole, whoever asks and wherever it stands.
    here = encoder(clips, torch.randn(2, 3, 8), CLIP_MASK, words, words, one_word)
    there = encoder(clips, torch.randn(2, 3, 8), CLIP_MASK, words, words + 3.0, one_word)

    torch.testing.assert_close(here, there)


def test_mask_of_neighbours_by_hand() -> None:
    mask = neighbours_mask(CLIP_MASK, QUERY_MASK, 3)

    # Head h of sample b looks at sample (3 b + h) mod 2: 0, 1, 0 for sample 0 and 1, 0, 1 for sample 1. Sample 1 has
    # neither a third clip nor a second and third word.
    assert mask[0, :, 2].tolist() == [[True, True, True], [True, False, False], [True, True, True]]
    assert mask[0, :, :2].all()
    assert mask[1].tolist() == [[[True, False, False]] * 3] * 3


@pytest.mark.parametrize("sample", [0, 1])
def test_mask_of_neighbours_hides_nothing_from_a_sample_alone(sample: int) -> None:
    clips, words = CLIP_MASK[sample : sample + 1], QUERY_MASK[sample : sample + 1]

    mask = neighbours_mask(clips, words, 4)

    assert torch.equal(mask, words[:, None, None].expand(1, 4, 3, 3))
