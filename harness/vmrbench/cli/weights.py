"""`vmrbench weights`: official checkpoints as weight files that a sweep can start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vmrbench.errors import ConfigError

SUFFIX = ".safetensors"

weights = typer.Typer(
    name="weights",
    help="Turn official checkpoints into weight files.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@weights.callback()
def _group() -> None:
    """Turn official checkpoints into weight files."""


@weights.command("import")
def import_(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A checkpoint of the official code.")],
    backbone: Annotated[str, typer.Option("--backbone", help="Name of the backbone it belongs to.")],
    out: Annotated[Path | None, typer.Option("--out", metavar="PATH", help="Default: FILE as .safetensors.")] = None,
    preset: Annotated[str | None, typer.Option("--preset", help="Options to start from.")] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="OPTION=VALUE", help="An option of the backbone; repeatable."),
    ] = None,
    plugin: Annotated[
        list[str] | None, typer.Option("--plugin", help="A plug-in besides: a file or a module; repeatable.")
    ] = None,
) -> None:
    """Check a checkpoint against a backbone, key by key, and write it as safetensors."""
    overrides = _overrides(sets or [])
    target = out or source.with_suffix(SUFFIX)
    if target.suffix != SUFFIX or target.resolve() == source.resolve():
        raise ConfigError(f"--out {target}: expected another file that ends in {SUFFIX!r}")
    from vmrbench.catalog import load_catalog
    from vmrbench.official_weights import import_weights

    done = import_weights(load_catalog(plugin or ()), backbone, source, target, preset=preset, overrides=overrides)
    said = done.provenance
    typer.echo(
        f"wrote {done.path}: {said.backbone}, {done.parameters:,} parameters, for clips of width {said.video or 'any'} "
        f"and query tokens of width {said.text or 'any'}, from {said.part or 'the state dict'} of {said.source} "
        f"(sha256 {said.source_sha256[:12]})"
    )


def _overrides(sets: list[str]) -> dict[str, Any]:
    """`a.b=c` as nested mappings."""
    from vmrbench.config.document import parse_value
    from vmrbench.config.places import Place

    found: dict[str, Any] = {}
    for text in sets:
        place = Place(source=f"--set {text}", folder=Path.cwd())
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise ConfigError(f"{place}: expected OPTION=VALUE, such as hidden=256")
        *outer, last = key.split(".")
        node = found
        for word in outer:
            node = node.setdefault(word, {})
            if not isinstance(node, dict):
                raise ConfigError(f"{place}: {word!r} is set to a value already")
        node[last] = parse_value(value, place)
    return found
