"""The report of a sweep: from stored cells to a compact record, and from that to the files a reader opens."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from vmrbench import __version__
from vmrbench.catalog import Catalog
from vmrbench.config.cells import Cell
from vmrbench.config.sweep import SweepConfig
from vmrbench.cost.stages import encoder_names
from vmrbench.engine.cell_jobs import Context
from vmrbench.engine.identity_keys import run_key
from vmrbench.engine.latency_session import stored_latencies
from vmrbench.engine.record import PER_QUERY, PER_QUERY_OOD, RECORD, describe_cell
from vmrbench.engine.sample_strips import describe_samples
from vmrbench.engine.splits import OOD, REPORTED, has_ood, needed_splits, split_of
from vmrbench.protocol.convention import Protocol
from vmrbench.protocol.published import get_protocol
from vmrbench.report.build import build_summary, describe_dataset
from vmrbench.report.rows import FinishedRun
from vmrbench.report.summary import DatasetEntry, SweepSummary, read_summary, write_summary
from vmrbench.specs import EncoderSpec
from vmrbench.store import read_record

REPORTER = "markdown"


def write_report(
    context: Context, catalog: Catalog, cells: Sequence[Cell], machine: Mapping[str, Any], created: datetime
) -> tuple[Path, ...]:
    """Write the compact record and the report of what is stored, failures included.

    Args:
        context: of the sweep.
        catalog: offers the reporter and the encoders.
        cells: the cells of the sweep.
        machine: facts of this machine and of its plug-ins.
        created: when the sweep began.
    """
    protocol = get_protocol(cells[0].protocol)
    summary = build_summary(
        _finished(context, cells),
        name=context.config.file.name,
        created=created.isoformat(timespec="seconds"),
        argv=("vmrbench", *sys.argv[1:]),
        protocol=protocol,
        datasets=[_dataset_entry(label, cells, protocol) for label in dict.fromkeys(c.dataset.id for c in cells)],
        encoders=_encoders(catalog, cells),
        machine=machine,
        versions={"vmrbench": __version__, **machine["libraries"]},
        expected=[describe_cell(cell) for cell in cells],
        label_readers=sorted({cell.trimmer.offer.spec.name for cell in cells if cell.trimmer.offer.spec.reads_labels}),
        query_blind=sorted({c.backbone.offer.spec.name for c in cells if not c.backbone.offer.spec.reads_features}),
    )
    path = summary_path(context.config)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_summary(summary, path)
    return (path, *_render(context.config, catalog, summary))


def report_from_record(config: SweepConfig, catalog: Catalog) -> list[Path]:
    """Write the report from the sweep's compact record; needs neither store nor data."""
    return _render(config, catalog, read_summary(summary_path(config)))


def summary_path(config: SweepConfig) -> Path:
    """The compact record of a sweep."""
    return config.records / f"{config.file.name}.json"


def _render(config: SweepConfig, catalog: Catalog, summary: SweepSummary) -> list[Path]:
    offer = catalog.pick("reporter", REPORTER)
    config.report.parent.mkdir(parents=True, exist_ok=True)
    return list(offer.spec.write(summary, config.report))


def _finished(context: Context, cells: Sequence[Cell]) -> list[FinishedRun]:
    """The cells that are done or failed."""
    latencies = stored_latencies(context, [cell for cell in cells if context.has(cell)])
    runs = []
    for cell in cells:
        failure = context.store.failure(run_key(cell))
        if context.has(cell):
            folder = context.store.path("cells", run_key(cell))
            # The ids are this sweep's: another one that shares the store may call the same cell otherwise.
            record = read_record(folder / RECORD) | {"cell": describe_cell(cell)}
            latency = latencies.get((cell.dataset.id, cell.backbone.id, cell.trimmer.id))
            record["cost"]["latency_ms"] = latency or {"p50": None, "reason": "not measured"}
            ood = pd.read_parquet(folder / PER_QUERY_OOD) if has_ood(cell) else None
            runs.append(FinishedRun(record=record, per_query=pd.read_parquet(folder / PER_QUERY), per_query_ood=ood))
        elif failure is not None:
            runs.append(FinishedRun(record=_failed_record(cell, failure), per_query=None))
    return runs


def _failed_record(cell: Cell, failure: str) -> dict[str, Any]:
    last = failure.strip().splitlines()[-1]
    return {"run_id": run_key(cell)[:16], "cell": describe_cell(cell), "status": "INVALID", "reasons": [last]}


def _dataset_entry(label: str, cells: Sequence[Cell], protocol: Protocol) -> DatasetEntry:
    mine = [cell for cell in cells if cell.dataset.id == label]
    cell = mine[0]
    train = split_of(cell, "train").annotations if any("train" in needed_splits(c) for c in mine) else None
    test = split_of(cell, REPORTED)
    return describe_dataset(
        cell.dataset.id,
        cell.dataset.offer.spec.name,
        cell.dataset.built.facts,
        train,
        test.annotations,
        protocol,
        describe_samples(test),
        split_of(cell, OOD).annotations if has_ood(cell) else None,
    )


def _encoders(catalog: Catalog, cells: Sequence[Cell]) -> dict[str, EncoderSpec]:
    """The encoders that the data sets name and a plug-in describes."""
    names: dict[str, None] = {}
    for cell in cells:
        facts = cell.dataset.built.facts
        for group in (facts.clips, facts.text, *facts.index.values()):
            names |= dict.fromkeys(encoder_names(group))
    return {name: catalog.encoders[name].spec for name in names if name in catalog.encoders}
