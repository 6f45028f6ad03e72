"""`vmrbench profile`: size and speed of backbones, side by side."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vmrbench.cli.arguments import AsJson
from vmrbench.errors import ConfigError

if TYPE_CHECKING:
    from vmrbench.cost.latency import RepeatedRuns
    from vmrbench.engine.profiling import Profile


def profile(
    backbone: Annotated[
        list[str], typer.Option("--backbone", metavar="NAME[:PRESET]", help="What is profiled; repeatable.")
    ],
    preset: Annotated[str | None, typer.Option("--preset", help="For backbones that name none.")] = None,
    clips: Annotated[int, typer.Option("--clips", min=1, help="Rows of the video.")] = 75,
    width: Annotated[int, typer.Option("--width", min=1, help="Width of a row.")] = 2816,
    tokens: Annotated[int, typer.Option("--tokens", min=1, help="Tokens of the query.")] = 32,
    text_width: Annotated[int, typer.Option("--text-width", min=1, help="Width of a token.")] = 512,
    batch: Annotated[
        list[int] | None, typer.Option("--batch", min=1, help="Queries at once, 1 if left out; repeatable.")
    ] = None,
    runs: Annotated[int, typer.Option("--runs", min=0, help="Calls timed of each; 0 only counts.")] = 20,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:0.")] = "auto",
    plugin: Annotated[
        list[str] | None, typer.Option("--plugin", help="A plug-in besides: a file or a module; repeatable.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Count parameters and multiply-adds of backbones, and time them taking turns; reads no data and no weights."""
    from vmrbench.catalog import load_catalog
    from vmrbench.cost.machine import machine_facts
    from vmrbench.engine.device import resolve_device
    from vmrbench.engine.profiling import InputShape, Subject, profile_backbones

    place = resolve_device(device)
    shape = InputShape(clips=clips, width=width, tokens=tokens, text_width=text_width)
    subjects = []
    for text in backbone:
        name, colon, own = text.partition(":")
        if not name or (colon and not own):
            raise ConfigError(f"--backbone {text}: expected NAME or NAME:PRESET, such as qd_detr:small")
        subjects.append(Subject(backbone=name, preset=own or preset, shape=shape))
    profiles = profile_backbones(
        load_catalog(plugin or ()), subjects, batch_sizes=batch or [1], runs=runs, device=place
    )
    facts = machine_facts(place)
    if as_json:
        shown = {"machine": facts, "profiles": [asdict(found) for found in profiles]}
        typer.echo(json.dumps(shown, indent=1, ensure_ascii=False))
    else:
        typer.echo(profile_text(profiles, facts))


def profile_text(profiles: Sequence[Profile], machine: Mapping[str, Any]) -> str:
    """A Markdown table, a row each, with what cannot be trusted and the machine under it."""
    from vmrbench.cost.machine import machine_line

    sizes = list(profiles[0].latency)
    heads = ["backbone", "preset", "input", "parameters", "MACs (M)"]
    for size in sizes:
        heads += [f"batch {size}: p50 [p10, p90] ms", "n", "p50 / first"]
    lines = [heads, ["---"] * 5 + ["---:"] * 3 * len(sizes)]
    for found in profiles:
        subject = found.subject
        line = [f"`{subject.backbone}`", f"`{subject.preset}`" if subject.preset else "defaults", str(subject.shape)]
        line += [f"{found.parameters:,}", f"{found.macs.value / 1e6:,.1f}"]
        for size in sizes:
            line += _latency_cells(found.latency[size], profiles[0].latency[size])
        lines.append(line)
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    notes = [
        f"INVALID: {found.subject}, batch {size}: {taken.reason}"
        for found in profiles
        for size, taken in found.latency.items()
        if not taken.valid
    ]
    notes.append("MACs are of one query, inference only; one multiply and add counts once.")
    if sizes:
        notes.append(f"Timed taking turns on {machine_line(machine)}.")
    return "\n\n".join([table, *notes])


def _latency_cells(taken: RepeatedRuns, first: RepeatedRuns) -> list[str]:
    times = f"{taken.p50_ms:.2f} [{taken.p10_ms:.2f}, {taken.p90_ms:.2f}]"
    return [times, f"{taken.n} {'VALID' if taken.valid else 'INVALID'}", f"{taken.p50_ms / first.p50_ms:.2f}"]
