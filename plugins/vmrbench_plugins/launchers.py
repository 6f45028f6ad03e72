"""The launchers that need nothing but this machine."""

from __future__ import annotations

from collections.abc import Iterable

from vmrbench import hookimpl
from vmrbench.launch.inline import InlineOptions, launch_inline
from vmrbench.launch.process import ProcessOptions, launch_processes
from vmrbench.specs import LauncherSpec


@hookimpl
def vmr_launchers() -> Iterable[LauncherSpec]:
    """The launchers `inline` and `process`."""
    yield LauncherSpec(
        name="inline",
        summary="one cell after the other, in this process",
        options=InlineOptions,
        launch=launch_inline,
    )
    yield LauncherSpec(
        name="process",
        summary="a process per cell, some at a time; a cell that is killed does not stop the others",
        options=ProcessOptions,
        launch=launch_processes,
    )
