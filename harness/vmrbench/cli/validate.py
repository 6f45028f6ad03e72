"""`vmrbench validate`: whether a sweep file or a predictions file is right, and how much of what it holds."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vmrbench.cli.annotation_options import Defects, Flavour, defect_policy, flavour_options
from vmrbench.cli.arguments import DEFAULT_SWEEP, AsJson, Only, Sets, SweepPath, catalog_of, read_sweep
from vmrbench.errors import ConfigError

if TYPE_CHECKING:
    from vmrbench.config.cells import Cell

_READ = ("keys, types and limits", "names of plug-ins", "their options and presets", "the launcher")


def validate(
    path: SweepPath = DEFAULT_SWEEP,
    sets: Sets = None,
    only: Only = None,
    data: Annotated[bool, typer.Option("--data", help="Read the data sets too, and count queries and videos.")] = False,
    annotations: Annotated[
        Path | None, typer.Option("--annotations", help="FILE holds predictions; these are their true windows.")
    ] = None,
    protocol: Annotated[str, typer.Option("--protocol", help="Of a predictions file.")] = "vmrbench-v1",
    flavour: Flavour = None,
    defects: Defects = None,
    as_json: AsJson = False,
) -> None:
    """Check a sweep file without running anything, or a predictions file without scoring it."""
    if annotations is None:
        if flavour or defects:
            raise ConfigError("--flavour and --defects: are read beside --annotations only; leave them out")
        found = _sweep(path, sets, only, data)
    else:
        if sets or only or data:
            raise ConfigError("--set, --only, --data: are for a sweep, and FILE holds predictions; leave them out")
        found = _predictions(path, annotations, protocol, flavour, defects)
    typer.echo(json.dumps(found, indent=1, ensure_ascii=False) if as_json else "\n".join(_lines(found)))


def _sweep(path: Path, sets: list[str] | None, only: list[str] | None, data: bool) -> dict[str, Any]:
    config = read_sweep(path, sets, only)
    catalog = catalog_of(config)
    config.launcher(catalog)
    cells = config.resolve(catalog)
    kinds = {"dataset": "data sets", "backbone": "backbones", "trimmer": "trimmers"}
    counts = {plural: len({getattr(cell, kind).id for cell in cells}) for kind, plural in kinds.items()}
    blind = dict.fromkeys(cell.backbone.id for cell in cells if not cell.backbone.offer.spec.reads_features)
    return {
        "file": str(path),
        "cells": len(cells),
        "counts": {**counts, "seeds": len({cell.seed for cell in cells}), "probes": len(config.file.probes)},
        "query_blind": list(blind),
        "splits": _splits(cells) if data else None,
        "checked": [*_READ, *(["the splits that its cells read"] if data else [])],
    }


def _splits(cells: list[Cell]) -> dict[str, dict[str, dict[str, int]]]:
    """By data set and split the numbers of queries and videos."""
    from vmrbench.engine.splits import needed_splits, split_of

    found: dict[str, dict[str, dict[str, int]]] = {}
    for cell in cells:
        known = found.setdefault(cell.dataset.id, {})
        for name in needed_splits(cell):
            if name not in known:
                annotated = split_of(cell, name).annotations
                known[name] = {"queries": len(annotated), "videos": len({a.video_id for a in annotated})}
    return found


def _predictions(
    path: Path, annotations: Path, protocol: str, flavour: list[str] | None, defects: list[str] | None
) -> dict[str, Any]:
    from vmrbench.data.annotations import read_annotations
    from vmrbench.protocol.published import get_protocol
    from vmrbench.score.submission import read_submission
    from vmrbench.score.submission_counts import count_submission

    rules = get_protocol(protocol)
    truth = read_annotations(annotations, options=flavour_options(flavour), policy=defect_policy(defects))
    counts = asdict(count_submission(read_submission(path, truth, rules), truth, rules))
    return {"file": str(path), "protocol": rules.name, "annotations": truth.described(), **counts}


def _lines(found: dict[str, Any]) -> list[str]:
    checked = f"checked: {'; '.join(found['checked'])}"
    return [*(_sweep_lines(found) if "cells" in found else _prediction_lines(found)), checked]


def _sweep_lines(found: dict[str, Any]) -> list[str]:
    cells = found["cells"]
    lines = [f"{found['file']}: valid, {cells} {'cell' if cells == 1 else 'cells'}"]
    lines.append(", ".join(f"{count} {_one(kind, count)}" for kind, count in found["counts"].items()))
    if found["query_blind"]:
        lines.append(f"query-blind, with one trimmer alone: {', '.join(found['query_blind'])}")
    if found["splits"] is None:
        return [*lines, "data sets were not read; --data reads them"]
    for dataset, splits in found["splits"].items():
        sizes = [
            f"{name} {size['queries']:,} {_one('queries', size['queries'])} of "
            f"{size['videos']:,} {_one('videos', size['videos'])}"
            for name, size in splits.items()
        ]
        lines.append(f"data set {dataset}: {', '.join(sizes)}")
    return lines


def _prediction_lines(found: dict[str, Any]) -> list[str]:
    each = "" if found["fewest"] is None else " ({fewest} to {most} a query, median {median:g})".format(**found)
    odd = ", ".join(f"{kind} {count:,}" for kind, count in found["faults"].items())
    truth = found["annotations"]
    return [
        f"{found['file']}: valid under {found['protocol']}",
        f"annotations: {truth['flavour']}, {truth['known_split'] or 'no split that is known'}",
        f"queries: {found['answered']:,} of {found['queries']:,} answered, {found['videos']:,} videos, "
        f"{found['sources']:,} source videos",
        f"windows: {found['windows']:,}{each}; saliency scores for {found['saliency']:,} queries",
        f"scored as it stands: {odd or 'nothing is odd'}",
    ]


def _one(kind: str, count: int) -> str:
    """`queries` of one is `query`."""
    return kind if count != 1 else f"{kind.removesuffix('ies')}y" if kind.endswith("ies") else kind.removesuffix("s")
