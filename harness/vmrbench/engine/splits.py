"""The splits a cell works on, cut short where a limit says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vmrbench.config.cells import Cell
from vmrbench.errors import DataError
from vmrbench.protocols import Split
from vmrbench.types import Annotation, Sample

REPORTED, SELECTION = "test", "val"
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


def split_of(cell: Cell, name: str) -> Split:
    """A split of the cell's data set; with a limit, that many queries spread evenly over it.

    Raises:
        DataError: the split is not there or empty.
    """
    split = cell.dataset.built.split(name)
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
    return ("train", SELECTION, REPORTED) if is_trained(cell) else (REPORTED,)


def stamps_of(cell: Cell) -> tuple[str, ...]:
    """What must stand beside every number of this cell."""
    limited = () if cell.limit is None else (LIMIT_STAMP.format(cell.limit),)
    weights = cell.backbone.weights
    given = () if weights is None else (GIVEN_STAMP.format(cell.backbone.id, weights.path.name, weights.sha256[:12]),)
    # A trimmer that learns is untrained whatever the backbone starts from.
    whole = is_trained(cell) or (weights is not None and cell.trimmer.offer.spec.train == "none")
    return (*cell.dataset.built.facts.stamps, *limited, *given, *(() if whole else (UNTRAINED_STAMP,)))
