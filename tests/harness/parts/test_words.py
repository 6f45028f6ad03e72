from __future__ import annotations

import torch
from torch import Tensor

from vmrbench.parts.words import CharacterEncoder, WordTable

SHORT_WORDS = torch.tensor([[[2, 3, 0, 0, 0], [4, 0, 0, 0, 0]]])
LONG_WORDS = torch.tensor([[[2, 3, 4, 2, 3], [4, 0, 0, 0, 0]]])


def _encode(words: Tensor, *, reads_padding: bool) -> Tensor:
    torch.manual_seed(0)
    encoded: Tensor = CharacterEncoder(6, 3, 0.0, reads_padding=reads_padding)(words)
    return encoded


def test_words_as_long_as_those_of_neighbours_change_nothing() -> None:
    alone = _encode(SHORT_WORDS[..., :4], reads_padding=False)

    together = _encode(torch.cat([SHORT_WORDS, LONG_WORDS]), reads_padding=False)

    torch.testing.assert_close(together[:1], alone)
    torch.testing.assert_close(together[1:], _encode(LONG_WORDS, reads_padding=True))


def test_reading_padding_is_an_option() -> None:
    alone, padded = (_encode(SHORT_WORDS[..., :n], reads_padding=True) for n in (4, 5))

    assert not torch.allclose(alone, padded)


def test_words_shorter_than_a_convolution_are_read() -> None:
    assert _encode(SHORT_WORDS[..., :2], reads_padding=False).shape == (1, 2, CharacterEncoder.out_width)


def test_only_the_unknown_word_of_a_given_table_is_trained() -> None:
    table = WordTable(5, 3, learned=False)

    vectors = table(torch.tensor([0, 1, 4]))

    assert vectors[0].abs().sum() == 0
    torch.testing.assert_close(vectors[1:], torch.cat([table.unknown, table.known[2:]]))
    assert [name for name, value in table.named_parameters() if value.requires_grad] == ["unknown"]


def test_a_learned_table_is_trained_but_for_its_padding() -> None:
    table = WordTable(5, 3, learned=True)

    table(torch.tensor([0, 4])).sum().backward()

    assert table.learned is not None
    assert table.learned.weight.grad is not None
    assert table.learned.weight.grad.abs().sum(1).tolist() == [0, 0, 0, 0, 3]
