"""How well every clip's index fits the query as a whole: by cosine where both lie in one space, else after a fit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from vmrbench.errors import ConfigError
from vmrbench.specs import TrimDims
from vmrbench.trim.axis import clips_in_moments
from vmrbench.trim.fill import index_of
from vmrbench.trim.index_groups import group_channels
from vmrbench.types import Batch

QueryPool = Literal["mean", "first", "last"]
# Of the mean square of the index, which is about 1 for features of unit variance; as in the adapter's fit.
RIDGE = 1e-2


def pooled_query(batch: Batch, pool: QueryPool = "mean") -> Tensor:
    """[B, Dt] the query as one vector: the mean of its real tokens, its first one ([CLS]), or its last one."""
    if pool == "first":
        return batch.query[:, 0]
    if pool == "last":
        last = (batch.query_mask.sum(1) - 1).clamp(min=0)
        return batch.query.gather(1, last[:, None, None].expand(-1, 1, batch.query.shape[-1]))[:, 0]
    weight = batch.query_mask.to(batch.query.dtype)[..., None]
    return (batch.query * weight).sum(1) / weight.sum(1).clamp(min=1)


class CosineMatch(nn.Module):
    """Cosine of a group of the index with the query; nothing is learned, so both must lie in one space.

    Args:
        dims: widths.
        group: the index group that lies in the space of the query; None: the whole index does.
        pool: see `pooled_query`.
        who: whose error it is.

    Raises:
        ConfigError: no such group, or its width is not that of the query.
    """

    def __init__(self, dims: TrimDims, group: str | None, pool: QueryPool, who: str) -> None:
        super().__init__()
        try:
            self.channels = slice(None) if group is None else group_channels(dims.index_groups, group)
        except ConfigError as error:
            raise ConfigError(f"{who}: option index_group: {error}") from error
        width = dims.index if group is None else dims.index_groups[group]
        if width != dims.text:
            groups = ", ".join(f"{name} ({numbers})" for name, numbers in dims.index_groups.items()) or "no names"
            what = "the index" if group is None else f"index group {group!r}"
            raise ConfigError(
                f"{who}: {what} has {width} numbers a clip and the query {dims.text}: no common space to take "
                "a cosine in; name a group that lies in the space of the query (option index_group; known here: "
                f"{groups}), or learn a map from training data by score: ridge"
            )
        self.pool: QueryPool = pool

    def forward(self, batch: Batch) -> Tensor:
        """[B, L] cosines."""
        index = functional.normalize(index_of(batch)[..., self.channels], dim=-1)
        query = functional.normalize(pooled_query(batch, self.pool), dim=-1)
        return (index @ query[..., None])[..., 0]


class RidgeMatch(nn.Module):
    """A linear map from the index to the query, fitted in closed form; a clip's score is its product with the query.

    Index and query are centred, the index on its video, the query on the training split. The map is the ridge
    regression from a clip to its query where the clip lies in the true moment, to zero elsewhere: the linear filter
    that tells the clips of the moment best in mean square. It learns from labels of the training split.
    """

    map: Tensor
    query_mean: Tensor

    def __init__(self, dims: TrimDims, pool: QueryPool) -> None:
        super().__init__()
        self.pool: QueryPool = pool
        self.register_buffer("map", torch.randn(dims.index, dims.text) / max(1, dims.index) ** 0.5)
        self.register_buffer("query_mean", torch.zeros(dims.text))

    def forward(self, batch: Batch) -> Tensor:
        """[B, L] products of mapped clips with the query."""
        query = pooled_query(batch, self.pool) - self.query_mean
        return (_centred(batch) @ (query @ self.map.T)[..., None])[..., 0]

    @torch.no_grad()
    def fit(self, batches: Iterable[Batch]) -> None:
        """Fit the map on batches with labels; sums are in double precision, so that their order matters little."""
        width, text = self.map.shape
        clips, queries = 0, 0
        gram, cross = _sums(self.map, width, width), _sums(self.map, width, text)
        inside_sum, query_sum = _sums(self.map, width), _sums(self.map, text)
        for batch in batches:
            rows, query = _centred(batch).double(), pooled_query(batch, self.pool).double()
            inside = torch.einsum("bl,bld->bd", clips_in_moments(batch).double(), rows)
            gram += torch.einsum("bld,ble->de", rows, rows)
            cross += inside.T @ query
            inside_sum += inside.sum(0)
            query_sum += query.sum(0)
            clips, queries = clips + int(batch.lengths.sum()), queries + len(query)
        mean = query_sum / queries
        gram += RIDGE * clips * torch.eye(width, dtype=gram.dtype, device=gram.device)
        self.map.copy_(torch.linalg.solve(gram, cross - torch.outer(inside_sum, mean)))
        self.query_mean.copy_(mean)


def build_match(
    score: Literal["cosine", "ridge"], dims: TrimDims, group: str | None, pool: QueryPool, who: str
) -> CosineMatch | RidgeMatch:
    """The match of that name.

    Raises:
        ConfigError: see `CosineMatch`; a group is named for `ridge`, which reads the whole index.
    """
    if score == "cosine":
        return CosineMatch(dims, group, pool, who)
    if group is not None:
        raise ConfigError(
            f"{who}: option index_group: {group!r} found, but score: ridge reads the whole index; drop it"
        )
    return RidgeMatch(dims, pool)


def _centred(batch: Batch) -> Tensor:
    """[B, L, Di] index features less their mean over the video, padding zero."""
    index, weight = index_of(batch), batch.clip_mask[..., None].to(batch.clip_start.dtype)
    return (index - (index * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp(min=1)) * weight


def _sums(like: Tensor, *size: int) -> Tensor:
    return torch.zeros(*size, dtype=torch.float64, device=like.device)
