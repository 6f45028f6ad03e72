"""A whole sweep: base models, then cells, then latency side by side, then the report. What is stored is not redone."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd

from vmrbench import __version__
from vmrbench.catalog import Catalog, load_catalog
from vmrbench.config.cells import Cell
from vmrbench.config.sweep import SweepConfig
from vmrbench.cost.machine import machine_facts, machine_key
from vmrbench.engine.costing import measure_arms
from vmrbench.engine.device import autocast, resolve_device
from vmrbench.engine.identity_keys import StageKeys, latency_key, run_key, stage_keys
from vmrbench.engine.record import PER_QUERY, RECORD, describe_cell, make_record
from vmrbench.engine.splits import REPORTED, split_of
from vmrbench.engine.stages import (
    make_base,
    make_macs,
    make_memory,
    make_predict,
    make_train,
    probe_memory,
    trained_arm,
)
from vmrbench.errors import UserError
from vmrbench.launch import Job, JobResult
from vmrbench.launch.progress import JobProgress
from vmrbench.protocol.convention import get_protocol
from vmrbench.report.build import build_summary, describe_dataset
from vmrbench.report.rows import FinishedRun
from vmrbench.report.summary import SweepSummary, read_summary, write_summary
from vmrbench.store import Overwrite, PlanRow, Store, open_store, plan_row, read_json, read_record, write_json

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class SweepResult:
    """done: ids of finished cells; failed: id to one line; written: files of the report."""

    done: tuple[str, ...]
    failed: Mapping[str, str]
    written: tuple[Path, ...]


@dataclass(frozen=True, kw_only=True)
class _Context:
    """What a job needs to find its cell again, in whatever process it runs; picklable."""

    config: SweepConfig
    store: Store
    machine: str


def run_sweep(config: SweepConfig, *, catalog: Catalog, overwrite: Overwrite = "only-missing") -> SweepResult:
    """Run what is missing and write the report.

    A cell that fails leaves its traceback in the store, is tried again next time, and never stops the sweep.

    Raises:
        UserError: something that no cell can run with: an unknown name, unreadable data, a missing device.
    """
    cells = config.resolve(catalog)
    device = resolve_device(cells[0].device)
    with autocast(device, cells[0].precision):
        pass
    _check_data(cells)
    context = _Context(
        config=config, store=open_store(config.store, overwrite), machine=machine_key(machine_facts(device))
    )
    started = datetime.now(UTC)
    failed = _run_jobs(context, catalog, cells)
    done = [cell for cell in cells if cell.id not in failed]
    failed |= _measure_latency(context, done)
    _announce(catalog, context.store, done)
    written = _write_report(config, catalog, cells, context, started)
    return SweepResult(done=tuple(cell.id for cell in done), failed=failed, written=written)


def plan_sweep(config: SweepConfig, catalog: Catalog) -> list[PlanRow]:
    """Every cell, which of its stages are stored, and why it would run."""
    cells = config.resolve(catalog)
    store = open_store(config.store)
    machine = machine_key(machine_facts(resolve_device(cells[0].device)))
    return [plan_row(store, cell.id, _stored_stages(cell, stage_keys(cell, machine))) for cell in cells]


def report_sweep(config: SweepConfig, catalog: Catalog) -> list[Path]:
    """Write the report from stored runs, or from the sweep's compact record where the store is gone."""
    cells = config.resolve(catalog)
    store = open_store(config.store)
    if not any(store.has("cells", run_key(cell)) for cell in cells) and _summary_path(config).exists():
        return _render(config, catalog, read_summary(_summary_path(config)))
    machine = machine_key(machine_facts(resolve_device(cells[0].device)))
    context = _Context(config=config, store=store, machine=machine)
    return list(_write_report(config, catalog, cells, context, datetime.now(UTC)))


def _check_data(cells: Sequence[Cell]) -> None:
    """Build every data set and ask for its splits, so that a mistake is told before anything is trained."""
    for cell in {cell.dataset.id: cell for cell in cells}.values():
        for name in ("train", "val", REPORTED):
            split_of(cell, name)


def _run_jobs(context: _Context, catalog: Catalog, cells: Sequence[Cell]) -> dict[str, str]:
    """Base models first, then cells; returns the failures."""
    keys = {cell.id: stage_keys(cell, context.machine) for cell in cells}
    store = context.store
    missing = [cell for cell in cells if not store.has("cells", run_key(cell))]
    bases = {keys[cell.id].base: cell for cell in missing if not store.has("base", keys[cell.id].base)}
    base_jobs = [Job(key=f"base of {c.id}", function=_base_job, arguments=(context, c.id)) for c in bases.values()]
    cell_jobs = [Job(key=cell.id, function=_cell_job, arguments=(context, cell.id)) for cell in missing]
    if len(missing) < len(cells):
        LOGGER.info("%d of %d cells are stored already", len(cells) - len(missing), len(cells))
    offer, options = context.config.launcher(catalog)
    with JobProgress(len(base_jobs) + len(cell_jobs)) as progress:
        offer.spec.launch(base_jobs, options, progress)
        results = offer.spec.launch(cell_jobs, options, progress)
    return _failures(store, {cell.id: run_key(cell) for cell in missing}, results)


def _failures(store: Store, run_keys: Mapping[str, str], results: Mapping[str, JobResult]) -> dict[str, str]:
    failed = {}
    for cell_id, result in results.items():
        if result.ok:
            store.clear_failure(run_keys[cell_id])
        else:
            store.record_failure(run_keys[cell_id], result.traceback or result.error or "")
            failed[cell_id] = result.error or ""
    return failed


_CELLS: dict[str, tuple[Catalog, dict[str, Cell]]] = {}


def _cell_of(context: _Context, cell_id: str) -> tuple[Catalog, Cell]:
    """The catalog and the cell, resolved once a process."""
    name = repr(context.config)
    if name not in _CELLS:
        catalog = load_catalog(context.config.plugins)
        _CELLS.clear()
        _CELLS[name] = catalog, {cell.id: cell for cell in context.config.resolve(catalog)}
    catalog, cells = _CELLS[name]
    return catalog, cells[cell_id]


def _base_job(context: _Context, cell_id: str) -> None:
    _, cell = _cell_of(context, cell_id)
    _ensure_base(context.store, cell, stage_keys(cell, context.machine))


def _ensure_base(store: Store, cell: Cell, keys: StageKeys) -> None:
    store.ensure("base", keys.base, lambda folder: make_base(cell, folder, keys.base), resume=True)


def _cell_job(context: _Context, cell_id: str) -> None:
    catalog, cell = _cell_of(context, cell_id)
    store, keys = context.store, stage_keys(cell, context.machine)
    catalog.run_starting(describe_cell(cell))
    _ensure_base(store, cell, keys)
    store.ensure("train", keys.train, lambda folder: make_train(cell, store, folder, keys), resume=True)
    store.ensure("predict", keys.predict, lambda folder: make_predict(cell, store, folder, keys))
    store.ensure("cost", keys.macs, lambda folder: make_macs(cell, folder))
    if cell.cost.memory:
        probe = (f"{__name__}:run_probe", {"context": context, "cell_id": cell_id})
        store.ensure("cost", keys.memory, lambda folder: make_memory(cell, folder, probe))
    store.ensure("cells", run_key(cell), lambda folder: make_record(cell, catalog, store, keys, folder))


def run_probe(context: _Context, cell_id: str) -> None:
    """What the memory probe runs in its fresh process."""
    probe_memory(_cell_of(context, cell_id)[1])


def _measure_latency(context: _Context, cells: Sequence[Cell]) -> dict[str, str]:
    """One session for all arms of a data set and backbone, made again when its arms change."""
    failed: dict[str, str] = {}
    for group in _groups(cells):
        key = latency_key(group, context.machine)
        if group[0].cost.latency_samples == 0:
            continue
        try:
            context.store.ensure("cost", key, lambda folder, group=group: _time_group(context, group, folder))  # type: ignore[misc]  # mypy cannot type lambda defaults
        except UserError:
            raise
        except Exception as error:
            LOGGER.exception("latency of %s could not be measured", group[0].id)
            failed |= {cell.id: f"latency: {error}" for cell in group}
    return failed


def _groups(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Arms that are timed side by side: one data set, one backbone, the first seed of each trimmer."""

    def place(cell: Cell) -> tuple[str, str]:
        return cell.dataset.id, cell.backbone.id

    groups = [list(found) for _, found in groupby(sorted(cells, key=place), key=place)]
    return [list({cell.trimmer.id: cell for cell in reversed(group)}.values())[::-1] for group in groups]


def _time_group(context: _Context, group: Sequence[Cell], folder: Path) -> None:
    first = group[0]
    LOGGER.info("latency of %d arms of %s on %s, taking turns", len(group), first.backbone.id, first.dataset.id)
    arms = {cell.trimmer.id: trained_arm(cell, context.store, stage_keys(cell, context.machine)) for cell in group}
    found = measure_arms(
        arms,
        split_of(first, REPORTED),
        samples=first.cost.latency_samples,
        rounds=first.cost.latency_rounds,
        device=resolve_device(first.device),
        precision=first.precision,
    )
    write_json(folder / "latency.json", {name: asdict(latency) for name, latency in found.items()})


def _announce(catalog: Catalog, store: Store, cells: Sequence[Cell]) -> None:
    for cell in cells:
        catalog.run_finished(read_record(store.path("cells", run_key(cell)) / RECORD))


def _write_report(
    config: SweepConfig, catalog: Catalog, cells: Sequence[Cell], context: _Context, created: datetime
) -> tuple[Path, ...]:
    runs = _finished(context, cells)
    if not runs:
        return ()
    facts = machine_facts(resolve_device(cells[0].device))
    facts |= catalog.describe_machine()
    protocol = get_protocol(cells[0].protocol)
    summary = build_summary(
        runs,
        name=config.file.name,
        created=created.isoformat(timespec="seconds"),
        argv=("vmrbench", *sys.argv[1:]),
        protocol=protocol,
        datasets=[_dataset_entry(cell, protocol) for cell in {c.dataset.id: c for c in cells}.values()],
        encoders=_encoders(catalog, cells),
        machine=facts,
        versions={"vmrbench": __version__, **facts["libraries"]},
        expected=[describe_cell(cell) for cell in cells],
        label_readers=sorted({cell.trimmer.offer.spec.name for cell in cells if cell.trimmer.offer.spec.reads_labels}),
    )
    path = _summary_path(config)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_summary(summary, path)
    return (path, *_render(config, catalog, summary))


def _render(config: SweepConfig, catalog: Catalog, summary: SweepSummary) -> list[Path]:
    offer = catalog.pick("reporter", "markdown")
    config.report.parent.mkdir(parents=True, exist_ok=True)
    return list(offer.spec.write(summary, config.report))


def _summary_path(config: SweepConfig) -> Path:
    return config.records / f"{config.file.name}.json"


def _finished(context: _Context, cells: Sequence[Cell]) -> list[FinishedRun]:
    latencies = _latencies(context, cells)
    runs = []
    for cell in cells:
        folder = context.store.path("cells", run_key(cell))
        if not context.store.has("cells", run_key(cell)):
            failure = context.store.failure(run_key(cell))
            if failure is not None:
                runs.append(FinishedRun(record=_failed_record(cell, failure), per_query=None))
            continue
        record = read_record(folder / RECORD)
        latency = latencies.get((cell.dataset.id, cell.backbone.id, cell.trimmer.id))
        record["cost"]["latency_ms"] = latency or {"p50": None, "reason": "not measured"}
        runs.append(FinishedRun(record=record, per_query=pd.read_parquet(folder / PER_QUERY)))
    return runs


def _failed_record(cell: Cell, failure: str) -> dict[str, Any]:
    last = failure.strip().splitlines()[-1]
    return {"run_id": run_key(cell)[:16], "cell": describe_cell(cell), "status": "INVALID", "reasons": [last]}


def _latencies(context: _Context, cells: Sequence[Cell]) -> dict[tuple[str, str, str], dict[str, Any]]:
    done = [cell for cell in cells if context.store.has("cells", run_key(cell))]
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for group in _groups(done):
        key = latency_key(group, context.machine)
        if not context.store.has("cost", key):
            continue
        session = read_json(context.store.path("cost", key) / "latency.json")
        for name, latency in session.items():
            plain = {"p50": latency["p50_ms"], "p90": latency["p90_ms"], "n": latency["n"]}
            place = (group[0].dataset.id, group[0].backbone.id, name)
            found[place] = plain | {"valid": latency["valid"], "reason": latency["reason"]}
    return found


def _dataset_entry(cell: Cell, protocol: Any) -> Any:
    train, test = split_of(cell, "train").annotations, split_of(cell, REPORTED).annotations
    return describe_dataset(
        cell.dataset.id, cell.dataset.offer.spec.name, cell.dataset.built.facts, train, test, protocol
    )


def _encoders(catalog: Catalog, cells: Sequence[Cell]) -> dict[str, Any]:
    names: dict[str, None] = {}
    for cell in cells:
        facts = cell.dataset.built.facts
        names |= dict.fromkeys([facts.clips.encoder, facts.text.encoder, *(g.encoder for g in facts.index.values())])
    return {name: catalog.encoders[name].spec for name in names if name in catalog.encoders}


def _stored_stages(cell: Cell, keys: StageKeys) -> dict[Any, str]:
    return {"base": keys.base, "train": keys.train, "predict": keys.predict, "cost": keys.macs, "cells": run_key(cell)}
