"""Size and speed of every backbone at its published sizes, beside what the official code counts.

    python examples/backbone_table.py                # counts and times everything: many minutes
    python examples/backbone_table.py --no-latency   # counts only

Writes reports/backbones.md. Backbones that no plug-in offers here are named under the table.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from vmrbench.catalog import Catalog, load_catalog
from vmrbench.cost.latency import RepeatedRuns
from vmrbench.cost.machine import machine_facts, machine_line
from vmrbench.engine.device import resolve_device
from vmrbench.engine.profiling import InputShape, Profile, Subject, profile_backbones


@dataclass(frozen=True, kw_only=True)
class Official:
    """What the official code counts: parameters, and millions of multiply-adds of one query.

    shape: clips, width, tokens, text width; options: over those of the preset, so that the sizes are the same.
    """

    backbone: str
    preset: str
    shape: tuple[int, int, int, int]
    parameters: int
    megamacs: float
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def subject(self) -> Subject:
        clips, width, tokens, text_width = self.shape
        shape = InputShape(clips=clips, width=width, tokens=tokens, text_width=text_width)
        return Subject(backbone=self.backbone, preset=self.preset, options=self.options, shape=shape)


def official(
    backbone: str, preset: str, shape: tuple[int, int, int, int], parameters: int, megamacs: float
) -> Official:
    return Official(
        backbone=backbone, preset=f"published_{preset}", shape=shape, parameters=parameters, megamacs=megamacs
    )


def vslnet(clips: int, predictor: str, parameters: int, megamacs: float) -> Official:
    """Words have 8 characters of 52, and the official weights hold a table of 998 words."""
    return Official(
        backbone="vslnet",
        preset="published_charades",
        shape=(clips, 1024, 10, 300),
        parameters=parameters,
        megamacs=megamacs,
        options={"predictor": predictor, "vocabulary": 998, "alphabet": 52},
    )


QVHIGHLIGHTS = (75, 2816, 32, 512)  # The official models read two more channels, which ours append themselves.
# Counted on the official code, see the note below the table.
OFFICIAL = [
    official("moment_detr", "qvhighlights", QVHIGHLIGHTS, 4_823_305, 295.6),
    official("qd_detr", "qvhighlights", QVHIGHLIGHTS, 7_585_573, 670.3),
    official("cg_detr", "qvhighlights", QVHIGHLIGHTS, 12_615_467, 576.3),
    official("eatr", "qvhighlights", QVHIGHLIGHTS, 8_972_812, 495.2),
    official("tr_detr", "qvhighlights", QVHIGHLIGHTS, 8_308_773, 557.8),
    official("bam_detr", "qvhighlights", QVHIGHLIGHTS, 14_503_994, 1080.9),
    official("uvcom", "qvhighlights", QVHIGHLIGHTS, 18_187_347, 2192.0),
    official("univtg", "qvhighlights", QVHIGHLIGHTS, 43_406_855, 4082.4),
    vslnet(64, "recurrent", 1_082_671, 49.1),
    vslnet(128, "recurrent", 1_082_671, 98.7),
    vslnet(64, "transformer", 972_591, 52.2),
    vslnet(128, "transformer", 972_591, 109.1),
    official("snag", "charades", (256, 2048, 10, 300), 9_883_785, 1987.7),
    official("snag", "tacos", (2304, 4096, 10, 300), 11_202_187, 17335.5),
    official("snag", "activitynet", (256, 500, 12, 300), 3_228_042, 449.7),
    official("snag", "ego4d", (2304, 256, 12, 768), 24_404_747, 33803.6),
    official("2d_tan", "charades_pool", (256, 4096, 20, 300), 60_925_953, 52311.5),
    official("2d_tan", "charades_conv", (256, 4096, 20, 300), 69_060_609, 52378.6),
    official("2d_tan", "activitynet_pool", (256, 500, 20, 300), 91_588_609, 498636.1),
    official("2d_tan", "activitynet_conv", (256, 500, 20, 300), 108_644_353, 499206.6),
    official("2d_tan", "tacos_pool", (256, 4096, 20, 300), 60_925_953, 1066536.0),
    official("2d_tan", "tacos_conv", (256, 4096, 20, 300), 82_442_241, 1067861.4),
]
# What the official code computes and inference here does not.
LEFT_OUT = {
    "moment_detr": "heads of auxiliary layers",
    "qd_detr": "negative pass, heads of auxiliary layers",
    "cg_detr": "moment and sentence encoders, heads of auxiliary layers",
    "eatr": "heads of auxiliary layers, search for events",
    "tr_detr": "heads of auxiliary layers",
    "bam_detr": "negative pass, heads of auxiliary layers, what nothing reads",
    "uvcom": "negative pass, heads of auxiliary layers, shared space",
    "univtg": "sentence vector (the official count has norms in it)",
    "vslnet": "nothing; clips are summed up for the tokens first",
    "snag": "nothing; the query is projected once for all levels",
    "2d_tan": "cells of the map that reach no moment",
}
SIZES, RUNS = (1, 32), 20
# A call of more multiply-adds takes ten seconds or so on two cores: fewer runs, and no batches.
MOST_MACS_OF_A_CALL, FEW_RUNS = 150e9, 3
NOTE = """\
Official counts were taken on the official code at batch 1, with what really runs: by torch's counter for the DETR
family, by fvcore with handlers for attention and recurrent layers for UniVTG, VSLNet and SnAG, by formula for 2D-TAN.
QD-DETR, UVCOM and BAM-DETR run their negative pass at inference too. Ours are counted by `vmrbench.cost.macs`, from
features to decoded moments. One multiply and add counts once; element-wise operations are not counted."""


def count(catalog: Catalog, rows: Sequence[Official]) -> list[Profile]:
    return [profile_backbones(catalog, [row.subject], runs=0, device=torch.device("meta"))[0] for row in rows]


def time(catalog: Catalog, profiles: Sequence[Profile], device: torch.device) -> list[dict[int, RepeatedRuns]]:
    """By row and batch size; rows of one batch size take turns, those with few runs among themselves."""
    found: list[dict[int, RepeatedRuns]] = [{} for _ in profiles]
    for size in SIZES:
        is_big = [profile.macs.value * size > MOST_MACS_OF_A_CALL for profile in profiles]
        for big, runs in ((False, RUNS), (True, FEW_RUNS if size == 1 else 0)):
            places = [place for place, value in enumerate(is_big) if value == big]
            subjects = [profiles[place].subject for place in places]
            timed = profile_backbones(
                catalog, subjects, batch_sizes=[size], runs=runs, warmup=1 if big else 3, device=device
            )
            for place, profile in zip(places, timed, strict=True):
                found[place] |= profile.latency
    return found


def page(
    catalog: Catalog,
    rows: Sequence[Official],
    profiles: Sequence[Profile],
    latency: Sequence[Mapping[int, RepeatedRuns]],
    machine: Mapping[str, Any],
) -> str:
    timed = any(latency)
    heads = ["backbone", "preset", "input", "parameters", "official", "MACs (M)", "official", "ratio", "left out here"]
    heads += [f"batch {size}: p50 [p10, p90] ms, n" for size in SIZES if timed]
    lines = [heads, ["---"] * len(heads)]
    for row, profile, times in zip(rows, profiles, latency, strict=True):
        preset = ", ".join([f"`{row.preset}`", *([str(row.options["predictor"])] if row.options else [])])
        ours = profile.macs.value / 1e6
        line = [f"`{row.backbone}`", preset, str(profile.subject.shape), f"{profile.parameters:,}"]
        line += [f"{row.parameters:,}", f"{ours:,.1f}", f"{row.megamacs:,.1f}", f"{ours / row.megamacs:.3f}"]
        lines.append([*line, LEFT_OUT[row.backbone], *(latency_cell(times.get(size)) for size in SIZES if timed)])
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    parts = ["# Backbones at their published sizes", table, NOTE]
    if timed:
        parts.append(
            f"Timed on {machine_line(machine)}: rows of one batch size take turns, those with {FEW_RUNS} runs among "
            "themselves; a dash: a call would take too long. INVALID: the runs vary by more than 15 %."
        )
    absent = sorted({row.backbone for row in OFFICIAL} - set(catalog.backbones))
    # A query-blind floor has no official code, and nothing to count.
    models = {name for name, offer in catalog.backbones.items() if offer.spec.reads_features}
    uncounted = sorted(models - {row.backbone for row in OFFICIAL})
    parts += [f"Not offered here: {', '.join(absent)}."] if absent else []
    parts += [f"Without an official count: {', '.join(uncounted)}."] if uncounted else []
    return "\n\n".join(parts) + "\n"


def latency_cell(taken: RepeatedRuns | None) -> str:
    if taken is None:
        return "–"
    invalid = "" if taken.valid else " INVALID"
    return f"{taken.p50_ms:,.1f} [{taken.p10_ms:,.1f}, {taken.p90_ms:,.1f}], {taken.n}{invalid}"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Size and speed of every backbone at its published sizes.")
    parser.add_argument("--no-latency", action="store_true", help="count only")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:0")
    parser.add_argument("--only", action="append", metavar="NAME", help="a backbone; repeatable")
    parser.add_argument("--out", type=Path, default=Path("reports/backbones.md"))
    given = parser.parse_args(arguments)
    catalog, device = load_catalog(), resolve_device(given.device)
    chosen = set(given.only or catalog.backbones) & set(catalog.backbones)
    rows = [row for row in OFFICIAL if row.backbone in chosen]
    profiles = count(catalog, rows)
    latency = [{}] * len(rows) if given.no_latency else time(catalog, profiles, device)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(page(catalog, rows, profiles, latency, machine_facts(device)), encoding="utf-8")
    print(f"wrote {given.out}")


if __name__ == "__main__":
    main()
