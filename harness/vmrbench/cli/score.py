"""`vmrbench score`: predictions files of any system, scored under a protocol."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from vmrbench.cli.annotation_options import Defects, Flavour, defect_policy, flavour_options
from vmrbench.cli.arguments import AsJson
from vmrbench.errors import ConfigError


def score(
    predictions: Annotated[
        list[Path],
        typer.Argument(help="Files of predictions: QVHighlights, TVR, Ego4D or MAD style.", metavar="FILE..."),
    ],
    annotations: Annotated[Path, typer.Option("--annotations", help="The true windows, in any flavour.")],
    protocol: Annotated[str, typer.Option("--protocol", help="Evaluation protocol.")] = "vmrbench-v1",
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", metavar="NAME", help="Also R<n>@<IoU>, dR<n>@<IoU> or mAP@<IoU>; repeatable."),
    ] = None,
    against: Annotated[Path | None, typer.Option("--against", help="Another file, compared query by query.")] = None,
    train: Annotated[
        Path | None, typer.Option("--train", help="Annotations that the query-blind window is fitted on.")
    ] = None,
    ood: Annotated[
        list[Path] | None,
        typer.Option("--ood", help="The same system on a test split unlike train; one for each FILE, in their order."),
    ] = None,
    ood_annotations: Annotated[
        Path | None, typer.Option("--ood-annotations", help="The true windows of that split, in any flavour.")
    ] = None,
    only_sensitivity: Annotated[
        bool, typer.Option("--sensitivity", help="Only the table of other conventions, one column a file.")
    ] = False,
    flavour: Flavour = None,
    train_flavour: Annotated[
        list[str] | None,
        typer.Option("--train-flavour", metavar="KEY=VALUE", help="As --flavour, where that of --train differs."),
    ] = None,
    defects: Defects = None,
    as_json: AsJson = False,
) -> None:
    """Score stored predictions; needs no model and no features."""
    from vmrbench.data.annotations import read_annotations
    from vmrbench.protocol.published import get_protocol
    from vmrbench.score.scoring import assess

    if only_sensitivity and metric:
        raise ConfigError("--metric: the table of --sensitivity has its own measures; leave one of the two out")
    rules = get_protocol(protocol).with_metrics(metric or ())
    options, policy = flavour_options(flavour), defect_policy(defects)
    _check_ood(predictions, ood, ood_annotations)
    truth = read_annotations(annotations, options=options, policy=policy)
    if only_sensitivity:
        _sensitivity(predictions, truth, rules, as_json)
        return
    fitting = None
    if train is not None:
        own = options if train_flavour is None else flavour_options(train_flavour)
        fitting = read_annotations(train, options=own, policy=policy)
        if fitting.fingerprint == truth.fingerprint:
            raise ConfigError(
                f"--train {train}: holds the very queries of --annotations; name the training file, or its split by "
                "--train-flavour split=train"
            )
    other = None if ood_annotations is None else read_annotations(ood_annotations, options=options, policy=policy)
    found = [
        assess(path, truth, rules, against=against, train=fitting, ood=None if other is None else (unlike, other))
        for path, unlike in zip(predictions, ood or predictions, strict=True)
    ]
    if as_json:
        _print_json([each.to_json() for each in found])
    else:
        typer.echo("\n".join(each.to_markdown() for each in found), nl=False)


def _check_ood(predictions: list[Path], ood: list[Path] | None, annotations: Path | None) -> None:
    if (annotations is None) != (not ood):
        raise ConfigError("--ood and --ood-annotations: found one of them; give both, or leave both out")
    if ood and len(ood) != len(predictions):
        raise ConfigError(f"--ood: found {len(ood)} files for {len(predictions)}; give one for each FILE, in order")


def _sensitivity(paths: list[Path], truth: Any, rules: Any, as_json: bool) -> None:
    from vmrbench.score.page import sensitivity_table
    from vmrbench.score.sensitivity import sensitivity
    from vmrbench.score.submission import read_submission

    found = {str(path): sensitivity(read_submission(path, truth, rules).predictions, truth, rules) for path in paths}
    if as_json:
        _print_json([{"predictions": path, "sensitivity": [asdict(v) for v in rows]} for path, rows in found.items()])
    else:
        typer.echo(sensitivity_table(found, rules.name), nl=False)


def _print_json(found: list[dict[str, Any]]) -> None:
    """One object for one file, else a list."""
    typer.echo(json.dumps(found[0] if len(found) == 1 else found, indent=1, ensure_ascii=False, allow_nan=False))
