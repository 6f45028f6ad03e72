"""What selecting clips costs beside the encoding that it saves, for every backbone; counts only, nothing is trained.

    python examples/selector_overhead.py

Writes reports/selector_overhead.md. SpotVMR in mode `exact` chooses a quarter of the clips in two and in four steps,
with the backbone's own encoder and with one of its own, at published sizes and at those of the presets `small`.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vmrbench.catalog import Catalog, load_catalog
from vmrbench.cost.known_calls import KnownCalls
from vmrbench.cost.stages import UnitCosts, unit_costs
from vmrbench.engine.costing import ShapeMacs, count_query
from vmrbench.engine.made_up_arms import MadeUpArm, Part
from vmrbench.protocols import DatasetFacts, FeatureFacts
from vmrbench.specs import EncoderSpec
from vmrbench.trim.budget import clip_budget

KEEP_RATIO, OWN_WIDTH, MOST_SHARE = 0.25, 96, 0.05
# As in the experiments, and as published.
FEW, MANY = 2, 4
INDEX = {"Background": "efficientnet_b0", "Appearance": "efficientnet_b0_vicreg", "Motion": "x3d_xs"}
SELECTORS = {"the backbone's": {"share_encoder": True}, "own": {"share_encoder": False, "private_width": OWN_WIDTH}}


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where backbones are compared: clips and tokens of a query, and its features."""

    clips: int
    tokens: int
    facts: DatasetFacts


@dataclass(frozen=True, kw_only=True)
class Row:
    """One backbone at one place with one selector.

    macs: counted, by steps; index, encode: of every clip; saved: of the clips that are not kept, all declared.
    """

    backbone: str
    preset: str
    selector: str
    place: Place
    macs: Mapping[int, ShapeMacs]
    index: float
    encode: float
    saved: float

    def share(self, steps: int) -> float:
        """Selection in so many steps over what it saves."""
        return self.macs[steps].trim / self.saved


def place(
    catalog: Catalog, clips: int, tokens: int, video: tuple[str, int], text: tuple[str, int], seconds: float = 2.0
) -> Place:
    """Features of published encoders at their published widths. video, text: encoder and width."""
    specs: Mapping[str, EncoderSpec] = {name: offer.spec for name, offer in catalog.encoders.items()}
    facts = DatasetFacts(
        clip_seconds=seconds,
        clips=FeatureFacts(encoder=video[0], width=video[1]),
        text=FeatureFacts(encoder=text[0], width=text[1]),
        index={group: FeatureFacts(encoder=name, width=specs[name].dim) for group, name in INDEX.items()},
        fingerprint="made up",
    )
    return Place(clips=clips, tokens=tokens, facts=facts)


def places(catalog: Catalog) -> dict[str, Place]:
    """By name. `small` is a mean video of the simulated TACoS; the others are those of reports/backbones.md."""
    built = catalog.pick("dataset", "simulated").spec
    glove, clip_text = ("glove", 300), ("clip_text", 512)
    return {
        "small": Place(clips=75, tokens=10, facts=built.build(built.options(profile="tacos")).facts),
        "qvhighlights": place(catalog, 75, 32, ("slowfast+clip_b32", 2816), clip_text),
        "charades": place(catalog, 64, 10, ("i3d", 1024), glove),
        "charades_two_streams": place(catalog, 256, 10, ("i3d", 2048), glove),
        "tacos": place(catalog, 256, 20, ("c3d", 4096), glove),
        "tacos_long": place(catalog, 2304, 10, ("c3d", 4096), glove),
    }


ON_QVHIGHLIGHTS = ("moment_detr", "qd_detr", "cg_detr", "eatr", "tr_detr", "bam_detr", "uvcom", "univtg")
# Backbone to its published presets and where they belong.
PUBLISHED = {
    **{name: {"published_qvhighlights": "qvhighlights"} for name in ON_QVHIGHLIGHTS},
    "vslnet": {"published_charades": "charades"},
    "snag": {"published_charades": "charades_two_streams", "published_tacos": "tacos_long"},
    "2d_tan": {"published_tacos_pool": "tacos", "published_tacos_conv": "tacos"},
}


def count(catalog: Catalog, names: Sequence[str]) -> list[Row]:
    """Every backbone of `names`, its published presets first, with both selectors."""
    at = places(catalog)
    rows = []
    for name in names:
        for preset, where in {**PUBLISHED.get(name, {}), "small": "small"}.items():
            known = KnownCalls()
            rows += [_row(catalog, Part(name=name, preset=preset), at[where], which, known) for which in SELECTORS]
    return rows


def _row(catalog: Catalog, backbone: Part, where: Place, selector: str, known: KnownCalls) -> Row:
    units = units_of(catalog, where.facts)
    kept = int(clip_budget(torch.tensor([where.clips]), KEEP_RATIO))
    encode = _known(units.encode.value)
    return Row(
        backbone=backbone.name,
        preset=backbone.preset or "",
        selector=selector,
        place=where,
        macs={
            steps: _count(catalog, backbone, where, {"steps": steps, **SELECTORS[selector]}, known)
            for steps in (FEW, MANY)
        },
        index=where.clips * _known(units.index.value),
        encode=where.clips * encode,
        saved=(where.clips - kept) * encode,
    )


def _count(catalog: Catalog, backbone: Part, where: Place, options: Mapping[str, Any], known: KnownCalls) -> ShapeMacs:
    trimmer = Part(name="spotvmr", preset="exact", options={"keep_ratio": KEEP_RATIO, **options})
    made_up = MadeUpArm(backbone=backbone, trimmer=trimmer, facts=where.facts)
    arm, query = made_up.build(catalog), made_up.query(catalog, where.clips, where.tokens)
    return count_query(arm.to("meta"), query.to("meta"), known)


def units_of(catalog: Catalog, facts: DatasetFacts) -> UnitCosts:
    return unit_costs(facts, {name: offer.spec for name, offer in catalog.encoders.items()}, reads_index=True)


def _known(value: float | None) -> float:
    assert value is not None  # Every encoder named here is offered.
    return value


def page(rows: Sequence[Row]) -> str:
    """Markdown: a table, and what stands above 5 %."""
    heads = ["backbone", "preset", "clips x width, tokens", "clip encoder", "selector's encoder", "index"]
    heads += [f"selection, {FEW} steps", f"{MANY} steps", "backbone", "encoding all", "encoding saved"]
    heads += [f"selection / saved, {FEW} steps", f"{MANY} steps", f"(index + selection) / saved, {FEW} steps"]
    lines = [heads, ["---"] * 5 + ["---:"] * 9]
    for row in rows:
        facts = row.place.facts
        sizes = f"{row.place.clips} x {facts.clips.width}, {row.place.tokens}"
        few, many = row.macs[FEW], row.macs[MANY]
        figures = [row.index, few.trim, many.trim, few.backbone, row.encode, row.saved]
        shares = [row.share(FEW), row.share(MANY), (row.index + few.trim) / row.saved]
        lines.append([f"`{row.backbone}`", f"`{row.preset}`", sizes, facts.clips.encoder, row.selector])
        lines[-1] += [f"{value / 1e9:,.3f}" for value in figures] + [f"{value:.2%}" for value in shares]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return (
        "\n\n".join(
            ["# Overhead of the selector", INTRODUCTION, table, *(_verdict(rows, steps) for steps in (FEW, MANY)), NOTE]
        )
        + "\n"
    )


def _verdict(rows: Sequence[Row], steps: int) -> str:
    above = [row for row in rows if row.share(steps) > MOST_SHARE]
    named = "; ".join(f"`{r.backbone}` `{r.preset}`, encoder {r.selector}: {r.share(steps):.2%}" for r in above)
    largest = max(rows, key=lambda row: row.share(steps))
    return (
        f"In {steps} steps {len(rows) - len(above)} of {len(rows)} rows select for at most {MOST_SHARE:.0%} of what is "
        f"saved; the largest share is {largest.share(steps):.2%} (`{largest.backbone}` `{largest.preset}`, encoder "
        f"{largest.selector})." + (f" Above {MOST_SHARE:.0%}: {named}." if above else "")
    )


INTRODUCTION = f"""\
SpotVMR, mode `exact`, in {FEW} steps and in the published {MANY}, keep ratio {KEEP_RATIO}, fill `concat_zero`. GMACs of
one cold query; one multiply and add counts once. Selection and backbone are counted on the running code, selection with
every pass of the encoder that it borrows; index and encoding are declared by the encoders' sources. *Own* encoders are
{OWN_WIDTH} wide. Written by `python examples/selector_overhead.py`; no number depends on the machine."""
NOTE = """\
The index is EfficientNet-B0 twice and X3D-XS, at their widths (simulated widths in the rows of `small`), charged to
every clip. A clip row costs one pass of its encoder here: rows that are averages over several passes, as those of
2D-TAN and SnAG may be, save more than this says. `small` rows are a mean video of the simulated TACoS."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="What selecting clips costs beside the encoding that it saves.")
    parser.add_argument("--only", action="append", metavar="NAME", help="a backbone; repeatable")
    parser.add_argument("--out", type=Path, default=Path("reports/selector_overhead.md"))
    given = parser.parse_args(arguments)
    catalog = load_catalog()
    models = sorted(name for name, offer in catalog.backbones.items() if offer.spec.reads_features)
    rows = count(catalog, given.only or models)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(page(rows), encoding="utf-8")
    print(f"wrote {given.out}")


if __name__ == "__main__":
    main()
