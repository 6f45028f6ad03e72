"""`vmrbench ls`: what plug-ins offer."""

from __future__ import annotations

import dataclasses
import json
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vmrbench.cli.arguments import AsJson

if TYPE_CHECKING:
    from vmrbench.catalog import Offer


class Kind(StrEnum):
    """What can be listed."""

    BACKBONES = "backbones"
    TRIMMERS = "trimmers"
    DATASETS = "datasets"
    ENCODERS = "encoders"
    METRICS = "metrics"
    PROBES = "probes"
    REPORTERS = "reporters"
    LAUNCHERS = "launchers"


def ls(
    kind: Annotated[Kind, typer.Argument(help="What to list.")],
    plugin: Annotated[
        list[str] | None, typer.Option("--plugin", help="A plug-in besides: a file or a module; repeatable.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List what plug-ins offer, with options and their defaults."""
    from vmrbench.catalog import load_catalog

    offers = load_catalog(plugin or ()).offers(kind.value.removesuffix("s"))
    rows = [describe(offer) for _, offer in sorted(offers.items())]
    if as_json:
        typer.echo(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    for row in rows:
        version = f" {row['version']}" if row["version"] else ""
        typer.echo(f"{row['name']}  ({row['origin']}{version})\n    {row['summary']}")
        for name, default in row["options"].items():
            typer.echo(f"    {name}: {json.dumps(default, ensure_ascii=False)}")
        if "apply" in row:
            typer.echo(f"    (can be applied as {', '.join(row['apply'])})")


def describe(offer: Offer) -> dict[str, Any]:
    """An offer as plain values: name, summary, origin, version, options with defaults ("required" where none).

    Of a trimmer also `apply`: how its decisions may be applied.
    """
    spec = offer.spec
    return {
        "name": spec.name,
        "summary": spec.summary,
        "origin": offer.origin,
        "version": offer.version,
        "options": _defaults(getattr(spec, "options", None)),
        **({"apply": list(spec.apply)} if hasattr(spec, "apply") else {}),
    }


def _defaults(options: type | None) -> dict[str, Any]:
    if options is None:
        return {}
    return {item.name: _plain(_default(item)) for item in dataclasses.fields(options) if item.init}


def _default(item: dataclasses.Field[Any]) -> Any:
    if item.default is not dataclasses.MISSING:
        return item.default
    return "required" if item.default_factory is dataclasses.MISSING else item.default_factory()


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: _plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
