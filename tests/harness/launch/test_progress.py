"""Tests of showing what runs."""

from __future__ import annotations

import io
import logging

from rich.console import Console

from vmrbench.launch import JobEvent
from vmrbench.launch.progress import JobProgress

EVENTS = [
    JobEvent(kind="started", key="a"),
    JobEvent(kind="stage", key="a", text="train 1/2"),
    JobEvent(kind="finished", key="a"),
    JobEvent(kind="started", key="b"),
    JobEvent(kind="failed", key="b", text="no luck"),
]


def show(console: Console) -> None:
    with JobProgress(2, console) as progress:
        for event in EVENTS:
            progress(event)


def test_without_a_terminal_every_event_is_a_log_line(caplog):
    caplog.set_level(logging.INFO, "vmrbench")
    output = io.StringIO()

    show(Console(file=output))

    assert output.getvalue() == ""
    assert [record.getMessage() for record in caplog.records] == [
        "a: started",
        "a: train 1/2",
        "a: done (1 of 2)",
        "b: started",
        "b: failed: no luck",
    ]


def test_on_a_terminal_bars_are_drawn_and_only_endings_are_logged(caplog):
    caplog.set_level(logging.INFO, "vmrbench")
    output = io.StringIO()

    show(Console(file=output, force_terminal=True))

    assert "cells" in output.getvalue()
    assert [record.getMessage() for record in caplog.records] == ["a: done (1 of 2)", "b: failed: no luck"]


def test_a_mistake_of_the_user_is_left_to_be_told_at_the_end(caplog):
    caplog.set_level(logging.INFO, "vmrbench")

    with JobProgress(1, Console(file=io.StringIO())) as progress:
        progress(JobEvent(kind="started", key="a"))
        progress(JobEvent(kind="failed", key="a", text="x.npz: NaN", mistake=True))

    assert [(record.levelname, record.getMessage()) for record in caplog.records][1:] == [
        ("INFO", "a: stopped by a mistake that you can mend")
    ]


def test_jobs_that_will_not_run_are_not_counted(caplog):
    caplog.set_level(logging.INFO, "vmrbench")

    with JobProgress(3, Console(file=io.StringIO())) as progress:
        progress.leave_out(2)
        progress(JobEvent(kind="started", key="a"))
        progress(JobEvent(kind="finished", key="a"))

    assert caplog.records[-1].getMessage() == "a: done (1 of 1)"
