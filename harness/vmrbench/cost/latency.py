"""How long one query takes, with all arms measured side by side.

Arms take turns on every sample (A B A B ...), so that a machine that slows down slows all of them; each round starts
with another arm, so that none is always the one that finds the caches cold.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from vmrbench.cost.cuda import CudaTimer

Arm = Callable[[int], Mapping[str, float] | None]
Stages = Mapping[str, float] | None
Timer = Callable[[Callable[[], Stages]], tuple[float, Stages]]

MOST_SPREAD = 0.15  # Chosen by trial: a quiet machine stays under 0.05, a machine with a second load goes over 0.2.
FEWEST_ROUNDS = 3
PARTS = 5  # Runs of one input are cut into this many parts, to see whether the machine was steady.


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Milliseconds of one call over a set of samples.

    p50_ms, p90_ms, p99_ms: over samples, of each sample's median over rounds (p99 of fewer than 100 samples leans on
    the slowest one); n: samples; rounds: how often each was run; cv: standard deviation over mean of the rounds'
    medians, None for a single round; valid: False where `cv` is above 0.15 or rounds are fewer than 3, then `reason`
    says so; stages_p50_ms: median over samples of each stage the arm reported.
    """

    p50_ms: float
    p90_ms: float
    p99_ms: float
    n: int
    rounds: int
    cv: float | None
    valid: bool
    reason: str | None
    stages_p50_ms: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RepeatedRuns:
    """Milliseconds of one call on one input, over its runs.

    p10_ms, p50_ms, p90_ms: over runs; n: runs; cv: standard deviation over mean of the medians of up to five parts of
    the runs, in their order, None for a single run; `valid` and `reason` as in `Latency`.
    """

    p10_ms: float
    p50_ms: float
    p90_ms: float
    n: int
    cv: float | None
    valid: bool
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class Throughput:
    """Queries a second when batches follow each other; `cv`, `valid` and `reason` as in `Latency`."""

    queries_per_second: float
    queries: int
    rounds: int
    cv: float | None
    valid: bool
    reason: str | None


def measure_latency(
    arms: Mapping[str, Arm],
    samples: Sequence[int],
    rounds: int = 5,
    warmup: int = 3,
    device: torch.device | str = "cpu",
    timer: Timer | None = None,
) -> dict[str, Latency]:
    """Time every arm on every sample, one sample at a time.

    Args:
        arms: name to a call that runs one sample (a position in the split) and may return milliseconds by stage.
        samples: the real length distribution, not one dummy shape.
        rounds: passes over the samples; fewer than 3 are marked invalid.
        warmup: calls of each arm before the clock starts.
        device: where the arms run; on CUDA events are used and the device is synchronised.
        timer: another clock, for tests.

    Raises:
        ValueError: no samples, or no rounds.
    """
    runs = _run_rounds(arms, samples, rounds, warmup, timer or timer_for(device))
    return {name: _latency(*runs[name]) for name in arms}


def measure_repeated(
    arms: Mapping[str, Callable[[], object]],
    runs: int = 20,
    warmup: int = 3,
    device: torch.device | str = "cpu",
    timer: Timer | None = None,
) -> dict[str, RepeatedRuns]:
    """Time the same call of every arm `runs` times, arms taking turns; the rest as in `measure_latency`.

    Raises:
        ValueError: no runs.
    """
    calls = {name: _of_any_sample(call) for name, call in arms.items()}
    taken = _run_rounds(calls, [0], runs, warmup, timer or timer_for(device))
    return {name: _repeated(taken[name][0][:, 0]) for name in arms}


def measure_throughput(
    arms: Mapping[str, Arm],
    batch_sizes: Sequence[int],
    rounds: int = 3,
    warmup: int = 1,
    device: torch.device | str = "cpu",
    timer: Timer | None = None,
) -> dict[str, Throughput]:
    """Queries a second of every arm; an arm runs batch number i, which holds `batch_sizes[i]` queries.

    Raises:
        ValueError: no batches, or no rounds.
    """
    places = range(len(batch_sizes))
    runs = _run_rounds(arms, places, rounds, warmup, timer or timer_for(device))
    return {name: _throughput(runs[name][0], sum(batch_sizes)) for name in arms}


def timer_for(device: torch.device | str) -> Timer:
    """The clock of a device: CUDA events on CUDA, the performance counter elsewhere."""
    chosen = torch.device(device)
    return CudaTimer(chosen) if chosen.type == "cuda" else time_wall


def time_wall(call: Callable[[], Stages]) -> tuple[float, Stages]:
    """Milliseconds by the performance counter, and what the call returned."""
    start = time.perf_counter()
    stages = call()
    return (time.perf_counter() - start) * 1e3, stages


@contextmanager
def collector_paused() -> Iterator[None]:
    """No garbage collection inside; it runs once before, and is as it was after."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


Times = NDArray[np.float64]
Runs = tuple[Times, dict[str, Times]]


def _run_rounds(
    arms: Mapping[str, Arm], samples: Sequence[int], rounds: int, warmup: int, timer: Timer
) -> dict[str, Runs]:
    """For each arm [rounds, samples] milliseconds, in total and by stage."""
    if not samples or rounds < 1:
        raise ValueError(f"latency needs samples and rounds, found {len(samples)} samples and {rounds} rounds")
    names = list(arms)
    totals = {name: np.zeros((rounds, len(samples))) for name in names}
    stages: dict[str, dict[str, Times]] = {name: {} for name in names}
    for turn in range(warmup):
        for name in names:
            timer(partial(arms[name], samples[turn % len(samples)]))
    with collector_paused():
        for turn in range(rounds):
            order = names[turn % len(names) :] + names[: turn % len(names)]
            for place, sample in enumerate(samples):
                for name in order:
                    took, parts = timer(partial(arms[name], sample))
                    totals[name][turn, place] = took
                    for stage, value in (parts or {}).items():
                        stages[name].setdefault(stage, np.full_like(totals[name], np.nan))[turn, place] = value
    return {name: (totals[name], _complete(name, stages[name])) for name in names}


def _complete(arm: str, stages: dict[str, Times]) -> dict[str, Times]:
    for stage, values in stages.items():
        if np.isnan(values).any():
            raise ValueError(f"arm {arm!r} reported stage {stage!r} for some calls only; report it for all or none")
    return stages


def _latency(totals: Times, stages: Mapping[str, Times]) -> Latency:
    of_samples = np.median(totals, axis=0)
    cv, reason = _steadiness(np.median(totals, axis=1))
    p50, p90, p99 = (float(value) for value in np.percentile(of_samples, [50, 90, 99]))
    return Latency(
        p50_ms=p50,
        p90_ms=p90,
        p99_ms=p99,
        n=totals.shape[1],
        rounds=totals.shape[0],
        cv=cv,
        valid=reason is None,
        reason=reason,
        stages_p50_ms={name: float(np.median(np.median(values, axis=0))) for name, values in stages.items()},
    )


def _of_any_sample(call: Callable[[], object]) -> Arm:
    def run(sample: int) -> None:
        call()

    return run


def _repeated(totals: Times) -> RepeatedRuns:
    parts = np.array_split(totals, min(PARTS, len(totals)))
    cv, reason = _steadiness(np.array([np.median(part) for part in parts]))
    p10, p50, p90 = (float(value) for value in np.percentile(totals, [10, 50, 90]))
    return RepeatedRuns(p10_ms=p10, p50_ms=p50, p90_ms=p90, n=len(totals), cv=cv, valid=reason is None, reason=reason)


def _throughput(totals: Times, queries: int) -> Throughput:
    of_rounds = totals.sum(axis=1)
    cv, reason = _steadiness(of_rounds)
    return Throughput(
        queries_per_second=queries / float(np.median(of_rounds)) * 1e3,
        queries=queries,
        rounds=len(of_rounds),
        cv=cv,
        valid=reason is None,
        reason=reason,
    )


def _steadiness(of_rounds: Times) -> tuple[float | None, str | None]:
    """Standard deviation over mean of the rounds' figures, and why they cannot be trusted (None where they can)."""
    cv = float(np.std(of_rounds, ddof=1) / np.mean(of_rounds)) if len(of_rounds) > 1 else None
    if cv is None or len(of_rounds) < FEWEST_ROUNDS:
        return cv, f"{len(of_rounds)} rounds; at least {FEWEST_ROUNDS} are needed to see noise"
    return cv, f"rounds vary by {cv:.0%}; at most {MOST_SPREAD:.0%} is accepted" if cv > MOST_SPREAD else None
