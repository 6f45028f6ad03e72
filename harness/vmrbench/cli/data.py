"""`vmrbench data`: whether annotations and features fit together, and clips cut to fit, before anything is trained."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vmrbench.cli.annotation_options import Defects, Flavour, defect_policy, flavour_options
from vmrbench.cli.arguments import DEFAULT_SWEEP, AsJson, Sets, catalog_of, read_sweep
from vmrbench.errors import ConfigError, DataError, did_you_mean

if TYPE_CHECKING:
    from vmrbench.data.doctor import AnnotationSource, Material
    from vmrbench.data.features import FeatureSource

data = typer.Typer(name="data", help="Look annotations and features over.", no_args_is_help=True, rich_markup_mode=None)


@data.callback()
def _group() -> None:
    """Look annotations and features over."""


@data.command()
def doctor(
    dataset: Annotated[str | None, typer.Argument(metavar="[DATASET]", help="Its id in the sweep.")] = None,
    sweep: Annotated[Path, typer.Option("--sweep", metavar="FILE", help="The sweep.")] = DEFAULT_SWEEP,
    sets: Sets = None,
    annotations: Annotated[
        list[Path] | None, typer.Option("--annotations", metavar="FILE", help="In place of DATASET; repeatable.")
    ] = None,
    layout: Annotated[
        str | None, typer.Option("--layout", metavar="NAME/DATASET", help="A published layout: lighthouse/tacos.")
    ] = None,
    root: Annotated[Path, typer.Option("--root", metavar="DIR", help="Folder of features of --layout.")] = Path(),
    part: Annotated[
        list[str] | None, typer.Option("--part", help="Of --layout, the published ones if left out; repeatable.")
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option("--source", metavar="KEY=VALUE,...", help="A feature source: path=DIR,encoder=c3d; repeatable."),
    ] = None,
    flavour: Flavour = None,
    defects: Defects = None,
    as_json: AsJson = False,
) -> None:
    """Read everything that a data set needs and list what is wrong: exit code 0 if nothing is, 1 if something is."""
    from vmrbench.data.doctor import AnnotationSource, examine

    if (dataset is None) == (not annotations):
        raise ConfigError("data doctor: expected the id of a data set in the sweep, or --annotations FILE")
    if dataset is not None and (layout or part or source or flavour or defects):
        raise ConfigError(
            "data doctor: --layout, --part, --source, --flavour and --defects go with --annotations; DATASET brings "
            "its own"
        )
    if dataset is not None:
        material = _of_a_sweep(dataset, sweep, sets)
    else:
        options, policy = flavour_options(flavour), defect_policy(defects)
        files = {
            name: AnnotationSource(path=path, options=options, policy=policy)
            for name, path in _named(annotations or []).items()
        }
        material = _of_options(files, _layout_sources(layout, root, part or []), source or [])
    report = examine(material)
    if as_json:
        typer.echo(json.dumps(report.to_json(), indent=1, ensure_ascii=False, allow_nan=False))
    else:
        typer.echo(report.to_markdown(), nl=False)
    if not report.is_clean:
        raise typer.Exit(1)


@data.command()
def cut(
    annotations: Annotated[list[Path], typer.Argument(metavar="ANNOTATIONS...", help="Files of Ego4D NLQ.")],
    root: Annotated[Path, typer.Option("--root", metavar="DIR", help="Features of whole videos, {video_uid}.pt.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where {clip_uid}.pt go.")],
) -> None:
    """Cut the clips that annotations are about out of the features of whole videos, as Ego4D's own script does."""
    from vmrbench.data.annotations import read_annotations
    from vmrbench.data.cut import KEEP_ALL, cut_clips
    from vmrbench.data.features import FeatureStore

    queries = [query for path in annotations for query in read_annotations(path, policy=KEEP_ALL)]
    (source,) = _layout_sources("ego4d/nlq", root, [])
    written = cut_clips(queries, FeatureStore(source), out)
    typer.echo(f"wrote {len(written)} clips to {out}")


def _named(paths: Sequence[Path]) -> dict[str, Path]:
    """Every file by its stem, by its whole path where several have one stem."""
    stems = [path.stem for path in paths]
    return {path.stem if stems.count(path.stem) == 1 else str(path): path for path in paths}


def _of_a_sweep(dataset: str, sweep: Path, sets: list[str] | None) -> Material:
    from vmrbench.data.doctor import Examinable

    config = read_sweep(sweep, sets)
    entries = {cell.dataset.id: cell.dataset for cell in config.resolve(catalog_of(config))}
    if dataset not in entries:
        raise ConfigError(f"{sweep}: no data set has the id {dataset!r}{did_you_mean(dataset, entries)}")
    built = entries[dataset].built
    if not isinstance(built, Examinable):
        raise DataError(f"{sweep}: data set {dataset!r} has no files to look over; plug-ins offer them by material()")
    return built.material()


def _of_options(
    annotations: Mapping[str, AnnotationSource], sources: Sequence[FeatureSource], written: Sequence[str]
) -> Material:
    from vmrbench.data.doctor import Material
    from vmrbench.data.features import FeatureStore
    from vmrbench.data.rows import Tolerance

    every = [*sources, *(_source(text) for text in written)]
    return Material(
        annotations=annotations,
        stores=[FeatureStore(source) for source in every],
        tolerance=Tolerance(),
    )


def _layout_sources(layout: str | None, root: Path, parts: Sequence[str]) -> Sequence[FeatureSource]:
    from vmrbench.config.options import fill_dataclass, under
    from vmrbench.data.layouts import FeatureLayout, sources_of

    if layout is None:
        return ()
    name, _, of = layout.partition("/")
    values = {"layout": name, "dataset": of, "root": str(root), "parts": list(parts)}
    return sources_of(fill_dataclass(FeatureLayout, values, under("--layout")))


def _source(text: str) -> FeatureSource:
    """`path=DIR,encoder=c3d,ids=[lower]` as a source; commas inside brackets do not divide."""
    from vmrbench.config.document import parse_value
    from vmrbench.config.options import fill_dataclass, under
    from vmrbench.config.places import Place
    from vmrbench.data.features import FeatureSource

    place = Place(source=f"--source {text}", folder=Path.cwd())
    values: dict[str, Any] = {"encoder": "unknown"}
    for item in re.split(r",(?![^\[]*\])", text):
        key, equals, value = item.partition("=")
        if not equals:
            raise ConfigError(f"{place}: {item!r} found, KEY=VALUE expected, such as path=features/c3d")
        # A pattern begins with a brace, which means a mapping to YAML.
        values[key] = value if value.startswith("{") else parse_value(value, place)
    filled: FeatureSource = fill_dataclass(FeatureSource, values, under(str(place)))
    return filled
