"""Time, memory and multiply-adds of one query against the length of its video, each backbone in a process of its own.

The process may take so much memory and no more; what does not fit says so, and the others are measured all the same.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from vmrbench.catalog import Catalog, load_catalog
from vmrbench.cost.known_calls import KnownCalls
from vmrbench.cost.latency import measure_latency
from vmrbench.cost.memory_probe import resident_peak
from vmrbench.data.collate import collate
from vmrbench.engine.arm import Arm
from vmrbench.engine.costing import count_query, query_call
from vmrbench.engine.made_up_arms import MadeUpArm, Part
from vmrbench.errors import UserError
from vmrbench.types import Batch

_SPOTVMR = {"steps": 2, "keep_ratio": 0.25}
TRIMMERS: Mapping[str, Part] = {
    "all": Part(name="all"),
    "spotvmr": Part(name="spotvmr", preset="exact", options=_SPOTVMR),
    "spotvmr_own": Part(
        name="spotvmr", preset="exact", options=_SPOTVMR | {"share_encoder": False, "private_width": 96}
    ),
}
MOST_ROUNDS, FEWEST_ROUNDS = 9, 3
SLOWEST_CALL_S = 20.0


@dataclass(frozen=True, kw_only=True)
class Job:
    """What one process measures.

    minutes: lengths of the videos, ascending; clip_seconds: of a row; memory_cap: bytes of data that the process may
    hold; timing_s: about so long is spent on the clock, with at least three rounds and at most nine.
    """

    backbone: str
    preset: str | None
    options: Mapping[str, Any] = field(default_factory=dict)
    minutes: tuple[float, ...]
    clip_seconds: float
    memory_cap: int
    timing_s: float = 15.0


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One arm at one length.

    clips: rows of the video; macs: of `trim` and `backbone`, counted; memory: bytes at the peak above what the process
    held before, of `trim` alone and of the whole query; absolute: the whole process at its peak; time_ms: median by
    stage, None without rounds; what could not be measured is None, for the `reason`.
    """

    arm: str
    minutes: float
    clips: int
    macs: Mapping[str, int] | None = None
    memory: Mapping[str, int] | None = None
    absolute: int | None = None
    time_ms: Mapping[str, float] | None = None
    rounds: int = 0
    steady: str | None = None
    reason: str | None = None


def measure_backbone(job: Job, timeout_s: float = 900.0) -> list[Measured]:
    """Run a job in a fresh process: an entry for every arm and length, whatever became of the process."""
    with tempfile.TemporaryDirectory() as folder:
        question, answer = Path(folder, "job.json"), Path(folder, "answer.jsonl")
        question.write_text(json.dumps(asdict(job)))
        failure = _run(question, answer, timeout_s)
        lines = answer.read_text().splitlines() if answer.is_file() else []
    # The clock comes last: a later line on the same arm and length has more in it.
    found = {(entry["arm"], entry["minutes"]): Measured(**entry) for entry in map(json.loads, lines)}
    return [
        found.get((arm, minutes), Measured(arm=arm, minutes=minutes, clips=0, reason=failure))
        for arm in TRIMMERS
        for minutes in job.minutes
    ]


def _run(question: Path, answer: Path, timeout_s: float) -> str | None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(place for place in sys.path if place)}
    command = [sys.executable, "-m", __name__, str(question), str(answer)]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        return f"gave up after {timeout_s:g} s"
    said = done.stderr.strip().splitlines()
    return f"the process ended with code {done.returncode}: {said[-1] if said else 'it said nothing'}"


def main(question: str, answer: str) -> None:
    """The process: memory and counts arm by arm, shortest video first; then the clock, all arms taking turns."""
    import resource  # Not on Windows.

    given = json.loads(Path(question).read_text())
    job = Job(**given | {"minutes": tuple(given["minutes"])})
    resource.setrlimit(resource.RLIMIT_DATA, (job.memory_cap, job.memory_cap))
    catalog, known = load_catalog(), KnownCalls()
    calls: dict[str, Callable[[int], Mapping[str, float]]] = {}
    entries: dict[str, Measured] = {}
    with Path(answer).open("w") as file:
        for name, trimmer in TRIMMERS.items():
            for minutes in job.minutes:
                key = f"{name} {minutes:g}"
                entries[key], call = _measure(catalog, job, (name, trimmer), minutes, known)
                file.write(json.dumps(asdict(entries[key])) + "\n")
                file.flush()
                if call is not None:
                    calls[key] = call
        for key, more in _timed(calls, job.timing_s).items():
            file.write(json.dumps(asdict(entries[key]) | more) + "\n")


def long_video(catalog: Catalog, minutes: float, clip_seconds: float) -> tuple[Any, Batch]:
    """Facts and one query of a simulated video of that length."""
    spec = catalog.pick("dataset", "simulated").spec
    options = spec.options(
        profile="long", duration=minutes * 60, clip_seconds=clip_seconds, videos_test=1, queries_per_video=1
    )
    data = spec.build(options)
    return data.facts, collate([data.split("test")[0]])


def _measure(
    catalog: Catalog, job: Job, trimmer: tuple[str, Part], minutes: float, known: KnownCalls
) -> tuple[Measured, Callable[[int], Mapping[str, float]] | None]:
    facts, batch = long_video(catalog, minutes, job.clip_seconds)
    backbone = Part(name=job.backbone, preset=job.preset, options=job.options)
    made_up = MadeUpArm(backbone=backbone, trimmer=trimmer[1], facts=facts)
    entry: dict[str, Any] = {"arm": trimmer[0], "minutes": minutes, "clips": batch.clips.shape[1]}
    try:
        macs = count_query(made_up.build(catalog).to("meta"), batch.to("meta"), known)
        entry["macs"] = {"trim": macs.trim, "backbone": macs.backbone}
        arm = made_up.build(catalog)
        call = query_call(arm, {0: batch}, "fp32")
        if minutes == job.minutes[0]:
            call(0)  # What torch sets up once belongs to no length.
        select = _peak(lambda: _select(arm, batch))
        start = time.process_time()  # Not the wall's: other work on the machine must not decide what is timed.
        whole = _peak(lambda: _finish(call))
        took = time.process_time() - start
    except (UserError, RuntimeError, MemoryError) as error:
        return Measured(**entry, reason=_reason(error, job.memory_cap)), None
    entry |= {"memory": {"trim": select["value"], "whole": whole["value"]}, "absolute": whole["absolute"]}
    if took > SLOWEST_CALL_S:
        return Measured(**entry, reason=f"not timed: one call takes {took:.0f} s of the processor"), None
    return Measured(**entry), call


def _reason(error: Exception, cap: int) -> str:
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        return f"needs more memory than the {cap / 1e9:.3g} GB that the process may hold"
    return str(error).strip().splitlines()[0]


def _peak(call: Callable[[], None]) -> Mapping[str, Any]:
    """`resident_peak`, after what earlier calls left in the heap went back to the system, where that is offered."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    return resident_peak(call)


def _select(arm: Arm, batch: Batch) -> None:
    with torch.inference_mode():
        arm.select(batch, arm.access(batch))


def _finish(call: Callable[[int], Mapping[str, float]]) -> None:
    call(0)


def _timed(calls: Mapping[str, Callable[[int], Mapping[str, float]]], seconds: float) -> dict[str, dict[str, Any]]:
    """Median milliseconds by stage; every call has run before, so that one more round tells how many there can be."""
    if not calls:
        return {}
    start = time.perf_counter()
    for call in calls.values():
        call(0)
    rounds = max(FEWEST_ROUNDS, min(MOST_ROUNDS, int(seconds / (time.perf_counter() - start))))
    measured = measure_latency(calls, [0], rounds=rounds, warmup=0)
    return {
        key: {"time_ms": dict(taken.stages_p50_ms), "rounds": rounds, "steady": taken.reason}
        for key, taken in measured.items()
    }


def measure_all(jobs: Sequence[Job], say: Callable[[str], None]) -> dict[str, list[Measured]]:
    """Every job, one after the other; `say` hears of each."""
    found = {}
    for job in jobs:
        say(job.backbone)
        found[job.backbone] = measure_backbone(job)
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
