"""`vmrbench report`: the report of a sweep, from what is stored."""

from __future__ import annotations

import typer

from vmrbench.cli.arguments import DEFAULT_SWEEP, Limit, Only, Sets, SweepPath, catalog_of, read_sweep


def report(path: SweepPath = DEFAULT_SWEEP, sets: Sets = None, only: Only = None, limit: Limit = None) -> None:
    """Write the report of a sweep from stored runs or its compact records; trains nothing."""
    config = read_sweep(path, sets, only, limit)
    catalog = catalog_of(config)
    from vmrbench.engine.sweep import report_sweep

    for file in report_sweep(config, catalog):
        typer.echo(f"wrote {file}")
