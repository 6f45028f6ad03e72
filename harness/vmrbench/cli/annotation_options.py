"""`--flavour` and `--defects`: what annotation files need beside them, for every verb that reads one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vmrbench.errors import ConfigError

if TYPE_CHECKING:
    from vmrbench.data.defects import DefectPolicy
    from vmrbench.data.flavours.options import FlavourOptions

Flavour = Annotated[
    list[str] | None,
    typer.Option("--flavour", metavar="KEY=VALUE", help="What its flavour needs: durations=FILE, split=test; repeat."),
]
Defects = Annotated[
    list[str] | None,
    typer.Option("--defects", metavar="KIND=WHAT", help="What is done about defects: beyond_video=clip; repeatable."),
]


def flavour_options(values: Sequence[str] | None) -> FlavourOptions:
    """`durations=FILE` as often as needed, and the other fields of `FlavourOptions` once each.

    Raises:
        ConfigError: an unknown key, one that comes twice, or a value it cannot have.
    """
    from vmrbench.config.options import fill_dataclass, under
    from vmrbench.data.flavours.options import FlavourOptions

    written = [_pair(text, "--flavour", "durations=lengths.csv") for text in values or ()]
    durations = [str(Path(value).absolute()) for key, value in written if key == "durations"]
    others = _once([pair for pair in written if pair[0] != "durations"], "--flavour")
    filled: FlavourOptions = fill_dataclass(FlavourOptions, {"durations": durations, **others}, under("--flavour"))
    return filled


def defect_policy(values: Sequence[str] | None) -> DefectPolicy:
    """`beyond_video=clip` and the like; kinds that are not named stay errors.

    Raises:
        ConfigError: an unknown kind, one that comes twice, or what cannot be done about it.
    """
    from vmrbench.config.options import fill_dataclass, under
    from vmrbench.data.defects import DefectPolicy

    written = _once([_pair(text, "--defects", "beyond_video=clip") for text in values or ()], "--defects")
    filled: DefectPolicy = fill_dataclass(DefectPolicy, written, under("--defects"))
    return filled


def _pair(text: str, flag: str, example: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals and value):
        raise ConfigError(f"{flag} {text}: expected KEY=VALUE, such as {example}")
    return key, value


def _once(pairs: Sequence[tuple[str, str]], flag: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ConfigError(f"{flag} {key}: given twice; leave one out")
        found[key] = value
    return found
