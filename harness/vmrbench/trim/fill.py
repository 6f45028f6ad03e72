"""What stands in for clips without expensive features when the whole timeline stays (the mode `fill`)."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from vmrbench.errors import DataError
from vmrbench.types import Batch

INDEX_FILLS = frozenset({"concat_zero", "adapter"})


class FineOnly(nn.Module):
    """No trimming and no index: the batch goes through untouched (bit-identical)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, batch: Batch, fine: Tensor, keep: Tensor) -> Batch:
        """Return `batch` with `fine` [B, L, D] as its clips; `keep` must be every clip."""
        # Said anew: where a trimmer was asked before, `batch` is what was shown to it, without expensive features.
        return replace(batch, clips=fine, fine_weight=keep.detach().to(fine.dtype) * batch.clip_mask, index=None)


class ConcatZero(nn.Module):
    """[fine x keep ; index]: the published input of SpotEM and SpotVMR, which widens the backbone's input."""

    def __init__(self, fine_width: int, index_width: int) -> None:
        super().__init__()
        self.width = fine_width + index_width

    def forward(self, batch: Batch, fine: Tensor, keep: Tensor) -> Batch:
        """Rows of width D + Di.

        Args:
            batch: its index [B, L, Di] is read; its clips are not.
            fine: [B, L, D], anything where `keep` is 0.
            keep: [B, L] 0/1, may carry a gradient.
        """
        kept = keep.to(fine.dtype)
        rows = torch.cat([fine * kept[..., None], index_of(batch)], dim=-1)
        return replace(batch, clips=rows, fine_weight=kept.detach() * batch.clip_mask, index=None)


class Adapter(nn.Module):
    """A learned projection of index features stands in; the input width stays, so a trained backbone can be reused."""

    def __init__(self, fine_width: int, index_width: int) -> None:
        super().__init__()
        self.width = fine_width
        self.stand_in = nn.Linear(index_width, fine_width)
        self.kept_embedding = nn.Parameter(torch.zeros(fine_width))

    def forward(self, batch: Batch, fine: Tensor, keep: Tensor) -> Batch:
        """Rows of width D: keep x fine + (1 - keep) x (W index + b + e), e tells that a row was not kept.

        Keeping every clip leaves the rows bit-identical. Arguments as in `ConcatZero.forward`.
        """
        kept = (keep.to(fine.dtype) * batch.clip_mask)[..., None]
        absent = (1 - kept) * batch.clip_mask[..., None]
        rows = fine * kept + (self.stand_in(index_of(batch)) + self.kept_embedding) * absent
        return replace(batch, clips=rows, fine_weight=kept[..., 0].detach(), index=None)

    @torch.no_grad()
    def fit(self, index: Tensor, fine: Tensor, ridge: float = 1e-2) -> None:
        """Start from the ridge regression index -> fine. index: [N, Di]; fine: [N, D]."""
        ones = torch.ones(len(index), 1, dtype=torch.float64, device=index.device)
        x = torch.cat([index.double(), ones], dim=1)
        gram = x.T @ x + ridge * len(x) * torch.eye(x.shape[1], dtype=torch.float64, device=index.device)
        solved = torch.linalg.solve(gram, x.T @ fine.double())
        self.stand_in.weight.copy_(solved[:-1].T)
        self.stand_in.bias.copy_(solved[-1])


class Zero(nn.Module):
    """fine x keep: nothing stands in, and no index is read; the input width stays."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, batch: Batch, fine: Tensor, keep: Tensor) -> Batch:
        """Rows of width D, zero where a clip was not kept. Arguments as in `ConcatZero.forward`."""
        kept = keep.to(fine.dtype) * batch.clip_mask
        return replace(batch, clips=fine * kept[..., None], fine_weight=kept.detach(), index=None)


class Hold(nn.Module):
    """The features of the nearest kept clip stand in, of two equally near ones the earlier's; no index is read."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, batch: Batch, fine: Tensor, keep: Tensor) -> Batch:
        """Rows of width D; zero in a video of which nothing was kept. Arguments as in `ConcatZero.forward`.

        Through `keep` a gradient says what a clip's own features would change over those that stand in for it.
        """
        kept = keep.to(fine.dtype) * batch.clip_mask
        source, any_kept = nearest_kept(kept.detach() > 0.5)
        held = fine.gather(1, source[..., None].expand_as(fine)) * (any_kept & batch.clip_mask)[..., None]
        rows = fine * kept[..., None] + held * (1 - kept)[..., None]
        return replace(batch, clips=rows, fine_weight=kept.detach(), index=None)


def nearest_kept(kept: Tensor) -> tuple[Tensor, Tensor]:
    """For every clip the position of the nearest kept one, ties to the earlier; and whether any was kept.

    Args:
        kept: [B, L] boolean.

    Returns:
        [B, L] positions, 0 where nothing was kept; [B, 1] boolean.

    Example:
        >>> nearest_kept(torch.tensor([[True, False, False, True, False]]))[0]
        tensor([[0, 0, 3, 3, 3]])
        >>> nearest_kept(torch.tensor([[True, False, True]]))[0]
        tensor([[0, 0, 2]])
    """
    count = kept.shape[1]
    place = torch.arange(count, device=kept.device).expand_as(kept)
    # Farther away than any clip, where there is no kept one on that side.
    before = torch.where(kept, place, -count).cummax(1).values
    after = torch.where(kept, place, 2 * count).flip(1).cummin(1).values.flip(1)
    nearest = torch.where(place - before <= after - place, before, after)
    some = kept.any(1, keepdim=True)
    return torch.where(some, nearest, 0), some


Fill = FineOnly | ConcatZero | Adapter | Zero | Hold


def build_fill(policy: str, fine_width: int, index_width: int) -> Fill:
    """The fill policy of that name.

    Raises:
        DataError: the policy fills with index features and the data set has none.
    """
    if policy not in INDEX_FILLS:
        return Zero(fine_width) if policy == "zero" else Hold(fine_width)
    if index_width == 0:
        raise DataError(
            f"fill {policy!r} puts index features where no clip was kept, and the data set has none; "
            "name an index source in the data set, fill with 'zero' or 'hold', or leave only 'none' among the trimmers"
        )
    return ConcatZero(fine_width, index_width) if policy == "concat_zero" else Adapter(fine_width, index_width)


def index_of(batch: Batch) -> Tensor:
    """[B, L, Di] index features.

    Raises:
        DataError: the batch has none.
    """
    if batch.index is None:
        raise DataError(f"sample {batch.sample_ids[0]!r} has no index features, and this arm reads them")
    return batch.index
