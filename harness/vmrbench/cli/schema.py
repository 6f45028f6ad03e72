"""`vmrbench schema`: the JSON Schema of the sweep file, for editors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vmrbench.errors import ConfigError


def schema(
    write: Annotated[Path | None, typer.Option("--write", metavar="PATH", help="Write it there.")] = None,
    check: Annotated[Path | None, typer.Option("--check", metavar="PATH", help="Fail unless it is there.")] = None,
) -> None:
    """Print the JSON Schema of the sweep file."""
    from vmrbench.config.schema import schema_text

    text = schema_text()
    if write is not None:
        write.write_text(text, encoding="utf-8")
    if check is not None and (not check.is_file() or check.read_text(encoding="utf-8") != text):
        raise ConfigError(f"{check}: is not the current schema; run 'vmrbench schema --write {check}'")
    if write is None and check is None:
        typer.echo(text, nl=False)
