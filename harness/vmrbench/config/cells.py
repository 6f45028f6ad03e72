"""One cell of a sweep: a data set, a backbone, a trimmer and a seed, with every default filled in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from vmrbench.config.settings import CostConfig, TrainConfig, WindowConfig
from vmrbench.identity import identity_of_options

if TYPE_CHECKING:
    from vmrbench.catalog import Offer
    from vmrbench.protocols import VmrDataset
    from vmrbench.specs import Apply
    from vmrbench.weight_files import WeightFile

# Decides how fast a result comes, not what it is.
_NOT_IN_IDENTITY = {"eval_batch_size"}


@dataclass(frozen=True, kw_only=True)
class DatasetEntry:
    """A data set of the sweep; `options` is the filled options object of `offer.spec`."""

    id: str
    offer: Offer
    options: Any

    @cached_property
    def built(self) -> VmrDataset:
        """The data set itself, built once for all cells that share this entry."""
        dataset: VmrDataset = self.offer.spec.build(self.options)
        return dataset

    def identity(self) -> dict[str, Any]:
        """Name, revision, options and the fingerprint of the contents; builds the data set."""
        return _entry_identity(self.offer, self.options) | {"fingerprint": self.built.facts.fingerprint}


@dataclass(frozen=True, kw_only=True)
class BackboneEntry:
    """A backbone of the sweep; `options` is the filled options object of `offer.spec`, preset included.

    weights: what it starts from, None for its own initialisation; `preset` is then the one that the file names.
    """

    id: str
    offer: Offer
    options: Any
    preset: str | None = None
    weights: WeightFile | None = None

    def identity(self) -> dict[str, Any]:
        """Name, revision and options, and the contents of given weights."""
        given = {} if self.weights is None else {"weights": self.weights.sha256}
        return _entry_identity(self.offer, self.options) | given


@dataclass(frozen=True, kw_only=True)
class TrimmerEntry:
    """A trimmer of the sweep.

    fill: None where the trimmer reads expensive features only; apply, freeze_backbone: see the keys of the file;
    windows: None unless they are cut; plan: `query`, or how one set of clips is chosen for all queries of a video,
    which concerns prediction alone; train_ratios: the keep ratios that training draws from, falling, empty where it
    keeps to the one in `options`; adaptive_budget: the number of clips follows the query at test, and meets that ratio
    on average.
    """

    id: str
    offer: Offer
    options: Any
    fill: str | None
    preset: str | None = None
    plan: str = "query"
    apply: Apply = "fill"
    freeze_backbone: bool = False
    windows: WindowConfig | None = None
    train_ratios: tuple[float, ...] = ()
    adaptive_budget: bool = False

    @property
    def rows_vary(self) -> bool:
        """Whether the number of rows that the backbone reads follows the query, and is not known without weights."""
        return self.adaptive_budget and self.apply != "fill"

    @property
    def finer(self) -> int | None:
        """How many finer rows a clip is cut into, None where none are read."""
        return None if self.windows is None else self.windows.finer

    @property
    def mode(self) -> dict[str, Any]:
        """How the decision is applied, and what learns at which ratios; empty for `fill` with everything learning."""
        # Came later than the fills: runs that were stored without them stay what they are.
        applied = {} if self.apply == "fill" else {"apply": self.apply}
        cut = {} if self.windows is None else {"windows": identity_of_options(self.windows)}
        drawn = {"train_ratios": list(self.train_ratios)} if self.train_ratios else {}
        adaptive = {"adaptive_budget": True} if self.adaptive_budget else {}
        return applied | cut | drawn | adaptive | ({"freeze_backbone": True} if self.freeze_backbone else {})

    @property
    def applied(self) -> str:
        """The mode in words, such as `gather, concat_zero, frozen backbone`."""
        return applied_text(self.apply, self.fill, self.freeze_backbone, self.train_ratios, self.adaptive_budget)

    def identity(self) -> dict[str, Any]:
        """Name, revision, options, fill policy, mode, and the plan where it is not by query."""
        # Came later: runs that were stored without it stay what they are.
        planned = {} if self.plan == "query" else {"plan": self.plan}
        return _entry_identity(self.offer, self.options) | {"fill": self.fill} | self.mode | planned


@dataclass(frozen=True, kw_only=True)
class ProbeEntry:
    """A probe of the sweep; `options` is the filled options object of `offer.spec`."""

    id: str
    offer: Offer
    options: Any

    def identity(self) -> dict[str, Any]:
        """Name, revision and options."""
        return _entry_identity(self.offer, self.options)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What is trained, predicted and measured as one; `train` has the overrides of its entries merged in."""

    dataset: DatasetEntry
    backbone: BackboneEntry
    trimmer: TrimmerEntry
    seed: int
    train: TrainConfig
    cost: CostConfig
    protocol: str
    device: str
    precision: str
    limit: int | None
    compile: bool = False
    probes: tuple[ProbeEntry, ...] = ()

    @property
    def id(self) -> str:
        """A readable name, unique in the sweep: `tacos/2d_tan/spotvmr_25/0`."""
        return f"{self.dataset.id}/{self.backbone.id}/{self.trimmer.id}/{self.seed}"

    def identity(self) -> dict[str, Any]:
        """Everything that can change the result, as plain data; ids, paths, machine, launcher and device cannot.

        Builds the data set, whose fingerprint is part of it.
        """
        training = identity_of_options(self.train)
        return {
            "dataset": self.dataset.identity(),
            "backbone": self.backbone.identity(),
            "trimmer": self.trimmer.identity(),
            "train": {key: value for key, value in training.items() if key not in _NOT_IN_IDENTITY},
            "seed": self.seed,
            "precision": self.precision,
            "limit": self.limit,
            "protocol": self.protocol,
            # Came later: runs that were stored without it stay what they are.
            **({"compile": True} if self.compile else {}),
            # By id, which is how a record names what came of them.
            **({"probes": {probe.id: probe.identity() for probe in self.probes}} if self.probes else {}),
        }


def applied_text(
    apply: str,
    fill: str | None,
    freeze_backbone: bool,
    train_ratios: Sequence[float] = (),
    adaptive_budget: bool = False,
) -> str:
    """How clips are trimmed, in words: `fill, adapter, frozen backbone`; `whole` where expensive features suffice."""
    kept = ["whole"] if fill is None and apply == "fill" else [apply, *([] if fill is None else [fill])]
    drawn = [f"trained for keep {' / '.join(f'{ratio:g}' for ratio in train_ratios)}"] if train_ratios else []
    adaptive = ["adaptive budget"] if adaptive_budget else []
    return ", ".join([*kept, *(["frozen backbone"] if freeze_backbone else []), *drawn, *adaptive])


def _entry_identity(offer: Offer, options: Any) -> dict[str, Any]:
    known = {"name": offer.spec.name, "revision": offer.spec.revision, "options": identity_of_options(options)}
    # Whoever edits a plug-in file seldom thinks of its revision: its text stands for it.
    return known | {"file_sha256": offer.file_sha256} if offer.origin == "file" else known
