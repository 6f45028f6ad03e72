"""Words: the table of vectors that official weights bring along, and what the spelling adds."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PADDING, UNKNOWN = 0, 1  # The first two rows of a table, and the first two characters of an alphabet.
KERNELS = ((1, 10), (2, 20), (3, 30), (4, 40))  # Characters a convolution sees, and its channels.


class WordTable(nn.Module):
    """Vectors of words by number: 0 is padding, 1 an unknown word, then the words that are known.

    It belongs to the data: what it gives is put into `Batch.query`.

    Args:
        words: rows, with padding and the unknown word.
        width: of a vector.
        learned: train all of it. Otherwise only the vector of the unknown word is trained, and the others are given.
    """

    def __init__(self, words: int, width: int, *, learned: bool) -> None:
        super().__init__()
        self.learned = nn.Embedding(words, width, padding_idx=PADDING) if learned else None
        if not learned:
            self.padding = nn.Parameter(torch.zeros(1, width), requires_grad=False)
            self.unknown = nn.Parameter(nn.init.xavier_uniform_(torch.empty(1, width)))
            self.known = nn.Parameter(torch.zeros(words - 2, width), requires_grad=False)

    def forward(self, word_ids: Tensor) -> Tensor:
        """[..., width] from word_ids [...]."""
        if self.learned is not None:
            vectors: Tensor = self.learned(word_ids)
            return vectors
        return F.embedding(word_ids, torch.cat([self.padding, self.unknown, self.known]), padding_idx=PADDING)


class CharacterEncoder(nn.Module):
    """A word from its characters: convolutions over them, and the maximum over the word.

    A word is padded to the longest one of its query, of four characters or more; what lies beyond is not read. With
    `reads_padding` it is padded to the longest one of the batch, as published.

    Args:
        alphabet: characters, with padding (0) and the unknown one (1).
        width: of a character.
        dropout: of characters.
        reads_padding: see above.
    """

    out_width = sum(channels for _, channels in KERNELS)

    def __init__(self, alphabet: int, width: int, dropout: float, *, reads_padding: bool) -> None:
        super().__init__()
        self.reads_padding = reads_padding
        self.embedding = nn.Embedding(alphabet, width, padding_idx=PADDING)
        self.convolutions = nn.ModuleList(nn.Conv2d(width, channels, (1, seen)) for seen, channels in KERNELS)
        self.dropout = nn.Dropout(dropout)

    def forward(self, char_ids: Tensor) -> Tensor:
        """[B, T, out_width] from char_ids [B, T, C], 0 behind the last character of a word."""
        shortest = KERNELS[-1][0]
        char_ids = F.pad(char_ids, (0, max(0, shortest - char_ids.shape[2])))
        longest = (char_ids != PADDING).sum(2).amax(1).clamp(min=shortest)
        characters = self.dropout(self.embedding(char_ids)).permute(0, 3, 1, 2)
        read = []
        for convolution, (seen, _) in zip(self.convolutions, KERNELS, strict=True):
            found = F.relu(convolution(characters))
            if not self.reads_padding:
                last = torch.arange(found.shape[3], device=found.device) + seen
                found = found * (last <= longest[:, None])[:, None, None]
            read.append(found.amax(3))
        return torch.cat(read, dim=1).transpose(1, 2)
