"""`vmrbench score`: a predictions file of any system, scored under a protocol."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from vmrbench.cli.arguments import AsJson


def score(
    predictions: Annotated[Path, typer.Argument(help="JSON lines with qid, vid, pred_relevant_windows.")],
    annotations: Annotated[Path, typer.Option("--annotations", help="JSON lines with the true windows.")],
    protocol: Annotated[str, typer.Option("--protocol", help="Evaluation protocol.")] = "vmrbench-v1",
    as_json: AsJson = False,
) -> None:
    """Score stored predictions; needs no model and no features."""
    from vmrbench.data.annotations import read_annotations
    from vmrbench.score import score_file

    result = score_file(predictions, read_annotations(annotations), protocol)
    if as_json:
        typer.echo(json.dumps(result.to_json(), indent=1, ensure_ascii=False, allow_nan=False))
    else:
        typer.echo(result.to_markdown(), nl=False)
