"""What a launcher is given, what it gives back, and how a running job says where it is."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal

from vmrbench.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Job:
    """A call `function(*arguments)`. key: unique among the jobs; function and arguments can be pickled."""

    key: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True, kw_only=True)
class JobResult:
    """What became of a job.

    value: what it returned; error: one line, None where it ended well; traceback: None where it ended well or the
    process died; mistake: the error is one that the user can mend; exit_signal: what killed its process; seconds: how
    long it ran.
    """

    key: str
    value: Any = None
    error: str | None = None
    traceback: str | None = None
    mistake: bool = False
    exit_signal: str | None = None
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether the job ended well."""
        return self.error is None


@dataclass(frozen=True, kw_only=True)
class JobEvent:
    """Something that happened to a job.

    text: the stage it is in, or the error it failed with; mistake: the error is one that the user can mend.
    """

    kind: Literal["started", "stage", "finished", "failed"]
    key: str
    text: str = ""
    mistake: bool = False


OnEvent = Callable[[JobEvent], None]
_stage_sink: ContextVar[Callable[[str], None] | None] = ContextVar("stage_sink", default=None)


def say_stage(text: str) -> None:
    """Tell the launcher what the running job is doing, such as `train 3/12`; nothing happens outside a launcher."""
    sink = _stage_sink.get()
    if sink is not None:
        sink(text)


@contextmanager
def stages_to(sink: Callable[[str], None]) -> Iterator[None]:
    """Send what `say_stage` is told in this block to `sink`."""
    token = _stage_sink.set(sink)
    try:
        yield
    finally:
        _stage_sink.reset(token)


def run_job(job: Job) -> JobResult:
    """Run a job here; an error becomes a failed result. KeyboardInterrupt and SystemExit rise."""
    started = time.monotonic()
    try:
        value = job.function(*job.arguments)
    except Exception as error:
        text = "".join(traceback.format_exception(error))
        return JobResult(
            key=job.key,
            error=_one_line(error),
            traceback=text,
            mistake=isinstance(error, UserError),
            seconds=time.monotonic() - started,
        )
    return JobResult(key=job.key, value=value, seconds=time.monotonic() - started)


def ending(result: JobResult) -> JobEvent:
    """The event that a job has ended."""
    if result.ok:
        return JobEvent(kind="finished", key=result.key)
    return JobEvent(kind="failed", key=result.key, text=result.error or "", mistake=result.mistake)


def _one_line(error: Exception) -> str:
    """A user's mistake speaks for itself; ours says its type too."""
    first = (str(error).strip().splitlines() or [""])[0]
    return first if isinstance(error, UserError) and first else f"{type(error).__name__}: {first}"
