"""Order and statistics of latency, with a clock that says what the test wants: timings are never asserted."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping

import pytest

from vmrbench.cost.latency import collector_paused, measure_latency, measure_repeated, measure_throughput, time_wall


class ScriptedClock:
    """Runs the call and says it took what the call itself put aside."""

    def __init__(self) -> None:
        self.next_ms = 0.0

    def __call__(self, call: Callable[[], Mapping[str, float] | None]) -> tuple[float, Mapping[str, float] | None]:
        stages = call()
        return self.next_ms, stages


def arm_of(clock: ScriptedClock, times: Mapping[int, list[float]]) -> Callable[[int], None]:
    """An arm whose call on sample i takes the next of `times[i]`."""
    left = {sample: iter(values) for sample, values in times.items()}

    def run(sample: int) -> None:
        clock.next_ms = next(left[sample])

    return run


def test_arms_take_turns_on_every_sample_and_rounds_start_with_another_arm() -> None:
    seen: list[tuple[str, int]] = []
    arms = {name: lambda i, name=name: seen.append((name, i)) for name in "AB"}

    measure_latency(arms, [7, 8], rounds=2, warmup=0)

    assert seen == [("A", 7), ("B", 7), ("A", 8), ("B", 8), ("B", 7), ("A", 7), ("B", 8), ("A", 8)]


def test_warm_up_calls_are_not_timed() -> None:
    clock = ScriptedClock()
    arm = arm_of(clock, {0: [900.0, 900.0, 1.0, 1.0, 1.0]})

    found = measure_latency({"a": arm}, [0], rounds=3, warmup=2, timer=clock)

    assert found["a"].p50_ms == 1.0


def test_percentiles_are_of_the_samples_medians_over_rounds() -> None:
    clock = ScriptedClock()
    # Medians over rounds are 1, 2, ..., 11; one round has an outlier that must not show.
    arm = arm_of(clock, {i: [i + 1.0, 500.0 if i == 3 else i + 1.0, i + 1.0] for i in range(11)})

    found = measure_latency({"a": arm}, range(11), rounds=3, warmup=0, timer=clock)["a"]

    assert (found.p50_ms, found.p90_ms, found.n, found.rounds) == (6.0, 10.0, 11, 3)


def test_p99_lies_between_the_two_slowest_of_eleven_samples() -> None:
    clock = ScriptedClock()
    arm = arm_of(clock, {i: [i + 1.0] * 3 for i in range(11)})

    assert measure_latency({"a": arm}, range(11), rounds=3, warmup=0, timer=clock)["a"].p99_ms == pytest.approx(10.9)


def test_rounds_that_differ_too_much_are_invalid_and_say_so() -> None:
    clock = ScriptedClock()
    arm = arm_of(clock, {0: [10.0, 10.0, 20.0]})

    found = measure_latency({"a": arm}, [0], rounds=3, warmup=0, timer=clock)["a"]

    # mean 40 / 3, standard deviation 10 / sqrt(3): 0.433
    assert found.cv == pytest.approx(0.4330127)
    assert (found.valid, found.reason) == (False, "rounds vary by 43%; at most 15% is accepted")


def test_steady_rounds_are_valid() -> None:
    clock = ScriptedClock()
    arm = arm_of(clock, {0: [10.0, 10.5, 10.0]})

    found = measure_latency({"a": arm}, [0], rounds=3, warmup=0, timer=clock)["a"]

    assert (found.valid, found.reason) == (True, None)


def test_a_single_round_is_invalid_and_has_no_spread() -> None:
    found = measure_latency({"a": lambda _: None}, [0], rounds=1, warmup=0)["a"]

    assert (found.cv, found.valid, found.reason) == (None, False, "1 rounds; at least 3 are needed to see noise")


def test_stages_are_reported_as_medians() -> None:
    values = iter([1.0, 9.0, 2.0])

    found = measure_latency({"a": lambda _: {"trim": next(values)}}, [0], rounds=3, warmup=0)["a"]

    assert found.stages_p50_ms == {"trim": 2.0}


def test_a_stage_reported_for_some_calls_only_is_refused() -> None:
    with pytest.raises(ValueError, match="arm 'a' reported stage 'trim' for some calls only"):
        measure_latency({"a": lambda i: {"trim": 1.0} if i else None}, [0, 1], rounds=3, warmup=0)


def test_the_garbage_collector_is_off_while_timing_and_on_afterwards() -> None:
    states: list[bool] = []

    measure_latency({"a": lambda _: states.append(gc.isenabled())}, [0], rounds=1, warmup=0)

    assert (states, gc.isenabled()) == ([False], True)


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with collector_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_no_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="0 samples"):
        measure_latency({"a": lambda _: None}, [])


def test_throughput_is_queries_over_the_median_round() -> None:
    clock = ScriptedClock()
    arm = arm_of(clock, {0: [40.0, 40.0, 41.0], 1: [60.0, 60.0, 61.0]})

    found = measure_throughput({"a": arm}, [32, 18], rounds=3, warmup=0, timer=clock)["a"]

    assert (found.queries_per_second, found.queries, found.valid) == (500.0, 50, True)


def test_the_wall_clock_returns_what_the_call_returned() -> None:
    took, stages = time_wall(lambda: {"trim": 1.0})

    assert took >= 0
    assert stages == {"trim": 1.0}


def test_arms_take_turns_and_every_run_of_one_input_counts() -> None:
    clock, seen = ScriptedClock(), []

    def arm(name: str, *times: float) -> Callable[[], None]:
        left = iter(times)

        def run() -> None:
            seen.append(name)
            clock.next_ms = next(left)

        return run

    arms = {"a": arm("a", 900.0, *range(1, 12)), "b": arm("b", *[2.0] * 12)}

    found = measure_repeated(arms, runs=11, warmup=1, timer=clock)

    assert seen[:6] == ["a", "b", "a", "b", "b", "a"]
    assert (found["a"].p10_ms, found["a"].p50_ms, found["a"].p90_ms, found["a"].n) == (2.0, 6.0, 10.0, 11)


def test_one_slow_run_of_many_is_accepted_and_a_drift_is_not() -> None:
    clock = ScriptedClock()

    def taking(times: list[float]) -> Callable[[], None]:
        left = iter(times)

        def run() -> None:
            clock.next_ms = next(left)

        return run

    arms = {"outlier": taking([9.0] + [1.0] * 19), "drift": taking([1.0] * 10 + [2.0] * 10)}

    found = measure_repeated(arms, runs=20, warmup=0, timer=clock)

    assert (found["outlier"].valid, found["drift"].valid) == (True, False)


def test_fewer_than_three_runs_are_invalid() -> None:
    found = measure_repeated({"a": lambda: None}, runs=2, warmup=0)["a"]

    assert (found.valid, found.n) == (False, 2)
    assert "at least 3" in str(found.reason)
