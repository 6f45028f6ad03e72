"""Tests of a process per job. The jobs are functions of the standard library: workers do not import test files."""

from __future__ import annotations

import operator
import os
import signal
import time

import pytest

from vmrbench.catalog import make_options
from vmrbench.errors import ConfigError
from vmrbench.launch import Job, JobEvent, say_stage
from vmrbench.launch.process import ProcessOptions, launch_processes
from vmrbench.specs import LauncherSpec

SPEC = LauncherSpec(name="process", summary="", options=ProcessOptions, launch=launch_processes)


def launch(*jobs: Job, **options):
    events: list[JobEvent] = []
    return launch_processes(jobs, ProcessOptions(**options), events.append), events


def test_results_come_by_key_from_other_processes():
    results, _ = launch(Job(key="a", function=os.getpid), Job(key="b", function=operator.mul, arguments=(3, 4)))

    assert results["a"].value != os.getpid()
    assert results["b"].value == 12


def test_a_killed_job_fails_with_its_signal_and_the_others_go_on():
    results, events = launch(
        Job(key="killed", function=signal.raise_signal, arguments=(signal.SIGKILL,)),
        Job(key="exits", function=os._exit, arguments=(3,)),
        Job(key="fails", function=operator.truediv, arguments=(1, 0)),
        Job(key="works", function=operator.add, arguments=(1, 1)),
    )

    assert list(results) == ["killed", "exits", "fails", "works"]
    assert results["killed"].exit_signal == "SIGKILL"
    assert "was killed by SIGKILL" in (results["killed"].error or "")
    assert "exit code 3" in (results["exits"].error or "")
    assert results["fails"].error == "ZeroDivisionError: division by zero"
    assert "Traceback" in (results["fails"].traceback or "")
    assert results["works"].value == 2
    assert sorted(event.key for event in events if event.kind == "failed") == ["exits", "fails", "killed"]


def test_a_value_that_cannot_be_sent_fails_the_job():
    results, _ = launch(Job(key="a", function=eval, arguments=("lambda: 0",)))

    assert "cannot be sent back" in (results["a"].error or "")


def test_stages_reach_the_parent():
    _, events = launch(Job(key="a", function=say_stage, arguments=("train 1/2",)))

    assert [(event.kind, event.text) for event in events] == [("started", ""), ("stage", "train 1/2"), ("finished", "")]


def test_workers_are_told_their_threads_and_this_process_is_left_alone(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)

    results, _ = launch(Job(key="a", function=os.getenv, arguments=("OMP_NUM_THREADS",)), threads=3)

    assert results["a"].value == "3"
    assert "OMP_NUM_THREADS" not in os.environ


def test_no_more_jobs_run_at_a_time_than_there_are_workers():
    running: set[str] = set()
    most = []

    def watch(event: JobEvent) -> None:
        (running.add if event.kind == "started" else running.discard)(event.key)
        most.append(len(running))

    launch_processes([Job(key=str(n), function=time.time) for n in range(4)], ProcessOptions(workers=2), watch)

    assert max(most) == 2


def test_jobs_are_stopped_when_the_parent_is_interrupted():
    def interrupt(event: JobEvent) -> None:
        if event.kind == "stage":
            raise KeyboardInterrupt

    started = time.monotonic()
    jobs = [
        Job(key="slow", function=time.sleep, arguments=(60,)),
        Job(key="says", function=say_stage, arguments=("x",)),
    ]

    with pytest.raises(KeyboardInterrupt):
        launch_processes(jobs, ProcessOptions(workers=2), interrupt)

    assert time.monotonic() - started < 50


@pytest.mark.parametrize("options", [{"workers": 0}, {"threads": 0}, {"worker": 1}])
def test_wrong_options_are_refused(options):
    with pytest.raises(ConfigError):
        make_options(SPEC, None, options, "launcher.options")
