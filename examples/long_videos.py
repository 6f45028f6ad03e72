"""Time, memory and multiply-adds of one query against the length of its video, for every backbone.

    python examples/long_videos.py --quick    # counts and memory, and the clock for a second or so
    python examples/long_videos.py            # ten minutes or so: keep the machine quiet

Writes reports/long_videos.md and the record it is made from, reports/records/long_videos.json. Simulated videos of the
profile `long`, untrimmed and with SpotVMR; weights are fresh, since cost does not depend on them.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vmrbench.catalog import Catalog, load_catalog
from vmrbench.cost.exponents import Exponent, fit_exponent
from vmrbench.cost.machine import machine_facts, machine_line
from vmrbench.cost.stages import unit_costs
from vmrbench.engine.long_videos import TRIMMERS, Job, Measured, long_video, measure_all

MINUTES, CLIP_SECONDS = (15.0, 30.0, 60.0, 120.0), 2.0
CAP_BYTES, HOUR = 4_000_000_000, 60.0
# VSLNet has a place for every clip; two hours need more than its preset has.
OPTIONS: Mapping[str, Mapping[str, Any]] = {"vslnet": {"max_clips": 4096}}
ARMS = {"all": "untrimmed", "spotvmr": "SpotVMR", "spotvmr_own": "SpotVMR, own encoder"}

Rows = Mapping[str, Sequence[Measured]]
Reading = Callable[[Measured], float | None]


def jobs(names: Sequence[str], minutes: Sequence[float], clip_seconds: float, seconds: float) -> list[Job]:
    return [
        Job(
            backbone=name,
            preset="small",
            options=OPTIONS.get(name, {}),
            minutes=tuple(minutes),
            clip_seconds=clip_seconds,
            memory_cap=CAP_BYTES,
            timing_s=seconds,
        )
        for name in names
    ]


def index_macs(catalog: Catalog, clip_seconds: float) -> tuple[float, float]:
    """Declared multiply-adds of a clip of the index, and of its expensive features."""
    facts, _ = long_video(catalog, 1.0, clip_seconds)
    units = unit_costs(facts, {name: offer.spec for name, offer in catalog.encoders.items()}, reads_index=True)
    assert units.index.value is not None and units.encode.value is not None  # noqa: PT018  # every encoder is offered
    return units.index.value, units.encode.value


def page(rows: Rows, units: tuple[float, float], clip_seconds: float, machine: Mapping[str, Any]) -> str:
    """Markdown of what was measured."""
    minutes = [entry.minutes for entry in next(iter(rows.values())) if entry.arm == "all"]
    tables = [
        ("Multiply-adds, GMACs", 1e9, _macs_readings(units[0])),
        ("Time, ms", 1.0, {"selection": _time("trim"), "backbone": _time("backbone")}),
        (
            "Peak memory above the level before, MB",
            1e6,
            {"selection": _memory("trim"), "whole query": _memory("whole")},
        ),
    ]
    parts = ["# Long videos", "> **SIMULATED FEATURES**", _introduction(units, clip_seconds), _verdict(rows)]
    for title, unit, readings in tables:
        parts += [f"## {title}", _table(rows, minutes, unit, readings)]
    parts += ["## Missing numbers and remarks", _remarks(rows)]
    parts.append(f"Measured on {machine_line(machine)}.")
    return "\n\n".join(parts) + "\n"


def _macs_readings(index: float) -> dict[str, Reading]:
    def counted(stage: str) -> Reading:
        return lambda entry: None if entry.macs is None else entry.macs[stage]

    return {
        "index (declared)": lambda entry: index * entry.clips or None,
        "selection": counted("trim"),
        "backbone": counted("backbone"),
    }


def _time(stage: str) -> Reading:
    return lambda entry: None if entry.time_ms is None else entry.time_ms[stage]


def _memory(stage: str) -> Reading:
    return lambda entry: None if entry.memory is None else entry.memory[stage]


def _table(rows: Rows, minutes: Sequence[float], unit: float, readings: Mapping[str, Reading]) -> str:
    heads = ["backbone", "arm", "stage", *(f"{value:g} min" for value in minutes)]
    heads += ["exponent [95 %]", "last two lengths"]
    lines = [heads, ["---"] * 3 + ["---:"] * (len(minutes) + 2)]
    for name, entries in rows.items():
        for arm, shown in ARMS.items():
            own = [entry for entry in entries if entry.arm == arm]
            for stage, reading in readings.items():
                values = [reading(entry) for entry in own]
                if (arm == "all" and stage == "selection") or (arm != "all" and stage.startswith("index")):
                    continue  # Keeping every clip selects nothing; the index is the same for every arm.
                fitted = fit_exponent([entry.minutes for entry in own], values)
                cells = [_figure(value, unit) for value in values]
                lines.append([f"`{name}`", shown, stage, *cells, *_exponent_cells(fitted)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _figure(value: float | None, unit: float) -> str:
    return "–" if value is None else f"{value / unit:,.3g}" if value / unit < 1000 else f"{value / unit:,.0f}"


def _exponent_cells(found: Exponent) -> list[str]:
    if found.value is None or found.last is None:
        return ["–", "–"]
    return [f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]", f"{found.last:.2f}"]


def _verdict(rows: Rows) -> str:
    hour = {(name, e.arm): e.absolute for name, entries in rows.items() for e in entries if e.minutes == HOUR}
    if not hour:
        return "No video of an hour was measured."
    over = [f"`{name}` {ARMS[arm]}" for (name, arm), peak in hour.items() if peak is None or peak >= CAP_BYTES]
    peaks = [peak for peak in hour.values() if peak is not None]
    said = (
        f"A query on one hour of video: {len(hour) - len(over)} of {len(hour)} arms stay under {CAP_BYTES / 1e9:g} GB"
    )
    said += f", the whole process included; the highest peak is {max(peaks) / 1e9:.2f} GB." if peaks else "."
    return said + (f" Not so: {', '.join(over)}." if over else "")


def _remarks(rows: Rows) -> str:
    lines = [
        "- time of index and encoding: encoders are not run here; both are charged by the clip, hence linear",
        "- memory: the peak above what the process held before the call, weights and features",
        "- a dash: see below, or too few lengths for an exponent, or a stage of no cost",
    ]
    for name, entries in rows.items():
        for entry in entries:
            for reason in filter(None, (entry.reason, entry.steady and f"timing INVALID: {entry.steady}")):
                lines.append(f"- `{name}` {ARMS[entry.arm]}, {entry.minutes:g} min: {reason}")
    return "\n".join(lines)


def _introduction(units: tuple[float, float], clip_seconds: float) -> str:
    chosen = TRIMMERS["spotvmr"].options
    index, encode = (f"{value / 1e9:.3g}" for value in units)
    return f"""\
One query on one simulated video, a clip row every {clip_seconds:g} s, presets `small` of every backbone, untrimmed and
with SpotVMR (mode `exact`, {chosen["steps"]} steps, keep ratio {chosen["keep_ratio"]:g}), whose selector borrows the
encoder of the backbone and grows as that does, or has one of its own (`share_encoder: false`). MACs are counted (index:
declared, {index} GMACs a clip, beside {encode} GMACs of an expensive one); times are medians of runs that take turns
over lengths and arms; each backbone has a process of its own that may hold {CAP_BYTES / 1e9:g} GB. Exponents are slopes
of log cost over log length with the 95 % interval of the fit; where parts of different growth add up, the exponent of
the last two lengths says more about longer videos. Written by `python examples/long_videos.py`."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="What a query costs as its video gets longer.")
    parser.add_argument("--only", action="append", metavar="NAME", help="a backbone; repeatable")
    parser.add_argument("--minutes", action="append", type=float, help="length of a video; repeatable, ascending")
    parser.add_argument("--clip-seconds", type=float, default=CLIP_SECONDS, help="length of a row")
    parser.add_argument("--quick", action="store_true", help="three rounds of the clock")
    parser.add_argument("--out", type=Path, default=Path("reports/long_videos.md"))
    parser.add_argument("--record", type=Path, default=Path("reports/records/long_videos.json"))
    given = parser.parse_args(arguments)
    catalog = load_catalog()
    models = sorted(name for name, offer in catalog.backbones.items() if offer.spec.reads_features)
    asked = jobs(given.only or models, given.minutes or MINUTES, given.clip_seconds, 0 if given.quick else 15)
    rows = measure_all(asked, lambda name: print(name, file=sys.stderr))
    units, machine = index_macs(catalog, given.clip_seconds), machine_facts("cpu")
    record = {"machine": machine, "rows": {name: [asdict(entry) for entry in found] for name, found in rows.items()}}
    for path, text in (
        (given.record, json.dumps(record, indent=1)),
        (given.out, page(rows, units, given.clip_seconds, machine)),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
