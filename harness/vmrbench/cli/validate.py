"""`vmrbench validate`: whether a sweep file is right, plug-ins and options included."""

from __future__ import annotations

import typer

from vmrbench.cli.arguments import DEFAULT_SWEEP, Only, Sets, SweepPath, catalog_of, read_sweep


def validate(path: SweepPath = DEFAULT_SWEEP, sets: Sets = None, only: Only = None) -> None:
    """Check a sweep file without running anything; reads no data set."""
    config = read_sweep(path, sets, only)
    catalog = catalog_of(config)
    config.launcher(catalog)
    cells = config.resolve(catalog)
    typer.echo(f"{path}: valid, {len(cells)} {'cell' if len(cells) == 1 else 'cells'}")
