"""Jobs one after the other, in this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from vmrbench.launch.jobs import Job, JobEvent, JobResult, OnEvent, ending, run_job, stages_to


@dataclass(frozen=True, kw_only=True)
class InlineOptions:
    """The inline launcher has no options."""


def launch_inline(jobs: Sequence[Job], options: InlineOptions, on_event: OnEvent) -> Mapping[str, JobResult]:
    """Run every job here and now; a failed one does not stop the others."""
    results = {}
    for job in jobs:
        on_event(JobEvent(kind="started", key=job.key))
        with stages_to(_teller(job.key, on_event)):
            result = run_job(job)
        on_event(ending(result))
        results[job.key] = result
    return results


def _teller(key: str, on_event: OnEvent) -> Callable[[str], None]:
    return lambda text: on_event(JobEvent(kind="stage", key=key, text=text))
