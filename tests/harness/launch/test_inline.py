"""Tests of jobs in this process."""

from __future__ import annotations

import pytest

from vmrbench.errors import DataError
from vmrbench.launch import Job, JobEvent, say_stage
from vmrbench.launch.inline import InlineOptions, launch_inline


def double(number: int) -> int:
    say_stage(f"doubling {number}")
    return 2 * number


def fail(error: BaseException) -> None:
    raise error


def launch(*jobs: Job):
    events: list[JobEvent] = []
    return launch_inline(jobs, InlineOptions(), events.append), events


def test_results_come_by_key():
    results, _ = launch(Job(key="a", function=double, arguments=(2,)), Job(key="b", function=double, arguments=(3,)))

    assert {key: result.value for key, result in results.items()} == {"a": 4, "b": 6}


def test_a_failed_job_does_not_stop_the_others():
    results, _ = launch(
        Job(key="a", function=fail, arguments=(ValueError("no luck"),)), Job(key="b", function=double, arguments=(3,))
    )

    assert (results["a"].ok, results["a"].error) == (False, "ValueError: no luck")
    assert "Traceback" in (results["a"].traceback or "")
    assert results["b"].value == 6


def test_a_mistake_of_the_user_speaks_for_itself():
    results, _ = launch(Job(key="a", function=fail, arguments=(DataError("x.jsonl: is empty"),)))

    assert results["a"].error == "x.jsonl: is empty"


def test_events_tell_start_stage_and_end():
    _, events = launch(
        Job(key="a", function=double, arguments=(2,)), Job(key="b", function=fail, arguments=(KeyError("k"),))
    )

    assert [(event.kind, event.key, event.text) for event in events] == [
        ("started", "a", ""),
        ("stage", "a", "doubling 2"),
        ("finished", "a", ""),
        ("started", "b", ""),
        ("failed", "b", "KeyError: 'k'"),
    ]


def test_an_interruption_stops_everything():
    with pytest.raises(KeyboardInterrupt):
        launch(Job(key="a", function=fail, arguments=(KeyboardInterrupt(),)))


def test_a_stage_said_outside_a_job_goes_nowhere():
    say_stage("anything")


def test_results_and_events_tell_a_mistake_of_the_user_from_an_error():
    results, events = launch(
        Job(key="a", function=fail, arguments=(DataError("x.jsonl: is empty"),)),
        Job(key="b", function=fail, arguments=(ValueError("no luck"),)),
    )

    assert (results["a"].mistake, results["b"].mistake) == (True, False)
    assert [event.mistake for event in events if event.kind == "failed"] == [True, False]
