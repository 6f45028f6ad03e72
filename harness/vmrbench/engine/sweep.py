"""A whole sweep: base models, then cells, then latency side by side, then the report. What is stored is not redone."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vmrbench.catalog import Catalog
from vmrbench.config.cells import Cell
from vmrbench.config.sweep import SweepConfig
from vmrbench.cost.machine import machine_facts, machine_key
from vmrbench.engine.cell_jobs import Context, run_jobs
from vmrbench.engine.compiling import check_compiler
from vmrbench.engine.device import autocast, resolve_device
from vmrbench.engine.given_weights import check_given
from vmrbench.engine.identity_keys import StageKeys, run_key
from vmrbench.engine.latency_session import measure_latency
from vmrbench.engine.record import RECORD
from vmrbench.engine.splits import REPORTED, needed_splits, split_of
from vmrbench.engine.sweep_report import REPORTER, report_from_record, summary_path, write_report
from vmrbench.errors import ConfigError, UserError
from vmrbench.launch import JobResult
from vmrbench.store import Overwrite, PlanRow, Stage, Store, open_store, plan_row, read_record

LOGGER = logging.getLogger(__name__)
EARLIER = "its record is of an earlier format: what came later is added, nothing is trained"


@dataclass(frozen=True, kw_only=True)
class SweepResult:
    """done: ids of finished cells; failed: id to one line; written: files of the report."""

    done: tuple[str, ...]
    failed: Mapping[str, str]
    written: tuple[Path, ...]


def run_sweep(config: SweepConfig, *, catalog: Catalog, overwrite: Overwrite = "only-missing") -> SweepResult:
    """Run what is missing and write the report, unless no cell is done.

    A cell that fails leaves its traceback in the store, is tried again next time, and never stops the sweep.

    Raises:
        UserError: something that no cell can run with: an unknown name, unreadable data, a missing device. Also, when
            everything else has run, the first of the failures where all of them are mistakes that the user can mend.
    """
    cells = config.resolve(catalog)
    machine = _check_machine(catalog, cells[0])
    _check_data(cells)
    context = Context(config=config, store=open_store(config.store, overwrite), machine=machine_key(machine))
    created = datetime.now(UTC)
    if overwrite != "never" and cells[0].compile and not all(context.is_done(cell) for cell in cells):
        check_compiler(resolve_device(cells[0].device))
    ran = _not_stored(context, cells) if overwrite == "never" else run_jobs(context, catalog, cells)
    failed = {cell_id: result for cell_id, result in ran.items() if not result.ok}
    done = [cell for cell in cells if cell.id not in failed]
    failed |= measure_latency(context, done)
    written = write_report(context, catalog, cells, machine, created) if done else ()
    _announce(catalog, context.store, [cell for cell in done if cell.id in ran])
    _raise_mistakes(failed)
    return SweepResult(
        done=tuple(cell.id for cell in cells if cell.id not in failed),
        failed={cell_id: result.error or "" for cell_id, result in failed.items()},
        written=written,
    )


def plan_sweep(config: SweepConfig, catalog: Catalog) -> list[PlanRow]:
    """Every cell, which of its stages are stored, and why it would run."""
    cells = config.resolve(catalog)
    _check_data(cells)
    store = open_store(config.store)
    machine = machine_key(machine_facts(resolve_device(cells[0].device)))
    context = Context(config=config, store=store, machine=machine)
    return [_plan_row(context, cell) for cell in cells]


def report_sweep(config: SweepConfig, catalog: Catalog) -> list[Path]:
    """Write the report from stored runs, or from the sweep's compact record where the store is gone.

    Raises:
        ConfigError: neither is there.
    """
    cells = config.resolve(catalog)
    store = open_store(config.store)
    if store.keys("cells"):
        _check_data(cells)
        if any(store.has("cells", run_key(cell)) for cell in cells):
            machine = _check_machine(catalog, cells[0])
            context = Context(config=config, store=store, machine=machine_key(machine))
            return list(write_report(context, catalog, cells, machine, datetime.now(UTC)))
    if not summary_path(config).exists():
        raise ConfigError(f"{config.store}: no cell of this sweep is stored; use 'vmrbench run' first")
    LOGGER.info("no cell of this sweep is stored in %s: using %s", config.store, summary_path(config))
    return report_from_record(config, catalog)


def _check_machine(catalog: Catalog, cell: Cell) -> dict[str, Any]:
    """Facts of this machine. Asks plug-ins for all that is needed at the end, so that a mistake is told at once."""
    device = resolve_device(cell.device)
    with autocast(device, cell.precision):
        pass
    catalog.pick("reporter", REPORTER)
    catalog.offers("encoder")
    return {**catalog.describe_machine(), **machine_facts(device)}


def _check_data(cells: Sequence[Cell]) -> None:
    """Build every data set and ask for its splits, so that a mistake is told before anything is trained.

    Given weights are held against the widths of the data, and finer clips are read where windows need them.
    """
    for cell, name in {(c.dataset.id, name): (c, name) for c in cells for name in needed_splits(c)}.values():
        split_of(cell, name)
    for cell in {(cell.dataset.id, cell.trimmer.finer): cell for cell in cells if cell.trimmer.finer}.values():
        split_of(cell, REPORTED, finer=cell.trimmer.finer)[0]
    check_given(cells)


def _not_stored(context: Context, cells: Sequence[Cell]) -> dict[str, JobResult]:
    """The cells that have no record, as failures that are told and not kept."""
    error = "is not stored, and --overwrite is 'never'"
    return {cell.id: JobResult(key=cell.id, error=error) for cell in cells if not context.has(cell)}


def _announce(catalog: Catalog, store: Store, cells: Sequence[Cell]) -> None:
    for cell in cells:
        catalog.run_finished(read_record(store.path("cells", run_key(cell)) / RECORD))


def _raise_mistakes(failed: Mapping[str, JobResult]) -> None:
    """One line for a mistake, however many cells met it."""
    if not failed or not all(result.mistake for result in failed.values()):
        return
    texts = list(dict.fromkeys(result.error or "" for result in failed.values()))
    more = f" (and {len(texts) - 1} more)" if len(texts) > 1 else ""
    raise UserError(f"{texts[0]}{more}")


def _plan_row(context: Context, cell: Cell) -> PlanRow:
    row = plan_row(context.store, cell.id, cell.trimmer.applied, _stored_stages(cell, context.keys(cell)))
    adds = not row.runs and context.has(cell) and context.lacks(cell)
    return replace(row, runs=True, reason=EARLIER) if adds else row


def _stored_stages(cell: Cell, keys: StageKeys) -> dict[Stage, str]:
    return {"base": keys.base, "train": keys.train, "predict": keys.predict, "cost": keys.macs, "cells": run_key(cell)}
