"""`vmrbench run`: run the cells of a sweep that are missing, then write its report."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated

import typer

from vmrbench.cli.arguments import DEFAULT_SWEEP, AsJson, Limit, Only, Sets, SweepPath, catalog_of, read_sweep


class Overwrite(StrEnum):
    """What to do with cells that have run before."""

    ONLY_MISSING = "only-missing"
    ALWAYS = "always"
    NEVER = "never"


def run(
    path: SweepPath = DEFAULT_SWEEP,
    sets: Sets = None,
    only: Only = None,
    limit: Limit = None,
    overwrite: Annotated[
        Overwrite, typer.Option("--overwrite", help="Run what is missing, everything again, or nothing.")
    ] = Overwrite.ONLY_MISSING,
    device: Annotated[str | None, typer.Option("--device", help="auto, cpu, cuda or cuda:0; the file's else.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run a sweep and write its report; exits with 1 where a cell failed."""
    config = read_sweep(path, sets, only, limit)
    if device is not None:
        config = config.with_device(device)
    catalog = catalog_of(config)
    from vmrbench.engine.sweep import run_sweep

    result = run_sweep(config, catalog=catalog, overwrite=overwrite.value)
    if as_json:
        written = [str(file) for file in result.written]
        typer.echo(json.dumps({"done": list(result.done), "failed": dict(result.failed), "written": written}, indent=1))
    else:
        typer.echo(f"cells done: {len(result.done)}, failed: {len(result.failed)}")
        for cell, error in result.failed.items():
            typer.echo(f"failed: {cell}: {error}")
        for file in result.written:
            typer.echo(f"wrote {file}")
    if result.failed:
        raise typer.Exit(1)
