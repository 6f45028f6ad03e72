"""A sentence as one vector: the state of a recurrent network after the last real token."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LastStateLstm(nn.Module):
    """Stacked LSTM over query tokens, read at the last real token.

    A backward direction starts at the last real token, so that padding changes nothing. With `reads_padding` it
    starts at the last row of the batch instead, which is what an unpacked bidirectional `torch.nn.LSTM` does and what
    some published models were trained with.

    Args:
        width: of the tokens.
        hidden: width of the result; half of it a direction where there are two.
        layers: stacked layers.
        bidirectional: run a second LSTM from the end.
        reads_padding: see above.
    """

    def __init__(
        self, width: int, hidden: int, layers: int, *, bidirectional: bool = False, reads_padding: bool = False
    ) -> None:
        super().__init__()
        size = hidden // 2 if bidirectional else hidden
        widths = [width] + [hidden] * (layers - 1)
        self.reads_padding = reads_padding
        self.forwards = nn.ModuleList(nn.LSTM(w, size, batch_first=True) for w in widths)
        self.backwards = nn.ModuleList(nn.LSTM(w, size, batch_first=True) for w in widths if bidirectional)

    def forward(self, tokens: Tensor, token_mask: Tensor) -> Tensor:
        """[B, hidden] from tokens [B, T, width], token_mask [B, T] true for real tokens, real ones first."""
        rows = tokens
        for layer, towards_end in enumerate(self.forwards):
            outputs = [towards_end(rows)[0]]
            if self.backwards:
                turned = self._turn(rows, token_mask)
                outputs.append(self._turn(self.backwards[layer](turned)[0], token_mask))
            rows = torch.cat(outputs, dim=-1) if self.backwards else outputs[0]
        last = (token_mask.sum(1) - 1).clamp(min=0)
        return rows.gather(1, last[:, None, None].expand(-1, 1, rows.shape[-1]))[:, 0]

    def _turn(self, rows: Tensor, token_mask: Tensor) -> Tensor:
        """Real rows in reverse order, padding where it was; its own inverse."""
        if self.reads_padding:
            return rows.flip(1)
        place = torch.arange(rows.shape[1], device=rows.device)
        count = token_mask.sum(1, keepdim=True)
        source = torch.where(place < count, count - 1 - place, place)
        return rows.gather(1, source[..., None].expand_as(rows))
