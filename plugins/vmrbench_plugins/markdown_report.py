"""The reporter `markdown`: one page with tables and figures, from a sweep summary."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vmrbench import hookimpl
from vmrbench.report.page import write_report
from vmrbench.specs import ReporterSpec


@dataclass(frozen=True, kw_only=True)
class NoOptions:
    """A reporter without options."""


@hookimpl
def vmr_reporters() -> Iterable[ReporterSpec]:
    """Markdown for GitHub, figures as SVG beside it."""
    yield ReporterSpec(
        name="markdown",
        summary="one Markdown page: accuracy, cost, time, diagnostics, floors and a figure for every data set",
        options=NoOptions,
        write=write_report,
    )
