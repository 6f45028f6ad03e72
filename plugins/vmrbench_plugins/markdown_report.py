"""The reporter `markdown`: one page with tables and figures, from a sweep summary."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vmrbench import hookimpl
from vmrbench.specs import ReporterSpec

if TYPE_CHECKING:
    from vmrbench.report.summary import SweepSummary


@dataclass(frozen=True, kw_only=True)
class NoOptions:
    """A reporter without options."""


def write_page(summary: SweepSummary, path: Path) -> list[Path]:
    """See `vmrbench.report.page.write_report`."""
    # Figures take a second to import, and few commands draw any.
    from vmrbench.report.page import write_report

    return write_report(summary, path)


@hookimpl
def vmr_reporters() -> Iterable[ReporterSpec]:
    """Markdown for GitHub, figures as SVG beside it."""
    yield ReporterSpec(
        name="markdown",
        summary="one Markdown page: accuracy, cost, time, diagnostics, floors and a figure for every data set",
        options=NoOptions,
        write=write_page,
    )
