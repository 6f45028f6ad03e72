"""The splits a cell works on, cut short where a limit says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from vmrbench.config.cells import Cell
from vmrbench.errors import DataError
from vmrbench.protocols import OffersFiner, OffersOod, Split
from vmrbench.types import Annotation, FinerClips, Sample

REPORTED, SELECTION, OOD = "test", "val", "test_ood"
LIMIT_STAMP = "NOT REPORTABLE: every split is limited to {} queries"
# They may have seen the test split.
GIVEN_STAMP = "GIVEN WEIGHTS: {} starts from {} (sha256 {}); what they were trained on is not known here"
UNTRAINED_STAMP = "UNTRAINED: 0 epochs, weights are as initialised; no accuracy is claimed"


@dataclass(frozen=True)
class Subset:
    """Some samples of a split, in their order."""

    whole: Split
    places: Sequence[int]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, position: int) -> Sample:
        return self.whole[self.places[position]]

    @property
    def annotations(self) -> Sequence[Annotation]:
        """Annotations of the chosen samples."""
        every = self.whole.annotations
        return [every[place] for place in self.places]


@dataclass(frozen=True)
class WithFiner:
    """A split whose samples bring their finer clips, `factor` in the time of one."""

    whole: Split
    factor: int

    def __len__(self) -> int:
        return len(self.whole)

    def __getitem__(self, position: int) -> Sample:
        sample = self.whole[position]
        if self.factor > 1:
            assert isinstance(self.whole, OffersFiner), "with_finer has asked"
            return replace(sample, finer=self.whole.finer(position, self.factor))
        mask = torch.ones(len(sample.clips), dtype=torch.bool)
        own = FinerClips(clips=sample.clips, mask=mask, clip_start=sample.clip_start, clip_end=sample.clip_end)
        return replace(sample, finer=own)

    @property
    def annotations(self) -> Sequence[Annotation]:
        """The annotations of the split."""
        return self.whole.annotations


def with_finer(split: Split, factor: int, who: str) -> WithFiner:
    """`split` with finer clips; those of factor 1 are the clips themselves.

    Raises:
        DataError: the split offers none.
    """
    if factor > 1 and not isinstance(split, OffersFiner):
        raise DataError(f"{who} offers no features at a finer stride; set windows.finer to 1, or use another data set")
    return WithFiner(split, factor)


def split_of(cell: Cell, name: str, *, finer: int | None = None) -> Split:
    """A split of the cell's data set; with a limit, that many queries spread evenly over it.

    Args:
        cell: whose data set.
        name: of the split.
        finer: how many finer clips there are in the time of one; None for samples without them.

    Raises:
        DataError: the split is not there or empty, or has no finer clips.
    """
    split = cell.dataset.built.split(name)
    if finer is not None:
        split = with_finer(split, finer, f"data set {cell.dataset.id!r}")
    if len(split) == 0:
        raise DataError(f"data set {cell.dataset.id!r}: split {name!r} is empty; at least one query is needed")
    limit = cell.limit
    if limit is None or len(split) <= limit:
        return split
    return Subset(split, [place * len(split) // limit for place in range(limit)])


def is_trained(cell: Cell) -> bool:
    """Whether the cell has any training; one without needs no split but the reported one."""
    return cell.train.base_epochs + cell.train.extra_epochs > 0


def needed_splits(cell: Cell) -> tuple[str, ...]:
    """Names of the splits that a cell reads."""
    tests = (REPORTED, OOD) if has_ood(cell) else (REPORTED,)
    learns = cell.backbone.offer.spec.learns
    if learns == "annotations":
        return ("train", *tests)
    if learns == "epochs" and is_trained(cell):
        return ("train", SELECTION, *tests)
    return (SELECTION, *tests) if cell.trimmer.adaptive_budget else tests


def has_ood(cell: Cell) -> bool:
    """Whether the cell's data set has a test split that is unlike train; builds the data set."""
    built = cell.dataset.built
    return isinstance(built, OffersOod) and built.has_ood


def stamps_of(cell: Cell) -> tuple[str, ...]:
    """What must stand beside every number of this cell."""
    limited = () if cell.limit is None else (LIMIT_STAMP.format(cell.limit),)
    weights = cell.backbone.weights
    given = () if weights is None else (GIVEN_STAMP.format(cell.backbone.id, weights.path.name, weights.sha256[:12]),)
    # A trimmer that learns is untrained whatever the backbone starts from.
    ready = weights is not None or cell.backbone.offer.spec.learns != "epochs"
    whole = is_trained(cell) or (ready and cell.trimmer.offer.spec.train == "none")
    return (*cell.dataset.built.facts.stamps, *limited, *given, *(() if whole else (UNTRAINED_STAMP,)))
