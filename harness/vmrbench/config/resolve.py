"""From the checked file and the catalog to cells with every option filled in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vmrbench.config.cells import BackboneEntry, Cell, DatasetEntry, ProbeEntry, TrimmerEntry
from vmrbench.config.options import make_options, merged, resolve_paths
from vmrbench.config.training import resolve_training
from vmrbench.errors import ConfigError, DataError

if TYPE_CHECKING:
    from vmrbench.catalog import Catalog, Offer
    from vmrbench.config.places import KeyPath
    from vmrbench.config.schema import BackboneItem, DatasetItem, Item, LauncherItem, TrimmerItem
    from vmrbench.config.settings import TrainConfig
    from vmrbench.config.sweep import SweepConfig


def resolve_cells(config: SweepConfig, catalog: Catalog) -> list[Cell]:
    """See `SweepConfig.resolve`. Entries that were not chosen are checked too."""
    file = config.file
    datasets = [_dataset(config, catalog, number, item) for number, item in enumerate(file.datasets)]
    backbones = [_backbone(config, catalog, number, item) for number, item in enumerate(file.backbones)]
    trimmers = [_trimmer(config, catalog, number, item) for number, item in enumerate(file.trimmers)]
    probes = tuple(_probe(config, catalog, number, item) for number, item in enumerate(file.probes))
    seeds = [seed for seed in file.seeds if config.chosen("seed", str(seed))]
    arms = [
        (b, backbone, t, trimmer)
        for b, backbone in enumerate(backbones)
        for t, trimmer in _trimmers_of(config, catalog, backbone, ("backbones", b), trimmers)
    ]
    cells = []
    for dataset, (b, backbone, t, trimmer), seed in product(datasets, arms, seeds):
        labels = {"dataset": dataset.id, "backbone": backbone.id, "trimmer": trimmer.id}
        if all(config.chosen(kind, label) for kind, label in labels.items()):
            train = resolve_training(config, backbone, b, t)
            cell = replace(_cell(config, dataset, backbone, trimmer, seed, train), probes=probes)
            _check_frozen(config, cell, ("trimmers", t, "freeze_backbone"))
            cells.append(cell)
    return cells


def resolve_launcher(config: SweepConfig, catalog: Catalog) -> tuple[Offer, Any]:
    """See `SweepConfig.launcher`."""
    item = config.file.launcher
    offer = _pick(config, catalog, "launcher", item, ("launcher",))
    return offer, _options(config, offer, item.options, None, ("launcher",))


def _trimmers_of(
    config: SweepConfig, catalog: Catalog, backbone: BackboneEntry, path: KeyPath, trimmers: Sequence[TrimmerEntry]
) -> list[tuple[int, TrimmerEntry]]:
    """The trimmers a backbone is combined with: all of them, or for a query-blind one the first that trims nothing."""
    numbered = list(enumerate(trimmers))
    if backbone.offer.spec.reads_features:
        return numbered
    whole = [pair for pair in numbered if pair[1].offer.spec.input == "fine"]
    if not whole:
        known = ", ".join(repr(name) for name, offer in catalog.trimmers.items() if offer.spec.input == "fine")
        raise ConfigError(
            f"{config.document.where(path)}: backbone {backbone.id!r} reads no features, so that nothing can be "
            f"trimmed, and none of the trimmers leaves the video whole; list one that does: {known}"
        )
    return whole[:1]


def _probe(config: SweepConfig, catalog: Catalog, number: int, item: Item) -> ProbeEntry:
    path = ("probes", number)
    offer = _pick(config, catalog, "probe", item, path)
    return ProbeEntry(id=item.label, offer=offer, options=_options(config, offer, item.options, None, path))


def _cell(
    config: SweepConfig,
    dataset: DatasetEntry,
    backbone: BackboneEntry,
    trimmer: TrimmerEntry,
    seed: int,
    train: TrainConfig,
) -> Cell:
    file = config.file
    return Cell(
        dataset=dataset,
        backbone=backbone,
        trimmer=trimmer,
        seed=seed,
        train=train,
        cost=file.cost,
        protocol=file.protocol,
        device=file.device,
        precision=file.precision,
        compile=file.compile,
        limit=file.limit,
    )


def _dataset(config: SweepConfig, catalog: Catalog, number: int, item: DatasetItem) -> DatasetEntry:
    path = ("datasets", number)
    offer = _pick(config, catalog, "dataset", item, path)
    return DatasetEntry(id=item.label, offer=offer, options=_options(config, offer, item.options, None, path))


def _backbone(config: SweepConfig, catalog: Catalog, number: int, item: BackboneItem) -> BackboneEntry:
    path = ("backbones", number)
    offer = _pick(config, catalog, "backbone", item, path)
    if item.weights is not None:
        return _given_backbone(config, offer, item, item.weights, path)
    options = _options(config, offer, item.options, item.preset, path)
    return BackboneEntry(id=item.label, offer=offer, options=options, preset=item.preset)


def _given_backbone(
    config: SweepConfig, offer: Offer, item: BackboneItem, weights: str, path: KeyPath
) -> BackboneEntry:
    """A backbone with the weights and options of a file; `options` of the entry go before those."""
    from vmrbench.weight_files import read_weight_file

    at = (*path, "weights")
    where = config.document.where(at)
    if item.preset is not None:
        beside = config.document.where((*path, "preset"))
        raise ConfigError(f"{beside}: 'weights' bring their own options; leave it out")
    try:
        given = read_weight_file(config.document.place(at).folder / Path(weights).expanduser())
    except DataError as error:
        raise ConfigError(f"{where}: {error}") from error
    told = given.provenance
    if told.backbone != item.name:
        raise ConfigError(f"{where}: {given.path} holds weights of {told.backbone!r}, not of {item.name!r}")
    options = _options(config, offer, merged(told.options, item.options), None, path)
    return BackboneEntry(id=item.label, offer=offer, options=options, preset=told.preset, weights=given)


def _trimmer(config: SweepConfig, catalog: Catalog, number: int, item: TrimmerItem) -> TrimmerEntry:
    path = ("trimmers", number)
    offer = _pick(config, catalog, "trimmer", item, path)
    options = _options(config, offer, item.options, item.preset, path)
    fill: str | None = item.fill or "concat_zero"
    if offer.spec.input == "fine":
        if item.fill is not None:
            where = config.document.where((*path, "fill"))
            raise ConfigError(f"{where}: trimmer {item.name!r} reads expensive features only; leave 'fill' out")
        fill = None
        if item.plan != "query":
            where = config.document.where((*path, "plan"))
            raise ConfigError(f"{where}: trimmer {item.name!r} chooses no clips; leave 'plan' out")
    _check_apply(config, offer, options, item, path)
    return TrimmerEntry(
        id=item.label,
        offer=offer,
        options=options,
        fill=fill,
        preset=item.preset,
        plan=item.plan,
        apply=item.apply,
        freeze_backbone=item.freeze_backbone,
        windows=item.windows if item.apply == "windows" else None,
        train_ratios=_train_ratios(config, offer, options, item, path),
        adaptive_budget=_adaptive_budget(config, offer, options, item, path),
    )


def _adaptive_budget(config: SweepConfig, offer: Offer, options: Any, item: TrimmerItem, path: KeyPath) -> bool:
    if not item.adaptive_budget:
        return False
    where = config.document.where((*path, "adaptive_budget"))
    tied: str | None = offer.spec.tied_to_share(options)
    if tied is not None:
        raise ConfigError(f"{where}: trimmer {item.name!r} keeps the same share for every query: {tied}; leave it out")
    if not 0 < options.keep_ratio < 1:
        found = f"{options.keep_ratio:g}"
        raise ConfigError(f"{where}: nothing can vary at keep_ratio {found}; expected one between 0 and 1")
    return True


def _train_ratios(
    config: SweepConfig, offer: Offer, options: Any, item: TrimmerItem, path: KeyPath
) -> tuple[float, ...]:
    """The keep ratios that training draws from: each once, falling, so that their order in the file does not count."""
    if item.train_ratios is None:
        return ()
    where = config.document.where((*path, "train_ratios"))
    if not hasattr(options, "keep_ratio"):
        raise ConfigError(f"{where}: trimmer {item.name!r} has no keep_ratio; leave 'train_ratios' out")
    tied: str | None = offer.spec.tied_to_ratio(options)
    if tied is not None:
        raise ConfigError(f"{where}: one model of trimmer {item.name!r} cannot serve several keep ratios: {tied}")
    return tuple(sorted({float(ratio) for ratio in item.train_ratios}, reverse=True))


def _check_apply(config: SweepConfig, offer: Offer, options: Any, item: TrimmerItem, path: KeyPath) -> None:
    where = config.document.where((*path, "apply"))
    if item.apply not in offer.spec.apply:
        offered = ", ".join(offer.spec.apply)
        raise ConfigError(f"{where}: trimmer {item.name!r} cannot be applied as {item.apply!r}; expected {offered}")
    if "windows" in item.model_fields_set and item.apply != "windows":
        beside = config.document.where((*path, "windows"))
        raise ConfigError(
            f"{beside}: read under 'apply: windows' only, found apply {item.apply!r}; leave one of them out"
        )
    if item.apply == "windows" and item.plan != "query":
        beside = config.document.where((*path, "plan"))
        raise ConfigError(
            f"{beside}: windows are chosen for each query alone, found plan {item.plan!r}; leave it out, or use "
            "apply: fill or gather"
        )
    if item.apply != "fill" and getattr(options, "keep_ratio", None) == 0:
        raise ConfigError(f"{where}: {item.apply!r} needs at least one clip, found keep_ratio 0; raise it, or use fill")


def _check_frozen(config: SweepConfig, cell: Cell, path: KeyPath) -> None:
    untrained = cell.backbone.weights is None and cell.train.base_epochs == 0
    if cell.trimmer.freeze_backbone and untrained and cell.train.extra_epochs > 0:
        where = config.document.where(path)
        raise ConfigError(
            f"{where}: backbone {cell.backbone.id!r} has neither 'weights' nor base_epochs: nothing trained could be "
            "frozen; give it one of them"
        )


def _pick(config: SweepConfig, catalog: Catalog, kind: str, item: Item | LauncherItem, path: KeyPath) -> Offer:
    return catalog.pick(kind, item.name, config.document.where((*path, "name")))


def _options(config: SweepConfig, offer: Offer, values: Mapping[str, Any], preset: str | None, path: KeyPath) -> Any:
    document, at = config.document, (*path, "options")
    resolved = resolve_paths(offer.spec.options, values, lambda key: document.place((*at, key)).folder)
    return make_options(
        offer.spec,
        preset,
        resolved,
        document.where(at),
        key_where=lambda key: document.where((*at, key) if key else at),
    )
