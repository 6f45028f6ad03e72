"""Peak memory of one call, in a process that does nothing else."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

PROBE = "vmrbench.cost.memory_probe"
ON_CPU = "cpu"


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Most bytes in use at once.

    value: on the CPU the peak of resident memory above what the process held after its imports; on CUDA the peak
    allocated by tensors; None where it could not be measured, then `reason` says why; absolute: the whole peak of
    resident memory, or what the CUDA allocator held; batch, clips: shape of the call; basis: what was read.
    """

    value: int | None
    absolute: int | None
    batch: int
    clips: int
    basis: Literal["resident", "cuda_allocated"]
    reason: str | None = None


def peak_memory(
    function_path: str,
    arguments: Mapping[str, Any],
    *,
    batch: int,
    clips: int,
    device: str = ON_CPU,
    timeout_s: float = 600.0,
) -> Memory:
    """Run a function in a fresh process and read its peak memory there.

    Building the model and reading weights count, importing the function's module does not.

    Args:
        function_path: `package.module:function`, importable in a new process.
        arguments: keywords of the function, picklable; the batch shape goes in here too.
        batch: samples in the call, for the record.
        clips: rows of the longest sample, for the record.
        device: where the function works; on CUDA the allocator's counters are read instead of resident memory.
        timeout_s: seconds after which the attempt is given up.

    Returns:
        The peak, or None with the last line the process said.
    """
    on_cuda = not device.startswith(ON_CPU)
    basis: Literal["resident", "cuda_allocated"] = "cuda_allocated" if on_cuda else "resident"
    with tempfile.TemporaryDirectory() as folder:
        job, answer = Path(folder, "job.pickle"), Path(folder, "answer.json")
        job.write_bytes(pickle.dumps({"function": function_path, "arguments": dict(arguments), "device": device}))
        failure = _run(job, answer, timeout_s)
        if failure is not None:
            return Memory(value=None, absolute=None, batch=batch, clips=clips, basis=basis, reason=failure)
        found = json.loads(answer.read_text())
    return Memory(
        value=found["value"],
        absolute=found["absolute"],
        batch=batch,
        clips=clips,
        basis=basis,
        reason=found["reason"],
    )


def _run(job: Path, answer: Path, timeout_s: float) -> str | None:
    """Why the probe failed, None where it did not."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(place for place in sys.path if place)}
    command = [sys.executable, "-m", PROBE, str(job), str(answer)]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        return f"gave up after {timeout_s:g} s"
    if done.returncode == 0 and answer.is_file():
        return None
    said = done.stderr.strip().splitlines()
    return f"the process ended with code {done.returncode}: {said[-1] if said else 'it said nothing'}"
