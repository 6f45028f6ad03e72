"""`vmrbench plan`: every cell, what of it is stored, and why it would run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from vmrbench.cli.arguments import DEFAULT_SWEEP, AsJson, Limit, Only, Sets, SweepPath, catalog_of, read_sweep

if TYPE_CHECKING:
    from vmrbench.store import PlanRow


def plan(
    path: SweepPath = DEFAULT_SWEEP, sets: Sets = None, only: Only = None, limit: Limit = None, as_json: AsJson = False
) -> None:
    """Show which cells would run, and why; runs nothing."""
    config = read_sweep(path, sets, only, limit)
    catalog = catalog_of(config)
    from vmrbench.engine.sweep import plan_sweep

    rows = plan_sweep(config, catalog)
    if as_json:
        typer.echo(json.dumps([asdict(row) for row in rows], indent=1, ensure_ascii=False))
    else:
        typer.echo(plan_text(rows))


def plan_text(rows: Sequence[PlanRow]) -> str:
    """The rows as a table, and how many would run."""
    from tabulate import tabulate

    stages = list(rows[0].stages) if rows else []
    cells = [[row.cell_id, row.applied, *(row.stages[stage] for stage in stages), row.reason] for row in rows]
    table = tabulate(cells, headers=["cell", "applied", *stages, "why"], tablefmt="simple", disable_numparse=True)
    return f"{table}\n\n{sum(row.runs for row in rows)} of {len(rows)} cells would run"
