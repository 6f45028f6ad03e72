"""Latency of the arms of a data set and backbone, timed side by side and stored as one session."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

from vmrbench.config.cells import Cell
from vmrbench.engine.cell_jobs import Context
from vmrbench.engine.costing import measure_arms
from vmrbench.engine.device import resolve_device
from vmrbench.engine.identity_keys import latency_key
from vmrbench.engine.splits import REPORTED, split_of
from vmrbench.engine.stages import predicting_arm
from vmrbench.launch import Job, JobResult
from vmrbench.launch.jobs import run_job
from vmrbench.store import read_json, write_json

LOGGER = logging.getLogger(__name__)
SESSION = "latency.json"


def measure_latency(context: Context, cells: Sequence[Cell]) -> dict[str, JobResult]:
    """Measure the sessions that are missing; results by cell id, of the cells whose session failed.

    A session is made again when its arms change. Nothing is measured where nothing may be made.
    """
    failed: dict[str, JobResult] = {}
    if context.store.overwrite == "never":
        return failed
    for group in _groups(cells):
        if group[0].cost.latency_samples == 0:
            continue
        key = f"latency of {group[0].backbone.id} on {group[0].dataset.id}"
        result = run_job(Job(key=key, function=_ensure_session, arguments=(context, group)))
        if not result.ok:
            LOGGER.error("%s could not be measured: %s", key, result.traceback)
            failed |= {cell.id: result for cell in group}
    return failed


def stored_latencies(context: Context, cells: Sequence[Cell]) -> dict[tuple[str, str, str], dict[str, Any]]:
    """By ids of data set, backbone and trimmer: p50, p90 (ms), n, valid, reason. cells: those that are done."""
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for group in _groups(cells):
        key = latency_key(group, context.machine)
        if not context.store.has("cost", key):
            continue
        session = read_json(context.store.path("cost", key) / SESSION)
        for name, latency in session.items():
            plain = {"p50": latency["p50_ms"], "p90": latency["p90_ms"], "n": latency["n"]}
            place = (group[0].dataset.id, group[0].backbone.id, name)
            found[place] = plain | {"valid": latency["valid"], "reason": latency["reason"]}
    return found


def _groups(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Arms that are timed side by side: one data set, one backbone, the first seed of each trimmer."""

    def place(cell: Cell) -> tuple[str, str]:
        return cell.dataset.id, cell.backbone.id

    groups = [list(found) for _, found in groupby(sorted(cells, key=place), key=place)]
    return [list({cell.trimmer.id: cell for cell in reversed(group)}.values())[::-1] for group in groups]


def _ensure_session(context: Context, group: list[Cell]) -> None:
    key = latency_key(group, context.machine)
    context.store.ensure("cost", key, lambda folder: _time_group(context, group, folder))


def _time_group(context: Context, group: Sequence[Cell], folder: Path) -> None:
    first = group[0]
    LOGGER.info("latency of %d arms of %s on %s, taking turns", len(group), first.backbone.id, first.dataset.id)
    found = measure_arms(
        {cell.trimmer.id: predicting_arm(cell, context.store, context.keys(cell)) for cell in group},
        {cell.trimmer.id: split_of(cell, REPORTED, finer=cell.trimmer.finer) for cell in group},
        samples=first.cost.latency_samples,
        rounds=first.cost.latency_rounds,
        device=resolve_device(first.device),
        precision=first.precision,
        compile_first=first.compile,
    )
    write_json(folder / SESSION, {name: asdict(latency) for name, latency in found.items()})
