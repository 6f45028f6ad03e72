"""What runs, shown on stderr: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from vmrbench.launch.jobs import JobEvent

LOG = logging.getLogger(__name__)


class JobProgress:
    """Call it with every event; a context manager, so that the terminal is left as it was.

    Cells done, and for every running one the stage it is in. Where `console` is no terminal it draws nothing, and
    what happens is told as log lines only.
    """

    def __init__(self, total: int, console: Console | None = None) -> None:
        console = console or Console(stderr=True)
        self._total = total
        self._done = 0
        self._drawn = console.is_terminal
        self._bars = _bars(console)
        self._all = self._bars.add_task("cells", total=total, stage="")
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        if self._drawn:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._drawn:
            self._bars.stop()

    def leave_out(self, count: int) -> None:
        """So many of the jobs will not run after all."""
        self._total -= count
        self._bars.update(self._all, total=self._total)

    def __call__(self, event: JobEvent) -> None:
        """Show an event."""
        if event.kind in {"finished", "failed"}:
            self._done += 1
        self._log(event)
        self._draw(event)

    def _log(self, event: JobEvent) -> None:
        if event.kind == "failed" and event.mistake:
            # Told once, at the end, however many jobs met it.
            LOG.info("%s: stopped by a mistake that you can mend", event.key)
        elif event.kind == "failed":
            LOG.error("%s: failed: %s", event.key, event.text)
        elif event.kind == "finished":
            LOG.info("%s: done (%d of %d)", event.key, self._done, self._total)
        else:
            # The bars show it already.
            LOG.log(logging.DEBUG if self._drawn else logging.INFO, "%s: %s", event.key, event.text or event.kind)

    def _draw(self, event: JobEvent) -> None:
        if event.kind == "started":
            self._tasks[event.key] = self._bars.add_task(f"  {event.key}", total=None, stage="")
        elif event.kind == "stage":
            self._bars.update(self._tasks[event.key], stage=event.text)
        else:
            self._bars.remove_task(self._tasks.pop(event.key))
            self._bars.update(self._all, completed=self._done)


def _bars(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[stage]}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
