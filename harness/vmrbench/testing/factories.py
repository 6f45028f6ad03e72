"""Small made-up inputs for tests."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from vmrbench.types import Batch


def make_batch(
    lengths: Sequence[int] = (10, 7),
    *,
    width: int = 16,
    index_width: int = 8,
    text_width: int = 12,
    query_lengths: Sequence[int] | None = None,
    clip_seconds: float = 2.0,
    seed: int = 0,
) -> Batch:
    """A batch of random features, padded with zeros, one moment a sample (the second and third clip of each video).

    Args:
        lengths: clips of each video, at least 1.
        width, index_width, text_width: feature widths; index_width 0 gives no index.
        query_lengths: tokens of each query; default 5, 4, 3, 5, ...
        clip_seconds: length of a clip.
        seed: of the features. A sample's features depend on its place and the seed, not on its neighbours' lengths.
    """
    tokens = list(query_lengths or [5 - i % 3 for i in range(len(lengths))])
    size, most = len(lengths), max(lengths)
    clips, index = torch.zeros(size, most, width), torch.zeros(size, most, index_width)
    query = torch.zeros(size, max(tokens), text_width)
    for row, (count, words) in enumerate(zip(lengths, tokens, strict=True)):
        generator = torch.Generator().manual_seed(1000 * seed + row)
        query[row, :words] = torch.randn(words, text_width, generator=generator)
        clips[row, :count] = torch.randn(count, width, generator=generator)
        index[row, :count] = torch.randn(count, index_width, generator=generator)
    length = torch.tensor(lengths)
    mask = torch.arange(most)[None] < length[:, None]
    start = torch.arange(most)[None] * clip_seconds * mask
    moments = tuple(
        torch.tensor([[min(1, n - 1) * clip_seconds, min(3, n) * clip_seconds]], dtype=torch.float32) for n in lengths
    )
    return Batch(
        sample_ids=tuple(f"q{i}" for i in range(size)),
        video_ids=tuple(f"v{i}" for i in range(size)),
        clips=clips,
        clip_mask=mask,
        clip_start=start,
        clip_end=(start + clip_seconds) * mask,
        index=index if index_width else None,
        fine_weight=mask.float(),
        query=query,
        query_mask=torch.arange(max(tokens))[None] < torch.tensor(tokens)[:, None],
        duration=length * clip_seconds,
        moments=moments,
    )
