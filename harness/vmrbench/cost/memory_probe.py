"""The fresh process behind `peak_memory`: runs one function and writes down how much memory it took.

Run as `python -m vmrbench.cost.memory_probe JOB ANSWER`; imports nothing heavy itself, so that only the measured
function's imports are part of the floor.
"""

from __future__ import annotations

import gc
import importlib
import json
import pickle
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psutil

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def main(job_path: str, answer_path: str) -> None:
    """Run the job and write the answer; a failure keeps its traceback."""
    job = pickle.loads(Path(job_path).read_bytes())  # Written by our own parent process a moment ago.
    module, _, name = job["function"].partition(":")
    call = partial(getattr(importlib.import_module(module), name), **job["arguments"])
    answer = resident_peak(call) if job["device"].startswith("cpu") else _device_peak(call, job["device"])
    Path(answer_path).write_text(json.dumps(answer))


def resident_peak(call: Callable[[], object]) -> dict[str, Any]:
    """Bytes of resident memory at the peak of a call: above the level before it, and in all.

    A call that returns another call has only prepared, by reading data that is no part of a model's memory: the
    second one is measured then.
    """
    was_reset, before = _floor()
    prepared = call()
    if callable(prepared):
        was_reset, before = _floor()
        prepared()
    absolute = peak_bytes()
    reason = None if was_reset else "the system keeps one peak a process: imports may have set it"
    return {"value": max(0, absolute - before), "absolute": absolute, "reason": reason}


def _floor() -> tuple[bool, int]:
    """Whether the peak could be reset to the present level, and that level."""
    gc.collect()
    was_reset = _reset_peak()
    return was_reset, int(psutil.Process().memory_info().rss)


def peak_bytes() -> int:
    """Peak resident memory of this process so far, by whichever counter the system has."""
    if STATUS.is_file():
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    on_windows = getattr(psutil.Process().memory_info(), "peak_wset", None)
    if on_windows is not None:
        return int(on_windows)
    import resource  # Not on Windows.

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) if sys.platform == "darwin" else int(peak) * 1024


def _reset_peak() -> bool:
    try:
        CLEAR.write_text("5")  # Linux: the peak restarts at the present level.
    except OSError:
        return False
    return True


def _device_peak(call: Callable[[], object], device: str) -> dict[str, Any]:
    import torch  # Heavy: not part of the floor on the CPU.

    from vmrbench.cost.cuda import cuda_peak

    prepared = call()
    peak = cuda_peak(prepared if callable(prepared) else call, torch.device(device))
    return {"value": peak.allocated, "absolute": peak.reserved, "reason": None}


if __name__ == "__main__":
    main(*sys.argv[1:])
