"""A process for every job, some at a time: a job that is killed fails by itself, the others go on."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Annotated, Any

from pydantic import Field

from vmrbench.launch.jobs import Job, JobEvent, JobResult, OnEvent, ending, run_job, stages_to

# A grandchild may hold the pipe of a killed job open: whether the job lives is asked for this often.
_LOOK_SECONDS = 0.5
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True, kw_only=True)
class ProcessOptions:
    """workers: jobs at a time; threads: of each, for matrix arithmetic."""

    workers: Annotated[int, Field(ge=1)] = 2
    threads: Annotated[int, Field(ge=1)] = 1


@dataclass(kw_only=True)
class _Worker:
    """A running job."""

    job: Job
    process: SpawnProcess
    pipe: Connection
    started: float
    result: JobResult | None = None


def launch_processes(jobs: Sequence[Job], options: ProcessOptions, on_event: OnEvent) -> Mapping[str, JobResult]:
    """Run every job in a fresh process; one that dies becomes a failed result with the signal that killed it."""
    waiting = list(jobs)
    running: list[_Worker] = []
    results: dict[str, JobResult] = {}
    try:
        while waiting or running:
            while waiting and len(running) < options.workers:
                running.append(_start(waiting.pop(0), options.threads, on_event))
            wait([worker.pipe for worker in running], timeout=_LOOK_SECONDS)
            for worker in [worker for worker in running if _has_ended(worker, on_event)]:
                running.remove(worker)
                result = worker.result or _died(worker)
                on_event(ending(result))
                results[result.key] = result
    finally:
        _stop(running)
    return {job.key: results[job.key] for job in jobs}


def _start(job: Job, threads: int, on_event: OnEvent) -> _Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(job, theirs, threads), name=job.key)
    on_event(JobEvent(kind="started", key=job.key))
    with _environment(dict.fromkeys(_THREAD_VARIABLES, str(threads))):
        process.start()
    theirs.close()  # Our end then reads "end of file" when the job's process is gone.
    return _Worker(job=job, process=process, pipe=ours, started=time.monotonic())


def _has_ended(worker: _Worker, on_event: OnEvent) -> bool:
    """Read what a job has said; true when its process has closed its end or is gone."""
    gone = not worker.process.is_alive()
    try:
        while worker.pipe.poll():
            message = worker.pipe.recv()
            if isinstance(message, JobResult):
                worker.result = message
            else:
                on_event(JobEvent(kind="stage", key=worker.job.key, text=message))
    except (EOFError, OSError):
        gone = True
    if gone:
        worker.process.join()
        worker.pipe.close()
    return gone


def _died(worker: _Worker) -> JobResult:
    code = worker.process.exitcode
    killed_by = _signal_name(-code) if code is not None and code < 0 else None
    how = f"was killed by {killed_by}" if killed_by else f"ended with exit code {code}"
    hint = "; the machine may be out of memory" if killed_by == "SIGKILL" else ""
    return JobResult(
        key=worker.job.key,
        error=f"its process {how} before it gave a result{hint}",
        exit_signal=killed_by,
        seconds=time.monotonic() - worker.started,
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _stop(workers: Sequence[_Worker]) -> None:
    for worker in workers:
        worker.process.terminate()
    for worker in workers:
        worker.process.join()


def _work(job: Job, pipe: Connection, threads: int) -> None:
    """The job's process."""
    torch: Any = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(threads)
    with stages_to(pipe.send):
        result = run_job(job)
    pipe.send(_sendable(result))
    pipe.close()


def _sendable(result: JobResult) -> JobResult:
    """The result, or a failed one where its value cannot be sent to another process."""
    try:
        pickle.dumps(result)
    except Exception as error:
        return JobResult(key=result.key, error=f"its value cannot be sent back: {error}", seconds=result.seconds)
    return result


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Environment variables that a process started in this block inherits."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            _restore(name, value)


def _restore(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value
