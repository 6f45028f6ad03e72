"""Arguments that several verbs take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from vmrbench.catalog import Catalog
    from vmrbench.config import SweepConfig

SweepPath = Annotated[Path, typer.Argument(metavar="[FILE]", help="The sweep.", show_default=True)]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a value, such as train.batch_size=8; repeatable."),
]
Only = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="KIND=ID", help="Choose by dataset, backbone, trimmer or seed; globs; repeatable."),
]
Limit = Annotated[
    int | None, typer.Option("--limit", min=1, help="Largest number of queries a split; stamps NOT REPORTABLE.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

DEFAULT_SWEEP = Path("benchmarks.yaml")


def read_sweep(
    path: Path, sets: list[str] | None = None, only: list[str] | None = None, limit: int | None = None
) -> SweepConfig:
    """The checked sweep file; imports nothing heavy, so that a mistake in it is told at once."""
    from vmrbench.config import load_config

    return load_config(path, sets or (), only or (), limit)


def catalog_of(config: SweepConfig) -> Catalog:
    """The catalog with the plug-ins that the sweep names."""
    from vmrbench.catalog import load_catalog

    return load_catalog(config.plugins)
