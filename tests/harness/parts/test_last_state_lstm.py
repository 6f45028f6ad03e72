from __future__ import annotations

import pytest
import torch
from torch import nn

from vmrbench.parts.recurrent import LastStateLstm


@pytest.mark.parametrize("bidirectional", [False, True])
def test_padding_does_not_change_the_sentence(bidirectional: bool) -> None:
    torch.manual_seed(0)
    encoder, tokens = LastStateLstm(4, 6, 2, bidirectional=bidirectional), torch.randn(1, 5, 4)
    short = encoder(tokens[:, :3], torch.ones(1, 3, dtype=torch.bool))

    padded = encoder(tokens, torch.tensor([[True, True, True, False, False]]))

    torch.testing.assert_close(padded, short)


def test_two_directions_equal_a_packed_lstm_of_torch() -> None:
    torch.manual_seed(0)
    encoder, theirs = LastStateLstm(4, 6, 1, bidirectional=True), nn.LSTM(4, 3, batch_first=True, bidirectional=True)
    for name, value in encoder.forwards[0].named_parameters():
        getattr(theirs, name).data.copy_(value.data)
    for name, value in encoder.backwards[0].named_parameters():
        getattr(theirs, f"{name}_reverse").data.copy_(value.data)
    tokens, length = torch.randn(2, 5, 4), torch.tensor([5, 3])

    found = encoder(tokens, torch.arange(5)[None] < length[:, None])

    packed = nn.utils.rnn.pack_padded_sequence(tokens, length, batch_first=True)
    rows, _ = nn.utils.rnn.pad_packed_sequence(theirs(packed)[0], batch_first=True)
    expected = torch.stack([rows[0, 4], rows[1, 2]])
    torch.testing.assert_close(found, expected)


def test_reading_padding_is_an_option() -> None:
    torch.manual_seed(0)
    encoder = LastStateLstm(4, 6, 1, bidirectional=True, reads_padding=True)
    tokens, mask = torch.zeros(1, 5, 4), torch.tensor([[True, True, True, False, False]])

    assert not torch.equal(encoder(tokens, mask), encoder(tokens[:, :3], mask[:, :3]))
