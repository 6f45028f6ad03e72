"""The jobs of a sweep: base models first, then cells. What a job needs can be sent to another process."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import partial

from vmrbench.catalog import Catalog, load_catalog
from vmrbench.config.cells import Cell
from vmrbench.config.sweep import SweepConfig
from vmrbench.engine.diagnostics import holds_shuffled
from vmrbench.engine.identity_keys import StageKeys, ood_key, probe_key, run_key, stage_keys
from vmrbench.engine.ood import make_ood
from vmrbench.engine.probing import make_probe
from vmrbench.engine.record import describe_cell, make_record, record_is_current
from vmrbench.engine.splits import has_ood
from vmrbench.engine.stages import (
    make_backbone_macs,
    make_base,
    make_macs,
    make_memory,
    make_predict,
    make_train,
    probe_memory,
)
from vmrbench.launch import Job, JobResult
from vmrbench.launch.progress import JobProgress
from vmrbench.store import Store

LOGGER = logging.getLogger(__name__)
Launch = Callable[[Sequence[Job]], Mapping[str, JobResult]]


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a job needs to find its cell again, in whatever process it runs; picklable."""

    config: SweepConfig
    store: Store
    machine: str

    def keys(self, cell: Cell) -> StageKeys:
        """The stage keys of a cell on this machine."""
        return stage_keys(cell, self.machine)

    def has(self, cell: Cell) -> bool:
        """Whether the cell has its record."""
        return self.store.has("cells", run_key(cell))

    def is_done(self, cell: Cell) -> bool:
        """Whether the cell has its record, and nothing is to be added to it."""
        return self.has(cell) and not self.lacks(cell)

    def lacks(self, cell: Cell) -> bool:
        """Whether the cell's record is of an earlier format and can be written anew from stored weights."""
        store = self.store
        if store.overwrite == "never" or record_is_current(store.path("cells", run_key(cell))):
            return False
        return store.has("train", self.keys(cell).train)


def run_jobs(context: Context, catalog: Catalog, cells: Sequence[Cell]) -> dict[str, JobResult]:
    """Run what is missing of the cells, and keep tracebacks; results by cell id, of the cells that were missing.

    A base model that fails is not tried again by the cells that start from it: they fail for its reason.
    """
    missing = [cell for cell in cells if not context.is_done(cell)]
    if len(missing) < len(cells):
        LOGGER.info("%d of %d cells are stored already", len(cells) - len(missing), len(cells))
    bases = _missing_bases(context, missing)
    offer, options = context.config.launcher(catalog)
    with _at_hand(catalog, cells), JobProgress(len(bases) + len(missing)) as progress:
        results = _without_base(context, bases, missing, lambda jobs: offer.spec.launch(jobs, options, progress))
        progress.leave_out(len(results))
        jobs = [Job(key=c.id, function=_cell_job, arguments=(context, c.id)) for c in missing if c.id not in results]
        results |= offer.spec.launch(jobs, options, progress)
    for cell in missing:
        _keep_failure(context.store, run_key(cell), results[cell.id])
    return results


def run_probe(context: Context, cell_id: str) -> Callable[[], None]:
    """What the memory probe runs in its fresh process: preparation here, the measured part in what it returns."""
    return probe_memory(_cell_of(context, cell_id)[1])


def _missing_bases(context: Context, cells: Sequence[Cell]) -> dict[str, Cell]:
    """Keys of the base models that must be trained, each with the first cell that starts from it."""
    store = context.store
    found: dict[str, Cell] = {}
    for cell in cells:
        keys = context.keys(cell)
        if not store.has("base", keys.base) and not store.has("train", keys.train):
            found.setdefault(keys.base, cell)
    return found


def _without_base(
    context: Context, bases: Mapping[str, Cell], cells: Sequence[Cell], launch: Launch
) -> dict[str, JobResult]:
    """Train base models; results of the cells that cannot run, because theirs failed."""
    keys = {f"base of {cell.id}": key for key, cell in bases.items()}
    jobs = [Job(key=name, function=_base_job, arguments=(context, bases[key].id)) for name, key in keys.items()]
    failed = {keys[name]: result for name, result in launch(jobs).items() if not result.ok}
    return {cell.id: replace(failed[key], key=cell.id) for cell in cells if (key := context.keys(cell).base) in failed}


def _keep_failure(store: Store, key: str, result: JobResult) -> None:
    if result.ok:
        store.clear_failure(key)
    else:
        store.record_failure(key, result.traceback or result.error or "")


_resolved: ContextVar[tuple[Catalog, Mapping[str, Cell]] | None] = ContextVar("resolved", default=None)


@contextmanager
def _at_hand(catalog: Catalog, cells: Sequence[Cell]) -> Iterator[None]:
    """Jobs in this process take these cells, and with them the data sets that are built already."""
    token = _resolved.set((catalog, {cell.id: cell for cell in cells}))
    try:
        yield
    finally:
        _resolved.reset(token)


def _cell_of(context: Context, cell_id: str) -> tuple[Catalog, Cell]:
    """The catalog and the cell, resolved anew where a job runs in a process of its own."""
    found = _resolved.get()
    if found is None:
        catalog = load_catalog(context.config.plugins)
        found = catalog, {cell.id: cell for cell in context.config.resolve(catalog)}
    return found[0], found[1][cell_id]


def _base_job(context: Context, cell_id: str) -> None:
    _, cell = _cell_of(context, cell_id)
    _ensure_base(context.store, cell, context.keys(cell))


def _ensure_base(store: Store, cell: Cell, keys: StageKeys) -> None:
    store.ensure("base", keys.base, lambda folder: make_base(cell, folder, keys.base), resume=True)


def _cell_job(context: Context, cell_id: str) -> None:
    catalog, cell = _cell_of(context, cell_id)
    store, keys = context.store, context.keys(cell)
    catalog.run_starting(describe_cell(cell))
    if not store.has("train", keys.train):
        _ensure_base(store, cell, keys)
    store.ensure("train", keys.train, lambda folder: make_train(cell, store, folder, keys), resume=True)
    predict = partial(make_predict, cell, store, keys)
    predicted = store.ensure("predict", keys.predict, predict, usable=holds_shuffled)
    if has_ood(cell):
        store.ensure("predict", ood_key(keys.predict), partial(make_ood, cell, store, keys))
    for changed in cell.probes:
        store.ensure("predict", probe_key(changed, keys.predict), partial(make_probe, cell, changed, store, keys))
    backbone_macs = store.ensure("cost", keys.backbone_macs, lambda folder: make_backbone_macs(cell, folder))
    store.ensure("cost", keys.macs, lambda folder: make_macs(cell, backbone_macs, predicted, folder))
    if cell.cost.memory and not cell.trimmer.rows_vary:
        probe = (f"{__name__}:{run_probe.__name__}", {"context": context, "cell_id": cell_id})
        store.ensure("cost", keys.memory, lambda folder: make_memory(cell, folder, probe))
    record = partial(make_record, cell, catalog, store, keys)
    store.ensure("cells", run_key(cell), record, usable=record_is_current)
